//! Observation Domains.

use crate::address::Address;

/// What the options data of an Observation Domain say about it.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// 300 `observationDomainName`.
    pub observation_domain_name: Option<Box<str>>,
    /// 130 or 131 `exporterIPv4Address`/`exporterIPv6Address`; unspecified if not announced.
    pub exporter_address: Address,
    /// Changes whenever one of the above does, so that values derived from them can be cached.
    pub revision: u32,
}
