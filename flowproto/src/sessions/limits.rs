//! Bounds.

/// Bounds of a Collecting Process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of Observation Domains, each as received in one Transport Session. For one
    /// more, the one silent for longest is evicted. Default 4096.
    pub domains: usize,
    /// Maximum number of templates of one Observation Domain; more are refused. Default 4096.
    pub templates_per_domain: usize,
    /// Maximum size of all Data Sets that wait for their template, octets. Default 16 MiB.
    pub pending_octets: usize,
    /// Maximum time that a Data Set waits for its template, milliseconds. Default 2 min.
    pub pending_milliseconds: u64,
    /// Maximum number of names and types learned from options data; more are refused. Default
    /// 65,536.
    pub metadata_entries: usize,
    /// Maximum number of flows whose running totals are kept. For one more, the one not updated for
    /// longest is evicted. Default 65,536.
    pub totals: usize,
    /// Observation Domains without a Message for this time are forgotten, and so are templates that
    /// were neither sent nor used, milliseconds. Default 2 h.
    pub idle_milliseconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            domains: 4096,
            templates_per_domain: 4096,
            pending_octets: 16 << 20,
            pending_milliseconds: 120_000,
            metadata_entries: 65_536,
            totals: 65_536,
            idle_milliseconds: 7_200_000,
        }
    }
}
