//! Decoding: a captured frame → [`PacketInfo`], or the reason why it is none. Second stage of the path,
//! between [`crate::capture`] and [`crate::cache`].
//!
//! The flow is the *innermost* IP header; the header closest outside it is kept as the tunnel. The stages
//! are files: `link` finds the first IP header of a frame, `ip` reads one, `tunnel` looks for the
//! next one inside, `transport` reads ports and flags, [`fragment`] gives later fragments the ports of
//! their first. A fragmented tunnel packet is metered once, with its first fragment, as the packet inside.
//!
//! Bytes come from the network: every length is checked, nothing is allocated, and every loop ends with
//! the data or at a constant. An inner packet that cannot be used does not lose the outer one.
#![warn(clippy::arithmetic_side_effects)]

pub mod fragment;
mod ip;
mod link;
mod transport;
mod tunnel;

pub use fragment::FragmentTable;
pub use link::LinkType;

use flowproto::FlowKey;
use flowproto::record::Tunnel;

/// IP headers looked through in one frame, the outermost included. More are only made to waste time.
const MAX_IP_HEADERS: usize = 8;

/// Why a frame, or what a tunnel carried, is no IP packet that can be metered; a metric's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undecodable {
    /// ARP or RARP.
    Arp,
    /// Another protocol than IP, e.g. LLDP, spanning tree, PPP control.
    NotIp,
    /// Cut off before the IP header.
    TruncatedLink,
    /// Cut off within the IP header.
    TruncatedIp,
    /// An IP header that contradicts itself: version, header length, total length.
    MalformedIp,
    /// A tunnel header that contradicts itself or that is cut off.
    MalformedTunnel,
    /// More tags, labels or IP headers than anyone stacks.
    TooDeep,
    /// A later fragment of a tunnel's packet. No loss: the packet inside was metered whole with the first.
    TunnelFragment,
}

impl Undecodable {
    /// All reasons, in the order of their discriminants.
    pub const ALL: [Self; 8] = [
        Self::Arp,
        Self::NotIp,
        Self::TruncatedLink,
        Self::TruncatedIp,
        Self::MalformedIp,
        Self::MalformedTunnel,
        Self::TooDeep,
        Self::TunnelFragment,
    ];

    /// The reason as a metric's label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arp => "arp",
            Self::NotIp => "not_ip",
            Self::TruncatedLink => "truncated_link",
            Self::TruncatedIp => "truncated_ip",
            Self::MalformedIp => "malformed_ip",
            Self::MalformedTunnel => "malformed_tunnel",
            Self::TooDeep => "too_deep",
            Self::TunnelFragment => "tunnel_fragment",
        }
    }

    /// Its place in [`Self::ALL`].
    #[must_use]
    #[allow(clippy::as_conversions, reason = "a fieldless enum's discriminant")]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A frame as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The octets that were captured: the first ones of the frame.
    pub captured: &'a [u8],
    /// Octets that the frame had on the wire, ≥ those captured.
    pub wire_octets: u32,
    /// What the frame begins with.
    pub link_type: LinkType,
    /// When it was captured, nanoseconds since the epoch.
    pub time_ns: u64,
}

/// What a packet says of the state of its connection (TCP flags, SCTP chunks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// Nothing: the connection goes on.
    #[default]
    None,
    /// Asks for a connection: SYN without ACK, INIT.
    Open,
    /// Grants one: SYN with ACK, INIT ACK.
    Accept,
    /// This side sends no more: FIN.
    Finish,
    /// The connection is over: RST, ABORT, SHUTDOWN COMPLETE.
    Abort,
}

/// One metered packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketInfo {
    /// Flow key of the innermost IP header. Ports are 0 where the protocol has none, where the transport
    /// header was not captured, and for a fragment whose first one was not seen.
    pub key: FlowKey,
    /// Octets of the innermost IP packet, header included: IPv4 total length, IPv6 payload length + 40; where
    /// that is 0, what the frame holds from the IP header on.
    pub octets: u32,
    /// Octets between the outermost and the innermost IP header.
    pub encapsulation_octets: u32,
    /// TCP payload octets; 0 for fragments and where the TCP header is cut off.
    pub payload_octets: u32,
    /// Octets of the IP and TCP headers before that payload.
    pub header_octets: u32,
    /// Octets of TCP options.
    pub tcp_option_octets: u32,
    /// TCP sequence number; SCTP: the initiate tag of an INIT or INIT ACK.
    pub sequence_number: u32,
    /// TCP acknowledgment number.
    pub acknowledgment_number: u32,
    /// 6 `tcpControlBits`.
    pub tcp_control_bits: u16,
    /// Maximum segment size that a TCP SYN announces, octets; 0 where it does not.
    pub maximum_segment_octets: u16,
    /// 32/139: ICMP type × 256 + code.
    pub icmp_type_code: u16,
    /// 5 `ipClassOfService`.
    pub ip_class_of_service: u8,
    /// What it means for its connection.
    pub signal: Signal,
    /// 58 `vlanId`: the outermost tag of the frame next around the innermost IP header; 0 untagged.
    pub vlan_id: u16,
    /// The header closest outside.
    pub tunnel: Option<Tunnel>,
    /// Why a tunnel was not looked into, though its header was there.
    pub inner_fault: Option<Undecodable>,
}

/// Decodes one frame. `fragments` learns from first fragments and tells later ones their ports.
///
/// # Errors
/// The reason why the frame holds no IP packet.
#[inline]
pub fn decode(frame: &Frame<'_>, fragments: &mut FragmentTable) -> Result<PacketInfo, Undecodable> {
    let first = link::network_layer(frame.link_type, frame.captured)?;
    let missing = frame
        .wire_octets
        .saturating_sub(octets(frame.captured.len()));
    let mut header = ip::header(first.packet, missing, first.version)?;
    let mut info = PacketInfo {
        vlan_id: first.vlan_id,
        ..PacketInfo::default()
    };
    let mut packet = first.packet;
    for depth in 1.. {
        let inner = match tunnel::inside(&header) {
            Ok(None) => break,
            Ok(Some(_)) if depth == MAX_IP_HEADERS => Err(Undecodable::TooDeep),
            Ok(Some(inner)) => ip::header(inner.network.packet, missing, inner.network.version)
                .map(|inner_header| (inner, inner_header)),
            Err(fault) => Err(fault),
        };
        match inner {
            Ok((inner, inner_header)) => {
                info.tunnel = Some(inner.tunnel(&header));
                if inner.framed {
                    info.vlan_id = inner.network.vlan_id;
                }
                packet = inner.network.packet;
                if let Some(part) = header.fragment {
                    fragments.tunnel(header, part, frame.time_ns);
                }
                header = inner_header;
            }
            Err(fault) => {
                info.inner_fault = Some(fault);
                break;
            }
        }
    }
    info.encapsulation_octets = octets(first.packet.len().saturating_sub(packet.len()));
    info.octets = header.octets;
    info.ip_class_of_service = header.class_of_service;
    info.key.source_address = header.source;
    info.key.destination_address = header.destination;
    info.key.protocol_identifier = header.protocol;
    match header.fragment {
        None => transport::read(&header, &mut info),
        Some(part) => {
            if part.first {
                transport::read(&header, &mut info);
                info.payload_octets = 0;
            }
            info = fragments.follow(header, part, info, frame.time_ns)?;
        }
    }
    Ok(info)
}

/// A length as the 32-bit number that lengths of packets are.
fn octets(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
