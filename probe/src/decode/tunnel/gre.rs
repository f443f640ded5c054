//! GRE: RFC 2784, RFC 2890, that of PPTP in RFC 2637, ERSPAN (draft-foschiano-erspan), WCCP, EoIP.

use flowproto::record::TunnelType;

use super::{Inner, by_ethertype};
use crate::decode::link::{self, Network, Version};
use crate::decode::packet::Undecodable;

const PPP: u16 = 0x880b;
const WCCP: u16 = 0x883e;
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;
/// The mirrored frame was longer (ERSPAN types II and III, third octet).
const TRUNCATED: u8 = 0x04;
/// Ethernet over IP of MikroTik.
const EOIP: u16 = 0x6400;

/// Reads GRE version 0 and 1. Optional words come in the order checksum, key, sequence number
/// (RFC 2890 §2). Version 1 adds an acknowledgment number, and packets with nothing else.
pub(super) fn inside(payload: &[u8]) -> Result<Option<Inner<'_>>, Undecodable> {
    let word = |data: &mut &[u8]| -> Result<u32, Undecodable> {
        let (word, rest) = data
            .split_first_chunk::<4>()
            .ok_or(Undecodable::MalformedTunnel)?;
        *data = rest;
        Ok(u32::from_be_bytes(*word))
    };
    let mut data = payload;
    let first = word(&mut data)?;
    let protocol = u16::try_from(first & 0xffff).unwrap_or(0);
    let has = |bit: u32| first & bit != 0;
    let (checksum, routing, key, sequence) =
        (has(1 << 31), has(1 << 30), has(1 << 29), has(1 << 28));
    if routing {
        return Err(Undecodable::MalformedTunnel);
    }
    if checksum {
        word(&mut data)?;
    }
    let mut tunnel_key = if key { word(&mut data)? } else { 0 };
    if sequence {
        word(&mut data)?;
    }
    let mut is_truncated = false;
    let (network, framed) = match (first >> 16 & 0x7, protocol) {
        (1, PPP) => {
            // The key is the payload length and the call ID.
            tunnel_key &= 0xffff;
            if has(1 << 23) {
                word(&mut data)?;
            }
            if data.is_empty() {
                return Ok(None);
            }
            (link::ppp(data)?, false)
        }
        (1, EOIP) if key => {
            // The key is the length of the frame and the tunnel ID, this one in reverse order.
            let [length_high, length_low, id_low, id_high] = tunnel_key.to_be_bytes();
            tunnel_key = u16::from_le_bytes([id_low, id_high]).into();
            if [length_high, length_low] == [0; 2] {
                return Ok(None);
            }
            (link::ethernet(data)?, true)
        }
        (0, ERSPAN) if sequence => {
            let (header, frame) = data
                .split_first_chunk::<8>()
                .ok_or(Undecodable::MalformedTunnel)?;
            is_truncated = header[2] & TRUNCATED != 0;
            (link::ethernet(frame)?, true)
        }
        (0, ERSPAN) => (link::ethernet(data)?, true),
        (0, ERSPAN_III) => {
            let (header, mut frame) = data
                .split_first_chunk::<12>()
                .ok_or(Undecodable::MalformedTunnel)?;
            if header[11] & 1 == 1 {
                frame = frame.get(8..).ok_or(Undecodable::MalformedTunnel)?;
            }
            is_truncated = header[2] & TRUNCATED != 0;
            match header[10] >> 2 & 0x1f {
                0 => (link::ethernet(frame)?, true),
                2 => (Network::new(frame, Version::Either, 0), false),
                _ => return Err(Undecodable::NotIp),
            }
        }
        (0, WCCP) => {
            // WCCP version 2 has a word before the IPv4 packet, version 1 does not.
            if data.first().is_some_and(|octet| octet >> 4 != 4) {
                word(&mut data)?;
            }
            (Network::new(data, Version::V4, 0), false)
        }
        (0, protocol) => by_ethertype(protocol, data)?,
        _ => return Err(Undecodable::MalformedTunnel),
    };
    Ok(Some(Inner {
        network,
        framed,
        is_truncated,
        kind: TunnelType::Gre,
        key: tunnel_key,
        source_port: 0,
        destination_port: 0,
    }))
}
