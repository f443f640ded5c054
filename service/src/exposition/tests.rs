//! Text, OpenMetrics and protobuf of the same families.

use prometheus::{HistogramOpts, IntCounterVec, IntGauge, Opts};

use super::*;
use crate::registry::Registry;

fn registry() -> Registry {
    let registry = Registry::new();
    let dropped = IntCounterVec::new(
        Opts::new("a_dropped_total", "What \"fell\".\nHere."),
        &["reason"],
    )
    .unwrap();
    dropped
        .with_label_values(&["full \"queue\" \\ \n"])
        .inc_by(9_007_199_254_740_991);
    dropped.with_label_values(&["away"]);
    registry.register(Box::new(dropped)).unwrap();
    let size = IntGauge::new("b_size", "Entries.").unwrap();
    size.set(-3);
    registry.register(Box::new(size)).unwrap();
    let options = HistogramOpts::new("c_seconds", "Delay.").buckets(vec![0.5, 1.0]);
    let delay = prometheus::Histogram::with_opts(options).unwrap();
    delay.observe(0.25);
    delay.observe(7.5);
    registry.register(Box::new(delay)).unwrap();
    registry
}

fn written(format: Format) -> String {
    let mut out = Vec::new();
    write_registry(&registry(), format, &mut out);
    finish(format, &mut out);
    String::from_utf8(out).unwrap()
}

const REST: &str = "\
# HELP b_size Entries.
# TYPE b_size gauge
b_size -3
# HELP c_seconds Delay.
# TYPE c_seconds histogram
c_seconds_bucket{le=\"0.5\"} 1
c_seconds_bucket{le=\"1.0\"} 1
c_seconds_bucket{le=\"+Inf\"} 2
c_seconds_sum 7.75
c_seconds_count 2
";

#[test]
fn in_text_a_counter_family_has_total_and_there_is_no_end_mark() {
    let counter = "\
# HELP a_dropped_total What \"fell\".\\nHere.
# TYPE a_dropped_total counter
a_dropped_total{reason=\"away\"} 0
a_dropped_total{reason=\"full \\\"queue\\\" \\\\ \\n\"} 9007199254740991
";
    assert_eq!(written(Format::Text), format!("{counter}{REST}"));
}

#[test]
fn in_openmetrics_a_counter_family_has_no_total_and_eof_is_the_end() {
    let counter = "\
# HELP a_dropped What \\\"fell\\\".\\nHere.
# TYPE a_dropped counter
a_dropped_total{reason=\"away\"} 0
a_dropped_total{reason=\"full \\\"queue\\\" \\\\ \\n\"} 9007199254740991
";
    let expected = format!("{counter}{REST}# EOF\n");
    assert_eq!(written(Format::OpenMetrics), expected);
}

#[test]
fn in_openmetrics_a_counter_without_total_is_of_unknown_type() {
    let header = |format| {
        let mut out = Vec::new();
        text::write_header("a", "A.", Kind::Counter, format, &mut out);
        String::from_utf8(out).unwrap()
    };
    let expected = "# HELP a A.\n# TYPE a unknown\n";
    assert_eq!(header(Format::OpenMetrics), expected);
    assert_eq!(header(Format::Text), "# HELP a A.\n# TYPE a counter\n");
}

#[test]
fn a_summary_has_quantiles_sum_and_count_and_a_time_of_creation() {
    let summary = Summary {
        count: 2,
        sum: 1.5,
        quantiles: &[(0.5, 0.25)],
    };
    let mut out = Vec::new();
    text::write_metric("a_seconds", b"b=\"c\"", Value::Summary(&summary), &mut out);
    text::write_created("a_seconds", b"b=\"c\"", 1_700_000_000_007, &mut out);
    let expected = "\
a_seconds{b=\"c\",quantile=\"0.5\"} 0.25
a_seconds_sum{b=\"c\"} 1.5
a_seconds_count{b=\"c\"} 2
a_seconds_created{b=\"c\"} 1700000000.007
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn an_exposition_in_memory_is_handed_over_in_chunks() {
    let octets: Vec<u8> = (0..=250).cycle().take(2 * CHUNK_OCTETS + 1).collect();
    let mut written = Written::from(octets.clone());
    let (mut all, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let before = all.len();
        let more = written.write_chunk(&mut all);
        sizes.push(all.len() - before);
        if !more {
            break;
        }
    }
    assert_eq!(all, octets);
    assert_eq!(sizes, [CHUNK_OCTETS, CHUNK_OCTETS, 1]);
}

//------------ Protobuf, read by a decoder that knows nothing of metrics --------------------------

/// A field of a message: its number, and its value or its octets.
#[derive(Clone, Debug, PartialEq)]
enum ProtobufField {
    Integer(u64, u64),
    Double(u64, f64),
    Octets(u64, Vec<u8>),
}

use ProtobufField::{Double, Integer, Octets};

fn varint(octets: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = octets.split_first().unwrap();
        *octets = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

fn delimited<'a>(octets: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(varint(octets)).unwrap();
    let (message, rest) = octets.split_at(length);
    *octets = rest;
    message
}

fn fields(mut octets: &[u8]) -> Vec<ProtobufField> {
    let mut fields = Vec::new();
    while !octets.is_empty() {
        let key = varint(&mut octets);
        fields.push(match key & 7 {
            0 => Integer(key >> 3, varint(&mut octets)),
            1 => {
                let (value, rest) = octets.split_first_chunk().unwrap();
                octets = rest;
                Double(key >> 3, f64::from_le_bytes(*value))
            }
            2 => Octets(key >> 3, delimited(&mut octets).to_vec()),
            other => panic!("wire type {other}"),
        });
    }
    fields
}

fn text_field(number: u64, text: &str) -> ProtobufField {
    Octets(number, text.as_bytes().to_vec())
}

/// The fields of the only field with this number.
fn inside(fields_of: &[ProtobufField], number: u64) -> Vec<ProtobufField> {
    let found: Vec<_> = fields_of
        .iter()
        .filter_map(|field| match field {
            Octets(of, octets) if *of == number => Some(octets),
            _ => None,
        })
        .collect();
    assert_eq!(found.len(), 1, "{fields_of:?}");
    fields(found[0])
}

fn metric(labels: &[u8], kind: Kind, value: Value<'_>, created: Option<u64>) -> Vec<ProtobufField> {
    let mut out = Vec::new();
    protobuf::write_metric(labels, kind, value, created, &mut out);
    inside(&fields(&out), 4)
}

#[test]
fn in_protobuf_each_family_is_a_message_with_its_length() {
    let mut out = Vec::new();
    write_registry(&registry(), Format::Protobuf, &mut out);
    finish(Format::Protobuf, &mut out);
    let mut rest = out.as_slice();
    let family = fields(delimited(&mut rest));
    let head = [
        text_field(1, "a_dropped_total"),
        text_field(2, "What \"fell\".\nHere."),
        Integer(3, 0),
    ];
    assert_eq!(family[..3], head);
    let Octets(4, full) = &family[4] else {
        panic!("{family:?}");
    };
    let full = fields(full);
    let label = [
        text_field(1, "reason"),
        text_field(2, "full \"queue\" \\ \n"),
    ];
    assert_eq!(inside(&full, 1), label);
    assert_eq!(inside(&full, 3), [Double(1, 9_007_199_254_740_991.0)]);
    let gauge = fields(delimited(&mut rest));
    assert_eq!(gauge[2], Integer(3, 1));
    assert_eq!(inside(&inside(&gauge, 4), 2), [Double(1, -3.0)]);
    let histogram = inside(&inside(&fields(delimited(&mut rest)), 4), 7);
    assert_eq!(histogram[..2], [Integer(1, 2), Double(2, 7.75)]);
    assert_eq!(histogram.len(), 4);
    assert_eq!(rest, b"");
}

#[test]
fn in_protobuf_a_counter_has_its_time_of_creation() {
    let created = Some(1_700_000_000_007);
    let counter = metric(b"a=\"b\",c=\"\"", Kind::Counter, Value::Integer(5), created);
    let labels: Vec<_> = counter
        .iter()
        .filter(|f| matches!(f, Octets(1, _)))
        .collect();
    assert_eq!(labels.len(), 2);
    let counter = inside(&counter, 3);
    assert_eq!(counter[0], Double(1, 5.0));
    let time = [Integer(1, 1_700_000_000), Integer(2, 7_000_000)];
    assert_eq!(inside(&counter, 3), time);
}

#[test]
fn in_protobuf_a_summary_has_sum_and_count() {
    let summary = Summary {
        count: 300,
        sum: 0.5,
        quantiles: &[],
    };
    let summary = metric(b"", Kind::Summary, Value::Summary(&summary), None);
    assert_eq!(inside(&summary, 4), [Integer(1, 300), Double(2, 0.5)]);
}

#[test]
fn in_protobuf_native_buckets_are_spans_and_differences() {
    let histogram = |positive| Histogram {
        count: 9,
        sum: 2.5,
        buckets: &[],
        native: Some(NativeBuckets {
            schema: -1,
            zero_threshold: 0.5,
            zero_count: 1,
            positive,
        }),
    };
    let of = |positive| {
        let histogram = histogram(positive);
        inside(
            &metric(b"", Kind::Histogram, Value::Histogram(&histogram), None),
            7,
        )
    };
    let fields_of = of(&[(-2, 3), (-1, 1), (4, 4)]);
    let head = [Integer(5, 1), Double(6, 0.5), Integer(7, 1)];
    assert_eq!(fields_of[2..5], head);
    // Offsets and differences are zigzag: -2 → 3, 3 → 6, 4 → 8.
    assert_eq!(fields_of[5], Octets(12, vec![0x08, 3, 0x10, 2]));
    assert_eq!(fields_of[6], Octets(12, vec![0x08, 8, 0x10, 1]));
    assert_eq!(fields_of[7], Octets(13, vec![6, 3, 6]));
    assert_eq!(of(&[])[5], Octets(12, vec![0x08, 0, 0x10, 0]));
}
