//! Decoding, resolving, deciding, counting and forwarding a record allocate nothing once warm.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::record::BiflowDirection;
use flowproto::tcp::ConnectionState;
use flowproto::{Address, FlowRecord};
use kipfix_collector::aggregate::{EdgeSink, EdgeTable, Preset, SeriesSettings, SeriesTable};
use kipfix_collector::clock::Now;
use kipfix_collector::emit::forward::{ForwardSettings, Forwarder};
use kipfix_collector::emit::replicate::Replicator;
use kipfix_collector::emit::{EmittedRecords, ListenAddresses, OverflowPolicy};
use kipfix_collector::inventory;
use kipfix_collector::metrics::Metrics;
use kipfix_collector::outputs::Outputs;
use kipfix_collector::pipeline::{Pipeline, PipelineContext};
use kipfix_collector::receive::Ingest;
use kipfix_collector::settings::Settings;
use kipfix_collector::snapshots::SnapshotStore;
use kipfix_service::signals::Stop;

const NOW: u64 = 1_700_000_000_000;

fn index() -> inventory::IndexSnapshot {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inventory.yaml");
    let mut text = String::from("nodes:\n");
    for node in 0..4 {
        text += &format!(
            "- {{name: node-{node}, addresses: [10.9.0.{node}], podCIDRs: [10.1.{node}.0/24]}}\n"
        );
    }
    std::fs::write(&path, text).unwrap();
    let mut inventory = inventory::file::read(&path, inventory::Bounds::default()).unwrap();
    inventory.writer.current()
}

/// Datagrams of an exporter: those with templates and options data, and those with flow records.
fn datagrams() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    datagrams_of(|_, _| {})
}

/// The same with more in each record.
fn datagrams_of(complete: impl Fn(u32, &mut FlowRecord)) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut session = ExportSession::new(ExportSettings {
        observation_domain_name: "node-0".into(),
        ..ExportSettings::default()
    });
    let mut sent = Vec::new();
    // Few enough for a repetition to look like late Messages, not like a restart of the exporter.
    for number in 0..700_u32 {
        let mut record = FlowRecord {
            octet_delta_count: 100,
            packet_delta_count: 1,
            new_connection_delta_count: Some(1),
            ..FlowRecord::default()
        };
        let [_, _, a, b] = number.to_be_bytes();
        record.key.source_address = Address::from(Ipv4Addr::new(10, 1, a, b));
        record.key.destination_address = Address::from(Ipv4Addr::new(10, 1, 3 - a, b));
        complete(number, &mut record);
        session
            .add(&record, NOW, &mut |message| {
                sent.push(message.octets.to_vec())
            })
            .unwrap();
    }
    session.flush(NOW, &mut |message| sent.push(message.octets.to_vec()));
    // The first Set of an announcement is a Template Set or an Options Template Set.
    sent.into_iter()
        .partition(|datagram| u16::from_be_bytes([datagram[16], datagram[17]]) < 256)
}

const MAX_EDGES: usize = 1 << 18;

/// A pipeline with the table and buffers that drain it.
struct Warm {
    pipeline: Pipeline<Outputs>,
    store: Arc<SnapshotStore>,
    series: Arc<SeriesTable>,
    spare: EdgeTable,
}

impl Warm {
    fn new(outputs: impl FnOnce(EdgeSink, &Arc<SnapshotStore>) -> Outputs) -> Self {
        Self::with(Settings::default(), outputs)
    }

    fn with(
        settings: Settings,
        outputs: impl FnOnce(EdgeSink, &Arc<SnapshotStore>) -> Outputs,
    ) -> Self {
        let families = settings.families().unwrap();
        let series = Arc::new(SeriesTable::new(&families, SeriesSettings::default()));
        let index = index();
        let store = Arc::new(SnapshotStore::new(index, Arc::default(), ""));
        let context = PipelineContext::new(Arc::clone(&store), settings.observer_timeouts());
        let settings = settings.pipeline(Some(NOW - 1_000_000));
        let outputs = outputs(EdgeSink::new(MAX_EDGES, Arc::clone(&series)), &store);
        Self {
            pipeline: Pipeline::new(settings, context, outputs),
            store,
            series,
            spare: EdgeTable::new(MAX_EDGES),
        }
    }

    fn receive(&mut self, datagrams: &[Vec<u8>]) {
        let exporter = SocketAddr::from(([10, 9, 0, 0], 4739));
        for datagram in datagrams {
            self.pipeline
                .datagram(exporter, datagram, Now::of_packet(NOW));
        }
        self.pipeline.flush();
    }

    fn drain(&mut self) {
        let (now, mut open) = (Now::of_packet(NOW), Vec::new());
        self.pipeline
            .sinks_mut()
            .drain(now, &mut self.spare, &mut open);
        let snapshots = self.store.load();
        self.series.merge(&snapshots, &self.spare, now);
        self.spare.clear();
    }

    /// Receives an announcement and datagrams, and then the datagrams again.
    fn assert_allocates_nothing(
        &mut self,
        (announcement, datagrams): &(Vec<Vec<u8>>, Vec<Vec<u8>>),
    ) {
        self.receive(announcement);
        // Two rounds, so that both edge tables have grown.
        for _ in 0..2 {
            self.receive(datagrams);
            self.drain();
        }
        let measured = allocation_counter::measure(|| {
            for _ in 0..10 {
                // An announcement allocates, once a minute and not once a record.
                self.receive(datagrams);
                self.drain();
            }
        });
        assert!(self.pipeline.counts().records.records > 8_000);
        assert_eq!(measured.count_total, 0, "{measured:?}");
    }
}

#[test]
fn a_warm_pipeline_allocates_nothing_per_record() {
    let mut warm = Warm::new(|edges, _| Outputs::new(edges));
    warm.assert_allocates_nothing(&datagrams());
}

#[test]
fn a_warm_pipeline_counts_health_and_losses_without_allocating_per_record() {
    let mut settings = Settings::default();
    settings.metrics.preset = vec![Preset::Workloads, Preset::Health, Preset::Loss];
    let mut warm = Warm::with(settings, |edges, _| Outputs::new(edges));
    let datagrams = datagrams_of(|number, record| {
        record.key.protocol_identifier = 6;
        record.biflow_direction = Some(BiflowDirection::Initiator);
        record.tcp_health.retransmitted_packets = 1;
        record.tcp_connection_state = ConnectionState::Closed;
        record.connection_sum_duration_milliseconds = 1 + u64::from(number % 50);
        record.tcp_round_trip_time.add(100 + number % 50);
    });
    warm.assert_allocates_nothing(&datagrams);
}

#[test]
fn a_warm_pipeline_forwards_and_replicates_without_allocating_per_record_or_datagram() {
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("udp://{}", receiver.local_addr().unwrap());
    let stop = Stop::new().unwrap();
    let metrics = Metrics::new(&[]).unwrap();
    let policy = OverflowPolicy::Drop;
    let replica = [format!("{target}?source=own").parse().unwrap()];
    let replicator = Replicator::start(&replica, 1 << 24, policy, &[], &stop).unwrap();
    let mut forwarder = None;
    let mut warm = Warm::new(|edges, store| {
        let settings = ForwardSettings {
            filter: EmittedRecords::All,
            queue_records: 1 << 16,
            policy,
        };
        let forwarder = forwarder.insert(
            Forwarder::start(
                &[target.parse().unwrap()],
                settings,
                &ListenAddresses::default(),
                metrics.targets(),
                store,
                &stop,
            )
            .unwrap(),
        );
        Outputs {
            forward: Some(forwarder.sink()),
            replicas: Some(replicator.sink()),
            ..Outputs::new(edges)
        }
    });
    let (announcement, datagrams) = datagrams();
    warm.receive(&announcement);
    let mut round = || {
        for datagram in &datagrams {
            warm.receive(std::slice::from_ref(datagram));
        }
        warm.drain();
    };
    for _ in 0..20 {
        round();
    }

    // Both buffers of a queue grow with the bursts that they take, and nothing else does. How long
    // a burst is depends on the machine, so growing may continue for a while.
    let is_warm = (0..5).any(|_| {
        let measured = allocation_counter::measure(|| (0..20).for_each(|_| round()));
        measured.count_total <= 8
    });

    assert!(warm.pipeline.counts().records.records > 25_000);
    assert!(is_warm, "it continues to allocate");
    let forwarder = forwarder.unwrap();
    let counts = forwarder.counts();
    drop(warm);
    forwarder.finish().unwrap();
    replicator.finish(None).unwrap();
    assert_eq!(counts().queue_full, 0);
    assert!(counts().records > 25_000);
}
