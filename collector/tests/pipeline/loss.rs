//! What both nodes observed of the packets between them, with exact values.

use flowproto::FlowRecord;
use kipfix_collector::aggregate::Preset;

use super::harness::*;

/// The samples of the preset after these records, without zeros.
fn samples(records: &[(&str, FlowRecord)]) -> Vec<String> {
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
    for (node, record) in records {
        let exporter = exporters.iter_mut().find(|(name, _)| name == node);
        let (_, exporter) = exporter.unwrap();
        let record = std::slice::from_ref(record);
        exporter.export(&mut collector.pipeline, record, START);
    }
    let scrape = collector.end().scrape;
    let lines = scrape.lines();
    let lines = lines.filter(|line| !line.starts_with('#') && !line.ends_with(" 0"));
    lines.map(String::from).collect()
}

/// A record by which its node becomes known as an observer.
fn first(node: &'static str, source: &str) -> (&'static str, FlowRecord) {
    (node, record(source, OFFICE, 100))
}

#[test]
fn packets_between_two_observed_nodes_are_compared_by_direction() {
    let samples = samples(&[
        first("node-a", WEB),
        first("node-b", DB),
        ("node-a", record(WEB, DB, 1000)),
        ("node-b", record(WEB, DB, 900)),
        ("node-b", record(DB, WEB, 800)),
        ("node-a", record(DB, WEB, 800)),
        ("router", record(WEB, DB, 1000)),
    ]);
    let forward = r#"{src_node="node-a",dst_node="node-b"}"#;
    let reverse = r#"{src_node="node-b",dst_node="node-a"}"#;
    let expected = [
        format!("kipfix_loss_sent_packets_total{forward} 10"),
        format!("kipfix_loss_sent_packets_total{reverse} 8"),
        format!("kipfix_loss_received_packets_total{forward} 9"),
        format!("kipfix_loss_received_packets_total{reverse} 8"),
        format!("kipfix_loss_sent_bytes_total{forward} 1000"),
        format!("kipfix_loss_sent_bytes_total{reverse} 800"),
        format!("kipfix_loss_received_bytes_total{forward} 900"),
        format!("kipfix_loss_received_bytes_total{reverse} 800"),
    ];
    assert_eq!(samples, expected);
}

#[test]
fn packets_that_only_one_node_can_observe_are_not_compared() {
    let samples = samples(&[
        first("node-a", WEB),
        // Node B sends nothing.
        ("node-a", record(WEB, DB, 1000)),
        ("node-a", record(DB, WEB, 1000)),
        ("node-a", record(WEB, LOG, 1000)),
        ("node-a", record(OFFICE, WEB, 1000)),
    ]);
    assert_eq!(samples, Vec::<String>::new());
}
