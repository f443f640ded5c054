//! Encoding and decoding of the Messages that the exporter sends, in each protocol version.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmark")]

use std::hint::black_box;
use std::net::SocketAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowproto::collector::{CollectingProcess, Fields, Limits, Message, RecordSink};
use flowproto::exporter::{ExportSession, ExportSettings, OutgoingMessage, Version};
use flowproto::{Address, FlowRecord};

const VERSIONS: [(&str, Version); 3] = [
    ("ipfix", Version::Ipfix),
    ("netflow9", Version::Netflow9),
    ("netflow5", Version::Netflow5),
];

/// Adds up the packets of whole records.
struct Sum(u64);

impl RecordSink for Sum {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.0 = self.0.wrapping_add(black_box(record).packet_delta_count);
    }
}

/// A record between addresses of IPv4, which v5 can carry too.
fn record() -> FlowRecord {
    let mut record = FlowRecord {
        octet_delta_count: 1500,
        packet_delta_count: 1,
        ..FlowRecord::default()
    };
    record.key.source_address = Address::from_v4_bits(1);
    record.key.destination_address = Address::from_v4_bits(2);
    record
}

fn session(version: Version) -> ExportSession {
    ExportSession::new(ExportSettings {
        version,
        ..ExportSettings::default()
    })
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    let record = record();
    for (name, version) in VERSIONS {
        let mut session = session(version);
        group.bench_function(name, |b| {
            b.iter(|| {
                session.add(black_box(&record), 0, &mut |message| {
                    black_box(message);
                })
            });
        });
    }
    group.finish();
}

fn decode(c: &mut Criterion) {
    const RECORDS: u64 = 1000;
    let from: SocketAddr = "192.0.2.1:4739".parse().unwrap();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(RECORDS));
    let record = record();
    for (name, version) in VERSIONS {
        let mut session = session(version);
        let mut messages = Vec::new();
        for _ in 0..RECORDS {
            let mut send = |message: OutgoingMessage<'_>| {
                messages.push(message.octets.to_vec());
            };
            session.add(&record, 0, &mut send).unwrap();
        }
        session.flush(0, &mut |message| messages.push(message.octets.to_vec()));
        let mut process = CollectingProcess::new(Limits::default());
        let mut sum = Sum(0);
        let mut receive = |sum: &mut Sum| {
            for message in &messages {
                process.receive(from, message, 0, sum);
            }
        };
        receive(&mut sum);
        assert_eq!(sum.0, RECORDS);
        group.bench_function(name, |b| b.iter(|| receive(&mut sum)));
    }
    group.finish();
}

criterion_group!(benches, encode, decode);
criterion_main!(benches);
