//! pcap captures (draft-ietf-opsawg-pcap).

use std::io::Read;

use super::octets::{fill, header, words};
use super::{Frame, SavefileError};

/// No captured frame is longer (libpcap's MAXIMUM_SNAPLEN).
const MAX_FRAME_OCTETS: u32 = 262_144;

/// What the file's header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    nanoseconds: bool,
    link_type: u32,
}

impl Pcap {
    /// Reads the rest of the header, behind the magic number that told byte order and resolution.
    pub(super) fn open(
        input: &mut impl Read,
        big_endian: bool,
        nanoseconds: bool,
    ) -> Result<Self, SavefileError> {
        let mut header = [0; 20];
        fill(input, &mut header, "the file header")?;
        let [_, _, _, _, network] = words(&header, big_endian);
        // The upper bits may tell of a frame check sequence.
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
        let [seconds, fraction, kept, length] = words(&header, self.big_endian);
        if kept > MAX_FRAME_OCTETS {
            return Err(SavefileError::Corrupt(
                "a packet longer than any capture has",
            ));
        }
        octets.resize(usize::try_from(kept).unwrap_or(0), 0);
        fill(input, octets, WHAT)?;
        let per_millisecond = if self.nanoseconds { 1_000_000 } else { 1000 };
        Ok(Some(Frame {
            link_type: self.link_type,
            cut: kept < length,
            time_milliseconds: u64::from(seconds) * 1000 + u64::from(fraction / per_millisecond),
        }))
    }
}
