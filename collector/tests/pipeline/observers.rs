//! Which of several observers counts, and records that wait to know.

use flowproto::FlowRecord;
use kipfix_collector::clock::Now;
use kipfix_collector::pipeline::{PipelineSettings, Reason};
use kipfix_collector::receive::Ingest;

use crate::harness::{
    DB, Exporter, LOG, NODE_A, NODE_B, OFFICE, SILENCE, START, WAIT, WEB, collector, offline,
    record, settings,
};

#[test]
fn a_flow_that_both_nodes_observe_counts_once_by_the_record_of_the_sources_node() {
    let mut collector = collector(settings());
    let (mut a, mut b) = (
        Exporter::new("node-a", "172.16.0.1"),
        Exporter::new("node-b", "172.16.0.2"),
    );
    a.export(&mut collector.pipeline, &[], START);
    b.export(&mut collector.pipeline, &[], START);
    let seen = [record(WEB, DB, 1000), record(DB, WEB, 300)];
    a.export(&mut collector.pipeline, &seen, START);
    b.export(&mut collector.pipeline, &seen, START);

    let end = collector.end();
    assert_eq!(
        (end.counts.counted, end.not_counted(Reason::OtherObserver)),
        (2, 2)
    );
    assert!(end.scrape.contains(
        r#"kipfix_bytes_total{src_namespace="shop",src_kind="Deployment",src_workload="web",dst_namespace="shop",dst_kind="StatefulSet",dst_workload="db",class="pod_to_pod"} 1000"#
    ));
    assert!(end.scrape.contains(
        r#"kipfix_node_packets_total{src_node="node-b",dst_node="node-a",class="pod_to_pod",scope="internal"} 3"#
    ));
    assert!(
        end.scrape
            .contains(r#"kipfix_zone_bytes_total{src_zone="z1",dst_zone="z2","#)
    );
    assert_eq!(end.sum("kipfix_bytes_total"), 1300);
    assert_eq!(end.sum("kipfix_connections_total"), 2);
    assert_eq!(end.counted(), [true, false, false, true]);
}

#[test]
fn a_line_of_the_flow_log_has_the_record_and_its_enrichment() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", "172.16.0.1");
    a.export(&mut collector.pipeline, &[record(WEB, OFFICE, 700)], START);
    let end = collector.end();
    let line = &end.lines[0];
    for (name, value) in [
        ("sourceIPv4Address", serde_json::json!(WEB)),
        ("octetDeltaCount", serde_json::json!(700)),
        ("exporter", serde_json::json!("172.16.0.1")),
        ("observationDomainId", serde_json::json!(1)),
        ("version", serde_json::json!(10)),
        ("sourcePodNamespace", serde_json::json!("shop")),
        ("sourcePodName", serde_json::json!("web-1")),
        ("sourceNodeName", serde_json::json!("node-a")),
        ("sourceWorkloadKind", serde_json::json!("Deployment")),
        ("sourceWorkloadName", serde_json::json!("web")),
        ("sourceZone", serde_json::json!("z1")),
        ("sourceRegion", serde_json::json!("r1")),
        ("destinationName", serde_json::json!("office")),
        ("trafficClass", serde_json::json!("pod_to_external")),
        ("trafficScope", serde_json::json!("external")),
        ("counted", serde_json::json!(true)),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!(line.get("observer"), None);
}

#[test]
fn a_record_that_arrives_before_a_message_of_the_sources_node_waits_and_is_not_counted() {
    let mut collector = collector(settings());
    let (mut a, mut b) = (
        Exporter::new("node-a", "172.16.0.1"),
        Exporter::new("node-b", "172.16.0.2"),
    );
    b.export(&mut collector.pipeline, &[record(WEB, DB, 1000)], START);
    assert_eq!(collector.pipeline.counts().records.pending, 1);
    a.export(
        &mut collector.pipeline,
        &[record(WEB, DB, 1000)],
        START + 5000,
    );
    collector.pipeline.tick(Now::of_packet(START + WAIT));

    let end = collector.end();
    assert_eq!(
        (end.counts.held, end.not_counted(Reason::OtherObserver)),
        (1, 1)
    );
    assert_eq!(end.sum("kipfix_bytes_total"), 1000);
    assert_eq!(end.counted(), [true, false]);
}

#[test]
fn a_record_counts_after_its_wait_without_a_record_of_the_source_node() {
    let mut collector = collector(settings());
    let mut b = Exporter::new("node-b", "172.16.0.2");
    b.export(&mut collector.pipeline, &[record(WEB, DB, 1000)], START);
    collector.pipeline.tick(Now::of_packet(START + WAIT - 1));
    assert_eq!(collector.pipeline.counts().records.pending, 1);
    collector.pipeline.tick(Now::of_packet(START + WAIT));
    assert_eq!(collector.pipeline.counts().records.pending, 0);
    // After the warm-up it is certain that the source's node is not observed.
    b.export(
        &mut collector.pipeline,
        &[record(WEB, DB, 500)],
        START + 180_000,
    );
    assert_eq!(collector.pipeline.counts().records.pending, 0);

    let end = collector.end();
    assert_eq!(end.sum("kipfix_bytes_total"), 1500);
    assert_eq!(end.counted(), [true, true]);
}

#[test]
fn from_a_savefile_records_wait_for_its_end_whatever_the_packets_time() {
    let mut collector = collector(offline());
    let (mut a, mut b) = (
        Exporter::new("node-a", "172.16.0.1"),
        Exporter::new("node-b", "172.16.0.2"),
    );
    b.export(&mut collector.pipeline, &[record(WEB, DB, 1000)], START);
    collector.pipeline.tick(Now::of_packet(START + WAIT + 1));
    let late = START + SILENCE - 2000;
    a.export(&mut collector.pipeline, &[record(WEB, DB, 1000)], late);
    let end = collector.end();
    assert_eq!(end.sum("kipfix_bytes_total"), 1000);
}

#[test]
fn pending_records_are_bounded_in_octets_and_the_oldest_is_decided_early() {
    let pending_octets = 20_000;
    let mut collector = collector(PipelineSettings {
        pending_octets,
        ..settings()
    });
    let mut b = Exporter::new("node-b", "172.16.0.2");
    let records: Vec<FlowRecord> = (1..=50).map(|n| record(WEB, DB, n * 100)).collect();
    b.export(&mut collector.pipeline, &records, START);
    let counts = collector.pipeline.counts().records;
    assert!(counts.pending > 0 && counts.pending < 50, "{counts:?}");
    let bound = u64::try_from(pending_octets).unwrap();
    assert!(counts.pending_octets <= bound, "{counts:?}");
    let end = collector.end();
    assert_eq!(end.counts.held, 50);
    assert_eq!(end.counts.resolved_early, 50 - counts.pending);
    assert_eq!(end.sum("kipfix_bytes_total"), 127_500);
}

#[test]
fn an_exporter_is_on_the_node_whose_address_it_sends_from() {
    let mut collector = collector(settings());
    let (mut a, mut b) = (Exporter::new("", NODE_A), Exporter::new("", NODE_B));
    a.export(&mut collector.pipeline, &[record(LOG, DB, 100)], START);
    b.export(&mut collector.pipeline, &[record(LOG, DB, 100)], START);
    let end = collector.end();
    assert_eq!(
        (end.counts.counted, end.not_counted(Reason::OtherObserver)),
        (1, 1)
    );
}

#[test]
fn the_record_of_an_exporter_on_no_known_node_counts_and_names_it() {
    let mut collector = collector(settings());
    let mut router = Exporter::new("edge-router", "198.51.100.1");
    router.export(&mut collector.pipeline, &[record(WEB, DB, 100)], START);
    let mut silent = Exporter::new("", "198.51.100.2");
    silent.export(&mut collector.pipeline, &[record(WEB, DB, 100)], START);
    let end = collector.end();
    assert_eq!((end.counts.counted, end.counts.external_exporter), (2, 2));
    assert_eq!(end.lines[0]["observer"], "edge-router");
    assert_eq!(end.lines[1]["observer"], "198.51.100.2");
    assert_eq!(end.counted(), [true, true]);
}
