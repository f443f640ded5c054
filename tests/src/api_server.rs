//! A real Kubernetes API server that tests can fill, stop and freeze, with users of different
//! permissions.
//!
//! There are no controllers and no kubelets, so only the test writes: it patches the status of
//! pods, and a pod on a node stays in deletion until the test deletes it. A Deployment creates no
//! ReplicaSet. The admission plugin for default ServiceAccounts is disabled, because no controller
//! creates them.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;

use crate::cluster::Cluster;
use crate::collector::Collector;
use crate::control_plane::ControlPlane;
pub use crate::control_plane::{StreamingLists, User};
use crate::fill::Plan;
use crate::objects::{self, Object};
use crate::program::{PATIENCE, Running, eventually, output};
use crate::skip;

/// A running server. It is stopped and its directory removed when the value is dropped or the
/// process of the test ends.
pub struct ApiServer {
    admin: Cluster,
    // Dropped in this order: API server, etcd, directory.
    api: Option<Running>,
    etcd: Option<Running>,
    control_plane: ControlPlane,
}

impl ApiServer {
    /// Starts a server for one test. Calls [`skip`] and returns `None` if the programs cannot be
    /// built.
    pub fn start() -> Option<Self> {
        Self::start_with(StreamingLists::Served)
    }

    /// Like [`start`](Self::start), with a behaviour for streaming lists.
    pub fn start_with(lists: StreamingLists) -> Option<Self> {
        let server = Self::run(ControlPlane::new(lists)?);
        server.grant();
        Some(server)
    }

    /// The server that the tests of one file share if they do not stop or freeze it. Every test
    /// uses its own namespaces and addresses.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<ApiServer>> = OnceLock::new();
        let server = SHARED.get_or_init(Self::start).as_ref();
        if server.is_none() {
            skip("no API server (see above)");
        }
        server
    }

    /// The shared server, with a namespace of the test's own, and its administrator.
    pub fn with_namespace(namespace: &str) -> Option<(&'static Self, &'static Cluster)> {
        let server = Self::shared()?;
        let admin = server.admin();
        admin.create(objects::namespace(namespace));
        Some((server, admin))
    }

    /// A collector with the inventory of the server: records wait until the initial lists are
    /// loaded.
    pub fn watching(&self, arguments: &[&str]) -> Collector {
        Collector::watching(&self.kubeconfig(User::Kipfix), arguments)
    }

    /// Starts a server with the objects of a plan. The first time, they are written through the API
    /// server, which takes minutes for a large plan. The data of etcd is cached, and later starts
    /// use a copy.
    pub fn start_filled(plan: Plan) -> Option<Self> {
        let control_plane = ControlPlane::new(StreamingLists::Served)?;
        let kept = control_plane.cache().join(filled_name(plan, &code()));
        if kept.exists() {
            copy(&kept, &control_plane.data());
            return Some(Self::run(control_plane));
        }
        let mut server = Self::run(control_plane);
        server.grant();
        let took = plan.write(&server.admin);
        eprintln!("{plan:?}: {took:?}");
        server.keep(plan);
        Some(server)
    }

    fn run(control_plane: ControlPlane) -> Self {
        let etcd = Some(control_plane.start_etcd());
        let (admin, api) = control_plane.start_api();
        Self {
            admin,
            api: Some(api),
            etcd,
            control_plane,
        }
    }

    /// A client with all permissions.
    pub fn admin(&self) -> &Cluster {
        &self.admin
    }

    /// Path of the kubeconfig of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.control_plane.kubeconfig(user)
    }

    /// Kills the API server. Its data stays, its port refuses connections.
    pub fn stop_api(&mut self) {
        self.api = None;
    }

    /// Restarts it on the same port with the same certificate, and waits until it is ready.
    pub fn start_api(&mut self) {
        self.stop_api();
        let (admin, api) = self.control_plane.start_api();
        self.admin = admin;
        self.api = Some(api);
    }

    /// Freezes the server: connections stay open, requests are not answered.
    pub fn freeze(&self) {
        self.api().signal("STOP");
    }

    /// Continues after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.api().signal("CONT");
    }

    /// Process id of the API server, for measurements.
    pub fn pid(&self) -> u32 {
        self.api().pid()
    }

    fn api(&self) -> &Running {
        self.api.as_ref().expect("the API server runs")
    }

    /// Caches the data of etcd, and removes copies of older code for the same plan.
    fn keep(&mut self, plan: Plan) {
        self.stop_api();
        self.etcd.take().expect("etcd runs").terminate();
        let (cache, all) = (self.control_plane.cache(), filled_name(plan, ""));
        for old in fs::read_dir(cache).expect("a folder").flatten() {
            if old.file_name().to_string_lossy().starts_with(&all) {
                drop(fs::remove_dir_all(old.path()));
            }
        }
        let begun = cache.join(format!("begun-{}", std::process::id()));
        copy(&self.control_plane.data(), &begun);
        // Another process may have cached the same data in the meantime.
        if fs::rename(&begun, cache.join(filled_name(plan, &code()))).is_err() {
            drop(fs::remove_dir_all(&begun));
        }
        self.etcd = Some(self.control_plane.start_etcd());
        self.start_api();
    }

    /// Creates the roles of the users.
    fn grant(&self) {
        let read = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]});
        let without_services = vec![
            read("", &["pods", "nodes", "namespaces"]),
            read("apps", &["replicasets"]),
            read("batch", &["jobs"]),
        ];
        let mut all = without_services.clone();
        all.push(read("", &["services"]));
        all.push(read("discovery.k8s.io", &["endpointslices"]));
        all.push(read("cilium.io", &["ciliumnodes"]));
        all.push(read("k8s.ovn.org", &["egressips"]));
        all.push(read("crd.antrea.io", &["egresses"]));
        all.push(read("resource.k8s.io", &["resourceclaims"]));
        for (user, rules) in [
            (User::Kipfix, all),
            (User::WithoutServices, without_services),
        ] {
            let name = user.name();
            let rbac = "rbac.authorization.k8s.io";
            let v1 = format!("{rbac}/v1");
            self.admin
                .create(Object::new(&v1, "ClusterRole", name).set("rules", json!(rules)));
            self.admin.create(
                Object::new(&v1, "ClusterRoleBinding", name)
                    .set(
                        "roleRef",
                        json!({"apiGroup": rbac, "kind": "ClusterRole", "name": name}),
                    )
                    .set(
                        "subjects",
                        json!([{"apiGroup": rbac, "kind": "User", "name": name}]),
                    ),
            );
        }
        // Authorization applies new roles with a short delay.
        let kipfix = Cluster::connect(&self.kubeconfig(User::Kipfix));
        let granted = || kipfix.list("discovery.k8s.io/v1", "EndpointSlice").is_ok();
        assert!(
            eventually(PATIENCE, granted),
            "the role of kipfix has no effect"
        );
    }
}

fn filled_name(plan: Plan, code: &str) -> String {
    format!("filled-{}-nodes-{}-pods-{code}", plan.nodes, plan.pods)
}

/// Identifies the code that creates the objects of a plan.
fn code() -> String {
    let mut code = DefaultHasher::new();
    [
        include_str!("fill.rs"),
        include_str!("objects.rs"),
        include_str!("api_server.rs"),
    ]
    .hash(&mut code);
    format!("{:016x}", code.finish())
}

fn copy(from: &Path, to: &Path) {
    output(
        Command::new("cp")
            .args(["-r", "--reflink=auto"])
            .args([from, to]),
    );
}
