//! pcapng files (draft-ietf-opsawg-pcapng): blocks, in sections of either byte order, with any
//! number of interfaces.

use crate::endian::{u16_of, u32_of, words};
use crate::packet::{Corruption, FormatError, Packet, PacketFormat, Step};

/// Maximum length of a block that is kept in memory, octets. libpcap has the same limit.
const MAX_BLOCK: u32 = 16 << 20;
/// Maximum number of interfaces of a section.
const MAX_INTERFACES: usize = 65_536;
/// Octets of the type and the length before a block, and of the length after it.
const BLOCK_HEADER: usize = 8;
const BLOCK_TRAILER: usize = 4;
/// Octets of the byte order and the version at the beginning of a section.
const SECTION_HEADER: usize = 8;

/// The first octets of a section header, the same in both byte orders.
pub const SECTION_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

// Block types (§4).
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
// Options of an interface description (§4.2).
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

const SECOND_NS: u64 = 1_000_000_000;

/// The state of a pcapng file.
#[derive(Debug, Default)]
pub struct PcapngFormat {
    big_endian: bool,
    /// Interfaces of the current section.
    interfaces: Vec<InterfaceDescription>,
    /// Time of the latest packet, for packets without one.
    last_time_ns: u64,
}

/// An interface of a section.
#[derive(Clone, Copy, Debug)]
struct InterfaceDescription {
    link_type: u16,
    /// Maximum length of a captured frame, octets; 0 is unlimited.
    snaplen: u32,
    /// Units of a timestamp per second.
    units_per_second: u64,
    /// Added to timestamps, seconds.
    offset_seconds: i64,
}

impl PacketFormat for PcapngFormat {
    #[inline]
    fn next<'a>(&mut self, data: &'a [u8]) -> Result<Step<'a>, FormatError> {
        let Some((header, rest)) = data.split_first_chunk::<BLOCK_HEADER>() else {
            return Ok(Step::Incomplete(BLOCK_HEADER));
        };
        if header.starts_with(&SECTION_MAGIC) {
            let Some(section) = rest.first_chunk() else {
                return Ok(Step::Incomplete(BLOCK_HEADER + SECTION_HEADER));
            };
            self.begin_section(section)?;
        }
        let [kind, length] = words(header, self.big_endian).unwrap_or_default();
        // Blocks are padded to words, also if the writer did not count the padding.
        let length = length.checked_next_multiple_of(4).unwrap_or(u32::MAX);
        let total = usize::try_from(length).unwrap_or(usize::MAX);
        if total < BLOCK_HEADER + BLOCK_TRAILER {
            return Err(Corruption::BlockTooShort.into());
        }
        if !matches!(
            kind,
            INTERFACE_DESCRIPTION | OBSOLETE_PACKET | SIMPLE_PACKET | ENHANCED_PACKET
        ) {
            return Ok(Step::Other(length.into()));
        }
        if length > MAX_BLOCK {
            return Err(Corruption::BlockTooLong.into());
        }
        let end = total.saturating_sub(BLOCK_TRAILER);
        let Some(body) = data.get(BLOCK_HEADER..end).filter(|_| data.len() >= total) else {
            return Ok(Step::Incomplete(total));
        };
        if kind == INTERFACE_DESCRIPTION {
            self.describe(body)?;
            return Ok(Step::Other(length.into()));
        }
        self.packet(kind, body)
            .map(|packet| Step::Packet(packet, total))
    }

    #[inline]
    fn link_type(&self, interface: usize) -> u16 {
        let interface = self.interfaces.get(interface);
        interface.map_or(0, |interface| interface.link_type)
    }

    #[inline]
    fn interfaces(&self) -> usize {
        self.interfaces.len()
    }
}

impl PcapngFormat {
    /// Reads the byte order and the version of a section.
    fn begin_section(&mut self, section: &[u8; SECTION_HEADER]) -> Result<(), FormatError> {
        let [o0, o1, o2, o3, v0, v1, w0, w1] = *section;
        self.big_endian = match [o0, o1, o2, o3] {
            [0x1a, 0x2b, 0x3c, 0x4d] => true,
            [0x4d, 0x3c, 0x2b, 0x1a] => false,
            _ => return Err(Corruption::ByteOrder.into()),
        };
        let version = [[v0, v1], [w0, w1]].map(|octets| u16_of(octets, self.big_endian));
        match version {
            // Some writers have 2 as the minor version of the same format (§4.1).
            [1, 0 | 2] => {}
            [major, minor] => return Err(FormatError::UnsupportedVersion(major, minor)),
        }
        self.interfaces.clear();
        Ok(())
    }

    fn describe(&mut self, body: &[u8]) -> Result<(), FormatError> {
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Corruption::TooManyInterfaces.into());
        }
        let Some((&[l0, l1, _, _, s0, s1, s2, s3], mut options)) = body.split_first_chunk() else {
            return Err(Corruption::InterfaceTooShort.into());
        };
        let mut interface = InterfaceDescription {
            link_type: u16_of([l0, l1], self.big_endian),
            snaplen: u32_of([s0, s1, s2, s3], self.big_endian),
            units_per_second: 1_000_000,
            offset_seconds: 0,
        };
        while let Some((&[c0, c1, n0, n1], rest)) = options.split_first_chunk() {
            let length = usize::from(u16_of([n0, n1], self.big_endian));
            match u16_of([c0, c1], self.big_endian) {
                IF_TSRESOL => {
                    interface.units_per_second = rest
                        .first()
                        .and_then(|resolution| units_per_second(*resolution))
                        .ok_or(Corruption::TimeResolution)?;
                }
                IF_TSOFFSET => {
                    if let Some(octets) = rest.first_chunk::<8>() {
                        interface.offset_seconds = if self.big_endian {
                            i64::from_be_bytes(*octets)
                        } else {
                            i64::from_le_bytes(*octets)
                        };
                    }
                }
                _ => {}
            }
            options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        self.interfaces.push(interface);
        Ok(())
    }

    #[inline]
    fn packet<'a>(&mut self, kind: u32, body: &'a [u8]) -> Result<Packet<'a>, FormatError> {
        use Corruption::{PacketTooShort, UnknownInterface};
        if kind == SIMPLE_PACKET {
            let [wire] = words(body, self.big_endian).ok_or(PacketTooShort)?;
            let interface = self.interfaces.first().ok_or(UnknownInterface)?;
            let octets = body.get(4..).unwrap_or_default();
            // The captured length is the smallest of the snap length, the wire length and the
            // block.
            let limit = if interface.snaplen == 0 {
                wire
            } else {
                wire.min(interface.snaplen)
            };
            return Ok(Packet {
                octets: head(octets, limit),
                wire_octets: wire,
                time_ns: self.last_time_ns,
                interface: 0,
                is_wire_length_lost: wire == interface.snaplen,
            });
        }
        let [first, high, low, captured, wire] =
            words(body, self.big_endian).ok_or(PacketTooShort)?;
        let index = match (kind, self.big_endian) {
            // The obsolete block has a drop count in the other half of the word.
            (OBSOLETE_PACKET, true) => first >> 16,
            (OBSOLETE_PACKET, false) => first & 0xffff,
            _ => first,
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let interface = self.interfaces.get(index).ok_or(UnknownInterface)?;
        let end = usize::try_from(captured)
            .ok()
            .and_then(|captured| captured.checked_add(20));
        let octets = end
            .and_then(|end| body.get(20..end))
            .ok_or(PacketTooShort)?;
        let time_ns = interface.nanoseconds(u64::from(high) << 32 | u64::from(low));
        self.last_time_ns = time_ns;
        Ok(Packet {
            octets,
            wire_octets: wire,
            time_ns,
            interface: index,
            is_wire_length_lost: wire == captured && captured == interface.snaplen,
        })
    }
}

impl InterfaceDescription {
    /// A timestamp as nanoseconds since the epoch.
    #[inline]
    fn nanoseconds(&self, units: u64) -> u64 {
        let time_ns = match self.units_per_second {
            1_000_000 => units.saturating_mul(1000),
            SECOND_NS => units,
            per_second => {
                let scaled = u128::from(units) * u128::from(SECOND_NS) / u128::from(per_second);
                u64::try_from(scaled).unwrap_or(u64::MAX)
            }
        };
        if self.offset_seconds == 0 {
            return time_ns;
        }
        let offset_ns = self.offset_seconds.unsigned_abs().saturating_mul(SECOND_NS);
        if self.offset_seconds > 0 {
            time_ns.saturating_add(offset_ns)
        } else {
            time_ns.saturating_sub(offset_ns)
        }
    }
}

/// The value of `if_tsresol`: a negative power of ten, or of two if the highest bit is set.
fn units_per_second(resolution: u8) -> Option<u64> {
    let base: u64 = if resolution & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(u32::from(resolution & 0x7f))
}

fn head(octets: &[u8], length: u32) -> &[u8] {
    usize::try_from(length)
        .ok()
        .and_then(|length| octets.get(..length))
        .unwrap_or(octets)
}
