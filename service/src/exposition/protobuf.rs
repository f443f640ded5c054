//! Prometheus protobuf: messages `io.prometheus.client.MetricFamily`, each with its length in
//! front.
//!
//! Only what the exposition has is encoded. The numbers of fields are those of `metrics.proto` of
//! Prometheus. A large family may be written as several messages of the same name.

use super::{Histogram, Kind, NativeBuckets, Value};

/// Appends a family whose metrics are already encoded by [`write_metric`].
pub fn write_family(name: &str, help: &str, kind: Kind, metrics: &[u8], out: &mut Vec<u8>) {
    write_delimited(out, |out| {
        write_bytes(1, name.as_bytes(), out);
        write_bytes(2, help.as_bytes(), out);
        let kind = match kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
            Kind::Summary => 2,
            Kind::Untyped => 3,
            Kind::Histogram => 4,
        };
        write_integer(3, kind, out);
        out.extend_from_slice(metrics);
    });
}

/// Appends a metric as a field of its family. `labels` as in [`super::text`]. The time of creation
/// is in milliseconds since the epoch; gauges have none.
pub fn write_metric(
    labels: &[u8],
    kind: Kind,
    value: Value<'_>,
    created_milliseconds: Option<u64>,
    out: &mut Vec<u8>,
) {
    write_message(4, out, |out| {
        write_labels(labels, out);
        match value {
            Value::Integer(value) => write_number(kind, to_float(value), created_milliseconds, out),
            Value::Float(value) => write_number(kind, value, created_milliseconds, out),
            Value::Summary(summary) => write_message(4, out, |out| {
                write_integer(1, summary.count, out);
                write_double(2, summary.sum, out);
                for (quantile, value) in summary.quantiles {
                    write_message(3, out, |out| {
                        write_double(1, *quantile, out);
                        write_double(2, *value, out);
                    });
                }
                write_created(4, created_milliseconds, out);
            }),
            Value::Histogram(histogram) => {
                write_message(7, out, |out| {
                    write_histogram(histogram, out);
                    write_created(15, created_milliseconds, out);
                });
            }
        }
    });
}

fn write_number(kind: Kind, value: f64, created_milliseconds: Option<u64>, out: &mut Vec<u8>) {
    let field = match kind {
        Kind::Counter => 3,
        Kind::Gauge => 2,
        _ => 5,
    };
    write_message(field, out, |out| {
        write_double(1, value, out);
        if kind == Kind::Counter {
            write_created(3, created_milliseconds, out);
        }
    });
}

fn write_histogram(histogram: &Histogram<'_>, out: &mut Vec<u8>) {
    write_integer(1, histogram.count, out);
    write_double(2, histogram.sum, out);
    for bucket in histogram.buckets {
        write_message(3, out, |out| {
            write_integer(1, bucket.cumulative_count, out);
            write_double(2, bucket.upper_bound, out);
        });
    }
    if let Some(native) = &histogram.native {
        write_native(native, out);
    }
}

/// A native histogram is recognized by its spans: without observations it has an empty one.
fn write_native(native: &NativeBuckets<'_>, out: &mut Vec<u8>) {
    write_integer(5, zigzag(native.schema.into()), out);
    write_double(6, native.zero_threshold, out);
    write_integer(7, native.zero_count, out);
    let mut spans: Vec<(i32, u64)> = Vec::new();
    let mut next = 0_i32;
    for (index, _) in native.positive {
        match spans.last_mut() {
            Some((_, length)) if *index == next => *length = length.saturating_add(1),
            _ => spans.push((index.saturating_sub(next), 1)),
        }
        next = index.saturating_add(1);
    }
    if spans.is_empty() {
        spans.push((0, 0));
    }
    for (offset, length) in spans {
        write_message(12, out, |out| {
            write_integer(1, zigzag(offset.into()), out);
            write_integer(2, length, out);
        });
    }
    write_message(13, out, |out| {
        let mut before = 0_u64;
        for (_, count) in native.positive {
            let difference = i128::from(*count) - i128::from(before);
            let difference = i64::try_from(difference).unwrap_or(i64::MAX);
            write_varint(zigzag(difference), out);
            before = *count;
        }
    });
}

fn write_created(field: u64, milliseconds: Option<u64>, out: &mut Vec<u8>) {
    if let Some(milliseconds) = milliseconds {
        write_message(field, out, |out| {
            write_integer(1, milliseconds / 1000, out);
            write_integer(2, milliseconds % 1000 * 1_000_000, out);
        });
    }
}

/// Appends labels that are text.
fn write_labels(labels: &[u8], out: &mut Vec<u8>) {
    let mut rest = labels;
    while let Some(equals) = rest.iter().position(|octet| *octet == b'=') {
        let (name, value) = rest.split_at(equals);
        // Behind `="`.
        let value = value.get(2..).unwrap_or_default();
        let mut end = 0;
        let mut is_escaped = false;
        while let Some(octet) = value.get(end) {
            match octet {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    end += 2;
                }
                _ => end += 1,
            }
        }
        let (value, behind) = value.split_at_checked(end).unwrap_or((value, &[]));
        write_message(1, out, |out| {
            write_bytes(1, name, out);
            if is_escaped {
                write_message(2, out, |out| write_unescaped(value, out));
            } else {
                write_bytes(2, value, out);
            }
        });
        // Behind `",`.
        rest = behind.get(2..).unwrap_or_default();
    }
}

fn write_unescaped(text: &[u8], out: &mut Vec<u8>) {
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        let octet = match octet {
            b'\\' => match octets.next() {
                Some(b'n') => b'\n',
                Some(other) => *other,
                None => b'\\',
            },
            other => *other,
        };
        out.push(octet);
    }
}

//------------ Wire format -----------------------------------------------------------------------

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;

fn write_key(field: u64, wire_type: u64, out: &mut Vec<u8>) {
    write_varint(field << 3 | wire_type, out);
}

fn write_integer(field: u64, value: u64, out: &mut Vec<u8>) {
    write_key(field, VARINT, out);
    write_varint(value, out);
}

fn write_double(field: u64, value: f64, out: &mut Vec<u8>) {
    write_key(field, FIXED64, out);
    out.extend_from_slice(&value.to_le_bytes());
}

fn write_bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    write_key(field, LENGTH_DELIMITED, out);
    write_varint(u64::try_from(value.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(value);
}

fn write_message(field: u64, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    write_key(field, LENGTH_DELIMITED, out);
    write_delimited(out, body);
}

/// Appends a body with its length in front.
fn write_delimited(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    body(out);
    let end = out.len();
    write_varint(
        u64::try_from(end.saturating_sub(begin)).unwrap_or(u64::MAX),
        out,
    );
    let octets_of_length = out.len().saturating_sub(end);
    if let Some(body_and_length) = out.get_mut(begin..) {
        body_and_length.rotate_right(octets_of_length);
    }
}

/// Appends a number in groups of seven bits, the lowest first.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the octet has seven bits"
)]
#[inline]
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[expect(
    clippy::as_conversions,
    clippy::cast_sign_loss,
    reason = "the sign becomes the lowest bit"
)]
const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "values in protobuf are doubles"
)]
const fn to_float(value: u64) -> f64 {
    value as f64
}
