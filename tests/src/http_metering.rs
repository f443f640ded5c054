//! HTTP between two nodes, metered by a probe and counted by a collector.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::netns::{self, Namespace};
use crate::program::{self, Running};
use crate::scrape::Scrape;

/// The HTTP port of the probe.
const PROBE_PORT: u16 = 9473;

/// The address of the server.
pub const SERVER: &str = "198.51.100.2";

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [198.51.100.3]}
  - {name: node-b, addresses: [198.51.100.4]}
pods:
  - {name: client-1, namespace: shop, addresses: [198.51.100.1], node: node-a, workload: {kind: Deployment, name: client}}
  - {name: server-1, namespace: shop, addresses: [198.51.100.2], node: node-b, workload: {kind: Deployment, name: server}}
";

/// A client and a server of HTTP on two nodes. A probe and a collector run at the client.
pub struct HttpMetering {
    /// The node of the client.
    pub client: Namespace,
    /// The node of the server.
    pub server: Namespace,
    folder: tempfile::TempDir,
}

impl HttpMetering {
    /// Creates the nodes, and an empty file `requests`.
    pub fn set_up() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("inventory.yaml"), INVENTORY).expect("an inventory");
        std::fs::write(folder.path().join("requests"), "").expect("a file");
        let (client, server) = (Namespace::new("client"), Namespace::new("server"));
        netns::link((&client, "eth0"), (&server, "eth0"));
        for (namespace, address) in [(&client, "198.51.100.1"), (&server, SERVER)] {
            let name = namespace.name();
            netns::run(&format!("ip -n {name} addr add {address}/24 dev eth0"));
        }
        Self {
            client,
            server,
            folder,
        }
    }

    /// A file of the test. The flow log is `flows`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the probe and the collector.
    pub fn start(&self) -> (Running, Running) {
        let mut collecting = self.client.ours("kipfix-collector");
        collecting
            .args(["--listen", "udp://127.0.0.1:4739", "--kubernetes", "off"])
            .args(["--http", "127.0.0.1:8080", "--preset", "http"])
            .args([
                "--flow-log",
                &format!("file:{}", self.path("flows").display()),
            ])
            .arg("--inventory")
            .arg(self.path("inventory.yaml"));
        let collector = Running::start(collecting.stderr(Stdio::null()));
        program::wait_for_udp(collector.pid(), 4739);
        let probe = Running::start(
            self.client
                .ours("kipfix-probe")
                .args(["--interface", "eth0", "--node-name", "node-a"])
                .args(["--idle-timeout", "1s", "--export", "udp://127.0.0.1:4739"])
                // The tests transfer less than that: a probe that has to wait for a processor loses
                // no packet.
                .args(["--buffer", "256MiB"])
                .arg("--http-metering")
                .stderr(Stdio::null()),
        );
        self.client.wait_until_ready(PROBE_PORT);
        (probe, collector)
    }

    /// The metrics of the collector (port 8080) or the probe (port 9473).
    pub fn scrape(&self, port: u16) -> Scrape {
        self.client.scrape(&format!("127.0.0.1:{port}"))
    }

    /// The sum of a family from the client to the server.
    pub fn sum(&self, name: &str, more: &[&str]) -> u64 {
        let labels = [r#"src_workload="client""#, r#"dst_workload="server""#];
        let labels = [&labels[..], more].concat();
        self.scrape(8080).sum(&format!("kipfix_{name}"), &labels)
    }

    /// Waits until all requests are counted, and no more.
    pub fn wait_for_requests(&self, requests: usize) {
        let requests = requests as u64;
        let is_counted = || self.sum("http_requests_total", &[]) >= requests;
        let is_counted = program::eventually(program::PATIENCE, is_counted);
        let probe = self.scrape(PROBE_PORT);
        let unread = probe.sum("kipfix_probe_metered_http_unread_total", &[]);
        let found = self.sum("http_requests_total", &[]);
        assert!(
            is_counted && unread == 0,
            "{found} of {requests}\n{}",
            probe.text_without_zeros()
        );
        assert_eq!(found, requests);
    }

    /// The records with requests in the flow log, when it has all requests.
    pub fn records(&self, requests: usize) -> Vec<Value> {
        let count = |record: &Value| record["httpRequestDeltaCount"].as_u64().unwrap_or_default();
        let mut records = Vec::new();
        let are_logged = || {
            let flows = std::fs::read_to_string(self.path("flows")).expect("a flow log");
            let whole = flows.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let all = whole.lines().map(serde_json::from_str::<Value>);
            let all = all.map(|record| record.expect("JSON"));
            records = all.filter(|record| count(record) > 0).collect();
            records.iter().map(count).sum::<u64>() == requests as u64
        };
        let are_logged = program::eventually(program::PATIENCE, are_logged);
        assert!(are_logged, "not {requests} requests: {records:#?}");
        records
    }
}
