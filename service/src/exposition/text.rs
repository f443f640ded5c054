//! Prometheus text 0.0.4 and OpenMetrics 1.0.
//!
//! The labels of a metric are text, too: `a="b",c="d"`, with escaped values and without braces.

use std::io::Write as _;

use super::{Format, Kind, Value};

/// Appends `# HELP` and `# TYPE` of a family. `name` is the name of its samples: for a counter it
/// ends in `_total`, which is not part of the family name in OpenMetrics. There, a counter whose
/// name does not end so is of unknown type.
pub fn write_header(name: &str, help: &str, kind: Kind, format: Format, out: &mut Vec<u8>) {
    let is_open_metrics = format == Format::OpenMetrics;
    let bare = name.strip_suffix("_total").filter(|_| is_open_metrics);
    let (family, kind) = match (kind, bare) {
        (Kind::Counter, Some(bare)) => (bare, "counter"),
        (Kind::Counter | Kind::Untyped, None) if is_open_metrics => (name, "unknown"),
        (Kind::Counter, _) => (name, "counter"),
        (Kind::Gauge, _) => (name, "gauge"),
        (Kind::Summary, _) => (name, "summary"),
        (Kind::Histogram, _) => (name, "histogram"),
        (Kind::Untyped, _) => (name, "untyped"),
    };
    for part in ["# HELP ", family, " "] {
        out.extend_from_slice(part.as_bytes());
    }
    write_escaped(help, is_open_metrics, out);
    for part in ["\n# TYPE ", family, " ", kind, "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends the samples of a metric.
pub fn write_metric(name: &str, labels: &[u8], value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Integer(value) => write_sample(name, "", labels, None, value, out),
        Value::Float(value) => write_sample(name, "", labels, None, value, out),
        Value::Summary(summary) => {
            for (quantile, value) in summary.quantiles {
                let label = Some(("quantile", *quantile));
                write_sample(name, "", labels, label, *value, out);
            }
            write_sample(name, "_sum", labels, None, summary.sum, out);
            write_sample(name, "_count", labels, None, summary.count, out);
        }
        Value::Histogram(histogram) => {
            for bucket in histogram.buckets {
                let label = Some(("le", bucket.upper_bound));
                write_sample(name, "_bucket", labels, label, bucket.cumulative_count, out);
            }
            let all = Some(("le", f64::INFINITY));
            write_sample(name, "_bucket", labels, all, histogram.count, out);
            write_sample(name, "_sum", labels, None, histogram.sum, out);
            write_sample(name, "_count", labels, None, histogram.count, out);
        }
    }
}

/// Appends the sample that has the time of creation of a counter, summary or histogram in
/// OpenMetrics. `name` is the name of its samples without a suffix.
pub fn write_created(name: &str, labels: &[u8], milliseconds: u64, out: &mut Vec<u8>) {
    let bare = name.strip_suffix("_total").unwrap_or(name);
    write_name(bare, "_created", labels, None, out);
    let (seconds, fraction) = (milliseconds / 1000, milliseconds % 1000);
    write(format_args!(" {seconds}.{fraction:03}\n"), out);
}

/// Appends a label to the labels of a metric.
pub fn write_label(name: &str, value: &str, labels: &mut Vec<u8>) {
    if !labels.is_empty() {
        labels.push(b',');
    }
    labels.extend_from_slice(name.as_bytes());
    labels.extend_from_slice(b"=\"");
    write_label_value(value, labels);
    labels.push(b'"');
}

/// Appends the escaped value of a label, without quotes.
pub fn write_label_value(value: &str, out: &mut Vec<u8>) {
    write_escaped(value, true, out);
}

fn write_sample(
    name: &str,
    suffix: &str,
    labels: &[u8],
    last_label: Option<(&str, f64)>,
    value: impl Number,
    out: &mut Vec<u8>,
) {
    write_name(name, suffix, labels, last_label, out);
    out.push(b' ');
    value.write(out);
    out.push(b'\n');
}

fn write_name(
    name: &str,
    suffix: &str,
    labels: &[u8],
    last_label: Option<(&str, f64)>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    if labels.is_empty() && last_label.is_none() {
        return;
    }
    out.push(b'{');
    out.extend_from_slice(labels);
    if let Some((label, bound)) = last_label {
        if !labels.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(b"=\"");
        // "1.0", not "1": OpenMetrics requires floats here, the text format accepts both.
        if bound.is_finite() {
            write(format_args!("{bound:?}"), out);
        } else {
            bound.write(out);
        }
        out.push(b'"');
    }
    out.push(b'}');
}

trait Number {
    fn write(self, out: &mut Vec<u8>);
}

impl Number for u64 {
    fn write(self, out: &mut Vec<u8>) {
        write(format_args!("{self}"), out);
    }
}

impl Number for f64 {
    fn write(self, out: &mut Vec<u8>) {
        if self == Self::INFINITY {
            out.extend_from_slice(b"+Inf");
        } else if self == Self::NEG_INFINITY {
            out.extend_from_slice(b"-Inf");
        } else {
            write(format_args!("{self}"), out);
        }
    }
}

fn write(arguments: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    out.write_fmt(arguments).ok();
}

fn write_escaped(text: &str, escape_quotes: bool, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'"' if escape_quotes => out.extend_from_slice(b"\\\""),
            _ => out.push(byte),
        }
    }
}
