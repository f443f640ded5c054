//! Packet reports (RFC 5476): records with the first octets of one selected packet instead of flow
//! keys and counters. Junos inline monitoring and Cisco IOS XR send them.

mod headers;

use self::headers::Packet;
use super::place::FieldPlace;
use crate::field::{FieldSpan, FieldSpecifier};
use crate::record::FlowRecord;

/// 408 `dataLinkFrameType`: Ethernet.
const ETHERNET: u64 = 1;

/// The packet in the records of a template.
#[derive(Debug)]
pub(super) struct PacketSection {
    section: FieldPlace,
    /// The section begins with an Ethernet header.
    is_frame: bool,
    /// 312 `dataLinkFrameSize`, 408 `dataLinkFrameType`, 409 `sectionOffset`, 410
    /// `sectionExportedOctets`: the section without its padding.
    frame_octets: Option<FieldPlace>,
    frame_type: Option<FieldPlace>,
    offset: Option<FieldPlace>,
    exported_octets: Option<FieldPlace>,
}

/// True for 313 `ipHeaderPacketSection` and 315 `dataLinkFrameSection`.
pub(super) const fn is_section(enterprise: u32, id: u16) -> bool {
    enterprise == 0 && matches!(id, 313 | 315)
}

impl PacketSection {
    /// The section in the records of a template. `None` if it has none.
    pub(super) fn of(specifiers: &[FieldSpecifier], spans: &[FieldSpan]) -> Option<Self> {
        let place = |wanted: u16| FieldPlace::of(specifiers, spans, wanted);
        let packet = place(313);
        Some(Self {
            section: packet.or_else(|| place(315))?,
            is_frame: packet.is_none(),
            frame_octets: place(312),
            frame_type: place(408),
            offset: place(409),
            exported_octets: place(410),
        })
    }

    /// Fills the fields that the packet has, and counts one packet with the length in its IP
    /// header. A section without an IP header leaves the record without counters. A packet is not a
    /// connection.
    #[cold]
    pub(super) fn read(&self, octets: &[u8], spans: &[FieldSpan], record: &mut FlowRecord) {
        record.is_continuation = true;
        let number = |place| FieldPlace::number(place, octets, spans);
        let is_readable = number(self.offset).is_none_or(|offset| offset == 0)
            && (!self.is_frame || number(self.frame_type).is_none_or(|kind| kind == ETHERNET));
        let section = self.section.value(octets, spans);
        let exported = number(self.exported_octets).and_then(|octets| usize::try_from(octets).ok());
        let section = exported
            .and_then(|exported| section.get(..exported))
            .unwrap_or(section);
        let frame_octets = number(self.frame_octets).unwrap_or_default();
        let packet = match is_readable {
            false => None,
            true if self.is_frame => headers::of_frame(section, frame_octets),
            true => headers::of_packet(section, frame_octets),
        };
        let Some(packet) = packet else {
            return;
        };
        let Packet {
            key,
            octets,
            class_of_service,
            tcp_control_bits,
            icmp_type_code,
            vlan_id,
        } = packet;
        record.key = key;
        (record.octet_delta_count, record.packet_delta_count) = (octets, 1);
        record.ip_class_of_service = class_of_service;
        record.tcp_control_bits = tcp_control_bits;
        record.icmp_type_code = icmp_type_code;
        if record.vlan_id == 0 {
            record.vlan_id = vlan_id;
        }
    }
}
