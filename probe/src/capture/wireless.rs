//! IEEE 802.11 frames of captures in monitor mode, up to the payload of data frames.

use super::frame::{Frame, LinkType};
use super::named_link::named_link;
use super::offline_link::{OfflineLink, WirelessHeader};

/// The frame check sequence was invalid (radiotap "Flags").
const BAD_CHECK_SEQUENCE: u8 = 0x40;
/// The header is padded to a multiple of four octets (radiotap "Flags").
const HEADER_PADDING: u8 = 0x20;
/// Octets of the header of Prism cards.
const PRISM_HEADER: usize = 144;
/// Octets of the header of a subframe: addresses and length.
const SUBFRAME_HEADER: u32 = 14;

// Frame control, second octet (IEEE 802.11-2020 §9.2.4.1).
const TO_AND_FROM_DISTRIBUTION: u8 = 0x03;
const MORE_FRAGMENTS: u8 = 0x04;
const PROTECTED: u8 = 0x40;
const HAS_HT_CONTROL: u8 = 0x80;
/// The payload is an A-MSDU (QoS control, first octet).
const IS_AGGREGATE: u8 = 0x80;

/// What a frame contains.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// LLC and a packet.
    Payload(&'a [u8]),
    /// An A-MSDU, from its first subframe on.
    Aggregate(&'a [u8]),
    /// An encrypted payload.
    Encrypted,
    /// The frame was received with an error.
    Corrupt,
    /// It is a management or control frame, has no payload, or a part of one.
    NoPacket,
    /// It ends within a header.
    Truncated,
}

/// The payloads of an A-MSDU (IEEE 802.11-2020 §9.3.2.2): each has a header with the addresses and
/// its length, and is padded to a multiple of four octets.
///
/// They end before a subframe whose header is cut, or whose length is 0 or exceeds the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subframes<'a> {
    captured: &'a [u8],
    /// Octets on the wire, from `captured` on. `None` if the writer of the savefile has lost them.
    wire_octets: Option<u32>,
}

/// A payload of an A-MSDU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subframe<'a> {
    /// LLC and a packet, as far as they were captured.
    pub(super) captured: &'a [u8],
    /// Octets on the wire.
    pub(super) wire_octets: u32,
}

impl<'a> Iterator for Subframes<'a> {
    type Item = Subframe<'a>;

    fn next(&mut self) -> Option<Subframe<'a>> {
        let (header, rest) = self.captured.split_first_chunk::<14>()?;
        let length = u16::from_be_bytes([header[12], header[13]]);
        let octets = u32::from(length).saturating_add(SUBFRAME_HEADER);
        if length == 0 || self.wire_octets.is_some_and(|wire| octets > wire) {
            return None;
        }
        let padded = octets.next_multiple_of(4);
        let after = usize::try_from(padded).ok();
        let after = after.and_then(|padded| self.captured.get(padded..));
        self.captured = after.unwrap_or_default();
        self.wire_octets = self.wire_octets.map(|wire| wire.saturating_sub(padded));
        Some(Subframe {
            captured: rest.get(..length.into()).unwrap_or(rest),
            wire_octets: length.into(),
        })
    }
}

impl Subframes<'_> {
    /// Octets on the wire of subframes that were not handed out; 0 if a check sequence can be all
    /// that follows.
    pub(super) fn lost_octets(&self) -> u32 {
        let captured = u32::try_from(self.captured.len()).unwrap_or(u32::MAX);
        let octets = self.wire_octets.unwrap_or(captured);
        if octets < SUBFRAME_HEADER { 0 } else { octets }
    }
}

/// The payloads of a frame that is an A-MSDU.
pub(super) fn aggregate<'a>(link: OfflineLink, frame: &Frame<'a>) -> Option<Subframes<'a>> {
    let (header, captured) = match link {
        OfflineLink::Wireless(header) => (header, frame.captured),
        _ => match named_link(link, frame.captured)? {
            (LinkType::Offline(OfflineLink::Wireless(header)), captured) => (header, captured),
            _ => return None,
        },
    };
    let Content::Aggregate(captured) = content(header, captured) else {
        return None;
    };
    let before = frame.captured.len().saturating_sub(captured.len());
    let before = u32::try_from(before).unwrap_or(u32::MAX);
    Some(Subframes {
        captured,
        wire_octets: (!frame.is_wire_length_lost).then(|| frame.wire_octets.saturating_sub(before)),
    })
}

/// The content of a frame, behind its capture header.
pub(crate) fn content(header: WirelessHeader, frame: &[u8]) -> Content<'_> {
    let (frame, flags) = match header {
        WirelessHeader::None => (Some(frame), 0),
        WirelessHeader::Prism => (prism(frame), 0),
        WirelessHeader::Avs => (avs(frame), 0),
        WirelessHeader::Radiotap => match radiotap(frame) {
            Some((frame, flags)) => (Some(frame), flags),
            None => (None, 0),
        },
    };
    if flags & BAD_CHECK_SEQUENCE != 0 {
        return Content::Corrupt;
    }
    let content = frame.and_then(|frame| content_of(frame, flags & HEADER_PADDING != 0));
    content.unwrap_or(Content::Truncated)
}

fn prism(frame: &[u8]) -> Option<&[u8]> {
    // Some drivers have the header of AVS under the link type of Prism.
    match frame {
        [0x80, 0x21, 0x10, ..] => avs(frame),
        _ => frame.get(PRISM_HEADER..),
    }
}

fn avs(frame: &[u8]) -> Option<&[u8]> {
    let length = frame.get(4..)?.first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    frame.get(length..)
}

/// The frame behind a radiotap header, and the field "Flags".
fn radiotap(frame: &[u8]) -> Option<(&[u8], u8)> {
    /// Another word of present bits follows.
    const MORE: u8 = 0x80;
    let &[_, _, l0, l1, present, ..] = frame.first_chunk::<8>()?;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let (header, rest) = frame.split_at_checked(length)?;
    let mut fields = 8_usize;
    while header.get(fields.checked_sub(1)?)? & MORE != 0 {
        fields = fields.checked_add(4)?;
    }
    let flags = match present & 3 {
        2 => fields,
        // A timestamp of eight octets, aligned to these.
        3 => fields.next_multiple_of(8).checked_add(8)?,
        _ => return Some((rest, 0)),
    };
    Some((rest, *header.get(flags)?))
}

/// Reads a frame (IEEE 802.11-2020 §9.2.3). `None` if it ends within its header.
fn content_of(frame: &[u8], is_padded: bool) -> Option<Content<'_>> {
    let &[kind, flags, ..] = frame.first_chunk::<2>()?;
    // Version 0, data frames, of a subtype with a payload.
    if kind & 0x0f != 0x08 || kind & 0x40 != 0 {
        return Some(Content::NoPacket);
    }
    if flags & PROTECTED != 0 {
        return Some(Content::Encrypted);
    }
    let has_quality_of_service = kind & 0x80 != 0;
    let fragment_number = frame.get(22)? & 0x0f;
    if flags & MORE_FRAGMENTS != 0 || fragment_number != 0 {
        return Some(Content::NoPacket);
    }
    let mut length = 24_usize;
    if flags & TO_AND_FROM_DISTRIBUTION == TO_AND_FROM_DISTRIBUTION {
        length = length.checked_add(6)?;
    }
    let mut is_aggregate = false;
    if has_quality_of_service {
        is_aggregate = frame.get(length)? & IS_AGGREGATE != 0;
        length = length.checked_add(2)?;
        if flags & HAS_HT_CONTROL != 0 {
            length = length.checked_add(4)?;
        }
    }
    if is_padded {
        length = length.next_multiple_of(4);
    }
    let payload = frame.get(length..)?;
    Some(if is_aggregate {
        Content::Aggregate(payload)
    } else {
        Content::Payload(payload)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radiotap_flags_follow_all_words_of_present_bits() {
        for (header, wanted) in [
            (&[0, 0, 8, 0, 0, 0, 0, 0][..], Some(0)),
            (&[0, 0, 9, 0, 2, 0, 0, 0, 0x50], Some(0x50)),
            (&[0, 0, 13, 0, 2, 0, 0, 0x80, 0, 0, 0, 0, 0x10], Some(0x10)),
            // A timestamp at 16, behind two words.
            (
                &[
                    0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
                    0x60,
                ],
                Some(0x60),
            ),
            // The flags, the words and the header are cut.
            (&[0, 0, 8, 0, 2, 0, 0, 0], None),
            (&[0, 0, 8, 0, 2, 0, 0, 0x80], None),
            (&[0, 0, 9, 0, 0, 0, 0, 0], None),
            (&[0, 0, 8, 0], None),
        ] {
            let found = radiotap(header);
            assert_eq!(found.map(|(_, flags)| flags), wanted, "{header:02x?}");
        }
    }

    #[test]
    fn subframes_end_with_the_octets_or_with_an_empty_one() {
        let subframe = |octets: &[u8]| {
            let mut subframe = vec![0; 13];
            subframe.push(u8::try_from(octets.len()).unwrap());
            subframe.extend(octets);
            subframe
        };
        let lengths = |octets: &[u8]| -> Vec<(usize, u32)> {
            let subframes = Subframes {
                captured: octets,
                wire_octets: None,
            };
            subframes
                .map(|subframe| (subframe.captured.len(), subframe.wire_octets))
                .collect()
        };
        let padded = [&subframe(&[1; 20])[..], &[0; 2]].concat();
        let two = [&padded[..], &subframe(&[2; 9])].concat();
        assert_eq!(lengths(&two), [(20, 20), (9, 9)]);
        // A frame check sequence follows, or the snap length has cut the second one.
        assert_eq!(lengths(&[&two[..], &[7; 4]].concat()), [(20, 20), (9, 9)]);
        assert_eq!(lengths(&two[..two.len() - 5]), [(20, 20), (4, 9)]);
        assert_eq!(lengths(&[&padded[..], &[0; 60]].concat()), [(20, 20)]);
        assert_eq!(lengths(&[]), []);
    }
}
