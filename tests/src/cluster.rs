//! A Kubernetes client for tests. It writes what an operator, a controller or a kubelet would
//! write, waits for the response, and panics on errors.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config, Error};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::objects::Object;

/// A client for one user. Clones share the connection.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    runtime: Arc<Runtime>,
}

impl Cluster {
    /// Creates a client from a kubeconfig. It sends no request.
    pub fn connect(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let client = runtime.block_on(async {
            let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
            Client::try_from(config.expect("a whole kubeconfig")).expect("a client")
        });
        Self {
            client,
            runtime: Arc::new(runtime),
        }
    }

    /// Creates an object, and its status, if it has one, in a separate request like a controller.
    /// Returns the object of the server with its uid.
    pub fn create(&self, object: Object) -> Object {
        let what = object.clone();
        self.try_create(object)
            .unwrap_or_else(|e| panic!("{what:?}: {e}"))
    }

    /// Like [`create`](Self::create), but returns the error.
    pub fn try_create(&self, object: Object) -> Result<Object, Error> {
        self.wait(create(&self.client, object))
    }

    /// Changes the status of an object by a merge patch: lists are replaced, null removes a member.
    pub fn set_status(&self, object: &Object, status: &Value) -> Object {
        self.wait(set_status(&self.client, object, status))
            .unwrap_or_else(|e| panic!("{object:?}: {e}"))
    }

    /// Changes an object, except for its status, by a merge patch.
    pub fn patch(&self, object: &Object, patch: &Value) -> Object {
        let api = api(&self.client, object);
        let patched =
            self.wait(api.patch(object.name(), &PatchParams::default(), &Patch::Merge(patch)));
        from_server(patched.unwrap_or_else(|e| panic!("{object:?}: {e}")))
    }

    /// Deletes an object and waits until it is deleted.
    pub fn delete(&self, object: &Object) {
        self.wait(delete(&self.client, object, Duration::ZERO))
            .unwrap_or_else(|e| panic!("{object:?}: {e}"));
    }

    /// Starts to delete a pod on a node: it gets a `deletionTimestamp` and exists until
    /// [`delete`](Self::delete), which the kubelet sends after the last container has ended.
    pub fn begin_delete(&self, pod: &Object, grace: Duration) {
        self.wait(delete(&self.client, pod, grace))
            .unwrap_or_else(|e| panic!("{pod:?}: {e}"));
    }

    /// Reads an object. `None` if it does not exist.
    pub fn read(&self, object: &Object) -> Option<Object> {
        let found = self.wait(api(&self.client, object).get_opt(object.name()));
        found
            .unwrap_or_else(|e| panic!("{object:?}: {e}"))
            .map(from_server)
    }

    /// Lists the objects of a kind in all namespaces, or returns the HTTP status of the error.
    pub fn list(&self, api_version: &str, kind: &str) -> Result<Vec<Object>, u16> {
        let resource = resource(api_version, kind);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        match self.wait(api.list(&ListParams::default())) {
            Ok(list) => Ok(list.items.into_iter().map(from_server).collect()),
            Err(Error::Api(status)) => Err(status.code),
            Err(error) => panic!("{api_version} {kind}: {error}"),
        }
    }

    /// Requests a path that is not an object, such as `/readyz`.
    pub fn text(&self, path: &str) -> Result<String, Error> {
        let request = http::Request::get(path)
            .body(Vec::new())
            .expect("a request");
        self.wait(self.client.request_text(request))
    }

    /// The underlying client, for concurrent requests.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The underlying runtime, for background tasks.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Runs a future to its end.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// See [`Cluster::create`].
pub(crate) async fn create(client: &Client, mut object: Object) -> Result<Object, Error> {
    // The server accepts the status of a node at creation, but not of other kinds.
    let status = match object.text("kind") {
        "Node" => Value::Null,
        _ => object
            .0
            .as_object_mut()
            .and_then(|o| o.remove("status"))
            .unwrap_or_default(),
    };
    let typed: DynamicObject = serde_json::from_value(object.0.clone()).expect("an object");
    let created = from_server(
        api(client, &object)
            .create(&PostParams::default(), &typed)
            .await?,
    );
    match status {
        Value::Null => Ok(created),
        status => set_status(client, &created, &status).await,
    }
}

/// See [`Cluster::set_status`].
pub(crate) async fn set_status(
    client: &Client,
    object: &Object,
    status: &Value,
) -> Result<Object, Error> {
    let patch = Patch::Merge(json!({"status": status}));
    let api = api(client, object);
    Ok(from_server(
        api.patch_status(object.name(), &PatchParams::default(), &patch)
            .await?,
    ))
}

/// See [`Cluster::delete`] and [`Cluster::begin_delete`].
pub(crate) async fn delete(client: &Client, object: &Object, grace: Duration) -> Result<(), Error> {
    let grace = u32::try_from(grace.as_secs()).expect("a grace period in seconds");
    let params = DeleteParams::default().grace_period(grace);
    api(client, object)
        .delete(object.name(), &params)
        .await
        .map(|_| ())
}

fn api(client: &Client, object: &Object) -> Api<DynamicObject> {
    let resource = resource(object.text("apiVersion"), object.text("kind"));
    match object.at("metadata/namespace").as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn resource(api_version: &str, kind: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

fn from_server(object: DynamicObject) -> Object {
    Object(serde_json::to_value(object).expect("JSON"))
}
