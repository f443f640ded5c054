//! Loss between two nodes, by the observations of their probes: exactly what a router between them
//! drops.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Stdio;

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::missing;
use kipfix_tests::program::{self, Running};
use kipfix_tests::take_turn;

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [10.99.1.1]}
  - {name: node-b, addresses: [10.99.2.1]}
";

/// Octets that each side of a connection sends.
const OCTETS: u64 = 20_000_000;
/// Datagrams that a side sends.
const DATAGRAMS: u64 = 2000;
/// Octets of the IP and TCP headers of a segment with data: with a timestamp, or with as many
/// options as there can be. A segment can acknowledge others selectively.
const HEADERS: RangeInclusive<u64> = 20 + 32..=20 + 60;

/// Serves connections that send and receive [`OCTETS`], and receives datagrams.
const SERVER: &str = "
import socket, sys, threading
octets = int(sys.argv[1])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('0.0.0.0', 9001))
tcp = socket.create_server(('0.0.0.0', 9000))
while True:
    connection, _ = tcp.accept()
    threading.Thread(target=connection.sendall, args=(bytes(octets),), daemon=True).start()
    while connection.recv(1 << 20): pass
    threading.Event().wait(0.1)
    connection.close()
";

/// Sends and receives [`OCTETS`] over a connection, and then datagrams.
const CLIENT: &str = "
import socket, sys, threading, time
host, octets, datagrams = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tcp = socket.create_connection((host, 9000))
sender = threading.Thread(target=tcp.sendall, args=(bytes(octets),))
sender.start()
left = octets
while left > 0: left -= len(tcp.recv(1 << 20))
sender.join()
tcp.shutdown(socket.SHUT_WR)
tcp.recv(1)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(datagrams):
    udp.sendto(b'data', (host, 9001))
    if number % 50 == 0: time.sleep(0.01)
";

/// Two nodes, and a router between them that joins nothing and splits super-packets into segments.
struct Network {
    a: Namespace,
    router: Namespace,
    b: Namespace,
}

impl Network {
    fn new() -> Self {
        let network = Self {
            a: Namespace::new("a"),
            router: Namespace::new("r"),
            b: Namespace::new("b"),
        };
        for (node, port, number) in [(&network.a, "a0", 1), (&network.b, "b0", 2)] {
            let router = &network.router;
            netns::link((node, "eth0"), (router, port));
            node.run(&format!("ip addr add 10.99.{number}.1/24 dev eth0"));
            router.run(&format!("ip addr add 10.99.{number}.254/24 dev {port}"));
            node.run(&format!("ip route add default via 10.99.{number}.254"));
            // What a node sends is captured before it is split, what it receives after some of it
            // was joined.
            node.run("ethtool -K eth0 tso on gso on gro on");
            router.run(&format!("ip link set {port} gso_max_segs 1"));
        }
        network.router.run("sysctl -qw net.ipv4.ip_forward=1");
        network
    }

    /// Drops some of the packets with data from node A to node B.
    fn drop_some(&self) {
        for (protocol, every) in [("tcp -m length --length 500:65535", 20), ("udp", 10)] {
            self.router.run(&format!(
                "iptables -A FORWARD -i a0 -p {protocol} -m statistic --mode nth --every {every} --packet 0 -j DROP"
            ));
        }
    }

    /// Packets and octets that were dropped: of TCP, of UDP.
    fn dropped(&self) -> [(u64, u64); 2] {
        let text = self.router.run("iptables -L FORWARD -v -n -x");
        let mut rows = text.lines().skip(2).map(|line| {
            let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap());
            (numbers.next().unwrap(), numbers.next().unwrap())
        });
        [(); 2].map(|()| rows.next().unwrap())
    }

    fn probe(&self, node: &Namespace, name: &str) -> Running {
        let mut command = node.ours("kipfix-probe");
        command.args(["--interface", "eth0", "--node-name", name]);
        command.args(["--idle-timeout", "2s", "--active-timeout", "3s"]);
        command.args(["--export", "udp://10.99.2.254:4739"]);
        Running::start(command.stderr(Stdio::null()))
    }

    /// What node A sends to node B, or node B to node A, and what arrives.
    fn compared(&self, [source, destination]: [&str; 2]) -> Compared {
        let scrape = self.router.scrape("127.0.0.1:8080");
        let labels = [
            format!("src_node=\"{source}\""),
            format!("dst_node=\"{destination}\""),
        ];
        let sum = |name: &str| {
            let name = format!("kipfix_loss_{name}_total");
            scrape.sum(&name, &labels.each_ref().map(String::as_str))
        };
        Compared {
            bytes: ["sent_bytes", "received_bytes"].map(sum),
            packets: ["sent_packets", "received_packets"].map(sum),
        }
    }

    /// The client on node A exchanges data with the server on node B.
    fn exchange(&self) {
        let [octets, datagrams] = [OCTETS, DATAGRAMS].map(|number| number.to_string());
        let mut client = self.a.command("python3 -c");
        client.args([CLIENT, "10.99.2.1", &octets, &datagrams]);
        program::output(&mut client);
    }

    /// The probes have captured everything.
    fn assert_no_drops(&self) {
        for node in [&self.a, &self.b] {
            let scrape = node.scrape("127.0.0.1:9473");
            assert_eq!(scrape.sum("kipfix_probe_packets_dropped_total", &[]), 0);
        }
    }
}

/// Octets of IP packets of TCP from node A to node B, as each node observed them.
fn ip_octets(log: &Path) -> [u64; 2] {
    let mut sums = [0; 2];
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        if record["protocolIdentifier"] == 6 && record["sourceIPv4Address"] == "10.99.1.1" {
            let is_a = record["exporter"] == "10.99.1.1";
            sums[usize::from(!is_a)] += record["octetDeltaCount"].as_u64().unwrap();
        }
    }
    sums
}

/// What was sent, and what was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Compared {
    /// Of TCP.
    bytes: [u64; 2],
    /// Of other protocols.
    packets: [u64; 2],
}

impl Compared {
    fn minus(self, earlier: Self) -> Self {
        let minus = |[a, b]: [u64; 2], [c, d]: [u64; 2]| [a - c, b - d];
        Self {
            bytes: minus(self.bytes, earlier.bytes),
            packets: minus(self.packets, earlier.packets),
        }
    }
}

const FORWARD: [&str; 2] = ["node-a", "node-b"];
const REVERSE: [&str; 2] = ["node-b", "node-a"];

#[test]
fn what_is_lost_between_two_nodes_is_what_a_router_drops() {
    if missing(&["ip", "iptables", "ethtool", "python3"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let network = Network::new();
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("inventory.yaml");
    std::fs::write(&inventory, INVENTORY).unwrap();
    let mut collector = network.router.ours("kipfix-collector");
    collector.args(["--listen", "udp://0.0.0.0:4739", "--kubernetes", "off"]);
    collector.args(["--http", "127.0.0.1:8080", "--preset", "loss"]);
    let log = folder.path().join("flows.json");
    collector.arg("--inventory").arg(&inventory);
    collector.args(["--flow-log", &format!("file:{}", log.display())]);
    let collector = Running::start(collector.stderr(Stdio::null()));
    program::wait_for_udp(collector.pid(), 4739);
    let probes = [(&network.a, "node-a"), (&network.b, "node-b")]
        .map(|(node, name)| network.probe(node, name));
    for node in [&network.a, &network.b] {
        node.wait_until_ready(9473);
    }
    let are_observed = || {
        let scrape = network.router.scrape("127.0.0.1:8080");
        scrape.sum("kipfix_collector_observed_nodes", &[]) == 2
    };
    assert!(program::eventually(program::PATIENCE, are_observed));
    let mut server = network.b.command("python3 -c");
    let server = server.args([SERVER, &OCTETS.to_string()]);
    let server = Running::start(server.stdout(Stdio::null()));
    program::wait_for_tcp(server.pid(), 9000);

    // Nothing is lost: the same payload, in different packets.
    network.exchange();
    let (mut there, mut back) = Default::default();
    let is_complete = || {
        (there, back) = (network.compared(FORWARD), network.compared(REVERSE));
        // More than once, if a sender is impatient.
        let is_equal = |[sent, received]: [u64; 2]| sent == received && received >= OCTETS;
        is_equal(there.bytes) && is_equal(back.bytes) && there.packets == [DATAGRAMS; 2]
    };
    let is_complete = program::eventually(program::PATIENCE, is_complete);
    assert!(is_complete, "{there:?} {back:?}");
    network.assert_no_drops();
    let [octets_a, octets_b] = ip_octets(&log);
    assert!(
        octets_a > OCTETS && octets_b > octets_a + OCTETS / 100,
        "{octets_a} {octets_b}"
    );

    // The router drops packets, which the sender sends again.
    network.drop_some();
    network.exchange();
    let (mut lost, mut dropped) = (Compared::default(), Default::default());
    let is_exact = || {
        dropped = network.dropped();
        lost = network.compared(FORWARD).minus(there);
        let [(tcp_packets, tcp_octets), (udp_packets, _)] = dropped;
        let [sent, received] = lost.bytes;
        // Until both probes have exported, more can be sent than is received and dropped.
        let headers = (received + tcp_octets).checked_sub(sent);
        let expected = tcp_packets * HEADERS.start()..=tcp_packets * HEADERS.end();
        received >= OCTETS
            && headers.is_some_and(|octets| expected.contains(&octets))
            && lost.packets == [DATAGRAMS, DATAGRAMS - udp_packets]
    };
    let is_exact = program::eventually(program::PATIENCE, is_exact);
    assert!(is_exact, "{lost:?} {dropped:?}");
    network.assert_no_drops();
    let [(tcp_packets, _), (udp_packets, _)] = dropped;
    eprintln!("IP octets {octets_a} {octets_b}, {there:?}, then {lost:?}, dropped {dropped:?}");
    assert!(tcp_packets > 10 && udp_packets == DATAGRAMS / 10);
    for running in probes.into_iter().chain([collector]) {
        assert_eq!(running.terminate().0, Some(0));
    }
}
