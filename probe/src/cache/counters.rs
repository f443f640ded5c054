//! What the flow cache counts, as plain numbers.

/// Counts of a flow cache since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Packets metered, as captured: corrected counts less [`Self::packets_corrected`].
    pub packets: u64,
    /// Octets metered.
    pub octets: u64,
    /// Packets added by the correction for merged segments.
    pub packets_corrected: u64,
    /// Conversations whose start was observed.
    pub conversations_started: u64,
    /// Conversations whose start was not observed. No connection is counted for them.
    pub conversations_start_not_observed: u64,
    /// Records, by 136 `flowEndReason`. Index 0 is not used.
    pub records: [u64; 6],
    /// Packets in those records.
    pub record_packets: u64,
    /// Octets in those records.
    pub record_octets: u64,
    /// Packets of conversations that turned out to be copies of other ones, before and after an
    /// address translation. They are in no record.
    pub withdrawn_packets: u64,
    /// Octets of those packets.
    pub withdrawn_octets: u64,
    /// Dormant conversations evicted because their slot was needed.
    pub dormant_evicted: u64,
}
