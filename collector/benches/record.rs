//! The cost of a record behind the decoder, and with it.

#![allow(clippy::unwrap_used, missing_docs, reason = "bench code")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{Address, FlowRecord};
use kipfix_collector::aggregate::{
    EdgeBatch, EdgeSink, EdgeTable, Preset, SeriesChunks, SeriesSettings, SeriesTable, ShownValues,
};
use kipfix_collector::clock::Now;
use kipfix_collector::inventory::EndpointId;
use kipfix_collector::inventory::{Endpoint, EndpointKind, IndexSnapshot, IndexWriter, Node};
use kipfix_collector::outputs::Outputs;
use kipfix_collector::pipeline::{Measures, Pipeline, PipelineContext};
use kipfix_collector::receive::Ingest;
use kipfix_collector::settings::Settings;
use kipfix_collector::snapshots::SnapshotStore;
use kipfix_service::exposition::{Chunks, Format};

const NOW: u64 = 1_700_000_000_000;
/// A cluster's size.
#[derive(Clone, Copy)]
struct Size {
    nodes: u32,
    pods_a_node: u32,
}

const SMALL: Size = Size {
    nodes: 32,
    pods_a_node: 100,
};
const LARGE: Size = Size {
    nodes: 5000,
    pods_a_node: 20,
};

impl Size {
    fn pod(self, number: u32) -> Address {
        let node = number % self.nodes;
        let pod = number / self.nodes % self.pods_a_node;
        Address::from_v4_bits(0x0a00_0000 | node << 8 | pod)
    }

    fn index(self) -> IndexSnapshot {
        let mut writer = IndexWriter::default();
        for node in 0..self.nodes {
            let name = writer.intern(&format!("node-{node}"));
            let zone = writer.intern(&format!("zone-{}", node % 3));
            let id = writer
                .add_node(Node {
                    name,
                    zone,
                    ..Node::default()
                })
                .unwrap();
            for pod in 0..self.pods_a_node {
                let name = writer.intern(&format!("pod-{node}-{pod}"));
                let workload = writer.intern(&format!("app-{node}-{pod}"));
                let endpoint = Endpoint {
                    kind: EndpointKind::Pod,
                    name,
                    workload_name: workload,
                    node: Some(id),
                    ..Endpoint::default()
                };
                let endpoint = writer.add_endpoint(endpoint);
                let address = self.pod(pod * self.nodes + node);
                writer.assign_address(address, endpoint).unwrap();
            }
        }
        writer.current()
    }
}

/// A hundred thousand flows between pods.
fn records(size: Size) -> Vec<FlowRecord> {
    (0..100_000_u32)
        .map(|number| {
            let mut record = FlowRecord {
                octet_delta_count: 1000,
                packet_delta_count: 10,
                ..FlowRecord::default()
            };
            record.key.source_address = size.pod(number.wrapping_mul(7919));
            record.key.destination_address = size.pod(number.wrapping_mul(104_729) + 1);
            record
        })
        .collect()
}

/// Datagrams of an exporter that sends these records.
fn datagrams(records: &[FlowRecord]) -> Vec<Vec<u8>> {
    let mut session = ExportSession::new(ExportSettings::default());
    let mut datagrams = Vec::new();
    for record in records {
        session
            .add(record, NOW, &mut |message| {
                datagrams.push(message.octets.to_vec())
            })
            .unwrap();
    }
    session.flush(NOW, &mut |message| datagrams.push(message.octets.to_vec()));
    datagrams
}

fn series(presets: &[Preset]) -> Arc<SeriesTable> {
    let mut settings = Settings::default();
    settings.metrics.preset = presets.to_vec();
    settings.metrics.max_series = 1 << 20;
    let families = settings.families().unwrap();
    Arc::new(SeriesTable::new(&families, SeriesSettings::default()))
}

fn pipeline(index: IndexSnapshot) -> Pipeline<Outputs> {
    let store = Arc::new(SnapshotStore::new(index, Arc::default(), ""));
    let edges = EdgeSink::new(1 << 18, series(&Preset::DEFAULT));
    let settings = Settings::default();
    let context = PipelineContext::new(store, settings.observer_timeouts());
    Pipeline::new(settings.pipeline(Some(0)), context, Outputs::new(edges))
}

fn per_record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    let exporter = SocketAddr::from(([192, 0, 2, 1], 4739));
    for (size, name) in [
        (SMALL, "datagram to edge"),
        (LARGE, "datagram to edge, 100k pods on 5k nodes"),
    ] {
        let records = records(size);
        group.throughput(Throughput::Elements(u64::try_from(records.len()).unwrap()));
        let datagrams = datagrams(&records);
        let mut pipeline = pipeline(size.index());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for datagrams in datagrams.chunks(64) {
                    for datagram in datagrams {
                        pipeline.datagram(exporter, datagram, Now::of_packet(NOW));
                    }
                    pipeline.flush();
                }
            });
        });
    }
    let ids = 3232_u32;
    group.throughput(Throughput::Elements(256));
    let mut table = EdgeTable::new(1 << 18);
    let mut batch = EdgeBatch::default();
    let mut number = 0_u32;
    group.bench_function("edges", |bencher| {
        bencher.iter(|| {
            for _ in 0..256 {
                number = (number + 1) % 100_000;
                let (source, destination) = (number * 7919 % ids, number * 104_729 % ids);
                let measures = Measures {
                    bytes: 1000,
                    packets: 10,
                    connections: 0,
                };
                batch.push(EndpointId(source), EndpointId(destination), measures);
            }
            batch.add_to(&mut table, EdgeTable::clear);
        });
    });
    group.finish();
}

fn per_series(criterion: &mut Criterion) {
    let index = SMALL.index();
    let ids = u32::try_from(index.sizes().endpoints).unwrap();
    let snapshots = SnapshotStore::new(index, Arc::default(), "").load();
    let mut edges = EdgeTable::new(1 << 20);
    for n in 0..100_000_u32 {
        let measures = Measures {
            bytes: 1000,
            packets: 10,
            connections: 1,
        };
        let (source, destination) = (n % ids, (n + n / ids * 97) % ids);
        black_box(edges.add(EndpointId(source), EndpointId(destination), &measures));
    }
    let mut group = criterion.benchmark_group("series");
    group.throughput(Throughput::Elements(u64::try_from(edges.len()).unwrap()));
    group.sample_size(20);
    let table = || series(&[Preset::Workloads]);
    let now = Now::of_packet(NOW);
    group.bench_function("merge 100k edges", |bencher| {
        bencher.iter_batched_ref(
            table,
            |table| table.merge(&snapshots, &edges, now),
            BatchSize::LargeInput,
        );
    });
    let full = table();
    full.merge(&snapshots, &edges, now);
    let known = series(&Preset::DEFAULT);
    known.merge(&snapshots, &edges, now);
    group.bench_function("merge 100k known edges, default presets", |bencher| {
        bencher.iter(|| known.merge(&snapshots, &edges, now));
    });
    group.throughput(Throughput::Elements(full.counts().series));
    let mut out = Vec::new();
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            let shown = ShownValues::Scrape(now);
            let mut chunks = SeriesChunks::new(Arc::clone(&full), Format::Text, shown);
            let (mut octets, mut is_more) = (0, true);
            while is_more {
                out.clear();
                is_more = chunks.write_chunk(&mut out);
                octets += out.len();
            }
            black_box(octets)
        });
    });
    group.finish();
}

criterion_group!(benches, per_record, per_series);
criterion_main!(benches);
