//! Messages that continue in later segments: `ClientHello`s, heads of HTTP requests, DNS.
//!
//! Post-quantum keys make a hello longer than a segment, and clients send the lines of a head on
//! their own. The segments are put together in order, as they are sent. One that is missing or
//! comes too late ends the attempt.

use flowproto::FlowKey;

use super::tls;
use crate::decode::{PacketInfo, mix};

/// Streams that are kept at the same time. A power of two.
const SLOTS: usize = 256;
/// Maximum number of octets of a stream.
pub const MAX_OCTETS: usize = 4096;
/// A segment that follows later belongs to something else.
const MAX_GAP_NS: u64 = 5_000_000_000;

/// Streams, each in the slot of the segment that is expected next.
#[derive(Debug, Default)]
pub struct PartialMessages {
    /// Empty until the first stream.
    slots: Vec<Stream>,
    used: usize,
    incomplete_hellos: u64,
}

/// The beginning of a stream.
#[derive(Debug, Default)]
struct Stream {
    key: FlowKey,
    next_sequence_number: u32,
    time_ns: u64,
    /// Empty in a free slot. The room stays.
    octets: Vec<u8>,
}

impl Stream {
    /// 1 if it is a hello, else 0.
    fn hellos(&self) -> u64 {
        tls::begins(&self.octets).into()
    }
}

impl PartialMessages {
    /// True if no stream is kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Hellos that were given up before they were complete. Others are not counted: most heads that
    /// are given up have no host.
    #[must_use]
    pub const fn incomplete_hellos(&self) -> u64 {
        self.incomplete_hellos
    }

    /// Keeps the beginning of a stream, or more of it, until the segment that begins with
    /// `next_sequence_number`. Replaces the stream that waits in the same slot, which is the same
    /// one after a retransmission.
    fn keep(&mut self, key: FlowKey, next_sequence_number: u32, beginning: &[u8], time_ns: u64) {
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Stream::default);
        }
        let Some(stream) = self.slots.get_mut(slot(&key, next_sequence_number)) else {
            return;
        };
        if stream.octets.is_empty() {
            self.used = self.used.saturating_add(1);
        } else if stream.key != key || stream.next_sequence_number != next_sequence_number {
            let hellos = stream.hellos();
            self.incomplete_hellos = self.incomplete_hellos.saturating_add(hellos);
        }
        stream.key = key;
        stream.next_sequence_number = next_sequence_number;
        stream.time_ns = time_ns;
        stream.octets.clear();
        stream.octets.reserve_exact(MAX_OCTETS);
        let beginning = beginning.get(..MAX_OCTETS).unwrap_or(beginning);
        stream.octets.extend_from_slice(beginning);
    }

    /// Keeps a message until the segment after that of `packet`, which ends with it. False if the
    /// segment has octets that were not captured.
    pub fn suspend(
        &mut self,
        packet: &PacketInfo,
        segment_octets: usize,
        message: &[u8],
        time_ns: u64,
    ) -> bool {
        let captured = u32::try_from(segment_octets).unwrap_or(u32::MAX);
        let is_whole = captured == packet.payload_octets;
        if is_whole {
            let next = packet.sequence_number.wrapping_add(captured);
            self.keep(packet.key, next, message, time_ns);
        }
        is_whole
    }

    /// Takes the message that the segment of `packet` continues into `message`, whose room is used
    /// again, and appends the segment, up to `MAX_OCTETS`. Returns the octets before it; `None` if
    /// there is no such message.
    pub fn resume(
        &mut self,
        packet: &PacketInfo,
        segment: &[u8],
        time_ns: u64,
        message: &mut Vec<u8>,
    ) -> Option<usize> {
        if !self.take(&packet.key, packet.sequence_number, time_ns, message) {
            return None;
        }
        let beginning_octets = message.len();
        let room = MAX_OCTETS.saturating_sub(beginning_octets);
        message.extend_from_slice(segment.get(..room).unwrap_or(segment));
        Some(beginning_octets)
    }

    /// Takes the stream that a segment continues into `taken`, whose room is used again. False if
    /// there is none.
    fn take(
        &mut self,
        key: &FlowKey,
        sequence_number: u32,
        time_ns: u64,
        taken: &mut Vec<u8>,
    ) -> bool {
        taken.clear();
        let Some(stream) = self.slots.get_mut(slot(key, sequence_number)) else {
            return false;
        };
        let is_found = !stream.octets.is_empty()
            && stream.key == *key
            && stream.next_sequence_number == sequence_number;
        if !is_found {
            return false;
        }
        self.used = self.used.saturating_sub(1);
        let is_late = time_ns.abs_diff(stream.time_ns) > MAX_GAP_NS;
        if is_late {
            self.incomplete_hellos = self.incomplete_hellos.saturating_add(stream.hellos());
        }
        std::mem::swap(&mut stream.octets, taken);
        stream.octets.clear();
        !is_late
    }

    /// Counts a hello that was taken and cannot be completed.
    pub const fn give_up(&mut self) {
        self.incomplete_hellos = self.incomplete_hellos.saturating_add(1);
    }
}

/// The slot of a segment.
#[expect(clippy::as_conversions, reason = "the low bits are what is needed")]
fn slot(key: &FlowKey, sequence_number: u32) -> usize {
    let ports = u64::from(key.source_port) << 16 ^ u64::from(key.destination_port);
    let hash = mix(ports << 32 ^ u64::from(sequence_number));
    (hash >> 16) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn key(source_port: u16) -> FlowKey {
        FlowKey {
            source_port,
            destination_port: 443,
            protocol_identifier: 6,
            ..FlowKey::default()
        }
    }

    #[test]
    fn a_stream_is_continued_by_its_next_segment_only() {
        let mut buffers = PartialMessages::default();
        let mut taken = Vec::new();
        buffers.keep(key(1), 100, b"abc", SECOND);
        assert!(!buffers.take(&key(1), 101, SECOND, &mut taken));
        assert!(!buffers.take(&key(2), 100, SECOND, &mut taken));
        assert!(buffers.take(&key(1), 100, SECOND, &mut taken));
        assert_eq!(taken, b"abc");
        assert!(buffers.is_empty());
        assert!(!buffers.take(&key(1), 100, SECOND, &mut taken));
        assert_eq!(buffers.incomplete_hellos(), 0);
    }

    #[test]
    fn late_and_replaced_hellos_are_counted() {
        let mut buffers = PartialMessages::default();
        let mut taken = Vec::new();
        let hello = [22, 3, 1, 2, 0, 1];
        for (beginning, incomplete) in [(&b"GET /"[..], 0), (&hello, 1)] {
            buffers.keep(key(1), 100, beginning, SECOND);
            assert!(!buffers.take(&key(1), 100, 7 * SECOND, &mut taken));
            assert_eq!(buffers.incomplete_hellos(), incomplete);
        }
        // Retransmitted.
        buffers.keep(key(1), 100, b"a", SECOND);
        buffers.keep(key(1), 100, b"b", SECOND);
        assert_eq!(buffers.incomplete_hellos(), 1);
        assert!(buffers.take(&key(1), 100, SECOND, &mut taken));
        assert_eq!((taken.as_slice(), buffers.is_empty()), (&b"b"[..], true));
    }

    #[test]
    fn a_stream_is_cut_at_its_limit() {
        let mut buffers = PartialMessages::default();
        let mut taken = Vec::new();
        let long = [b'x'; MAX_OCTETS + 1];
        buffers.keep(key(1), 100, &long, SECOND);
        assert!(buffers.take(&key(1), 100, SECOND, &mut taken));
        assert_eq!(taken.len(), MAX_OCTETS);
    }
}
