//! Several metering threads on one interface.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Stdio;

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::missing;
use kipfix_tests::program::{self, Running};
use kipfix_tests::take_turn;
use serde_json::Value;

const THREADS: usize = 3;
const ADMIN: &str = "127.0.0.1:9473";
/// Addresses of clients, and what each of them sends.
const CLIENTS: u64 = 32;
const CONNECTIONS: u64 = 4;
const DATAGRAMS: u64 = 25;

/// Answers connections.
const SERVER: &str = "
import socket
s = socket.create_server(('192.0.2.1', 9000), backlog=64)
while True:
    c, _ = s.accept()
    c.recv(100)
    c.sendall(b'answer')
    c.close()
";

/// Connects and sends datagrams from every address.
const CLIENT: &str = "
import socket, time
for host in range(100, 132):
    address = ('192.0.2.%d' % host, 0)
    for _ in range(4):
        c = socket.create_connection(('192.0.2.1', 9000), source_address=address)
        c.sendall(b'request')
        while c.recv(100):
            pass
        c.close()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(address)
    for _ in range(25):
        s.sendto(b'datagram', ('192.0.2.1', 9))
        time.sleep(0.0005)
";

fn number(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap_or_default()
}

#[test]
fn threads_meter_every_packet_once_and_both_directions_together() {
    if missing(&["ip", "python3"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let (node, peer) = (Namespace::new("thnode"), Namespace::new("thpeer"));
    netns::link((&node, "eth0"), (&peer, "eth0"));
    netns::run(&format!(
        "ip -n {} addr add 192.0.2.1/24 dev eth0",
        node.name()
    ));
    for host in 100..100 + CLIENTS {
        netns::run(&format!(
            "ip -n {} addr add 192.0.2.{host}/24 dev eth0",
            peer.name()
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    let (records, log) = (folder.path().join("records"), folder.path().join("log"));
    let probe = Running::start(
        node.ours("kipfix-probe")
            .args(["--interface", "eth0", "--export", "stdout:"])
            .args(["--threads", &THREADS.to_string(), "--admin", ADMIN])
            .args(["--active-timeout", "1h", "--log-format", "json"])
            .stdout(File::create(&records).unwrap())
            .stderr(File::create(&log).unwrap()),
    );
    let scrape = || node.scrape(ADMIN);
    node.wait_until_ready(9473);
    assert_eq!(scrape().sum("kipfix_probe_interfaces", &[]), 1);
    let mut server = node.command("python3 -c");
    let server = Running::start(server.arg(SERVER).stderr(Stdio::null()));
    program::wait_for_tcp(server.pid(), 9000);
    let client = Running::start(peer.command("python3 -c").arg(CLIENT));
    assert_eq!(client.wait(program::PATIENCE).0, Some(0));
    let is_metered = || {
        let metrics = scrape();
        let packets = metrics.sum("kipfix_probe_packets_metered_total", &[]);
        packets >= CLIENTS * (DATAGRAMS + CONNECTIONS * 8)
    };
    assert!(program::eventually(program::PATIENCE, is_metered));
    assert_eq!(probe.terminate().0, Some(0));

    let text = std::fs::read_to_string(&records).unwrap();
    let records: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sum = |name: &str, wanted: &dyn Fn(&Value) -> bool| -> u64 {
        let of = records.iter().filter(|record| wanted(record));
        of.map(|record| number(record, name)).sum()
    };
    let is_datagram = |record: &Value| number(record, "destinationTransportPort") == 9;
    assert_eq!(sum("packetDeltaCount", &is_datagram), CLIENTS * DATAGRAMS);
    let octets = 20 + 8 + "datagram".len() as u64;
    let expected = CLIENTS * DATAGRAMS * octets;
    assert_eq!(sum("octetDeltaCount", &is_datagram), expected);
    let is_request = |record: &Value| number(record, "destinationTransportPort") == 9000;
    let connections = sum("newConnectionDeltaCount", &is_request);
    assert_eq!(connections, CLIENTS * CONNECTIONS);
    for record in &records {
        let from_server = number(record, "sourceTransportPort") == 9000;
        if from_server || is_request(record) {
            // A thread that sees one direction only would not know it.
            let direction = if from_server { 2 } else { 1 };
            assert_eq!(record["biflowDirection"], direction, "{record}");
        }
    }

    // Every thread has metered its part, and the parts are the whole.
    let log = std::fs::read_to_string(&log).unwrap();
    let mut frames = BTreeMap::new();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["frames"].is_u64() {
            assert_eq!(line["frames"], number(&line, "metered"), "{line}");
            frames.insert(number(&line, "thread"), number(&line, "frames"));
        }
    }
    assert_eq!(frames.len(), THREADS, "{log}");
    assert!(frames.values().all(|count| *count > 100), "{frames:?}");
    let metered = records.iter().map(|r| number(r, "packetDeltaCount"));
    assert_eq!(frames.values().sum::<u64>(), metered.sum::<u64>());
}
