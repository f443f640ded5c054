//! Interfaces that come and go while the probe captures others.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::HashMap;
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

/// The CPU time of each thread of a process by its name, in clock ticks.
fn thread_ticks(pid: u32) -> HashMap<String, u64> {
    let mut ticks = HashMap::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
        // The name is in parentheses; the 14th and 15th fields are user and system time.
        let Some((name, rest)) = stat.split_once(") ") else {
            continue;
        };
        let name = name.split_once('(').unwrap().1.to_owned();
        let times = rest.split(' ').skip(11).take(2);
        let times = times.map(|text| text.parse::<u64>().unwrap());
        *ticks.entry(name).or_default() += times.sum::<u64>();
    }
    ticks
}

#[test]
fn the_routes_of_a_full_table_are_not_read_by_the_metering_thread() {
    if missing(&["ip"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let (node, peer) = (Namespace::new("routes"), Namespace::new("router"));
    netns::link((&node, "uplink0"), (&peer, "eth0"));
    let on_node = |line: &str| netns::run(&format!("ip -n {} {line}", node.name()));
    on_node("addr add 192.0.2.1/24 dev uplink0");
    on_node("route add default via 192.0.2.2");
    let all =
        (0..=u16::MAX).map(|at| format!("route add blackhole 10.{}.{}.0/24\n", at >> 8, at & 255));
    let mut batch = node.command("ip -batch -");
    let output = program::feed(&mut batch, &all.collect::<String>());
    assert!(output.status.success(), "{output:?}");

    let mut probe = node.ours("kipfix-probe");
    // Without --interface, those with a default route are captured.
    let probe = probe.args(["--export", "stdout:", "--admin", ADMIN]);
    let probe = Running::start(probe.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for(&node, 1);
    let before = thread_ticks(probe.pid());
    let ticks = || {
        let mut ticks = thread_ticks(probe.pid());
        for (name, count) in &mut ticks {
            *count = count.saturating_sub(*before.get(name).unwrap_or(&0));
        }
        let scanning = ticks.remove("interfaces").unwrap_or_default();
        (scanning, ticks)
    };
    // Changes of the routes start scans.
    let scanned = || {
        on_node("route add blackhole 172.16.0.0/24");
        on_node("route del blackhole 172.16.0.0/24");
        ticks().0 >= 40
    };
    assert!(
        program::eventually(program::PATIENCE, scanned),
        "{:?}",
        ticks()
    );
    let (scanning, others) = ticks();
    let others: u64 = others.values().sum();
    assert!(others * 2 < scanning, "{scanning} {:?}", ticks());
    assert_eq!(probe.terminate().0, Some(0));
}
