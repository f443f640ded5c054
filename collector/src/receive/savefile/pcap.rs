//! pcap captures (draft-ietf-opsawg-pcap).

use std::io::Read;

use super::copies::Interface;
use super::octets::{fill, header, to_u32, u32s};
use super::{Frame, SavefileError};

/// Maximum length of a captured frame (MAXIMUM_SNAPLEN of libpcap).
const MAX_FRAME_OCTETS: u32 = 262_144;

/// Octets that the variant of Kuznetzov's patch of libpcap adds to the header of a frame.
const MODIFIED_HEADER_OCTETS: usize = 8;

/// The variant of the format, by the magic number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    big_endian: bool,
    /// Units of the fraction of a timestamp per millisecond.
    per_millisecond: u32,
    /// Octets of the header of a frame that follow those of all variants.
    more_header_octets: usize,
}

impl Variant {
    /// `None` for a magic number of another format.
    pub(super) fn of(magic: [u8; 4]) -> Option<Self> {
        let big_endian = magic.starts_with(&[0xa1]);
        let (per_millisecond, more_header_octets) = match to_u32(magic, big_endian) {
            0xa1b2_c3d4 => (1000, 0),
            0xa1b2_3c4d => (1_000_000, 0),
            0xa1b2_cd34 => (1000, MODIFIED_HEADER_OCTETS),
            _ => return None,
        };
        Some(Self {
            big_endian,
            per_millisecond,
            more_header_octets,
        })
    }
}

/// The file header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    variant: Variant,
    link_type: u32,
}

impl Pcap {
    /// Reads the header after the magic number.
    pub(super) fn open(input: &mut impl Read, variant: Variant) -> Result<Self, SavefileError> {
        let mut header = [0; 20];
        fill(input, &mut header, "the file header")?;
        let [_, _, _, _, network] = u32s(&header, variant.big_endian);
        Ok(Self {
            variant,
            // The upper half describes a frame check sequence.
            link_type: network & 0xffff,
        })
    }

    /// Reads the next frame into `octets`; `None` at the end.
    pub(super) fn next(
        &self,
        input: &mut impl Read,
        octets: &mut Vec<u8>,
    ) -> Result<Option<Frame>, SavefileError> {
        const WHAT: &str = "a packet";
        let Some(header) = header::<16>(input, WHAT)? else {
            return Ok(None);
        };
        let variant = self.variant;
        let [seconds, fraction, kept, length] = u32s(&header, variant.big_endian);
        let mut more = [0; MODIFIED_HEADER_OCTETS];
        let more = more.get_mut(..variant.more_header_octets);
        fill(input, more.unwrap_or_default(), WHAT)?;
        if kept > MAX_FRAME_OCTETS {
            return Err(SavefileError::Corrupt(
                "packet longer than the maximum snap length",
            ));
        }
        octets.resize(usize::try_from(kept).unwrap_or(0), 0);
        fill(input, octets, WHAT)?;
        Ok(Some(Frame {
            link_type: self.link_type,
            truncated: kept < length,
            interface: Interface::Only,
            time_milliseconds: u64::from(seconds) * 1000
                + u64::from(fraction / variant.per_millisecond),
        }))
    }
}
