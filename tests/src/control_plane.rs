//! The processes of an API server and their directory: etcd and kube-apiserver
//! (`tests/cluster/build.sh`) on free loopback ports, users, certificate, and a guard that stops
//! them if the process of the test is killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::program::{self, Running, eventually, free_tcp_port, is_installed, output};
use crate::skip;

/// Timeout for a start on a loaded machine. It usually takes 3 s.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// A user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// All permissions.
    Admin,
    /// The permissions of kipfix.
    Kipfix,
    /// The permissions of kipfix without Services and EndpointSlices.
    WithoutServices,
}

impl User {
    pub(crate) const ALL: [Self; 3] = [Self::Admin, Self::Kipfix, Self::WithoutServices];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Kipfix => "kipfix",
            Self::WithoutServices => "kipfix-without-services",
        }
    }
}

/// Behaviour for a streaming list (`sendInitialEvents`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamingLists {
    /// Supported.
    #[default]
    Served,
    /// Rejected as invalid (422), like a server with the feature disabled.
    Refused,
    /// The watch is accepted and sends an error event, `InternalError` (500), like a server with an
    /// old etcd.
    Failing,
}

/// Directory and configuration of the processes.
pub(crate) struct ControlPlane {
    binaries: PathBuf,
    etcd_port: u16,
    api_port: u16,
    lists: StreamingLists,
    // Dropped in this order: the guard does nothing without a directory.
    folder: TempDir,
    _guard: Guard,
}

impl ControlPlane {
    /// Prepares the directory. Calls [`skip`] and returns `None` if the programs cannot be built.
    pub(crate) fn new(lists: StreamingLists) -> Option<Self> {
        let binaries = binaries()?;
        if lists == StreamingLists::Failing && !is_installed("etcd") {
            skip("etcd 3.4 is not installed (Debian's etcd-server)");
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("kipfix-api-")
            .tempdir()
            .expect("a folder");
        let guard = Guard::over(folder.path());
        let (etcd_port, api_port) = (free_tcp_port(), free_tcp_port());
        let control_plane = Self {
            binaries,
            etcd_port,
            api_port,
            lists,
            folder,
            _guard: guard,
        };
        control_plane.write_users();
        control_plane.write_key();
        Some(control_plane)
    }

    /// The directory of the programs, which is kept.
    pub(crate) fn cache(&self) -> &Path {
        &self.binaries
    }

    /// The data directory of etcd.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("etcd")
    }

    /// Path of the kubeconfig of a user.
    pub(crate) fn kubeconfig(&self, user: User) -> PathBuf {
        self.folder
            .path()
            .join(format!("{}.kubeconfig", user.name()))
    }

    /// Starts etcd.
    pub(crate) fn start_etcd(&self) -> Running {
        let program = match self.lists {
            StreamingLists::Failing => PathBuf::from("etcd"),
            _ => self.binaries.join("etcd"),
        };
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", free_tcp_port());
        let mut command = Command::new(program);
        command
            .arg("--data-dir")
            .arg(self.data())
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
            .args(["--initial-cluster", &format!("default={peer}")]);
        self.start("etcd", &mut command)
    }

    /// Starts the API server and waits until it is ready. Panics with the end of its log if it
    /// fails. Also returns the client of the administrator.
    pub(crate) fn start_api(&self) -> (Cluster, Running) {
        let folder = self.folder.path();
        let key = self.key();
        let mut command = Command::new(self.binaries.join("kube-apiserver"));
        command
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(format!("--secure-port={}", self.api_port))
            .arg(format!(
                "--etcd-servers=http://127.0.0.1:{}",
                self.etcd_port
            ))
            // It creates its certificate once and keeps it across restarts.
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
            // A loopback address cannot be an endpoint of the Service `kubernetes`.
            .args([
                "--endpoint-reconciler-type=none",
                "--allow-privileged",
                "--profiling=false",
            ]);
        if self.lists == StreamingLists::Refused {
            command.arg("--feature-gates=WatchList=false");
        }
        let mut api = self.start("kube-apiserver", &mut command);
        let end = Instant::now() + READY_WITHIN;
        let certificate = folder.join("certificates/apiserver.key");
        while Instant::now() < end && api.is_alive() {
            if certificate.exists() {
                let admin = Cluster::connect(&self.kubeconfig(User::Admin));
                let ready = || admin.text("/readyz").is_ok_and(|text| text == "ok");
                if eventually(Duration::from_secs(5), ready) {
                    return (admin, api);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let log = fs::read_to_string(folder.join("kube-apiserver.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(20).collect();
        panic!(
            "the API server is not ready; its log, last line first: {}",
            last.join("\n")
        );
    }

    /// Starts a program with its log and its pid in the directory, for the guard.
    fn start(&self, name: &str, command: &mut Command) -> Running {
        let file = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        let log = fs::File::create(file("log")).expect("a log");
        let running = Running::start(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log),
        );
        fs::write(file("pid"), format!("{}\n", running.pid())).expect("a pid can be written");
        running
    }

    /// The key of service accounts, which the server requires.
    fn key(&self) -> PathBuf {
        self.folder.path().join("service-accounts.key")
    }

    fn write_key(&self) {
        let mut openssl = Command::new("openssl");
        openssl.args([
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
        ]);
        output(openssl.arg(self.key()));
    }

    /// Writes the tokens and kubeconfigs of the users.
    fn write_users(&self) {
        let mut users = String::new();
        for user in User::ALL {
            let name = user.name();
            let token = format!("token-of-{name}");
            let group = if user == User::Admin {
                "system:masters"
            } else {
                ""
            };
            users.push_str(&format!("{token},{name},{name},{group}\n"));
            let config = json!({
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
                "clusters": [{"name": "test", "cluster": {
                    "server": format!("https://127.0.0.1:{}", self.api_port),
                    "certificate-authority": self.folder.path().join("certificates/apiserver.crt"),
                }}],
                "users": [{"name": name, "user": {"token": token}}],
            });
            fs::write(self.kubeconfig(user), config.to_string())
                .expect("a kubeconfig can be written");
        }
        fs::write(self.folder.path().join("users.csv"), users).expect("users can be written");
    }
}

/// Stops the processes if the test is killed or has them in a static: a shell that waits for the
/// end of its standard input.
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

/// The directory of the programs, built at first use.
fn binaries() -> Option<PathBuf> {
    let built = program::built_by("cluster/build.sh");
    built.map_err(|reason| skip(&reason)).ok()
}
