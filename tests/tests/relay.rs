//! The collector in front of third-party tools: datagrams replicated unchanged, and records
//! forwarded with names.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use flowproto::exporter::{ExportSession, ExportSettings, Facts, Version};
use flowproto::record::{Sampling, SecurityProtocol};
use flowproto::{Address, FlowRecord};
use kipfix_tests::collector::Collector;
use kipfix_tests::flows::Flows;
use kipfix_tests::peers::{Goflow2, Nfcapd, missing, tshark};
use kipfix_tests::program::{self, PATIENCE, collector, eventually, free_tcp_port, free_udp_port};
use kipfix_tests::scrape::Scrape;
use kipfix_tests::sink::{Sink, write_capture};
use kipfix_tests::{netns, skip, take_turn};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;

const NOW: u64 = 1_700_000_000_000;

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
  - {name: node-b, addresses: [192.0.2.2], podCIDRs: [10.1.2.0/24], zone: z2, region: r1}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: Deployment, name: web}}
  - {name: db-1, namespace: shop, addresses: [10.1.2.1], node: node-b, workload: {kind: StatefulSet, name: db}}
services: [{name: db, namespace: shop, addresses: [10.96.0.10]}]
cidrs: [{cidr: 198.51.100.0/24, name: office}]
";

fn record(number: u32) -> FlowRecord {
    let [_, _, high, low] = number.to_be_bytes();
    let mut record = FlowRecord {
        octet_delta_count: 1000 + u64::from(number),
        packet_delta_count: 1 + u64::from(number % 7),
        flow_start_milliseconds: NOW - 10_000 - u64::from(number),
        flow_end_milliseconds: NOW - u64::from(number),
        tcp_control_bits: 0x1b,
        ..FlowRecord::default()
    };
    record.key.source_address = Address::from(Ipv4Addr::new(10, 1, high, low));
    record.key.destination_address = Address::from(Ipv4Addr::new(198, 51, 100, low));
    record.key.source_port = 30_000;
    record.key.destination_port = 443;
    record.key.protocol_identifier = 6;
    record
}

/// The datagrams of an exporter of that version.
fn export(version: Version, records: impl Iterator<Item = FlowRecord>) -> Vec<Vec<u8>> {
    let mut session = ExportSession::new(ExportSettings {
        version,
        ..ExportSettings::default()
    });
    let mut sent = Vec::new();
    for record in records {
        session
            .add(&record, NOW, &mut |m| sent.push(m.octets.to_vec()))
            .unwrap();
    }
    session.flush(NOW, &mut |m| sent.push(m.octets.to_vec()));
    sent
}

/// What three exporters of three versions send, each from an address of its own.
fn exporters() -> Vec<(UdpSocket, Vec<Vec<u8>>)> {
    let versions = [Version::Ipfix, Version::Netflow9, Version::Netflow5];
    let each = versions.into_iter().zip(2..).map(|(version, host)| {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap();
        let first = 1000 * u32::from(host);
        (socket, export(version, (first..first + 500).map(record)))
    });
    each.collect()
}

fn send(exporters: &[(UdpSocket, Vec<Vec<u8>>)], port: u16) {
    let most = exporters.iter().map(|(_, sent)| sent.len()).max().unwrap();
    // Their datagrams meet, as those of real exporters do.
    for at in 0..most {
        for (socket, datagrams) in exporters {
            if let Some(datagram) = datagrams.get(at) {
                socket.send_to(datagram, ("127.0.0.1", port)).unwrap();
            }
        }
        sleep(Duration::from_millis(1));
    }
}

/// A collector without Kubernetes.
fn started(command: Command, arguments: &[&str]) -> Collector {
    Collector::start_by(command, &[&["--kubernetes", "off"], arguments].concat())
}

/// Waits until a metric of the collector is `value`.
fn wait_for(collector: &Collector, name: &str, value: u64) {
    collector.counts(&format!("kipfix_collector_{name}"), &[], value);
}

#[test]
fn nfcapd_behind_the_collector_sees_no_difference() {
    if missing(&["nfcapd", "nfdump"]) {
        return;
    }
    if !netns::allowed() {
        skip("keeping the exporters' addresses needs root");
        return;
    }
    let _turn = take_turn();
    let [direct, behind, other] = std::array::from_fn(|_| Nfcapd::start());
    let ours = started(
        collector(),
        &[
            "--replicate",
            &format!("udp://127.0.0.1:{}?source=keep", behind.receiver.port),
            "--replicate",
            &format!("udp://localhost:{}?source=own", other.receiver.port),
        ],
    );
    let exporters = exporters();
    let datagrams: usize = exporters.iter().map(|(_, sent)| sent.len()).sum();
    send(&exporters, direct.receiver.port);
    send(&exporters, ours.port());
    wait_for(&ours, "replicate_sent_total", 2 * datagrams as u64);
    let scrape = ours.scrape();
    assert_eq!(scrape.sum("kipfix_collector_replicate_lost_total", &[]), 0);
    assert_eq!(
        scrape.sum(
            "kipfix_collector_replicate_source_address_replaced_total",
            &[]
        ),
        0
    );
    assert_eq!(
        scrape.sum("kipfix_collector_replicate_queue_datagrams", &[]),
        0
    );
    ours.stop();
    let other = other.finish().flows();
    let [direct, behind] = [direct, behind].map(|nfcapd| {
        let all = nfcapd
            .finish()
            .lines("%ra,%sa,%da,%sp,%dp,%pr,%pkt,%byt,%tsr,%ter");
        let lines = all.iter().map(|line| line.split_whitespace().collect());
        let ours = lines.filter(|line: &String| line.contains("10.1."));
        ours.collect::<Vec<_>>()
    });
    assert_eq!(direct.len(), 1500);
    for exporter in ["127.0.0.2,", "127.0.0.3,", "127.0.0.4,"] {
        let of = direct.iter().filter(|line| line.starts_with(exporter));
        assert_eq!(of.count(), 500, "{exporter}");
    }
    assert_eq!(direct, behind);
    // From our own address nothing else is lost: every exporter has a port of its own.
    other.assert_same(&flows(&direct), "source=own");
}

#[test]
fn goflow2_behind_the_collector_sees_no_difference() {
    let Some(program) = Goflow2::program() else {
        return;
    };
    if !netns::allowed() {
        skip("keeping the exporters' addresses needs root");
        return;
    }
    let _turn = take_turn();
    let [direct, behind] = std::array::from_fn(|_| Goflow2::start(&program));
    let url = format!("udp://127.0.0.1:{}?source=keep", behind.receiver.port);
    let ours = started(collector(), &["--replicate", &url]);
    let exporters = exporters();
    let datagrams: usize = exporters.iter().map(|(_, sent)| sent.len()).sum();
    send(&exporters, direct.receiver.port);
    send(&exporters, ours.port());
    wait_for(&ours, "replicate_sent_total", datagrams as u64);
    let [direct, behind] = [direct, behind].map(Goflow2::records);
    ours.stop();
    assert_eq!(direct.len(), 1500);
    assert_eq!(direct, behind);
}

fn flows(lines: &[String]) -> Flows {
    let mut flows = Flows::default();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let address = |at: usize| cells[at].parse::<IpAddr>().unwrap();
        let number = |at: usize| cells[at].parse::<u64>().unwrap();
        let key = (
            address(1),
            address(2),
            number(5) as u8,
            number(3) as u16,
            number(4) as u16,
        );
        flows.add(key, number(6), number(7));
    }
    flows
}

#[test]
fn without_the_right_to_keep_source_addresses_it_fails_or_sends_from_its_own() {
    if missing(&["setpriv"]) {
        return;
    }
    if !netns::allowed() {
        skip("rights can be dropped by root only");
        return;
    }
    let _turn = take_turn();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = receiver.local_addr().unwrap().port();
    let powerless = || {
        let mut command = Command::new("setpriv");
        command
            .args(["--bounding-set", "-all", "--inh-caps", "-all"])
            .arg(program::binary("kipfix-collector"));
        program::show_series_at_once(&mut command);
        command
    };
    let mut insisting = powerless();
    insisting
        .args([
            "--listen",
            "udp://127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--kubernetes",
            "off",
        ])
        .args([
            "--replicate",
            &format!("udp://127.0.0.1:{port}?source=keep"),
        ]);
    let output = insisting.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        printed.contains("NET_ADMIN or NET_RAW") && printed.contains("source=own"),
        "{printed}"
    );

    let url = format!("udp://127.0.0.1:{port}");
    let ours = started(powerless(), &["--replicate", &url]);
    let exporter = UdpSocket::bind("127.0.0.9:0").unwrap();
    let datagram = export(Version::Ipfix, std::iter::once(record(1))).remove(0);
    exporter
        .send_to(&datagram, ("127.0.0.1", ours.port()))
        .unwrap();
    let mut buffer = [0; 2000];
    let (octets, from) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!(buffer[..octets], datagram);
    assert_ne!(from.ip(), exporter.local_addr().unwrap().ip());
    ours.stop();
}

#[test]
fn a_target_that_is_the_collector_itself_is_refused() {
    for (setting, scheme) in [
        ("--replicate", "udp"),
        ("--forward", "udp"),
        ("--forward", "tcp"),
    ] {
        let port = match scheme {
            "udp" => free_udp_port(),
            _ => free_tcp_port(),
        };
        let mut command = collector();
        command.args(["--listen", &format!("{scheme}://0.0.0.0:{port}")]);
        command.args(["--http", "127.0.0.1:0", "--kubernetes", "off"]);
        command.args([setting, &format!("{scheme}://127.0.0.1:{port}")]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            printed.contains("must not be an address of this collector"),
            "{printed}"
        );
    }
}

//------------ Forward -----------------------------------------------------------------------------

/// A folder with an inventory, and what an exporter sent as an IPFIX file.
fn prepared(records: impl Iterator<Item = FlowRecord>) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (inventory, input) = (
        folder.path().join("who.yaml"),
        folder.path().join("in.ipfix"),
    );
    std::fs::write(&inventory, INVENTORY).unwrap();
    std::fs::write(&input, export(Version::Ipfix, records).concat()).unwrap();
    (folder, inventory, input)
}

fn known() -> Vec<FlowRecord> {
    let mut to_service = record(3);
    to_service.key.source_address = Address::from(Ipv4Addr::new(10, 1, 1, 1));
    to_service.key.destination_address = Address::from(Ipv4Addr::new(10, 96, 0, 10));
    to_service.key.destination_port = 5432;
    to_service.translation = Some(flowproto::record::Translation {
        post_nat_source_address: to_service.key.source_address,
        post_nat_destination_address: Address::from(Ipv4Addr::new(10, 1, 2, 1)),
        post_napt_source_port: 30_000,
        post_napt_destination_port: 5432,
    });
    to_service.new_connection_delta_count = Some(1);
    let mut out = record(4);
    out.key.source_address = Address::from(Ipv4Addr::new(10, 1, 1, 1));
    let mut v6 = record(5);
    v6.key.source_address = "2001:db8::1".parse::<IpAddr>().unwrap().into();
    v6.key.destination_address = "2001:db8::2".parse::<IpAddr>().unwrap().into();
    vec![to_service, out, v6]
}

fn read(input: &Path, more: &[&str]) -> Vec<Value> {
    let mut command = collector();
    command.arg("--read").arg(input);
    command
        .args(["--kubernetes", "off", "--flow-log", "stdout:"])
        .args(more);
    let text = program::text(&mut command);
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn our_own_collector_reads_the_names_and_the_numbers_are_unchanged() {
    let (folder, inventory, input) = prepared(known().into_iter());
    let forwarded = folder.path().join("out.ipfix");
    let inventory = inventory.to_str().unwrap();
    let target = format!("file:{}", forwarded.display());
    let before = read(
        &input,
        &[
            "--inventory",
            inventory,
            "--forward",
            &target,
            "--cluster-name",
            "blue",
        ],
    );
    let after = read(&forwarded, &[]);
    assert_eq!((before.len(), after.len()), (3, 3));
    for (before, after) in before.iter().zip(&after) {
        for name in [
            "sourceIPv4Address",
            "destinationIPv4Address",
            "sourceIPv6Address",
            "sourceTransportPort",
            "destinationTransportPort",
            "octetDeltaCount",
            "packetDeltaCount",
            "flowStartMilliseconds",
            "flowEndMilliseconds",
            "tcpControlBits",
            "postNATDestinationIPv4Address",
            "sourcePodNamespace",
            "sourcePodName",
            "destinationPodName",
            "sourceNodeName",
            "destinationNodeName",
            "sourceWorkloadKind",
            "sourceWorkloadName",
            "destinationWorkloadName",
            "sourceZone",
            "destinationZone",
            "sourceRegion",
            "trafficClass",
            "trafficScope",
            "destinationName",
            "clusterId",
        ] {
            assert_eq!(before[name], after[name], "{name}");
        }
    }
    // From a savefile, records that a node could have observed follow at the end.
    let [v6, to_service, out] = &after[..] else {
        panic!("three")
    };
    assert_eq!(to_service["destinationServicePortName"], "shop/db");
    assert_eq!(to_service["destinationServicePort"], 5432);
    assert_eq!(to_service["flowType"], 2);
    assert_eq!(to_service["newConnectionDeltaCount"], 1);
    assert_eq!(out["flowType"], 3);
    assert_eq!(out["destinationName"], "office");
    assert!(v6["samplingPacketInterval"].is_null());
    assert_eq!(v6["originalObservationDomainId"], 0);
    assert_eq!(v6["clusterId"], "blue");
}

#[test]
fn a_target_with_the_registered_profile_gets_registered_elements_of_fixed_length_only() {
    let (folder, inventory, input) = prepared(known().into_iter());
    let forwarded = folder.path().join("out.ipfix");
    let inventory = inventory.to_str().unwrap();
    let target = format!("file:{}?profile=registered", forwarded.display());
    let before = read(&input, &["--inventory", inventory, "--forward", &target]);
    let after = read(&forwarded, &[]);
    let octets = |lines: &[Value]| -> Vec<u64> {
        let octets = lines.iter().map(|line| line["octetDeltaCount"].as_u64());
        octets.map(Option::unwrap).collect()
    };
    assert_eq!(octets(&before), octets(&after));
    assert!(after.iter().all(|line| line.get("sourcePodName").is_none()));
    let mut command = collector();
    command.arg("--read").arg(&forwarded).arg("--explain");
    let text = program::text(&mut command);
    for word in ["Options Template", "variable", "enterprise", "clusterId"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

#[test]
fn of_names_that_come_and_names_that_are_known_the_line_has_one() {
    let (folder, inventory, input) = prepared(known().into_iter());
    let forwarded = folder.path().join("out.ipfix");
    let mut command = collector();
    command
        .arg("--read")
        .arg(&input)
        .args(["--kubernetes", "off"]);
    command.arg("--inventory").arg(&inventory);
    command.args(["--forward", &format!("file:{}", forwarded.display())]);
    program::output(&mut command);
    // The next collector knows one of the pods by another name, and of the other one nothing.
    let other = folder.path().join("other.yaml");
    std::fs::write(
        &other,
        "nodes: [{name: node-x, addresses: [192.0.2.9]}]\n\
         pods: [{name: renamed, namespace: shop, addresses: [10.1.1.1], node: node-x}]\n",
    )
    .unwrap();
    let mut command = collector();
    command.arg("--read").arg(&forwarded);
    command.args(["--kubernetes", "off", "--flow-log", "stdout:"]);
    let text = program::text(command.arg("--inventory").arg(&other));
    let mut lines = text.lines();
    let line = lines.find(|line| line.contains("\"10.1.1.1\"")).unwrap();
    for name in [
        "sourcePodName",
        "sourceNodeName",
        "destinationPodName",
        "trafficClass",
    ] {
        assert_eq!(line.matches(&format!("\"{name}\":")).count(), 1, "{line}");
    }
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["sourcePodName"], "renamed");
    assert_eq!(line["destinationPodName"], "db-1");
}

#[test]
fn what_was_sampled_is_scaled_once() {
    let folder = tempfile::tempdir().unwrap();
    let (input, forwarded) = (folder.path().join("in"), folder.path().join("out"));
    let mut session = ExportSession::new(ExportSettings::default());
    session.renew(Facts {
        sampling: Sampling {
            interval: 2,
            space: 198,
        },
        ..Facts::default()
    });
    let mut octets = Vec::new();
    session
        .add(&record(4), NOW, &mut |m| octets.extend(m.octets))
        .unwrap();
    session.flush(NOW, &mut |m| octets.extend(m.octets));
    std::fs::write(&input, octets).unwrap();
    let bytes = |input: &Path, more: &[&str]| {
        let mut command = collector();
        command.arg("--read").arg(input);
        command.args(["--kubernetes", "off", "--print-metrics"]);
        Scrape::parse(&program::text(command.args(more))).sum("kipfix_bytes_total", &[])
    };
    let target = format!("file:{}", forwarded.display());
    assert_eq!(bytes(&input, &["--forward", &target]), 1004 * 100);
    assert_eq!(bytes(&forwarded, &[]), 1004 * 100);
    let line = &read(&forwarded, &[])[0];
    assert_eq!(line["octetDeltaCount"], 1004);
    assert_eq!(line["samplingPacketInterval"], 2);
    assert_eq!(line["samplingPacketSpace"], 198);
}

#[test]
fn peers_read_what_is_forwarded() {
    if missing(&["nfcapd", "nfdump", "ipfixDump", "tshark"]) {
        return;
    }
    let _turn = take_turn();
    let records: Vec<FlowRecord> = known()
        .into_iter()
        .chain((1000..3000).map(record))
        .collect();
    let (folder, inventory, input) = prepared(records.iter().cloned());
    let (sink, nfcapd) = (Sink::start(), Nfcapd::start());
    let forwarded = folder.path().join("out.ipfix");
    let mut command = collector();
    command
        .arg("--read")
        .arg(&input)
        .args(["--kubernetes", "off", "--inventory"])
        .arg(&inventory)
        .args([
            "--forward",
            &format!("udp://127.0.0.1:{}?rate=20000", sink.port),
        ])
        .args(["--forward", &format!("file:{}", forwarded.display())]);
    program::output(&mut command);
    nfcapd.receiver.receive(&sink.finish());
    let mut truth = Flows::default();
    for record in &records {
        let key = &record.key;
        truth.add(
            (
                key.source_address.to_ip(),
                key.destination_address.to_ip(),
                key.protocol_identifier,
                key.source_port,
                key.destination_port,
            ),
            record.packet_delta_count,
            record.octet_delta_count,
        );
    }
    nfcapd.finish().flows().assert_same(&truth, "nfcapd");

    let dump = program::text(
        Command::new("ipfixDump")
            .args(["--rfc5610", "--in"])
            .arg(&forwarded),
    );
    let octets = dump.lines().filter_map(|line| {
        let (_, value) = line.split_once("octetDeltaCount")?;
        value.rsplit(':').next()?.trim().parse::<u64>().ok()
    });
    assert_eq!(octets.sum::<u64>(), truth.totals().1);
    // Type records have the names of unknown elements.
    for (name, value) in [
        ("sourceWorkloadName", "(len: 3) web"),
        ("sourcePodName", "(len: 5) web-1"),
        ("trafficClass", "(len: 10) pod_to_pod"),
    ] {
        let is_in_dump = |line: &str| line.contains(name) && line.ends_with(value);
        assert!(dump.lines().any(is_in_dump), "no {name} in the dump");
    }
}

#[test]
fn tshark_finds_nothing_wrong_in_what_is_forwarded() {
    if missing(&["tshark"]) {
        return;
    }
    let (folder, inventory, input) = prepared(known().into_iter().chain((1000..1500).map(record)));
    let sink = Sink::start();
    let mut command = collector();
    command
        .arg("--read")
        .arg(&input)
        .args(["--kubernetes", "off", "--inventory"])
        .arg(&inventory)
        .args([
            "--forward",
            &format!("udp://127.0.0.1:{}?rate=20000", sink.port),
        ]);
    program::output(&mut command);
    let datagrams = sink.finish();
    assert!(datagrams.iter().all(|datagram| datagram.len() <= 1400));
    let capture = folder.path().join("out.pcap");
    write_capture(&capture, &datagrams);
    let octets = tshark(&capture).totals.1;
    let sent = known().into_iter().chain((1000..1500).map(record));
    assert_eq!(
        octets,
        sent.map(|record| record.octet_delta_count).sum::<u64>()
    );
    // And our own dump finds no rule broken.
    let dump = program::text(collector().arg("--read").arg(&capture).arg("--explain"));
    let broken: Vec<&str> = dump.lines().filter(|line| line.starts_with("! ")).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn both_ways_of_a_biflow_are_records_of_their_own() {
    let mut biflow = record(7);
    biflow.reverse_octet_delta_count = 77;
    biflow.reverse_packet_delta_count = 3;
    biflow.reverse_flow_start_milliseconds = NOW - 9000;
    biflow.reverse_flow_end_milliseconds = NOW - 100;
    biflow.security_protocol = SecurityProtocol::WireGuard;
    let (folder, _, input) = prepared(std::iter::once(biflow));
    let forwarded = folder.path().join("out.ipfix");
    read(
        &input,
        &["--forward", &format!("file:{}", forwarded.display())],
    );
    let [there, back] = &read(&forwarded, &[])[..] else {
        panic!("two records")
    };
    assert_eq!(
        (&there["octetDeltaCount"], &back["octetDeltaCount"]),
        (&1007.into(), &77.into())
    );
    assert_eq!(there["sourceIPv4Address"], back["destinationIPv4Address"]);
    assert_eq!(back["sourceTransportPort"], 443);
    assert_eq!(back["flowStartMilliseconds"], NOW - 9000);
    let protection = SecurityProtocol::WireGuard.octet();
    assert!([there, back].map(|way| way["securityProtocol"] == protection) == [true; 2]);
}

#[test]
fn of_two_observers_one_is_forwarded_unless_all_are_asked_for() {
    let mut seen = record(1);
    seen.key.source_address = Address::from(Ipv4Addr::new(10, 1, 1, 1));
    seen.key.destination_address = Address::from(Ipv4Addr::new(10, 1, 2, 1));
    let folder = tempfile::tempdir().unwrap();
    let (inventory, input) = (
        folder.path().join("who.yaml"),
        folder.path().join("in.ipfix"),
    );
    std::fs::write(&inventory, INVENTORY).unwrap();
    let mut octets = Vec::new();
    for (domain, node) in [(1, "node-a"), (2, "node-b")] {
        let mut session = ExportSession::new(ExportSettings {
            observation_domain_id: domain,
            observation_domain_name: node.into(),
            ..ExportSettings::default()
        });
        session
            .add(&seen, NOW, &mut |m| octets.extend(m.octets))
            .unwrap();
        session.flush(NOW, &mut |m| octets.extend(m.octets));
    }
    std::fs::write(&input, octets).unwrap();
    for (which, domains) in [("counted", vec![1]), ("all", vec![1, 2])] {
        let forwarded = folder.path().join(which);
        let target = format!("file:{}", forwarded.display());
        let inventory = inventory.to_str().unwrap();
        read(
            &input,
            &[
                "--inventory",
                inventory,
                "--forward",
                &target,
                "--forward-records",
                which,
            ],
        );
        let mut origins: Vec<u64> = read(&forwarded, &[])
            .iter()
            .map(|line| line["originalObservationDomainId"].as_u64().unwrap())
            .collect();
        origins.sort_unstable();
        assert_eq!(origins, domains, "{which}");
    }
}

#[test]
fn a_target_that_is_slower_than_the_reading_of_a_file_gets_every_record() {
    const RECORDS: u32 = 20_000;
    let (folder, _, input) = prepared((0..RECORDS).map(record));
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    setsockopt(&slow, sockopt::RcvBuf, &(16 << 10)).unwrap();
    let target = format!("tcp://{}", slow.local_addr().unwrap());
    let mut reading = collector();
    reading.arg("--read").arg(&input);
    reading.args(["--kubernetes", "off", "--forward", &target]);
    reading.args(["--forward-queue", "500", "--print-metrics"]);
    let mut reading = reading.stdout(Stdio::piped()).spawn().unwrap();
    let (mut connection, _) = slow.accept().unwrap();
    // The file is read long before this.
    sleep(Duration::from_secs(2));
    let forwarded = folder.path().join("forwarded");
    let mut file = std::fs::File::create(&forwarded).unwrap();
    std::io::copy(&mut connection, &mut file).unwrap();
    let mut metrics = String::new();
    let mut printed = reading.stdout.take().unwrap();
    printed.read_to_string(&mut metrics).unwrap();
    assert!(reading.wait().unwrap().success());
    let count = |name: &str| Scrape::parse(&metrics).sum(name, &[]);
    assert_eq!(count("kipfix_collector_target_records_lost_total"), 0);
    assert_eq!(count("kipfix_collector_forward_dropped_total"), 0);
    assert_eq!(
        read(&forwarded, &[]).len(),
        usize::try_from(RECORDS).unwrap()
    );
}

#[test]
fn what_is_lost_on_the_way_is_counted() {
    let _turn = take_turn();
    // A target without a listener, an unreachable TCP target, and one that reads.
    let (dead, away) = (free_udp_port(), free_tcp_port());
    let unread = UdpSocket::bind("127.0.0.1:0").unwrap();
    let reads = unread.local_addr().unwrap().port();
    let ours = started(
        collector(),
        &[
            "--forward",
            &format!("udp://127.0.0.1:{dead}"),
            "--forward",
            &format!("tcp://127.0.0.1:{away}"),
            "--forward",
            &format!("udp://127.0.0.1:{reads}"),
            "--forward-queue",
            "500",
        ],
    );
    let exporter = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in export(Version::Ipfix, (0..5000).map(record)) {
        exporter
            .send_to(&datagram, ("127.0.0.1", ours.port()))
            .unwrap();
        sleep(Duration::from_micros(500));
    }
    wait_for(&ours, "records_total", 5000);
    wait_for(&ours, "forward_queue_records", 0);
    let sum = |scrape: &Scrape, name: &str, port: Option<u16>| {
        let target = port.map(|port| format!("127.0.0.1:{port}\""));
        let labels: Vec<&str> = target.iter().map(String::as_str).collect();
        scrape.sum(&format!("kipfix_collector_{name}"), &labels)
    };
    let accounted = |scrape: &Scrape, port: u16| {
        let of = |name: &str| sum(scrape, &format!("target_records_{name}"), Some(port));
        of("sent_total") + of("lost_total") + of("waiting")
    };
    // The targets receive records after the queue is empty, put them into Messages, and notice a
    // refusal later.
    let (mut scrape, mut received) = (Scrape::default(), 0);
    eventually(PATIENCE, || {
        scrape = ours.scrape();
        received = 5000 - sum(&scrape, "forward_dropped_total", None);
        let mut targets = [dead, away, reads].into_iter();
        let lost = |port| sum(&scrape, "target_records_lost_total", Some(port));
        targets.all(|port| {
            sum(&scrape, "target_records_received_total", Some(port)) == received
                && accounted(&scrape, port) == received
        }) && lost(dead) > 0
            && lost(away) > 0
    });
    assert_eq!(sum(&scrape, "forward_records_total", None), 5000);
    for port in [dead, away, reads] {
        let of_target = sum(&scrape, "target_records_received_total", Some(port));
        assert_eq!(of_target, received, "{port}");
        assert_eq!(accounted(&scrape, port), received, "{port}");
    }
    let lost = |port| sum(&scrape, "target_records_lost_total", Some(port));
    assert!(
        lost(dead) > 0 && lost(away) > 0,
        "{} and {}",
        lost(dead),
        lost(away)
    );
    assert_eq!(lost(reads), 0);
    ours.stop();
}
