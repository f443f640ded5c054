//! Link types that only savefiles have: from the first octet of a frame to its first IP header.

use super::{Network, Version, cisco_hdlc, ethernet, ethertype, mpls, ppp, split};
use crate::capture::frame::LinkType;
use crate::capture::named_link::named_link;
use crate::capture::offline_link::{InnerLink, OfflineLink};
use crate::capture::wireless::{self, Content};
use crate::decode::packet::Undecodable;

/// In place of an EtherType: LLC follows, whatever the length.
const LLC: u16 = 4;
/// Attributes of an NFLOG header that are read.
const MAX_ATTRIBUTES: usize = 32;
/// Extension headers of an ERF record that are skipped.
const MAX_EXTENSIONS: usize = 16;

/// Finds the first IP header of a frame.
#[cold]
pub(super) fn network_layer(link: OfflineLink, frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    match link {
        OfflineLink::Behind(octets, link) => inner(link, after(frame, octets.into())?),
        OfflineLink::TokenRing => token_ring(frame),
        OfflineLink::ClassicalAtm => match frame {
            [0xaa, 0xaa, 0x03, ..] => ethertype(LLC, frame),
            _ => inner(InnerLink::Ip, frame),
        },
        OfflineLink::Mpacket => mpacket(frame),
        OfflineLink::Mpls => mpls(frame, 0),
        OfflineLink::InfiniBand => {
            // A global route header, an EtherType and two reserved octets (RFC 4391 §6).
            let (header, rest) = split::<44>(frame)?;
            ethertype(u16::from_be_bytes([header[40], header[41]]), rest)
        }
        OfflineLink::Wireless(header) => match wireless::content(header, frame) {
            Content::Payload(payload) => ethertype(LLC, payload),
            // The reader of the savefile hands out its subframes.
            Content::Aggregate(_) => Err(Undecodable::TruncatedLink),
            Content::Encrypted => Err(Undecodable::Encrypted),
            Content::Corrupt => Err(Undecodable::CorruptFrame),
            Content::NoPacket => Err(Undecodable::NotIp),
            Content::Truncated => Err(Undecodable::TruncatedLink),
        },
        OfflineLink::Ppi | OfflineLink::Pktap => {
            match named_link(link, frame).ok_or(Undecodable::TruncatedLink)? {
                // Nested PPI or PKTAP headers are refused.
                (LinkType::Offline(OfflineLink::Ppi | OfflineLink::Pktap), _) => {
                    Err(Undecodable::NotIp)
                }
                (link_type, frame) => super::network_layer(link_type, frame),
            }
        }
        OfflineLink::Nflog => nflog(frame),
        OfflineLink::Pflog => {
            // The first octet is the length, without the padding to a word.
            let length = frame.first().ok_or(Undecodable::TruncatedLink)?;
            let octets = usize::from(*length).next_multiple_of(4);
            inner(InnerLink::Ip, after(frame, octets)?)
        }
        OfflineLink::Erf => erf(frame),
        OfflineLink::Juniper(link) => juniper(link, frame),
    }
}

fn inner(link: InnerLink, frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    match link {
        InnerLink::Ip => Ok(Network::new(frame, Version::Either, 0)),
        InnerLink::EtherType => {
            let (kind, rest) = split::<2>(frame)?;
            ethertype(u16::from_be_bytes(*kind), rest)
        }
        InnerLink::Llc => ethertype(LLC, frame),
        InnerLink::Ethernet => ethernet(frame),
        InnerLink::Ppp => ppp(frame),
        InnerLink::CiscoHdlc => cisco_hdlc(frame),
        InnerLink::FrameRelay => frame_relay(frame),
    }
}

/// Reads an mPacket (IEEE 802.3br): the preamble, a start delimiter, and a whole frame or its first
/// fragment. Later fragments have no Ethernet header.
fn mpacket(frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    let (preamble, frame) = split::<8>(frame)?;
    match preamble {
        // Of an express frame, or of a frame that can be interrupted. The delimiter of a later
        // fragment is the octet before, in place of the preamble.
        [.., 0x55, 0xd5 | 0xe6 | 0x4c | 0x7f | 0xb3] => ethernet(frame),
        _ => Err(Undecodable::NotIp),
    }
}

/// Reads a Token Ring frame: access control, frame control, addresses, a route if the source
/// address has its first bit set.
fn token_ring(frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    let (header, rest) = split::<14>(frame)?;
    if header[1] & 0xc0 != 0x40 {
        return Err(Undecodable::NotIp);
    }
    if header[8] & 0x80 == 0 {
        return ethertype(LLC, rest);
    }
    let route = rest.first().ok_or(Undecodable::TruncatedLink)? & 0x1f;
    ethertype(LLC, after(rest, route.into())?)
}

/// Reads a Frame Relay frame: an address of two to four octets, then RFC 2427, or an EtherType
/// (Cisco).
fn frame_relay(frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    /// The last octet of an address.
    const END: u8 = 1;
    const NLPID_IPV4: u8 = 0xcc;
    const NLPID_IPV6: u8 = 0x8e;
    const NLPID_SNAP: u8 = 0x80;
    let end = frame.iter().take(4).position(|octet| octet & END != 0);
    let end = end.filter(|end| *end > 0).ok_or(Undecodable::NotIp)?;
    let (address, mut rest) = frame
        .split_at_checked(end.saturating_add(1))
        .ok_or(Undecodable::TruncatedLink)?;
    let Some(after_control) = rest.strip_prefix(&[0x03]) else {
        // The local management interface is on channel 0.
        return match address {
            [0 | 1, ..] => Err(Undecodable::NotIp),
            _ => inner(InnerLink::EtherType, rest),
        };
    };
    rest = after_control.strip_prefix(&[0]).unwrap_or(after_control);
    match *rest {
        [NLPID_IPV4, ref packet @ ..] => Ok(Network::new(packet, Version::V4, 0)),
        [NLPID_IPV6, ref packet @ ..] => Ok(Network::new(packet, Version::V6, 0)),
        // An organization, 0 for EtherTypes.
        [NLPID_SNAP, 0, 0, 0, ref rest @ ..] => inner(InnerLink::EtherType, rest),
        [] => Err(Undecodable::TruncatedLink),
        _ => Err(Undecodable::NotIp),
    }
}

/// Reads an NFLOG header: family, version, resource, then attributes in the byte order of the host.
fn nflog(frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    let (_header, attributes) = split::<4>(frame)?;
    nflog_payload(attributes, u16::from_le_bytes)
        .or_else(|| nflog_payload(attributes, u16::from_be_bytes))
        .map(|packet| Network::new(packet, Version::Either, 0))
        .ok_or(Undecodable::TruncatedLink)
}

/// Returns the payload attribute.
fn nflog_payload(mut data: &[u8], number: fn([u8; 2]) -> u16) -> Option<&[u8]> {
    const PAYLOAD: u16 = 9;
    const HEADER: usize = 4;
    for _ in 0..MAX_ATTRIBUTES {
        let (&[l0, l1, k0, k1], value) = data.split_first_chunk::<HEADER>()?;
        if number([k0, k1]) == PAYLOAD {
            return Some(value);
        }
        let length = usize::from(number([l0, l1]));
        data = data.get(length.next_multiple_of(4).max(HEADER)..)?;
    }
    None
}

/// Reads an ERF record: a header of 16 octets, extension headers, then a frame of the type of the
/// record.
fn erf(frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    /// Another extension header follows.
    const MORE: u8 = 0x80;
    const RECEIVE_ERROR: u8 = 0x10;
    let (header, mut rest) = split::<16>(frame)?;
    let (kind, flags) = (header[8], header[9]);
    if flags & RECEIVE_ERROR != 0 {
        return Err(Undecodable::CorruptFrame);
    }
    let mut more = kind & MORE;
    for _ in 0..MAX_EXTENSIONS {
        if more == 0 {
            break;
        }
        let (extension, after) = split::<8>(rest)?;
        more = extension[0] & MORE;
        rest = after;
    }
    match kind & !MORE {
        // Packets over SONET: Cisco HDLC or PPP.
        1 | 10 | 15 | 19 => match rest {
            [0x0f | 0x8f, ..] => cisco_hdlc(rest),
            _ => ppp(rest),
        },
        // Ethernet, behind an offset and padding.
        2 | 11 | 16 | 20 => ethernet(after(rest, 2)?),
        22 => Ok(Network::new(rest, Version::V4, 0)),
        23 => Ok(Network::new(rest, Version::V6, 0)),
        _ => Err(Undecodable::NotIp),
    }
}

/// Reads a frame of Junos: a magic number, flags, and extensions of a length that is given.
fn juniper(link: InnerLink, frame: &[u8]) -> Result<Network<'_>, Undecodable> {
    const NO_LINK_HEADER: u8 = 0x02;
    const HAS_EXTENSIONS: u8 = 0x80;
    let (&[b'M', b'G', b'C', flags], mut rest) = split::<4>(frame)? else {
        return Err(Undecodable::NotIp);
    };
    if flags & HAS_EXTENSIONS != 0 {
        let (length, extensions) = split::<2>(rest)?;
        rest = after(extensions, u16::from_be_bytes(*length).into())?;
    }
    if flags & NO_LINK_HEADER != 0 {
        // The protocol family, of which the values are those of a release.
        return inner(InnerLink::Ip, after(rest, 4)?);
    }
    inner(link, rest)
}

/// The octets after the first ones.
fn after(frame: &[u8], octets: usize) -> Result<&[u8], Undecodable> {
    frame.get(octets..).ok_or(Undecodable::TruncatedLink)
}
