//! pcapng captures (draft-ietf-opsawg-pcapng): blocks, in sections of either byte order.

use std::io::Read;

use super::copies;
use super::octets::{fill, header, to_u16, to_u32, u32s};
use super::{Frame, SavefileError};

/// Maximum length of a block.
const MAX_BLOCK_OCTETS: u32 = 16 << 20;
/// Maximum number of interfaces of one section.
const MAX_INTERFACES: usize = 65_536;

// Block types (§4).
pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
pub(super) const ENHANCED_PACKET: u32 = 6;
/// Options of an interface description: resolution of its timestamps, and an offset.
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// The current section.
#[derive(Debug, Default)]
pub(super) struct PcapNg {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Time of the latest packet, for packets without one.
    last_time_milliseconds: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link_type: u32,
    /// Snap length, octets; 0 is unlimited.
    snaplen: u32,
    /// Units per second.
    resolution: u64,
    /// Seconds to add to its timestamps.
    offset_seconds: i64,
}

impl PcapNg {
    /// Reads the next frame into `octets`; `None` at the end.
    pub(super) fn next(
        &mut self,
        input: &mut impl Read,
        octets: &mut Vec<u8>,
    ) -> Result<Option<Frame>, SavefileError> {
        loop {
            let Some(kind) = read_block(input, &mut self.big_endian, octets)? else {
                return Ok(None);
            };
            match kind {
                SECTION_HEADER => self.interfaces.clear(),
                INTERFACE_DESCRIPTION if self.interfaces.len() >= MAX_INTERFACES => {
                    return Err(SavefileError::Corrupt("too many interfaces"));
                }
                INTERFACE_DESCRIPTION => {
                    self.interfaces.push(interface(octets, self.big_endian)?);
                }
                ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET => {
                    let mut frame = packet(kind, octets, self.big_endian, &self.interfaces)?;
                    if kind == SIMPLE_PACKET {
                        frame.time_milliseconds = self.last_time_milliseconds;
                    }
                    self.last_time_milliseconds = frame.time_milliseconds;
                    return Ok(Some(frame));
                }
                _ => {}
            }
        }
    }
}

/// Reads the body of a block into `body`. Returns its type, or `None` at the end.
fn read_block(
    input: &mut impl Read,
    big_endian: &mut bool,
    body: &mut Vec<u8>,
) -> Result<Option<u32>, SavefileError> {
    const WHAT: &str = "a block";
    let Some(header) = header::<8>(input, WHAT)? else {
        return Ok(None);
    };
    let [kind, mut total] = u32s(&header, *big_endian);
    body.clear();
    if kind == SECTION_HEADER {
        // The type is the same in both byte orders. The magic number after the length has the order.
        let mut magic = [0; 4];
        fill(input, &mut magic, WHAT)?;
        *big_endian = match magic {
            [0x1a, 0x2b, 0x3c, 0x4d] => true,
            [0x4d, 0x3c, 0x2b, 0x1a] => false,
            _ => return Err(SavefileError::Corrupt("section without a byte order")),
        };
        [_, total] = u32s(&header, *big_endian);
        body.extend_from_slice(&magic);
    }
    let read = u32::try_from(body.len()).unwrap_or(0);
    // Type, length, body, and the length again.
    let rest = total
        .checked_sub(12 + read)
        .filter(|rest| *rest <= MAX_BLOCK_OCTETS);
    let rest = rest.ok_or(SavefileError::Corrupt("invalid block length"))?;
    // Blocks are padded to four octets, even if the length does not say so.
    let padded = usize::try_from(rest.next_multiple_of(4)).unwrap_or(0);
    let begin = body.len();
    body.resize(begin.saturating_add(padded), 0);
    fill(input, body.get_mut(begin..).unwrap_or_default(), WHAT)?;
    fill(input, &mut [0; 4], WHAT)?;
    Ok(Some(kind))
}

fn interface(body: &[u8], big_endian: bool) -> Result<Interface, SavefileError> {
    let ([l0, l1, _, _, s0, s1, s2, s3], mut options) = body
        .split_first_chunk::<8>()
        .ok_or(SavefileError::Corrupt("interface description too short"))?;
    let (mut resolution, mut offset_seconds) = (1_000_000, 0);
    while let Some(([c0, c1, n0, n1], rest)) = options.split_first_chunk::<4>() {
        let length = usize::from(to_u16([*n0, *n1], big_endian));
        if to_u16([*c0, *c1], big_endian) == IF_TSRESOL
            && let Some(unit) = rest.first()
        {
            // A power of ten, or of two if the highest bit is set.
            let power = u32::from(unit & 0x7f);
            let units = if unit & 0x80 == 0 { 10_u64 } else { 2 }.checked_pow(power);
            resolution = units.ok_or(SavefileError::Corrupt("invalid time resolution"))?;
        }
        if to_u16([*c0, *c1], big_endian) == IF_TSOFFSET
            && let Some(octets) = rest.first_chunk::<8>()
        {
            offset_seconds = if big_endian {
                i64::from_be_bytes(*octets)
            } else {
                i64::from_le_bytes(*octets)
            };
        }
        options = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(Interface {
        link_type: to_u16([*l0, *l1], big_endian).into(),
        snaplen: to_u32([*s0, *s1, *s2, *s3], big_endian),
        resolution,
        offset_seconds,
    })
}

/// Reduces `body` to the frame.
fn packet(
    kind: u32,
    body: &mut Vec<u8>,
    big_endian: bool,
    interfaces: &[Interface],
) -> Result<Frame, SavefileError> {
    const SHORT: SavefileError = SavefileError::Corrupt("packet block too short");
    let (header, at, kept, length, time) = if kind == SIMPLE_PACKET {
        let [length] = u32s(body.first_chunk::<4>().ok_or(SHORT)?, big_endian);
        (4, 0, length, length, 0)
    } else {
        let fields = body.first_chunk::<20>().ok_or(SHORT)?;
        let [interface, high, low, kept, length] = u32s(fields, big_endian);
        // The obsolete block has a drop count in the other half.
        let at = match (kind, big_endian) {
            (OBSOLETE_PACKET, true) => interface >> 16,
            (OBSOLETE_PACKET, false) => interface & 0xffff,
            _ => interface,
        };
        (20, at, kept, length, u64::from(high) << 32 | u64::from(low))
    };
    let interface = usize::try_from(at).ok().and_then(|at| interfaces.get(at));
    let interface = interface.ok_or(SavefileError::Corrupt("packet of an unknown interface"))?;
    let kept = match (kind, interface.snaplen) {
        (SIMPLE_PACKET, snaplen) if snaplen > 0 => kept.min(snaplen),
        _ => kept,
    };
    let end = usize::try_from(kept)
        .unwrap_or(usize::MAX)
        .saturating_add(header);
    if end > body.len() {
        return Err(SHORT);
    }
    body.truncate(end);
    body.drain(..header);
    let milliseconds = u128::from(time) * 1000 / u128::from(interface.resolution.max(1));
    let milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
    let offset = interface.offset_seconds.saturating_mul(1000);
    Ok(Frame {
        link_type: interface.link_type,
        truncated: kept < length,
        interface: copies::Interface::Number(at.into()),
        time_milliseconds: milliseconds.saturating_add_signed(offset),
    })
}
