//! VXLAN (RFC 7348) with its extension GPE, and Geneve (RFC 8926).

use flowproto::record::TunnelType;

use super::{Inner, MPLS_UNICAST, by_ethertype, plain};
use crate::decode::link;
use crate::decode::packet::Undecodable;
use crate::decode::tunnel_ports::TunnelProtocol;

/// The flag of a valid network identifier.
const VALID: u8 = 0x08;

/// Reads VXLAN, from its header on.
#[inline(always)]
pub(super) fn inside(protocol: TunnelProtocol, data: &[u8]) -> Result<Inner<'_>, Undecodable> {
    let (header, data) = split(data)?;
    if header[0] & VALID == 0 {
        return Err(Undecodable::MalformedTunnel);
    }
    // Without the flag of a next protocol, the payload of GPE is that of VXLAN.
    let next_protocol =
        (protocol == TunnelProtocol::VxlanGpe && header[0] & 0x04 != 0).then_some(header[3]);
    let (network, framed) = match next_protocol {
        Some(1) => (link::ethertype(0x0800, data)?, false),
        Some(2) => (link::ethertype(0x86dd, data)?, false),
        Some(4) => (link::ethertype(link::ETHERTYPE_NSH, data)?, false),
        // Earlier drafts, and Linux.
        Some(5) => (link::ethertype(MPLS_UNICAST, data)?, false),
        Some(3) | None => (link::ethernet(data)?, true),
        Some(_) => return Err(Undecodable::NotIp),
    };
    Ok(Inner {
        framed,
        kind: TunnelType::Vxlan,
        key: identifier(header),
        ..plain(network)
    })
}

/// Returns the network identifier and the frame of VXLAN without a next protocol.
#[inline(always)]
pub(super) fn frame(data: &[u8]) -> Option<(u32, &[u8])> {
    let (header, frame) = data.split_first_chunk()?;
    (header[0] & VALID != 0).then_some((identifier(header), frame))
}

/// Reads Geneve, from its header on.
#[inline(always)]
pub(super) fn inside_geneve(data: &[u8]) -> Result<Inner<'_>, Undecodable> {
    let (header, data) = split(data)?;
    // Version 0, with options in words of 32 bits.
    if header[0] & 0xc0 != 0 {
        return Err(Undecodable::MalformedTunnel);
    }
    let options = usize::from(header[0] & 0x3f).wrapping_mul(4);
    let data = data.get(options..).ok_or(Undecodable::MalformedTunnel)?;
    let ethertype = u16::from_be_bytes([header[2], header[3]]);
    let (network, framed) = by_ethertype(ethertype, data)?;
    Ok(Inner {
        framed,
        kind: TunnelType::Geneve,
        key: identifier(header),
        ..plain(network)
    })
}

#[inline(always)]
fn split(data: &[u8]) -> Result<(&[u8; 8], &[u8]), Undecodable> {
    data.split_first_chunk().ok_or(Undecodable::MalformedTunnel)
}

const fn identifier(header: &[u8; 8]) -> u32 {
    u32::from_be_bytes([0, header[4], header[5], header[6]])
}
