//! Connections that a node translates are attributed to pods: by a probe that may capture and
//! nothing else, and by one that may read the connection table of the kernel.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::missing;
use kipfix_tests::program::{self, Running};
use kipfix_tests::take_turn;
use serde_json::Value;

/// Answers connections to TCP port 8080 and datagrams to UDP port 5300, and prints their sources.
const SERVER: &str = "
import selectors, socket, sys
selector = selectors.DefaultSelector()
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
tcp = socket.socket(family, socket.SOCK_STREAM)
tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
tcp.bind((sys.argv[1], 8080))
tcp.listen(512)
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 5300))
for s in tcp, udp:
    selector.register(s, selectors.EVENT_READ)
print('ready', flush=True)
while True:
    for key, _ in selector.select():
        if key.fileobj is udp:
            data, peer = udp.recvfrom(2000)
            udp.sendto(data, peer)
        else:
            connection, peer = tcp.accept()
            connection.recv(100)
            connection.sendall(b'answer')
            connection.close()
        print('udp' if key.fileobj is udp else 'tcp', peer[0], peer[1], flush=True)
";

/// Opens connections and sends datagrams, each from a source port of its own.
const CLIENT: &str = "
import random, socket, sys
source, destination, tcp_port, udp_port, first, count = sys.argv[1:]
family = socket.AF_INET6 if ':' in source else socket.AF_INET
for port in range(int(first), int(first) + int(count)):
    tcp = socket.socket(family, socket.SOCK_STREAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((source, port))
    tcp.connect((destination, int(tcp_port)))
    tcp.sendall(b'request')
    while tcp.recv(100):
        pass
    tcp.close()
    if int(udp_port):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.settimeout(5)
        udp.bind((source, port))
        udp.connect((destination, int(udp_port)))
        udp.send(random.randbytes(40))
        udp.recv(2000)
        udp.close()
";

const COUNT: u16 = 60;
const POD: &str = "10.1.1.11";
const POD_V6: &str = "fd00:1::11";
const NODE: &str = "198.51.100.1";
const NODE_V6: &str = "2001:db8::1";
const REMOTE: &str = "198.51.100.2";
const REMOTE_V6: &str = "2001:db8::2";
const SERVICE: &str = "10.96.0.10";

/// A node with a pod on a bridge, and a remote host.
struct Cluster {
    pod: Namespace,
    node: Namespace,
    remote: Namespace,
}

impl Cluster {
    /// `iptables` and `ip6tables` are the programs of one backend.
    fn start(iptables: &str, ip6tables: &str) -> Self {
        let cluster = Self::without_pod(iptables, ip6tables);
        cluster.add_pod();
        cluster
    }

    /// The pod has no link.
    fn without_pod(iptables: &str, ip6tables: &str) -> Self {
        let (pod, node, remote) = (
            Namespace::new("pod"),
            Namespace::new("node"),
            Namespace::new("remote"),
        );
        netns::link((&node, "eth0"), (&remote, "eth0"));
        configure(
            &node,
            &[
                "addr add 198.51.100.1/24 dev eth0",
                "addr add 2001:db8::1/64 dev eth0 nodad",
                "route add default via 198.51.100.2",
            ],
        );
        configure(
            &remote,
            &[
                "addr add 198.51.100.2/24 dev eth0",
                "addr add 2001:db8::2/64 dev eth0 nodad",
            ],
        );
        node.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        for rule in [
            "POSTROUTING -s 10.1.1.0/24 ! -d 10.1.1.0/24 -j MASQUERADE --random-fully",
            "PREROUTING -d 10.96.0.10 -p tcp --dport 80 -j DNAT --to-destination 198.51.100.2:8080",
            "PREROUTING -d 10.96.0.10 -p udp --dport 53 -j DNAT --to-destination 198.51.100.2:5300",
            "PREROUTING -i eth0 -p tcp --dport 30080 -j DNAT --to-destination 10.1.1.11:8080",
        ] {
            node.run(&format!("{iptables} -w -t nat -A {rule}"));
        }
        let masquerade = "POSTROUTING -s fd00:1::/64 ! -d fd00:1::/64 -j MASQUERADE";
        node.run(&format!("{ip6tables} -w -t nat -A {masquerade}"));
        Self { pod, node, remote }
    }

    fn add_pod(&self) {
        netns::link((&self.pod, "eth0"), (&self.node, "veth1"));
        configure(
            &self.node,
            &[
                "link add cni0 type bridge",
                "link set cni0 up",
                "link set veth1 master cni0",
                "addr add 10.1.1.1/24 dev cni0",
                "addr add fd00:1::1/64 dev cni0 nodad",
            ],
        );
        configure(
            &self.pod,
            &[
                "addr add 10.1.1.11/24 dev eth0",
                "addr add fd00:1::11/64 dev eth0 nodad",
                "route add default via 10.1.1.1",
                "route add default via fd00:1::1",
            ],
        );
    }
}

/// Runs lines of ip(8).
fn configure(namespace: &Namespace, lines: &[&str]) {
    for line in lines {
        netns::run(&format!("ip -n {} {line}", namespace.name()));
    }
}

fn python(namespace: &Namespace, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace.name(), "python3", "-c", script]);
    command.args(arguments);
    command
}

/// An address and a port.
type End = (String, u64);

/// An address and a port in a record.
fn end(record: &Value, address: &str, port: &str) -> End {
    let value =
        ["IPv4Address", "IPv6Address"].map(|suffix| record[format!("{address}{suffix}")].as_str());
    let value = value.into_iter().flatten().next().unwrap_or_default();
    (value.to_owned(), record[port].as_u64().unwrap_or_default())
}

/// The records of requests and answers, by protocol and by source and destination before
/// translation.
struct Requests(HashMap<(u64, End, End), Vec<Value>>);

impl Requests {
    fn read(text: &str) -> Self {
        let mut requests = HashMap::<_, Vec<_>>::new();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let key = (
                record["protocolIdentifier"].as_u64().unwrap(),
                end(&record, "source", "sourceTransportPort"),
                end(&record, "destination", "destinationTransportPort"),
            );
            requests.entry(key).or_default().push(record);
        }
        Self(requests)
    }

    /// Records of TCP and UDP without a translation: the other side of a connection, counted twice.
    fn untranslated(&self) -> Vec<&Value> {
        let of_ports = self
            .0
            .iter()
            .filter(|((protocol, ..), _)| [6, 17].contains(protocol));
        let records = of_ports.flat_map(|(_, records)| records);
        let is_untranslated = |record: &&Value| record["postNAPTSourceTransportPort"].is_null();
        records.filter(is_untranslated).collect()
    }

    /// The source and destination after translation of a conversation. It must have one record and
    /// one connection, of one packet if it is a datagram.
    fn translated(&self, protocol: u64, source: (&str, u16), destination: (&str, u16)) -> [End; 2] {
        let named = |end: (&str, u16)| (end.0.to_owned(), u64::from(end.1));
        let key = (protocol, named(source), named(destination));
        let Some([record]) = self.0.get(&key).map(Vec::as_slice) else {
            panic!("{key:?} has no record, or several: {:?}", self.0.get(&key));
        };
        assert_eq!(record["newConnectionDeltaCount"], 1, "{record}");
        assert!(protocol == 6 || record["packetDeltaCount"] == 1, "{record}");
        [
            end(record, "postNATSource", "postNAPTSourceTransportPort"),
            end(
                record,
                "postNATDestination",
                "postNAPTDestinationTransportPort",
            ),
        ]
    }
}

/// Where the probe has translations from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learning {
    FirstPackets,
    Conntrack,
}

/// Traffic of all kinds, with a probe on these interfaces of the node.
fn meter(cluster: &Cluster, interfaces: &[&str], learning: Learning) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let served = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let mut servers = Vec::new();
    for (namespace, address) in [
        (&cluster.remote, REMOTE),
        (&cluster.remote, REMOTE_V6),
        (&cluster.pod, POD),
    ] {
        let output = File::create(path(address)).unwrap();
        servers.push(Running::start(
            python(namespace, SERVER, &[address]).stdout(output),
        ));
        let is_ready = || served(address).contains("ready");
        assert!(program::eventually(program::PATIENCE, is_ready));
    }
    let mut probe = cluster.node.command("setpriv");
    // Root without any other capability.
    let capabilities = match learning {
        Learning::FirstPackets => "-all,+net_raw",
        Learning::Conntrack => "-all,+net_raw,+net_admin",
    };
    probe.arg(format!("--bounding-set={capabilities}"));
    probe.arg(format!("--inh-caps={capabilities}"));
    probe.arg(program::binary("kipfix-probe"));
    if learning == Learning::Conntrack {
        probe.arg("--conntrack");
    }
    for interface in interfaces {
        probe.args(["--interface", interface]);
    }
    let probe = Running::start(
        probe
            .args(["--export", "stdout:", "--idle-timeout", "1s"])
            .stdout(File::create(path("records")).unwrap())
            .stderr(Stdio::null()),
    );
    cluster.node.wait_until_ready(9473);
    // Datagrams are conversations of the initiator only if the start was observed.
    std::thread::sleep(Duration::from_millis(1500));
    let count = COUNT.to_string();
    let send = |namespace: &Namespace, arguments: [&str; 5]| {
        let arguments = [&arguments[..], &[count.as_str()]].concat();
        program::output(&mut python(namespace, CLIENT, &arguments));
    };
    send(&cluster.pod, [POD, REMOTE, "8080", "5300", "20000"]);
    send(&cluster.pod, [POD_V6, REMOTE_V6, "8080", "5300", "20000"]);
    send(&cluster.pod, [POD, SERVICE, "80", "53", "21000"]);
    send(&cluster.remote, [REMOTE, NODE, "30080", "0", "22000"]);
    assert_eq!(probe.terminate().0, Some(0));

    let requests = Requests::read(&served("records"));
    assert_eq!(requests.untranslated(), Vec::<&Value>::new());
    let wire: HashSet<String> = [REMOTE, REMOTE_V6]
        .iter()
        .flat_map(|name| served(name).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let is_on_wire =
        |protocol: &str, end: &End| wire.contains(&format!("{protocol} {} {}", end.0, end.1));
    for (protocol, number, port) in [("tcp", 6, 8080), ("udp", 17, 5300)] {
        for source_port in 20_000..20_000 + COUNT {
            for (pod, node, remote) in [(POD, NODE, REMOTE), (POD_V6, NODE_V6, REMOTE_V6)] {
                let ends = requests.translated(number, (pod, source_port), (remote, port));
                assert_eq!(ends[0].0, node);
                assert!(is_on_wire(protocol, &ends[0]), "{protocol} {ends:?}");
                assert_eq!(ends[1], (remote.to_owned(), port.into()));
            }
        }
    }
    for (protocol, number, ports) in [("tcp", 6, (80, 8080)), ("udp", 17, (53, 5300))] {
        for source_port in 21_000..21_000 + COUNT {
            let ends = requests.translated(number, (POD, source_port), (SERVICE, ports.0));
            assert!(is_on_wire(protocol, &ends[0]), "{protocol} {ends:?}");
            assert_eq!(ends[1], (REMOTE.to_owned(), ports.1), "{protocol}");
        }
    }
    for source_port in 22_000..22_000 + COUNT {
        let ends = requests.translated(6, (REMOTE, source_port), (NODE, 30080));
        assert_eq!(ends[0], (REMOTE.to_owned(), source_port.into()));
        assert_eq!(ends[1], (POD.to_owned(), 8080));
    }
}

fn run(iptables: &str, ip6tables: &str) {
    if missing(&["ip", "python3", "setpriv", iptables, ip6tables]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    for learning in [Learning::FirstPackets, Learning::Conntrack] {
        for interfaces in [&["eth0"][..], &["eth0", "cni0"]] {
            meter(&Cluster::start(iptables, ip6tables), interfaces, learning);
        }
    }
}

#[test]
fn connections_that_nftables_translates_have_the_pod_and_count_once() {
    run("iptables-nft", "ip6tables-nft");
}

#[test]
fn connections_that_iptables_translates_have_the_pod_and_count_once() {
    run("iptables-legacy", "ip6tables-legacy");
}

#[test]
fn a_pod_that_starts_after_the_probe_is_recognized() {
    if missing(&["ip", "python3", "iptables-nft", "ip6tables-nft"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let cluster = Cluster::without_pod("iptables-nft", "ip6tables-nft");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let has = |name: &str, text: &str| {
        let is_there = || std::fs::read_to_string(path(name)).is_ok_and(|all| all.contains(text));
        program::eventually(program::PATIENCE, is_there)
    };
    let output = File::create(path("served")).unwrap();
    let _server = Running::start(python(&cluster.remote, SERVER, &[REMOTE]).stdout(output));
    assert!(has("served", "ready"));
    let mut probe = cluster.node.ours("kipfix-probe");
    probe.args(["--interface", "eth0", "--export", "stdout:"]);
    probe.stdout(File::create(path("records")).unwrap());
    probe.stderr(File::create(path("log")).unwrap());
    let probe = Running::start(&mut probe);
    assert!(has("log", "probe started"));
    cluster.add_pod();
    assert!(has("log", "first packets are captured"));
    let count = COUNT.to_string();
    let arguments = [POD, REMOTE, "8080", "0", "20000", &count];
    program::output(&mut python(&cluster.pod, CLIENT, &arguments));
    assert_eq!(probe.terminate().0, Some(0));
    let requests = Requests::read(&std::fs::read_to_string(path("records")).unwrap());
    for source_port in 20_000..20_000 + COUNT {
        let ends = requests.translated(6, (POD, source_port), (REMOTE, 8080));
        assert_eq!(ends[0].0, NODE);
    }
}
