//! Frames of HTTP/2 (RFC 9113 §4 and §6).

use std::ops::Range;

/// What a client sends first (RFC 9113 §3.4).
pub(in crate::inspect::http) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Octets of the header of a frame.
pub(super) const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x01;
const ACK: u8 = 0x01;
const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const HAS_PRIORITY: u8 = 0x20;

/// What a frame means for metering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// Part of a body.
    Data,
    /// The beginning of a field block, of this stream.
    Headers,
    /// The beginning of a field block of a request that the server announces.
    PushPromise,
    /// A further part of a field block.
    Continuation,
    /// The end of a stream by an error.
    Reset,
    /// The settings of the sender.
    Settings,
    /// Any other one.
    Other,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    /// Octets of its payload.
    pub(super) length: u32,
    /// The stream that it belongs to; 0 for the connection.
    pub(super) stream: u32,
    flags: u8,
}

impl FrameHeader {
    /// Reads a header. `None` if the frame is invalid.
    pub(super) fn of(octets: [u8; HEADER]) -> Option<Self> {
        let [a, b, c, number, flags, id @ ..] = octets;
        let length = u32::from_be_bytes([0, a, b, c]);
        let stream = u32::from_be_bytes(id) & 0x7fff_ffff;
        let is_of_stream = stream != 0;
        let (kind, is_valid) = match number {
            DATA => (FrameKind::Data, is_of_stream),
            HEADERS => (FrameKind::Headers, is_of_stream),
            PRIORITY => (FrameKind::Other, is_of_stream && length == 5),
            RST_STREAM => (FrameKind::Reset, is_of_stream && length == 4),
            SETTINGS => {
                let is_whole = length.is_multiple_of(6) && (flags & ACK == 0 || length == 0);
                (FrameKind::Settings, !is_of_stream && is_whole)
            }
            PUSH_PROMISE => (FrameKind::PushPromise, is_of_stream),
            PING => (FrameKind::Other, !is_of_stream && length == 8),
            GOAWAY => (FrameKind::Other, !is_of_stream && length >= 8),
            WINDOW_UPDATE => (FrameKind::Other, length == 4),
            CONTINUATION => (FrameKind::Continuation, is_of_stream),
            _ => (FrameKind::Other, true),
        };
        is_valid.then_some(Self {
            kind,
            length,
            stream,
            flags,
        })
    }

    /// True if the sender sends nothing more on the stream.
    pub(super) const fn ends_stream(self) -> bool {
        matches!(self.kind, FrameKind::Data | FrameKind::Headers) && self.flags & END_STREAM != 0
    }

    /// True if the field block ends with the frame.
    pub(super) const fn ends_block(self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// Where a payload has its part of a field block. `None` if the payload is invalid.
    pub(super) fn fragment(self, payload: &[u8]) -> Option<Range<usize>> {
        let (is_padded, others) = match self.kind {
            FrameKind::Headers if self.flags & HAS_PRIORITY != 0 => (true, 5),
            FrameKind::Headers => (true, 0),
            // The promised stream.
            FrameKind::PushPromise => (true, 4),
            _ => (false, 0),
        };
        let (padding, start) = if is_padded && self.flags & PADDED != 0 {
            (usize::from(*payload.first()?), 1_usize)
        } else {
            (0, 0)
        };
        let start = start.saturating_add(others);
        let end = payload.len().checked_sub(padding)?;
        (start <= end).then_some(start..end)
    }
}

/// True if octets begin with the first frame of a server: its settings.
pub(in crate::inspect::http) fn begins_with_settings(octets: &[u8]) -> bool {
    let header = octets.first_chunk().copied().and_then(FrameHeader::of);
    header.is_some_and(|header| {
        header.kind == FrameKind::Settings && header.flags == 0 && header.length <= 6 * 32
    })
}

/// The sender of the field block that octets begin with: true for a client. `None` if they begin
/// with anything else. It is for connections whose start was not observed.
pub(in crate::inspect::http) fn begins_with_block(octets: &[u8]) -> Option<bool> {
    const FLAGS: u8 = END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY;
    let (header, rest) = octets.split_first_chunk::<HEADER>()?;
    let header = FrameHeader::of(*header)?;
    let is_plain = header.kind == FrameKind::Headers && header.flags & !FLAGS == 0;
    if !is_plain || !header.ends_block() || header.stream.is_multiple_of(2) {
        return None;
    }
    let payload = rest.get(..usize::try_from(header.length).ok()?)?;
    let fragment = payload.get(header.fragment(payload)?)?;
    match fragment.first()? {
        // An indexed `:method`, `:path` or `:scheme`; or one with a value.
        0x82..=0x87 | 0x02 | 0x04 | 0x12 | 0x14 | 0x42 | 0x44 => Some(true),
        // The same with `:status`.
        0x88..=0x8e | 0x08 | 0x18 | 0x48 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u8, number: u8, flags: u8, stream: u8) -> Option<FrameHeader> {
        FrameHeader::of([0, 0, length, number, flags, 0, 0, 0, stream])
    }

    #[test]
    fn frames_of_the_wrong_length_or_stream_are_invalid() {
        for (length, number, flags, stream, is_valid) in [
            (0, DATA, 0, 1, true),
            (0, DATA, 0, 0, false),
            (9, HEADERS, 0, 0, false),
            (5, PRIORITY, 0, 3, true),
            (4, PRIORITY, 0, 3, false),
            (4, RST_STREAM, 0, 3, true),
            (4, RST_STREAM, 0, 0, false),
            (12, SETTINGS, 0, 0, true),
            (12, SETTINGS, 0, 1, false),
            (13, SETTINGS, 0, 0, false),
            (6, SETTINGS, ACK, 0, false),
            (8, PING, ACK, 0, true),
            (9, PING, 0, 0, false),
            (7, GOAWAY, 0, 0, false),
            (4, WINDOW_UPDATE, 0, 0, true),
            (5, WINDOW_UPDATE, 0, 1, false),
            (0, CONTINUATION, END_HEADERS, 1, true),
            (200, 77, 255, 9, true),
        ] {
            let found = header(length, number, flags, stream);
            assert_eq!(
                found.is_some(),
                is_valid,
                "{number} {length} {flags} {stream}"
            );
        }
        let reserved = FrameHeader::of([1, 2, 3, HEADERS, 0, 0x80, 0, 0, 5]).unwrap();
        assert_eq!((reserved.stream, reserved.length), (5, 0x01_0203));
    }

    #[test]
    fn padding_and_priority_are_not_part_of_the_block() {
        let fragment = |number, flags, payload: &[u8]| {
            let header = header(0, number, flags, 1).unwrap();
            Some(payload[header.fragment(payload)?].to_vec())
        };
        assert_eq!(fragment(HEADERS, 0, b"abc"), Some(b"abc".to_vec()));
        assert_eq!(
            fragment(HEADERS, PADDED, b"\x02abcxx"),
            Some(b"abc".to_vec())
        );
        let both = PADDED | HAS_PRIORITY;
        assert_eq!(
            fragment(HEADERS, both, b"\x0112345abcx"),
            Some(b"abc".to_vec())
        );
        assert_eq!(
            fragment(PUSH_PROMISE, PADDED, b"\x011234abcx"),
            Some(b"abc".to_vec())
        );
        assert_eq!(
            fragment(CONTINUATION, PADDED, b"\x01abc"),
            Some(b"\x01abc".to_vec())
        );
        assert_eq!(fragment(HEADERS, PADDED, b"\x03ab"), None);
        assert_eq!(fragment(HEADERS, PADDED, b""), None);
        assert_eq!(fragment(HEADERS, HAS_PRIORITY, b"1234"), None);
    }

    #[test]
    fn beginnings_are_recognized() {
        assert!(begins_with_settings(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3]));
        assert!(!begins_with_settings(&[0, 0, 0, 4, 1, 0, 0, 0, 0]));
        assert!(!begins_with_settings(&[0, 0, 6, 4, 0, 0, 0, 0]));
        let request = [0, 0, 2, 1, 5, 0, 0, 0, 3, 0x82, 0x84];
        assert_eq!(begins_with_block(&request), Some(true));
        let mut response = request;
        response[9] = 0x88;
        assert_eq!(begins_with_block(&response), Some(false));
        for (at, octet) in [(2, 3), (3, 9), (4, 0x45), (4, 1), (8, 2), (9, 0x90)] {
            let mut other = request;
            other[at] = octet;
            assert_eq!(begins_with_block(&other), None, "{at}");
        }
    }
}
