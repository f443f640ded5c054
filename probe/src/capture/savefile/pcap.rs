//! pcap files (draft-ietf-opsawg-pcap): a header, then frames of one link type.

use super::endian::{u16_of, words};
use super::packet::{Link, Packet, PacketFormat, SavefileError, Step};

/// Octets of the file header.
pub(super) const FILE_HEADER: usize = 24;
/// Octets of the header of a frame.
const RECORD_HEADER: usize = 16;
/// Octets of that header in the variant of Kuznetzov's patch of libpcap.
const MODIFIED_RECORD_HEADER: usize = 24;
/// The version in files of DG/UX.
const DG_UX_VERSION: (u16, u16) = (543, 0);
/// Maximum length of a captured frame, octets. libpcap has the same limit.
const MAX_FRAME: usize = 262_144;

/// The format of a pcap file.
#[derive(Clone, Copy, Debug)]
pub(super) struct PcapFormat {
    big_endian: bool,
    /// Nanoseconds per unit of the fraction of a timestamp.
    fraction_ns: u64,
    record_header: usize,
    /// Files before version 2.4 may have both lengths of a frame in the other order.
    may_have_swapped_lengths: bool,
    /// Maximum length of a captured frame, octets; 0 if unknown.
    snaplen: u32,
    pub(super) link: Link,
}

impl PcapFormat {
    /// Reads the file header.
    ///
    /// # Errors
    /// It is that of another format or version.
    pub(super) fn read(header: &[u8; FILE_HEADER]) -> Result<Self, SavefileError> {
        let [m0, m1, m2, m3, v0, v1, w0, w1, ..] = *header;
        let (big_endian, magic) = match [m0, m1, m2, m3] {
            [0xa1, ..] => (true, [m1, m2, m3]),
            [.., 0xa1] => (false, [m2, m1, m0]),
            _ => return Err(SavefileError::UnknownFormat),
        };
        let (fraction_ns, record_header) = match magic {
            [0xb2, 0xc3, 0xd4] => (1000, RECORD_HEADER),
            [0xb2, 0x3c, 0x4d] => (1, RECORD_HEADER),
            [0xb2, 0xcd, 0x34] => (1000, MODIFIED_RECORD_HEADER),
            _ => return Err(SavefileError::UnknownFormat),
        };
        let version = (u16_of([v0, v1], big_endian), u16_of([w0, w1], big_endian));
        if !matches!(version, (2, 0..=4) | DG_UX_VERSION) {
            return Err(SavefileError::UnsupportedVersion(version.0, version.1));
        }
        let [_, _, _, _, snaplen, link_type] = words(header, big_endian).unwrap_or_default();
        Ok(Self {
            big_endian,
            fraction_ns,
            record_header,
            may_have_swapped_lengths: version != (2, 4),
            snaplen,
            // The upper half has the length of the frame check sequence.
            link: Link::new(u16::try_from(link_type & 0xffff).unwrap_or_default()),
        })
    }
}

impl PacketFormat for PcapFormat {
    #[inline]
    fn next<'a>(&mut self, data: &'a [u8]) -> Result<Step<'a>, SavefileError> {
        let Some([seconds, fraction, mut captured, mut wire]) = words(data, self.big_endian) else {
            return Ok(Step::Incomplete(self.record_header));
        };
        if self.may_have_swapped_lengths && captured > wire {
            std::mem::swap(&mut captured, &mut wire);
        }
        let length = usize::try_from(captured).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(SavefileError::Corrupt("a frame of more than 262144 octets"));
        }
        let end = self.record_header.saturating_add(length);
        let Some(octets) = data.get(self.record_header..end) else {
            return Ok(Step::Incomplete(end));
        };
        let packet = Packet {
            octets,
            wire_octets: wire,
            time_ns: u64::from(seconds)
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::from(fraction).saturating_mul(self.fraction_ns)),
            interface: 0,
            is_wire_length_lost: wire == captured && captured == self.snaplen,
        };
        Ok(Step::Packet(packet, end))
    }

    #[inline]
    fn link(&self, _interface: usize) -> Link {
        self.link
    }

    #[inline]
    fn interfaces(&self) -> usize {
        1
    }
}
