//! The registry of self-metrics. It also describes families that have no series yet, such as
//! metrics per interface before an interface is open, for the generated documentation.

use std::sync::{Arc, Mutex};

use prometheus::core::Collector;
use prometheus::proto::{MetricFamily, MetricType};

use crate::sync::lock;

/// A `prometheus` registry that keeps a description of every family.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    registry: prometheus::Registry,
    families: Arc<Mutex<Vec<Family>>>,
}

/// The description of a metric family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Name of its samples.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Help text.
    pub help: String,
    /// Names of its labels.
    pub labels: Vec<String>,
}

impl Registry {
    /// Creates an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a metric.
    ///
    /// # Errors
    /// If its name is registered already.
    pub fn register(&self, metric: Box<dyn Collector>) -> prometheus::Result<()> {
        let described = Family::all_of(metric.as_ref());
        self.registry.register(metric)?;
        lock(&self.families).extend(described);
        Ok(())
    }

    /// Returns the families that have series.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Returns the descriptions of all families, sorted by name.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families = lock(&self.families).clone();
        families.sort_by(|a, b| a.name.cmp(&b.name));
        families
    }
}

impl Family {
    fn all_of(metric: &dyn Collector) -> Vec<Self> {
        let collected = metric.collect();
        let described = metric.desc().into_iter().zip(collected);
        described
            .map(|(described, collected)| Self {
                name: described.fq_name.clone(),
                kind: match collected.get_field_type() {
                    MetricType::COUNTER => "counter",
                    MetricType::HISTOGRAM => "histogram",
                    MetricType::SUMMARY => "summary",
                    MetricType::GAUGE | MetricType::UNTYPED => "gauge",
                },
                help: described.help.clone(),
                labels: described.variable_labels.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounterVec, IntGauge, Opts};

    use super::*;

    #[test]
    fn a_family_without_a_series_is_described_but_not_gathered() {
        let registry = Registry::new();
        let lost = IntCounterVec::new(Opts::new("lost_total", "Gone."), &["why"]).unwrap();
        registry.register(Box::new(lost)).unwrap();
        let size = IntGauge::new("a_size", "Entries.").unwrap();
        registry.register(Box::new(size)).unwrap();
        let gathered = registry.gather();
        assert_eq!(gathered.len(), 1);
        assert_eq!(gathered[0].name(), "a_size");
        let lost = Family {
            name: "lost_total".into(),
            kind: "counter",
            help: "Gone.".into(),
            labels: vec!["why".into()],
        };
        assert_eq!(registry.families().last(), Some(&lost));
        assert_eq!(registry.families().len(), 2);
    }

    #[test]
    fn a_name_is_registered_once() {
        let registry = Registry::new();
        let one = || Box::new(IntGauge::new("a_size", "Entries.").unwrap());
        registry.register(one()).unwrap();
        assert!(registry.register(one()).is_err());
        assert_eq!(registry.families().len(), 1);
    }
}
