//! Two nodes with probes and pods: the metrics equal the counters of the kernel.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::{Command, Stdio};

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::missing;
use kipfix_tests::program::{self, Running};
use kipfix_tests::scrape::Scrape;
use kipfix_tests::{skip, take_turn};

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [10.99.0.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
  - {name: node-b, addresses: [10.99.0.2], podCIDRs: [10.1.2.0/24], zone: z2, region: r1}
pods:
  - {name: client-1, namespace: load, addresses: [10.1.1.10], node: node-a, workload: {kind: Deployment, name: client}}
  - {name: server-1, namespace: shop, addresses: [10.1.2.10], node: node-b, workload: {kind: Deployment, name: server}}
";

/// How pods of different nodes reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    /// Plain routes: eth0 shows the pods' addresses.
    Routed,
    /// VXLAN on port 8472, as Flannel and Cilium do: eth0 shows the nodes' addresses outside.
    Vxlan,
}

/// Two nodes joined by their eth0, a pod behind each.
struct Cluster {
    node_a: Namespace,
    node_b: Namespace,
    client: Namespace,
    server: Namespace,
}

impl Cluster {
    fn new(network: Network) -> Self {
        let cluster = Self {
            node_a: Namespace::new("a"),
            node_b: Namespace::new("b"),
            client: Namespace::new("c"),
            server: Namespace::new("s"),
        };
        netns::link((&cluster.node_a, "eth0"), (&cluster.node_b, "eth0"));
        netns::link((&cluster.client, "eth0"), (&cluster.node_a, "pod0"));
        netns::link((&cluster.server, "eth0"), (&cluster.node_b, "pod0"));
        let on = |namespace: &Namespace, line: &str| {
            netns::run(&format!("ip -n {} {line}", namespace.name()));
        };
        on(&cluster.node_a, "addr add 10.99.0.1/24 dev eth0");
        on(&cluster.node_b, "addr add 10.99.0.2/24 dev eth0");
        on(&cluster.node_a, "addr add 10.1.1.1/24 dev pod0");
        on(&cluster.node_b, "addr add 10.1.2.1/24 dev pod0");
        match network {
            Network::Routed => {
                on(&cluster.node_a, "route add 10.1.2.0/24 via 10.99.0.2");
                on(&cluster.node_b, "route add 10.1.1.0/24 via 10.99.0.1");
            }
            Network::Vxlan => {
                let vxlan = "link add vx0 type vxlan id 1 dstport 8472 dev eth0 remote";
                on(&cluster.node_a, &format!("{vxlan} 10.99.0.2"));
                on(&cluster.node_b, &format!("{vxlan} 10.99.0.1"));
                for node in [&cluster.node_a, &cluster.node_b] {
                    on(node, "link set vx0 up");
                }
                on(&cluster.node_a, "addr add 10.98.0.1/24 dev vx0");
                on(&cluster.node_b, "addr add 10.98.0.2/24 dev vx0");
                on(&cluster.node_a, "route add 10.1.2.0/24 via 10.98.0.2");
                on(&cluster.node_b, "route add 10.1.1.0/24 via 10.98.0.1");
            }
        }
        on(&cluster.client, "addr add 10.1.1.10/24 dev eth0");
        on(&cluster.server, "addr add 10.1.2.10/24 dev eth0");
        on(&cluster.client, "route add default via 10.1.1.1");
        on(&cluster.server, "route add default via 10.1.2.1");
        for node in [&cluster.node_a, &cluster.node_b] {
            node.run("sysctl -qw net.ipv4.ip_forward=1");
            for (from, to) in [("10.1.1.10", "10.1.2.10"), ("10.1.2.10", "10.1.1.10")] {
                node.run(&format!("iptables -A FORWARD -s {from} -d {to}"));
            }
        }
        cluster
    }

    /// Packets and octets that a node forwarded, client to server and back, by its own counters.
    fn kernel(node: &Namespace) -> [(u64, u64); 2] {
        let text = node.run("iptables -L FORWARD -v -n -x");
        let mut rows = text.lines().skip(2).map(|line| {
            let mut numbers = line
                .split_whitespace()
                .map(|word| word.parse().unwrap_or(0));
            (numbers.next().unwrap(), numbers.next().unwrap())
        });
        [rows.next().unwrap(), rows.next().unwrap()]
    }
}

#[test]
fn bytes_connections_and_initiator_are_those_of_the_kernel_with_two_observers() {
    two_observers(Network::Routed);
}

#[test]
fn pods_in_an_overlay_are_counted_as_the_kernel_counts_them() {
    two_observers(Network::Vxlan);
}

fn two_observers(network: Network) {
    if missing(&["iperf3", "iptables", "ip", "bash"]) {
        return;
    }
    let _turn = take_turn();
    if !netns::allowed() {
        return skip("needs root for network namespaces");
    }
    let folder = tempfile::tempdir().unwrap();
    let inventory = folder.path().join("inventory.yaml");
    std::fs::write(&inventory, INVENTORY).unwrap();
    let log = folder.path().join("flows.json");
    let cluster = Cluster::new(network);

    // The collector is on node-b: the export of node-a's probe crosses the eth0 that both probes
    // see.
    let collector = Running::start(
        cluster
            .node_b
            .ours("kipfix-collector")
            .args([
                "--listen",
                "udp://0.0.0.0:4739",
                "--kubernetes",
                "off",
                "--http",
                "0.0.0.0:8080",
            ])
            .args([
                "--observer-wait",
                "2s",
                "--flow-log",
                &format!("file:{}", log.display()),
            ])
            .arg("--inventory")
            .arg(&inventory)
            .stderr(Stdio::null()),
    );
    program::wait_for_udp(collector.pid(), 4739);
    let probe_on = |node: &Namespace, name: &str| {
        Running::start(
            node.ours("kipfix-probe")
                .args([
                    "--interface",
                    "eth0",
                    "--node-name",
                    name,
                    "--idle-timeout",
                    "2s",
                ])
                .args(["--active-timeout", "3s", "--export", "udp://10.99.0.2:4739"])
                .stderr(Stdio::null()),
        )
    };
    let probes = [
        probe_on(&cluster.node_a, "node-a"),
        probe_on(&cluster.node_b, "node-b"),
    ];
    let scrape = |node: &Namespace, port: u16, host: &str| node.scrape(&format!("{host}:{port}"));
    for node in [&cluster.node_a, &cluster.node_b] {
        node.wait_until_ready(9473);
    }

    let mut iperf = cluster.server.command("iperf3 -s");
    let server = Running::start(iperf.stdout(Stdio::null()).stderr(Stdio::null()));
    program::wait_for_tcp(server.pid(), 5201);
    cluster.client.run("iperf3 -c 10.1.2.10 -t 5");
    // 200 short connections, each with a request and the end that the server gives it.
    let mut short = Command::new("ip");
    short.args(["netns", "exec", cluster.server.name(), "python3", "-c"]);
    short.arg(
        "import socket\ns=socket.create_server(('10.1.2.10',9000),backlog=256)\n\
         for _ in range(200):\n c,_=s.accept(); c.recv(100); c.sendall(b'y'*500); c.close()",
    );
    let answering = Running::start(short.stdout(Stdio::null()).stderr(Stdio::null()));
    program::wait_for_tcp(answering.pid(), 9000);
    let mut calls = Command::new("ip");
    calls.args(["netns", "exec", cluster.client.name(), "bash", "-c"]);
    calls.arg(
        "for i in $(seq 200); do exec 3<>/dev/tcp/10.1.2.10/9000; echo hello >&3; cat <&3 >/dev/null; exec 3>&-; done",
    );
    program::output(&mut calls);
    drop(answering);

    let forward = [
        "src_workload=\"client\"",
        "dst_workload=\"server\"",
        "class=\"pod_to_pod\"",
    ];
    let back = [
        "src_workload=\"server\"",
        "dst_workload=\"client\"",
        "class=\"pod_to_pod\"",
    ];
    let octets = |scrape: &Scrape| {
        [
            scrape.sum("kipfix_bytes_total", &forward),
            scrape.sum("kipfix_bytes_total", &back),
        ]
    };
    // Until idle, lingering and active timeouts have passed, and the records are on the wire and
    // decided.
    let (mut last, mut kernel) = (Scrape::default(), Default::default());
    let mut want = [0; 2];
    program::eventually(program::PATIENCE, || {
        kernel = [&cluster.node_a, &cluster.node_b].map(Cluster::kernel);
        want = kernel[0].map(|(_, octets)| octets);
        last = scrape(&cluster.node_b, 8080, "127.0.0.1");
        octets(&last) == want && last.sum("kipfix_collector_records_pending", &[]) == 0
    });
    assert_eq!(kernel[0], kernel[1], "nothing was lost between the nodes");
    let probe_counters = || {
        [&cluster.node_a, &cluster.node_b]
            .map(|node| scrape(node, 9473, "127.0.0.1").text_without_zeros())
            .join("\n")
    };
    assert_eq!(
        octets(&last),
        want,
        "octets in the scrape and in the kernel\n{}\n{}",
        last.text_without_zeros(),
        probe_counters()
    );
    assert_eq!(last.sum("kipfix_connections_total", &forward), 202);
    assert_eq!(last.sum("kipfix_connections_total", &back), 0);
    assert_eq!(
        last.sum(
            "kipfix_node_bytes_total",
            &[
                "src_node=\"node-a\"",
                "dst_node=\"node-b\"",
                "class=\"pod_to_pod\""
            ]
        ),
        want[0]
    );
    assert_eq!(
        last.sum(
            "kipfix_zone_bytes_total",
            &["src_zone=\"z1\"", "src_workload=\"client\""]
        ),
        want[0]
    );
    // Both probes saw every packet; one counted, the other was compared.
    assert!(
        last.sum(
            "kipfix_collector_records_not_counted_total",
            &["other_observer"]
        ) >= 400
    );

    // There are no drops, and the probes do not meter their own export.
    for (node, name) in [(&cluster.node_a, "node-a"), (&cluster.node_b, "node-b")] {
        let p = scrape(node, 9473, "127.0.0.1");
        assert_eq!(
            p.sum("kipfix_probe_packets_dropped_total", &[]),
            0,
            "{name}"
        );
        assert_eq!(
            p.sum("kipfix_probe_packets_captured_total", &[]),
            p.sum("kipfix_probe_packets_metered_total", &[])
                + p.sum("kipfix_probe_packets_undecodable_total", &[])
                + p.sum("kipfix_probe_packets_own_export_total", &[])
                + p.sum("kipfix_probe_packets_duplicate_total", &[]),
            "{name}"
        );
    }
    let log_text = std::fs::read_to_string(&log).unwrap();
    let mut initiators = 0;
    for line in log_text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let port = |name: &str| record[name].as_u64().unwrap_or_default();
        if record["protocolIdentifier"] != 6 || record["counted"] != true {
            continue;
        }
        let from_client = [5201, 9000].contains(&port("destinationTransportPort"));
        assert_eq!(
            record["biflowDirection"],
            if from_client { 1 } else { 2 },
            "{record}"
        );
        assert_eq!(
            record["sourceNodeName"],
            if from_client { "node-a" } else { "node-b" },
            "{record}"
        );
        let tunnelled = record.get("tunnelSourceIPv4Address").is_some();
        assert_eq!(tunnelled, network == Network::Vxlan, "{record}");
        initiators += u64::from(from_client);
    }
    assert!(initiators >= 202);
    // The probe's own export is on the wire that both watch, and in no record of that probe.
    assert!(!log_text.lines().any(|line| {
        line.contains("\"destinationTransportPort\":4739")
            && line.contains("\"sourceIPv4Address\":\"10.99.0.1\"")
            && line.contains("\"exporter\":\"10.99.0.1\"")
    }));
    for probe in probes {
        assert_eq!(probe.terminate().0, Some(0));
    }
    assert_eq!(collector.terminate().0, Some(0));
}
