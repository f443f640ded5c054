//! Flow records: out of octets, and how two of them are compared.

use flowproto::host_name::{HostNames, NameSource, ResponderName};
use flowproto::record::{
    BiflowDirection, FlowEndReason, FlowKey, Interfaces, Sampling, Translation, Tunnel, TunnelType,
};
use flowproto::tcp::{ConnectionState, Handshake, RoundTripTime, TcpHealth};
use flowproto::{Address, FlowRecord};

use crate::input::{BEGAN, Octets};

/// 1990-01-01. No flow is earlier.
const FIRST_FLOW: u64 = 631_152_000_000;
const DAY: u64 = 86_400_000;
/// Maximum octets of a flow in NetFlow v5. It is split into parts of 4 GiB.
const MOST_OCTETS: u64 = 1 << 36;

/// A record whose packets ran before `now`, unless `wild`.
pub(crate) fn record(octets: &mut Octets<'_>, now: u64, wild: bool) -> FlowRecord {
    let has = octets.u16();
    let bit = |at: u32| has >> at & 1 == 1;
    let ipv6 = bit(0);
    let count = |octets: &mut Octets<'_>| octets.u64() % MOST_OCTETS;
    let key = FlowKey {
        source_address: address(octets, ipv6),
        destination_address: address(octets, ipv6 != bit(1)),
        source_port: octets.u16(),
        destination_port: octets.u16(),
        protocol_identifier: octets.u8(),
    };
    let mut record = FlowRecord {
        key,
        octet_delta_count: count(octets),
        packet_delta_count: count(octets),
        tcp_control_bits: octets.u16(),
        ip_class_of_service: octets.u8(),
        flow_end_reason: FlowEndReason::from(octets.u8()),
        icmp_type_code: octets.u16(),
        vlan_id: octets.u16() & 0xfff,
        ..FlowRecord::default()
    };
    (record.flow_start_milliseconds, record.flow_end_milliseconds) = times(octets, now, wild);
    if bit(2) {
        record.reverse_octet_delta_count = count(octets);
        record.reverse_packet_delta_count = count(octets);
        record.reverse_tcp_control_bits = octets.u16();
        let (start, end) = times(octets, now, wild);
        record.reverse_flow_start_milliseconds = start;
        record.reverse_flow_end_milliseconds = end;
    }
    if bit(3) {
        record.biflow_direction = BiflowDirection::from_repr(octets.u8());
    }
    if bit(4) {
        record.new_connection_delta_count = Some(octets.u32());
    }
    if bit(5) {
        record.connection_sum_duration_seconds = Some(octets.u64());
        record.connection_sum_duration_milliseconds = octets.u64();
        record.tcp_connection_state = ConnectionState::from(octets.u8());
    }
    if bit(6) {
        record.interfaces = Some(Interfaces {
            ingress_interface: octets.u32(),
            egress_interface: octets.u32(),
            flow_direction: Some(octets.u8() & 1).filter(|_| bit(7)),
        });
    }
    if bit(8) {
        record.tunnel = Some(tunnel(octets));
    }
    if bit(9) {
        let ipv6 = ipv6 != bit(10);
        record.translation = Some(Translation {
            post_nat_source_address: address(octets, ipv6),
            post_nat_destination_address: address(octets, ipv6),
            post_napt_source_port: octets.u16(),
            post_napt_destination_port: octets.u16(),
        });
    }
    if bit(11) {
        record.bgp_source_as_number = octets.u32();
        record.bgp_destination_as_number = octets.u32();
        record.source_prefix_length = octets.u8();
        record.destination_prefix_length = octets.u8();
        record.ip_next_hop_address = address(octets, ipv6 != bit(12));
    }
    if bit(13) {
        record.sampling = Sampling {
            interval: octets.u32().max(1),
            space: octets.u32(),
        };
    }
    if bit(14) {
        record.exporter_address = address(octets, bit(15));
    }
    if bit(15) {
        record.transport_octet_delta_count = Some(record.octet_delta_count / 2);
        record.reverse_transport_octet_delta_count = record
            .is_biflow()
            .then_some(record.reverse_octet_delta_count / 3);
    }
    if bit(1) {
        record.responder_name = Some(responder_name(octets));
    }
    record
}

fn responder_name(octets: &mut Octets<'_>) -> ResponderName {
    let text = format!("host-{}.example.org", octets.u8());
    ResponderName {
        name: HostNames::default().intern(text.as_bytes()).unwrap(),
        source: [NameSource::Dns, NameSource::Tls, NameSource::Http][usize::from(octets.u8() % 3)],
    }
}

fn times(octets: &mut Octets<'_>, now: u64, wild: bool) -> (u64, u64) {
    if wild {
        return (octets.u64(), octets.u64());
    }
    // Up to seven weeks ago, for up to twelve days.
    let end = now - u64::from(octets.u32());
    (end - u64::from(octets.u32() >> 2), end)
}

pub(crate) fn address(octets: &mut Octets<'_>, ipv6: bool) -> Address {
    if ipv6 {
        Address::from_v6_bits(octets.u128())
    } else {
        Address::from_v4_bits(octets.u32())
    }
}

fn tunnel(octets: &mut Octets<'_>) -> Tunnel {
    let kind = octets.u8();
    let tunnel_type = TunnelType::ALL
        .get(usize::from(kind >> 1 & 15))
        .copied()
        .unwrap_or(TunnelType::IpInIp);
    let ipv6 = kind & 1 != 0;
    let outer = |octets: &mut Octets<'_>| match address(octets, ipv6) {
        // A v4-mapped one is IPv4.
        mapped if ipv6 && mapped.is_ipv4() => Address::UNSPECIFIED,
        address => address,
    };
    Tunnel {
        tunnel_type,
        tunnel_key: octets.u32(),
        tunnel_source_address: outer(octets),
        tunnel_destination_address: outer(octets),
        tunnel_protocol_identifier: octets.u8(),
        tunnel_source_port: octets.u16(),
        tunnel_destination_port: octets.u16(),
    }
}

/// 0.0.0.0 and :: both say that there is no address: a template of one family has no other way.
pub(crate) fn or_none(address: Address) -> Address {
    if address == Address::from_v4_bits(0) {
        Address::UNSPECIFIED
    } else {
        address
    }
}

/// The record with one spelling of what is unknown.
pub(crate) fn canonical(record: &FlowRecord) -> FlowRecord {
    let mut record = record.clone();
    for time in [
        &mut record.flow_start_milliseconds,
        &mut record.flow_end_milliseconds,
        &mut record.reverse_flow_start_milliseconds,
        &mut record.reverse_flow_end_milliseconds,
    ] {
        // Others are read as unknown, or depend on the export time.
        if !(FIRST_FLOW..=BEGAN + DAY).contains(time) {
            *time = 0;
        }
    }
    for (address, length) in [
        (record.key.source_address, &mut record.source_prefix_length),
        (
            record.key.destination_address,
            &mut record.destination_prefix_length,
        ),
    ] {
        if *length > if address.is_ipv4() { 32 } else { 128 } {
            *length = 0;
        }
    }
    let mut all = vec![
        &mut record.key.source_address,
        &mut record.key.destination_address,
        &mut record.ip_next_hop_address,
        &mut record.exporter_address,
    ];
    if let Some(tunnel) = &mut record.tunnel {
        all.push(&mut tunnel.tunnel_source_address);
        all.push(&mut tunnel.tunnel_destination_address);
    }
    if let Some(translation) = &mut record.translation {
        all.push(&mut translation.post_nat_source_address);
        all.push(&mut translation.post_nat_destination_address);
    }
    for address in all {
        *address = or_none(*address);
    }
    // Without a value, neither is read.
    record.translation = record.translation.filter(|t| *t != Translation::default());
    record.tunnel = record.tunnel.filter(|tunnel| {
        tunnel.tunnel_key != 0
            || !tunnel.tunnel_source_address.is_unspecified()
            || !tunnel.tunnel_destination_address.is_unspecified()
    });
    record
}

/// Compares flow key, counters and times.
pub(crate) fn same_flow(before: &FlowRecord, after: &FlowRecord) {
    let gist = |record: &FlowRecord| {
        let record = canonical(record);
        FlowRecord {
            key: record.key,
            octet_delta_count: record.octet_delta_count,
            packet_delta_count: record.packet_delta_count,
            reverse_octet_delta_count: record.reverse_octet_delta_count,
            reverse_packet_delta_count: record.reverse_packet_delta_count,
            flow_start_milliseconds: record.flow_start_milliseconds,
            flow_end_milliseconds: record.flow_end_milliseconds,
            ip_class_of_service: record.ip_class_of_service,
            flow_end_reason: record.flow_end_reason,
            icmp_type_code: record.icmp_type_code,
            vlan_id: record.vlan_id,
            translation: record.translation,
            ..FlowRecord::default()
        }
    };
    assert_eq!(gist(before), gist(after));
}

/// Removes what forwarded records do not carry about the connection.
pub(crate) fn without_connection(record: &mut FlowRecord) {
    record.transport_octet_delta_count = None;
    record.reverse_transport_octet_delta_count = None;
    record.responder_name = None;
    record.connection_sum_duration_milliseconds = 0;
    record.tcp_connection_state = ConnectionState::Unknown;
    record.tcp_handshake = Handshake::default();
    record.tcp_health = TcpHealth::default();
    record.reverse_tcp_health = TcpHealth::default();
    record.tcp_round_trip_time = RoundTripTime::default();
    record.reverse_tcp_round_trip_time = RoundTripTime::default();
}

/// Removes from a record's tunnel what no Message carries: a key of a tunnel without one.
pub(crate) fn carry_tunnel(record: &mut FlowRecord) {
    let Some(tunnel) = &mut record.tunnel else {
        return;
    };
    if tunnel.tunnel_type == TunnelType::IpInIp {
        tunnel.tunnel_key = 0;
    }
}
