//! What a record costs after decoding, and with it: enrich, judge, count.

#![allow(clippy::unwrap_used, missing_docs, reason = "bench code")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{Address, FlowRecord};
use kipfix_collector::aggregate::{EdgeTable, Measures, Preset, SeriesTable};
use kipfix_collector::enrich::{Known, Recent, ends};
use kipfix_collector::inventory::external::{ExternalSnapshot, PublishedExternal};
use kipfix_collector::inventory::{Endpoint, EndpointKind, IndexBuilder, Node};
use kipfix_collector::inventory::{EndpointId, IndexSnapshot, TimeRange};
use kipfix_collector::settings::Settings;
use kipfix_collector::worker::{Shared, Worker};
use kipfix_service::exposition::Format;

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
        let mut builder = IndexBuilder::new();
        for node in 0..self.nodes {
            let name = builder.intern(&format!("node-{node}"));
            let id = builder
                .add_node(Node {
                    name,
                    ..Node::default()
                })
                .unwrap();
            for pod in 0..self.pods_a_node {
                let name = builder.intern(&format!("pod-{node}-{pod}"));
                let workload = builder.intern(&format!("app-{node}-{pod}"));
                let endpoint = Endpoint {
                    kind: EndpointKind::Pod,
                    name,
                    workload_name: workload,
                    node: Some(id),
                    ..Endpoint::default()
                };
                let endpoint = builder.add_endpoint(endpoint);
                let address = self.pod(pod * self.nodes + node);
                builder.assign_address(address, endpoint).unwrap();
            }
        }
        builder.build()
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

fn per_record(criterion: &mut Criterion) {
    let records = records(SMALL);
    let count = u64::try_from(records.len()).unwrap();
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(count));

    let mut recent = Recent::default();
    let (index, outside) = (SMALL.index(), ExternalSnapshot::default());
    let known = Known {
        index: &index,
        outside: &outside,
    };
    group.bench_function("ends", |bencher| {
        bencher.iter(|| {
            for record in &records {
                black_box(ends(known, &mut recent, record, TimeRange::instant(NOW)));
            }
        });
    });

    recent.forget();
    let large_records = self::records(LARGE);
    let large = LARGE.index();
    let known_large = Known {
        index: &large,
        outside: &outside,
    };
    group.bench_function("ends, 100k pods on 5k nodes", |bencher| {
        bencher.iter(|| {
            for record in &large_records {
                black_box(ends(
                    known_large,
                    &mut recent,
                    record,
                    TimeRange::instant(NOW),
                ));
            }
        });
    });

    recent.forget();
    let mut edges = EdgeTable::new(1 << 18);
    let measures = Measures {
        bytes: 1000,
        packets: 10,
        connections: 0,
    };
    group.bench_function("ends and edge", |bencher| {
        bencher.iter(|| {
            for record in &records {
                let ends = ends(known, &mut recent, record, TimeRange::instant(NOW));
                black_box(edges.count(ends.source, ends.destination, &measures));
            }
        });
    });

    let mut session = ExportSession::new(ExportSettings::default());
    let mut datagrams = Vec::new();
    for record in &records {
        session
            .add(record, NOW, &mut |message| {
                datagrams.push(message.octets.to_vec())
            })
            .unwrap();
    }
    session.flush(NOW, &mut |message| datagrams.push(message.octets.to_vec()));
    let series = SeriesTable::new(&Preset::DEFAULT, 1 << 20, 3_600_000);
    let shared = Arc::new(Shared::new(
        index.clone(),
        Arc::new(PublishedExternal::default()),
        series,
    ));
    let mut worker = Worker::new(Settings::default().worker(None), shared, None);
    let exporter = SocketAddr::from(([192, 0, 2, 1], 4739));
    group.bench_function("datagram to edge", |bencher| {
        bencher.iter(|| {
            for datagram in &datagrams {
                worker.receive(exporter, datagram, NOW);
            }
        });
    });
    group.finish();
}

fn per_series(criterion: &mut Criterion) {
    let (index, outside) = (SMALL.index(), ExternalSnapshot::default());
    let known = Known {
        index: &index,
        outside: &outside,
    };
    let ids = u32::try_from(index.sizes().endpoints).unwrap();
    let pairs = || {
        (0..100_000_u32).map(|n| {
            let measures = Measures {
                bytes: 1000,
                packets: 10,
                connections: 1,
            };
            (
                EndpointId(n % ids),
                EndpointId((n + n / ids * 97) % ids),
                measures,
            )
        })
    };
    let mut group = criterion.benchmark_group("series");
    group.throughput(Throughput::Elements(100_000));
    group.sample_size(20);
    let table = || SeriesTable::new(&[Preset::Workloads], 1 << 20, 3_600_000);
    group.bench_function("merge 100k edges", |bencher| {
        bencher.iter_batched_ref(
            table,
            |table| table.merge(known, pairs(), NOW),
            BatchSize::LargeInput,
        );
    });
    let mut full = table();
    full.merge(known, pairs(), NOW);
    group.throughput(Throughput::Elements(full.counts().series));
    let mut out = Vec::new();
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            out.clear();
            full.write(Format::Text, false, &mut out);
            black_box(out.len())
        });
    });
    group.finish();
}

criterion_group!(benches, per_record, per_series);
criterion_main!(benches);
