//! Sampling set by the operator, for exporters whose announcements are wrong or missing.

use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::record::Sampling;

/// What holds for the records of an exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplingRule {
    /// Replaces whatever records and options data report.
    pub override_with: Option<Sampling>,
    /// Holds for records for which nothing is reported.
    pub default: Option<Sampling>,
}

/// Finds the rule for a source address.
#[derive(Clone)]
pub struct SamplingPolicy(Arc<dyn Fn(Address) -> SamplingRule + Send + Sync>);

impl SamplingPolicy {
    /// A policy that asks `rule` for each exporter, once per Transport Session.
    #[must_use]
    pub fn new(rule: impl Fn(Address) -> SamplingRule + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    pub(crate) fn rule(&self, exporter: Address) -> SamplingRule {
        (self.0)(exporter)
    }
}

impl Default for SamplingPolicy {
    fn default() -> Self {
        Self::new(|_| SamplingRule::default())
    }
}

impl fmt::Debug for SamplingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SamplingPolicy")
    }
}
