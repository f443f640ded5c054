//! The formats of `/metrics`: Prometheus text 0.0.4 or OpenMetrics 1.0, as the client accepts.
//!
//! The `prometheus` crate does not write OpenMetrics, so the families of its registry are written
//! here. Other families may follow, then [`finish`].

use std::io::Write;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use crate::registry::Registry;

/// An exposition format. Default: text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0: the family name of a counter has no `_total`, and the last line is `# EOF`.
    OpenMetrics,
}

impl Format {
    /// Selects the format for an HTTP `Accept` header: OpenMetrics if it is listed in version 1.0.0
    /// or without a version and no other type has a higher quality value. Otherwise text.
    #[must_use]
    pub fn from_accept(accept: &str) -> Self {
        let (mut text, mut open_metrics) = (0.0, 0.0);
        for range in accept.split(',') {
            let mut parameters = range.split(';').map(str::trim);
            let media_type = parameters.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0, None);
            for parameter in parameters {
                match parameter.split_once('=') {
                    Some(("q", value)) => quality = value.trim().parse().unwrap_or(0.0),
                    Some(("version", value)) => version = Some(value.trim()),
                    _ => {}
                }
            }
            match media_type.as_str() {
                "application/openmetrics-text" if version.is_none_or(|v| v == "1.0.0") => {
                    open_metrics = f32::max(open_metrics, quality);
                }
                "text/plain" | "text/*" | "*/*" => text = f32::max(text, quality),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Returns the HTTP `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Appends every family of `registry`.
pub fn write_registry(registry: &Registry, format: Format, out: &mut Vec<u8>) {
    for family in registry.gather() {
        write_family(&family, format, out);
    }
}

/// Appends `# HELP` and `# TYPE` of a family. `name` is the name of its samples: for a counter it
/// ends in `_total`, which is not part of the family name in OpenMetrics. `kind` is `counter`,
/// `gauge`, `histogram` or `summary`.
pub fn write_header(name: &str, help: &str, kind: &str, format: Format, out: &mut Vec<u8>) {
    let family = match format {
        Format::OpenMetrics if kind == "counter" => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    for part in ["# HELP ", family, " "] {
        out.extend_from_slice(part.as_bytes());
    }
    write_escaped(help, format == Format::OpenMetrics, out);
    for part in ["\n# TYPE ", family, " ", kind, "\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends the escaped value of a label, without quotes.
pub fn write_label_value(value: &str, out: &mut Vec<u8>) {
    write_escaped(value, true, out);
}

/// Ends the exposition. The last line of OpenMetrics is `# EOF`.
pub fn finish(format: Format, out: &mut Vec<u8>) {
    if format == Format::OpenMetrics {
        out.extend_from_slice(b"# EOF\n");
    }
}

fn write_family(family: &MetricFamily, format: Format, out: &mut Vec<u8>) {
    let name = family.name();
    let kind = match (family.get_field_type(), format) {
        (MetricType::COUNTER, _) => "counter",
        (MetricType::GAUGE, _) => "gauge",
        (MetricType::HISTOGRAM, _) => "histogram",
        (MetricType::SUMMARY, _) => "summary",
        (MetricType::UNTYPED, Format::Text) => "untyped",
        (MetricType::UNTYPED, Format::OpenMetrics) => "unknown",
    };
    write_header(name, family.help(), kind, format, out);
    for metric in family.get_metric() {
        match family.get_field_type() {
            MetricType::COUNTER => {
                let bare = format == Format::OpenMetrics && !name.ends_with("_total");
                let suffix = if bare { "_total" } else { "" };
                write_sample(
                    name,
                    suffix,
                    metric,
                    None,
                    metric.get_counter().get_value(),
                    out,
                );
            }
            MetricType::GAUGE => {
                write_sample(name, "", metric, None, metric.get_gauge().get_value(), out);
            }
            MetricType::HISTOGRAM => write_histogram(name, metric, out),
            MetricType::SUMMARY => write_summary(name, metric, out),
            // The crate has no type for it.
            MetricType::UNTYPED => {}
        }
    }
}

fn write_histogram(name: &str, metric: &Metric, out: &mut Vec<u8>) {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count();
    for bucket in histogram
        .get_bucket()
        .iter()
        .filter(|b| b.upper_bound().is_finite())
    {
        let bound = Some(("le", bucket.upper_bound()));
        write_sample(
            name,
            "_bucket",
            metric,
            bound,
            bucket.cumulative_count(),
            out,
        );
    }
    write_sample(
        name,
        "_bucket",
        metric,
        Some(("le", f64::INFINITY)),
        count,
        out,
    );
    write_sample(name, "_sum", metric, None, histogram.get_sample_sum(), out);
    write_sample(name, "_count", metric, None, count, out);
}

fn write_summary(name: &str, metric: &Metric, out: &mut Vec<u8>) {
    let summary = metric.get_summary();
    for quantile in summary.get_quantile() {
        let label = Some(("quantile", quantile.quantile()));
        write_sample(name, "", metric, label, quantile.value(), out);
    }
    write_sample(name, "_sum", metric, None, summary.sample_sum(), out);
    write_sample(name, "_count", metric, None, summary.sample_count(), out);
}

fn write_sample(
    name: &str,
    suffix: &str,
    metric: &Metric,
    last_label: Option<(&str, f64)>,
    value: impl Number,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    let mut before = b'{';
    for label in metric.get_label() {
        out.push(before);
        out.extend_from_slice(label.name().as_bytes());
        out.extend_from_slice(b"=\"");
        write_label_value(label.value(), out);
        out.push(b'"');
        before = b',';
    }
    if let Some((label, bound)) = last_label {
        out.push(before);
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(b"=\"");
        // "1.0", not "1": OpenMetrics requires floats here, the text format accepts both.
        if bound.is_finite() {
            write(format_args!("{bound:?}"), out);
        } else {
            bound.write(out);
        }
        out.push(b'"');
        before = b',';
    }
    if before == b',' {
        out.push(b'}');
    }
    out.push(b' ');
    value.write(out);
    out.push(b'\n');
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

#[cfg(test)]
mod tests {
    use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};

    use super::*;

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
        let delay =
            Histogram::with_opts(HistogramOpts::new("c_seconds", "Delay.").buckets(vec![0.5, 1.0]))
                .unwrap();
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
        assert_eq!(
            written(Format::OpenMetrics),
            format!("{counter}{REST}# EOF\n")
        );
    }

    #[test]
    fn the_accept_header_selects_the_format() {
        let cases = [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            (
                "application/openmetrics-text;q=0.1,text/plain;q=0.9",
                Format::Text,
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;q=0.7,\
                 text/plain;version=0.0.4;q=0.3",
                Format::Text,
            ),
            (";;q=x,,=", Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::from_accept(accept), format, "{accept:?}");
        }
    }
}
