//! The result of decoding: one packet, or the reason why there is none.

use std::num::NonZeroU64;

use enum_map::Enum;
use flowproto::FlowKey;
use flowproto::record::{SecurityProtocol, Tunnel, TunnelType};
use strum::IntoStaticStr;

/// Why a frame, or the payload of a tunnel, has no IP packet that can be metered; the `reason` of a
/// metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Undecodable {
    /// ARP or RARP.
    Arp,
    /// A protocol other than IP, e.g. LLDP, spanning tree, PPP control.
    NotIp,
    /// A link type that is not supported.
    UnsupportedLink,
    /// The link layer has encrypted the packet (802.11, MACsec).
    Encrypted,
    /// The capture marks the frame as received with an error, such as an invalid check sequence.
    CorruptFrame,
    /// Truncated before the IP header.
    TruncatedLink,
    /// Truncated within the IP header.
    TruncatedIp,
    /// A contradictory IP header: version, header length, or a length beyond the end of the frame.
    /// Kernels drop such packets.
    MalformedIp,
    /// A contradictory or truncated tunnel header.
    MalformedTunnel,
    /// More tags, labels or IP headers than any network stacks.
    TooDeep,
    /// A later fragment of a tunnel packet. Not a loss: the inner packet was metered with the first
    /// fragment.
    TunnelFragment,
}

/// What the options of a TCP header report about lost segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions(u8);

impl TcpOptions {
    const COMPLETE: u8 = 1;
    const PERMITS_SACK: u8 = 2;
    const SACK: u8 = 4;
    const DUPLICATE_SACK: u8 = 8;

    /// The header has a valid length, and the packet is not a fragment.
    pub(super) const NONE: Self = Self(Self::COMPLETE);

    /// The packet has a complete TCP header, options included as far as they were captured.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.0 & Self::COMPLETE != 0
    }

    /// The sender permits selective acknowledgments (RFC 2018 §2).
    #[must_use]
    pub const fn permits_sack(self) -> bool {
        self.0 & Self::PERMITS_SACK != 0
    }

    /// The sender has octets beyond the acknowledgment number (RFC 2018 §3).
    #[must_use]
    pub const fn has_sack(self) -> bool {
        self.0 & Self::SACK != 0
    }

    /// The sender has received octets twice (RFC 2883).
    #[must_use]
    pub const fn has_duplicate_sack(self) -> bool {
        self.0 & Self::DUPLICATE_SACK != 0
    }

    pub(super) const fn permit_sack(&mut self) {
        self.0 |= Self::PERMITS_SACK;
    }

    /// Adds the blocks of a SACK option, as pairs of edges.
    pub(crate) fn sack(&mut self, acknowledged: u32, mut blocks: impl Iterator<Item = [u32; 2]>) {
        let is_after = |a: u32, b: u32| a.wrapping_sub(b).cast_signed() > 0;
        let Some([left, right]) = blocks.next() else {
            return;
        };
        let second = blocks.next();
        let is_within = second.is_some_and(|[outer_left, outer_right]| {
            !is_after(outer_left, left) && !is_after(right, outer_right)
        });
        // The first block is a duplicate below the acknowledgment number, or within the second one.
        let is_duplicate = !is_after(right, acknowledged) || is_within;
        // A keep-alive repeats the last octet, or one that never was (RFC 9293 §3.8.4).
        let is_keep_alive = right == acknowledged && right.wrapping_sub(left) == 1;
        if is_duplicate && !is_keep_alive {
            self.0 |= Self::DUPLICATE_SACK;
        }
        if !is_duplicate || second.is_some() {
            self.0 |= Self::SACK;
        }
    }
}

/// What a packet means for the state of its connection, or of its conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// No change.
    #[default]
    None,
    /// Asks for an answer: ICMP echo request and the like. Its sender is the initiator.
    Query,
    /// Cannot be the first packet: a later fragment, an ICMP answer or error.
    Continuation,
    /// Answers what its receiver has asked: a response of DNS and the like.
    Answer,
    /// Requests a connection: SYN without ACK, INIT.
    Open,
    /// Accepts a connection: SYN with ACK, INIT ACK.
    Accept,
    /// The sender has no more data: FIN.
    Finish,
    /// The connection has ended: RST, ABORT, SHUTDOWN COMPLETE.
    Abort,
}

/// One metered packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketInfo {
    /// Flow key of the innermost IP header. Ports are 0 if the protocol has none, if the transport
    /// header was not captured, and for a fragment whose first one was not seen.
    pub key: FlowKey,
    /// Octets of the innermost IP packet, header included: IPv4 total length, or IPv6 payload
    /// length + 40, or the length of a jumbogram. If a frame of more than 65,535 octets has none of
    /// these, its octets from the IP header on.
    pub octets: u32,
    /// Octets between the outermost and the innermost IP header.
    pub encapsulation_octets: u32,
    /// Payload octets that an offload may have merged from several segments, of TCP, UDP, SCTP or
    /// ESP; 0 for fragments and if the TCP header is truncated.
    pub payload_octets: u32,
    /// Octets of the headers that every segment of that payload has. Of a later fragment, those of
    /// the IP header.
    pub header_octets: u32,
    /// Octets of TCP options.
    pub tcp_option_octets: u32,
    /// TCP sequence number; for SCTP the initiate tag of an INIT or INIT ACK.
    pub sequence_number: u32,
    /// TCP acknowledgment number.
    pub acknowledgment_number: u32,
    /// 6 `tcpControlBits`.
    pub tcp_control_bits: u16,
    /// The window field of TCP, without its scale.
    pub tcp_window: u16,
    /// What the TCP options report.
    pub tcp_options: TcpOptions,
    /// Maximum segment size that a TCP SYN announces, octets; 0 if it announces none.
    pub maximum_segment_octets: u16,
    /// 32/139: ICMP type × 256 + code.
    pub icmp_type_code: u16,
    /// 5 `ipClassOfService`.
    pub ip_class_of_service: u8,
    /// Meaning for the connection.
    pub signal: Signal,
    /// 58 `vlanId`: the outermost tag of the frame around the innermost IP header; 0 if untagged.
    pub vlan_id: u16,
    /// The header next outside.
    pub tunnel: Option<Tunnel>,
    /// What protects the packet, as far as 4 `protocolIdentifier` does not show it.
    pub security_protocol: SecurityProtocol,
    /// Why the payload of a tunnel was not metered instead of the tunnel's own packet.
    pub inner_fault: Option<Undecodable>,
    /// The IP header claims more octets than the frame, whose length on the wire was lost.
    pub is_wire_length_lost: bool,
    /// Contents that copies of the packet have in common; [`PacketContents::default`] unless
    /// requested.
    pub contents: PacketContents,
}

impl PacketInfo {
    /// Octets behind the IP and transport headers, also of fragments. 0 for protocols whose header
    /// is not read, and if it was not captured.
    #[inline]
    #[must_use]
    pub const fn transport_octets(&self) -> u32 {
        match self.header_octets {
            0 => 0,
            header_octets => self.octets.saturating_sub(header_octets),
        }
    }

    /// The virtual network of the packet.
    #[inline]
    #[must_use]
    pub fn network(&self) -> NetworkId {
        NetworkId::new(self.tunnel.as_ref(), self.vlan_id)
    }
}

/// The virtual network of a packet: VXLAN or Geneve network identifier, GRE key, GTP-U or L2TP
/// identifier, and VLAN. Equal addresses in two networks are different hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkId(NonZeroU64);

impl NetworkId {
    /// No virtual network.
    pub const NONE: Self = Self(NonZeroU64::MIN);
    const VLAN: u64 = 0xfff << 1;
    const KEY: u64 = !Self::VLAN;

    #[inline]
    fn new(tunnel: Option<&Tunnel>, vlan_id: u16) -> Self {
        let key = match tunnel {
            None => 0,
            // Tunnels without a key, and GRE if it has none.
            Some(tunnel)
                if tunnel.tunnel_key == 0
                    && !matches!(tunnel.tunnel_type, TunnelType::Vxlan | TunnelType::Geneve) =>
            {
                0
            }
            Some(tunnel) => {
                u64::from(tunnel.tunnel_type.number()) << 45 | u64::from(tunnel.tunnel_key) << 13
            }
        };
        // The lowest bit is always set, so that an Option takes no more room.
        Self(NonZeroU64::MIN | key | u64::from(vlan_id) << 1 & Self::VLAN)
    }

    /// A number that no other network has.
    pub(super) const fn bits(self) -> u64 {
        self.0.get()
    }

    /// True if copies of one packet may have both: an interface below a tunnel or a VLAN shows the
    /// network, one above it does not.
    #[must_use]
    pub const fn is_compatible(self, other: Self) -> bool {
        const fn matches(a: NonZeroU64, b: NonZeroU64, part: u64) -> bool {
            let (a, b) = (a.get() & part, b.get() & part);
            // The lowest bit belongs to the key.
            a == b || a <= 1 || b <= 1
        }
        matches(self.0, other.0, Self::KEY) && matches(self.0, other.0, Self::VLAN)
    }
}

impl Default for NetworkId {
    fn default() -> Self {
        Self::NONE
    }
}

/// What distinguishes a packet from others of its flow, and is the same in all its copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketContents {
    /// Hash of the identification and of the position of a fragment, of the transport header
    /// without its checksum, and of the first octets of the payload.
    pub hash: u64,
    /// How likely another packet of the flow has the same hash.
    pub repetition: Repetition,
}

/// How likely another packet of a flow has the same contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repetition {
    /// Nothing in the header distinguishes packets with equal payload.
    #[default]
    Likely,
    /// The packet has an IP identification. Some senders use the same one for all packets.
    Unlikely,
    /// The packet has octets of a TCP stream. Only a retransmission is equal.
    Retransmission,
}

/// A length as the 32-bit number that lengths of packets are.
pub(super) fn octets(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
