//! Packets in UDP with little or no header between: Generic UDP Encapsulation, Foo over UDP,
//! Teredo.

use flowproto::record::TunnelType;

use super::{Datagram, ETHERNET, GRE, IPV4, IPV6, Inner, MPLS, ethernet, gre, mpls, plain};
use crate::decode::link::{Network, Version};
use crate::decode::packet::Undecodable;

/// Control messages of Generic UDP Encapsulation.
const CONTROL: u8 = 0x20;
const TEREDO_AUTHENTICATION: [u8; 2] = [0, 1];
const TEREDO_ORIGIN: [u8; 2] = [0, 0];
/// The Next Header of a packet without a payload (RFC 8200 §4.7).
const NO_NEXT_HEADER: u8 = 59;

/// Reads Generic UDP Encapsulation (draft-ietf-intarea-gue §3): version 0 has a header, in version
/// 1 the first octet is that of the IP header.
pub(super) fn gue(data: &[u8]) -> Result<Option<Inner<'_>>, Undecodable> {
    let [first, protocol, ..] = *data else {
        return Err(Undecodable::MalformedTunnel);
    };
    match first >> 6 {
        0 if first & CONTROL != 0 => Ok(None),
        0 => {
            let header = usize::from(first & 0x1f)
                .saturating_add(1)
                .saturating_mul(4);
            let data = data.get(header..).ok_or(Undecodable::MalformedTunnel)?;
            let inner = match protocol {
                IPV4 => plain(Network::new(data, Version::V4, 0)),
                IPV6 => plain(Network::new(data, Version::V6, 0)),
                MPLS => return mpls(data).map(Some),
                GRE => return gre::inside(data),
                ETHERNET => ethernet(data)?,
                _ => return Err(Undecodable::NotIp),
            };
            Ok(Some(Inner {
                kind: TunnelType::Gue,
                ..inner
            }))
        }
        1 => Ok(Some(Inner {
            kind: TunnelType::Gue,
            ..plain(Network::new(data, Version::Either, 0))
        })),
        _ => Err(Undecodable::MalformedTunnel),
    }
}

/// Reads Foo over UDP: the first four bits are the version of an IP header, or those of GRE without
/// routing.
pub(super) fn fou(data: &[u8]) -> Result<Option<Inner<'_>>, Undecodable> {
    match data.first().map(|first| first >> 4) {
        Some(4 | 6) => Ok(Some(Inner {
            kind: TunnelType::Fou,
            ..plain(Network::new(data, Version::Either, 0))
        })),
        Some(_) => gre::inside(data),
        None => Err(Undecodable::MalformedTunnel),
    }
}

/// True for an IPv6 header without a payload. Trailers may follow (RFC 6081 §4).
fn is_bubble(data: &[u8]) -> bool {
    let Some(header) = data.first_chunk::<40>() else {
        return false;
    };
    let [_, _, _, _, length_high, length_low, next_header, ..] = *header;
    [length_high, length_low, next_header] == [0, 0, NO_NEXT_HEADER]
}

/// Reads Teredo (RFC 4380 §5.1.1): an IPv6 packet behind optional authentication and origin.
pub(super) fn teredo<'a>(datagram: &Datagram<'a>) -> Result<Option<Inner<'a>>, Undecodable> {
    let mut begin = 0_usize;
    if let [kind_0, kind_1, client, authentication, ..] = *datagram.data
        && [kind_0, kind_1] == TEREDO_AUTHENTICATION
    {
        // Nonce of 8 octets and confirmation.
        let lengths = usize::from(client).saturating_add(usize::from(authentication));
        begin = lengths.saturating_add(4 + 9);
    }
    if datagram
        .data
        .get(begin..)
        .is_some_and(|data| data.starts_with(&TEREDO_ORIGIN))
    {
        begin = begin.saturating_add(8);
    }
    let data = datagram.data.get(begin..);
    let data = data.ok_or(Undecodable::MalformedTunnel)?;
    // A datagram of something else has no IPv6 packet that ends where it does.
    let is_packet = data.first().is_some_and(|first| first >> 4 == 6)
        && (datagram.is_ip_from(begin, 0) || is_bubble(data));
    if !is_packet {
        return Ok(None);
    }
    Ok(Some(Inner {
        kind: TunnelType::Teredo,
        ..plain(Network::new(data, Version::V6, 0))
    }))
}
