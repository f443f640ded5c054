//! Registration of families, and their advance to totals.

use kipfix_service::registry::Registry;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

/// Registers families with one prefix.
pub(super) struct Families<'a>(pub(super) &'a Registry);

impl Families<'_> {
    fn options(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("kipfix_probe")
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::with_opts(Self::options(name, help))?;
        self.0.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Self::options(name, help), labels)?;
        self.0.register(Box::new(counters.clone()))?;
        Ok(counters)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::with_opts(Self::options(name, help))?;
        self.0.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    pub(super) fn capacity(&self, name: &str, help: &str, value: usize) -> prometheus::Result<()> {
        self.gauge(name, help)?
            .set(i64::try_from(value).unwrap_or(i64::MAX));
        Ok(())
    }

    pub(super) fn by_reason(
        &self,
        name: &str,
        help: &str,
        reasons: impl Iterator<Item = &'static str>,
    ) -> prometheus::Result<Vec<IntCounter>> {
        let counters = self.counters(name, help, &["reason"])?;
        Ok(reasons
            .map(|reason| counters.with_label_values(&[reason]))
            .collect())
    }
}

/// Advances a counter to a total.
pub(super) fn advance(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// Advances counters to totals.
pub(super) fn advance_all(counters: &[IntCounter], totals: &[u64]) {
    for (counter, total) in counters.iter().zip(totals) {
        advance(counter, *total);
    }
}
