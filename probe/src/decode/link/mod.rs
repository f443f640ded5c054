//! The link layer: from the first octet of a frame to its first IP header. Reads Ethernet II, 802.3
//! with LLC/SNAP, any stack of 802.1Q and 802.1ad tags, MPLS (RFC 3032), PPPoE sessions (RFC 2516),
//! PPP (RFC 1661), Linux cooked captures v1 and v2, BSD loopback and raw IP; in `offline`, those of
//! savefiles from other systems.

mod offline;

use flowproto::ip_header;

use super::packet::Undecodable;
use crate::capture::frame::LinkType;

/// Maximum number of tags, labels or encapsulations in a row.
const MAX_TAGS: usize = 16;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(super) const ETHERTYPE_NSH: u16 = 0x894f;

/// The IP version that the link layer announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
    /// The first four bits of the packet decide.
    Either,
}

/// The network layer of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network<'a> {
    /// From the IP header to the end of the captured octets, padding included.
    pub(super) packet: &'a [u8],
    pub(super) version: Version,
    /// The outermost VLAN tag; 0 if there is none.
    pub(super) vlan_id: u16,
}

impl<'a> Network<'a> {
    pub(super) const fn new(packet: &'a [u8], version: Version, vlan_id: u16) -> Self {
        Self {
            packet,
            version,
            vlan_id,
        }
    }
}

/// Finds the first IP header of a frame.
#[inline(always)]
pub(super) fn network_layer(link_type: LinkType, frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    match link_type {
        LinkType::Ethernet => ethernet(frame),
        LinkType::LinuxSll => {
            let (header, rest) = split::<16>(frame)?;
            ethertype(u16::from_be_bytes([header[14], header[15]]), rest)
        }
        LinkType::LinuxSll2 => {
            let (header, rest) = split::<20>(frame)?;
            ethertype(u16::from_be_bytes([header[0], header[1]]), rest)
        }
        LinkType::Raw => Ok(Network::new(frame, Version::Either, 0)),
        LinkType::Ipv4 => Ok(Network::new(frame, Version::V4, 0)),
        LinkType::Ipv6 => Ok(Network::new(frame, Version::V6, 0)),
        LinkType::Loopback => loopback(frame),
        LinkType::Ppp => match frame {
            [0x0f | 0x8f, ..] => cisco_hdlc(frame),
            _ => ppp(frame),
        },
        LinkType::CiscoHdlc => cisco_hdlc(frame),
        LinkType::PppEther => pppoe(frame, 0),
        LinkType::Offline(link) => offline::network_layer(link, frame),
        LinkType::Unsupported => Err(Undecodable::UnsupportedLink),
    }
}

/// Reads an Ethernet frame, from its destination address on.
#[inline(always)]
pub(super) fn ethernet(frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    let (header, rest) = split::<14>(frame)?;
    ethertype(u16::from_be_bytes([header[12], header[13]]), rest)
}

/// Reads what follows an EtherType (IEEE 802 numbers). Values up to 1500 are a length, followed by
/// LLC. Cooked captures set 4 there.
#[inline(always)]
pub(super) fn ethertype(mut kind: u16, mut data: &[u8]) -> Result<Network<'_>, Undecodable> {
    let mut vlan_id = 0;
    for _ in 0..MAX_TAGS {
        match kind {
            ETHERTYPE_IPV4 => return Ok(Network::new(data, Version::V4, vlan_id)),
            ETHERTYPE_IPV6 => return Ok(Network::new(data, Version::V6, vlan_id)),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let (tag, rest) = split::<4>(data)?;
                if vlan_id == 0 {
                    vlan_id = u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff;
                }
                kind = u16::from_be_bytes([tag[2], tag[3]]);
                data = rest;
            }
            0x8847 | 0x8848 => return mpls(data, vlan_id),
            0x8864 => return pppoe(data, vlan_id),
            0x0806 | 0x8035 => return Err(Undecodable::Arp),
            ETHERTYPE_NSH => return service_header(data, vlan_id),
            0x22f3 | 0x8903 | 0x8909 | 0x88e5 | 0x88e7 | 0x8926 | 0x892f | 0x893f | 0xd28b
            | 0xf1c1 => {
                let octets = fabric_tag_octets(kind, data)?;
                let (tag, rest) = data
                    .split_at_checked(octets)
                    .ok_or(Undecodable::TruncatedLink)?;
                let ethertype = tag.last_chunk().ok_or(Undecodable::TruncatedLink)?;
                kind = u16::from_be_bytes(*ethertype);
                data = rest;
            }
            0..=1500 => {
                let (header, rest) = split::<3>(data)?;
                match *header {
                    [0xaa, 0xaa, 0x03] => {
                        // SNAP: an organization, 0 for EtherTypes (RFC 1042), 00-00-f8 for bridges.
                        let (snap, rest) = split::<5>(rest)?;
                        if !matches!(snap, [0, 0, 0 | 0xf8, ..]) {
                            return Err(Undecodable::NotIp);
                        }
                        kind = u16::from_be_bytes([snap[3], snap[4]]);
                        if kind <= 1500 {
                            return Err(Undecodable::NotIp);
                        }
                        data = rest;
                    }
                    [0x06, 0x06, 0x03] => return Ok(Network::new(rest, Version::V4, vlan_id)),
                    _ => return Err(Undecodable::NotIp),
                }
            }
            _ => return Err(Undecodable::NotIp),
        }
    }
    Err(Undecodable::TooDeep)
}

/// The octets of a tag behind its EtherType, with the EtherType of what follows.
///
/// # Errors
/// What follows is encrypted, or the version is unknown.
#[cold]
fn fabric_tag_octets(kind: u16, tag: &[u8]) -> Result<usize, Undecodable> {
    /// MACsec: the frame is encrypted or changed (IEEE 802.1AE §9.5).
    const SECRET: u8 = 0x0c;
    const EXPLICIT_CHANNEL: u8 = 0x20;
    match (kind, tag) {
        // Cisco metadata, version 1 with one option.
        (0x8909, [1, 1, ..]) => Ok(8),
        (0x88e5, [control, ..]) if control & SECRET != 0 => Err(Undecodable::Encrypted),
        (0x88e5, [control, ..]) if control & EXPLICIT_CHANNEL != 0 => Ok(16),
        (0x88e5, [_, ..]) => Ok(8),
        // The instance tag of provider backbone bridges, with the MAC addresses of the customer.
        (0x88e7, _) => Ok(18),
        // The headers of TRILL (RFC 6325 §3) and FabricPath, with the MAC addresses of the inner
        // frame.
        (0x22f3, [high, low, ..]) => {
            let options = usize::from(high & 0x07) << 2 | usize::from(low >> 6);
            Ok(options.saturating_mul(4).saturating_add(20))
        }
        (0x8903, _) => Ok(16),
        // A timestamp of Arista switches, 64 or 48 bits.
        (0xd28b, [0, 1, _, 0x10..=0x1f, ..]) => Ok(14),
        (0xd28b, [0, 1, _, 0x20..=0x2f, ..]) => Ok(12),
        // VN-Tag, HSR, R-Tag.
        (0x8926 | 0x892f | 0xf1c1, _) => Ok(6),
        // E-Tag.
        (0x893f, _) => Ok(8),
        _ => Err(Undecodable::NotIp),
    }
}

/// Reads a network service header (RFC 8300 §2.2).
#[cold]
fn service_header(data: &[u8], vlan_id: u16) -> Result<Network<'_>, Undecodable> {
    let (header, _) = split::<4>(data)?;
    let octets = usize::from(header[1] & 0x3f).saturating_mul(4);
    let rest = data.get(octets..).ok_or(Undecodable::TruncatedLink)?;
    let network = match header[3] {
        1 => Network::new(rest, Version::V4, vlan_id),
        2 => Network::new(rest, Version::V6, vlan_id),
        3 => pseudowire(rest, vlan_id)?,
        5 => mpls(rest, vlan_id)?,
        _ => return Err(Undecodable::NotIp),
    };
    Ok(network)
}

/// Reads MPLS labels. They do not name the payload: IPv4 is recognized by its version and checksum,
/// an Ethernet pseudowire by the four zero bits of its control word (RFC 4385), or by the EtherType
/// of a frame without a control word (RFC 4448 §4.6). The MAC address of such a frame can begin
/// like an IP header: other octets with the version of IP are a frame if that has an IP or ARP
/// packet.
fn mpls(mut data: &[u8], vlan_id: u16) -> Result<Network<'_>, Undecodable> {
    for _ in 0..MAX_TAGS {
        let (label, rest) = split::<4>(data)?;
        data = rest;
        if label[2] & 1 == 1 {
            return match data.first().map(|octet| octet >> 4) {
                Some(4) if ip_header::has_ipv4_checksum(data) => {
                    Ok(Network::new(data, Version::V4, vlan_id))
                }
                Some(4) => packet_or_frame(data, Version::V4, vlan_id),
                Some(6) => packet_or_frame(data, Version::V6, vlan_id),
                Some(0) => {
                    let (control_word, frame) = split::<4>(data)?;
                    // Its first half is reserved. Few MAC addresses begin like that.
                    let (likely, other) = match control_word {
                        [0, 0, ..] => (frame, data),
                        _ => (data, frame),
                    };
                    pseudowire(likely, vlan_id)
                        .or_else(|fault| pseudowire(other, vlan_id).map_err(|_| fault))
                }
                Some(_) => pseudowire(data, vlan_id),
                None => Err(Undecodable::TruncatedLink),
            };
        }
    }
    Err(Undecodable::TooDeep)
}

/// Reads what begins like an IP header without a correct checksum behind MPLS labels.
fn packet_or_frame(
    data: &[u8],
    version: Version,
    vlan_id: u16,
) -> Result<Network<'_>, Undecodable> {
    let framed = pseudowire(data, vlan_id);
    let is_frame = match &framed {
        Ok(network) if ip_header::has_ipv4_checksum(network.packet) => true,
        // Nearly all lengths are possible for IPv6, but that of the packet is a coincidence.
        Ok(network) if version == Version::V6 => {
            ip_header::may_begin(network.packet, 0) && !ip_header::is_whole_ipv6(data)
        }
        Ok(network) if ip_header::is_recognized(network.packet, 0) => true,
        Ok(network) => ip_header::may_begin(network.packet, 0) && !ip_header::may_begin(data, 0),
        // Ethernet and IPv4, as in every ARP packet of a LAN.
        Err(Undecodable::Arp) => data.get(14..18) == Some(&[0, 1, 8, 0]),
        Err(_) => false,
    };
    if is_frame {
        framed
    } else {
        Ok(Network::new(data, version, vlan_id))
    }
}

/// Reads the Ethernet frame of a pseudowire, which may have tags, but no labels of its own.
fn pseudowire(frame: &[u8], outer_vlan_id: u16) -> Result<Network<'_>, Undecodable> {
    let (header, mut data) = split::<14>(frame)?;
    let mut kind = u16::from_be_bytes([header[12], header[13]]);
    let mut inner_vlan_id = None;
    for _ in 0..MAX_TAGS {
        let vlan_id = inner_vlan_id.unwrap_or(outer_vlan_id);
        match kind {
            ETHERTYPE_IPV4 => return Ok(Network::new(data, Version::V4, vlan_id)),
            ETHERTYPE_IPV6 => return Ok(Network::new(data, Version::V6, vlan_id)),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let (tag, rest) = split::<4>(data)?;
                let tag_id = u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff;
                inner_vlan_id.get_or_insert(tag_id);
                kind = u16::from_be_bytes([tag[2], tag[3]]);
                data = rest;
            }
            0x0806 | 0x8035 => return Err(Undecodable::Arp),
            0x8864 => {
                let (protocol, packet) = ppp_protocol(pppoe_payload(data)?)?;
                return ip_of_ppp(protocol, packet, vlan_id);
            }
            _ => return Err(Undecodable::NotIp),
        }
    }
    Err(Undecodable::TooDeep)
}

/// Reads a PPPoE session packet.
fn pppoe(data: &[u8], vlan_id: u16) -> Result<Network<'_>, Undecodable> {
    ppp(pppoe_payload(data)?).map(|network| Network { vlan_id, ..network })
}

/// The PPP frame of a PPPoE session packet: version 1, type 1, code 0.
fn pppoe_payload(data: &[u8]) -> Result<&[u8], Undecodable> {
    let (header, rest) = split::<6>(data)?;
    if header[0] != 0x11 || header[1] != 0 {
        return Err(Undecodable::NotIp);
    }
    Ok(rest)
}

/// Reads a PPP frame.
pub(super) fn ppp(data: &[u8]) -> Result<Network<'_>, Undecodable> {
    match ppp_protocol(data)? {
        (0x0281 | 0x0283, rest) => mpls(rest, 0),
        (protocol, rest) => ip_of_ppp(protocol, rest, 0),
    }
}

/// The protocol of a PPP frame, and what follows. Address and control octets may be omitted, the
/// protocol may be compressed to one octet.
fn ppp_protocol(data: &[u8]) -> Result<(u16, &[u8]), Undecodable> {
    let data = data.strip_prefix(&[0xff, 0x03]).unwrap_or(data);
    match *data {
        [low, ref rest @ ..] if low & 1 == 1 => Ok((u16::from(low), rest)),
        [high, low, ref rest @ ..] => Ok((u16::from_be_bytes([high, low]), rest)),
        _ => Err(Undecodable::TruncatedLink),
    }
}

/// The IP packet of a PPP protocol. Labels inside of a pseudowire are not read: a frame could
/// repeat them, and each pseudowire has two possible beginnings.
fn ip_of_ppp(protocol: u16, packet: &[u8], vlan_id: u16) -> Result<Network<'_>, Undecodable> {
    match protocol {
        0x0021 => Ok(Network::new(packet, Version::V4, vlan_id)),
        0x0057 => Ok(Network::new(packet, Version::V6, vlan_id)),
        _ => Err(Undecodable::NotIp),
    }
}

/// Reads a Cisco HDLC frame: address, control, EtherType (RFC 1547 §4.3.1).
fn cisco_hdlc(data: &[u8]) -> Result<Network<'_>, Undecodable> {
    let (header, rest) = split::<4>(data)?;
    ethertype(u16::from_be_bytes([header[2], header[3]]), rest)
}

/// Reads an address family in the byte order of the capturing host (`NULL`) or of the network
/// (`LOOP`). All families are below 256, so the zero octets decide.
fn loopback(data: &[u8]) -> Result<Network<'_>, Undecodable> {
    let (family, rest) = split::<4>(data)?;
    match *family {
        [2, 0, 0, 0] | [0, 0, 0, 2] => Ok(Network::new(rest, Version::V4, 0)),
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        [10 | 24 | 28 | 30, 0, 0, 0] | [0, 0, 0, 10 | 24 | 28 | 30] => {
            Ok(Network::new(rest, Version::V6, 0))
        }
        _ => Err(Undecodable::NotIp),
    }
}

#[inline(always)]
fn split<const N: usize>(data: &[u8]) -> Result<(&[u8; N], &[u8]), Undecodable> {
    data.split_first_chunk().ok_or(Undecodable::TruncatedLink)
}
