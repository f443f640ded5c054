//! What a forwarded record has. Its template follows from that: fields that were not measured, and
//! names that are not known, are left out. So a record without a count of connections is not taken
//! for one of no connection.

use flowproto::Address;
use flowproto::protocol;
use flowproto::record::{FlowEndReason, Sampling, SecurityProtocol, TunnelType};

use super::names::Names;
use super::record::ForwardedRecord;

pub(super) const IPV6: u64 = 1;
pub(super) const INTERFACES: u64 = 1 << 1;
pub(super) const DIRECTION: u64 = 1 << 2;
/// Address or port after translation.
pub(super) const NAT_SOURCE: u64 = 1 << 3;
pub(super) const NAT_DESTINATION: u64 = 1 << 4;
pub(super) const NAPT_SOURCE: u64 = 1 << 5;
pub(super) const NAPT_DESTINATION: u64 = 1 << 6;
/// An address after translation is IPv6, whatever the family before (NAT64).
pub(super) const NAT_V6: u64 = 1 << 7;
pub(super) const TUNNELLED: u64 = 1 << 8;
/// The tunnel has a type in the registry.
pub(super) const KEYED: u64 = 1 << 9;
pub(super) const VXLAN: u64 = 1 << 10;
pub(super) const OUTER_V4: u64 = 1 << 11;
/// The exporter counts connections.
pub(super) const CONNECTIONS: u64 = 1 << 12;
pub(super) const DURATION: u64 = 1 << 13;
/// The exporter reports the initiator.
pub(super) const INITIATED: u64 = 1 << 14;
pub(super) const SOURCE_AS: u64 = 1 << 15;
pub(super) const DESTINATION_AS: u64 = 1 << 16;
pub(super) const SOURCE_PREFIX: u64 = 1 << 17;
pub(super) const DESTINATION_PREFIX: u64 = 1 << 18;
pub(super) const NEXT_HOP: u64 = 1 << 19;
/// The next hop is IPv6, whatever the family of the packets (RFC 8950).
pub(super) const HOP_V6: u64 = 1 << 20;
pub(super) const SAMPLED: u64 = 1 << 21;
pub(super) const ORIGIN_V6: u64 = 1 << 22;
/// The start of the flow is known.
pub(super) const START: u64 = 1 << 23;
/// The end of the flow is known.
pub(super) const END: u64 = 1 << 24;
pub(super) const END_REASON: u64 = 1 << 25;
pub(super) const VLAN: u64 = 1 << 26;
pub(super) const PORTS: u64 = 1 << 27;
pub(super) const TCP: u64 = 1 << 28;
pub(super) const ICMP: u64 = 1 << 29;
/// The port of a Service.
pub(super) const SERVICE_PORT: u64 = 1 << 30;
/// Antrea's `flowType` is certain.
pub(super) const FLOW_TYPE: u64 = 1 << 31;
/// The outer header of the tunnel is IPv6.
pub(super) const OUTER_V6: u64 = 1 << 32;
/// The tunnel has a type that is not in the registry.
pub(super) const ENCAPSULATED: u64 = 1 << 33;
/// The exporter reports what protects the packets.
pub(super) const SECURED: u64 = 1 << 34;

/// The fields and names of a record, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) fields: u64,
    /// Positions of the names that are known.
    pub(super) names: u32,
}

/// What a record has, except for its names.
pub(super) fn fields_of(forwarded: &ForwardedRecord, names: &Names<'_>) -> u64 {
    let record = &forwarded.record;
    let when = |yes: bool, bit: u64| if yes { bit } else { 0 };
    let is_ipv6 = |address: Address| !address.is_ipv4() && !address.is_unspecified();
    let tunnel = record.tunnel.as_ref().map_or(0, |tunnel| {
        TUNNELLED
            | when(tunnel.tunnel_type.octet() != 0, KEYED)
            | when(tunnel.tunnel_type.encapsulation() != 0, ENCAPSULATED)
            | when(tunnel.tunnel_type == TunnelType::Vxlan, VXLAN)
            | when(tunnel.tunnel_source_address.is_ipv4(), OUTER_V4)
            | when(is_ipv6(tunnel.tunnel_source_address), OUTER_V6)
    });
    let nat = record.translation.as_ref().map_or(0, |nat| {
        let addresses = [
            nat.post_nat_source_address,
            nat.post_nat_destination_address,
        ];
        let [source, destination] = addresses.map(|address| !address.is_unspecified());
        when(source, NAT_SOURCE)
            | when(destination, NAT_DESTINATION)
            | when(nat.post_napt_source_port != 0, NAPT_SOURCE)
            | when(nat.post_napt_destination_port != 0, NAPT_DESTINATION)
            | when(addresses.into_iter().any(is_ipv6), NAT_V6)
    });
    let interfaces = record.interfaces.as_ref().map_or(0, |interfaces| {
        INTERFACES | when(interfaces.flow_direction.is_some(), DIRECTION)
    });
    let next_hop = record.ip_next_hop_address;
    let protocol = record.key.protocol_identifier;
    let is_icmp = matches!(protocol, protocol::ICMP | protocol::ICMPV6);
    when(!record.key.is_ipv4(), IPV6)
        | when(record.new_connection_delta_count.is_some(), CONNECTIONS)
        | when(record.connection_sum_duration_seconds.is_some(), DURATION)
        | when(record.biflow_direction.is_some(), INITIATED)
        | when(record.bgp_source_as_number != 0, SOURCE_AS)
        | when(record.bgp_destination_as_number != 0, DESTINATION_AS)
        | when(record.source_prefix_length != 0, SOURCE_PREFIX)
        | when(record.destination_prefix_length != 0, DESTINATION_PREFIX)
        | when(!next_hop.is_unspecified(), NEXT_HOP)
        | when(is_ipv6(next_hop), HOP_V6)
        | when(record.sampling != Sampling::NONE, SAMPLED)
        | when(!forwarded.origin_address().is_ipv4(), ORIGIN_V6)
        | when(record.flow_start_milliseconds != 0, START)
        | when(record.flow_end_milliseconds != 0, END)
        | when(record.flow_end_reason != FlowEndReason::Unknown, END_REASON)
        | when(record.vlan_id != 0, VLAN)
        | when(
            record.key.source_port != 0 || record.key.destination_port != 0,
            PORTS,
        )
        | when(
            protocol == protocol::TCP || record.tcp_control_bits != 0,
            TCP,
        )
        | when(is_icmp || record.icmp_type_code != 0, ICMP)
        | when(names.service_port != 0, SERVICE_PORT)
        | when(names.flow_type != 0, FLOW_TYPE)
        | when(record.security_protocol != SecurityProtocol::None, SECURED)
        | tunnel
        | nat
        | interfaces
}
