//! Creation and update of self-metrics.

use enum_map::{EnumArray, EnumMap};
use prometheus::core::Collector;
use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use crate::registry::Registry;

/// Creates metrics whose names have one prefix, and registers them.
///
/// Its methods fail if a metric of the name is registered already, which is a bug.
#[derive(Debug)]
pub struct MetricMaker {
    registry: Registry,
    prefix: &'static str,
}

impl MetricMaker {
    /// Creates a maker with an empty registry. The prefix is that of a daemon: `kipfix_probe`.
    #[must_use]
    pub fn new(prefix: &'static str) -> Self {
        Self {
            registry: Registry::new(),
            prefix,
        }
    }

    /// The registry.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Registers a metric.
    ///
    /// # Errors
    /// It could not be made, or its name is registered already.
    pub fn add<M: Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<M>,
    ) -> prometheus::Result<M> {
        let metric = made?;
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// A counter.
    ///
    /// # Errors
    /// Its name is registered already.
    pub fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::with_opts(self.opts(name, help)))
    }

    /// A gauge.
    ///
    /// # Errors
    /// Its name is registered already.
    pub fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::with_opts(self.opts(name, help)))
    }

    /// A gauge of a bound, which does not change.
    ///
    /// # Errors
    /// Its name is registered already.
    pub fn capacity(
        &self,
        name: &str,
        help: &str,
        bound: impl TryInto<i64>,
    ) -> prometheus::Result<()> {
        self.gauge(name, help)?.set(level(bound));
        Ok(())
    }

    /// Counters with labels.
    ///
    /// # Errors
    /// Their name is registered already.
    pub fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(self.opts(name, help), labels))
    }

    /// Gauges with labels.
    ///
    /// # Errors
    /// Their name is registered already.
    pub fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(self.opts(name, help), labels))
    }

    /// Gauges of numbers that are not integers.
    ///
    /// # Errors
    /// Their name is registered already.
    pub fn float_gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(self.opts(name, help), labels))
    }

    /// A counter for each variant of an enum, whose name is the value of the label.
    ///
    /// # Errors
    /// Their name is registered already.
    pub fn counter_by<K>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> prometheus::Result<EnumMap<K, IntCounter>>
    where
        K: EnumArray<IntCounter> + Into<&'static str>,
    {
        let counters = self.counters(name, help, &[label])?;
        Ok(EnumMap::from_fn(|key: K| {
            counters.with_label_values(&[key.into()])
        }))
    }

    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace(self.prefix)
    }
}

/// The value of a gauge. A number beyond its range becomes the largest one.
pub fn level(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Raises a counter to a total that is counted elsewhere. It never falls.
pub fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
