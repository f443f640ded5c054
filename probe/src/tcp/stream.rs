//! One direction of a TCP connection: what its sender has sent, and what the other end has
//! acknowledged.

use flowproto::tcp::RoundTripTime;

use super::losses::Losses;
use super::segment::{Segment, precedes};
use crate::connection::Side;

const MICROSECOND_NS: u64 = 1000;

/// The sequence number of the sender is known.
const HAS_NEXT: u8 = 1;
/// The other end has acknowledged something.
const HAS_ACKNOWLEDGED: u8 = 2;
/// The sender has sent a segment with a window.
const HAS_WINDOW: u8 = 4;
/// The segment whose round trip is measured is a SYN.
const IS_HANDSHAKE: u8 = 8;
/// The other end has reported segments beyond a gap (SACK).
const HAS_SACK: u8 = 16;
/// The sender has acknowledged something after its SYN.
const HAS_SENT_ACKNOWLEDGMENT: u8 = 32;
/// The other end permits selective acknowledgments.
const SACK_PERMITTED: u8 = 64;

/// The sender has accepted the SYN of the other end.
const HAS_ACCEPTED: u8 = 128;

/// Sequence numbers further apart than this are not of one window (RFC 7323 §2.3).
const MAX_WINDOW: u32 = 1 << 30;
/// Duplicate acknowledgments that trigger a fast retransmission (RFC 5681 §3.2).
const DUPLICATES: u8 = 3;

/// The state of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    /// When the segment was sent whose round trip is measured, nanoseconds; 0 none.
    sample_ns: u64,
    pub(super) round_trip: RoundTripTime,
    /// An acknowledgment beyond this ends the measurement.
    sample_number: u32,
    /// Sequence number after the last octet sent.
    next: u32,
    /// Highest acknowledgment number of the other end.
    acknowledged: u32,
    /// First sequence number observed. Whether earlier ones were sent before is not known.
    first: u32,
    /// The shortest round trip ever, microseconds; 0 unknown.
    pub(super) minimum_microseconds: u32,
    /// Round trip of the SYN, microseconds; 0 unknown or reported.
    handshake_microseconds: u32,
    /// The window that the sender announced last.
    window: u16,
    /// Duplicate acknowledgments of the other end in a row.
    duplicates: u8,
    flags: u8,
}

impl Stream {
    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) const fn window(&self) -> Option<u16> {
        if self.has(HAS_WINDOW) {
            Some(self.window)
        } else {
            None
        }
    }

    pub(super) const fn has_sent_acknowledgment(&self) -> bool {
        self.has(HAS_SENT_ACKNOWLEDGMENT)
    }

    pub(super) const fn take_handshake(&mut self) -> u32 {
        std::mem::replace(&mut self.handshake_microseconds, 0)
    }

    /// Observes a segment of this stream. `peer_window`: what the other end announced last.
    #[inline(always)]
    pub(super) fn send(
        &mut self,
        segment: &Segment,
        side: Side,
        peer_window: Option<u16>,
        reordering_microseconds: u32,
        losses: &mut Losses<'_>,
    ) {
        self.window = segment.window;
        self.flags |= HAS_WINDOW;
        let is_synchronize = segment.is_synchronize();
        if segment.has_acknowledgment() && !is_synchronize {
            self.flags |= HAS_SENT_ACKNOWLEDGMENT;
        }
        if segment.window == 0
            && !is_synchronize
            && let Some(losses) = losses.of_mut(side)
        {
            losses.health.zero_window_packets += 1;
        }
        let length = segment.length();
        if length == 0 {
            return;
        }
        let is_accepting = is_synchronize && segment.has_acknowledgment();
        let accepts_first = is_accepting && !self.has(HAS_ACCEPTED);
        if is_accepting {
            self.flags |= HAS_ACCEPTED;
        }
        let start = segment.sequence_number;
        let end = start.wrapping_add(length);
        let distance = start.wrapping_sub(self.next);
        if distance == 0 && self.has(HAS_NEXT) {
            // One octet into a closed window is a probe. Its octet is sent again.
            if peer_window == Some(0) && length == 1 && !segment.is_finish() {
                return;
            }
            self.next = end;
            self.begin_sample(segment);
            return;
        }
        if !self.has(HAS_NEXT) {
            self.flags |= HAS_NEXT;
            self.first = start;
            self.next = end;
            self.begin_sample(segment);
        } else if distance < MAX_WINDOW {
            let before = std::mem::replace(&mut self.next, end);
            if let Some(losses) = losses.of_mut(side) {
                losses.gaps.open(before, start, segment.time_ns);
            }
            self.begin_sample(segment);
        } else if accepts_first && start == self.first && end == self.next {
            // Both ends have opened the connection at the same time (RFC 9293 §3.5).
            self.sample_ns = 0;
        } else if start.wrapping_sub(self.next) > MAX_WINDOW.wrapping_neg() {
            self.send_below(segment, side, peer_window, reordering_microseconds, losses);
        } else {
            // Another stream: nothing is known of it.
            self.first = start;
            self.next = end;
            self.sample_ns = 0;
        }
    }

    /// Observes a segment that begins below the highest sequence number.
    #[cold]
    fn send_below(
        &mut self,
        segment: &Segment,
        side: Side,
        peer_window: Option<u16>,
        reordering_microseconds: u32,
        losses: &mut Losses<'_>,
    ) {
        let start = segment.sequence_number;
        let end = start.wrapping_add(segment.length());
        let below = if precedes(self.next, end) {
            self.next
        } else {
            end
        };
        if precedes(start, self.first) && self.next.wrapping_sub(self.first) < MAX_WINDOW {
            if precedes(self.next, end) {
                self.next = end;
            }
            return;
        }
        let is_small = segment.length() == 1 && segment.payload_octets == 1;
        // Of one direction alone, it is not known whether the octet was acknowledged.
        let is_keep_alive = is_small
            && below == self.next
            && (self.acknowledged == self.next || !self.has(HAS_ACKNOWLEDGED));
        if is_keep_alive || is_small && peer_window == Some(0) {
            return;
        }
        let is_acknowledged = self.has(HAS_ACKNOWLEDGED) && !precedes(self.acknowledged, below);
        if precedes(self.next, end) {
            self.next = end;
        }
        let Some(losses) = losses.of_mut(side) else {
            return;
        };
        let age_ns = u64::from(reordering_microseconds).saturating_mul(MICROSECOND_NS);
        let numbers = below.wrapping_sub(start);
        let late = losses.gaps.fill(start, below, segment.time_ns, age_ns);
        if late > 0 {
            losses.health.out_of_order_packets += segment.packets_in(late);
        }
        let again = numbers.saturating_sub(late);
        if again == 0 {
            return;
        }
        let controls = segment.length() - segment.payload_octets;
        let is_whole = below == end;
        let octets = if is_whole {
            again.saturating_sub(controls)
        } else {
            again
        };
        let packets = segment.packets_in(octets);
        losses.retransmit(packets);
        let health = &mut losses.health;
        health.retransmitted_octets += u64::from(octets);
        if segment.is_synchronize() {
            health.syn_retransmitted_packets += packets;
        }
        if self.duplicates < DUPLICATES && !self.has(HAS_SACK) {
            health.timeout_retransmitted_packets += packets;
        }
        if is_acknowledged && !self.has(SACK_PERMITTED) {
            losses.report_spurious(packets);
        }
        // An acknowledgment may be that of either segment.
        self.sample_ns = 0;
    }

    const fn begin_sample(&mut self, segment: &Segment) {
        // During a recovery the acknowledgment waits for what was lost.
        if self.sample_ns != 0 || self.duplicates != 0 || self.has(HAS_SACK) {
            return;
        }
        self.sample_ns = segment.time_ns;
        self.sample_number = segment.sequence_number;
        if segment.is_synchronize() {
            self.flags |= IS_HANDSHAKE;
        } else {
            self.flags &= !IS_HANDSHAKE;
        }
    }

    /// Observes an acknowledgment by the other end.
    #[inline]
    pub(super) fn acknowledge(
        &mut self,
        segment: &Segment,
        side: Side,
        is_same_window: bool,
        losses: &mut Losses<'_>,
    ) {
        let number = segment.acknowledgment_number;
        let options = segment.options;
        if options.permits_sack() {
            self.flags |= SACK_PERMITTED;
        }
        let advance = number.wrapping_sub(self.acknowledged);
        if !self.has(HAS_ACKNOWLEDGED) {
            self.flags |= HAS_ACKNOWLEDGED;
            self.acknowledged = number;
        } else if advance != 0 && advance < MAX_WINDOW {
            self.acknowledged = number;
            self.duplicates = 0;
            self.flags &= !HAS_SACK;
        } else if advance == 0
            && segment.length() == 0
            && (is_same_window || options.has_sack())
            && self.has(HAS_NEXT)
            && precedes(number, self.next)
        {
            self.duplicates = self.duplicates.saturating_add(1);
            self.sample_ns = 0;
            if let Some(losses) = losses.of_mut(side.opposite()) {
                losses.health.duplicate_acknowledgments += 1;
            }
        }
        if options.has_sack() {
            self.flags |= HAS_SACK;
            self.sample_ns = 0;
        }
        if options.has_duplicate_sack()
            && let Some(losses) = losses.of_mut(side)
        {
            losses.report_spurious(1);
        }
        if self.sample_ns != 0 && precedes(self.sample_number, number) {
            self.end_sample(segment.time_ns);
        }
    }

    #[inline]
    fn end_sample(&mut self, now_ns: u64) {
        let sent_ns = std::mem::replace(&mut self.sample_ns, 0);
        // Packets of several interfaces may be in another order than their times.
        let Some(round_trip_ns) = now_ns.checked_sub(sent_ns) else {
            return;
        };
        let microseconds = u32::try_from(round_trip_ns / MICROSECOND_NS)
            .unwrap_or(u32::MAX)
            .max(1);
        if self.minimum_microseconds == 0 || microseconds < self.minimum_microseconds {
            self.minimum_microseconds = microseconds;
        }
        if self.has(IS_HANDSHAKE) {
            self.handshake_microseconds = microseconds;
        } else {
            self.round_trip.add(microseconds);
        }
    }
}
