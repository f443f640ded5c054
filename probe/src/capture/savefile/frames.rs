//! From packets of a savefile to frames: link type, filter, Observation Point.

use std::collections::BTreeMap;

use kipfix_savefile::Packet;
use tracing::warn;

use super::error::SavefileError;
use crate::capture::bpf::Program;
use crate::capture::frame::{
    CopyDetection, Frame, LinkType, ObservationPoint, cooked_interface, cooked_sender,
};
use crate::capture::libpcap::link_type_name;
use crate::capture::offline_link::OfflineLink;
use crate::capture::wireless;

const LINKTYPE_RAW: u16 = 101;
const LINKTYPE_ATM_CLIP: u16 = 106;

/// Turns packets into frames, and counts those that the filter accepts.
pub(super) struct FrameReader {
    filter: Option<Filter>,
    frames: u64,
    octets: u64,
    /// A link type that is not supported.
    unsupported: Option<u16>,
    any_supported: bool,
}

/// A filter expression, compiled for every link type of the file.
struct Filter {
    expression: String,
    programs: BTreeMap<u16, Program>,
    warned: bool,
}

impl FrameReader {
    pub(super) fn new(filter: Option<&str>) -> Self {
        Self {
            filter: filter.map(|expression| Filter {
                expression: expression.to_owned(),
                programs: BTreeMap::new(),
                warned: false,
            }),
            frames: 0,
            octets: 0,
            unsupported: None,
            any_supported: false,
        }
    }

    /// Checks the only link type of a file before its first frame.
    ///
    /// # Errors
    /// The link type is not supported, or the filter is invalid for it.
    pub(super) fn prepare(&mut self, number: u16) -> Result<(), SavefileError> {
        if LinkType::from_dlt(number.into()) == LinkType::Unsupported {
            return Err(unsupported(number));
        }
        if let Some(filter) = &mut self.filter {
            filter.program(number)?;
        }
        Ok(())
    }

    /// Hands out a packet of a link type if the filter accepts it. `interfaces` is the number of
    /// interfaces that the file has packets of.
    ///
    /// # Errors
    /// The filter is invalid for the link type.
    #[inline(always)]
    pub(super) fn frame(
        &mut self,
        packet: &Packet<'_>,
        number: u16,
        interfaces: usize,
        each: &mut impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> Result<(), SavefileError> {
        let link_type = LinkType::from_dlt(number.into());
        if link_type == LinkType::Unsupported {
            self.unsupported = Some(number);
        } else {
            self.any_supported = true;
            if let Some(filter) = &mut self.filter
                && !filter.accepts(packet, number, link_type)?
            {
                return Ok(());
            }
        }
        let frame = Frame {
            captured: packet.octets,
            wire_octets: packet.wire_octets.max(length(packet.octets)),
            is_wire_length_lost: packet.is_wire_length_lost,
            link_type,
            time_ns: packet.time_ns,
        };
        let point = point(packet, link_type, interfaces);
        if let LinkType::Offline(link) = link_type
            && self.split(link, &frame, point, each)
        {
            return Ok(());
        }
        self.frames += 1;
        self.octets += u64::from(frame.wire_octets);
        each(&frame, point);
        Ok(())
    }

    /// Hands out the payloads of an A-MSDU, and a frame without captured octets if any of them
    /// cannot be read. False for other frames.
    #[cold]
    fn split(
        &mut self,
        link: OfflineLink,
        frame: &Frame<'_>,
        point: ObservationPoint,
        each: &mut impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> bool {
        let Some(mut subframes) = wireless::aggregate(link, frame) else {
            return false;
        };
        let frames = self.frames;
        let mut payload = |captured, wire_octets| {
            self.frames += 1;
            self.octets += u64::from(wire_octets);
            let frame = Frame {
                captured,
                wire_octets,
                link_type: LinkType::Offline(OfflineLink::LLC),
                ..*frame
            };
            each(&frame, point);
        };
        for subframe in subframes.by_ref() {
            payload(subframe.captured, subframe.wire_octets);
        }
        let lost_octets = subframes.lost_octets();
        if lost_octets > 0 {
            payload(&[], lost_octets);
        }
        // An A-MSDU that is cut in its first header is handed out as it is.
        self.frames > frames
    }

    /// Takes the number of frames and of their octets on the wire since the last call.
    pub(super) const fn take_counts(&mut self) -> (u64, u64) {
        (
            std::mem::replace(&mut self.frames, 0),
            std::mem::replace(&mut self.octets, 0),
        )
    }

    /// Checks, at the end of the file, that there was a supported link type.
    pub(super) fn finish(&self) -> Result<(), SavefileError> {
        match self.unsupported {
            Some(link_type) if !self.any_supported => Err(unsupported(link_type)),
            Some(link_type) => {
                let link_type = link_type_name(pcap::Linktype(link_type.into()));
                warn!(link_type, "the file has frames of an unsupported link type");
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Filter {
    fn accepts(
        &mut self,
        packet: &Packet<'_>,
        number: u16,
        link_type: LinkType,
    ) -> Result<bool, SavefileError> {
        let is_tagged = link_type == LinkType::Ethernet
            && matches!(
                packet.octets.get(12..14),
                Some([0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00])
            );
        if is_tagged && !self.warned {
            self.warned = true;
            warn!(
                filter = self.expression,
                "the file has VLAN-tagged frames, which the filter matches only after the keyword \
                 vlan; in live capture it matches them without"
            );
        }
        // libpcap expects LLC in packets of Classical IP over ATM.
        let has_llc = packet.octets.starts_with(&[0xaa, 0xaa, 0x03]);
        let number = match number {
            LINKTYPE_ATM_CLIP if !has_llc => LINKTYPE_RAW,
            number => number,
        };
        let program = self.program(number)?;
        Ok(program.accepts(packet.octets, packet.wire_octets))
    }

    fn program(&mut self, number: u16) -> Result<&Program, SavefileError> {
        use std::collections::btree_map::Entry;
        match self.programs.entry(number) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let dlt = dlt(number);
                let program = Program::compile(&self.expression, dlt).map_err(|message| {
                    if Program::compile("ip", dlt).is_err() {
                        let name = link_type_name(pcap::Linktype(number.into()));
                        return SavefileError::UnsupportedFilter(name);
                    }
                    SavefileError::InvalidFilter {
                        filter: self.expression.clone(),
                        message,
                    }
                })?;
                Ok(entry.insert(program))
            }
        }
    }
}

/// The `DLT_…` number of libpcap for a link type of a savefile.
fn dlt(number: u16) -> i32 {
    match number {
        // ATM of RFC 2684.
        100 => 11,
        // Raw IP, also by its number on OpenBSD.
        LINKTYPE_RAW | 14 => 12,
        LINKTYPE_ATM_CLIP => 19,
        number => number.into(),
    }
}

/// Where a packet was observed. Cooked frames have it in their header.
#[inline]
fn point(packet: &Packet<'_>, link_type: LinkType, interfaces: usize) -> ObservationPoint {
    let mut point = ObservationPoint::default();
    match link_type {
        LinkType::LinuxSll => {
            point.egress = link_type.is_outgoing(packet.octets);
            point.interface = cooked_sender(packet.octets).unwrap_or_default();
            point.copies = CopyDetection::ByTime;
        }
        LinkType::LinuxSll2 => {
            point.egress = link_type.is_outgoing(packet.octets);
            point.interface = cooked_interface(packet.octets).unwrap_or_default();
            point.copies = CopyDetection::ByInterface;
        }
        _ if interfaces > 1 => {
            point.interface = u32::try_from(packet.interface).unwrap_or(u32::MAX);
            point.copies = CopyDetection::ByInterface;
        }
        _ => {}
    }
    point
}

fn unsupported(link_type: u16) -> SavefileError {
    SavefileError::UnsupportedLinkType(link_type_name(pcap::Linktype(link_type.into())))
}

fn length(octets: &[u8]) -> u32 {
    u32::try_from(octets.len()).unwrap_or(u32::MAX)
}
