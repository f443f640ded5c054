//! How an input becomes what a target needs.
//!
//! A sequence (of datagrams, of frames) is one chunk behind the other: a control octet, two of
//! length, the octets. The last chunk takes what there is, so that no input is refused.

use std::io::{self, Cursor, Read};
use std::net::SocketAddr;

/// When everything begins, milliseconds since the epoch.
pub(crate) const BEGAN: u64 = 1_700_000_000_000;

/// One of a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    control: u8,
    pub(crate) octets: &'a [u8],
}

/// Cuts an input.
pub(crate) fn chunks(mut data: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (&control, rest) = data.split_first()?;
        let (length, rest) = match *rest {
            [high, low, ref rest @ ..] => (u16::from_be_bytes([high, low]), rest),
            ref rest => (u16::MAX, rest),
        };
        let octets;
        (octets, data) = rest.split_at_checked(length.into()).unwrap_or((rest, &[]));
        Some(Chunk { control, octets })
    })
}

/// Writes a chunk that [`chunks`] reads.
pub(crate) fn write_chunk(control: u8, octets: &[u8], out: &mut Vec<u8>) {
    let octets = octets.get(..65_535).unwrap_or(octets);
    out.push(control);
    out.extend(u16::try_from(octets.len()).unwrap().to_be_bytes());
    out.extend(octets);
}

impl Chunk<'_> {
    /// Who sent it: addresses and ports that share and do not share.
    pub(crate) fn exporter(self) -> SocketAddr {
        let text = match self.control & 3 {
            0 => "192.0.2.1:4000",
            1 => "192.0.2.1:4001",
            2 => "10.9.0.1:4000",
            _ => "[2001:db8::1]:4000",
        };
        text.parse().unwrap()
    }

    /// Milliseconds since the one before.
    pub(crate) const fn step(self) -> u64 {
        match self.control >> 2 & 3 {
            0 => 0,
            1 => 1_000,
            2 => 61_000,
            _ => 7_300_000,
        }
    }

    /// Whether time advances after it.
    pub(crate) const fn ticks(self) -> bool {
        self.control & 0x10 != 0
    }

    /// The rest of the control octet.
    pub(crate) const fn flags(self) -> u8 {
        self.control >> 5
    }
}

/// Numbers off the front of an input; zeros where there is no more.
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl<'a> Octets<'a> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(length.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let head = self.take(N);
        let mut array = [0; N];
        array[..head.len()].copy_from_slice(head);
        array
    }

    pub(crate) fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    pub(crate) fn u128(&mut self) -> u128 {
        u128::from_be_bytes(self.array())
    }

    /// A text with one octet for its length.
    pub(crate) fn text(&mut self) -> String {
        let length = self.u8();
        String::from_utf8_lossy(self.take(length.into())).into_owned()
    }
}

/// Gives a few octets at a time, as from a pipe.
pub(crate) struct Dribble {
    pub(crate) input: Cursor<Vec<u8>>,
    pub(crate) at_once: usize,
}

impl Read for Dribble {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let most = octets.len().min(self.at_once);
        self.input.read(&mut octets[..most])
    }
}
