//! A probe on several interfaces of a node: every packet is metered once.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::{Command, Stdio};
use std::time::Duration;

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::program::{self, Running, is_installed};
use kipfix_tests::{skip, take_turn};

/// Sends datagrams of 100 octets from one port, over each of the interfaces in turn.
const SENDER: &str = "
import socket, sys, time
source, destination, count, *interfaces = sys.argv[1:]
sockets = []
for interface in interfaces or ['']:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if interface:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    s.bind((source, 5000))
    sockets.append(s)
for n in range(int(count)):
    sockets[n % len(sockets)].sendto(b'x' * 100, (destination, 9000))
    time.sleep(0.002)
";

fn send(namespace: &Namespace, arguments: &[&str]) {
    let mut sender = Command::new("ip");
    sender.args(["netns", "exec", namespace.name(), "python3", "-c", SENDER]);
    program::output(sender.args(arguments));
}

/// Packets and octets of the flow records from an address.
fn metered(records: &str, source: &str) -> (u64, u64) {
    let mut sums = (0, 0);
    for line in records.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        if record["sourceIPv4Address"] == source && record["sourceTransportPort"] == 5000 {
            sums.0 += record["packetDeltaCount"].as_u64().unwrap();
            sums.1 += record["octetDeltaCount"].as_u64().unwrap();
        }
    }
    sums
}

#[test]
fn packets_over_two_uplinks_are_all_metered_and_forwarded_packets_once() {
    let test = "packets_over_two_uplinks_are_all_metered_and_forwarded_packets_once";
    if let Some(program) = ["ip", "python3"].iter().find(|p| !is_installed(p)) {
        return skip(test, &format!("{program} is not installed"));
    }
    let _turn = take_turn();
    if netns::missing(test) {
        return;
    }
    let (pod, node, router) = (
        Namespace::new("pod"),
        Namespace::new("node"),
        Namespace::new("router"),
    );
    netns::link((&pod, "eth0"), (&node, "pod0"));
    netns::link((&node, "up0"), (&router, "down0"));
    netns::link((&node, "up1"), (&router, "down1"));
    let on = |namespace: &Namespace, line: &str| {
        netns::run(&format!("ip -n {} {line}", namespace.name()));
    };
    on(&pod, "addr add 10.1.1.10/24 dev eth0");
    on(&pod, "route add default via 10.1.1.1");
    on(&node, "addr add 10.1.1.1/24 dev pod0");
    on(&node, "addr add 198.51.100.1/32 dev lo");
    on(&router, "addr add 203.0.113.2/32 dev lo");
    for (metric, uplink) in [(1, "up0"), (2, "up1")] {
        let route = format!("route add 203.0.113.2/32 dev {uplink} metric {metric}");
        on(&node, &format!("{route} src 198.51.100.1"));
    }
    node.run("sysctl -qw net.ipv4.ip_forward=1");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.json");
    let output = std::fs::File::create(&path).unwrap();
    let probe = Running::start(
        node.ours("kipfix-probe")
            .args(["--interface", "pod0", "--interface", "up*"])
            .args(["--export", "stdout:", "--idle-timeout", "1s"])
            .stdout(output)
            .stderr(Stdio::null()),
    );
    let captures = || {
        let sockets = node.run("cat /proc/net/packet");
        sockets.lines().count() > 3
    };
    assert!(
        program::eventually(Duration::from_secs(10), captures),
        "the probe does not capture three interfaces"
    );
    send(&node, &["198.51.100.1", "203.0.113.2", "30", "up0", "up1"]);
    send(&pod, &["10.1.1.10", "203.0.113.2", "20"]);
    assert_eq!(probe.terminate().0, Some(0));
    let records = std::fs::read_to_string(&path).unwrap();
    assert_eq!(metered(&records, "198.51.100.1"), (30, 30 * 128));
    assert_eq!(metered(&records, "10.1.1.10"), (20, 20 * 128));
}
