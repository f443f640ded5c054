//! The decoder: calls the parts of this stage in order.

use std::num::NonZeroUsize;

use flowproto::FlowKey;
use flowproto::protocol::{TCP, UDP};
use flowproto::record::{SecurityProtocol, Tunnel};

use super::fragment::FragmentTable;
use super::ip::{Extent, Header};
use super::link::Version;
use super::packet::{PacketInfo, Signal, TcpOptions, Undecodable, octets};
use super::tunnel_ports::TunnelPorts;
use super::{contents, ip, link, security, transport, tunnel};
use crate::capture::frame::{Frame, LinkType};

/// Octets of an untagged Ethernet header.
const ETHERNET_OCTETS: u32 = 14;

/// Maximum number of IP headers in one frame, the outermost included.
const MAX_IP_HEADERS: usize = 8;

/// Parameters of a decoder.
#[derive(Clone, Debug)]
pub struct DecoderSettings {
    /// Maximum number of fragmented packets that are kept.
    pub max_fragments: NonZeroUsize,
    /// UDP ports of tunnels.
    pub tunnel_ports: TunnelPorts,
    /// Frames may come from hosts whose packets have no length before segmentation offload, as
    /// savefiles of Windows. On Linux, a packet without a length is malformed, and the kernel drops
    /// it.
    pub is_before_offload: bool,
}

/// Decodes frames. Keeps the ports of fragmented packets.
#[derive(Debug)]
pub struct Decoder {
    fragments: FragmentTable,
    tunnel_ports: TunnelPorts,
    is_before_offload: bool,
}

impl Decoder {
    /// Creates a decoder that keeps no fragmented packet yet.
    #[must_use]
    pub fn new(settings: DecoderSettings) -> Self {
        Self {
            fragments: FragmentTable::new(settings.max_fragments),
            tunnel_ports: settings.tunnel_ports,
            is_before_offload: settings.is_before_offload,
        }
    }

    /// The fragmented packets that are kept.
    #[must_use]
    pub const fn fragments(&self) -> &FragmentTable {
        &self.fragments
    }

    /// Decodes one frame. Fills in the contents of the packet if `with_contents`.
    ///
    /// # Errors
    /// The reason why the frame has no IP packet.
    pub fn decode(
        &mut self,
        frame: &Frame<'_>,
        with_contents: bool,
    ) -> Result<PacketInfo, Undecodable> {
        let mut info = PacketInfo::default();
        self.decode_into(frame, with_contents, &mut info)?;
        Ok(info)
    }

    /// Decodes one frame into `info`, like [`Self::decode`] but without moving the packet. After an
    /// error, `info` is any packet. Returns the transport header and the payload as far as they
    /// were captured, nothing for later fragments.
    ///
    /// # Errors
    /// The reason why the frame has no IP packet.
    #[inline]
    pub fn decode_into<'f>(
        &mut self,
        frame: &Frame<'f>,
        with_contents: bool,
        info: &mut PacketInfo,
    ) -> Result<&'f [u8], Undecodable> {
        if !with_contents && let Some(transport) = self.decode_plain(frame, info) {
            return Ok(transport);
        }
        let first = link::network_layer(frame.link_type, frame.captured)?;
        let link_octets = octets(frame.captured.len().saturating_sub(first.packet.len()));
        let mut extent = Extent {
            wire_octets: frame.wire_octets.saturating_sub(link_octets),
            is_open: frame.is_wire_length_lost,
            is_before_offload: self.is_before_offload,
        };
        let (mut outer, mut inner) = (Header::EMPTY, Header::EMPTY);
        // References, because headers are too large to be moved for every packet.
        let (mut header, mut next_header) = (&mut outer, &mut inner);
        ip::read(first.packet, extent, first.version, header)?;
        *info = PacketInfo {
            vlan_id: first.vlan_id,
            security_protocol: authentication(header),
            is_wire_length_lost: header.octets > extent.wire_octets,
            ..PacketInfo::default()
        };
        let mut metered_octets = 0;
        for depth in 1.. {
            let inner = match tunnel::inside(header, &self.tunnel_ports) {
                Ok(None) => break,
                Ok(Some(_)) if depth == MAX_IP_HEADERS => Err(Undecodable::TooDeep),
                Ok(Some(inner)) => {
                    let packet = inner.network.packet;
                    let tunnel_octets = octets(header.payload.len().saturating_sub(packet.len()))
                        .saturating_add(header.header_octets);
                    extent.wire_octets = header.octets.saturating_sub(tunnel_octets);
                    // The payload of a first fragment continues in later ones.
                    extent.is_open |= header.fragment.is_some() || inner.is_truncated;
                    ip::read(packet, extent, inner.network.version, next_header)
                        .map(|()| (inner, tunnel_octets))
                }
                Err(fault) => Err(fault),
            };
            match inner {
                Ok((inner, tunnel_octets)) => {
                    if let Some(part) = header.fragment {
                        let network = info.network();
                        metered_octets =
                            self.fragments.tunnel(*header, part, network, frame.time_ns);
                    }
                    info.tunnel = Some(inner.tunnel(header));
                    if inner.framed {
                        info.vlan_id = inner.network.vlan_id;
                    }
                    info.encapsulation_octets =
                        info.encapsulation_octets.saturating_add(tunnel_octets);
                    std::mem::swap(&mut header, &mut next_header);
                    if header.is_authenticated {
                        info.security_protocol = SecurityProtocol::Ah;
                    }
                }
                Err(fault) => {
                    info.inner_fault = Some(fault);
                    break;
                }
            }
        }
        info.octets = header.octets;
        info.ip_class_of_service = header.class_of_service;
        info.key.source_address = header.source;
        info.key.destination_address = header.destination;
        info.key.protocol_identifier = header.protocol;
        if with_contents {
            info.contents = contents::of(header);
        }
        let mut transport = header.payload;
        match header.fragment {
            None => transport::read(header, info),
            Some(part) => {
                if part.is_first() {
                    transport::read(header, info);
                    info.payload_octets = 0;
                    info.tcp_options = TcpOptions::default();
                } else {
                    info.signal = Signal::Continuation;
                    info.header_octets = header.header_octets;
                    transport = &[];
                }
                *info = self.fragments.follow(*header, part, *info, frame.time_ns)?;
            }
        }
        if info.key.protocol_identifier == UDP {
            let ports = [info.key.source_port, info.key.destination_port];
            if let Some(protocol) = self.tunnel_ports.encrypted(ports)
                && let Some(found) = security::over_udp(protocol, transport, info.payload_octets)
            {
                info.security_protocol = found;
            }
        }
        if metered_octets != 0 {
            // Later fragments of the tunnel packet were observed first, and metered as that.
            let octets = info.octets.saturating_sub(metered_octets);
            info.octets = octets.max(header.header_octets);
            info.payload_octets = info.payload_octets.saturating_sub(metered_octets);
        }
        Ok(transport)
    }

    /// Decodes TCP or UDP over IPv4 without options, in an untagged Ethernet frame or in one inside
    /// such a datagram of VXLAN, as most packets are: by the same readers, but with the headers in
    /// registers. `None` for every other frame.
    #[inline(always)]
    fn decode_plain<'f>(&self, frame: &Frame<'f>, info: &mut PacketInfo) -> Option<&'f [u8]> {
        if frame.link_type != LinkType::Ethernet || frame.is_wire_length_lost {
            return None;
        }
        let header = plain_header(frame.captured, frame.wire_octets)?;
        if !self.may_be_tunnel(&header) {
            return Some(plain_packet(&header, None, 0, info));
        }
        let (tunnel, inner) = tunnel::plain_vxlan(&header, &self.tunnel_ports)?;
        let outside = header.header_octets.saturating_add(tunnel::VXLAN_OCTETS);
        let inner = plain_header(inner, header.octets.checked_sub(outside)?)?;
        if self.may_be_tunnel(&inner) {
            return None;
        }
        let encapsulation_octets = outside.saturating_add(ETHERNET_OCTETS);
        Some(plain_packet(
            &inner,
            Some(tunnel),
            encapsulation_octets,
            info,
        ))
    }

    /// True if a packet may be one of a tunnel over UDP, or of an encrypted protocol.
    #[inline(always)]
    fn may_be_tunnel(&self, header: &Header<'_>) -> bool {
        let [a, b, c, d, ..] = *header.payload else {
            return false;
        };
        let ports = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        header.protocol == UDP && self.tunnel_ports.may_have(ports)
    }
}

/// Reads the header of TCP or UDP over IPv4 without options, whole and in an untagged Ethernet
/// frame, which had `wire_octets`.
#[inline(always)]
fn plain_header(frame: &[u8], wire_octets: u32) -> Option<Header<'_>> {
    let (ethernet, packet) = frame.split_first_chunk::<14>()?;
    let ([.., 0x08, 0x00], [0x45, _, _, _, _, _, _, _, _, TCP | UDP, ..]) = (ethernet, packet)
    else {
        return None;
    };
    let extent = Extent {
        wire_octets: wire_octets.saturating_sub(ETHERNET_OCTETS),
        is_open: false,
        // Rare: those that the general reader accepts are left to it.
        is_before_offload: false,
    };
    let mut header = Header::EMPTY;
    ip::read(packet, extent, Version::V4, &mut header).ok()?;
    header.fragment.is_none().then_some(header)
}

/// Fills in a packet with a [`plain_header`]. Returns its payload.
#[inline(always)]
fn plain_packet<'f>(
    header: &Header<'f>,
    tunnel: Option<Tunnel>,
    encapsulation_octets: u32,
    info: &mut PacketInfo,
) -> &'f [u8] {
    *info = PacketInfo {
        key: FlowKey {
            source_address: header.source,
            destination_address: header.destination,
            protocol_identifier: header.protocol,
            ..FlowKey::default()
        },
        octets: header.octets,
        ip_class_of_service: header.class_of_service,
        tunnel,
        encapsulation_octets,
        ..PacketInfo::default()
    };
    transport::read(header, info);
    header.payload
}

#[inline(always)]
const fn authentication(header: &Header<'_>) -> SecurityProtocol {
    if header.is_authenticated {
        SecurityProtocol::Ah
    } else {
        SecurityProtocol::None
    }
}
