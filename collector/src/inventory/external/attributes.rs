//! What is known about an external address.

use std::sync::Arc;

/// Identifies a combination of [`ExternalAttributes`]. Ids are assigned in the order of discovery,
/// without gaps, and stay valid when files are reloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalId(pub u32);

impl ExternalId {
    /// No attributes are known.
    pub const UNKNOWN: Self = Self(0);
    /// Attributes are known, but the limit on combinations is reached.
    pub const OTHER: Self = Self(1);
}

/// Attributes of an external address. An empty text is an unknown attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExternalAttributes {
    /// Name of the narrowest named CIDR around the address.
    pub name: Arc<str>,
    /// Number of the autonomous system that announces the address. 0 if unknown (RFC 7607).
    pub as_number: u32,
    /// Organization of the autonomous system, at most 128 octets.
    pub as_organisation: Arc<str>,
    /// ISO 3166-1 alpha-2 code of the country.
    pub country: Arc<str>,
    /// `aws`, `gcp` or `azure`.
    pub cloud_provider: Arc<str>,
    /// The cloud's name of the service. If only the provider is known, the cloud's name for all of
    /// its addresses: `AMAZON`, `Google`, `AzureCloud`.
    pub cloud_service: Arc<str>,
    /// The cloud's name of the region.
    pub cloud_region: Arc<str>,
}

impl ExternalAttributes {
    /// Returns these attributes. Missing ones come from `below`. Number and organization of an
    /// autonomous system come from one source. So do the three attributes of a cloud, unless both
    /// sources name the same provider.
    pub(super) fn over(&self, below: &Self) -> Self {
        let text =
            |top: &Arc<str>, below: &Arc<str>| Arc::clone(if top.is_empty() { below } else { top });
        let system = if self.as_number == 0 && self.as_organisation.is_empty() {
            below
        } else {
            self
        };
        let mut merged = Self {
            name: text(&self.name, &below.name),
            as_number: system.as_number,
            as_organisation: Arc::clone(&system.as_organisation),
            country: text(&self.country, &below.country),
            cloud_provider: Arc::clone(&self.cloud_provider),
            cloud_service: Arc::clone(&self.cloud_service),
            cloud_region: Arc::clone(&self.cloud_region),
        };
        if self.cloud_provider.is_empty() || self.cloud_provider == below.cloud_provider {
            merged.cloud_provider = Arc::clone(&below.cloud_provider);
            merged.cloud_service = text(&self.cloud_service, &below.cloud_service);
            merged.cloud_region = text(&self.cloud_region, &below.cloud_region);
        }
        merged
    }
}
