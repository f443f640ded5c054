//! The collector's whole path, from datagrams to edges.

use std::sync::{Arc, LazyLock, Mutex};

use flowproto::collector::Limits;
use kipfix_collector::aggregate::{EdgeSink, EdgeTable, Family, SeriesSettings, SeriesTable};
use kipfix_collector::clock::Now;
use kipfix_collector::inventory::{self, Bounds, IndexWriter};
use kipfix_collector::outputs::Outputs;
use kipfix_collector::pipeline::{CountedDirection, Pipeline, PipelineContext, PipelineSettings};
use kipfix_collector::receive::Ingest;
use kipfix_collector::settings::Settings;
use kipfix_collector::snapshots::SnapshotStore;

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

static WRITER: LazyLock<Mutex<IndexWriter>> = LazyLock::new(|| {
    let inventory = inventory::file::parse(INVENTORY, Bounds::default()).unwrap();
    Mutex::new(inventory.writer)
});

/// Snapshots of that inventory.
pub(crate) fn snapshot_store() -> Arc<SnapshotStore> {
    let index = WRITER.lock().unwrap().current();
    Arc::new(SnapshotStore::new(index, Arc::default(), "prod"))
}

/// The default families, with few series.
static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let mut settings = Settings::default();
    settings.metrics.max_series = 8;
    settings.families().unwrap()
});

/// Datagrams through a pipeline: each direction of each record gets one verdict or is pending,
/// pending records and edges are within their bounds, and nothing is pending at the end. The first
/// octet chooses the bounds and modes.
pub(crate) fn pipeline(data: &[u8]) {
    let Some((modes, data)) = data.split_first() else {
        return;
    };
    let (settings, max_edges) = settings(*modes);
    let store = snapshot_store();
    let series = Arc::new(SeriesTable::new(
        &FAMILIES,
        SeriesSettings {
            cluster_name: "prod".into(),
            ..SeriesSettings::default()
        },
    ));
    let snapshots = store.load();
    let context = PipelineContext::new(store, Settings::default().observer_timeouts());
    let outputs = Outputs::new(EdgeSink::new(max_edges, Arc::clone(&series)));
    let mut pipeline = Pipeline::new(settings, context, outputs);
    let mut now = Now::of_packet(BEGAN);
    for chunk in chunks(data) {
        now = Now::of_packet(now.wall_milliseconds + chunk.step());
        pipeline.datagram(chunk.exporter(), chunk.octets, now);
        pipeline.flush();
        check(&pipeline, &settings, max_edges);
        if chunk.ticks() {
            pipeline.tick(now);
            check(&pipeline, &settings, max_edges);
        }
    }
    pipeline.finish();
    check(&pipeline, &settings, max_edges);
    assert_eq!(pipeline.counts().records.pending, 0);
    let (mut edges, mut open) = (EdgeTable::new(max_edges), Vec::new());
    pipeline.sinks_mut().drain(now, &mut edges, &mut open);
    series.merge(&snapshots, &edges, now);
    series.replace_open_connections(&snapshots, &open, now);
}

fn settings(modes: u8) -> (PipelineSettings, usize) {
    let is_live = modes & 1 == 0;
    let mut settings = PipelineSettings {
        intra_node: modes & 2 != 0,
        connections_from_flows: modes & 4 != 0,
        flow_direction: if modes & 8 == 0 {
            CountedDirection::Both
        } else {
            CountedDirection::Ingress
        },
        ..Settings::default().pipeline(is_live.then_some(BEGAN))
    };
    settings.limits = Limits::default();
    if modes & 16 == 0 {
        return (settings, 1 << 18);
    }
    settings.limits = NARROW;
    settings.pending_octets = 2000;
    (settings, 4)
}

fn check(pipeline: &Pipeline<Outputs>, settings: &PipelineSettings, max_edges: usize) {
    let counts = pipeline.counts();
    let c = counts.records;
    assert_eq!(counts.decoding.records, c.records);
    assert_eq!(
        c.records + c.reverse_directions,
        c.counted + c.not_counted.values().sum::<u64>() + c.unconfirmed + c.pending,
        "{c:?}"
    );
    assert!(c.pending_octets <= number(settings.pending_octets), "{c:?}");
    let outputs = pipeline.sinks().counts();
    assert!(outputs.edges <= number(max_edges), "{outputs:?}");
}
