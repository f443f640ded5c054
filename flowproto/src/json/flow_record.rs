//! A [`FlowRecord`] as JSON members.

use super::scalar::{write_address, write_hex, write_number, write_string};
use crate::address::Address;
use crate::host_name::NameSource;
use crate::record::{FlowEndReason, FlowRecord, Translation, Tunnel, TunnelType};
use crate::tcp::{RoundTripTime, TcpHealth};

/// Appends key, protocol and counters of a flow record to `out` as members of a JSON object:
/// `"name":value` separated by commas, without braces.
pub fn write_flow(record: &FlowRecord, out: &mut Vec<u8>) {
    let key = &record.key;
    let mut members = Members { out, first: true };
    let [source, destination] = if key.source_address.is_ipv4() {
        ["sourceIPv4Address", "destinationIPv4Address"]
    } else {
        ["sourceIPv6Address", "destinationIPv6Address"]
    };
    members.address(source, key.source_address);
    members.address(destination, key.destination_address);
    members.number("sourceTransportPort", key.source_port.into());
    members.number("destinationTransportPort", key.destination_port.into());
    members.number("protocolIdentifier", key.protocol_identifier.into());
    members.number("octetDeltaCount", record.octet_delta_count);
    members.number("packetDeltaCount", record.packet_delta_count);
}

/// Appends a flow record to `out` in the same form. Other fields than those of [`write_flow`] are
/// written if the record has them.
pub fn write_record(record: &FlowRecord, out: &mut Vec<u8>) {
    write_flow(record, out);
    let mut members = Members { out, first: false };
    members.number_if(
        "transportOctetDeltaCount",
        record.transport_octet_delta_count,
    );
    reverse(record, &mut members);
    members.non_zero("flowStartMilliseconds", record.flow_start_milliseconds);
    members.non_zero("flowEndMilliseconds", record.flow_end_milliseconds);
    members.number("tcpControlBits", record.tcp_control_bits.into());
    members.number("ipClassOfService", record.ip_class_of_service.into());
    if record.flow_end_reason != FlowEndReason::Unknown {
        members.number("flowEndReason", record.flow_end_reason.octet().into());
    }
    connection(record, &mut members);
    tcp(record, &mut members);
    dns(record, &mut members);
    http(record, &mut members);
    match record.key.protocol_identifier {
        1 => members.number("icmpTypeCodeIPv4", record.icmp_type_code.into()),
        58 => members.number("icmpTypeCodeIPv6", record.icmp_type_code.into()),
        _ => {}
    }
    members.non_zero("vlanId", record.vlan_id.into());
    if let Some(interfaces) = &record.interfaces {
        members.number("ingressInterface", interfaces.ingress_interface.into());
        members.number("egressInterface", interfaces.egress_interface.into());
        members.number_if("flowDirection", interfaces.flow_direction.map(u64::from));
    }
    if let Some(outer) = &record.tunnel {
        tunnel(outer, &mut members);
    }
    members.non_zero("securityProtocol", record.security_protocol.octet().into());
    if let Some(nat) = &record.translation {
        translation(nat, &mut members);
    }
    routing(record, &mut members);
    if let Some(responder) = &record.responder_name {
        members.key(match responder.source {
            NameSource::Dns => "responderDnsName",
            NameSource::Tls => "SSL_SERVER_NAME",
            NameSource::Http => "httpRequestHost",
        });
        write_string(responder.name.as_str(), members.out);
    }
}

/// The counters and times of the reverse direction.
fn reverse(record: &FlowRecord, members: &mut Members<'_>) {
    if record.reverse_packet_delta_count == 0 {
        return;
    }
    members.number("reverseOctetDeltaCount", record.reverse_octet_delta_count);
    members.number("reversePacketDeltaCount", record.reverse_packet_delta_count);
    members.number_if(
        "reverseTransportOctetDeltaCount",
        record.reverse_transport_octet_delta_count,
    );
    members.non_zero(
        "reverseFlowStartMilliseconds",
        record.reverse_flow_start_milliseconds,
    );
    members.non_zero(
        "reverseFlowEndMilliseconds",
        record.reverse_flow_end_milliseconds,
    );
    members.number(
        "reverseTcpControlBits",
        record.reverse_tcp_control_bits.into(),
    );
}

/// The initiator, the number of connections and their durations.
fn connection(record: &FlowRecord, members: &mut Members<'_>) {
    members.number_if(
        "biflowDirection",
        record
            .biflow_direction
            .map(|direction| direction.octet().into()),
    );
    members.number_if(
        "newConnectionDeltaCount",
        record.new_connection_delta_count.map(u64::from),
    );
    members.number_if(
        "connectionSumDurationSeconds",
        record.connection_sum_duration_seconds,
    );
    members.non_zero(
        "connectionSumDurationMilliseconds",
        record.connection_sum_duration_milliseconds,
    );
}

/// The outer header.
fn tunnel(tunnel: &Tunnel, members: &mut Members<'_>) {
    if tunnel.tunnel_type == TunnelType::Vxlan {
        members.number("layer2SegmentId", tunnel.layer2_segment_id());
    }
    members.non_zero("tunnelType", tunnel.tunnel_type.octet().into());
    members.non_zero(
        "tunnelEncapsulation",
        tunnel.tunnel_type.encapsulation().into(),
    );
    if tunnel.tunnel_type != TunnelType::IpInIp {
        members.key("tunnelKey");
        write_hex(&tunnel.tunnel_key.to_be_bytes(), members.out);
    }
    let [source, destination] = if tunnel.tunnel_source_address.is_ipv4() {
        ["tunnelSourceIPv4Address", "tunnelDestinationIPv4Address"]
    } else {
        ["tunnelSourceIPv6Address", "tunnelDestinationIPv6Address"]
    };
    members.address(source, tunnel.tunnel_source_address);
    members.address(destination, tunnel.tunnel_destination_address);
    members.number(
        "tunnelProtocolIdentifier",
        tunnel.tunnel_protocol_identifier.into(),
    );
    members.non_zero(
        "tunnelSourceTransportPort",
        tunnel.tunnel_source_port.into(),
    );
    members.non_zero(
        "tunnelDestinationTransportPort",
        tunnel.tunnel_destination_port.into(),
    );
}

/// Addresses and ports after network address translation.
fn translation(nat: &Translation, members: &mut Members<'_>) {
    members.post_nat("postNATSource", nat.post_nat_source_address);
    members.post_nat("postNATDestination", nat.post_nat_destination_address);
    members.non_zero(
        "postNAPTSourceTransportPort",
        nat.post_napt_source_port.into(),
    );
    members.non_zero(
        "postNAPTDestinationTransportPort",
        nat.post_napt_destination_port.into(),
    );
}

/// What the routing table of the exporter has of the addresses.
fn routing(record: &FlowRecord, members: &mut Members<'_>) {
    members.non_zero("bgpSourceAsNumber", record.bgp_source_as_number.into());
    members.non_zero(
        "bgpDestinationAsNumber",
        record.bgp_destination_as_number.into(),
    );
    let [source, destination, next_hop] = if record.key.source_address.is_ipv4() {
        [
            "sourceIPv4PrefixLength",
            "destinationIPv4PrefixLength",
            "ipNextHopIPv4Address",
        ]
    } else {
        [
            "sourceIPv6PrefixLength",
            "destinationIPv6PrefixLength",
            "ipNextHopIPv6Address",
        ]
    };
    members.non_zero(source, record.source_prefix_length.into());
    members.non_zero(destination, record.destination_prefix_length.into());
    if !record.ip_next_hop_address.is_unspecified() {
        members.address(next_hop, record.ip_next_hop_address);
    }
}

/// The members about the TCP connection of the record.
fn tcp(record: &FlowRecord, members: &mut Members<'_>) {
    members.non_zero(
        "tcpConnectionState",
        record.tcp_connection_state.octet().into(),
    );
    let handshake = record.tcp_handshake;
    members.non_zero(
        "tcpHandshakeClientMicroseconds",
        handshake.client_microseconds.into(),
    );
    members.non_zero(
        "tcpHandshakeServerMicroseconds",
        handshake.server_microseconds.into(),
    );
    members.health(&FORWARD_HEALTH, &record.tcp_health);
    members.health(&REVERSE_HEALTH, &record.reverse_tcp_health);
    members.round_trip(&FORWARD_ROUND_TRIP, &record.tcp_round_trip_time);
    members.round_trip(&REVERSE_ROUND_TRIP, &record.reverse_tcp_round_trip_time);
}

/// The members about DNS messages.
fn dns(record: &FlowRecord, members: &mut Members<'_>) {
    let dns = &record.dns;
    for (name, count) in [
        ("dnsQueryDeltaCount", dns.queries),
        ("dnsUnansweredQueryDeltaCount", dns.unanswered_queries),
        ("dnsNoErrorResponseDeltaCount", dns.no_error_responses),
        ("dnsNameErrorResponseDeltaCount", dns.name_error_responses),
        (
            "dnsServerFailureResponseDeltaCount",
            dns.server_failure_responses,
        ),
        ("dnsOtherErrorResponseDeltaCount", dns.other_error_responses),
    ] {
        members.non_zero(name, count.into());
    }
    members.round_trip(&DNS_RESPONSE_TIME, &dns.response_time);
    if let Some(query) = &record.dns_query {
        if let Some(name) = &query.name {
            members.key("DNS_QUERY");
            write_string(name.as_str(), members.out);
        }
        members.number("DNS_QUERY_TYPE", query.query_type.into());
        members.number("DNS_RET_CODE", query.response_code.into());
    }
}

/// The members about HTTP messages.
fn http(record: &FlowRecord, members: &mut Members<'_>) {
    let http = &record.http;
    let [
        informational,
        successful,
        redirection,
        client_error,
        server_error,
    ] = http.responses;
    for (name, count) in [
        ("httpRequestDeltaCount", http.requests),
        ("httpUnansweredRequestDeltaCount", http.unanswered_requests),
        ("httpInformationalResponseDeltaCount", informational),
        ("httpSuccessfulResponseDeltaCount", successful),
        ("httpRedirectionResponseDeltaCount", redirection),
        ("httpClientErrorResponseDeltaCount", client_error),
        ("httpServerErrorResponseDeltaCount", server_error),
    ] {
        members.non_zero(name, count.into());
    }
    members.round_trip(&HTTP_RESPONSE_TIME, &http.response_time);
    if !http.grpc.is_empty() {
        // As the list in the Data Record.
        members.key("basicList");
        let counts = http.grpc.used();
        let counts = counts.iter().map(u32::to_string).collect::<Vec<_>>();
        let list = format!(
            r#"{{"semantic":"ordered","grpcResponseDeltaCount":[{}]}}"#,
            counts.join(",")
        );
        members.out.extend_from_slice(list.as_bytes());
    }
    if let Some(request) = &record.http_request {
        members.key("httpRequestMethod");
        write_string(request.method.into(), members.out);
        if let Some(target) = &request.target {
            members.key("httpRequestTarget");
            write_string(target, members.out);
        }
        members.key("httpMessageVersion");
        write_string(request.version.into(), members.out);
        members.non_zero("httpStatusCode", request.status_code.into());
    }
}

const HTTP_RESPONSE_TIME: [&str; 3] = [
    "httpResponseTimeMinimumMicroseconds",
    "httpResponseTimeSumMicroseconds",
    "httpResponseTimeSampleDeltaCount",
];
const DNS_RESPONSE_TIME: [&str; 3] = [
    "dnsResponseTimeMinimumMicroseconds",
    "dnsResponseTimeSumMicroseconds",
    "dnsResponseTimeSampleDeltaCount",
];
const FORWARD_HEALTH: [&str; 8] = [
    "RETRANSMITTED_IN_PKTS",
    "RETRANSMITTED_IN_BYTES",
    "OOORDER_IN_PKTS",
    "tcpTimeoutRetransmittedPacketDeltaCount",
    "tcpSpuriousRetransmittedPacketDeltaCount",
    "tcpSynRetransmittedPacketDeltaCount",
    "tcpDuplicateAcknowledgmentDeltaCount",
    "tcpZeroWindowPacketDeltaCount",
];
const REVERSE_HEALTH: [&str; 8] = [
    "RETRANSMITTED_OUT_PKTS",
    "RETRANSMITTED_OUT_BYTES",
    "OOORDER_OUT_PKTS",
    "reverseTcpTimeoutRetransmittedPacketDeltaCount",
    "reverseTcpSpuriousRetransmittedPacketDeltaCount",
    "reverseTcpSynRetransmittedPacketDeltaCount",
    "reverseTcpDuplicateAcknowledgmentDeltaCount",
    "reverseTcpZeroWindowPacketDeltaCount",
];
const FORWARD_ROUND_TRIP: [&str; 3] = [
    "tcpRoundTripTimeMinimumMicroseconds",
    "tcpRoundTripTimeSumMicroseconds",
    "tcpRoundTripTimeSampleDeltaCount",
];
const REVERSE_ROUND_TRIP: [&str; 3] = [
    "reverseTcpRoundTripTimeMinimumMicroseconds",
    "reverseTcpRoundTripTimeSumMicroseconds",
    "reverseTcpRoundTripTimeSampleDeltaCount",
];

struct Members<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Members<'_> {
    fn key(&mut self, name: &str) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn number(&mut self, name: &str, value: u64) {
        self.key(name);
        write_number(value, self.out);
    }

    fn number_if(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    fn non_zero(&mut self, name: &str, value: u64) {
        if value > 0 {
            self.number(name, value);
        }
    }

    fn health(&mut self, names: &[&str; 8], health: &TcpHealth) {
        let values = [
            health.retransmitted_packets.into(),
            health.retransmitted_octets,
            health.out_of_order_packets.into(),
            health.timeout_retransmitted_packets.into(),
            health.spurious_retransmitted_packets.into(),
            health.syn_retransmitted_packets.into(),
            health.duplicate_acknowledgments.into(),
            health.zero_window_packets.into(),
        ];
        for (name, value) in names.iter().zip(values) {
            self.non_zero(name, value);
        }
    }

    fn round_trip(&mut self, names: &[&str; 3], times: &RoundTripTime) {
        let values = [
            times.minimum_microseconds.into(),
            times.sum_microseconds,
            times.samples.into(),
        ];
        for (name, value) in names.iter().zip(values) {
            self.non_zero(name, value);
        }
    }

    fn address(&mut self, name: &str, address: Address) {
        self.key(name);
        write_address(address, self.out);
    }

    fn post_nat(&mut self, name: &str, address: Address) {
        if !address.is_unspecified() {
            let family = if address.is_ipv4() {
                "IPv4Address"
            } else {
                "IPv6Address"
            };
            self.key(&[name, family].concat());
            write_address(address, self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_record_is_a_json_object_between_braces() {
        let mut record = FlowRecord::default();
        record.key.source_address = Address::from_v4_bits(0x0a00_0001);
        record.key.protocol_identifier = 17;
        record.octet_delta_count = u64::MAX;
        let mut out = vec![b'{'];
        write_record(&record, &mut out);
        out.push(b'}');
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["sourceIPv4Address"], "10.0.0.1");
        assert_eq!(value["octetDeltaCount"], u64::MAX);
        assert!(value.get("vlanId").is_none());
    }

    #[test]
    fn a_tunnel_has_its_outer_addresses_in_either_family() {
        for (family, source) in [
            ("IPv4", Address::from_v4_bits(1)),
            ("IPv6", Address::from_v6_bits(1 << 64)),
        ] {
            let record = FlowRecord {
                tunnel: Some(Tunnel {
                    tunnel_source_address: source,
                    tunnel_destination_address: source,
                    ..Tunnel::default()
                }),
                ..FlowRecord::default()
            };
            let mut out = vec![b'{'];
            write_record(&record, &mut out);
            out.push(b'}');
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            for end in ["Source", "Destination"] {
                let name = format!("tunnel{end}{family}Address");
                assert_eq!(value[name], source.to_string());
            }
        }
    }
}
