//! The messages in one direction of a connection.
//!
//! A stream is read in order. Segments that were lost or truncated may be skipped where they are
//! part of a body, whose length is known.

use super::head::{self, Body};
use crate::inspect::http::head_pool::{HeadPool, MAX_HEAD};
use crate::inspect::http::segment::{Distance, Piece, Role};
use crate::inspect::http::unread::UnreadHttp;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A head, or the rest of it.
    #[default]
    Head,
    /// This many octets of a body.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize { size: u64, is_extension: bool },
    /// This many octets of a chunk and of the end of its line.
    Chunk(u64),
    /// Lines after the last chunk.
    Trailer { is_empty_line: bool },
    /// A body without an end.
    UntilClose,
    /// Unknown, until a segment begins with a message.
    Lost,
    /// Not HTTP/1 from here on.
    Opaque,
}

/// Before the line with the size of a chunk.
const NEXT_CHUNK: State = State::ChunkSize {
    size: 0,
    is_extension: false,
};

/// One direction of a connection.
#[derive(Debug, Default)]
pub(in crate::inspect::http) struct Stream {
    /// Sequence number of the next octet; `None` before the first one.
    next: Option<u32>,
    state: State,
    /// The beginning of a head that continues.
    head: Vec<u8>,
    /// Time of the first octet of the message.
    started_ns: u64,
    /// No octet of the body was observed.
    is_body_pending: bool,
}

/// The next part of a stream.
pub(in crate::inspect::http) enum Step<'a> {
    /// The piece is used up.
    Done,
    /// A head in the segment.
    Head(&'a [u8]),
    /// A head that was put together. Its room is to be given back.
    JoinedHead(Vec<u8>),
    /// What follows cannot be read, until a segment begins with a message.
    Unread(UnreadHttp),
}

impl Stream {
    /// Sets the sequence number of the first octet.
    pub(in crate::inspect::http) const fn begin(&mut self, number: u32) {
        self.next = Some(number);
    }

    /// True if the next octet has this sequence number.
    pub(in crate::inspect::http) fn is_next(&self, number: u32) -> bool {
        self.next == Some(number)
    }

    /// True before the first octet is known.
    pub(in crate::inspect::http) const fn is_unknown(&self) -> bool {
        self.next.is_none()
    }

    /// Sequence number of the next octet; `None` before the first one.
    pub(in crate::inspect::http) const fn next(&self) -> Option<u32> {
        self.next
    }

    /// True between two messages.
    pub(in crate::inspect::http) fn is_between(&self) -> bool {
        self.state == State::Head && self.head.is_empty()
    }

    /// True if a head has begun that continues.
    pub(in crate::inspect::http) const fn has_head(&self) -> bool {
        !self.head.is_empty()
    }

    /// True if the position of messages is unknown.
    pub(in crate::inspect::http) const fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// Time of the first octet of the message whose head was returned.
    pub(in crate::inspect::http) const fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// Ends the reading of a stream.
    pub(in crate::inspect::http) fn close(&mut self, pool: &mut HeadPool) {
        self.state = State::Opaque;
        pool.give_back(std::mem::take(&mut self.head));
    }

    /// Gives up a head that continues since before `time_ns`. True if there was one.
    pub(in crate::inspect::http) fn expire(&mut self, time_ns: u64, pool: &mut HeadPool) -> bool {
        let is_expired = self.has_head() && self.started_ns < time_ns;
        if is_expired {
            self.give_up(UnreadHttp::NoRoom, pool);
        }
        is_expired
    }

    /// Sets what follows the head that was returned.
    pub(in crate::inspect::http) const fn set_body(&mut self, body: Body) {
        self.is_body_pending = !matches!(body, Body::Octets(0));
        self.state = match body {
            Body::Octets(0) => State::Head,
            Body::Octets(octets) => State::Body(octets),
            Body::Chunked => NEXT_CHUNK,
            Body::UntilClose => State::UntilClose,
        };
    }

    /// Continues with the next segment that begins with a message.
    pub(in crate::inspect::http) const fn lose(&mut self) {
        self.state = State::Lost;
    }

    /// True if the body of the latest message has not begun.
    pub(in crate::inspect::http) const fn is_body_pending(&self) -> bool {
        self.is_body_pending
    }

    /// What is new of a segment. `None` if nothing is, or if the stream is not read. Segments that
    /// were lost before are skipped, or end the reading of the message.
    pub(in crate::inspect::http) fn piece<'a>(
        &mut self,
        number: u32,
        captured: &'a [u8],
        octets: u32,
        pool: &mut HeadPool,
    ) -> Option<(Piece<'a>, Option<UnreadHttp>)> {
        if self.state == State::Opaque {
            return None;
        }
        let mut piece = Piece::new(captured, octets);
        let end = number.wrapping_add(octets);
        let mut unread = None;
        match Distance::of(number, *self.next.get_or_insert(number)) {
            // Sent again, at least in part.
            Distance::Before(known) if known >= octets => return None,
            Distance::Before(known) => piece.skip(known.into()),
            Distance::Ahead(0) => {}
            Distance::Ahead(lost) => unread = self.skip_lost(lost.into(), pool),
        }
        self.next = Some(end);
        Some((piece, unread))
    }

    /// Skips to an octet that the receiver expects next. Those before it were not observed.
    pub(in crate::inspect::http) fn skip_to(
        &mut self,
        number: u32,
        pool: &mut HeadPool,
    ) -> Option<UnreadHttp> {
        match Distance::of(number, self.next?) {
            Distance::Before(_) | Distance::Ahead(0) => None,
            Distance::Ahead(lost) => {
                self.next = Some(number);
                self.skip_lost(lost.into(), pool)
            }
        }
    }

    /// Skips octets that were not observed.
    fn skip_lost(&mut self, octets: u64, pool: &mut HeadPool) -> Option<UnreadHttp> {
        match &mut self.state {
            State::Body(rest) | State::Chunk(rest) if octets < *rest => {
                *rest = rest.saturating_sub(octets);
            }
            State::Body(rest) if octets == *rest => self.state = State::Head,
            State::UntilClose | State::Lost | State::Opaque => {}
            _ => return Some(self.give_up(UnreadHttp::SegmentLost, pool)),
        }
        None
    }

    fn give_up(&mut self, reason: UnreadHttp, pool: &mut HeadPool) -> UnreadHttp {
        self.state = State::Lost;
        pool.give_back(std::mem::take(&mut self.head));
        reason
    }

    /// Reads up to the next head, or the end of a piece.
    pub(in crate::inspect::http) fn step<'a>(
        &mut self,
        piece: &mut Piece<'a>,
        role: Role,
        time_ns: u64,
        pool: &mut HeadPool,
    ) -> Step<'a> {
        while piece.octets > 0 {
            match &mut self.state {
                State::Head => return self.head(piece, role, time_ns, pool),
                State::Body(rest) => {
                    self.is_body_pending = false;
                    let skipped = piece.octets.min(*rest);
                    *rest = rest.saturating_sub(skipped);
                    if *rest == 0 {
                        self.state = State::Head;
                    }
                    piece.skip(skipped);
                }
                State::Chunk(rest) => {
                    let skipped = piece.octets.min(*rest);
                    *rest = rest.saturating_sub(skipped);
                    if *rest == 0 {
                        self.state = NEXT_CHUNK;
                    }
                    piece.skip(skipped);
                }
                State::ChunkSize { .. } | State::Trailer { .. } => {
                    self.is_body_pending = false;
                    let Some(octet) = piece.next() else {
                        return Step::Unread(self.give_up(UnreadHttp::NotCaptured, pool));
                    };
                    if !self.chunk_line(octet) {
                        return Step::Unread(self.give_up(UnreadHttp::Invalid, pool));
                    }
                }
                State::Lost if piece.is_start && begins(role, piece.captured) => {
                    self.state = State::Head;
                }
                State::UntilClose | State::Lost | State::Opaque => return Step::Done,
            }
        }
        Step::Done
    }

    /// Reads an octet of the line with the size of a chunk, or of the trailer. False if it is
    /// invalid.
    fn chunk_line(&mut self, octet: u8) -> bool {
        match &mut self.state {
            State::ChunkSize { size, is_extension } => match octet {
                b'\n' if *size == 0 => {
                    self.state = State::Trailer {
                        is_empty_line: true,
                    };
                }
                // The line of the data ends with two octets.
                b'\n' => self.state = State::Chunk(size.saturating_add(2)),
                b'\r' => {}
                b';' | b' ' | b'\t' => *is_extension = true,
                _ if *is_extension => {}
                _ => {
                    let digit = char::from(octet).to_digit(16).map(u64::from);
                    let sum = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
                    let Some(sum) = sum else {
                        return false;
                    };
                    *size = sum;
                }
            },
            State::Trailer { is_empty_line } => match octet {
                b'\n' if *is_empty_line => self.state = State::Head,
                b'\n' => *is_empty_line = true,
                b'\r' => {}
                _ => *is_empty_line = false,
            },
            _ => {}
        }
        true
    }

    fn head<'a>(
        &mut self,
        piece: &mut Piece<'a>,
        role: Role,
        time_ns: u64,
        pool: &mut HeadPool,
    ) -> Step<'a> {
        if self.head.is_empty() {
            // An empty line before a message is not part of it (RFC 9112 §2.2).
            while let [b'\r' | b'\n', ..] = piece.captured {
                piece.skip(1);
            }
            if piece.octets == 0 {
                return Step::Done;
            }
            if !can_begin(role, piece.captured) {
                let reason = if piece.captured.is_empty() {
                    UnreadHttp::NotCaptured
                } else {
                    UnreadHttp::Invalid
                };
                return Step::Unread(self.give_up(reason, pool));
            }
            self.started_ns = time_ns;
            if let Some(length) = head::length(piece.captured) {
                let head = piece.captured.get(..length).unwrap_or_default();
                piece.skip(u64::try_from(length).unwrap_or(u64::MAX));
                return Step::Head(head);
            }
        }
        self.join(piece, pool)
    }

    /// Adds a piece to a head that continues.
    fn join<'a>(&mut self, piece: &mut Piece<'a>, pool: &mut HeadPool) -> Step<'a> {
        let mut head = std::mem::take(&mut self.head);
        if head.capacity() == 0 {
            let Some(room) = pool.take() else {
                return Step::Unread(self.give_up(UnreadHttp::NoRoom, pool));
            };
            head = room;
        }
        let before = head.len();
        let room = MAX_HEAD.saturating_sub(before);
        head.extend_from_slice(piece.captured.get(..room).unwrap_or(piece.captured));
        if let Some(length) = head::length(&head) {
            head.truncate(length);
            let used = length.saturating_sub(before);
            piece.skip(u64::try_from(used).unwrap_or(u64::MAX));
            return Step::JoinedHead(head);
        }
        let is_full = head.len() >= MAX_HEAD;
        let is_captured = u64::try_from(piece.captured.len()).ok() == Some(piece.octets);
        piece.skip(piece.octets);
        self.head = head;
        match (is_full, is_captured) {
            (true, _) => Step::Unread(self.give_up(UnreadHttp::HeadTooLong, pool)),
            (_, false) => Step::Unread(self.give_up(UnreadHttp::NotCaptured, pool)),
            (false, true) => Step::Done,
        }
    }
}

/// True if a message can begin like this, or end early.
pub(in crate::inspect::http) fn can_begin(role: Role, octets: &[u8]) -> bool {
    match role {
        Role::Client => head::can_be_request(octets),
        Role::Server => head::can_be_response(octets),
    }
}

/// True if a message begins like this.
pub(in crate::inspect::http) fn begins(role: Role, octets: &[u8]) -> bool {
    match role {
        Role::Client => head::begins_with_request(octets),
        Role::Server => head::begins_with_response(octets),
    }
}
