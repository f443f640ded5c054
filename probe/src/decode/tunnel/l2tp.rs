//! L2TP: version 3 over IP and UDP (RFC 3931), version 2 over UDP (RFC 2661).
//!
//! The header of a version 3 session does not say what follows: a cookie of 0, 4 or 8 octets, and a
//! sublayer of 0 or 4 (RFC 3931 §4.1). The packet is looked for behind each of them, and is used
//! only if its IP header fits the rest of the datagram to the octet.

use flowproto::record::TunnelType;

use super::{Datagram, Inner, plain};
use crate::decode::ip::Header;
use crate::decode::link::{self, Network, Version};
use crate::decode::packet::Undecodable;

/// Octets of cookie and sublayer together.
const SESSION_EXTRAS: [usize; 4] = [4, 0, 8, 12];
/// Octets to which Ethernet pads a frame.
const MIN_FRAME: u32 = 60;
const TYPE: u16 = 0x8000;
const LENGTH: u16 = 0x4000;
const SEQUENCE: u16 = 0x0800;
const OFFSET: u16 = 0x0200;
const VERSION: u16 = 0x000f;

/// Reads L2TP version 3 directly over IP (RFC 3931 §4.1.1). Session 0 is the control connection.
pub(super) fn over_ip<'a>(outer: &Header<'a>) -> Result<Option<Inner<'a>>, Undecodable> {
    session(&Datagram {
        data: outer.payload,
        octets: outer.octets.saturating_sub(outer.header_octets),
        is_whole: outer.fragment.is_none(),
    })
}

/// Reads L2TP over UDP (RFC 3931 §4.1.2, RFC 2661 §3.1).
pub(super) fn over_udp<'a>(datagram: &Datagram<'a>) -> Result<Option<Inner<'a>>, Undecodable> {
    let (first, rest) = datagram
        .data
        .split_first_chunk::<2>()
        .ok_or(Undecodable::MalformedTunnel)?;
    let flags = u16::from_be_bytes(*first);
    match flags & VERSION {
        2 | 3 if flags & TYPE != 0 => Ok(None),
        2 => version_2(flags, rest).map(Some),
        3 => session(&Datagram {
            // Two octets are reserved.
            data: rest.get(2..).ok_or(Undecodable::MalformedTunnel)?,
            octets: datagram.octets.saturating_sub(4),
            is_whole: datagram.is_whole,
        }),
        _ => Err(Undecodable::MalformedTunnel),
    }
}

/// Reads a PPP frame behind the optional fields of version 2.
fn version_2(flags: u16, mut data: &[u8]) -> Result<Inner<'_>, Undecodable> {
    let mut number = |is_present: bool| {
        if !is_present {
            return Ok(0);
        }
        let (number, rest) = data
            .split_first_chunk::<2>()
            .ok_or(Undecodable::MalformedTunnel)?;
        data = rest;
        Ok(u16::from_be_bytes(*number))
    };
    number(flags & LENGTH != 0)?;
    let tunnel = number(true)?;
    let session = number(true)?;
    // Ns and Nr.
    number(flags & SEQUENCE != 0)?;
    number(flags & SEQUENCE != 0)?;
    let padding = number(flags & OFFSET != 0)?;
    let frame = data.get(usize::from(padding)..);
    let network = link::ppp(frame.ok_or(Undecodable::MalformedTunnel)?)?;
    Ok(Inner {
        kind: TunnelType::L2tp,
        key: u32::from(tunnel) << 16 | u32::from(session),
        ..plain(network)
    })
}

fn session<'a>(datagram: &Datagram<'a>) -> Result<Option<Inner<'a>>, Undecodable> {
    let (id, data) = datagram
        .data
        .split_first_chunk::<4>()
        .ok_or(Undecodable::MalformedTunnel)?;
    let key = u32::from_be_bytes(*id);
    if key == 0 {
        return Ok(None);
    }
    let found = SESSION_EXTRAS.into_iter().find_map(|extras| {
        let data = data.get(extras..)?;
        // The session identifier is part of the datagram.
        let begin = extras.saturating_add(4);
        framed(datagram, begin, data).or_else(|| {
            let network = Network::new(data, Version::Either, 0);
            datagram.is_ip_from(begin, 0).then_some((network, false))
        })
    });
    let (network, framed) = found.ok_or(Undecodable::NotIp)?;
    Ok(Some(Inner {
        kind: TunnelType::L2tp,
        key,
        framed,
        ..plain(network)
    }))
}

/// The Ethernet frame that begins at an offset of a datagram, if it ends where its IP packet does.
fn framed<'a>(
    datagram: &Datagram<'_>,
    begin: usize,
    frame: &'a [u8],
) -> Option<(Network<'a>, bool)> {
    let network = link::ethernet(frame).ok()?;
    let header = frame.len().saturating_sub(network.packet.len());
    let padding = MIN_FRAME.saturating_sub(u32::try_from(header).unwrap_or(MIN_FRAME));
    let is_exact = datagram.is_ip_from(begin.saturating_add(header), padding);
    is_exact.then_some((network, true))
}
