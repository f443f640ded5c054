//! The collector's whole path, from datagrams to edges.

use std::sync::{Arc, LazyLock, Mutex};

use flowproto::collector::Limits;
use kipfix_collector::aggregate::{EdgeTable, Preset, SeriesTable};
use kipfix_collector::inventory::{self, Bounds, IndexWriter};
use kipfix_collector::settings::Settings;
use kipfix_collector::worker::{Shared, Worker, WorkerSettings};

use crate::decoding::{NARROW, number};
use crate::input::{BEGAN, chunks};

/// Nodes, pods and services; 10.9.0.1 is one of the exporters that inputs know.
pub(crate) const INVENTORY: &str = "
nodes:
- {name: node-a, addresses: [10.9.0.1], podCIDRs: [10.1.1.0/24], zone: z1, region: r1}
- {name: node-b, addresses: [10.9.0.2], podCIDRs: [10.1.2.0/24], zone: z2, region: r1}
pods:
- {name: web-1, namespace: shop, addresses: [10.1.1.10], node: node-a, workload: {kind: Deployment, name: web}}
- {name: db-0, namespace: shop, addresses: [10.1.2.10], node: node-b, workload: {kind: StatefulSet, name: db}}
services:
- {name: web, namespace: shop, addresses: [10.96.0.10]}
cidrs:
- {cidr: 192.0.2.0/24, name: office}
";

static DIRECTORY: LazyLock<Mutex<IndexWriter>> = LazyLock::new(|| {
    let inventory = inventory::file::parse(INVENTORY, Bounds::default()).unwrap();
    Mutex::new(inventory.writer)
});

/// What workers share, of that inventory.
pub(crate) fn shared() -> Arc<Shared> {
    let index = DIRECTORY.lock().unwrap().current();
    let series = SeriesTable::new(&Preset::DEFAULT, 8, 3_600_000);
    Arc::new(Shared::new(index, Arc::default(), series).of_cluster("prod"))
}

/// Datagrams through a worker: each direction of each record is counted, or not for one reason, or waits;
/// what waits and the edges are within their bounds, and nothing waits at the end. The first octet chooses
/// the bounds and modes.
pub fn worker(data: &[u8]) {
    let Some((modes, data)) = data.split_first() else {
        return;
    };
    let settings = settings(*modes);
    let shared = shared();
    let mut worker = Worker::new(settings, Arc::clone(&shared), None);
    let mut now = BEGAN;
    for chunk in chunks(data) {
        now += chunk.step();
        worker.receive(chunk.exporter(), chunk.octets, now);
        check(&worker, &settings);
        if chunk.ticks() {
            worker.tick(now);
            check(&worker, &settings);
        }
    }
    worker.finish();
    check(&worker, &settings);
    assert_eq!(worker.counts().records.waiting, 0);
    let mut edges = EdgeTable::new(settings.max_edges);
    worker.drain(&mut edges);
    shared.merge(&mut edges, now);
}

fn settings(modes: u8) -> WorkerSettings {
    let is_live = modes & 1 == 0;
    let mut settings = WorkerSettings {
        intra_node: modes & 2 != 0,
        connections_from_flows: modes & 4 != 0,
        flow_direction: Some(0).filter(|_| modes & 8 != 0),
        ..Settings::default().worker(is_live.then_some(BEGAN))
    };
    settings.limits = Limits::default();
    if modes & 16 != 0 {
        settings.limits = NARROW;
        settings.max_edges = 4;
        settings.held_records = 3;
    }
    settings
}

fn check(worker: &Worker, settings: &WorkerSettings) {
    let counts = worker.counts();
    let c = counts.records;
    assert_eq!(counts.decoding.records, c.records);
    assert_eq!(
        c.records + c.reverse_directions,
        c.counted + c.other_observer + c.intra_node + c.no_counters + c.other_direction + c.waiting,
        "{c:?}"
    );
    assert!(c.waiting <= number(settings.held_records), "{c:?}");
    assert!(c.edges <= number(settings.max_edges), "{c:?}");
}
