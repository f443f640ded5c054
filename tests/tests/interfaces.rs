//! Interfaces that come and go while the probe captures others.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::missing;
use kipfix_tests::program::{self, Running};
use kipfix_tests::scrape::Scrape;
use kipfix_tests::take_turn;
use serde_json::Value;

const ADMIN: &str = "127.0.0.1:9473";

/// Sends 4000 datagrams within about four seconds.
const CLIENT: &str = "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('192.0.2.1', 4000))
for _ in range(400):
    for _ in range(10):
        s.sendto(b'datagram', ('192.0.2.2', 9))
    time.sleep(0.01)
";

/// The number of captured interfaces.
fn captured(node: &Namespace) -> Option<u64> {
    let text = node.ask(ADMIN, "/metrics")?;
    Some(Scrape::parse(&text).sum("kipfix_probe_interfaces", &[]))
}

/// Waits for a number of interfaces.
#[track_caller]
fn wait_for(node: &Namespace, count: u64) {
    let is_captured = || captured(node) == Some(count);
    assert!(
        program::eventually(program::PATIENCE, is_captured),
        "{:?}",
        captured(node)
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test is about elapsed time")]
fn an_interface_is_captured_when_it_appears_and_the_others_lose_nothing_when_it_vanishes() {
    if missing(&["ip", "python3"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let (node, peer) = (Namespace::new("ifnode"), Namespace::new("ifpeer"));
    netns::link((&node, "kept0"), (&peer, "eth0"));
    let on_node = |line: &str| netns::run(&format!("ip -n {} {line}", node.name()));
    on_node("addr add 192.0.2.1/24 dev kept0");
    netns::run(&format!(
        "ip -n {} addr add 192.0.2.2/24 dev eth0",
        peer.name()
    ));
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    let mut probe = node.ours("kipfix-probe");
    let probe = probe
        .args(["--interface", "kept0", "--interface", "gone[0-9]"])
        .args([
            "--export",
            "stdout:",
            "--admin",
            ADMIN,
            "--active-timeout",
            "1h",
        ])
        .stdout(File::create(&records).unwrap())
        .stderr(Stdio::null());
    let probe = Running::start(probe);
    wait_for(&node, 1);
    let client = Running::start(node.command("python3 -c").arg(CLIENT));
    let began = Instant::now();
    for name in ["gone1", "gone2"] {
        on_node(&format!("link add {name} type bridge"));
        on_node(&format!("link set {name} up"));
        wait_for(&node, 2);
        on_node(&format!("link del {name}"));
        wait_for(&node, 1);
    }
    // Scans every 10 s would notice four changes in turn after 30 s or more.
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(client.wait(program::PATIENCE).0, Some(0));
    assert_eq!(probe.terminate().0, Some(0));
    let text = std::fs::read_to_string(&records).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let packets = records
        .filter(|record: &Value| record["sourceTransportPort"] == 4000)
        .map(|record| record["packetDeltaCount"].as_u64().unwrap());
    assert_eq!(packets.sum::<u64>(), 4000, "{text}");
}
