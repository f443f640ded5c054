//! Tunnels: the packet inside an IP packet, in every combination.
//!
//! * over IP: IP in IP (RFC 2003, RFC 2473, RFC 4213), Ethernet (RFC 3378, RFC 8986 §4.9), MPLS
//!   (RFC 4023), [`gre`], [`l2tp`] version 3;
//! * over UDP, known by the destination port: [`vxlan`] and Geneve, [`gtp`], [`l2tp`], and in
//!   [`direct`] those with little or no header of their own: GRE, MPLS, GUE, Foo over UDP, Teredo.
//!
//! The header must be valid, and the packet inside must be IP; otherwise the outer packet is the
//! flow. ESP and WireGuard carry ciphertext, so their packets are flows of the outer header.

mod direct;
mod gre;
mod gtp;
mod l2tp;
mod vxlan;

use flowproto::protocol::{GRE, IPV6, L2TP, MPLS, UDP};
use flowproto::record::{Tunnel, TunnelType};

use super::ip::Header;
use super::link::{self, Network, Version};
use super::packet::Undecodable;
use super::tunnel_ports::{TunnelPorts, TunnelProtocol};

const IPV4: u8 = 4;
/// KA9Q's IP in IP.
const IP_IN_IP: u8 = 94;
const ETHERNET_IN_IP: u8 = 97;
const ETHERNET: u8 = 143;

const TRANSPARENT_ETHERNET: u16 = 0x6558;
const PPP: u16 = 0x880b;
const MPLS_UNICAST: u16 = 0x8847;

/// Octets of the headers of UDP and VXLAN.
pub(super) const VXLAN_OCTETS: u32 = 16;

/// A packet found inside another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inner<'a> {
    pub(super) network: Network<'a>,
    /// True if it is in a frame of its own, with tags of its own.
    pub(super) framed: bool,
    /// True if the tunnel header states that the end of the packet was cut off.
    pub(super) is_truncated: bool,
    kind: TunnelType,
    key: u32,
    source_port: u16,
    destination_port: u16,
}

impl Inner<'_> {
    /// The tunnel elements of a record: the header around the packet.
    pub(super) const fn tunnel(&self, outer: &Header<'_>) -> Tunnel {
        let kind = match self.kind {
            TunnelType::IpInIp | TunnelType::Ethernet if outer.is_segment_routed => {
                TunnelType::Srv6
            }
            kind => kind,
        };
        tunnel_of(
            outer,
            kind,
            self.key,
            [self.source_port, self.destination_port],
        )
    }
}

#[inline(always)]
const fn tunnel_of(outer: &Header<'_>, kind: TunnelType, key: u32, ports: [u16; 2]) -> Tunnel {
    let [source_port, destination_port] = ports;
    Tunnel {
        tunnel_type: kind,
        tunnel_key: key,
        tunnel_source_address: outer.source,
        tunnel_destination_address: outer.destination,
        tunnel_protocol_identifier: outer.protocol,
        tunnel_source_port: source_port,
        tunnel_destination_port: destination_port,
    }
}

/// Source and destination port of UDP.
#[inline(always)]
const fn ports_of(udp: &[u8; 8]) -> [u16; 2] {
    [
        u16::from_be_bytes([udp[0], udp[1]]),
        u16::from_be_bytes([udp[2], udp[3]]),
    ]
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
        UDP => over_udp(outer, ports),
        IPV4 => Ok(Some(plain(Network::new(outer.payload, Version::V4, 0)))),
        IPV6 => Ok(Some(plain(Network::new(outer.payload, Version::V6, 0)))),
        GRE => gre::inside(outer.payload),
        ETHERNET | ETHERNET_IN_IP | MPLS | L2TP | IP_IN_IP => by_protocol(outer),
        _ => Ok(None),
    }
}

/// Reads a tunnel directly over IP that is not frequent.
#[cold]
fn by_protocol<'a>(outer: &Header<'a>) -> Result<Option<Inner<'a>>, Undecodable> {
    match outer.protocol {
        IP_IN_IP => Ok(Some(plain(Network::new(outer.payload, Version::V4, 0)))),
        ETHERNET => ethernet(outer.payload).map(Some),
        // Version 3 and twelve zero bits (RFC 3378 §2).
        ETHERNET_IN_IP => match outer.payload {
            [0x30, 0, frame @ ..] => ethernet(frame).map(Some),
            _ => Err(Undecodable::MalformedTunnel),
        },
        MPLS => mpls(outer.payload).map(Some),
        L2TP => l2tp::over_ip(outer),
        _ => Ok(None),
    }
}

const fn plain(network: Network<'_>) -> Inner<'_> {
    Inner {
        network,
        framed: false,
        is_truncated: false,
        kind: TunnelType::IpInIp,
        key: 0,
        source_port: 0,
        destination_port: 0,
    }
}

fn ethernet(frame: &[u8]) -> Result<Inner<'_>, Undecodable> {
    Ok(Inner {
        framed: true,
        kind: TunnelType::Ethernet,
        ..plain(link::ethernet(frame)?)
    })
}

fn mpls(labels: &[u8]) -> Result<Inner<'_>, Undecodable> {
    Ok(Inner {
        kind: TunnelType::Mpls,
        ..plain(link::ethertype(MPLS_UNICAST, labels)?)
    })
}

/// Reads a tunnel over UDP, known by the destination port. The source port is an ECMP hash in most.
#[inline(always)]
fn over_udp<'a>(outer: &Header<'a>, ports: &TunnelPorts) -> Result<Option<Inner<'a>>, Undecodable> {
    let Some((udp, data)) = outer.payload.split_first_chunk::<8>() else {
        return Ok(None);
    };
    let [source_port, destination_port] = ports_of(udp);
    // A server of Teredo sends from its port to that of the client.
    let from_server = || {
        let protocol = ports.protocol(source_port);
        protocol.filter(|protocol| *protocol == TunnelProtocol::Teredo)
    };
    let Some(protocol) = ports.protocol(destination_port).or_else(from_server) else {
        return Ok(None);
    };
    let inner = match protocol {
        TunnelProtocol::Vxlan | TunnelProtocol::VxlanGpe => vxlan::inside(protocol, data).map(Some),
        TunnelProtocol::Geneve => vxlan::inside_geneve(data).map(Some),
        _ => other_over_udp(protocol, data, outer),
    }?;
    Ok(inner.map(|inner| Inner {
        source_port,
        destination_port,
        ..inner
    }))
}

/// Finds the frame in a datagram of VXLAN, which has no other header. `None` for every other
/// packet.
#[inline(always)]
pub(super) fn plain_vxlan<'a>(
    outer: &Header<'a>,
    ports: &TunnelPorts,
) -> Option<(Tunnel, &'a [u8])> {
    let (udp, data) = outer.payload.split_first_chunk::<8>()?;
    let outer_ports @ [_, destination_port] = ports_of(udp);
    if ports.protocol(destination_port) != Some(TunnelProtocol::Vxlan) {
        return None;
    }
    let (key, frame) = vxlan::frame(data)?;
    let tunnel = tunnel_of(outer, TunnelType::Vxlan, key, outer_ports);
    Some((tunnel, frame))
}

#[cold]
fn other_over_udp<'a>(
    protocol: TunnelProtocol,
    data: &'a [u8],
    outer: &Header<'a>,
) -> Result<Option<Inner<'a>>, Undecodable> {
    let datagram = Datagram {
        data,
        octets: outer
            .octets
            .saturating_sub(outer.header_octets)
            .saturating_sub(8),
        is_whole: outer.fragment.is_none(),
    };
    match protocol {
        TunnelProtocol::GtpU => gtp::inside(&datagram),
        TunnelProtocol::L2tp => l2tp::over_udp(&datagram),
        TunnelProtocol::Teredo => direct::teredo(&datagram),
        TunnelProtocol::Gue => direct::gue(data),
        TunnelProtocol::Fou => direct::fou(data),
        TunnelProtocol::Gre => gre::inside(data),
        TunnelProtocol::Mpls => mpls(data).map(Some),
        TunnelProtocol::Vxlan
        | TunnelProtocol::VxlanGpe
        | TunnelProtocol::Geneve
        | TunnelProtocol::WireGuard
        | TunnelProtocol::Esp => Ok(None),
    }
}

/// The payload of an outer packet.
#[derive(Clone, Copy, Debug)]
struct Datagram<'a> {
    /// As far as it was captured.
    data: &'a [u8],
    /// Octets on the wire.
    octets: u32,
    /// It is not a fragment, so that `octets` are all there are.
    is_whole: bool,
}

impl Datagram<'_> {
    /// True if the rest of the datagram, from `offset` on, is exactly one IP packet, or one that
    /// Ethernet has padded to at least `minimum` octets.
    fn is_ip_from(&self, offset: usize, minimum: u32) -> bool {
        let (Some(data), Ok(offset)) = (self.data.get(offset..), u32::try_from(offset)) else {
            return false;
        };
        let length = match *data {
            [version, _, high, low, ..] if version >> 4 == 4 && version & 15 >= 5 => {
                u32::from(u16::from_be_bytes([high, low]))
            }
            [version, _, _, _, high, low, ..] if version >> 4 == 6 => {
                u32::from(u16::from_be_bytes([high, low])).saturating_add(40)
            }
            _ => return false,
        };
        let room = self.octets.checked_sub(offset);
        self.is_whole && (room == Some(length) || room == Some(length.max(minimum)))
    }
}

fn by_ethertype(ethertype: u16, data: &[u8]) -> Result<(Network<'_>, bool), Undecodable> {
    match ethertype {
        TRANSPARENT_ETHERNET => link::ethernet(data).map(|network| (network, true)),
        PPP => link::ppp(data).map(|network| (network, false)),
        _ => link::ethertype(ethertype, data).map(|network| (network, false)),
    }
}
