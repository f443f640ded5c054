//! A conversation between two hosts: what its packets are, one after the other.

use std::net::{IpAddr, Ipv4Addr};

/// Largest IP packet on the wire, in octets.
const MTU: u64 = 1500;
/// Octets that VXLAN over IPv4 adds to an inner packet.
const VXLAN_OVERHEAD: u64 = 50;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// Octets of TCP options in a SYN: MSS, SACK permitted, timestamps, window scale.
pub(crate) const SYN_OPTIONS: u64 = 20;
/// Octets of TCP options in every other segment: timestamps.
pub(crate) const DATA_OPTIONS: u64 = 12;

/// Name that DNS queries ask for; the two digits differ between conversations.
pub(crate) const DNS_NAME: &[u8] = b"\x05svc00\x02ns\x03svc\x07cluster\x05local\x00";
const DNS_QUERY: u64 = 12 + DNS_NAME.len() as u64 + 4;
const DNS_ANSWER: u64 = DNS_QUERY + 16;

/// What a conversation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConversationKind {
    /// TCP from SYN to FIN.
    Complete,
    /// TCP that the client ends with RST.
    Aborted,
    /// A SYN that is answered by RST.
    Refused,
    /// A DNS query and its answer.
    Dns,
    /// QUIC-like UDP in both directions.
    Quic,
    /// ICMP echo requests and replies.
    Echo,
    /// SYNs without an answer.
    Unanswered,
    /// Syslog-like UDP in one direction.
    Syslog,
}

impl ConversationKind {
    /// Fewest packets of such a conversation.
    pub(crate) fn min_packets(self) -> u64 {
        match self {
            Self::Complete => 6,
            Self::Aborted => 4,
            Self::Refused | Self::Dns | Self::Quic | Self::Echo => 2,
            Self::Unanswered | Self::Syslog => 1,
        }
    }

    /// True if such a conversation may have any number of packets.
    pub(crate) fn is_elastic(self) -> bool {
        matches!(
            self,
            Self::Complete | Self::Aborted | Self::Quic | Self::Syslog
        )
    }

    /// IP protocol number.
    pub(crate) fn protocol(self, is_ipv6: bool) -> u8 {
        match self {
            Self::Complete | Self::Aborted | Self::Refused | Self::Unanswered => 6,
            Self::Dns | Self::Quic | Self::Syslog => 17,
            Self::Echo if is_ipv6 => 58,
            Self::Echo => 1,
        }
    }
}

/// A conversation and how far it has come.
pub(crate) struct Conversation {
    pub(crate) kind: ConversationKind,
    pub(crate) is_ipv6: bool,
    pub(crate) is_vxlan: bool,
    /// Packets in all.
    pub(crate) packets: u64,
    /// Packets written so far.
    pub(crate) written: u64,
    /// Number of the other node, for VXLAN.
    pub(crate) node: u8,
    /// VXLAN Network Identifier.
    pub(crate) vni: u32,
    pub(crate) client: IpAddr,
    pub(crate) server: IpAddr,
    pub(crate) client_port: u16,
    pub(crate) server_port: u16,
    pub(crate) client_sequence: u32,
    pub(crate) server_sequence: u32,
}

/// What one packet carries.
pub(crate) struct Segment {
    /// True from the client to the server.
    pub(crate) is_forward: bool,
    pub(crate) tcp_flags: u8,
    /// Octets of TCP options.
    pub(crate) options: u64,
    /// Octets behind the transport header.
    pub(crate) payload: u64,
}

impl Conversation {
    pub(crate) fn new(kind: ConversationKind) -> Self {
        Self {
            kind,
            is_ipv6: false,
            is_vxlan: false,
            packets: kind.min_packets(),
            written: 0,
            node: 0,
            vni: 1,
            client: Ipv4Addr::UNSPECIFIED.into(),
            server: Ipv4Addr::UNSPECIFIED.into(),
            client_port: 0,
            server_port: 0,
            client_sequence: 0,
            server_sequence: 0,
        }
    }

    pub(crate) fn protocol(&self) -> u8 {
        self.kind.protocol(self.is_ipv6)
    }

    /// MSS that both ends announce.
    pub(crate) fn mss(&self) -> u16 {
        let headers = if self.is_ipv6 { 60 } else { 40 };
        (self.mtu() - headers) as u16
    }

    fn mtu(&self) -> u64 {
        MTU - if self.is_vxlan { VXLAN_OVERHEAD } else { 0 }
    }

    /// Returns the next packet; `random` decides what the kind of conversation leaves open.
    pub(crate) fn segment(&self, random: u64) -> Segment {
        let tcp = |is_forward, tcp_flags, options| Segment {
            is_forward,
            tcp_flags,
            options,
            payload: 0,
        };
        let udp = |is_forward, payload| Segment {
            is_forward,
            tcp_flags: 0,
            options: 0,
            payload,
        };
        let remaining = self.packets - self.written;
        match (self.kind, self.written) {
            (ConversationKind::Complete | ConversationKind::Aborted, 0)
            | (ConversationKind::Refused, 0)
            | (ConversationKind::Unanswered, _) => tcp(true, SYN, SYN_OPTIONS),
            (ConversationKind::Refused, _) => tcp(false, RST | ACK, 0),
            (ConversationKind::Complete | ConversationKind::Aborted, 1) => {
                tcp(false, SYN | ACK, SYN_OPTIONS)
            }
            (ConversationKind::Complete | ConversationKind::Aborted, 2) => {
                tcp(true, ACK, DATA_OPTIONS)
            }
            (ConversationKind::Complete, _) => match remaining {
                3 => tcp(true, FIN | ACK, DATA_OPTIONS),
                2 => tcp(false, FIN | ACK, DATA_OPTIONS),
                1 => tcp(true, ACK, DATA_OPTIONS),
                _ => self.data(random),
            },
            (ConversationKind::Aborted, _) if remaining == 1 => tcp(true, RST, 0),
            (ConversationKind::Aborted, _) => self.data(random),
            (ConversationKind::Dns, 0) => udp(true, DNS_QUERY),
            (ConversationKind::Dns, _) => udp(false, DNS_ANSWER),
            (ConversationKind::Quic, number) => {
                let is_forward = match number {
                    0 => true,
                    1 => false,
                    _ => (random >> 21).is_multiple_of(4),
                };
                udp(is_forward, self.imix(random, 8).max(24))
            }
            (ConversationKind::Syslog, _) => udp(true, 80 + random % 400),
            (ConversationKind::Echo, number) => udp(number % 2 == 0, 56),
        }
    }

    /// A TCP segment of the transfer: data goes mostly to the client, bare ACKs both ways.
    fn data(&self, random: u64) -> Segment {
        let payload = self.imix(random, 20 + DATA_OPTIONS);
        let (is_forward, tcp_flags) = if payload == 0 {
            (random & (1 << 20) != 0, ACK)
        } else {
            ((random >> 21).is_multiple_of(5), ACK | PSH)
        };
        Segment {
            is_forward,
            tcp_flags,
            options: DATA_OPTIONS,
            payload,
        }
    }

    /// Payload of a packet of the simple IMIX: 7 of 12 empty, 4 of 576 octets, 1 of the MTU.
    fn imix(&self, random: u64, transport_header: u64) -> u64 {
        let headers = if self.is_ipv6 { 40 } else { 20 } + transport_header;
        match random % 12 {
            0..=6 => 0,
            7..=10 => 576 - headers,
            _ => self.mtu() - headers,
        }
    }
}
