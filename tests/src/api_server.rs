//! A real Kubernetes API server, to be filled, stopped, slowed and asked by users of several rights.
//!
//! No controller runs and there is no node's agent, so nothing but the test writes: a pod's status is a
//! patch, a pod on a node stays in deletion until the test ends it, a Deployment makes no ReplicaSet. The
//! admission that would ask for each namespace's default ServiceAccount is off, since nobody makes one.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;

use crate::cluster::Cluster;
use crate::control_plane::ControlPlane;
pub use crate::control_plane::{StreamingLists, User};
use crate::fill::Plan;
use crate::objects::Object;
use crate::program::{Running, eventually, output};
use crate::skip;

/// A running server. Ended, and its folder removed, when dropped or when the test's process ends,
/// however that comes about.
pub struct ApiServer {
    admin: Cluster,
    // Dropped in this order: the server, what it stands on, their folder.
    api: Option<Running>,
    etcd: Option<Running>,
    control_plane: ControlPlane,
}

impl ApiServer {
    /// Starts one of the test's own. `None`, said by [`skip`], where the programs are not here and
    /// cannot be built.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, StreamingLists::Served)
    }

    /// [`start`](Self::start), with a choice of how streaming lists fare.
    pub fn start_with(test: &str, lists: StreamingLists) -> Option<Self> {
        let server = Self::run(ControlPlane::new(test, lists)?);
        server.grant();
        Some(server)
    }

    /// The server that all tests of one file share who neither stop nor slow it: each keeps to
    /// namespaces and addresses of its own.
    pub fn shared(test: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<Option<ApiServer>> = OnceLock::new();
        let server = SHARED.get_or_init(|| Self::start(test)).as_ref();
        if server.is_none() {
            skip(test, "no API server, as said above");
        }
        server
    }

    /// Starts one that holds all that the plan says. The first time it is written through the API server,
    /// which takes minutes for a large plan; what etcd then holds is kept beside the programs, and later
    /// starts begin with a copy.
    pub fn start_filled(test: &str, plan: Plan) -> Option<Self> {
        let control_plane = ControlPlane::new(test, StreamingLists::Served)?;
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

    /// Writes as an administrator.
    pub fn admin(&self) -> &Cluster {
        &self.admin
    }

    /// The kubeconfig of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.control_plane.kubeconfig(user)
    }

    /// Kills the API server's process. What it stored stays; its port refuses connections.
    pub fn stop_api(&mut self) {
        self.api = None;
    }

    /// Starts it again on the same port, with the same certificate, and waits until it is ready.
    pub fn start_api(&mut self) {
        self.stop_api();
        let (admin, api) = self.control_plane.start_api();
        self.admin = admin;
        self.api = Some(api);
    }

    /// Lets the server stand still: connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.api().signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.api().signal("CONT");
    }

    /// Process id of the API server, to measure it.
    pub fn pid(&self) -> u32 {
        self.api().pid()
    }

    fn api(&self) -> &Running {
        self.api.as_ref().expect("the API server runs")
    }

    /// Keeps a copy of what etcd holds now, instead of one that older code made of the same plan.
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
        // Whoever else kept the same in the meantime was as good.
        if fs::rename(&begun, cache.join(filled_name(plan, &code()))).is_err() {
            drop(fs::remove_dir_all(&begun));
        }
        self.etcd = Some(self.control_plane.start_etcd());
        self.start_api();
    }

    /// Gives the users their roles.
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
        // Authorization follows what is written with a moment's delay.
        let kipfix = Cluster::connect(&self.kubeconfig(User::Kipfix));
        let granted = || kipfix.list("discovery.k8s.io/v1", "EndpointSlice").is_ok();
        assert!(
            eventually(Duration::from_secs(30), granted),
            "the role of kipfix has no effect"
        );
    }
}

fn filled_name(plan: Plan, code: &str) -> String {
    format!("filled-{}-nodes-{}-pods-{code}", plan.nodes, plan.pods)
}

/// Stands for the code that makes objects of a plan.
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
