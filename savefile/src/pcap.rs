//! pcap files (draft-ietf-opsawg-pcap): a header, then frames of one link type.

use crate::endian::{u16_of, u32_of, words};
use crate::packet::{Corruption, FormatError, Packet, PacketFormat, Step};

/// Octets of the file header.
pub const FILE_HEADER: usize = 24;
/// Octets of the header of a frame.
const RECORD_HEADER: usize = 16;
/// Octets of that header in the variant of Kuznetzov's patch of libpcap.
const MODIFIED_RECORD_HEADER: usize = 24;
/// The version in files of DG/UX.
const DG_UX_VERSION: (u16, u16) = (543, 0);
/// Maximum length of a captured frame, octets. libpcap has the same limit.
const MAX_FRAME: usize = 262_144;

/// The variant of the format, by the magic number.
#[derive(Clone, Copy, Debug)]
struct Variant {
    big_endian: bool,
    /// Nanoseconds per unit of the fraction of a timestamp.
    fraction_ns: u64,
    /// Octets of the header of a frame.
    record_header: usize,
}

impl Variant {
    /// `None` for the magic number of another format.
    fn of(magic: [u8; 4]) -> Option<Self> {
        let big_endian = magic.starts_with(&[0xa1]);
        let (fraction_ns, record_header) = match u32_of(magic, big_endian) {
            0xa1b2_c3d4 => (1000, RECORD_HEADER),
            0xa1b2_3c4d => (1, RECORD_HEADER),
            0xa1b2_cd34 => (1000, MODIFIED_RECORD_HEADER),
            _ => return None,
        };
        Some(Self {
            big_endian,
            fraction_ns,
            record_header,
        })
    }
}

/// The format of a pcap file.
#[derive(Clone, Copy, Debug)]
pub struct PcapFormat {
    variant: Variant,
    version: (u16, u16),
    /// Maximum length of a captured frame, octets; 0 if unknown.
    snaplen: u32,
    link_type: u16,
}

impl PcapFormat {
    /// Whether a file that begins with these octets is a pcap file.
    #[must_use]
    pub fn has_magic(magic: [u8; 4]) -> bool {
        Variant::of(magic).is_some()
    }

    /// Reads the file header.
    ///
    /// # Errors
    /// It is that of another format, or of a version that libpcap does not read either.
    pub fn read(header: &[u8; FILE_HEADER]) -> Result<Self, FormatError> {
        let [m0, m1, m2, m3, v0, v1, w0, w1, ..] = *header;
        let variant = Variant::of([m0, m1, m2, m3]).ok_or(FormatError::UnknownFormat)?;
        let big_endian = variant.big_endian;
        let version = (u16_of([v0, v1], big_endian), u16_of([w0, w1], big_endian));
        if !matches!(version, (2, 0..=4) | DG_UX_VERSION) {
            return Err(FormatError::UnsupportedVersion(version.0, version.1));
        }
        let [_, _, _, _, snaplen, link_type] = words(header, big_endian).unwrap_or_default();
        Ok(Self {
            variant,
            version,
            snaplen,
            // The upper half has the length of the frame check sequence.
            link_type: u16::try_from(link_type & 0xffff).unwrap_or_default(),
        })
    }

    /// Files before version 2.4 may have both lengths of a frame in the other order.
    const fn may_have_swapped_lengths(&self) -> bool {
        matches!(self.version, (2, 0..=3) | DG_UX_VERSION)
    }
}

impl PacketFormat for PcapFormat {
    #[inline]
    fn next<'a>(&mut self, data: &'a [u8]) -> Result<Step<'a>, FormatError> {
        let Some([seconds, fraction, mut captured, mut wire]) =
            words(data, self.variant.big_endian)
        else {
            return Ok(Step::Incomplete(self.variant.record_header));
        };
        if captured > wire && self.may_have_swapped_lengths() {
            std::mem::swap(&mut captured, &mut wire);
        }
        let length = usize::try_from(captured).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(Corruption::FrameTooLong.into());
        }
        let end = self.variant.record_header.saturating_add(length);
        let Some(octets) = data.get(self.variant.record_header..end) else {
            return Ok(Step::Incomplete(end));
        };
        let packet = Packet {
            octets,
            wire_octets: wire,
            time_ns: u64::from(seconds)
                .saturating_mul(1_000_000_000)
                .saturating_add(u64::from(fraction).saturating_mul(self.variant.fraction_ns)),
            interface: 0,
            is_wire_length_lost: wire == captured && captured == self.snaplen,
        };
        Ok(Step::Packet(packet, end))
    }

    #[inline]
    fn link_type(&self, _interface: usize) -> u16 {
        self.link_type
    }

    #[inline]
    fn interfaces(&self) -> usize {
        1
    }
}
