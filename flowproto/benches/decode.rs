//! IPFIX Data Records of a 20-field template: this decoder and `netflow_parser`, and the
//! encoder.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmark")]

use std::hint::black_box;
use std::net::SocketAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowproto::collector::Fields;
use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink};
use flowproto::exporter::{ExportSession, ExportSettings, Version};
use flowproto::{Address, FlowRecord};
use netflow_parser::NetflowParser;

const FIELDS: [(u16, u16); 20] = [
    (8, 4),
    (12, 4),
    (7, 2),
    (11, 2),
    (4, 1),
    (5, 1),
    (6, 1),
    (1, 8),
    (2, 8),
    (152, 8),
    (153, 8),
    (10, 4),
    (14, 4),
    (16, 4),
    (17, 4),
    (9, 1),
    (13, 1),
    (136, 1),
    (61, 1),
    (58, 2),
];
const RECORDS: usize = 20;

struct Sum(u64);

impl RecordSink for Sum {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.0 = self.0.wrapping_add(black_box(record).octet_delta_count);
    }
}

fn message(sets: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let body: Vec<u8> = sets
        .iter()
        .flat_map(|(id, content)| {
            let length = u16::try_from(content.len() + 4).unwrap();
            [&id.to_be_bytes()[..], &length.to_be_bytes(), content].concat()
        })
        .collect();
    let length = u16::try_from(body.len() + 16).unwrap();
    [&[0, 10][..], &length.to_be_bytes(), &[0; 12], &body].concat()
}

fn decode(c: &mut Criterion) {
    let mut template = [300_u16.to_be_bytes(), 20_u16.to_be_bytes()].concat();
    let mut record = Vec::new();
    for (id, length) in FIELDS {
        template.extend([id.to_be_bytes(), length.to_be_bytes()].concat());
        record.extend(std::iter::repeat_n(7_u8, length.into()));
    }
    let template = message(&[(2, template)]);
    let data = message(&[(300, record.repeat(RECORDS))]);
    let from: SocketAddr = "192.0.2.1:4739".parse().unwrap();

    let mut group = c.benchmark_group("ipfix_20_fields");
    group.throughput(Throughput::Elements(RECORDS.try_into().unwrap()));
    let mut process = CollectingProcess::new(Limits::default());
    let mut sum = Sum(0);
    process.receive(from, &template, 0, &mut sum);
    group.bench_function("flowproto", |b| {
        b.iter(|| process.receive(from, &data, 0, &mut sum))
    });
    let mut parser = NetflowParser::default();
    assert!(parser.parse_bytes(&template).is_ok());
    group.bench_function("netflow_parser", |b| {
        b.iter(|| black_box(parser.parse_bytes(&data)))
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(1));
    // An address of IPv4, which v5 can carry too.
    let mut record = FlowRecord::default();
    record.key.source_address = Address::from_v4_bits(1);
    record.key.destination_address = Address::from_v4_bits(2);
    for (name, version) in [
        ("ipfix", Version::Ipfix),
        ("netflow9", Version::Netflow9),
        ("netflow5", Version::Netflow5),
    ] {
        let mut session = ExportSession::new(ExportSettings {
            version,
            ..ExportSettings::default()
        });
        group.bench_function(name, |b| {
            b.iter(|| {
                session.add(black_box(&record), 0, &mut |m| {
                    black_box(m);
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
