//! Bounds and timeouts of the flow cache.

use flowproto::record::Sampling;

/// Bounds and timeouts of a flow cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// Maximum number of conversations, dormant ones included; at least 1.
    pub max_conversations: u32,
    /// A conversation without a packet for this long is reported, nanoseconds.
    pub idle_timeout_ns: u64,
    /// A conversation that continues is reported at this interval, nanoseconds.
    pub active_timeout_ns: u64,
    /// The state of a quiet connection is kept for this long, nanoseconds.
    pub connection_timeout_ns: u64,
    /// A longer gap between packets means that their clock was set, not that time passed,
    /// nanoseconds. Live, time also advances between packets, so this can be short.
    pub longest_gap_ns: u64,
    /// Count the segments that offloads merged into one packet.
    pub packet_correction: bool,
    /// Meter the health of TCP connections. Has no effect if packets are sampled.
    pub tcp_health: bool,
    /// Report both directions of a conversation in one record (RFC 5103).
    pub biflow: bool,
    /// Report the interfaces of the records: the capture is one of this node.
    pub has_interfaces: bool,
    /// Sampling of the packets, copied into every record.
    pub sampling: Sampling,
    /// Selection of conversations, copied into every record.
    pub flow_sampling: Sampling,
}

impl CacheSettings {
    /// What octets and packets stand for. Packets and conversations are not sampled together.
    #[must_use]
    pub fn scale(&self) -> Sampling {
        match self.sampling {
            Sampling::NONE => self.flow_sampling,
            packets => packets,
        }
    }
}
