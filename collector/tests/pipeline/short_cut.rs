//! Records that are counted by their traffic alone, against the same records on the way of all
//! others.

use std::net::SocketAddr;
use std::sync::Arc;

use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, OutgoingMessage, Unsupported, Version,
};
use flowproto::host_name::{HostNames, NameSource, ResponderName};
use flowproto::record::{BiflowDirection, Interfaces, Sampling};
use flowproto::{Address, FlowRecord};
use kipfix_collector::aggregate::{
    EdgeSink, EdgeTable, Preset, SeriesChunks, SeriesSettings, SeriesTable, ShownValues,
};
use kipfix_collector::clock::Now;
use kipfix_collector::inventory::{
    self, AddressKey, Bounds, Endpoint, EndpointId, EndpointKind, IndexWriter,
};
use kipfix_collector::outputs::Outputs;
use kipfix_collector::pipeline::{
    CountedDirection, DecidedRecord, ExporterPolicies, ExporterPolicy, Measures, ObserverTimeouts,
    Pipeline, PipelineContext, PipelineSettings, RecordPolicy, Sinks,
};
use kipfix_collector::receive::Ingest;
use kipfix_collector::settings::Settings;
use kipfix_collector::snapshots::{SnapshotStore, Snapshots};
use kipfix_service::exposition::{Chunks, Format};
use proptest::prelude::*;

use crate::harness::{
    ACTIVE, DB, INVENTORY, LOG, NODE_A, NODE_B, OFFICE, START, WAIT, WEB, WEB_V6, address, record,
    settings,
};

/// Outputs that count, and how often the short cut was taken.
struct Counted {
    outputs: Outputs,
    allows_short_cut: bool,
    short_cuts: u64,
}

impl Sinks for Counted {
    fn need_whole_record(&mut self) -> bool {
        self.outputs.need_whole_record()
    }

    fn need_details(&self) -> bool {
        self.outputs.need_details()
    }

    fn need_interfaces(&self) -> bool {
        self.outputs.need_interfaces()
    }

    fn need_health(&self) -> bool {
        self.outputs.need_health()
    }

    fn need_comparison(&self) -> bool {
        self.outputs.need_comparison()
    }

    fn need_traffic_only(&self) -> bool {
        self.allows_short_cut && self.outputs.need_traffic_only()
    }

    fn count(&mut self, source: EndpointId, destination: EndpointId, measures: Measures) {
        self.short_cuts += 1;
        self.outputs.count(source, destination, measures);
    }

    fn replicate(&mut self, exporter: SocketAddr, octets: &[u8]) {
        self.outputs.replicate(exporter, octets);
    }

    fn accept(&mut self, record: &DecidedRecord<'_>, snapshots: &Snapshots) {
        self.outputs.accept(record, snapshots);
    }

    fn end_block(&mut self, snapshots: &Snapshots, now: Now) {
        self.outputs.end_block(snapshots, now);
    }

    fn flush(&mut self, now: Now) {
        self.outputs.flush(now);
    }
}

/// A collector with or without the short cut.
struct Side {
    pipeline: Pipeline<Counted>,
    series: Arc<SeriesTable>,
}

/// Both collectors, with one inventory.
struct Sides {
    with: Side,
    without: Side,
    store: Arc<SnapshotStore>,
    writer: IndexWriter,
    /// Pods that the test has added, with their address.
    pods: Vec<(AddressKey, EndpointId)>,
    now: u64,
}

impl Sides {
    fn new(settings: PipelineSettings, policies: &ExporterPolicies, presets: &[Preset]) -> Self {
        let mut writer = inventory::file::parse(INVENTORY, Bounds::default())
            .unwrap()
            .writer;
        let store = Arc::new(SnapshotStore::new(writer.current(), Arc::default(), ""));
        let side = |allows_short_cut| {
            let mut families = Settings::default();
            families.metrics.preset = presets.to_vec();
            let families = families.families().unwrap();
            let series = Arc::new(SeriesTable::new(&families, SeriesSettings::default()));
            let timeouts = ObserverTimeouts {
                wait_milliseconds: WAIT,
                active_milliseconds: ACTIVE,
            };
            let context = PipelineContext {
                policies: Arc::new(policies.clone()),
                ..PipelineContext::new(Arc::clone(&store), timeouts)
            };
            let sinks = Counted {
                outputs: Outputs::new(EdgeSink::new(5, Arc::clone(&series))),
                allows_short_cut,
                short_cuts: 0,
            };
            Side {
                pipeline: Pipeline::new(settings, context, sinks),
                series,
            }
        };
        Self {
            with: side(true),
            without: side(false),
            store: Arc::clone(&store),
            writer,
            pods: Vec::new(),
            now: START,
        }
    }

    fn receive(&mut self, exporter: SocketAddr, datagrams: &[Vec<u8>]) {
        let now = Now::of_packet(self.now);
        for side in [&mut self.with, &mut self.without] {
            for octets in datagrams {
                side.pipeline.datagram(exporter, octets, now);
                side.pipeline.flush();
            }
        }
        self.check();
    }

    fn tick(&mut self) {
        for side in [&mut self.with, &mut self.without] {
            side.pipeline.tick(Now::of_packet(self.now));
        }
        self.check();
    }

    /// Moves an address to another pod, or takes it from its pod.
    fn churn(&mut self, address: Address, is_new: bool) {
        let key = AddressKey::address(address);
        let same = self.pods.iter().position(|(pod_key, _)| *pod_key == key);
        if let Some(at) = same {
            let (_, pod) = self.pods.remove(at);
            self.writer.unassign(key, pod, self.now);
        }
        if is_new {
            let node = self.writer.node_named("node-b");
            let pod = self.writer.add_endpoint(Endpoint {
                kind: EndpointKind::Pod,
                workload_name: format!("workload-{}", self.now % 7).into(),
                node,
                ..Endpoint::default()
            });
            self.writer.assign(key, pod, self.now, 0);
            self.pods.push((key, pod));
        }
        self.store.publish(self.writer.current());
    }

    fn check(&self) {
        let [with, without] = [&self.with, &self.without].map(|side| side.pipeline.counts());
        assert_eq!(with.records, without.records);
        assert_eq!(with.decoding, without.decoding);
    }

    /// Ends both. Returns the number of short cuts.
    fn end(mut self) -> u64 {
        let now = Now::of_packet(self.now);
        for side in [&mut self.with, &mut self.without] {
            side.pipeline.finish();
        }
        self.check();
        let reports = [&self.with, &self.without].map(|side| {
            let reports = side.pipeline.domains();
            reports
                .map(|report| format!("{report:?}"))
                .collect::<Vec<_>>()
        });
        assert_eq!(reports[0], reports[1]);
        let snapshots = self.store.load();
        let scrapes = [&mut self.with, &mut self.without].map(|side| {
            let (mut edges, mut open) = (EdgeTable::new(16), Vec::new());
            let outputs = &mut side.pipeline.sinks_mut().outputs;
            outputs.drain(now, &mut edges, &mut open);
            side.series.merge(&snapshots, &edges, now);
            let series = Arc::clone(&side.series);
            let mut chunks = SeriesChunks::new(series, Format::Text, ShownValues::Final);
            let (mut scrape, mut is_more) = (Vec::new(), true);
            while is_more {
                let mut chunk = Vec::new();
                is_more = chunks.write_chunk(&mut chunk);
                scrape.append(&mut chunk);
            }
            let scrape = String::from_utf8(scrape).unwrap();
            let mut lines: Vec<String> = scrape.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        });
        assert_eq!(scrapes[0], scrapes[1]);
        assert_eq!(self.without.pipeline.sinks().short_cuts, 0);
        self.with.pipeline.sinks().short_cuts
    }
}

/// What happens in a test.
#[derive(Clone, Debug)]
enum Step {
    /// An exporter sends records.
    Export(usize, Vec<RecordShape>),
    /// An exporter announces the sampling of one in N from now on.
    Sample(usize, u32),
    /// An exporter starts again.
    Restart(usize),
    /// An address is assigned to another pod, or to none.
    Churn(usize, bool),
    /// Time passes, milliseconds.
    Pass(u64),
}

#[derive(Clone, Debug)]
struct RecordShape {
    ends: (usize, usize),
    octets: u64,
    /// Time since the last packet; `None` without times.
    age: Option<u64>,
    direction: Option<u8>,
    connections: Option<u32>,
    is_biflow: bool,
    has_name: bool,
    /// 136, 239 and 279.
    end: (u8, Option<u8>, u64),
}

const ADDRESSES: [&str; 13] = [
    WEB,
    DB,
    LOG,
    NODE_A,
    NODE_B,
    OFFICE,
    WEB_V6,
    "10.1.1.77",
    "10.1.2.77",
    "10.96.0.10",
    "169.254.1.1",
    "2001:db8::5",
    "::",
];

fn record_of(shape: &RecordShape, now: u64) -> FlowRecord {
    let (source, destination) = shape.ends;
    let mut record = record(ADDRESSES[source], ADDRESSES[destination], shape.octets);
    record.new_connection_delta_count = shape.connections;
    let end = shape.age.map_or(0, |age| now - age);
    record.flow_end_milliseconds = end;
    record.flow_start_milliseconds = end.saturating_sub(900);
    record.interfaces = shape.direction.map(|direction| Interfaces {
        ingress_interface: 3,
        egress_interface: 4,
        flow_direction: Some(direction),
    });
    let (reason, direction, seconds) = shape.end;
    record.flow_end_reason = reason.into();
    record.biflow_direction = direction.and_then(BiflowDirection::from_repr);
    record.connection_sum_duration_seconds = Some(seconds);
    record.responder_name = shape.has_name.then(|| ResponderName {
        name: HostNames::default().intern(b"example.org").unwrap(),
        source: NameSource::Tls,
    });
    record.tcp_health.retransmitted_packets = u32::from(reason == 4);
    if shape.is_biflow {
        record.reverse_octet_delta_count = 40;
        record.reverse_packet_delta_count = 1;
    }
    record
}

fn shapes() -> impl Strategy<Value = RecordShape> {
    (
        (0..ADDRESSES.len(), 0..ADDRESSES.len()),
        prop_oneof![Just(0), 1..1_000_000_u64],
        proptest::option::weighted(0.9, 0..100_000_u64),
        proptest::option::weighted(0.4, 0..2_u8),
        proptest::option::weighted(0.7, 0..3_u32),
        (proptest::bool::weighted(0.1), proptest::bool::weighted(0.2)),
        (
            0..5_u8,
            proptest::option::of(0..3_u8),
            prop_oneof![4 => Just(0), 1 => 1..9_u64],
        ),
    )
        .prop_map(
            |(ends, octets, age, direction, connections, (is_biflow, has_name), end)| RecordShape {
                ends,
                octets,
                age,
                direction,
                connections,
                is_biflow,
                has_name,
                end,
            },
        )
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..EXPORTERS, proptest::collection::vec(shapes(), 0..25))
            .prop_map(|(exporter, records)| Step::Export(exporter, records)),
        1 => (0..EXPORTERS, 1..200_u32).prop_map(|(exporter, n)| Step::Sample(exporter, n)),
        1 => (0..EXPORTERS).prop_map(Step::Restart),
        2 => (0..ADDRESSES.len(), any::<bool>()).prop_map(|(at, is_new)| Step::Churn(at, is_new)),
        2 => prop_oneof![0..2000_u64, 0..90_000_u64].prop_map(Step::Pass),
    ]
}

const EXPORTERS: usize = 6;

/// Probes on both nodes, routers of each version, and one with a policy.
fn session(number: usize) -> (ExportSession, SocketAddr) {
    let (name, version, host) = [
        ("node-a", Version::Ipfix, [172, 16, 0, 1]),
        ("node-b", Version::Ipfix, [172, 16, 0, 2]),
        ("", Version::Ipfix, [172, 16, 0, 3]),
        ("", Version::Netflow9, [172, 16, 0, 4]),
        ("", Version::Netflow5, [172, 16, 0, 5]),
        ("", Version::Netflow9, [172, 16, 9, 6]),
    ][number];
    let settings = ExportSettings {
        version,
        observation_domain_id: 1,
        observation_domain_name: name.to_owned(),
        ..ExportSettings::default()
    };
    (
        ExportSession::new(settings),
        SocketAddr::from((host, 40_000)),
    )
}

fn policies(records: RecordPolicy, sampling: Option<u32>) -> ExporterPolicies {
    let policy = ExporterPolicy {
        records,
        direction: Some(CountedDirection::Egress),
        sampling,
        default_sampling: Some(7),
    };
    ExporterPolicies::new([("172.16.9.0/24".parse().unwrap(), policy)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_short_cut_counts_as_the_long_way(
        steps in proptest::collection::vec(steps(), 1..50),
        (is_live, intra_node, connections_from_flows) in any::<(bool, bool, bool)>(),
        flow_direction in prop_oneof![
            Just(CountedDirection::Both),
            Just(CountedDirection::Ingress),
            Just(CountedDirection::Egress),
        ],
        policy in prop_oneof![
            Just(RecordPolicy::Auto),
            Just(RecordPolicy::Count),
            Just(RecordPolicy::Inform),
            Just(RecordPolicy::Ignore),
        ],
        sampling in proptest::option::of(1..50_u32),
        (has_health, has_names, has_services) in any::<(bool, bool, bool)>(),
    ) {
        let settings = PipelineSettings {
            intra_node,
            connections_from_flows,
            flow_direction,
            started_milliseconds: is_live.then_some(START - 2 * ACTIVE),
            ..settings()
        };
        let mut presets = Preset::DEFAULT.to_vec();
        presets.extend(has_health.then_some(Preset::Health));
        presets.extend(has_names.then_some(Preset::External));
        presets.extend(has_services.then_some(Preset::Services));
        let mut sides = Sides::new(settings, &policies(policy, sampling), &presets);
        let mut sessions: Vec<_> = (0..EXPORTERS).map(session).collect();
        for step in steps {
            match step {
                Step::Export(number, records) => {
                    let (session, address) = &mut sessions[number];
                    let (now, mut sent) = (sides.now, Vec::new());
                    let mut send = |message: OutgoingMessage<'_>| sent.push(message.octets.to_vec());
                    for shape in records {
                        if let Err(error) = session.add(&record_of(&shape, now), now, &mut send) {
                            prop_assert_eq!(error, Unsupported::Ipv6);
                        }
                    }
                    session.flush(now, &mut send);
                    sides.receive(*address, &sent);
                }
                Step::Sample(number, n) => {
                    let facts = Facts {
                        sampling: Sampling::one_in(n),
                        ..Facts::default()
                    };
                    sessions[number].0.renew(facts);
                    sessions[number].0.refresh();
                }
                Step::Restart(number) => sessions[number] = session(number),
                Step::Churn(at, is_new) => sides.churn(address(ADDRESSES[at]), is_new),
                Step::Pass(milliseconds) => {
                    sides.now += milliseconds;
                    sides.tick();
                }
            }
        }
        sides.end();
    }
}

#[test]
fn a_record_takes_the_short_cut_once_its_endpoints_are_known() {
    for version in [Version::Ipfix, Version::Netflow9, Version::Netflow5] {
        let presets = [&Preset::DEFAULT[..], &[Preset::External]].concat();
        let mut sides = Sides::new(settings(), &ExporterPolicies::default(), &presets);
        let mut session = ExportSession::new(ExportSettings {
            version,
            ..ExportSettings::default()
        });
        let mut sent = Vec::new();
        let mut send = |message: OutgoingMessage<'_>| sent.push(message.octets.to_vec());
        for _ in 0..100 {
            session
                .add(&record(WEB, DB, 100), START, &mut send)
                .unwrap();
        }
        session.flush(START, &mut send);
        sides.receive(SocketAddr::from(([172, 16, 0, 9], 40_000)), &sent);
        // Those of the first Message are looked up together.
        assert!(sides.end() >= 60, "{version:?}");
    }
}
