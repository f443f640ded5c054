//! What people already run, on either side.

use std::process::Stdio;

use kipfix_tests::nodes::Nodes;
use kipfix_tests::program::{self, Running, wait_for_udp};
use kipfix_tests::prometheus::Prometheus;

use crate::release::Release;
use crate::shop::{Shop, call, pod_address, workload};

/// The chart's recipe for exporters on the nodes, as values.
const RECIPE: [&str; 4] = [
    "probe.enabled=false",
    "collector.exporters={\"type\": \"NodePort\", \"externalTrafficPolicy\": \"Cluster\", \"nodePorts\": {\"ipfix\": 30739, \"netflow\": 30055}}",
    "collector.settings={\"connections_from_flows\": true}",
    "collector.drainSeconds=0",
];

pub fn third_parties_export_to_kipfix(nodes: &Nodes) {
    let shop = [
        workload("client", 1, 7000, false),
        workload("far", 2, 7000, false),
    ];
    let _shop = Shop::open(nodes, &shop.concat());
    let release = Release::install(nodes, "kipfix", &RECIPE);
    let prometheus = Prometheus::by_annotations(nodes);
    let port = format!("{}:30739", nodes.address(1));
    let folder = tempfile::tempdir().unwrap();

    // softflowd meters node1's eth0, pmacctd node2's: each direction counts at the node where it
    // begins.
    let mut softflowd = nodes.inside("node1", "softflowd");
    softflowd
        .args(["-d", "-i", "eth0", "-v", "10", "-n", &port])
        .args([
            "-t",
            "maxlife=5",
            "-t",
            "expint=1",
            "-t",
            "general=3",
            "-t",
            "tcp=3",
            "-t",
            "udp=3",
        ])
        .args(["-t", "tcp.rst=1", "-t", "tcp.fin=1"])
        .arg("-p")
        .arg(folder.path().join("softflowd.pid"))
        .arg("-c")
        .arg(folder.path().join("softflowd.ctl"))
        .args(["ip"]);
    let quiet = |command: &mut std::process::Command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running::start(command)
    };
    let softflowd = quiet(&mut softflowd);
    let settings = folder.path().join("pmacctd.conf");
    let lines = [
        "daemonize: false",
        "pcap_interface: eth0",
        "plugins: nfprobe[it]",
        "aggregate[it]: src_host, dst_host, src_port, dst_port, proto, tos",
        &format!("nfprobe_receiver[it]: {port}"),
        "nfprobe_version[it]: 10",
        "nfprobe_timeouts[it]: tcp=3:tcp.rst=1:tcp.fin=1:udp=3:general=3:maxlife=5:expint=1",
    ];
    std::fs::write(&settings, lines.join("\n")).unwrap();
    let mut pmacctd = nodes.inside("node2", "pmacctd");
    let pmacctd = quiet(pmacctd.arg("-f").arg(&settings));
    for exporter in [&softflowd, &pmacctd] {
        program::wait_for_capture(exporter.pid());
        program::wait_for_sleep(exporter.pid());
    }

    let far = pod_address(nodes, "far");
    call(nodes, "client", &format!("udp {far}:7000 20 300 700"));
    println!("  value in Prometheus = value sent, metered by softflowd and pmacct");
    let sum = |from: &str, to: &str| {
        format!("sum(kipfix_bytes_total{{src_workload=\"{from}\",dst_workload=\"{to}\"}})")
    };
    prometheus.expect(&sum("client", "far"), 20 * 328);
    prometheus.expect(&sum("far", "client"), 20 * 728);
    release.uninstall();
}

pub fn kipfix_exports_to_third_parties(nodes: &Nodes) {
    let shop = [
        workload("client", 1, 7000, false),
        workload("far", 2, 7000, false),
    ];
    let _shop = Shop::open(nodes, &shop.concat());
    let folder = tempfile::tempdir().unwrap();
    let mut nfcapd = nodes.inside("cp", "nfcapd");
    let mut nfcapd = Running::start(
        nfcapd
            .args(["-p", "9995", "-w"])
            .arg(folder.path())
            .args(["-t", "3600"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    wait_for_udp(nfcapd.pid(), 9995);
    let release = Release::install(
        nodes,
        "kipfix",
        &[
            "collector.enabled=false",
            "probe.export=[\"udp://172.30.0.1:9995\"]",
            "probe.settings={\"active_timeout\": \"5s\", \"idle_timeout\": \"2s\"}",
        ],
    );
    let far = pod_address(nodes, "far");
    call(nodes, "client", &format!("udp {far}:7000 20 300 700"));
    release.test();
    release.uninstall();
    assert!(nfcapd.is_alive());
    program::wait_for_udp_read(nfcapd.pid(), 9995);
    program::wait_for_sleep(nfcapd.pid());
    nfcapd.terminate();
    // Both nodes see each packet. There is another file for each hour of the day.
    let octets = |filter: &str| {
        let mut nfdump = std::process::Command::new("nfdump");
        let csv = program::text(
            nfdump
                .arg("-R")
                .arg(folder.path())
                .args(["-q", "-N", "-o", "fmt:%byt", filter]),
        );
        csv.lines()
            .filter_map(|line| line.trim().parse::<u64>().ok())
            .sum::<u64>()
    };
    let asked = octets(&format!("proto udp and dst ip {far} and dst port 7000"));
    let answered = octets(&format!("proto udp and src ip {far} and src port 7000"));
    println!(
        "  nfdump: {asked} = {} octets asked, {answered} = {} answered",
        2 * 20 * 328,
        2 * 20 * 728
    );
    assert_eq!((asked, answered), (2 * 20 * 328, 2 * 20 * 728));
}
