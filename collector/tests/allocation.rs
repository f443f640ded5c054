//! Decoding, looking up, judging, counting and logging a record allocate nothing once warm.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{Address, FlowRecord};
use kipfix_collector::aggregate::{EdgeTable, Preset, SeriesTable};
use kipfix_collector::emit::forward::{Forwarder, Which};
use kipfix_collector::emit::replicate::Replicator;
use kipfix_collector::emit::{Listening, Patience};
use kipfix_collector::inventory;
use kipfix_collector::metrics::Metrics;
use kipfix_collector::settings::Settings;
use kipfix_collector::worker::{Shared, Worker};
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

fn datagrams() -> Vec<Vec<u8>> {
    let mut session = ExportSession::new(ExportSettings {
        observation_domain_name: "node-0".into(),
        ..ExportSettings::default()
    });
    let mut sent = Vec::new();
    for number in 0..1000_u32 {
        let mut record = FlowRecord {
            octet_delta_count: 100,
            packet_delta_count: 1,
            new_connection_delta_count: Some(1),
            ..FlowRecord::default()
        };
        let [_, _, a, b] = number.to_be_bytes();
        record.key.source_address = Address::from(Ipv4Addr::new(10, 1, a, b));
        record.key.destination_address = Address::from(Ipv4Addr::new(10, 1, 3 - a, b));
        session
            .add(&record, NOW, &mut |message| {
                sent.push(message.octets.to_vec())
            })
            .unwrap();
    }
    session.flush(NOW, &mut |message| sent.push(message.octets.to_vec()));
    sent
}

#[test]
fn a_warm_worker_allocates_nothing_per_record() {
    let series = SeriesTable::new(&Preset::DEFAULT, 1000, 3_600_000);
    let shared = Arc::new(Shared::new(index(), Arc::default(), series));
    let settings = Settings::default().worker(Some(NOW - 1_000_000));
    let mut worker = Worker::new(settings, Arc::clone(&shared), None);
    let exporter = SocketAddr::from(([10, 9, 0, 0], 4739));
    let datagrams = datagrams();
    let mut spare = EdgeTable::new(settings.max_edges);
    // Two rounds, so that both edge tables have grown.
    for _ in 0..2 {
        for datagram in &datagrams {
            worker.receive(exporter, datagram, NOW);
        }
        worker.drain(&mut spare);
        shared.merge(&mut spare, NOW);
    }

    let measured = allocation_counter::measure(|| {
        for _ in 0..10 {
            // The first one announces the exporter: that is once a minute, not once a record.
            for datagram in &datagrams[1..] {
                worker.receive(exporter, datagram, NOW);
            }
            worker.drain(&mut spare);
            shared.merge(&mut spare, NOW);
        }
    });

    assert!(worker.counts().records.records > 10_000);
    assert_eq!(measured.count_total, 0, "{measured:?}");
}

#[test]
fn a_warm_worker_passes_on_without_allocating_per_record_or_datagram() {
    let series = SeriesTable::new(&Preset::DEFAULT, 1000, 3_600_000);
    let shared = Arc::new(Shared::new(index(), Arc::default(), series));
    let settings = Settings::default();
    let mut worker = Worker::new(
        settings.worker(Some(NOW - 1_000_000)),
        Arc::clone(&shared),
        None,
    );
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("udp://{}", receiver.local_addr().unwrap());
    let stop = Stop::new().unwrap();
    let metrics = Metrics::new(&settings).unwrap();
    let replica = [format!("{target}?source=own").parse().unwrap()];
    let replicator = Replicator::start(&replica, 1 << 24, Patience::Drop, &[], &stop).unwrap();
    let forwarder = Forwarder::start(
        &[target.parse().unwrap()],
        (Which::All, 1 << 16),
        (Patience::Drop, &Listening::default()),
        metrics.targets(),
        &shared,
        &stop,
    )
    .unwrap();
    worker.replicate(replicator.stage());
    worker.forward(forwarder.stage());
    let exporter = SocketAddr::from(([10, 9, 0, 0], 4739));
    let datagrams = datagrams();
    let mut spare = EdgeTable::new(settings.max_edges);
    // The templates.
    worker.receive(exporter, &datagrams[0], NOW);
    let mut round = || {
        for datagram in &datagrams[1..] {
            worker.receive(exporter, datagram, NOW);
            worker.flush();
        }
        worker.drain(&mut spare);
        shared.merge(&mut spare, NOW);
    };
    for _ in 0..20 {
        round();
    }

    // Both buffers of a queue grow with the bursts that they have seen, and that is all: how long a burst is, the
    // machine decides, so growing may go on for a while.
    let settles = (0..5).any(|_| {
        let measured = allocation_counter::measure(|| (0..20).for_each(|_| round()));
        measured.count_total <= 8
    });

    assert!(worker.counts().records.records > 30_000);
    assert!(settles, "it goes on to allocate");
    let counts = forwarder.counts();
    drop(worker);
    forwarder.finish().unwrap();
    replicator.finish(None).unwrap();
    assert_eq!(counts().queue_full, 0);
    assert!(counts().staged > 30_000);
}
