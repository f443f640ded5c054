//! A real Kubernetes API server: etcd and kube-apiserver (`tests/cluster/build.sh`) as plain child
//! processes that listen on loopback alone.
//!
//! No controller runs and there is no node's agent, so nothing but the test writes: a pod's status is a
//! patch, a pod on a node stays in deletion until the test ends it, a Deployment makes no ReplicaSet. The
//! admission that would ask for each namespace's default ServiceAccount is off, since nobody makes one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::fill;
use crate::objects::Object;
use crate::program::{Running, eventually, free_tcp_port, is_installed, output};
use crate::skip;

/// How long a start may take on a loaded machine; alone it takes 3 s.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// May do everything.
    Admin,
    /// May get, list and watch what kipfix needs, and nothing else.
    Kipfix,
    /// As kipfix, but Services and EndpointSlices are forbidden.
    WithoutServices,
}

impl User {
    const ALL: [Self; 3] = [Self::Admin, Self::Kipfix, Self::WithoutServices];

    fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Kipfix => "kipfix",
            Self::WithoutServices => "kipfix-without-services",
        }
    }
}

/// What the server does when it is asked for a streaming list (`sendInitialEvents`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamingLists {
    /// Serves it.
    #[default]
    Served,
    /// Refuses the request as invalid (422), as a server with the feature switched off does.
    Refused,
    /// Accepts the watch and sends an error event, `InternalError` (500), as a server over an old etcd
    /// does: its own version says nothing of it.
    Failing,
}

// Fields are dropped in this order: the server, what it stands on, the folder, the guard.
/// A running server. Ended, and its folder removed, when dropped or when the test's process ends,
/// however that comes about.
pub struct ApiServer {
    admin: Cluster,
    api: Option<Running>,
    etcd: Running,
    etcd_port: u16,
    port: u16,
    lists: StreamingLists,
    binaries: PathBuf,
    folder: TempDir,
    _guard: Guard,
}

impl ApiServer {
    /// Starts one of the test's own. `None`, said by [`skip`], where the programs are not here and
    /// cannot be built.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, StreamingLists::Served)
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

    /// [`start`](Self::start), with a choice of how streaming lists fare.
    pub fn start_with(test: &str, lists: StreamingLists) -> Option<Self> {
        let binaries = binaries(test)?;
        if lists == StreamingLists::Failing && !is_installed("etcd") {
            skip(test, "etcd 3.4 is not installed (Debian's etcd-server)");
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("kipfix-api-")
            .tempdir()
            .expect("a folder");
        let guard = Guard::over(folder.path());
        prepare(folder.path());
        let (etcd_port, port) = (free_tcp_port(), free_tcp_port());
        let etcd = match lists {
            StreamingLists::Failing => PathBuf::from("etcd"),
            _ => binaries.join("etcd"),
        };
        let etcd = start_etcd(&etcd, folder.path(), etcd_port);
        for user in User::ALL {
            write_kubeconfig(folder.path(), user, port);
        }
        let api = start_api_server(&binaries, folder.path(), etcd_port, port, lists);
        let (admin, api) = wait_until_ready(api, folder.path());
        let server = Self {
            admin,
            api: Some(api),
            etcd,
            etcd_port,
            port,
            lists,
            binaries,
            folder,
            _guard: guard,
        };
        server.grant();
        Some(server)
    }

    /// Writes as an administrator.
    pub fn admin(&self) -> &Cluster {
        &self.admin
    }

    /// The kubeconfig of a user.
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        kubeconfig(self.folder.path(), user)
    }

    /// Kills the API server's process. What it stored stays; its port refuses connections.
    pub fn stop_api(&mut self) {
        self.api = None;
    }

    /// Starts it again on the same port, with the same certificate, and waits until it is ready.
    pub fn start_api(&mut self) {
        self.stop_api();
        let folder = self.folder.path();
        let api = start_api_server(
            &self.binaries,
            folder,
            self.etcd_port,
            self.port,
            self.lists,
        );
        let (admin, api) = wait_until_ready(api, folder);
        self.admin = admin;
        self.api = Some(api);
    }

    /// Lets the server stand still: connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.running().signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.running().signal("CONT");
    }

    /// Process ids of the API server and of etcd, to measure them.
    pub fn pids(&self) -> [u32; 2] {
        [self.running().pid(), self.etcd.pid()]
    }

    /// Fills it with a cluster of this size and says how long that took.
    pub fn fill(&self, nodes: u32, pods: u32) -> (fill::Plan, fill::Took) {
        let plan = fill::Plan { nodes, pods };
        (plan, plan.write(&self.admin))
    }

    fn running(&self) -> &Running {
        self.api.as_ref().expect("the API server runs")
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
            eventually(READY_WITHIN, granted),
            "the role of kipfix has no effect"
        );
    }
}

/// Ends the server of a test that was killed itself, or that holds it in a static: a shell that waits for
/// the end of its standard input.
struct Guard {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Guard {
    fn over(folder: &Path) -> Self {
        const END: &str =
            r#"trap "" HUP INT TERM; cat; cat "$0"/*.pid | xargs -r kill -KILL; rm -rf "$0""#;
        let mut child = Command::new("sh")
            .args(["-c", END])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let stdin = child.stdin.take();
        Self { child, stdin }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stdin = None;
        drop(self.child.wait());
    }
}

/// The folder of the programs, built at first use.
fn binaries(test: &str) -> Option<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/build.sh");
        let output = Command::new(script).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("{script}: {error}"))?;
        let last = |said: &[u8]| {
            String::from_utf8_lossy(said)
                .lines()
                .last()
                .unwrap_or("")
                .to_owned()
        };
        match output.status.success() {
            true => Ok(PathBuf::from(last(&output.stdout))),
            false => Err(format!("no API server: {}", last(&output.stderr))),
        }
    });
    built
        .as_ref()
        .map_err(|reason| skip(test, reason))
        .ok()
        .cloned()
}

/// Writes what both programs read: users, and the key of service accounts, which no test uses but without
/// which the server does not start.
fn prepare(folder: &Path) {
    let users: String = User::ALL
        .iter()
        .map(|user| {
            let group = if *user == User::Admin {
                "\"system:masters\""
            } else {
                ""
            };
            let name = user.name();
            format!("{},{name},{name},{group}\n", token(*user))
        })
        .collect();
    fs::write(folder.join("users.csv"), users).expect("users can be written");
    output(
        Command::new("openssl")
            .args([
                "ecparam",
                "-name",
                "prime256v1",
                "-genkey",
                "-noout",
                "-out",
            ])
            .arg(folder.join("service-accounts.key")),
    );
}

fn token(user: User) -> String {
    format!("token-of-{}", user.name())
}

fn kubeconfig(folder: &Path, user: User) -> PathBuf {
    folder.join(format!("{}.kubeconfig", user.name()))
}

fn write_kubeconfig(folder: &Path, user: User, port: u16) {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user.name()}}],
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": folder.join("certificates/apiserver.crt"),
        }}],
        "users": [{"name": user.name(), "user": {"token": token(user)}}],
    });
    fs::write(kubeconfig(folder, user), config.to_string()).expect("a kubeconfig can be written");
}

fn start_etcd(program: &Path, folder: &Path, port: u16) -> Running {
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{}", free_tcp_port());
    start(
        folder,
        "etcd",
        Command::new(program)
            .args(["--data-dir"])
            .arg(folder.join("etcd"))
            .args(["--unsafe-no-fsync", "--quota-backend-bytes", "8589934592"])
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", &format!("default={peer}")]),
    )
}

fn start_api_server(
    binaries: &Path,
    folder: &Path,
    etcd_port: u16,
    port: u16,
    lists: StreamingLists,
) -> Running {
    let key = folder.join("service-accounts.key");
    let mut command = Command::new(binaries.join("kube-apiserver"));
    command
        .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
        .args([
            format!("--secure-port={port}"),
            format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        ])
        // It makes its certificate itself, once, and keeps it over restarts.
        .arg(format!(
            "--cert-dir={}",
            folder.join("certificates").display()
        ))
        .arg(format!(
            "--token-auth-file={}",
            folder.join("users.csv").display()
        ))
        .args([
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
        ])
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--service-account-key-file={}", key.display()))
        .arg(format!(
            "--service-account-signing-key-file={}",
            key.display()
        ))
        .arg("--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112")
        // Loopback cannot be an endpoint of the Service `kubernetes`.
        .args([
            "--endpoint-reconciler-type=none",
            "--allow-privileged",
            "--profiling=false",
        ]);
    if lists == StreamingLists::Refused {
        command.arg("--feature-gates=WatchList=false");
    }
    start(folder, "kube-apiserver", &mut command)
}

/// Starts a program that logs to the folder and whose pid the guard finds there.
fn start(folder: &Path, name: &str, command: &mut Command) -> Running {
    let log = fs::File::create(folder.join(format!("{name}.log"))).expect("a log");
    let running = Running::start(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log),
    );
    let pid = running.pid().to_string();
    fs::write(folder.join(format!("{name}.pid")), format!("{pid}\n"))
        .expect("a pid can be written");
    running
}

/// Waits for `/readyz`; panics with the end of the log where the server dies before.
fn wait_until_ready(mut api: Running, folder: &Path) -> (Cluster, Running) {
    let end = Instant::now() + READY_WITHIN;
    let certificate = folder.join("certificates/apiserver.key");
    while Instant::now() < end && api.is_alive() {
        if certificate.exists() {
            let admin = Cluster::connect(&kubeconfig(folder, User::Admin));
            let ready = || admin.text("/readyz").is_ok_and(|text| text == "ok");
            if eventually(Duration::from_secs(5), ready) {
                return (admin, api);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = fs::read_to_string(folder.join("kube-apiserver.log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(20).collect();
    panic!("the API server is not ready: {}", tail.join("\n"));
}
