//! GTP-U, the user plane of mobile networks (3GPP TS 29.281).

use flowproto::record::TunnelType;

use super::{Datagram, Inner, plain};
use crate::decode::link::{Network, Version};
use crate::decode::packet::Undecodable;

/// Octets of the header without its optional part.
const HEADER: u32 = 8;
/// Message type of a packet of a user (G-PDU). The others are messages between the ends.
const USER_PACKET: u8 = 255;
/// Extension headers that are skipped.
const MAX_EXTENSIONS: usize = 8;

/// Reads GTP-U version 1, from its header on.
pub(super) fn inside<'a>(datagram: &Datagram<'a>) -> Result<Option<Inner<'a>>, Undecodable> {
    let (header, mut data) = datagram
        .data
        .split_first_chunk::<8>()
        .ok_or(Undecodable::MalformedTunnel)?;
    let [flags, message_type, high, low, key @ ..] = *header;
    let octets = HEADER.saturating_add(u16::from_be_bytes([high, low]).into());
    // Version 1, protocol type GTP; the length is that of the rest.
    if flags & 0xf0 != 0x30 || datagram.is_whole && octets != datagram.octets {
        return Err(Undecodable::MalformedTunnel);
    }
    if message_type != USER_PACKET {
        return Ok(None);
    }
    // The flags of extension header, sequence number and N-PDU number share an optional part.
    if flags & 0x07 != 0 {
        let (optional, rest) = data
            .split_first_chunk::<4>()
            .ok_or(Undecodable::MalformedTunnel)?;
        data = rest;
        if flags & 0x04 != 0 {
            data = skip_extensions(optional[3], data)?;
        }
    }
    Ok(Some(Inner {
        kind: TunnelType::GtpU,
        key: u32::from_be_bytes(key),
        ..plain(Network::new(data, Version::Either, 0))
    }))
}

/// Skips extension headers: a length in words of 32 bits, the content, the type of the next one.
fn skip_extensions(mut kind: u8, mut data: &[u8]) -> Result<&[u8], Undecodable> {
    for _ in 0..MAX_EXTENSIONS {
        if kind == 0 {
            return Ok(data);
        }
        let words = data.first().copied().unwrap_or_default();
        let (extension, rest) = data
            .split_at_checked(usize::from(words).saturating_mul(4))
            .ok_or(Undecodable::MalformedTunnel)?;
        kind = *extension.last().ok_or(Undecodable::MalformedTunnel)?;
        data = rest;
    }
    Err(Undecodable::MalformedTunnel)
}
