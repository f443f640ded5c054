//! The flow record: one direction of a conversation as measured by a Metering Process, or as read
//! by a Collecting Process from the Data Record of any exporter. Fields are named after the
//! Information Elements of IANA, in snake case; the number in front of each name is its identifier.

use enum_map::Enum;
use strum::FromRepr;

use crate::address::Address;
use crate::dns::{DnsHealth, DnsQuery};
use crate::host_name::ResponderName;
use crate::http::{HttpHealth, HttpRequest};
pub use crate::sampling::Sampling;
use crate::tcp::{ConnectionState, Handshake, RoundTripTime, TcpHealth};
pub use crate::tunnel::{SecurityProtocol, Tunnel, TunnelType};

/// The five properties that packets of one flow have in common (RFC 7011 §2, "Flow Key").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// 8 `sourceIPv4Address` or 27 `sourceIPv6Address`.
    pub source_address: Address,
    /// 12 `destinationIPv4Address` or 28 `destinationIPv6Address`.
    pub destination_address: Address,
    /// 7 `sourceTransportPort`; 0 where the protocol has no ports.
    pub source_port: u16,
    /// 11 `destinationTransportPort`; 0 where the protocol has no ports.
    pub destination_port: u16,
    /// 4 `protocolIdentifier`, of the last header of an IPv6 chain.
    pub protocol_identifier: u8,
}

impl FlowKey {
    /// Whether IPv4 elements can carry both addresses: the source is IPv4, and the destination is
    /// IPv4 or not carried.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        let destination = self.destination_address;
        self.source_address.is_ipv4() && (destination.is_ipv4() || destination.is_unspecified())
    }

    /// The key of the reverse direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source_address: self.destination_address,
            destination_address: self.source_address,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol_identifier: self.protocol_identifier,
        }
    }
}

/// 136 `flowEndReason`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum, FromRepr)]
#[repr(u8)]
pub enum FlowEndReason {
    /// Not reported.
    #[default]
    Unknown = 0,
    /// No packet for the idle timeout.
    IdleTimeout = 1,
    /// Active timeout: the flow continues.
    ActiveTimeout = 2,
    /// The end was seen, e.g. TCP FIN or RST.
    EndOfFlowDetected = 3,
    /// The Metering Process was stopped.
    ForcedEnd = 4,
    /// Its slot in the flow cache was needed.
    LackOfResources = 5,
}

impl FlowEndReason {
    /// The value on the wire.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "the discriminants are the wire values"
    )]
    pub const fn octet(self) -> u8 {
        self as u8
    }
}

impl From<u8> for FlowEndReason {
    fn from(value: u8) -> Self {
        Self::from_repr(value).unwrap_or_default()
    }
}

/// 239 `biflowDirection` (RFC 5103 §6.3): how source and destination of the record were chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromRepr)]
#[repr(u8)]
pub enum BiflowDirection {
    /// The initiator is not known.
    #[default]
    Arbitrary = 0,
    /// The source of this record is the initiator.
    Initiator = 1,
    /// The destination of this record is the initiator.
    ReverseInitiator = 2,
    /// By the side of a perimeter.
    Perimeter = 3,
}

impl BiflowDirection {
    /// The value on the wire.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "the discriminants are the wire values"
    )]
    pub const fn octet(self) -> u8 {
        self as u8
    }
}

/// The flow key after network address translation, as the record's Observation Point reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// 225 `postNATSourceIPv4Address` or 281; unspecified where not carried.
    pub post_nat_source_address: Address,
    /// 226 `postNATDestinationIPv4Address` or 282; unspecified where not carried.
    pub post_nat_destination_address: Address,
    /// 227 `postNAPTSourceTransportPort`; 0 where not carried.
    pub post_napt_source_port: u16,
    /// 228 `postNAPTDestinationTransportPort`; 0 where not carried.
    pub post_napt_destination_port: u16,
}

/// Interfaces and direction at the Observation Point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// 10 `ingressInterface`, an ifIndex; 0 where unknown.
    pub ingress_interface: u32,
    /// 14 `egressInterface`, an ifIndex; 0 where unknown.
    pub egress_interface: u32,
    /// 61 `flowDirection`: 0 ingress, 1 egress; `None` if not reported.
    pub flow_direction: Option<u8>,
}

/// One flow record. Numbers that a record does not carry are 0, addresses are unspecified. Where
/// "not carried" and "zero" differ in meaning, the field is an `Option`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowRecord {
    /// Endpoints and protocol.
    pub key: FlowKey,
    /// 1 `octetDeltaCount`: octets of IP packets, headers included. Records of other exporters: see
    /// [`crate::collector`] for the elements it is read from.
    pub octet_delta_count: u64,
    /// 2 `packetDeltaCount`.
    pub packet_delta_count: u64,
    /// 401 `transportOctetDeltaCount`: octets behind the IP and transport headers; `None` if not
    /// reported.
    pub transport_octet_delta_count: Option<u64>,
    /// 29305:1, octets of the reverse direction of a biflow record (RFC 5103).
    pub reverse_octet_delta_count: u64,
    /// 29305:2, packets of the reverse direction of a biflow record.
    pub reverse_packet_delta_count: u64,
    /// 29305:401, octets behind the headers of the reverse direction of a biflow record.
    pub reverse_transport_octet_delta_count: Option<u64>,
    /// 29305:152, start of the reverse direction of a biflow record, milliseconds since the epoch;
    /// 0 unknown.
    pub reverse_flow_start_milliseconds: u64,
    /// 29305:153, end of the reverse direction of a biflow record, milliseconds since the epoch; 0
    /// unknown.
    pub reverse_flow_end_milliseconds: u64,
    /// 29305:6, TCP flags of the reverse direction of a biflow record.
    pub reverse_tcp_control_bits: u16,
    /// 152 `flowStartMilliseconds`, since the epoch; 0 unknown.
    pub flow_start_milliseconds: u64,
    /// 153 `flowEndMilliseconds`, since the epoch; 0 unknown.
    pub flow_end_milliseconds: u64,
    /// 6 `tcpControlBits`, all flags seen.
    pub tcp_control_bits: u16,
    /// 5 `ipClassOfService` of the first packet.
    pub ip_class_of_service: u8,
    /// 136 `flowEndReason`.
    pub flow_end_reason: FlowEndReason,
    /// 239 `biflowDirection`; `None` if not reported.
    pub biflow_direction: Option<BiflowDirection>,
    /// 278 `newConnectionDeltaCount`; `None` where the exporter does not count connections.
    pub new_connection_delta_count: Option<u32>,
    /// 279 `connectionSumDurationSeconds`; `None` where not carried.
    pub connection_sum_duration_seconds: Option<u64>,
    /// 32473:15 `connectionSumDurationMilliseconds`, the same in milliseconds; 0 if not carried.
    pub connection_sum_duration_milliseconds: u64,
    /// 32473:23 `tcpConnectionState`.
    pub tcp_connection_state: ConnectionState,
    /// 32473:24, 25 or 35632:123, 124: round-trip times of the handshake.
    pub tcp_handshake: Handshake,
    /// DNS messages of the conversation.
    pub dns: DnsHealth,
    /// The latest DNS query; only in records to export.
    pub dns_query: Option<DnsQuery>,
    /// HTTP messages of the conversation.
    pub http: HttpHealth,
    /// The latest HTTP request; only in records to export.
    pub http_request: Option<HttpRequest>,
    /// Losses of a TCP flow in this direction.
    pub tcp_health: TcpHealth,
    /// Losses of the reverse direction of a biflow record.
    pub reverse_tcp_health: TcpHealth,
    /// Round-trip times between the Observation Point and the destination.
    pub tcp_round_trip_time: RoundTripTime,
    /// Round-trip times between the Observation Point and the source, in a biflow record.
    pub reverse_tcp_round_trip_time: RoundTripTime,
    /// 32 `icmpTypeCodeIPv4` or 139 `icmpTypeCodeIPv6`: type × 256 + code.
    pub icmp_type_code: u16,
    /// 58 `vlanId`; 0 untagged.
    pub vlan_id: u16,
    /// 10, 14, 61; `None` where the Observation Point is not an interface (a savefile).
    pub interfaces: Option<Interfaces>,
    /// 6876:891–897, 32473:46.
    pub tunnel: Option<Tunnel>,
    /// 32473:47.
    pub security_protocol: SecurityProtocol,
    /// 225–228, 281, 282.
    pub translation: Option<Translation>,
    /// 16 `bgpSourceAsNumber`.
    pub bgp_source_as_number: u32,
    /// 17 `bgpDestinationAsNumber`.
    pub bgp_destination_as_number: u32,
    /// 9 or 29, prefix length.
    pub source_prefix_length: u8,
    /// 13 or 30, prefix length.
    pub destination_prefix_length: u8,
    /// 15 or 62 `ipNextHop…Address`.
    pub ip_next_hop_address: Address,
    /// Sampling in force for octets and packets, selection of flows included: that of the record
    /// itself, else that announced in options data.
    pub sampling: Sampling,
    /// Selection of flows (RFC 7014), by which connections are scaled too.
    pub flow_sampling: Sampling,
    /// Where connections are counted from records: this one adds none, because an earlier record of
    /// the same connection did, or because the connection was denied.
    pub is_continuation: bool,
    /// 130 or 131 `exporterIPv4Address`/`exporterIPv6Address`, if the record itself carries it.
    pub exporter_address: Address,
    /// 32473:45, 35632:188 or 460: the name by which the initiator reached the responder, who is
    /// the destination in a record of the initiator and the source in one of the responder.
    pub responder_name: Option<ResponderName>,
}

impl FlowRecord {
    /// Whether the record has counts of the reverse direction (RFC 5103).
    #[must_use]
    pub const fn is_biflow(&self) -> bool {
        self.reverse_packet_delta_count != 0 || self.reverse_octet_delta_count != 0
    }

    /// What protects the packets: as the record reports it, or by its IP protocol.
    #[must_use]
    pub const fn protection(&self) -> SecurityProtocol {
        match (self.security_protocol, self.key.protocol_identifier) {
            (SecurityProtocol::None, 50) => SecurityProtocol::Esp,
            (SecurityProtocol::None, 51) => SecurityProtocol::Ah,
            (reported, _) => reported,
        }
    }

    /// The duration of its connections since the last record that had one, milliseconds: 32473:15,
    /// else 279. 0 for a connection that has ended and has neither, `None` for others without a
    /// duration.
    #[must_use]
    pub fn connection_milliseconds(&self) -> Option<u64> {
        let seconds = self.connection_sum_duration_seconds.unwrap_or_default();
        let milliseconds = match self.connection_sum_duration_milliseconds {
            0 => seconds.saturating_mul(1000),
            milliseconds => milliseconds,
        };
        (milliseconds != 0 || self.tcp_connection_state.has_ended()).then_some(milliseconds)
    }

    /// The time between the first and the last packet of its own direction, milliseconds. `None`
    /// without both times.
    #[must_use]
    pub const fn flow_milliseconds(&self) -> Option<u64> {
        match (self.flow_start_milliseconds, self.flow_end_milliseconds) {
            (0, _) | (_, 0) => None,
            (start, end) => end.checked_sub(start),
        }
    }

    /// Splits a biflow record into two uniflow records (RFC 5103 §3).
    #[must_use]
    pub fn directions(&self) -> [Self; 2] {
        [self.forward(), self.reverse()]
    }

    /// The forward direction as a record of its own. The connection belongs to it.
    #[must_use]
    pub fn forward(&self) -> Self {
        Self {
            reverse_octet_delta_count: 0,
            reverse_packet_delta_count: 0,
            reverse_transport_octet_delta_count: None,
            reverse_flow_start_milliseconds: 0,
            reverse_flow_end_milliseconds: 0,
            reverse_tcp_control_bits: 0,
            reverse_tcp_health: TcpHealth::default(),
            reverse_tcp_round_trip_time: RoundTripTime::default(),
            ..self.clone()
        }
    }

    /// The reverse direction as a record of its own. Properties of the forward direction only
    /// (tunnel, interfaces, translation, routing, class of service) are left out. A time that is
    /// not known is that of the forward direction.
    #[must_use]
    pub fn reverse(&self) -> Self {
        let known = |time: u64, forward: u64| if time == 0 { forward } else { time };
        Self {
            key: self.key.reversed(),
            octet_delta_count: self.reverse_octet_delta_count,
            packet_delta_count: self.reverse_packet_delta_count,
            transport_octet_delta_count: self.reverse_transport_octet_delta_count,
            flow_start_milliseconds: known(
                self.reverse_flow_start_milliseconds,
                self.flow_start_milliseconds,
            ),
            flow_end_milliseconds: known(
                self.reverse_flow_end_milliseconds,
                self.flow_end_milliseconds,
            ),
            tcp_control_bits: self.reverse_tcp_control_bits,
            flow_end_reason: self.flow_end_reason,
            biflow_direction: self.biflow_direction.map(|direction| match direction {
                BiflowDirection::Initiator => BiflowDirection::ReverseInitiator,
                BiflowDirection::ReverseInitiator => BiflowDirection::Initiator,
                other => other,
            }),
            new_connection_delta_count: self.new_connection_delta_count.map(|_| 0),
            connection_sum_duration_seconds: self.connection_sum_duration_seconds.map(|_| 0),
            tcp_health: self.reverse_tcp_health,
            tcp_round_trip_time: self.reverse_tcp_round_trip_time,
            vlan_id: self.vlan_id,
            security_protocol: self.security_protocol,
            sampling: self.sampling,
            flow_sampling: self.flow_sampling,
            is_continuation: true,
            exporter_address: self.exporter_address,
            responder_name: self.responder_name.clone(),
            ..Self::default()
        }
    }
}
