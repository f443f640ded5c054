//! What both nodes observed of the packets between them, with exact values.

use flowproto::FlowRecord;
use flowproto::protocol::UDP;
use kipfix_collector::aggregate::Preset;

use super::harness::*;

/// Records in the order of their export: exporter, record, time since the start.
type Exported = (&'static str, FlowRecord, u64);

/// The samples of the preset after these records, without zeros.
fn samples(records: &[Exported]) -> Vec<String> {
    let mut collector = Setup {
        presets: vec![Preset::Loss],
        ..Setup::new(offline())
    }
    .start();
    let mut exporters = [
        ("node-a", NODE_A),
        ("node-b", NODE_B),
        ("router", "198.51.100.1"),
    ]
    .map(|(name, address)| (name, Exporter::new(name, address)));
    for (node, record, after) in records {
        let exporter = exporters.iter_mut().find(|(name, _)| name == node);
        let (_, exporter) = exporter.unwrap();
        let record = std::slice::from_ref(record);
        exporter.export(&mut collector.pipeline, record, START + after);
    }
    let scrape = collector.end().scrape;
    let lines = scrape.lines();
    let lines = lines.filter(|line| !line.starts_with('#') && !line.ends_with(" 0"));
    lines.map(String::from).collect()
}

/// A record by which its node becomes known as an observer.
fn first(node: &'static str, source: &str) -> Exported {
    (node, record(source, OFFICE, 100), 0)
}

/// A record of TCP with octets of payload, in packets of any size.
fn tcp(
    node: &'static str,
    [source, destination]: [&str; 2],
    payload: u64,
    packets: u64,
) -> Exported {
    let mut record = record(source, destination, payload + packets * 52);
    record.packet_delta_count = packets;
    record.transport_octet_delta_count = Some(payload);
    (node, record, 0)
}

fn udp(node: &'static str, [source, destination]: [&str; 2], packets: u64) -> Exported {
    let mut record = record(source, destination, packets * 100);
    record.key.protocol_identifier = UDP;
    (node, record, 0)
}

fn at((node, record, _): Exported, after: u64) -> Exported {
    (node, record, after)
}

/// The records by which both nodes become known, of UDP.
fn both() -> [Exported; 2] {
    [
        udp("node-a", [WEB, OFFICE], 1),
        udp("node-b", [DB, OFFICE], 1),
    ]
}

const FORWARD: &str = r#"{src_node="node-a",dst_node="node-b"}"#;
const REVERSE: &str = r#"{src_node="node-b",dst_node="node-a"}"#;

#[test]
fn payload_of_tcp_and_packets_of_other_protocols_are_compared_by_direction() {
    let [first_a, first_b] = both();
    let samples = samples(&[
        first_a,
        first_b,
        // The segments are joined at one end.
        tcp("node-a", [WEB, DB], 100_000, 2),
        tcp("node-b", [WEB, DB], 98_600, 70),
        tcp("node-b", [DB, WEB], 0, 30),
        tcp("node-a", [DB, WEB], 0, 30),
        udp("node-b", [DB, WEB], 8),
        udp("node-a", [DB, WEB], 7),
        tcp("router", [WEB, DB], 100_000, 70),
        udp("router", [DB, WEB], 8),
    ]);
    let expected = [
        format!("kipfix_loss_sent_bytes_total{FORWARD} 100000"),
        format!("kipfix_loss_received_bytes_total{FORWARD} 98600"),
        format!("kipfix_loss_sent_packets_total{REVERSE} 8"),
        format!("kipfix_loss_received_packets_total{REVERSE} 7"),
    ];
    assert_eq!(samples, expected);
}

#[test]
fn both_directions_of_a_biflow_are_compared() {
    let [first_a, first_b] = both();
    let biflow = |node, [sent, received]: [u64; 2]| {
        let (_, mut record, _) = tcp(node, [WEB, DB], sent, 10);
        record.reverse_octet_delta_count = received + 520;
        record.reverse_packet_delta_count = 10;
        record.reverse_transport_octet_delta_count = Some(received);
        (node, record, 0)
    };
    let samples = samples(&[
        first_a,
        first_b,
        biflow("node-a", [5000, 900]),
        biflow("node-b", [4000, 1000]),
    ]);
    let expected = [
        format!("kipfix_loss_sent_bytes_total{FORWARD} 5000"),
        format!("kipfix_loss_sent_bytes_total{REVERSE} 1000"),
        format!("kipfix_loss_received_bytes_total{FORWARD} 4000"),
        format!("kipfix_loss_received_bytes_total{REVERSE} 900"),
    ];
    assert_eq!(samples, expected);
}

#[test]
fn tcp_is_not_compared_with_a_node_that_does_not_report_its_payload() {
    let [first_a, _] = both();
    let samples = samples(&[
        first_a,
        // Without the payload.
        first("node-b", DB),
        tcp("node-a", [WEB, DB], 1000, 10),
        ("node-b", record(WEB, DB, 1520), 0),
        ("node-b", record(DB, WEB, 1520), 0),
        tcp("node-a", [DB, WEB], 1000, 10),
        udp("node-a", [WEB, DB], 8),
        udp("node-b", [WEB, DB], 7),
        // The exporter of node B was replaced.
        at(tcp("node-b", [DB, WEB], 700, 10), SILENCE + 1),
        at(tcp("node-a", [DB, WEB], 600, 10), SILENCE + 1),
    ]);
    let expected = [
        format!("kipfix_loss_sent_bytes_total{REVERSE} 700"),
        format!("kipfix_loss_received_bytes_total{REVERSE} 600"),
        format!("kipfix_loss_sent_packets_total{FORWARD} 8"),
        format!("kipfix_loss_received_packets_total{FORWARD} 7"),
    ];
    assert_eq!(samples, expected);
}

#[test]
fn packets_that_only_one_node_can_observe_are_not_compared() {
    let [first_a, _] = both();
    let samples = samples(&[
        first_a,
        // Node B sends nothing.
        tcp("node-a", [WEB, DB], 1000, 10),
        tcp("node-a", [DB, WEB], 1000, 10),
        udp("node-a", [WEB, DB], 10),
        tcp("node-a", [WEB, LOG], 1000, 10),
        tcp("node-a", [OFFICE, WEB], 1000, 10),
    ]);
    assert_eq!(samples, Vec::<String>::new());
}
