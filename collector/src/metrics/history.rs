//! Self-metrics of the history.

use kipfix_service::metric_maker::{MetricMaker, level, raise};
use prometheus::{IntCounter, IntGauge};

use crate::history::HistoryCounts;

#[derive(Debug)]
pub(super) struct HistoryMetrics {
    octets: IntGauge,
    endpoints: IntGauge,
    intervals: IntGauge,
    intervals_discarded: IntCounter,
    edges_other: IntCounter,
    endpoints_other: IntCounter,
}

impl HistoryMetrics {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        Ok(Self {
            octets: make.gauge("history_bytes", "Memory of the history.")?,
            endpoints: make.gauge("history_endpoints", "Endpoints in the history.")?,
            intervals: make.gauge(
                "history_intervals",
                "Intervals in the history, of all rings.",
            )?,
            intervals_discarded: make.counter(
                "history_intervals_discarded_total",
                "Intervals discarded before their time because history_size was reached.",
            )?,
            edges_other: make.counter(
                "history_edges_other_total",
                "Edges added to other because an interval had too many of them.",
            )?,
            endpoints_other: make.counter(
                "history_endpoints_other_total",
                "Endpoints replaced by other because history_size was reached.",
            )?,
        })
    }

    pub(super) fn publish(&self, counts: &HistoryCounts) {
        self.octets.set(level(counts.octets));
        self.endpoints.set(level(counts.endpoints));
        self.intervals.set(level(counts.intervals));
        raise(&self.intervals_discarded, counts.intervals_discarded);
        raise(&self.edges_other, counts.edges_other);
        raise(&self.endpoints_other, counts.endpoints_other);
    }
}
