//! IPFIX Data Records of a template with 20 fields: flowproto, and other decoders.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmark")]

use std::hint::black_box;
use std::net::SocketAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowproto::collector::{CollectingProcess, Fields, Limits, Message, RecordSink};
use flowproto::{FlowRecord, TrafficRecord};
use netflow_parser::NetflowParser;
use netgauze_flow_pkt::ipfix::{IpfixPacket, TemplatesMap};
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput as _;

/// Identifiers and lengths of the elements.
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
/// A time: not every decoder reads one that is far in the future.
const MILLISECONDS: u64 = 1_700_000_000_000;

/// Adds up octets, of whole records or of their traffic alone.
struct Sum {
    octets: u64,
    is_traffic_enough: bool,
}

impl RecordSink for Sum {
    fn message(&mut self, _: &Message<'_>) {}

    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.octets = self
            .octets
            .wrapping_add(black_box(record).octet_delta_count);
    }

    fn takes_traffic(&self, _: bool) -> bool {
        self.is_traffic_enough
    }

    fn traffic(&mut self, record: &TrafficRecord) -> bool {
        self.octets = self
            .octets
            .wrapping_add(black_box(record).octet_delta_count);
        true
    }
}

fn message(id: u16, content: &[u8]) -> Vec<u8> {
    let length = |octets: usize| u16::try_from(octets).unwrap().to_be_bytes();
    let set = [&id.to_be_bytes()[..], &length(content.len() + 4), content].concat();
    [&[0, 10][..], &length(set.len() + 16), &[0; 12], &set].concat()
}

fn decode(c: &mut Criterion) {
    let mut template = [300_u16.to_be_bytes(), 20_u16.to_be_bytes()].concat();
    let mut record = Vec::new();
    for (id, length) in FIELDS {
        template.extend([id.to_be_bytes(), length.to_be_bytes()].concat());
        match id {
            152 | 153 => record.extend(MILLISECONDS.to_be_bytes()),
            _ => record.extend(std::iter::repeat_n(7_u8, length.into())),
        }
    }
    let template = message(2, &template);
    let data = message(300, &record.repeat(RECORDS));
    let from: SocketAddr = "192.0.2.1:4739".parse().unwrap();

    let mut group = c.benchmark_group("ipfix_20_fields");
    group.throughput(Throughput::Elements(RECORDS.try_into().unwrap()));
    for (name, is_traffic_enough) in [("flowproto", false), ("flowproto, traffic", true)] {
        let mut process = CollectingProcess::new(Limits::default());
        let mut sum = Sum {
            octets: 0,
            is_traffic_enough,
        };
        process.receive(from, &template, 0, &mut sum);
        process.receive(from, &data, 0, &mut sum);
        let octets = u64::from_be_bytes([7; 8]);
        assert_eq!(sum.octets, octets.wrapping_mul(RECORDS.try_into().unwrap()));
        group.bench_function(name, |b| {
            b.iter(|| process.receive(from, &data, 0, &mut sum))
        });
    }

    let mut parser = NetflowParser::default();
    assert!(parser.parse_bytes(&template).is_ok());
    group.bench_function("netflow_parser", |b| {
        b.iter(|| black_box(parser.parse_bytes(&data)))
    });

    let mut templates = TemplatesMap::default();
    let mut parse =
        |message: &[u8]| IpfixPacket::parse(&mut SliceReader::new(message), &mut templates);
    parse(&template).unwrap();
    assert_eq!(parse(&data).unwrap().sets().len(), 1);
    group.bench_function("netgauze-flow-pkt", |b| b.iter(|| black_box(parse(&data))));
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
