//! One direction of a connection: its segments in order, its frames, and its field blocks.

use super::frame_reader::FrameReader;
use super::hpack::BlockDecoder;
use crate::inspect::http::head_pool::HeadPool;
use crate::inspect::http::segment::{Distance, MAX_WAIT_NS, Piece};

/// Segments behind a gap that are kept.
const MAX_SEGMENTS: usize = 64;
/// Their octets.
const MAX_OCTETS: usize = 256 * 1024;

/// A segment behind a gap.
#[derive(Debug)]
pub(super) struct HeldSegment {
    pub(super) number: u32,
    pub(super) octets: u32,
    pub(super) captured: Vec<u8>,
    pub(super) time_ns: u64,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Direction {
    /// Sequence number of the next octet; `None` before the first one.
    next: Option<u32>,
    held: Vec<HeldSegment>,
    held_octets: usize,
    pub(super) frames: FrameReader,
    pub(super) decoder: BlockDecoder,
}

/// What to do with a segment.
pub(super) enum Arrival<'a> {
    /// Read it.
    Piece(Piece<'a>),
    /// It is known, or kept until the segments before it arrive.
    Nothing,
    /// Segments are missing, and it cannot be kept.
    Lost,
}

impl Direction {
    pub(super) fn new(next: Option<u32>, frames: FrameReader) -> Self {
        Self {
            next,
            held: Vec::new(),
            held_octets: 0,
            frames,
            decoder: BlockDecoder::default(),
        }
    }

    /// Octets of memory.
    pub(super) fn memory(&self) -> usize {
        let held = self
            .held
            .capacity()
            .saturating_mul(size_of::<HeldSegment>());
        let held = held.saturating_add(self.held_octets);
        held.saturating_add(self.decoder.memory())
    }

    /// Receives a segment of `octets`, as far as it was captured.
    pub(super) fn receive<'a>(
        &mut self,
        number: u32,
        captured: &'a [u8],
        octets: u32,
        time_ns: u64,
    ) -> Arrival<'a> {
        let mut piece = Piece::new(captured, octets);
        match Distance::of(number, *self.next.get_or_insert(number)) {
            Distance::Before(known) if known >= octets => return Arrival::Nothing,
            Distance::Before(known) => piece.skip(known.into()),
            Distance::Ahead(0) => {}
            Distance::Ahead(gap) if self.held.is_empty() && self.frames.skip_lost(gap) => {}
            Distance::Ahead(_) => return self.hold(number, captured, octets, time_ns),
        }
        self.next = Some(number.wrapping_add(octets));
        Arrival::Piece(piece)
    }

    fn hold(
        &mut self,
        number: u32,
        captured: &[u8],
        octets: u32,
        time_ns: u64,
    ) -> Arrival<'static> {
        let held_octets = self.held_octets.saturating_add(captured.len());
        let is_full = self.held.len() >= MAX_SEGMENTS || held_octets > MAX_OCTETS;
        if is_full || self.has_held_before(time_ns.saturating_sub(MAX_WAIT_NS)) {
            return Arrival::Lost;
        }
        self.held_octets = held_octets;
        self.held.push(HeldSegment {
            number,
            octets,
            captured: captured.to_vec(),
            time_ns,
        });
        Arrival::Nothing
    }

    /// True if segments are kept behind a gap.
    pub(super) const fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// True if a segment is kept that arrived before `time_ns`.
    pub(super) fn has_held_before(&self, time_ns: u64) -> bool {
        self.held.iter().any(|held| held.time_ns < time_ns)
    }

    /// Takes a kept segment that has no gap in front any more.
    pub(super) fn take_held(&mut self) -> Option<HeldSegment> {
        let next = self.next?;
        let is_next = |held: &HeldSegment| match Distance::of(held.number, next) {
            Distance::Before(_) | Distance::Ahead(0) => true,
            Distance::Ahead(_) => false,
        };
        let at = self.held.iter().position(is_next)?;
        let segment = self.held.swap_remove(at);
        let octets = segment.captured.len();
        self.held_octets = self.held_octets.saturating_sub(octets);
        Some(segment)
    }

    /// Notes that the receiver has all octets before `number`. False if some of them were not
    /// observed, and cannot be skipped.
    pub(super) fn acknowledge(&mut self, number: u32) -> bool {
        let Some(next) = self.next else {
            self.next = Some(number);
            return true;
        };
        match Distance::of(number, next) {
            Distance::Before(_) | Distance::Ahead(0) => true,
            Distance::Ahead(gap) => {
                let is_skipped = self.held.is_empty() && self.frames.skip_lost(gap);
                self.next = Some(number);
                is_skipped
            }
        }
    }

    /// Ends the reading, and frees the memory.
    pub(super) fn close(&mut self, pool: &mut HeadPool) {
        self.frames.close(pool);
        self.held = Vec::new();
        self.held_octets = 0;
        self.decoder = BlockDecoder::default();
    }
}
