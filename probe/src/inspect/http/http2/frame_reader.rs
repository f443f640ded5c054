//! The frames of one direction of a connection, in order.

use super::frame::{FrameHeader, FrameKind, HEADER, PREFACE};
use crate::inspect::http::head_pool::{HeadPool, MAX_HEAD};
use crate::inspect::http::segment::Piece;
use crate::inspect::http::unread::UnreadHttp;

/// Where a field block belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockTarget {
    pub(super) stream: u32,
    /// It is of a request that the server announces.
    pub(super) is_promise: bool,
    /// The sender sends nothing more on the stream.
    pub(super) ends_stream: bool,
    /// Time of the first octet of its first frame.
    pub(super) started_ns: u64,
}

/// The next part of the frames.
pub(super) enum Step<'a> {
    /// The piece is used up.
    Done,
    /// A field block in the segment.
    Block(BlockTarget, &'a [u8]),
    /// A field block that was put together. Its room is to be given back.
    JoinedBlock(BlockTarget, Vec<u8>),
    /// The sender sends nothing more on a stream.
    EndStream(u32),
    /// A stream ends by an error.
    Reset(u32),
    /// What follows cannot be read.
    Unread(UnreadHttp),
    /// It is another protocol.
    NotHttp2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The preface of a client, of which this many octets were read.
    Preface(usize),
    /// The header of a frame.
    Header,
    /// This many octets that are not read.
    Skip(u32),
    /// This many octets of a frame with a field block.
    Block(u32),
    Lost,
}

/// Reads frames.
#[derive(Debug)]
pub(super) struct FrameReader {
    state: State,
    /// The beginning of the header of a frame.
    header: [u8; HEADER],
    header_octets: usize,
    /// Time of the first octet of the frame.
    frame_ns: u64,
    has_settings: bool,
    /// The whole preface, or a frame, was read.
    is_certain: bool,
    /// The latest frame with a field block, and its block if that continues.
    frame: Option<FrameHeader>,
    target: Option<BlockTarget>,
    block: Vec<u8>,
    /// Position in `block` of the payload of the latest frame.
    payload_at: usize,
}

impl FrameReader {
    /// A reader before the first frame. `preface`: octets of the preface that were read, if the
    /// sender is a client.
    pub(super) const fn new(preface: Option<usize>) -> Self {
        Self {
            state: match preface {
                Some(octets) => State::Preface(octets),
                None => State::Header,
            },
            header: [0; HEADER],
            header_octets: 0,
            frame_ns: 0,
            has_settings: false,
            is_certain: false,
            frame: None,
            target: None,
            block: Vec::new(),
            payload_at: 0,
        }
    }

    /// Ends the reading.
    pub(super) fn close(&mut self, pool: &mut HeadPool) {
        self.state = State::Lost;
        pool.give_back(std::mem::take(&mut self.block));
    }

    /// True if a field block is put together since before `time_ns`.
    pub(super) fn has_block_before(&self, time_ns: u64) -> bool {
        let is_before = |target: BlockTarget| target.started_ns < time_ns;
        self.block.capacity() > 0 && self.target.is_some_and(is_before)
    }

    /// Skips octets that were not observed. False if they are not all part of a payload that is not
    /// read.
    pub(super) const fn skip_lost(&mut self, octets: u32) -> bool {
        match self.state {
            State::Skip(rest) if octets <= rest => {
                self.skipped(rest, octets);
                true
            }
            _ => false,
        }
    }

    const fn skipped(&mut self, rest: u32, octets: u32) {
        self.state = match rest.saturating_sub(octets) {
            0 => State::Header,
            rest => State::Skip(rest),
        };
    }

    /// Reads up to the next part that matters, or the end of a piece.
    pub(super) fn step<'a>(
        &mut self,
        piece: &mut Piece<'a>,
        time_ns: u64,
        pool: &mut HeadPool,
    ) -> Step<'a> {
        loop {
            if self.state == State::Block(0)
                && let Some(step) = self.end_frame()
            {
                return step;
            }
            if piece.octets == 0 {
                return Step::Done;
            }
            match self.state {
                State::Preface(position) => {
                    let Some(octet) = piece.next() else {
                        return Step::Unread(UnreadHttp::NotCaptured);
                    };
                    if PREFACE.get(position) != Some(&octet) {
                        return Step::NotHttp2;
                    }
                    let next = position.saturating_add(1);
                    self.state = if next < PREFACE.len() {
                        State::Preface(next)
                    } else {
                        self.is_certain = true;
                        State::Header
                    };
                }
                State::Header => {
                    let Some(octet) = piece.next() else {
                        return Step::Unread(UnreadHttp::NotCaptured);
                    };
                    if self.header_octets == 0 {
                        self.frame_ns = time_ns;
                    }
                    if let Some(place) = self.header.get_mut(self.header_octets) {
                        *place = octet;
                    }
                    self.header_octets = self.header_octets.saturating_add(1);
                    if self.header_octets == HEADER {
                        self.header_octets = 0;
                        if let Some(step) = self.begin_frame() {
                            return step;
                        }
                    }
                }
                State::Skip(rest) => {
                    let octets = u32::try_from(piece.octets).unwrap_or(u32::MAX).min(rest);
                    piece.skip(octets.into());
                    self.skipped(rest, octets);
                }
                State::Block(rest) => {
                    if let Some(step) = self.payload(piece, rest, pool) {
                        return step;
                    }
                }
                State::Lost => return Step::Done,
            }
        }
    }

    /// Begins a frame whose header was read.
    fn begin_frame(&mut self) -> Option<Step<'static>> {
        let invalid = if self.is_certain {
            Step::Unread(UnreadHttp::Invalid)
        } else {
            Step::NotHttp2
        };
        let Some(frame) = FrameHeader::of(self.header) else {
            return Some(invalid);
        };
        let is_continuation = frame.kind == FrameKind::Continuation;
        let open = self.target.map(|target| target.stream);
        let is_expected = match (open, is_continuation) {
            (Some(stream), true) => stream == frame.stream,
            (None, false) => self.has_settings || frame.kind == FrameKind::Settings,
            _ => false,
        };
        if !is_expected {
            return Some(invalid);
        }
        self.has_settings = true;
        self.is_certain = true;
        self.skipped(frame.length, 0);
        match frame.kind {
            FrameKind::Data if frame.ends_stream() => return Some(Step::EndStream(frame.stream)),
            FrameKind::Reset => return Some(Step::Reset(frame.stream)),
            FrameKind::Data | FrameKind::Settings | FrameKind::Other => return None,
            FrameKind::Continuation => {}
            FrameKind::Headers | FrameKind::PushPromise => {
                self.target = Some(BlockTarget {
                    stream: frame.stream,
                    is_promise: frame.kind == FrameKind::PushPromise,
                    ends_stream: frame.ends_stream(),
                    started_ns: self.frame_ns,
                });
            }
        }
        let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
        if self.block.len().saturating_add(length) > MAX_HEAD {
            return Some(Step::Unread(UnreadHttp::HeadTooLong));
        }
        self.frame = Some(frame);
        self.payload_at = self.block.len();
        self.state = State::Block(frame.length);
        None
    }

    /// Reads the payload of a frame with a field block.
    fn payload<'a>(
        &mut self,
        piece: &mut Piece<'a>,
        rest: u32,
        pool: &mut HeadPool,
    ) -> Option<Step<'a>> {
        let octets = u32::try_from(piece.octets).unwrap_or(u32::MAX).min(rest);
        let length = usize::try_from(octets).unwrap_or(usize::MAX);
        let Some(payload) = piece.take(length) else {
            return Some(Step::Unread(UnreadHttp::NotCaptured));
        };
        let frame = self.frame?;
        // A block without octets so far can have room, which is given back with the whole block.
        let is_first = self.block.capacity() == 0;
        if octets == frame.length && frame.ends_block() && is_first {
            self.state = State::Header;
            let target = self.target.take()?;
            let block = frame.fragment(payload).and_then(|part| payload.get(part));
            return Some(block.map_or(Step::Unread(UnreadHttp::Invalid), |block| {
                Step::Block(target, block)
            }));
        }
        if is_first {
            let Some(room) = pool.take() else {
                return Some(Step::Unread(UnreadHttp::NoRoom));
            };
            self.block = room;
        }
        self.block.extend_from_slice(payload);
        self.state = State::Block(rest.saturating_sub(octets));
        None
    }

    /// Ends a frame whose payload was put together.
    fn end_frame(&mut self) -> Option<Step<'static>> {
        self.state = State::Header;
        let frame = self.frame?;
        let payload = self.block.get(self.payload_at..).unwrap_or_default();
        let Some(part) = frame.fragment(payload) else {
            return Some(Step::Unread(UnreadHttp::Invalid));
        };
        self.block
            .truncate(self.payload_at.saturating_add(part.end));
        let start = self.payload_at.saturating_add(part.start);
        self.block.drain(self.payload_at..start);
        if !frame.ends_block() {
            return None;
        }
        let target = self.target.take()?;
        Some(Step::JoinedBlock(target, std::mem::take(&mut self.block)))
    }
}
