//! The result of decoding: one packet, or the reason why there is none.

use flowproto::FlowKey;
use flowproto::record::Tunnel;

/// Why a frame, or the payload of a tunnel, has no IP packet that can be metered; the `reason` of a
/// metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undecodable {
    /// ARP or RARP.
    Arp,
    /// A protocol other than IP, e.g. LLDP, spanning tree, PPP control.
    NotIp,
    /// Truncated before the IP header.
    TruncatedLink,
    /// Truncated within the IP header.
    TruncatedIp,
    /// A contradictory IP header: version, header length, total length.
    MalformedIp,
    /// A contradictory or truncated tunnel header.
    MalformedTunnel,
    /// More tags, labels or IP headers than any network stacks.
    TooDeep,
    /// A later fragment of a tunnel packet. Not a loss: the inner packet was metered with the first
    /// fragment.
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

    /// The value of the label `reason`.
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

    /// Its position in [`Self::ALL`].
    #[must_use]
    #[allow(
        clippy::as_conversions,
        reason = "the discriminant of a fieldless enum"
    )]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What a packet means for the state of its connection (TCP flags, SCTP chunks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// No change.
    #[default]
    None,
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
    /// length + 40. If that length is 0, the octets of the frame from the IP header on.
    pub octets: u32,
    /// Octets between the outermost and the innermost IP header.
    pub encapsulation_octets: u32,
    /// TCP payload octets; 0 for fragments and if the TCP header is truncated.
    pub payload_octets: u32,
    /// Octets of the IP and TCP headers before that payload.
    pub header_octets: u32,
    /// Octets of TCP options.
    pub tcp_option_octets: u32,
    /// TCP sequence number; for SCTP the initiate tag of an INIT or INIT ACK.
    pub sequence_number: u32,
    /// TCP acknowledgment number.
    pub acknowledgment_number: u32,
    /// 6 `tcpControlBits`.
    pub tcp_control_bits: u16,
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
    /// Why the payload of a tunnel was not metered instead of the tunnel's own packet.
    pub inner_fault: Option<Undecodable>,
}

/// A length as the 32-bit number that lengths of packets are.
pub(super) fn octets(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
