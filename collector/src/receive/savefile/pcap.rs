//! pcap captures (draft-ietf-opsawg-pcap).

use std::io::Read;

use super::copies::Interface;
use super::octets::{fill, header, u32s};
use super::{Frame, SavefileError};

/// Maximum length of a captured frame (MAXIMUM_SNAPLEN of libpcap).
const MAX_FRAME_OCTETS: u32 = 262_144;

/// The file header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    nanoseconds: bool,
    link_type: u32,
}

impl Pcap {
    /// Reads the header after the magic number, which has the byte order and the resolution.
    pub(super) fn open(
        input: &mut impl Read,
        big_endian: bool,
        nanoseconds: bool,
    ) -> Result<Self, SavefileError> {
        let mut header = [0; 20];
        fill(input, &mut header, "the file header")?;
        let [_, _, _, _, network] = u32s(&header, big_endian);
        // The upper bits describe a frame check sequence.
        Ok(Self {
            big_endian,
            nanoseconds,
            link_type: network & 0x0fff_ffff,
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
        let [seconds, fraction, kept, length] = u32s(&header, self.big_endian);
        if kept > MAX_FRAME_OCTETS {
            return Err(SavefileError::Corrupt(
                "packet longer than the maximum snap length",
            ));
        }
        octets.resize(usize::try_from(kept).unwrap_or(0), 0);
        fill(input, octets, WHAT)?;
        let per_millisecond = if self.nanoseconds { 1_000_000 } else { 1000 };
        Ok(Some(Frame {
            link_type: self.link_type,
            truncated: kept < length,
            interface: Interface::Only,
            time_milliseconds: u64::from(seconds) * 1000 + u64::from(fraction / per_millisecond),
        }))
    }
}
