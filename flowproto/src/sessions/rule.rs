//! Settings of the operator by the addresses of an exporter.

use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::alias::ElementAliases;
use crate::record::Sampling;

/// The sampling of an exporter whose announcements are wrong or missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SamplingRule {
    /// Replaces whatever records and options data report.
    pub override_with: Option<Sampling>,
    /// Applies to records for which nothing is reported. A reported 1:1 is not replaced.
    pub default: Option<Sampling>,
}

/// The addresses of an exporter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExporterAddresses {
    /// Source address of the Messages.
    pub source: Address,
    /// 130 or 131, the address that it reports for itself; unspecified if it reports none.
    pub reported: Address,
}

/// Looks up the sampling rule of an exporter, once per Transport Session, and again if the exporter
/// reports another address.
pub type SamplingPolicy = ByExporter<ExporterAddresses, SamplingRule>;

/// Looks up the elements that are read as others by the source address of an exporter, once per
/// template.
pub type AliasPolicy = ByExporter<Address, ElementAliases>;

/// Looks up a value by the addresses of an exporter.
#[derive(Clone)]
pub struct ByExporter<K, T>(Arc<dyn Fn(K) -> T + Send + Sync>);

impl<K, T> ByExporter<K, T> {
    /// Calls `rule` with the address or addresses of an exporter.
    #[must_use]
    pub fn new(rule: impl Fn(K) -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    pub(crate) fn rule(&self, exporter: K) -> T {
        (self.0)(exporter)
    }
}

impl<K, T: Default> Default for ByExporter<K, T> {
    fn default() -> Self {
        Self::new(|_| T::default())
    }
}

impl<K, T> fmt::Debug for ByExporter<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByExporter")
    }
}
