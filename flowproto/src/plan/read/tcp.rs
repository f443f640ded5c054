//! What a record reports about its TCP connection.

use super::{Values, bits};
use crate::plan::slot::Slot;
use crate::record::FlowRecord;
use crate::tcp::{Handshake, RoundTripTime, TcpHealth};

/// The slots of this file.
pub(super) const SLOTS: u128 = bits([
    Slot::ConnectionState,
    Slot::ClientLatencyMilliseconds,
    Slot::ServerLatencyMilliseconds,
    Slot::ClientLatency,
    Slot::ServerLatency,
    Slot::RetransmittedPackets,
    Slot::RetransmittedOctets,
    Slot::OutOfOrder,
    Slot::TimeoutRetransmitted,
    Slot::SpuriousRetransmitted,
    Slot::SynRetransmitted,
    Slot::DuplicateAcknowledgments,
    Slot::ZeroWindows,
    Slot::ReverseRetransmittedPackets,
    Slot::ReverseRetransmittedOctets,
    Slot::ReverseOutOfOrder,
    Slot::ReverseTimeoutRetransmitted,
    Slot::ReverseSpuriousRetransmitted,
    Slot::ReverseSynRetransmitted,
    Slot::ReverseDuplicateAcknowledgments,
    Slot::ReverseZeroWindows,
    Slot::RoundTripMinimum,
    Slot::RoundTripSum,
    Slot::RoundTripSamples,
    Slot::ReverseRoundTripMinimum,
    Slot::ReverseRoundTripSum,
    Slot::ReverseRoundTripSamples,
]);

impl Values {
    /// Fills the fields about the TCP connection.
    pub(super) fn fill_tcp(&self, record: &mut FlowRecord) {
        record.tcp_connection_state = self.low_u8(Slot::ConnectionState).into();
        let latency = |microseconds: Slot, milliseconds: Slot| {
            if self.any(microseconds.bit()) {
                self.low_u32(microseconds)
            } else {
                self.low_u32(milliseconds).saturating_mul(1000)
            }
        };
        record.tcp_handshake = Handshake {
            client_microseconds: latency(Slot::ClientLatency, Slot::ClientLatencyMilliseconds),
            server_microseconds: latency(Slot::ServerLatency, Slot::ServerLatencyMilliseconds),
        };
        record.tcp_health = TcpHealth {
            retransmitted_packets: self.low_u32(Slot::RetransmittedPackets),
            retransmitted_octets: self.number(Slot::RetransmittedOctets),
            out_of_order_packets: self.low_u32(Slot::OutOfOrder),
            timeout_retransmitted_packets: self.low_u32(Slot::TimeoutRetransmitted),
            spurious_retransmitted_packets: self.low_u32(Slot::SpuriousRetransmitted),
            syn_retransmitted_packets: self.low_u32(Slot::SynRetransmitted),
            duplicate_acknowledgments: self.low_u32(Slot::DuplicateAcknowledgments),
            zero_window_packets: self.low_u32(Slot::ZeroWindows),
        };
        record.reverse_tcp_health = TcpHealth {
            retransmitted_packets: self.low_u32(Slot::ReverseRetransmittedPackets),
            retransmitted_octets: self.number(Slot::ReverseRetransmittedOctets),
            out_of_order_packets: self.low_u32(Slot::ReverseOutOfOrder),
            timeout_retransmitted_packets: self.low_u32(Slot::ReverseTimeoutRetransmitted),
            spurious_retransmitted_packets: self.low_u32(Slot::ReverseSpuriousRetransmitted),
            syn_retransmitted_packets: self.low_u32(Slot::ReverseSynRetransmitted),
            duplicate_acknowledgments: self.low_u32(Slot::ReverseDuplicateAcknowledgments),
            zero_window_packets: self.low_u32(Slot::ReverseZeroWindows),
        };
        record.tcp_round_trip_time = RoundTripTime {
            minimum_microseconds: self.low_u32(Slot::RoundTripMinimum),
            sum_microseconds: self.number(Slot::RoundTripSum),
            samples: self.low_u32(Slot::RoundTripSamples),
        };
        record.reverse_tcp_round_trip_time = RoundTripTime {
            minimum_microseconds: self.low_u32(Slot::ReverseRoundTripMinimum),
            sum_microseconds: self.number(Slot::ReverseRoundTripSum),
            samples: self.low_u32(Slot::ReverseRoundTripSamples),
        };
    }
}
