//! Health of TCP connections: retransmissions, reordering, duplicate acknowledgments, closed
//! windows and round-trip times, from the headers of both directions. Used by [`crate::cache`],
//! which keeps one [`TcpState`] per conversation.
//!
//! A segment below the highest sequence number of its stream was either sent again or overtaken by
//! a later one. What was lost takes a round trip to be requested and sent again, so a segment that
//! fills a gap younger than half of that is out of order. Otherwise it is a retransmission.
//!
//! A round trip is measured from a segment to the first acknowledgment that covers it, one at a
//! time per stream, and never over a retransmission (Karn's algorithm, RFC 6298 §3). The SYN and
//! its answer are segments like others, so they give the round trips of the handshake.
//!
//! * [`segment`]: what is needed of a packet;
//! * `stream`: one direction;
//! * `gaps`: missing ranges of sequence numbers;
//! * [`losses`]: counts of the few conversations with losses.

mod gaps;
pub mod losses;
pub mod segment;
mod stream;
#[cfg(test)]
mod tests;

use flowproto::tcp::{Handshake, RoundTripTime};

use crate::connection::{Pair, Side};
use losses::{LossStore, Losses};
use segment::Segment;
use stream::Stream;

/// Age of a gap up to which a segment that fills it is out of order, microseconds, while no round
/// trip was measured.
const DEFAULT_REORDERING_MICROSECONDS: u32 = 3000;

/// The state of a connection that its health depends on. It takes two cache lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub struct TcpState {
    streams: Pair<Stream>,
    /// Slot in the [`LossStore`] + 1; 0 without losses.
    losses: u32,
}

/// The health of one connection, and where its losses are.
#[derive(Debug)]
pub struct Health<'a> {
    /// The state of the connection.
    pub state: &'a mut TcpState,
    /// The losses of all connections.
    pub losses: &'a mut LossStore,
}

const _: () = assert!(size_of::<TcpState>() == 128, "two cache lines");

impl TcpState {
    /// Reads one field of each cache line.
    #[inline]
    pub(crate) fn touch(&self) -> u64 {
        let streams = &self.streams;
        u64::from(streams.low.minimum_microseconds ^ streams.high.minimum_microseconds)
    }

    /// Observes a segment that `source` sent.
    #[inline]
    pub fn track(&mut self, segment: &Segment, source: Side, store: &mut LossStore) {
        let destination = source.opposite();
        if segment.is_reset() {
            return;
        }
        let reordering = self.reordering_microseconds();
        let mut losses = Losses {
            slot: &mut self.losses,
            store,
        };
        let peer_window = self.streams.of(destination).window();
        let stream = self.streams.of_mut(source);
        let window_before = stream.window();
        stream.send(segment, source, peer_window, reordering, &mut losses);
        if segment.has_acknowledgment() {
            let is_same_window = window_before == Some(segment.window);
            let stream = self.streams.of_mut(destination);
            stream.acknowledge(segment, destination, is_same_window, &mut losses);
        }
    }

    /// A side has acknowledged something beyond the handshake, so the other one had accepted the
    /// connection.
    #[must_use]
    pub const fn has_acknowledged(&self, source: Side) -> bool {
        self.streams.of(source).has_sent_acknowledgment()
    }

    /// Takes the round-trip times of the handshake, if they were not reported.
    pub const fn take_handshake(&mut self, initiator: Side) -> Handshake {
        Handshake {
            client_microseconds: self.streams.of_mut(initiator.opposite()).take_handshake(),
            server_microseconds: self.streams.of_mut(initiator).take_handshake(),
        }
    }

    /// Takes the round-trip times of the segments of a side since the last record.
    pub fn take_round_trip(&mut self, source: Side) -> RoundTripTime {
        std::mem::take(&mut self.streams.of_mut(source).round_trip)
    }

    /// The losses of the conversation, in the store that was given to [`Self::track`].
    pub const fn losses_mut<'a>(&'a mut self, store: &'a mut LossStore) -> Losses<'a> {
        Losses {
            slot: &mut self.losses,
            store,
        }
    }

    /// Half of the shortest round trip between both ends, as far as it is known.
    const fn reordering_microseconds(&self) -> u32 {
        let low = self.streams.low.minimum_microseconds;
        let high = self.streams.high.minimum_microseconds;
        if low == 0 || high == 0 {
            return DEFAULT_REORDERING_MICROSECONDS;
        }
        low.saturating_add(high) / 2
    }
}
