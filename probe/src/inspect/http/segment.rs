//! Segments of TCP, as far as they were captured.

/// Time for which a missing segment is awaited, nanoseconds.
pub(super) const MAX_WAIT_NS: u64 = 10_000_000_000;

/// Who sends the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

impl Role {
    /// The other end.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Position of an octet next to another one, in 32 bits that wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distance {
    /// This many octets before it.
    Before(u32),
    /// This many octets behind it; 0 if it is the same one.
    Ahead(u32),
}

impl Distance {
    /// The position of `number` next to `expected`.
    pub(super) const fn of(number: u32, expected: u32) -> Self {
        let ahead = number.wrapping_sub(expected);
        if ahead > u32::MAX / 2 {
            Self::Before(expected.wrapping_sub(number))
        } else {
            Self::Ahead(ahead)
        }
    }
}

/// What is new of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Its octets, as far as they were captured.
    pub(super) captured: &'a [u8],
    /// Number of its octets.
    pub(super) octets: u64,
    /// It begins where the segment does.
    pub(super) is_start: bool,
}

impl<'a> Piece<'a> {
    /// A whole segment of `octets`.
    pub(super) fn new(captured: &'a [u8], octets: u32) -> Self {
        Self {
            captured,
            octets: octets.into(),
            is_start: true,
        }
    }

    pub(super) fn skip(&mut self, octets: u64) {
        let captured = usize::try_from(octets).ok();
        self.captured = captured
            .and_then(|octets| self.captured.get(octets..))
            .unwrap_or_default();
        self.octets = self.octets.saturating_sub(octets);
        self.is_start &= octets == 0;
    }

    /// The next octet, if it was captured.
    pub(super) fn next(&mut self) -> Option<u8> {
        let first = self.captured.first().copied();
        if first.is_some() {
            self.skip(1);
        }
        first
    }

    /// The next octets, if all of them were captured.
    pub(super) fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let taken = self.captured.get(..octets)?;
        self.skip(u64::try_from(octets).unwrap_or(u64::MAX));
        Some(taken)
    }
}
