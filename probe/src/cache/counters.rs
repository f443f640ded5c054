//! What the flow cache counts, as plain numbers.

use enum_map::EnumMap;
use flowproto::FlowRecord;
use flowproto::record::FlowEndReason;
use flowproto::tcp::ConnectionState;

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
    /// Records, by 136 `flowEndReason`.
    pub records: EnumMap<FlowEndReason, u64>,
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
    /// TCP segments in records that were sent again.
    pub tcp_retransmitted_packets: u64,
    /// TCP segments in records that arrived after a later one.
    pub tcp_out_of_order_packets: u64,
    /// Round-trip times in records.
    pub tcp_round_trips: u64,
    /// States of TCP connections in records.
    pub tcp_connection_states: EnumMap<ConnectionState, u64>,
}

impl CacheCounters {
    /// Counts what a record reports about its TCP connection.
    pub(super) fn count_tcp(&mut self, record: &FlowRecord) {
        for health in [&record.tcp_health, &record.reverse_tcp_health] {
            self.tcp_retransmitted_packets += u64::from(health.retransmitted_packets);
            self.tcp_out_of_order_packets += u64::from(health.out_of_order_packets);
        }
        for times in [
            record.tcp_round_trip_time,
            record.reverse_tcp_round_trip_time,
        ] {
            self.tcp_round_trips += u64::from(times.samples);
        }
        self.tcp_connection_states[record.tcp_connection_state] += 1;
    }
}
