//! Datagrams of an Exporting Process through a pipeline: what is counted, what is not, and that every direction of every
//! record is accounted for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::record::{Interfaces, Sampling};
use flowproto::{Address, FlowRecord};
use kipfix_collector::aggregate::{
    EdgeSink, EdgeTable, SeriesChunks, SeriesSettings, SeriesTable, ShownValues,
};
use kipfix_collector::clock::Now;
use kipfix_collector::emit::OverflowPolicy;
use kipfix_collector::emit::flow_log::{FlowLog, FlowLogTarget};
use kipfix_collector::inventory;
use kipfix_collector::inventory::external::ExternalWatcher;
use kipfix_collector::outputs::{OutputCounts, Outputs};
use kipfix_collector::pipeline::{
    CountedDirection, ExporterPolicies, ExporterPolicy, ObserverTimeouts, Pipeline,
    PipelineContext, PipelineSettings, Reason, RecordCounts, RecordPolicy,
};
use kipfix_collector::receive::Ingest;
use kipfix_collector::settings::Settings;
use kipfix_collector::snapshots::SnapshotStore;
use kipfix_service::exposition::{Chunks, Format};
use kipfix_service::signals::Stop;

const INVENTORY: &str = "
nodes:
- {name: node-a, addresses: [10.9.0.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
- {name: node-b, addresses: [10.9.0.2], podCIDRs: [10.1.2.0/24], zone: z2, region: r1}
pods:
- {name: web-1, namespace: shop, addresses: [10.1.1.10], node: node-a, workload: {kind: Deployment, name: web}}
- {name: db-0, namespace: shop, addresses: [10.1.2.10], node: node-b, workload: {kind: StatefulSet, name: db}}
- {name: log-1, namespace: ops, addresses: [10.1.1.11], node: node-a, workload: {kind: DaemonSet, name: log}}
services:
- {name: web, namespace: shop, addresses: [10.96.0.10]}
cidrs:
- {cidr: 192.0.2.0/24, name: office}
";
const WEB: &str = "10.1.1.10";
const DB: &str = "10.1.2.10";
const LOG: &str = "10.1.1.11";
const NODE_A: &str = "10.9.0.1";
const NODE_B: &str = "10.9.0.2";
const OFFICE: &str = "192.0.2.7";

const START: u64 = 1_700_000_000_000;
const WAIT: u64 = 10_000;
const ACTIVE: u64 = 60_000;
const SILENCE: u64 = WAIT + ACTIVE;

fn address(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().unwrap())
}

fn record(source: &str, destination: &str, octets: u64) -> FlowRecord {
    let mut record = FlowRecord {
        octet_delta_count: octets,
        packet_delta_count: octets / 100,
        new_connection_delta_count: Some(1),
        flow_start_milliseconds: START - 1000,
        flow_end_milliseconds: START,
        ..FlowRecord::default()
    };
    record.key.source_address = address(source);
    record.key.destination_address = address(destination);
    record.key.protocol_identifier = 6;
    record
}

/// A probe that reports its node, or an exporter that reports nothing of itself.
struct Exporter {
    session: ExportSession,
    address: SocketAddr,
}

impl Exporter {
    fn new(name: &str, address: &str) -> Self {
        let settings = ExportSettings {
            observation_domain_id: 1,
            observation_domain_name: name.to_owned(),
            ..ExportSettings::default()
        };
        Self {
            session: ExportSession::new(settings),
            address: SocketAddr::new(address.parse().unwrap(), 40_000),
        }
    }

    fn export(&mut self, pipeline: &mut Pipeline<Outputs>, records: &[FlowRecord], now: u64) {
        let exporter = self.address;
        let mut send = |message: flowproto::exporter::OutgoingMessage<'_>| {
            pipeline.datagram(exporter, message.octets, Now::of_packet(now));
        };
        for record in records {
            self.session.add(record, now, &mut send).unwrap();
        }
        self.session.flush(now, &mut send);
        pipeline.flush();
    }
}

struct Collector {
    pipeline: Pipeline<Outputs>,
    store: Arc<SnapshotStore>,
    series: Arc<SeriesTable>,
    log: FlowLog,
    folder: tempfile::TempDir,
}

fn settings() -> PipelineSettings {
    Settings::default().pipeline(Some(START))
}

fn offline() -> PipelineSettings {
    PipelineSettings {
        started_milliseconds: None,
        ..settings()
    }
}

fn collector(settings: PipelineSettings) -> Collector {
    collector_with(settings, 1000, ExporterPolicies::default())
}

fn collector_with(
    settings: PipelineSettings,
    max_edges: usize,
    policies: ExporterPolicies,
) -> Collector {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yaml");
    std::fs::write(&path, INVENTORY).unwrap();
    let mut inventory = inventory::file::read(&path, inventory::Bounds::default()).unwrap();
    let sources = Settings::default().external_sources(inventory.cidrs);
    let external = ExternalWatcher::new(&sources).unwrap().published();
    let families = Settings::default().families().unwrap();
    let series = Arc::new(SeriesTable::new(&families, SeriesSettings::default()));
    let index = inventory.writer.current();
    let store = Arc::new(SnapshotStore::new(index, external, ""));
    let timeouts = ObserverTimeouts {
        wait_milliseconds: WAIT,
        active_milliseconds: ACTIVE,
    };
    let context = PipelineContext {
        policies: Arc::new(policies),
        ..PipelineContext::new(Arc::clone(&store), timeouts)
    };
    let target = FlowLogTarget::File(folder.path().join("flows.json"));
    let stop = Stop::new().unwrap();
    let log = FlowLog::open(&target, 1 << 20, OverflowPolicy::Block, &stop).unwrap();
    let outputs = Outputs {
        flow_log: Some(log.sink()),
        ..Outputs::new(EdgeSink::new(max_edges, Arc::clone(&series)))
    };
    Collector {
        pipeline: Pipeline::new(settings, context, outputs),
        store,
        series,
        log,
        folder,
    }
}

/// What a collector leaves.
struct End {
    counts: RecordCounts,
    outputs: OutputCounts,
    scrape: String,
    lines: Vec<serde_json::Value>,
}

impl Collector {
    fn end(mut self) -> End {
        self.pipeline.finish();
        let mut edges = EdgeTable::new(16);
        let outputs = self.pipeline.sinks_mut().drain(&mut edges);
        let counts = self.pipeline.counts();
        self.series
            .merge(&self.store.load(), &edges, Now::of_packet(START));
        self.log.finish(None);
        let mut chunks = SeriesChunks::new(self.series, Format::Text, ShownValues::Final);
        let mut scrape = Vec::new();
        let mut is_more = true;
        while is_more {
            let mut chunk = Vec::new();
            is_more = chunks.write_chunk(&mut chunk);
            scrape.append(&mut chunk);
        }
        let lines = std::fs::read_to_string(self.folder.path().join("flows.json")).unwrap();
        let end = End {
            counts: counts.records,
            outputs,
            scrape: String::from_utf8(scrape).unwrap(),
            lines: lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        };
        let c = end.counts;
        assert_eq!(counts.decoding.records, c.records);
        assert_eq!(
            c.records + c.reverse_directions,
            c.counted + c.not_counted.iter().sum::<u64>()
        );
        assert_eq!((c.pending, c.pending_octets, c.unconfirmed), (0, 0, 0));
        let ignored = end.not_counted(Reason::Ignore);
        assert_eq!(u64::try_from(end.lines.len()).unwrap(), c.records - ignored);
        end
    }
}

impl End {
    fn not_counted(&self, reason: Reason) -> u64 {
        self.counts.not_counted(reason)
    }

    /// Sum of a family.
    fn sum(&self, family: &str) -> u64 {
        self.scrape
            .lines()
            .filter(|line| line.starts_with(&format!("{family}{{")))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }

    fn counted(&self) -> Vec<bool> {
        self.lines
            .iter()
            .map(|line| line["counted"].as_bool().unwrap())
            .collect()
    }
}

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
fn a_record_counts_after_its_wait_if_the_sources_node_stays_silent() {
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

#[test]
fn traffic_within_a_node_is_left_out_and_logged() {
    for intra_node in [false, true] {
        let mut collector = collector(PipelineSettings {
            intra_node,
            ..settings()
        });
        let mut a = Exporter::new("node-a", "172.16.0.1");
        let inside = [record(WEB, LOG, 100), record(WEB, NODE_A, 100)];
        a.export(&mut collector.pipeline, &inside, START);
        let end = collector.end();
        let left_out = end.not_counted(Reason::IntraNode);
        assert_eq!(left_out, if intra_node { 0 } else { 2 });
        assert_eq!(
            end.sum("kipfix_bytes_total"),
            if intra_node { 200 } else { 0 }
        );
        assert_eq!(end.lines[1]["trafficClass"], "intra_node");
    }
}

#[test]
fn a_record_without_octets_and_packets_is_not_counted() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", "172.16.0.1");
    a.export(&mut collector.pipeline, &[record(WEB, DB, 0)], START);
    let end = collector.end();
    assert_eq!(
        (end.not_counted(Reason::NoCounters), end.counts.counted),
        (1, 0)
    );
    assert_eq!(end.lines.len(), 1);
}

#[test]
fn a_full_edge_table_is_drained_and_nothing_is_lost() {
    let mut collector = collector_with(settings(), 2, ExporterPolicies::default());
    let mut a = Exporter::new("node-a", "172.16.0.1");
    let to = [DB, NODE_B, OFFICE, "198.51.100.9", DB, OFFICE];
    let records: Vec<FlowRecord> = to.iter().map(|to| record(WEB, to, 100)).collect();
    a.export(&mut collector.pipeline, &records, START);
    let end = collector.end();
    assert!(end.outputs.full_drains > 0);
    assert_eq!(end.sum("kipfix_bytes_total"), 600);
    assert_eq!(end.sum("kipfix_connections_total"), 6);
}

#[test]
fn connections_are_taken_from_flows_only_by_the_setting() {
    for (from_flows, connections) in [(false, 0), (true, 1)] {
        let mut collector = collector(PipelineSettings {
            connections_from_flows: from_flows,
            ..settings()
        });
        let exporter = SocketAddr::new(NODE_A.parse().unwrap(), 2055);
        let datagram = biflow(WEB, DB, [100, 1, 0, 0]);
        collector
            .pipeline
            .datagram(exporter, &datagram, Now::of_packet(START));
        assert_eq!(collector.end().sum("kipfix_connections_total"), connections);
    }
}

/// An IPFIX Message by hand: template 256 with these fields, and one record of these octets.
fn message(fields: &[(u16, u16, u32)], values: &[u8]) -> Vec<u8> {
    let mut template = Vec::new();
    for (id, length, enterprise) in fields {
        let bit = if *enterprise == 0 { 0 } else { 0x8000 };
        template.extend((id | bit).to_be_bytes());
        template.extend(length.to_be_bytes());
        if *enterprise != 0 {
            template.extend(enterprise.to_be_bytes());
        }
    }
    let short = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
    let mut out = vec![0, 10];
    out.extend(short(16 + 8 + template.len() + 4 + values.len()));
    out.extend(1_700_000_000_u32.to_be_bytes());
    out.extend([0; 8]);
    out.extend([0, 2]);
    out.extend(short(8 + template.len()));
    out.extend([1, 0]);
    out.extend(short(fields.len()));
    out.extend(template);
    out.extend([1, 0]);
    out.extend(short(4 + values.len()));
    out.extend(values);
    out
}

const BIFLOW: [(u16, u16, u32); 6] = [
    (8, 4, 0),
    (12, 4, 0),
    (1, 4, 0),
    (2, 4, 0),
    (1, 4, 29305),
    (2, 4, 29305),
];

fn biflow(source: &str, destination: &str, counters: [u32; 4]) -> Vec<u8> {
    let mut values = Vec::new();
    for end in [source, destination] {
        values.extend(address(end).v4_bits().to_be_bytes());
    }
    for counter in counters {
        values.extend(counter.to_be_bytes());
    }
    message(&BIFLOW, &values)
}

#[test]
fn each_direction_of_a_biflow_counts_by_its_own_authoritative_observer() {
    let mut collector = collector(settings());
    // Both nodes are observed. Each exports the conversation as a biflow and takes its own pod for the source.
    for (node, source, destination, counters) in [
        (NODE_A, WEB, DB, [1000, 10, 300, 3]),
        (NODE_B, DB, WEB, [300, 3, 1000, 10]),
        (NODE_A, WEB, DB, [1, 1, 2, 2]),
    ] {
        let exporter = SocketAddr::new(node.parse().unwrap(), 2055);
        let datagram = biflow(source, destination, counters);
        collector
            .pipeline
            .datagram(exporter, &datagram, Now::of_packet(START));
    }
    let end = collector.end();
    assert_eq!((end.counts.records, end.counts.reverse_directions), (3, 3));
    // Node B was not observed before the first record: its direction waited and was not counted.
    assert_eq!(
        (end.counts.counted, end.not_counted(Reason::OtherObserver)),
        (3, 3)
    );
    assert_eq!(end.sum("kipfix_bytes_total"), 1301);
    assert_eq!(end.sum("kipfix_packets_total"), 14);
}

#[test]
fn sampling_scales_the_scrape_and_leaves_the_flow_log_raw() {
    let mut collector = collector(settings());
    let fields = [(8, 4, 0), (12, 4, 0), (1, 4, 0), (2, 4, 0), (34, 4, 0)];
    let mut values = Vec::new();
    for end in [WEB, DB] {
        values.extend(address(end).v4_bits().to_be_bytes());
    }
    for number in [1000_u32, 10, 100] {
        values.extend(number.to_be_bytes());
    }
    let exporter = SocketAddr::new(NODE_A.parse().unwrap(), 2055);
    collector
        .pipeline
        .datagram(exporter, &message(&fields, &values), Now::of_packet(START));
    let end = collector.end();
    assert_eq!(
        end.sum("kipfix_bytes_total"),
        Sampling::one_in(100).scale(1000)
    );
    assert_eq!(end.sum("kipfix_packets_total"), 1000);
    assert_eq!(end.lines[0]["octetDeltaCount"], 1000);
}

#[test]
fn of_two_records_of_an_exporter_the_one_of_the_chosen_direction_counts() {
    let passing = |direction| {
        let mut record = record(OFFICE, WEB, 1000);
        record.interfaces = Some(Interfaces {
            ingress_interface: 1,
            egress_interface: 2,
            flow_direction: Some(direction),
        });
        record
    };
    let seen = [passing(0), passing(1)];
    for (of_routers, of_nodes, counted) in [
        (None, None, [true, true, true, true]),
        (Some(0), None, [true, false, true, true]),
        (None, Some(0), [true, true, true, false]),
        (Some(1), Some(0), [false, true, true, false]),
    ] {
        let mut settings = settings();
        settings.flow_direction = of_routers;
        settings.node_flow_direction = of_nodes;
        let mut collector = collector(settings);
        Exporter::new("", "203.0.113.1").export(&mut collector.pipeline, &seen, START);
        Exporter::new("node-a", NODE_A).export(&mut collector.pipeline, &seen, START);
        let end = collector.end();
        let count = counted.iter().map(|is| u64::from(*is)).sum::<u64>();
        assert_eq!(end.counted(), counted);
        assert_eq!(
            (end.counts.counted, end.not_counted(Reason::OtherDirection)),
            (count, 4 - count)
        );
        assert_eq!(end.sum("kipfix_bytes_total"), count * 1000);
    }
}

fn with_policy(records: RecordPolicy) -> Collector {
    let policy = ExporterPolicy {
        records,
        ..ExporterPolicy::default()
    };
    let policies = ExporterPolicies::new([("198.51.100.0/24".parse().unwrap(), policy)]);
    collector_with(offline(), 1000, policies)
}

#[test]
fn the_record_of_a_router_informs_where_a_node_of_its_flow_is_observed() {
    for first_is_router in [true, false] {
        let mut collector = collector(offline());
        let mut router = Exporter::new("edge-router", "198.51.100.1");
        let mut a = Exporter::new("node-a", "172.16.0.1");
        // The router samples, and it sees traffic that no probe sees.
        let of_router = [
            record(WEB, OFFICE, 700),
            record(OFFICE, WEB, 500),
            record(OFFICE, "198.51.100.9", 90),
            record(OFFICE, DB, 40),
        ];
        let of_node = [record(WEB, OFFICE, 720), record(OFFICE, WEB, 530)];
        if first_is_router {
            router.export(&mut collector.pipeline, &of_router, START);
        }
        a.export(&mut collector.pipeline, &of_node, START + 100);
        if !first_is_router {
            router.export(&mut collector.pipeline, &of_router, START);
        }
        let end = collector.end();
        assert_eq!(end.not_counted(Reason::OtherObserver), 2);
        assert_eq!(end.counts.counted, 4);
        assert_eq!(end.sum("kipfix_bytes_total"), 720 + 530 + 90 + 40);
        assert_eq!(end.counts.external_exporter, 4);
    }
}

#[test]
fn the_policy_of_a_router_decides_on_its_records() {
    for (records, bytes, reason) in [
        (RecordPolicy::Auto, 720, Some(Reason::OtherObserver)),
        (RecordPolicy::Count, 720 + 700, None),
        (RecordPolicy::Inform, 720, Some(Reason::Inform)),
        (RecordPolicy::Ignore, 720, Some(Reason::Ignore)),
    ] {
        let mut collector = with_policy(records);
        let mut a = Exporter::new("node-a", "172.16.0.1");
        let mut router = Exporter::new("edge-router", "198.51.100.1");
        a.export(&mut collector.pipeline, &[record(WEB, OFFICE, 720)], START);
        router.export(&mut collector.pipeline, &[record(WEB, OFFICE, 700)], START);
        let end = collector.end();
        assert_eq!(end.sum("kipfix_bytes_total"), bytes, "{records:?}");
        if let Some(reason) = reason {
            assert_eq!(end.not_counted(reason), 1, "{records:?}");
        }
    }
}

#[test]
fn a_policy_sets_sampling_and_direction_of_an_exporter() {
    let policy = |address: &str, policy| (format!("{address}/32").parse().unwrap(), policy);
    let policies = ExporterPolicies::new([
        policy(
            "198.51.100.1",
            ExporterPolicy {
                sampling: Some(1000),
                direction: CountedDirection::Only(1),
                ..ExporterPolicy::default()
            },
        ),
        policy(
            "198.51.100.2",
            ExporterPolicy {
                default_sampling: Some(50),
                ..ExporterPolicy::default()
            },
        ),
    ]);
    let mut settings = offline();
    settings.flow_direction = Some(0);
    let mut collector = collector_with(settings, 1000, policies);
    let passing = |direction| {
        let mut record = record(OFFICE, "203.0.113.5", 100);
        record.interfaces = Some(Interfaces {
            ingress_interface: 1,
            egress_interface: 2,
            flow_direction: Some(direction),
        });
        record
    };
    for exporter in ["198.51.100.1", "198.51.100.2"] {
        let mut router = Exporter::new("", exporter);
        router.export(&mut collector.pipeline, &[passing(0), passing(1)], START);
    }
    let end = collector.end();
    assert_eq!(end.counted(), [false, true, true, false]);
    assert_eq!(end.sum("kipfix_bytes_total"), 100 * 1000 + 100 * 50);
    assert_eq!(end.sum("kipfix_packets_total"), 1000 + 50);
}

/// A record of packets from `start` to `end`.
fn record_at(octets: u64, start: u64, end: u64) -> FlowRecord {
    FlowRecord {
        flow_start_milliseconds: start,
        flow_end_milliseconds: end,
        ..record(WEB, DB, octets)
    }
}

#[test]
fn when_the_probe_of_the_sources_node_dies_the_other_record_counts_by_the_packets_time() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", "172.16.0.1");
    let mut b = Exporter::new("node-b", "172.16.0.2");
    let pipeline = &mut collector.pipeline;
    // Both report an hour after the start. Then node A is silent.
    let t = START + 3_600_000;
    a.export(pipeline, &[record_at(1000, t - 30_000, t - 1000)], t);
    b.export(pipeline, &[record_at(1000, t - 30_000, t - 1000)], t);
    // Packets that ended before its last Message were observed there, although this record arrives late.
    b.export(pipeline, &[record_at(10, t - 5000, t - 2000)], t + 100);
    // Packets that ended a moment later may have been observed, too.
    b.export(pipeline, &[record_at(20, t - 1000, t + 5000)], t + 5000);
    assert_eq!(pipeline.counts().records.unconfirmed, 1);
    // These were not, but that is known only when a Message of node A would have had to arrive.
    let late = t + WAIT + 1000;
    b.export(pipeline, &[record_at(300, late - 500, late)], late);
    assert_eq!(pipeline.counts().records.pending, 1);
    for second in 0..=SILENCE / 1000 + 1 {
        let now = t + WAIT + second * 1000;
        b.export(pipeline, &[], now);
        pipeline.tick(Now::of_packet(now));
    }
    assert_eq!(pipeline.counts().records.pending, 0);
    assert_eq!(pipeline.counts().records.unconfirmed, 0);
    // From now on the record of node B counts at once.
    let later = t + 300_000;
    b.export(pipeline, &[record_at(5000, later - 60_000, later)], later);
    assert_eq!(pipeline.counts().records.pending, 0);

    let end = collector.end();
    assert_eq!(end.not_counted(Reason::OtherObserver), 2);
    assert_eq!(end.not_counted(Reason::ObserverLost), 1);
    assert_eq!(end.sum("kipfix_bytes_total"), 1000 + 300 + 5000);
}

#[test]
fn when_a_probe_is_back_what_it_missed_counts_by_the_other_record() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", "172.16.0.1");
    let mut b = Exporter::new("node-b", "172.16.0.2");
    let pipeline = &mut collector.pipeline;
    let t = START + 3_600_000;
    a.export(pipeline, &[record_at(1000, t - 1000, t)], t);
    let back = t + 10 * SILENCE;
    a.export(pipeline, &[record_at(70, back - 100, back)], back);
    // Records of the other observer that arrive after that: of the silence, and of the time since.
    b.export(
        pipeline,
        &[record_at(400, back - 60_000, back - 20_000)],
        back,
    );
    b.export(pipeline, &[record_at(70, back - 100, back - 1)], back);
    let end = collector.end();
    assert_eq!(end.sum("kipfix_bytes_total"), 1000 + 70 + 400);
    assert_eq!(end.not_counted(Reason::OtherObserver), 1);
}

#[test]
fn a_collector_that_starts_while_a_node_is_silent_counts_after_the_observer_wait() {
    let mut collector = collector(settings());
    let mut b = Exporter::new("node-b", "172.16.0.2");
    let pipeline = &mut collector.pipeline;
    b.export(
        pipeline,
        &[record_at(1000, START, START + 1000)],
        START + 1000,
    );
    assert_eq!(pipeline.counts().records.pending, 1);
    pipeline.tick(Now::of_packet(START + 1000 + WAIT));
    assert_eq!(pipeline.counts().records.pending, 0);
    let after = START + SILENCE;
    b.export(pipeline, &[record_at(500, after - 1000, after)], after);
    assert_eq!(pipeline.counts().records.pending, 0);
    assert_eq!(collector.end().sum("kipfix_bytes_total"), 1500);
}
