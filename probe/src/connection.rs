//! What a packet means for its connection: who began it, whether its beginning was seen, whether it is over,
//! and whether a packet with the same addresses and ports belongs to another one. Used by [`crate::cache`],
//! which keeps one [`Connection`] with every conversation.
//!
//! Nothing is guessed from port numbers: the initiator of a TCP or SCTP conversation is known by its SYN or
//! INIT (or the answer to it), that of any other protocol by the first packet of a new conversation.

use crate::decode::{PacketInfo, Signal};

const TCP: u8 = 6;
const SCTP: u8 = 132;

/// One end of a conversation: addresses and ports are kept in ascending order.
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

/// One value for each end of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair<T> {
    /// That of the lower address and port.
    pub low: T,
    /// That of the higher address and port.
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

    /// The value of one end, to be changed.
    pub const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }
}

/// What is known of one end of a connection.
#[derive(Clone, Copy, Debug, Default)]
struct End {
    /// Initial sequence number (SCTP: initiate tag), where its SYN, or the answer to it, was seen.
    initial_sequence_number: Option<u32>,
    /// Maximum segment size that this end announced, octets; 0 unknown.
    maximum_segment_octets: u16,
    /// It sent its FIN.
    finished: bool,
}

/// The state of one connection, or of the conversation that takes its place where a protocol has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    ends: Pair<End>,
    initiator: Option<Side>,
    accepted: bool,
    aborted: bool,
    /// A record with 278 `newConnectionDeltaCount` = 1 went out.
    pub counted: bool,
}

impl Connection {
    /// A conversation whose first packet this is. `sampled`: packets before it may have been left out, so that
    /// only what says it begins a connection proves who began.
    #[must_use]
    pub fn begin(packet: &PacketInfo, source: Side, sampled: bool) -> Self {
        let mut connection = Self {
            initiator: match (packet.key.protocol_identifier, packet.signal) {
                (TCP | SCTP, Signal::Open) => Some(source),
                (TCP | SCTP, Signal::Accept) => Some(source.opposite()),
                (TCP | SCTP, _) => None,
                _ if sampled => None,
                _ => Some(source),
            },
            ..Self::default()
        };
        connection.advance(packet, source);
        connection
    }

    /// Who began; `None` where the conversation was joined half-way.
    #[must_use]
    pub const fn initiator(&self) -> Option<Side> {
        self.initiator
    }

    /// True when both ends sent a FIN, or one aborted.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.aborted || (self.ends.low.finished && self.ends.high.finished)
    }

    /// True if `packet` opens another connection between the same addresses and ports. `quiet`: this one has
    /// ended, or nothing was heard of it for longer than the idle timeout.
    #[must_use]
    pub fn is_another(&self, packet: &PacketInfo, source: Side, quiet: bool) -> bool {
        if !matches!(packet.signal, Signal::Open | Signal::Accept) {
            return false;
        }
        let known = |side: Side| self.ends.of(side).initial_sequence_number;
        let answered = known(source.opposite());
        match packet.signal {
            Signal::Open => match known(source) {
                // The same number again is a retransmission (RFC 9293 §3.8.1).
                Some(number) => number != packet.sequence_number,
                // The other end's SYN without an answer yet: both open at once (RFC 9293 §3.5).
                None => quiet || self.accepted || answered.is_none(),
            },
            Signal::Accept => match known(source) {
                Some(number) => number != packet.sequence_number,
                None => match answered {
                    Some(number) => quiet && number != packet.acknowledgment_number.wrapping_sub(1),
                    None => true,
                },
            },
            Signal::None | Signal::Finish | Signal::Abort => false,
        }
    }

    /// Takes note of a packet that belongs to this connection.
    #[inline]
    pub fn advance(&mut self, packet: &PacketInfo, source: Side) {
        match packet.signal {
            Signal::None => {}
            Signal::Finish => self.ends.of_mut(source).finished = true,
            Signal::Abort => self.aborted = true,
            Signal::Open | Signal::Accept => {
                let end = self.ends.of_mut(source);
                end.initial_sequence_number = Some(packet.sequence_number);
                if packet.maximum_segment_octets != 0 {
                    end.maximum_segment_octets = packet.maximum_segment_octets;
                }
                if packet.signal == Signal::Accept {
                    self.accepted = true;
                    if packet.key.protocol_identifier == TCP {
                        let acknowledged = packet.acknowledgment_number.wrapping_sub(1);
                        self.ends
                            .of_mut(source.opposite())
                            .initial_sequence_number
                            .get_or_insert(acknowledged);
                    }
                }
            }
        }
    }

    /// Octets of a full segment's payload and options that `source` may send: what the other end announced.
    /// What an end announces itself does not bound what it sends.
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
    fn a_syn_tells_the_initiator_and_so_does_the_answer_alone() {
        let by_syn = Connection::begin(&packet(Signal::Open, 1, 0), Side::High, false);
        assert_eq!(by_syn.initiator(), Some(Side::High));
        let by_answer = Connection::begin(&packet(Signal::Accept, 9, 2), Side::Low, false);
        assert_eq!(by_answer.initiator(), Some(Side::High));
        let half_way = Connection::begin(&packet(Signal::None, 9, 2), Side::Low, false);
        assert_eq!(half_way.initiator(), None);
    }

    #[test]
    fn a_retransmitted_syn_is_not_another_connection_but_a_new_number_is() {
        let connection = Connection::begin(&packet(Signal::Open, 100, 0), Side::Low, false);
        assert!(!connection.is_another(&packet(Signal::Open, 100, 0), Side::Low, false));
        assert!(!connection.is_another(&packet(Signal::Open, 100, 0), Side::Low, true));
        assert!(connection.is_another(&packet(Signal::Open, 101, 0), Side::Low, false));
    }

    #[test]
    fn a_syn_that_comes_behind_its_answer_belongs_to_it() {
        let connection = Connection::begin(&packet(Signal::Accept, 500, 101), Side::High, false);
        assert!(!connection.is_another(&packet(Signal::Open, 100, 0), Side::Low, false));
    }

    #[test]
    fn both_ends_opening_at_once_is_one_connection() {
        let mut connection = Connection::begin(&packet(Signal::Open, 1, 0), Side::Low, false);
        let other = packet(Signal::Open, 2, 0);
        assert!(!connection.is_another(&other, Side::High, false));
        connection.advance(&other, Side::High);
        assert!(!connection.is_another(&packet(Signal::Accept, 1, 3), Side::Low, false));
        assert_eq!(connection.initiator(), Some(Side::Low));
    }

    #[test]
    fn a_syn_into_a_conversation_joined_half_way_is_another_one() {
        let connection = Connection::begin(&packet(Signal::None, 7, 7), Side::Low, false);
        assert!(connection.is_another(&packet(Signal::Open, 1, 0), Side::Low, false));
        assert!(connection.is_another(&packet(Signal::Open, 1, 0), Side::High, false));
    }

    #[test]
    fn it_is_over_after_both_fins_or_one_reset() {
        let mut connection = Connection::begin(&packet(Signal::Open, 1, 0), Side::Low, false);
        connection.advance(&packet(Signal::Finish, 5, 5), Side::Low);
        assert!(!connection.is_over());
        connection.advance(&packet(Signal::Finish, 5, 6), Side::High);
        assert!(connection.is_over());
        let refused = Connection::begin(&packet(Signal::Abort, 0, 2), Side::High, false);
        assert!(refused.is_over());
    }

    #[test]
    fn a_full_segment_is_what_the_receiver_announced() {
        let mut syn = packet(Signal::Open, 1, 0);
        syn.maximum_segment_octets = 1460;
        let connection = Connection::begin(&syn, Side::Low, false);
        assert_eq!(connection.segment_octets(Side::High), Some(1460));
        assert_eq!(connection.segment_octets(Side::Low), None);
    }

    #[test]
    fn of_a_sample_only_what_opens_a_connection_says_who_began() {
        let mut datagram = packet(Signal::None, 0, 0);
        datagram.key.protocol_identifier = 17;
        let initiator = |sampled| Connection::begin(&datagram, Side::Low, sampled).initiator();
        assert_eq!((initiator(false), initiator(true)), (Some(Side::Low), None));
        let syn = packet(Signal::Open, 1, 0);
        let by_syn = Connection::begin(&syn, Side::High, true);
        assert_eq!(by_syn.initiator(), Some(Side::High));
    }
}
