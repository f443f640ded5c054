//! Creation and update of self-metrics.

use kipfix_service::registry::Registry;
use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

/// Creates metrics `kipfix_collector_*` and registers them.
pub(super) struct Maker(pub(super) Registry);

impl Maker {
    /// Registers a metric.
    pub(super) fn add<M: Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<M>,
    ) -> prometheus::Result<M> {
        let metric = made?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::with_opts(opts(name, help)))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::with_opts(opts(name, help)))
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(opts(name, help), labels))
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(opts(name, help), labels))
    }

    /// Gauges of numbers that are not integers.
    pub(super) fn float_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(opts(name, help), labels))
    }

    /// A counter for each reason.
    pub(super) fn by_reason(
        &self,
        name: &str,
        help: &str,
        reasons: impl IntoIterator<Item = &'static str>,
    ) -> prometheus::Result<Vec<IntCounter>> {
        let counters = self.counters(name, help, &["reason"])?;
        let reasons = reasons.into_iter();
        Ok(reasons
            .map(|reason| counters.with_label_values(&[reason]))
            .collect())
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("kipfix_collector_{name}"), help)
}

/// The value of a gauge. A number beyond its range becomes the largest one.
pub(super) fn level(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Raises a counter to a total that is counted elsewhere. It never falls.
pub(super) fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// Raises several counters.
pub(super) fn raise_each(counters: &[IntCounter], totals: &[u64]) {
    for (counter, total) in counters.iter().zip(totals) {
        raise(counter, *total);
    }
}

/// Sets a gauge to milliseconds, in seconds.
pub(super) fn set_seconds(gauge: &Gauge, milliseconds: i64) {
    let milliseconds =
        i32::try_from(milliseconds).unwrap_or(if milliseconds < 0 { i32::MIN } else { i32::MAX });
    gauge.set(f64::from(milliseconds) / 1000.0);
}
