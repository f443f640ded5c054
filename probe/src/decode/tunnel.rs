//! Tunnels: the packet inside an IP packet. Reads VXLAN (RFC 7348) and its extension GPE, Geneve
//! (RFC 8926), GRE (RFC 2784, RFC 2890, that of PPTP in RFC 2637, ERSPAN), IP in IP (RFC 2003, RFC
//! 2473, RFC 4213) and Ethernet in IPv6 (RFC 8986 §4.9), in every combination.
//!
//! ESP and WireGuard carry ciphertext, so their packets are flows of the outer header.

use flowproto::record::{Tunnel, TunnelType};

use super::ip::Header;
use super::link::{self, Network, Version};
use super::packet::Undecodable;
use super::tunnel_ports::{TunnelPorts, TunnelProtocol};

const IPV4: u8 = 4;
const UDP: u8 = 17;
const IPV6: u8 = 41;
const GRE: u8 = 47;
const ETHERNET: u8 = 143;

const TRANSPARENT_ETHERNET: u16 = 0x6558;
const PPP: u16 = 0x880b;
const WCCP: u16 = 0x883e;
const ERSPAN: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

/// A packet found inside another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inner<'a> {
    pub(super) network: Network<'a>,
    /// True if it is in a frame of its own, with tags of its own.
    pub(super) framed: bool,
    kind: TunnelType,
    key: u32,
    source_port: u16,
    destination_port: u16,
}

impl Inner<'_> {
    /// The tunnel elements of a record: the header around the packet.
    pub(super) const fn tunnel(&self, outer: &Header<'_>) -> Tunnel {
        Tunnel {
            tunnel_type: self.kind,
            tunnel_key: self.key,
            tunnel_source_address: outer.source,
            tunnel_destination_address: outer.destination,
            tunnel_protocol_identifier: outer.protocol,
            tunnel_source_port: self.source_port,
            tunnel_destination_port: self.destination_port,
        }
    }
}

/// Finds the packet inside `outer`. `None` if `outer` is not a tunnel packet, or is a later
/// fragment of one.
///
/// # Errors
/// The tunnel header is there, but the payload cannot be metered.
#[inline(always)]
pub(super) fn inside<'a>(
    outer: &Header<'a>,
    ports: &TunnelPorts,
) -> Result<Option<Inner<'a>>, Undecodable> {
    if outer.fragment.is_some_and(|fragment| !fragment.is_first()) {
        return Ok(None);
    }
    match outer.protocol {
        UDP => over_udp(outer.payload, ports),
        IPV4 => Ok(Some(plain(Network::new(outer.payload, Version::V4, 0)))),
        IPV6 => Ok(Some(plain(Network::new(outer.payload, Version::V6, 0)))),
        GRE => generic(outer.payload),
        ETHERNET => Ok(Some(Inner {
            framed: true,
            ..plain(link::ethernet(outer.payload)?)
        })),
        _ => Ok(None),
    }
}

const fn plain(network: Network<'_>) -> Inner<'_> {
    Inner {
        network,
        framed: false,
        kind: TunnelType::IpInIp,
        key: 0,
        source_port: 0,
        destination_port: 0,
    }
}

/// Reads a tunnel over UDP, known by the destination port. The source port is an ECMP hash.
#[inline(always)]
fn over_udp<'a>(payload: &'a [u8], ports: &TunnelPorts) -> Result<Option<Inner<'a>>, Undecodable> {
    let Some((udp, data)) = payload.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let destination_port = u16::from_be_bytes([udp[2], udp[3]]);
    let Some(protocol) = ports.protocol(destination_port) else {
        return Ok(None);
    };
    let (header, data) = data
        .split_first_chunk::<8>()
        .ok_or(Undecodable::MalformedTunnel)?;
    let key = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    let (kind, network, framed) = if protocol == TunnelProtocol::Geneve {
        // Version 0, with options in words of 32 bits.
        if header[0] & 0xc0 != 0 {
            return Err(Undecodable::MalformedTunnel);
        }
        let options = usize::from(header[0] & 0x3f).wrapping_mul(4);
        let data = data.get(options..).ok_or(Undecodable::MalformedTunnel)?;
        let ethertype = u16::from_be_bytes([header[2], header[3]]);
        let (network, framed) = by_ethertype(ethertype, data)?;
        (TunnelType::Geneve, network, framed)
    } else {
        // The flag of a valid network identifier.
        if header[0] & 0x08 == 0 {
            return Err(Undecodable::MalformedTunnel);
        }
        let (network, framed) = match (protocol, header[3]) {
            (TunnelProtocol::VxlanGpe, 1) => (link::ethertype(0x0800, data)?, false),
            (TunnelProtocol::VxlanGpe, 2) => (link::ethertype(0x86dd, data)?, false),
            (TunnelProtocol::VxlanGpe, 3) | (TunnelProtocol::Vxlan, _) => {
                (link::ethernet(data)?, true)
            }
            _ => return Err(Undecodable::NotIp),
        };
        (TunnelType::Vxlan, network, framed)
    };
    Ok(Some(Inner {
        network,
        framed,
        kind,
        key,
        source_port: u16::from_be_bytes([udp[0], udp[1]]),
        destination_port,
    }))
}

fn by_ethertype(ethertype: u16, data: &[u8]) -> Result<(Network<'_>, bool), Undecodable> {
    match ethertype {
        TRANSPARENT_ETHERNET => link::ethernet(data).map(|network| (network, true)),
        PPP => link::ppp(data).map(|network| (network, false)),
        _ => link::ethertype(ethertype, data).map(|network| (network, false)),
    }
}

/// Reads GRE version 0 and 1. Optional words come in the order checksum, key, sequence number
/// (RFC 2890 §2). Version 1 adds an acknowledgment number, and packets with nothing else.
fn generic(payload: &[u8]) -> Result<Option<Inner<'_>>, Undecodable> {
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
        (0, ERSPAN) if sequence => {
            let (_, frame) = data
                .split_first_chunk::<8>()
                .ok_or(Undecodable::MalformedTunnel)?;
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
            (link::ethernet(frame)?, true)
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
        kind: TunnelType::Gre,
        key: tunnel_key,
        source_port: 0,
        destination_port: 0,
    }))
}
