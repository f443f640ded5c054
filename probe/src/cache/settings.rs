//! Bounds and timeouts of the flow cache.

use std::num::NonZeroUsize;

use crate::sampling::SamplingRatio;
use crate::translation::TranslationSource;

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
    /// Sampling, which every record names.
    pub sampling: SamplingRatio,
    /// Origin of the address translations.
    pub translations: TranslationSource,
    /// Maximum number of resolved names that are kept; `None` if names are not learned.
    pub max_names: Option<NonZeroUsize>,
}
