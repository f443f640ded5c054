//! The families of a registry of the `prometheus` crate.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{Bucket, Format, Histogram, Kind, Summary, Value, text, write_family};
use crate::registry::Registry;

/// Appends every family of `registry`.
pub fn write_registry(registry: &Registry, format: Format, out: &mut Vec<u8>) {
    for family in registry.gather() {
        write_gathered(&family, format, out);
    }
}

fn write_gathered(family: &MetricFamily, format: Format, out: &mut Vec<u8>) {
    let kind = match family.get_field_type() {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::SUMMARY => Kind::Summary,
        MetricType::HISTOGRAM => Kind::Histogram,
        // The crate has no type for it.
        MetricType::UNTYPED => return,
    };
    let (name, help) = (family.name(), family.help());
    write_family(name, help, kind, format, out, |write| {
        let mut labels = Vec::new();
        for metric in family.get_metric() {
            write_labels(metric, &mut labels);
            with_value(metric, kind, |value| write(&labels, value));
        }
    });
}

fn write_labels(metric: &Metric, labels: &mut Vec<u8>) {
    labels.clear();
    for label in metric.get_label() {
        text::write_label(label.name(), label.value(), labels);
    }
}

fn with_value(metric: &Metric, kind: Kind, mut write: impl FnMut(Value<'_>)) {
    match kind {
        Kind::Counter => write(Value::Float(metric.get_counter().get_value())),
        Kind::Gauge => write(Value::Float(metric.get_gauge().get_value())),
        Kind::Summary => {
            let summary = metric.get_summary();
            let quantiles = summary.get_quantile().iter();
            let quantiles: Vec<_> = quantiles.map(|q| (q.quantile(), q.value())).collect();
            write(Value::Summary(&Summary {
                count: summary.sample_count(),
                sum: summary.sample_sum(),
                quantiles: &quantiles,
            }));
        }
        Kind::Histogram => {
            let histogram = metric.get_histogram();
            let buckets = histogram.get_bucket().iter().map(|bucket| Bucket {
                upper_bound: bucket.upper_bound(),
                cumulative_count: bucket.cumulative_count(),
            });
            let buckets: Vec<_> = buckets.filter(|b| b.upper_bound.is_finite()).collect();
            write(Value::Histogram(&Histogram {
                count: histogram.get_sample_count(),
                sum: histogram.get_sample_sum(),
                buckets: &buckets,
                native: None,
            }));
        }
        Kind::Untyped => {}
    }
}
