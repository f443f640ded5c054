//! A probe that meters test traffic, and a collector that it exports to.

use std::io::{PipeWriter, Write as _};
use std::process::Stdio;

use kipfix_tests::program::{self, Running, collector, free_tcp_port, free_udp_port, probe};
use kipfix_tests::scrape::{body, get};
use kipfix_tests::traffic;

/// Clients and servers of the test traffic on two nodes in two zones. One server is external.
const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
  - {name: node-b, addresses: [192.0.2.2], zone: z2, region: r1}
  - {name: node-c, addresses: [192.0.2.3], zone: z3, region: r2}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.2.1, 10.1.2.2], node: node-b, workload: {kind: Deployment, name: web}}
  - {name: far-1, namespace: shop, addresses: [10.1.2.4, 10.1.2.5, 10.1.2.6, 10.1.2.7], node: node-c, workload: {kind: Deployment, name: far}}
  - {name: cart-1, namespace: shop, addresses: [10.1.1.1, 10.1.1.2], node: node-a, workload: {kind: StatefulSet, name: cart}}
services:
  - {name: search, namespace: shop, addresses: [10.1.2.3, 10.1.2.8, 10.1.2.9]}
";

/// An unreachable API server: the metrics of watches exist.
const NO_USER: &str = "
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
";

/// A probe that exports to a collector, both as long as they are wanted.
pub(crate) struct Pair {
    pub(crate) http: u16,
    pub(crate) admin: u16,
    header: Option<Vec<u8>>,
    frames: Vec<u8>,
    input: PipeWriter,
    _running: [Running; 2],
    _folder: tempfile::TempDir,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let capture = folder.path().join("traffic.pcap");
        traffic::write(&capture, 300);
        let (port, http, admin) = (free_udp_port(), free_tcp_port(), free_tcp_port());
        let receiving = Running::start(
            collector()
                .args(["--listen", &format!("udp://127.0.0.1:{port}")])
                .args(["--http", &format!("127.0.0.1:{http}")])
                .arg("--kubernetes")
                .arg(file("kubeconfig", NO_USER.as_bytes()))
                .arg("--inventory")
                .arg(file("inventory.yaml", INVENTORY.as_bytes()))
                .args(["--inventory-wait", "100ms", "--attribution-wait", "100ms"])
                .args(["--observer-wait", "1s", "--cidr", "10.1.2.0/24=office"])
                .args(["--preset", "workloads", "--preset", "nodes"])
                .args(["--preset", "zones", "--preset", "external"])
                .args(["--preset", "health", "--preset", "loss"])
                .args(["--preset", "services", "--preset", "opencost"])
                .stderr(Stdio::null()),
        );
        program::wait_for_udp(receiving.pid(), port);
        // Standard input stays open, so that the probe stays and can be asked.
        let (reader, input) = std::io::pipe().unwrap();
        let mut command = probe();
        command.args(["--read", "-", "--node-name", "node-a"]);
        command.args(["--admin", &format!("127.0.0.1:{admin}")]);
        command.args(["--export", &format!("udp://127.0.0.1:{port}")]);
        let metering = Running::start(command.stdin(reader).stderr(Stdio::null()));
        drop(command);
        let up = || std::net::TcpStream::connect(("127.0.0.1", admin)).is_ok();
        assert!(program::eventually(program::PATIENCE, up));
        let mut header = std::fs::read(&capture).unwrap();
        let frames = header.split_off(24);
        Self {
            http,
            admin,
            header: Some(header),
            frames,
            input,
            _running: [metering, receiving],
            _folder: folder,
        }
    }

    /// Plays the frames of the capture, its header in front of the first ones.
    pub(crate) fn play(&mut self) {
        let header = self.header.take();
        self.input.write_all(&header.unwrap_or_default()).unwrap();
        self.input.write_all(&self.frames).unwrap();
        self.input.flush().unwrap();
    }

    pub(crate) fn serves(&self, metric: &str) -> bool {
        let type_line = format!("# TYPE {metric} ");
        let mut ports = [self.http, self.admin].into_iter();
        ports.any(|port| served(port).contains(&type_line))
    }
}

/// A whole scrape.
pub(crate) fn served(port: u16) -> String {
    body(get(([127, 0, 0, 1], port).into(), "/metrics", ""))
}
