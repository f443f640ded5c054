//! Connections: the initiator, whether the start was observed, the end, and whether a packet with
//! the same addresses and ports belongs to another connection. Used by [`crate::cache`], which
//! keeps one [`Connection`] per conversation.
//!
//! Nothing is guessed. The initiator of a TCP or SCTP conversation is known by its SYN or INIT, or
//! by the answer to it, and that of an ICMP exchange by the query. Of any other protocol, the
//! initiator is the side with the earlier first packet, if that can have been the first packet at
//! all, and the receiver of it if it is an answer.

use flowproto::protocol::{SCTP, TCP};
use flowproto::tcp::ConnectionState;

use crate::decode::{PacketInfo, Signal};

/// ACK among the control bits of TCP.
const ACK: u16 = 0x10;
/// Numbers of an earlier connection are lower by as much as this.
const EARLIER: std::ops::Range<u32> = 1 << 16..1 << 30;

/// One end of a conversation, by the ascending order of addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The lower address and port.
    Low,
    /// The higher address and port.
    High,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// A value for each end of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair<T> {
    /// The value of the lower address and port.
    pub low: T,
    /// The value of the higher address and port.
    pub high: T,
}

impl<T> Pair<T> {
    /// The value of one end.
    pub const fn of(&self, side: Side) -> &T {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    /// The value of one end, mutable.
    pub const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }
}

/// The state of one end of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct EndState {
    /// Initial sequence number (SCTP: initiate tag), if `is_numbered`. Apart, an `Option` takes
    /// twice as much.
    number: u32,
    /// Maximum segment size that this end announced, octets; 0 if unknown.
    maximum_segment_octets: u16,
    /// Its SYN or the answer to it was seen.
    is_numbered: bool,
    /// It sent its FIN.
    finished: bool,
}

impl EndState {
    const fn initial_sequence_number(&self) -> Option<u32> {
        if self.is_numbered {
            Some(self.number)
        } else {
            None
        }
    }

    const fn set_initial_sequence_number(&mut self, number: u32) {
        self.number = number;
        self.is_numbered = true;
    }
}

/// The state of a connection, or of a conversation of a protocol without connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    ends: Pair<EndState>,
    initiator: Option<Side>,
    /// The initiator is known by the order of packets, and no record was made yet.
    is_order_open: bool,
    accepted: bool,
    aborted_by: Option<Side>,
    /// A record with 278 `newConnectionDeltaCount` = 1 was made.
    pub counted: bool,
}

impl Connection {
    /// Creates the state at the first packet of a conversation. `is_start_observed`: no earlier
    /// packet can have been missed.
    #[must_use]
    pub fn begin(packet: &PacketInfo, source: Side, is_start_observed: bool) -> Self {
        let is_by_order = is_start_observed
            && packet.signal == Signal::None
            && !matches!(packet.key.protocol_identifier, TCP | SCTP);
        let mut connection = Self {
            initiator: match packet.signal {
                Signal::Open | Signal::Query => Some(source),
                Signal::Accept => Some(source.opposite()),
                Signal::Answer if is_start_observed => Some(source.opposite()),
                Signal::None if is_by_order => Some(source),
                _ => None,
            },
            is_order_open: is_by_order,
            ..Self::default()
        };
        connection.advance(packet, source);
        connection
    }

    /// Decides the initiator by the times of the first packets of both directions, if it depends on
    /// their order. After the first record it does not change.
    pub fn settle_initiator(&mut self, first: Pair<Option<u64>>) {
        if !std::mem::take(&mut self.is_order_open) {
            return;
        }
        let Some(initiator) = self.initiator else {
            return;
        };
        let (own, other) = (first.of(initiator), first.of(initiator.opposite()));
        if let (Some(own), Some(other)) = (own, other)
            && other < own
        {
            self.initiator = Some(initiator.opposite());
        }
    }

    /// Sets the initiator, if it depends on the order of packets and an earlier one was observed
    /// elsewhere.
    pub fn set_initiator(&mut self, initiator: Side) {
        if std::mem::take(&mut self.is_order_open) {
            self.initiator = Some(initiator);
        }
    }

    /// The initiator; `None` if the start was not observed.
    #[must_use]
    pub const fn initiator(&self) -> Option<Side> {
        self.initiator
    }

    /// Initial sequence number of an end; `None` if neither its SYN nor the answer was observed.
    #[must_use]
    pub const fn initial_sequence_number(&self, side: Side) -> Option<u32> {
        self.ends.of(side).initial_sequence_number()
    }

    /// True after a FIN of both ends, or after one aborted.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.aborted_by.is_some() || self.is_closed()
    }

    /// Both ends have sent their FIN.
    const fn is_closed(&self) -> bool {
        self.ends.low.finished && self.ends.high.finished
    }

    /// The state of a TCP connection whose initiator is known. `is_established`: the initiator has
    /// acknowledged the answer of the responder.
    #[must_use]
    pub fn state(&self, is_established: bool) -> ConnectionState {
        let Some(initiator) = self.initiator else {
            return ConnectionState::Unknown;
        };
        match self.aborted_by {
            Some(side) if side == initiator => ConnectionState::ResetByInitiator,
            Some(_) if self.accepted || is_established => ConnectionState::ResetByResponder,
            Some(_) => ConnectionState::Refused,
            None if self.is_closed() => ConnectionState::Closed,
            None if self.accepted || is_established => ConnectionState::Open,
            None => ConnectionState::Unanswered,
        }
    }

    /// True if `packet` opens another connection between the same addresses and ports. `quiet`:
    /// this one has ended, or was idle for longer than the idle timeout.
    #[must_use]
    pub fn is_another(&self, packet: &PacketInfo, source: Side, quiet: bool) -> bool {
        if !matches!(packet.signal, Signal::Open | Signal::Accept) {
            return false;
        }
        let known = |side: Side| self.ends.of(side).initial_sequence_number();
        let answered = known(source.opposite());
        match packet.signal {
            Signal::Open => match known(source) {
                // The same number again is a retransmission (RFC 9293 §3.8.1).
                Some(number) => number != packet.sequence_number,
                // A SYN of the other end without an answer: simultaneous open (RFC 9293 §3.5).
                None => quiet || self.accepted || answered.is_none(),
            },
            Signal::Accept => match known(source) {
                Some(number) => number != packet.sequence_number,
                None => match answered {
                    Some(number) => quiet && number != packet.acknowledgment_number.wrapping_sub(1),
                    None => true,
                },
            },
            _ => false,
        }
    }

    /// Updates the state with a packet of this connection.
    #[inline]
    pub fn advance(&mut self, packet: &PacketInfo, source: Side) {
        match packet.signal {
            Signal::None | Signal::Query | Signal::Continuation | Signal::Answer => {}
            Signal::Finish => self.ends.of_mut(source).finished = true,
            Signal::Abort => {
                if !self.is_over() && self.is_own_reset(packet, source) {
                    self.aborted_by = Some(source);
                }
            }
            Signal::Open | Signal::Accept => {
                let end = self.ends.of_mut(source);
                end.set_initial_sequence_number(packet.sequence_number);
                if packet.maximum_segment_octets != 0 {
                    end.maximum_segment_octets = packet.maximum_segment_octets;
                }
                if packet.signal == Signal::Accept {
                    self.accepted = true;
                    if packet.key.protocol_identifier == TCP {
                        let acknowledged = packet.acknowledgment_number.wrapping_sub(1);
                        let other = self.ends.of_mut(source.opposite());
                        if !other.is_numbered {
                            other.set_initial_sequence_number(acknowledged);
                        }
                    }
                }
            }
        }
    }

    /// True if a reset ends this connection, and not an earlier one between the same addresses and
    /// ports. Before the answer to the SYN, its numbers show that (RFC 9293 §3.5.1, §3.10.7.3): an
    /// earlier connection has lower ones.
    fn is_own_reset(&self, packet: &PacketInfo, source: Side) -> bool {
        let initial = |side: Side| self.ends.of(side).initial_sequence_number();
        let (number, lowest) = if let Some(initial) = initial(source) {
            (packet.sequence_number, initial)
        } else if packet.tcp_control_bits & ACK != 0
            && let Some(initial) = initial(source.opposite())
        {
            (packet.acknowledgment_number, initial.wrapping_add(1))
        } else {
            return true;
        };
        // Some senders leave out the number.
        let is_earlier = number != 0 && EARLIER.contains(&lowest.wrapping_sub(number));
        self.accepted || packet.key.protocol_identifier != TCP || !is_earlier
    }

    /// Maximum octets of payload and options in a segment that `source` sends: the maximum segment
    /// size of the other end. Its own does not limit what it sends.
    #[must_use]
    pub const fn segment_octets(&self, source: Side) -> Option<u16> {
        match self.ends.of(source.opposite()).maximum_segment_octets {
            0 => None,
            size => Some(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowproto::FlowKey;

    fn packet(signal: Signal, sequence_number: u32, acknowledgment_number: u32) -> PacketInfo {
        PacketInfo {
            key: FlowKey {
                protocol_identifier: TCP,
                ..FlowKey::default()
            },
            signal,
            sequence_number,
            acknowledgment_number,
            ..PacketInfo::default()
        }
    }

    #[test]
    fn a_syn_identifies_the_initiator_and_so_does_the_answer_alone() {
        let by_syn = Connection::begin(&packet(Signal::Open, 1, 0), Side::High, true);
        assert_eq!(by_syn.initiator(), Some(Side::High));
        let by_answer = Connection::begin(&packet(Signal::Accept, 9, 2), Side::Low, true);
        assert_eq!(by_answer.initiator(), Some(Side::High));
        let mid_stream = Connection::begin(&packet(Signal::None, 9, 2), Side::Low, true);
        assert_eq!(mid_stream.initiator(), None);
    }

    #[test]
    fn a_retransmitted_syn_is_not_another_connection_but_a_new_number_is() {
        let connection = Connection::begin(&packet(Signal::Open, 100, 0), Side::Low, true);
        assert!(!connection.is_another(&packet(Signal::Open, 100, 0), Side::Low, false));
        assert!(!connection.is_another(&packet(Signal::Open, 100, 0), Side::Low, true));
        assert!(connection.is_another(&packet(Signal::Open, 101, 0), Side::Low, false));
    }

    #[test]
    fn a_syn_that_arrives_after_its_answer_belongs_to_it() {
        let connection = Connection::begin(&packet(Signal::Accept, 500, 101), Side::High, true);
        assert!(!connection.is_another(&packet(Signal::Open, 100, 0), Side::Low, false));
    }

    #[test]
    fn a_simultaneous_open_is_one_connection() {
        let mut connection = Connection::begin(&packet(Signal::Open, 1, 0), Side::Low, true);
        let other = packet(Signal::Open, 2, 0);
        assert!(!connection.is_another(&other, Side::High, false));
        connection.advance(&other, Side::High);
        assert!(!connection.is_another(&packet(Signal::Accept, 1, 3), Side::Low, false));
        assert_eq!(connection.initiator(), Some(Side::Low));
    }

    #[test]
    fn a_syn_into_a_conversation_without_an_observed_start_is_another_one() {
        let connection = Connection::begin(&packet(Signal::None, 7, 7), Side::Low, true);
        assert!(connection.is_another(&packet(Signal::Open, 1, 0), Side::Low, false));
        assert!(connection.is_another(&packet(Signal::Open, 1, 0), Side::High, false));
    }

    #[test]
    fn a_connection_ends_after_both_fins_or_one_reset() {
        let mut connection = Connection::begin(&packet(Signal::Open, 1, 0), Side::Low, true);
        connection.advance(&packet(Signal::Finish, 5, 5), Side::Low);
        assert!(!connection.is_over());
        connection.advance(&packet(Signal::Finish, 5, 6), Side::High);
        assert!(connection.is_over());
        let refused = Connection::begin(&packet(Signal::Abort, 0, 2), Side::High, true);
        assert!(refused.is_over());
    }

    #[test]
    fn a_reset_of_an_earlier_connection_does_not_end_the_one_after_it() {
        let reset = |sequence_number, acknowledgment_number, control_bits| PacketInfo {
            tcp_control_bits: control_bits,
            ..packet(Signal::Abort, sequence_number, acknowledgment_number)
        };
        let initial = 5;
        for (packet, source, is_own) in [
            (reset(6, 0, 4), Side::Low, true),
            (reset(5, 0, 4), Side::Low, true),
            (reset(0xffff_0000, 0, 4), Side::Low, false),
            // Of the responder: refused, without an acknowledgment, and of an earlier connection.
            (reset(0, 6, 0x14), Side::High, true),
            (reset(0, 1000, 0x14), Side::High, true),
            (reset(0, 0, 0x14), Side::High, true),
            (reset(77, 0, 4), Side::High, true),
            (reset(77, 0xffff_0000, 0x14), Side::High, false),
        ] {
            let mut connection =
                Connection::begin(&self::packet(Signal::Open, initial, 0), Side::Low, true);
            connection.advance(&packet, source);
            assert_eq!(connection.is_over(), is_own, "{packet:?}");
        }
        // After the answer, numbers may have wrapped.
        let mut connection = Connection::begin(&packet(Signal::Open, 5, 0), Side::Low, true);
        connection.advance(&packet(Signal::Accept, 9, 6), Side::High);
        connection.advance(&reset(0xffff_0000, 0, 4), Side::Low);
        assert!(connection.is_over());
    }

    #[test]
    fn a_full_segment_has_the_size_that_the_receiver_announced() {
        let mut syn = packet(Signal::Open, 1, 0);
        syn.maximum_segment_octets = 1460;
        let connection = Connection::begin(&syn, Side::Low, true);
        assert_eq!(connection.segment_octets(Side::High), Some(1460));
        assert_eq!(connection.segment_octets(Side::Low), None);
    }

    #[test]
    fn a_datagram_identifies_the_initiator_only_if_no_earlier_one_was_missed() {
        let mut datagram = packet(Signal::None, 0, 0);
        datagram.key.protocol_identifier = 17;
        let initiator = |observed| Connection::begin(&datagram, Side::Low, observed).initiator();
        assert_eq!((initiator(true), initiator(false)), (Some(Side::Low), None));
        let syn = packet(Signal::Open, 1, 0);
        let by_syn = Connection::begin(&syn, Side::High, false);
        assert_eq!(by_syn.initiator(), Some(Side::High));
    }

    #[test]
    fn a_query_identifies_the_initiator_and_a_continuation_never_does() {
        let mut message = packet(Signal::Query, 0, 0);
        message.key.protocol_identifier = 1;
        let by_query = Connection::begin(&message, Side::High, false);
        assert_eq!(by_query.initiator(), Some(Side::High));
        message.signal = Signal::Continuation;
        let by_answer = Connection::begin(&message, Side::High, true);
        assert_eq!(by_answer.initiator(), None);
    }

    #[test]
    fn the_side_with_the_earlier_first_packet_is_the_initiator() {
        let mut datagram = packet(Signal::None, 0, 0);
        datagram.key.protocol_identifier = 17;
        let settled = |low, high| {
            let mut connection = Connection::begin(&datagram, Side::High, true);
            connection.settle_initiator(Pair { low, high });
            connection.initiator()
        };
        assert_eq!(settled(Some(5), Some(7)), Some(Side::Low));
        assert_eq!(settled(Some(7), Some(5)), Some(Side::High));
        assert_eq!(settled(None, Some(5)), Some(Side::High));
        // A record has reported the initiator.
        let mut reported = Connection::begin(&datagram, Side::High, true);
        reported.settle_initiator(Pair::default());
        reported.settle_initiator(Pair {
            low: Some(1),
            high: Some(2),
        });
        assert_eq!(reported.initiator(), Some(Side::High));
        // A SYN decides, whatever the order.
        let mut syn = Connection::begin(&packet(Signal::Open, 1, 0), Side::High, true);
        syn.settle_initiator(Pair {
            low: Some(1),
            high: Some(2),
        });
        assert_eq!(syn.initiator(), Some(Side::High));
    }
}
