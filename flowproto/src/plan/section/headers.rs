//! The headers at the beginning of a packet: Ethernet with tags and labels, IP, transport.

use crate::address::Address;
use crate::ip_header::{self, has_ipv4_checksum};
use crate::protocol::{DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};
use crate::record::FlowKey;

/// Maximum number of tags, labels or extension headers in a row.
const MAX_HEADERS: usize = 16;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Octets of an IPv6 header.
const IPV6_HEADER: u64 = 40;
/// Maximum value of the length in an IP header.
const MAX_LENGTH: u64 = 65_535;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The fields of the headers of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) key: FlowKey,
    /// Octets of the IP packet on the wire.
    pub(super) octets: u64,
    pub(super) class_of_service: u8,
    pub(super) tcp_control_bits: u16,
    pub(super) icmp_type_code: u16,
    /// The outermost VLAN tag; 0 if there is none.
    pub(super) vlan_id: u16,
}

/// Reads an Ethernet frame. `frame_octets`: those on the wire, 0 if not known.
pub(super) fn of_frame(frame: &[u8], frame_octets: u64) -> Option<Packet> {
    let (packet, vlan_id) = network(frame, frame_octets, Labels::Read)?;
    let packet_octets = octets_of(packet, frame, frame_octets);
    let packet = of_packet(packet, packet_octets)?;
    Some(Packet { vlan_id, ..packet })
}

/// Whether the MPLS labels of a frame are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Labels {
    Read,
    /// The frame of a pseudowire could repeat them.
    Refused,
}

/// The octets on the wire of `inner`, which is the end of `outer`. 0 if they are not known.
fn octets_of(inner: &[u8], outer: &[u8], outer_octets: u64) -> u64 {
    let before = outer.len().saturating_sub(inner.len());
    outer_octets.saturating_sub(u64::try_from(before).unwrap_or(u64::MAX))
}

/// Returns the IP packet of an Ethernet frame, and its VLAN: that of the outermost tag, in a
/// pseudowire that of its own one.
fn network(frame: &[u8], frame_octets: u64, labels: Labels) -> Option<(&[u8], u16)> {
    let mut vlan_id = 0;
    let mut rest = frame.get(12..)?;
    for _ in 0..MAX_HEADERS {
        let (kind, after) = number(rest)?;
        match kind {
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return Some((after, vlan_id)),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let (tag, after) = number(after)?;
                if vlan_id == 0 {
                    vlan_id = tag & 0x0fff;
                }
                rest = after;
            }
            0x8847 | 0x8848 if labels == Labels::Read => {
                let data = below_labels(after)?;
                let data_octets = octets_of(data, frame, frame_octets);
                let (packet, inner_vlan_id) = of_labels(data, data_octets)?;
                let has_own = inner_vlan_id != 0;
                return Some((packet, if has_own { inner_vlan_id } else { vlan_id }));
            }
            // PPPoE: six octets, then PPP.
            0x8864 => match number(after.get(6..)?)? {
                (0x0021 | 0x0057, after) => return Some((after, vlan_id)),
                _ => return None,
            },
            _ => return None,
        }
    }
    None
}

/// Returns the packet behind MPLS labels, and the VLAN of its pseudowire. Labels do not name the
/// protocol.
///
/// IPv4 is recognized by its version and checksum, an Ethernet pseudowire by the four zero bits of
/// its control word (RFC 4385), or by the EtherType of a frame without a control word (RFC 4448
/// §4.6). The MAC address of such a frame can begin like an IP header: other octets with the
/// version of IP are a frame if its packet is recognized, else a packet if the length in its header
/// is not too large.
fn of_labels(data: &[u8], data_octets: u64) -> Option<(&[u8], u16)> {
    let pseudowire = |frame| network(frame, data_octets, Labels::Refused);
    match data {
        _ if has_ipv4_checksum(data) => Some((data, 0)),
        [first, ..] if matches!(first >> 4, 4 | 6) => {
            let framed = pseudowire(data);
            let framed_if = |is: fn(&[u8], u64) -> bool| {
                framed.filter(|(packet, _)| is(packet, octets_of(packet, data, data_octets)))
            };
            framed_if(ip_header::is_recognized)
                .or_else(|| ip_header::may_begin(data, data_octets).then_some((data, 0)))
                .or_else(|| framed_if(ip_header::may_begin))
        }
        // The first half of a control word is reserved. Few MAC addresses begin like that.
        [0, 0, _, _, frame @ ..] => pseudowire(frame).or_else(|| pseudowire(data)),
        [0..16, _, _, _, frame @ ..] => pseudowire(data).or_else(|| pseudowire(frame)),
        _ => pseudowire(data),
    }
}

/// Returns the octets behind the last label of an MPLS stack.
fn below_labels(mut data: &[u8]) -> Option<&[u8]> {
    for _ in 0..MAX_HEADERS {
        let ([_, _, flags, _], after) = data.split_first_chunk::<4>()?;
        if flags & 1 == 1 {
            return Some(after);
        }
        data = after;
    }
    None
}

/// Reads an IP packet. `packet_octets`: those on the wire, 0 if not known. They count where the
/// header has no length: segmentation offload sets it to 0, and so do jumbograms of IPv6 (RFC
/// 2675).
pub(super) fn of_packet(packet: &[u8], packet_octets: u64) -> Option<Packet> {
    match packet.first()? >> 4 {
        4 => v4(packet, packet_octets),
        6 => v6(packet, packet_octets),
        _ => None,
    }
}

fn v4(packet: &[u8], packet_octets: u64) -> Option<Packet> {
    let (header, _) = packet.split_first_chunk::<20>()?;
    let [
        first,
        class_of_service,
        length_0,
        length_1,
        _,
        _,
        offset_0,
        offset_1,
        _,
        protocol,
        _,
        _,
        addresses @ ..,
    ] = *header;
    let header_octets = usize::from(first & 0x0f).saturating_mul(4);
    let length = u64::from(u16::from_be_bytes([length_0, length_1]));
    let octets = if length == 0 { packet_octets } else { length };
    if header_octets < header.len() || octets < u64::try_from(header_octets).ok()? {
        return None;
    }
    let [a, b, c, d, e, f, g, h] = addresses;
    let address = |octets: [u8; 4]| Address::from_v4_bits(u32::from_be_bytes(octets));
    let is_later = u16::from_be_bytes([offset_0, offset_1]) & 0x1fff != 0;
    let payload = packet.get(header_octets..).filter(|_| !is_later);
    let packet = Packet {
        key: FlowKey {
            source_address: address([a, b, c, d]),
            destination_address: address([e, f, g, h]),
            protocol_identifier: protocol,
            ..FlowKey::default()
        },
        octets,
        class_of_service,
        ..Packet::default()
    };
    Some(packet.with_transport(payload.unwrap_or_default()))
}

fn v6(packet: &[u8], packet_octets: u64) -> Option<Packet> {
    let (header, mut payload) = packet.split_first_chunk::<40>()?;
    let [
        first,
        second,
        _,
        _,
        length_0,
        length_1,
        mut protocol,
        _,
        addresses @ ..,
    ] = *header;
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let address = |octets: &[u8; 16]| Address::from_v6_bits(u128::from_be_bytes(*octets));
    for _ in 0..MAX_HEADERS {
        let [next, length, rest @ ..] = payload else {
            break;
        };
        let length = usize::from(*length);
        let octets = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                length.saturating_add(1).saturating_mul(8)
            }
            AUTHENTICATION => length.saturating_add(2).saturating_mul(4),
            FRAGMENT => 8,
            _ => break,
        };
        // Only the first extension header can have hop-by-hop options: these are the zeros of
        // padding.
        if *next == HOP_BY_HOP {
            break;
        }
        let is_later =
            protocol == FRAGMENT && number(rest).is_some_and(|(offset, _)| offset & 0xfff8 != 0);
        protocol = *next;
        payload = payload
            .get(octets..)
            .filter(|_| !is_later)
            .unwrap_or_default();
    }
    let octets = match u16::from_be_bytes([length_0, length_1]) {
        // A packet without payload can be in a longer frame.
        0 if packet_octets > MAX_LENGTH => packet_octets,
        length => u64::from(length).saturating_add(IPV6_HEADER),
    };
    let packet = Packet {
        key: FlowKey {
            source_address: address(source),
            destination_address: address(destination.first_chunk()?),
            protocol_identifier: protocol,
            ..FlowKey::default()
        },
        octets,
        class_of_service: first << 4 | second >> 4,
        ..Packet::default()
    };
    Some(packet.with_transport(payload))
}

impl Packet {
    /// Adds the fields of a transport header, as far as it is in the section.
    fn with_transport(mut self, header: &[u8]) -> Self {
        let protocol = self.key.protocol_identifier;
        let first = number(header);
        let second = first.and_then(|(_, rest)| number(rest));
        let (Some((first, _)), Some((second, _))) = (first, second) else {
            return self;
        };
        match protocol {
            TCP | UDP | SCTP | DCCP | UDP_LITE => {
                (self.key.source_port, self.key.destination_port) = (first, second);
            }
            ICMP | ICMPV6 => self.icmp_type_code = first,
            _ => {}
        }
        if protocol == TCP
            && let Some((flags, _)) = header.get(12..).and_then(number)
        {
            self.tcp_control_bits = flags & 0x0fff;
        }
        self
    }
}

/// A number of two octets, and the octets behind it.
fn number(data: &[u8]) -> Option<(u16, &[u8])> {
    let (octets, rest) = data.split_first_chunk()?;
    Some((u16::from_be_bytes(*octets), rest))
}
