//! The connection table of the kernel as the source of translations: connections from before the
//! probe, and more events than the kernel keeps for it.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers;
use kipfix_tests::program::{self, Running};
use kipfix_tests::scrape::Scrape;
use kipfix_tests::take_turn;
use serde_json::Value;

/// Sends a datagram from port 4000.
const DATAGRAM: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.1.1.11', 4000))
s.sendto(b'request', ('198.51.100.2', 5300))
";

/// Sends a datagram to each of many ports.
const FLOOD: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(1, 30001):
    s.sendto(b'request', ('198.51.100.2', port))
";

/// Address of metrics, in the namespace of the node.
const ADMIN: &str = "127.0.0.1:9473";

/// A node that masquerades the packets of a pod.
struct Node {
    pod: Namespace,
    node: Namespace,
    _remote: Namespace,
}

impl Node {
    fn start() -> Self {
        let (pod, node, remote) = (
            Namespace::new("ctpod"),
            Namespace::new("ctnode"),
            Namespace::new("ctremote"),
        );
        netns::link((&pod, "eth0"), (&node, "veth1"));
        netns::link((&node, "eth0"), (&remote, "eth0"));
        for (namespace, line) in [
            (&pod, "addr add 10.1.1.11/24 dev eth0"),
            (&node, "addr add 10.1.1.1/24 dev veth1"),
            (&pod, "route add default via 10.1.1.1"),
            (&node, "addr add 198.51.100.1/24 dev eth0"),
            (&node, "route add default via 198.51.100.2"),
            (&remote, "addr add 198.51.100.2/24 dev eth0"),
        ] {
            netns::run(&format!("ip -n {} {line}", namespace.name()));
        }
        node.run("sysctl -qw net.ipv4.ip_forward=1");
        node.run("iptables -w -t nat -A POSTROUTING -s 10.1.1.0/24 -j MASQUERADE --random-fully");
        // Instead of 30 s: a loaded machine may take longer to send the flood and to read the
        // table.
        node.run("sysctl -qw net.netfilter.nf_conntrack_udp_timeout=600");
        Self {
            pod,
            node,
            _remote: remote,
        }
    }

    /// The probe on eth0 of the node, after it has read the table.
    fn probe(&self, records: &Path) -> Running {
        let mut probe = self.node.ours("kipfix-probe");
        let probe = probe
            .args(["--conntrack", "--interface", "eth0", "--export", "stdout:"])
            .args(["--admin", ADMIN])
            .stdout(File::create(records).unwrap())
            .stderr(Stdio::null());
        let probe = Running::start(probe);
        let is_ready = || {
            let dumps = self.scrape();
            dumps.is_some_and(|m| m.sum("kipfix_probe_conntrack_dumps_total", &[]) == 1)
        };
        assert!(program::eventually(program::PATIENCE, is_ready));
        probe
    }

    fn scrape(&self) -> Option<Scrape> {
        let text = self.node.ask(ADMIN, "/metrics")?;
        Some(Scrape::parse(&text))
    }
}

fn missing() -> bool {
    peers::missing(&["ip", "python3", "iptables"]) || netns::missing()
}

fn python(namespace: &Namespace, script: &str) {
    program::output(namespace.command("python3 -c").arg(script));
}

#[test]
fn a_connection_from_before_the_probe_has_its_pod() {
    if missing() {
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    let node = Node::start();
    python(&node.pod, DATAGRAM);
    let probe = node.probe(&records);
    python(&node.pod, DATAGRAM);
    assert_eq!(probe.terminate().0, Some(0));
    let text = std::fs::read_to_string(&records).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let requests: Vec<Value> = records
        .filter(|record: &Value| record["destinationTransportPort"] == 5300)
        .collect();
    let [request] = requests.as_slice() else {
        panic!("{text}");
    };
    for (name, expected) in [
        ("sourceIPv4Address", Value::from("10.1.1.11")),
        ("sourceTransportPort", Value::from(4000)),
        ("postNATSourceIPv4Address", Value::from("198.51.100.1")),
        ("packetDeltaCount", Value::from(1)),
    ] {
        assert_eq!(request[name], expected, "{name}: {request}");
    }
    assert_ne!(request["postNAPTSourceTransportPort"], 4000);
}

#[test]
fn the_table_is_read_again_after_events_were_lost() {
    if missing() {
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start();
    let probe = node.probe(&folder.path().join("records"));
    probe.signal("STOP");
    python(&node.pod, FLOOD);
    probe.signal("CONT");
    let is_current = || {
        let Some(metrics) = node.scrape() else {
            return false;
        };
        let sum = |name: &str| metrics.sum(&format!("kipfix_probe_{name}"), &[]);
        sum("conntrack_overruns_total") > 0
            && sum("conntrack_dumps_total") > 1
            && sum("translations") == 30_000
    };
    let is_read = program::eventually(program::PATIENCE, is_current);
    assert!(is_read);
    assert_eq!(probe.terminate().0, Some(0));
}
