//! What a record reports about the TCP connection of its flow: losses, round-trip times, and how
//! the connection began and ended.

use enum_map::Enum;
use strum::{FromRepr, IntoStaticStr, VariantArray};

/// Segments of one direction that show loss, reordering or a full receiver. All are deltas: since
/// the previous record of the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpHealth {
    /// 35632:127 `RETRANSMITTED_IN_BYTES`: payload octets sent again.
    pub retransmitted_octets: u64,
    /// 35632:109 `RETRANSMITTED_IN_PKTS`: segments sent again, SYN and FIN included. Keep-alives
    /// and zero-window probes are not.
    pub retransmitted_packets: u32,
    /// 32473:27: those of them that no duplicate acknowledgment preceded.
    pub timeout_retransmitted_packets: u32,
    /// 32473:28: those of them that the receiver already had.
    pub spurious_retransmitted_packets: u32,
    /// 32473:26: those of them that are a SYN.
    pub syn_retransmitted_packets: u32,
    /// 35632:111 `OOORDER_IN_PKTS`: segments that arrived after a later one.
    pub out_of_order_packets: u32,
    /// 32473:18: duplicate acknowledgments (RFC 5681 §2) in this direction.
    pub duplicate_acknowledgments: u32,
    /// 32473:19: segments that announce a window of 0.
    pub zero_window_packets: u32,
}

impl TcpHealth {
    /// All counts are 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Samples of the time from a segment of this direction to its acknowledgment, as the Observation
/// Point measures it: the round-trip time between that point and the destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTripTime {
    /// 32473:21: sum of the samples, microseconds.
    pub sum_microseconds: u64,
    /// 32473:20: the shortest sample, microseconds; ≥ 1 if there is one.
    pub minimum_microseconds: u32,
    /// 32473:22: number of samples.
    pub samples: u32,
}

impl RoundTripTime {
    /// Adds a sample in microseconds. 0 counts as 1.
    pub fn add(&mut self, microseconds: u32) {
        let microseconds = microseconds.max(1);
        self.minimum_microseconds = match self.samples {
            0 => microseconds,
            _ => self.minimum_microseconds.min(microseconds),
        };
        self.sum_microseconds = self.sum_microseconds.saturating_add(microseconds.into());
        self.samples = self.samples.saturating_add(1);
    }

    /// Adds the samples of another one.
    pub fn merge(&mut self, other: &Self) {
        self.minimum_microseconds = match (self.samples, other.samples) {
            (_, 0) => self.minimum_microseconds,
            (0, _) => other.minimum_microseconds,
            _ => self.minimum_microseconds.min(other.minimum_microseconds),
        };
        self.sum_microseconds = self.sum_microseconds.saturating_add(other.sum_microseconds);
        self.samples = self.samples.saturating_add(other.samples);
    }
}

/// Round-trip times of the handshake, microseconds; 0 if not measured. Their sum is that between
/// the ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// 32473:24: from the SYN-ACK to its acknowledgment, between Observation Point and client.
    pub client_microseconds: u32,
    /// 32473:25: from the SYN to the SYN-ACK, between Observation Point and server.
    pub server_microseconds: u32,
}

/// 32473:23 `tcpConnectionState`: the connection at the time of the record. Every record of an open
/// connection reports that it is open. Any other state is reported once, when it has changed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Enum, FromRepr, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[repr(u8)]
pub enum ConnectionState {
    /// Not reported.
    #[default]
    Unknown = 0,
    /// SYN without an answer.
    Unanswered = 1,
    /// The answer to the SYN was RST.
    Refused = 2,
    /// Established, and not ended.
    Open = 3,
    /// Both ends have sent FIN.
    Closed = 4,
    /// The initiator sent RST.
    ResetByInitiator = 5,
    /// The responder sent RST after it had accepted the connection.
    ResetByResponder = 6,
}

impl ConnectionState {
    /// The value on the wire.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "the discriminants are the wire values"
    )]
    pub const fn octet(self) -> u8 {
        self as u8
    }

    /// True if a connection in this state has ended. One that was not answered has not begun.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Unknown | Self::Unanswered | Self::Open => false,
            Self::Refused | Self::Closed | Self::ResetByInitiator | Self::ResetByResponder => true,
        }
    }
}

impl From<u8> for ConnectionState {
    fn from(value: u8) -> Self {
        Self::from_repr(value).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::FlowRecord;

    #[test]
    fn a_duration_is_in_milliseconds_and_an_ended_connection_always_has_one() {
        let of = |milliseconds, seconds, state| {
            let record = FlowRecord {
                connection_sum_duration_milliseconds: milliseconds,
                connection_sum_duration_seconds: Some(seconds),
                tcp_connection_state: state,
                ..FlowRecord::default()
            };
            record.connection_milliseconds()
        };
        assert_eq!(of(1500, 1, ConnectionState::Unknown), Some(1500));
        assert_eq!(of(0, 2, ConnectionState::Unknown), Some(2000));
        assert_eq!(of(0, 0, ConnectionState::Refused), Some(0));
        assert_eq!(of(0, 0, ConnectionState::Open), None);
    }

    #[test]
    fn every_state_has_its_own_value() {
        for state in ConnectionState::VARIANTS {
            assert_eq!(ConnectionState::from(state.octet()), *state);
        }
        assert_eq!(ConnectionState::from(200), ConnectionState::Unknown);
    }

    #[test]
    fn minimum_and_sum_cover_all_samples() {
        let mut times = RoundTripTime::default();
        [30, 0, 50].into_iter().for_each(|sample| times.add(sample));
        let expected = RoundTripTime {
            sum_microseconds: 81,
            minimum_microseconds: 1,
            samples: 3,
        };
        assert_eq!(times, expected);
    }
}
