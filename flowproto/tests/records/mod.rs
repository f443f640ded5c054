//! Flow records with any values.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

use flowproto::dns::DnsHealth;
use flowproto::http::{GrpcStatus, GrpcStatusCounts, HttpHealth};
use flowproto::record::{
    BiflowDirection, FlowEndReason, FlowKey, Interfaces, SecurityProtocol, Translation, Tunnel,
    TunnelType,
};
use flowproto::tcp::{ConnectionState, Handshake, RoundTripTime, TcpHealth};
use flowproto::{Address, FlowRecord};
use proptest::prelude::*;

/// Export time of the Messages with the records, milliseconds since the epoch.
pub const NOW: u64 = 1_700_000_000_000;

fn address(ipv6: bool, bits: u128) -> Address {
    if ipv6 {
        // Not v4-mapped, and not the unspecified address.
        Address::from_v6_bits(bits | 1 << 127)
    } else {
        Address::from_v4_bits(bits as u32)
    }
}

fn dns_health(counts: [u32; 9]) -> DnsHealth {
    let [
        queries,
        unanswered_queries,
        a,
        b,
        c,
        d,
        minimum,
        sum,
        samples,
    ] = counts;
    DnsHealth {
        queries,
        unanswered_queries,
        no_error_responses: a,
        name_error_responses: b,
        server_failure_responses: c,
        other_error_responses: d,
        response_time: RoundTripTime {
            minimum_microseconds: minimum,
            sum_microseconds: u64::from(sum) << 8,
            samples,
        },
    }
}

fn http_health(counts: [u32; 10]) -> HttpHealth {
    let [
        requests,
        unanswered_requests,
        a,
        b,
        c,
        d,
        e,
        minimum,
        sum,
        samples,
    ] = counts;
    HttpHealth {
        requests,
        unanswered_requests,
        responses: [a, b, c, d, e],
        response_time: RoundTripTime {
            minimum_microseconds: minimum,
            sum_microseconds: u64::from(sum) << 8,
            samples,
        },
        grpc: GrpcStatusCounts::default(),
    }
}

fn grpc_counts(calls: &[(u8, u32)]) -> GrpcStatusCounts {
    let mut counts = GrpcStatusCounts::default();
    for (status, count) in calls {
        counts.0[GrpcStatus::from_repr(*status).unwrap()] = *count;
    }
    counts
}

prop_compose! {
    /// A record with any of the fields that templates have, except names and a reverse direction.
    pub fn a_record()(
        ipv6: bool, bits: [u128; 4], ports: [u16; 4], protocol: u8, octets: u64, packets: u64,
        flags: u8, tos: u8, reason in 0_u8..6, direction in 0_u8..4,
        vlan_id in 0_u16..4096, icmp: u16,
        connections in 0_u32..2, seconds: u32, lasted: Option<u32>,
        interfaces: Option<(u32, u32, bool)>,
        tunnel: Option<(u8, u32, bool)>, translated: bool,
        security in 0_u8..4, state in 0_u8..7, handshake in (any::<bool>(), 0_u32..5_000_000, any::<u32>()),
        health: Option<[u32; 8]>, times: Option<(u32, u64, u32)>, dns: Option<[u32; 9]>,
        transport: Option<u64>, http: Option<[u32; 10]>, calls in prop::collection::vec((0_u8..17, any::<u32>()), 0..5),
    ) -> FlowRecord {
        let tunnel = tunnel.map(|(kind, key, outer_v6)| {
            let tunnel_type = TunnelType::ALL[usize::from(kind) % TunnelType::ALL.len()];
            Tunnel {
                tunnel_type,
                tunnel_key: if tunnel_type == TunnelType::IpInIp { 0 } else { key },
                tunnel_source_address: address(outer_v6, bits[2]),
                tunnel_destination_address: address(outer_v6, bits[3]),
                tunnel_protocol_identifier: 17,
                tunnel_source_port: ports[2],
                tunnel_destination_port: ports[3],
            }
        });
        FlowRecord {
            key: FlowKey {
                source_address: address(ipv6, bits[0]),
                destination_address: address(ipv6, bits[1]),
                source_port: ports[0],
                destination_port: ports[1],
                protocol_identifier: protocol,
            },
            octet_delta_count: octets,
            packet_delta_count: packets,
            transport_octet_delta_count: if handshake.0 || health.is_some() || times.is_some() {
                // A record with TCP health has it.
                transport.or(Some(0))
            } else {
                transport
            },
            flow_start_milliseconds: NOW - 5000,
            flow_end_milliseconds: NOW - 1,
            tcp_control_bits: flags.into(),
            ip_class_of_service: tos,
            flow_end_reason: FlowEndReason::from(reason),
            biflow_direction: BiflowDirection::from_repr(direction),
            new_connection_delta_count: Some(connections),
            connection_sum_duration_seconds: Some(seconds.into()),
            connection_sum_duration_milliseconds: lasted.map_or(0, u64::from),
            tcp_connection_state: ConnectionState::from(state),
            tcp_handshake: match handshake {
                (true, client_microseconds, server_microseconds) => {
                    Handshake { client_microseconds, server_microseconds }
                }
                _ => Handshake::default(),
            },
            tcp_health: health.map_or_else(TcpHealth::default, |counts| TcpHealth {
                retransmitted_packets: counts[0],
                retransmitted_octets: counts[1].into(),
                out_of_order_packets: counts[2],
                timeout_retransmitted_packets: counts[3],
                spurious_retransmitted_packets: counts[4],
                syn_retransmitted_packets: counts[5],
                duplicate_acknowledgments: counts[6],
                zero_window_packets: counts[7],
            }),
            tcp_round_trip_time: times.map_or_else(RoundTripTime::default, |times| RoundTripTime {
                minimum_microseconds: times.0,
                sum_microseconds: times.1,
                samples: times.2.max(1),
            }),
            icmp_type_code: icmp,
            vlan_id,
            // One excludes the other.
            security_protocol: if dns.is_some_and(|counts| counts != [0; 9])
                || http.is_some_and(|counts| counts != [0; 10])
            {
                SecurityProtocol::None
            } else {
                security.into()
            },
            dns: match http {
                Some(counts) if counts != [0; 10] => DnsHealth::default(),
                _ => dns.map(dns_health).unwrap_or_default(),
            },
            http: match http {
                Some(counts) if counts != [0; 10] => HttpHealth {
                    grpc: grpc_counts(&calls),
                    ..http_health(counts)
                },
                _ => HttpHealth::default(),
            },
            interfaces: interfaces.map(|(ingress_interface, egress_interface, egress)| Interfaces {
                ingress_interface,
                egress_interface,
                flow_direction: Some(egress.into()),
            }),
            tunnel,
            translation: translated.then(|| Translation {
                post_nat_source_address: address(ipv6, bits[2]),
                post_nat_destination_address: address(ipv6, bits[3]),
                post_napt_source_port: ports[3],
                post_napt_destination_port: ports[2],
            }),
            ..FlowRecord::default()
        }
    }
}
