//! What the operator sets for exporters, by their source address.

use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::alias::ElementAliases;
use crate::record::Sampling;

/// What holds for the records of an exporter whose announcements are wrong or missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplingRule {
    /// Replaces whatever records and options data report.
    pub override_with: Option<Sampling>,
    /// Holds for records for which nothing is reported.
    pub default: Option<Sampling>,
}

/// Finds the sampling rule of an exporter, once per Transport Session.
pub type SamplingPolicy = ByExporter<SamplingRule>;

/// Finds the elements of an exporter that are read as others, once per template.
pub type AliasPolicy = ByExporter<ElementAliases>;

/// Finds what holds for a source address.
#[derive(Clone)]
pub struct ByExporter<T>(Arc<dyn Fn(Address) -> T + Send + Sync>);

impl<T> ByExporter<T> {
    /// Calls `rule` with the source address of an exporter.
    #[must_use]
    pub fn new(rule: impl Fn(Address) -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    pub(crate) fn rule(&self, exporter: Address) -> T {
        (self.0)(exporter)
    }
}

impl<T: Default> Default for ByExporter<T> {
    fn default() -> Self {
        Self::new(|_| T::default())
    }
}

impl<T> fmt::Debug for ByExporter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByExporter")
    }
}
