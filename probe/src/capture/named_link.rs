//! Headers of savefiles that name the link type of the frame behind them.

use super::frame::LinkType;
use super::offline_link::OfflineLink;

/// The named link type, and the frame behind the header. `None` if the header is cut, or if this
/// link type has no such header.
pub(crate) fn named_link(link: OfflineLink, frame: &[u8]) -> Option<(LinkType, &[u8])> {
    let (dlt, rest) = match link {
        OfflineLink::Ppi => ppi(frame)?,
        OfflineLink::Pktap => pktap(frame)?,
        _ => return None,
    };
    Some((LinkType::from_dlt(i32::try_from(dlt).unwrap_or(-1)), rest))
}

/// Version, flags, length of the header, link type.
fn ppi(frame: &[u8]) -> Option<(u32, &[u8])> {
    let [_, _, l0, l1, d0, d1, d2, d3] = *frame.first_chunk()?;
    let rest = frame.get(usize::from(u16::from_le_bytes([l0, l1]))..)?;
    Some((u32::from_le_bytes([d0, d1, d2, d3]), rest))
}

/// Length of the header, type of the record, link type.
fn pktap(frame: &[u8]) -> Option<(u32, &[u8])> {
    let [l0, l1, l2, l3, _, _, _, _, d0, d1, d2, d3] = *frame.first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
    Some((u32::from_le_bytes([d0, d1, d2, d3]), frame.get(length..)?))
}
