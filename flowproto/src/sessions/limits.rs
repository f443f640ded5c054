//! Bounds.

/// Bounds of a Collecting Process. One source address gets at most [`Self::address_share`] percent
/// of each.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of Observation Domains, each as received in one Transport Session. Default 4096.
    ///
    /// For one more, one that has not sent a readable record is forgotten, else one of the same
    /// address, else one that has been silent for a minute: each time the one silent for longest.
    pub domains: usize,
    /// Maximum number of templates of one Observation Domain; more are refused. Default 4096.
    pub templates_per_domain: usize,
    /// Maximum number of fields of all templates; more are refused. A field takes about 50 octets.
    /// Default 2,097,152.
    pub template_fields: usize,
    /// Maximum size of all Data Sets that wait for their template, octets. Default 16 MiB.
    pub pending_octets: usize,
    /// Maximum time that a Data Set waits for its template, milliseconds. Default 2 min.
    pub pending_milliseconds: u64,
    /// Maximum number of names, types and samplers learned from options data; more are refused.
    /// Default 65,536.
    pub metadata_entries: usize,
    /// Maximum number of flows whose running totals are kept. For one more, the one not updated for
    /// longest is evicted. Default 65,536.
    pub totals: usize,
    /// Maximum number of Observation Domains whose counts are kept after their sessions have ended.
    /// Default 16,384.
    pub exporters: usize,
    /// Observation Domains without a Message for this time are forgotten, and so are templates that
    /// were neither sent nor used, milliseconds. Default 2 h.
    pub idle_milliseconds: u64,
    /// Share of one source address of each bound, percent. Default 25. Bounds of a few are not
    /// shared.
    pub address_share: u8,
    /// Whether a session can use the template of another one of its exporter. Default true.
    pub template_sharing: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            domains: 4096,
            templates_per_domain: 4096,
            template_fields: 1 << 21,
            pending_octets: 16 << 20,
            pending_milliseconds: 120_000,
            metadata_entries: 65_536,
            totals: 65_536,
            exporters: 16_384,
            idle_milliseconds: 7_200_000,
            address_share: 25,
            template_sharing: true,
        }
    }
}

impl Limits {
    /// Bounds up to this number are not shared out: too little would be left.
    const MINIMUM_SHARE: usize = 64;

    /// The share of one address of a bound.
    pub(crate) fn share(&self, bound: usize) -> usize {
        let share = bound.saturating_mul(self.address_share.into()) / 100;
        share.max(Self::MINIMUM_SHARE).min(bound)
    }
}
