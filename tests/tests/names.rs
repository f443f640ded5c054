//! External peers have the names by which pods reach them: resolved by the C library, requested by
//! curl and OpenSSL, through the masquerade of the node.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::path::Path;
use std::process::{Command, Stdio};

use kipfix_tests::certificates::Certificates;
use kipfix_tests::netns::{self, Namespace, Resolver};
use kipfix_tests::peers::missing;
use kipfix_tests::program::{self, Running};
use kipfix_tests::take_turn;
use serde_json::Value;

/// A DNS server: every name is an alias of another one, which has the address of the server.
const DNS_SERVER: &str = "
import socket, sys
address = sys.argv[1]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 53))
while True:
    query, client = server.recvfrom(2000)
    end = 12
    while query[end]:
        end += 1 + query[end]
    question = query[12:end + 5]
    is_v4 = question[-4:-2] == b'\\x00\\x01'
    answer = query[:2] + b'\\x81\\x80\\x00\\x01' + (b'\\x00\\x02' if is_v4 else b'\\x00\\x00') + bytes(4)
    answer += question
    if is_v4:
        alias = b'\\x04edge\\xc0\\x0c'
        answer += b'\\xc0\\x0c\\x00\\x05\\x00\\x01' + bytes([0, 0, 0, 60, 0, len(alias)]) + alias
        owner = bytes([0xc0, len(answer) - len(alias)])
        answer += owner + b'\\x00\\x01\\x00\\x01' + bytes([0, 0, 0, 60, 0, 4]) + socket.inet_aton(address)
    server.sendto(answer, client)
";

/// Accepts connections to a port and answers each.
const SERVER: &str = "
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    connection, _ = server.accept()
    connection.recv(2000)
    connection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok')
    connection.close()
";

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [198.51.100.1], podCIDRs: [10.1.1.0/24]}
pods:
  - {name: client-1, namespace: shop, addresses: [10.1.1.11], node: node-a, workload: {kind: Deployment, name: client}}
";

const REMOTE: &str = "198.51.100.2";

/// A node that masquerades its pod, and a remote host.
struct Cluster {
    pod: Namespace,
    node: Namespace,
    remote: Namespace,
}

impl Cluster {
    fn start() -> Self {
        let cluster = Self {
            pod: Namespace::new("pod"),
            node: Namespace::new("node"),
            remote: Namespace::new("remote"),
        };
        netns::link((&cluster.pod, "eth0"), (&cluster.node, "veth1"));
        netns::link((&cluster.node, "eth0"), (&cluster.remote, "eth0"));
        for (namespace, lines) in [
            (
                &cluster.node,
                &[
                    "addr add 10.1.1.1/24 dev veth1",
                    "addr add 198.51.100.1/24 dev eth0",
                    "route add default via 198.51.100.2",
                ][..],
            ),
            (
                &cluster.pod,
                &[
                    "addr add 10.1.1.11/24 dev eth0",
                    "route add default via 10.1.1.1",
                    // Each segment is a packet of its own.
                    "link set eth0 gso_max_segs 1",
                ],
            ),
            (&cluster.remote, &["addr add 198.51.100.2/24 dev eth0"]),
        ] {
            for line in lines {
                netns::run(&format!("ip -n {} {line}", namespace.name()));
            }
        }
        cluster.node.run("sysctl -qw net.ipv4.ip_forward=1");
        let masquerade = "-t nat -A POSTROUTING -s 10.1.1.0/24 ! -d 10.1.1.0/24 -j MASQUERADE";
        cluster.node.run(&format!("iptables -w {masquerade}"));
        cluster
    }

    /// Servers of DNS, HTTPS, HTTP, and of a protocol without names.
    fn serve(&self, certificates: &Path) -> Vec<Running> {
        let python = |script: &str, arguments: &[&str]| {
            let mut command = self.remote.command("python3 -c");
            command.arg(script).args(arguments).stdin(Stdio::null());
            Running::start(&mut command)
        };
        let mut tls = self.remote.command("openssl s_server -www -quiet");
        tls.args(["-accept", &format!("{REMOTE}:443")])
            .args([
                "-cert",
                &certificates.join("server.crt").display().to_string(),
            ])
            .args([
                "-key",
                &certificates.join("server.key").display().to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let servers = vec![
            python(DNS_SERVER, &[REMOTE]),
            python(SERVER, &[REMOTE, "80"]),
            python(SERVER, &[REMOTE, "5432"]),
            Running::start(&mut tls),
        ];
        program::wait_for_udp(servers[0].pid(), 53);
        for (server, port) in servers.iter().skip(1).zip([80, 5432, 443]) {
            program::wait_for_tcp(server.pid(), port);
        }
        servers
    }

    fn client(&self, program: &str, arguments: &[&str]) {
        let mut command: Command = self.pod.command(program);
        program::output(command.args(arguments).stdin(Stdio::null()));
    }
}

#[test]
fn external_peers_have_the_names_by_which_a_pod_reaches_them() {
    if missing(&["ip", "iptables", "python3", "openssl", "curl"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("inventory.yaml");
    std::fs::write(&inventory, INVENTORY).unwrap();
    let log = folder.path().join("flows.json");
    let certificates = Certificates::new();
    let cluster = Cluster::start();
    let _resolver = Resolver::new(&cluster.pod, REMOTE);
    let _servers = cluster.serve(&certificates.path(""));
    let collector = Running::start(
        cluster
            .node
            .ours("kipfix-collector")
            .args(["--listen", "udp://127.0.0.1:4739", "--kubernetes", "off"])
            .args(["--http", "127.0.0.1:8080", "--preset", "external"])
            .args(["--host-wildcard", "*.storage.test"])
            .args(["--flow-log", &format!("file:{}", log.display())])
            .arg("--inventory")
            .arg(&inventory)
            .stderr(Stdio::null()),
    );
    program::wait_for_udp(collector.pid(), 4739);
    let probe = Running::start(
        cluster
            .node
            .ours("kipfix-probe")
            .args(["--interface", "eth0", "--node-name", "node-a"])
            .args(["--idle-timeout", "1s", "--export", "udp://127.0.0.1:4739"])
            .stderr(Stdio::null()),
    );
    cluster.node.wait_until_ready(9473);

    let curl = |url: &str| cluster.client("curl", &["-sk", "--max-time", "10", url]);
    curl("https://api.example.test/");
    curl("https://bucket-1.storage.test/");
    curl("http://www.example.test/");
    let connect = "import socket; c = socket.create_connection(('db.example.test', 5432)); \
                   c.sendall(b'x'); c.recv(1000)";
    cluster.client("python3", &["-c", connect]);
    // A hello of two segments, the name in the second one or the first.
    let protocols: Vec<String> = (0..200).map(|n| format!("protocol-{n:03}")).collect();
    let server = format!("{REMOTE}:443");
    let large = [
        "s_client",
        "-connect",
        &server,
        "-servername",
        "large.example.test",
        "-alpn",
        &protocols.join(","),
    ];
    cluster.client("openssl", &large);

    let wanted = [
        ("api.example.test", 443),
        ("bucket-1.storage.test", 443),
        ("large.example.test", 443),
        ("www.example.test", 80),
        ("db.example.test", 5432),
    ];
    let mut records: Vec<Value> = Vec::new();
    let is_logged = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        records = lines.collect();
        wanted.iter().all(|(name, port)| {
            let is_request = |r: &&Value| {
                r["destinationName"] == *name
                    && r["destinationTransportPort"] == *port
                    && r["sourcePodName"] == "client-1"
                    && r["trafficClass"] == "pod_to_external"
                    && r["counted"] == true
            };
            let is_answer = |r: &&Value| {
                r["sourceName"] == *name
                    && r["sourceTransportPort"] == *port
                    && r["destinationPodName"] == "client-1"
            };
            records.iter().any(|r| is_request(&r)) && records.iter().any(|r| is_answer(&r))
        })
    };
    let is_complete = program::eventually(program::PATIENCE, is_logged);
    assert!(is_complete, "{records:#?}");
    for (member, name) in [
        ("SSL_SERVER_NAME", "large.example.test"),
        ("httpRequestHost", "www.example.test"),
        ("responderDnsName", "db.example.test"),
    ] {
        let has = records.iter().any(|record| record[member] == name);
        assert!(has, "{member} {name}");
    }
    let scrape = |port: u16| cluster.node.scrape(&format!("127.0.0.1:{port}"));
    let bytes = scrape(8080);
    for name in ["api.example.test", "db.example.test", "*.storage.test"] {
        let labels = [&format!("name=\"{name}\"")[..], "workload=\"client\""];
        let family = "kipfix_external_bytes_total";
        let egress = [&labels[..], &["direction=\"egress\""]].concat();
        assert!(bytes.sum(family, &egress) > 100, "{name}");
    }
    assert_eq!(bytes.sum("kipfix_external_bytes_total", &["bucket-1"]), 0);
    let counts = scrape(9473);
    let count = |name: &str| counts.sum(&format!("kipfix_probe_{name}"), &[]);
    assert!(count("names_learned_total") >= 4);
    assert!(count("dns_answers_total") >= 4);
    assert_eq!(count("tls_hellos_incomplete_total"), 0);
    assert_eq!(count("packets_dropped_total"), 0);
    assert_eq!(probe.terminate().0, Some(0));
    assert_eq!(collector.terminate().0, Some(0));
}
