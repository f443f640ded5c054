//! Records as JSON, keys spelled as in the registries.
//!
//! Written by hand into one reused buffer: a flow log is as hot as the decoder that feeds it.

use std::io::Write as _;

use crate::address::Address;
use crate::element::DataType;
use crate::record::{FlowEndReason, FlowRecord, TunnelType};

/// Seconds between the NTP epoch (1900) and the Unix epoch.
const NTP_TO_UNIX_SECONDS: u64 = 2_208_988_800;

/// Appends a flow record to `out` as members of a JSON object: `"name":value` separated by commas,
/// without braces. Key, counters and protocol always stand; other fields where the record has them.
pub fn write_record(record: &FlowRecord, out: &mut Vec<u8>) {
    let key = &record.key;
    let mut members = Members { out, first: true };
    let [source, destination, next_hop] = if key.source_address.is_ipv4() {
        [
            "sourceIPv4Address",
            "destinationIPv4Address",
            "ipNextHopIPv4Address",
        ]
    } else {
        [
            "sourceIPv6Address",
            "destinationIPv6Address",
            "ipNextHopIPv6Address",
        ]
    };
    members.address(source, key.source_address);
    members.address(destination, key.destination_address);
    members.number("sourceTransportPort", key.source_port.into());
    members.number("destinationTransportPort", key.destination_port.into());
    members.number("protocolIdentifier", key.protocol_identifier.into());
    members.number("octetDeltaCount", record.octet_delta_count);
    members.number("packetDeltaCount", record.packet_delta_count);
    if record.reverse_packet_delta_count > 0 {
        members.number("reverseOctetDeltaCount", record.reverse_octet_delta_count);
        members.number("reversePacketDeltaCount", record.reverse_packet_delta_count);
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
    members.non_zero("flowStartMilliseconds", record.flow_start_milliseconds);
    members.non_zero("flowEndMilliseconds", record.flow_end_milliseconds);
    members.number("tcpControlBits", record.tcp_control_bits.into());
    members.number("ipClassOfService", record.ip_class_of_service.into());
    if record.flow_end_reason != FlowEndReason::Unknown {
        members.number("flowEndReason", record.flow_end_reason.octet().into());
    }
    if let Some(direction) = record.biflow_direction {
        members.number("biflowDirection", direction.octet().into());
    }
    if let Some(count) = record.new_connection_delta_count {
        members.number("newConnectionDeltaCount", count.into());
    }
    if let Some(seconds) = record.connection_sum_duration_seconds {
        members.number("connectionSumDurationSeconds", seconds);
    }
    members.non_zero(
        "connectionSumDurationMilliseconds",
        record.connection_sum_duration_milliseconds,
    );
    match key.protocol_identifier {
        1 => members.number("icmpTypeCodeIPv4", record.icmp_type_code.into()),
        58 => members.number("icmpTypeCodeIPv6", record.icmp_type_code.into()),
        _ => {}
    }
    members.non_zero("vlanId", record.vlan_id.into());
    if let Some(interfaces) = &record.interfaces {
        members.number("ingressInterface", interfaces.ingress_interface.into());
        members.number("egressInterface", interfaces.egress_interface.into());
        if let Some(direction) = interfaces.flow_direction {
            members.number("flowDirection", direction.into());
        }
    }
    if let Some(tunnel) = &record.tunnel {
        if tunnel.tunnel_type == TunnelType::Vxlan {
            members.number("layer2SegmentId", tunnel.layer2_segment_id());
        }
        if tunnel.tunnel_type != TunnelType::IpInIp {
            members.number("tunnelType", tunnel.tunnel_type.octet().into());
            members.key("tunnelKey");
            write_hex(&tunnel.tunnel_key.to_be_bytes(), members.out);
        }
        if tunnel.tunnel_source_address.is_ipv4() {
            members.address("tunnelSourceIPv4Address", tunnel.tunnel_source_address);
            members.address(
                "tunnelDestinationIPv4Address",
                tunnel.tunnel_destination_address,
            );
        }
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
    if let Some(nat) = &record.translation {
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
    members.non_zero("bgpSourceAsNumber", record.bgp_source_as_number.into());
    members.non_zero(
        "bgpDestinationAsNumber",
        record.bgp_destination_as_number.into(),
    );
    let [source, destination] = if key.source_address.is_ipv4() {
        ["sourceIPv4PrefixLength", "destinationIPv4PrefixLength"]
    } else {
        ["sourceIPv6PrefixLength", "destinationIPv6PrefixLength"]
    };
    members.non_zero(source, record.source_prefix_length.into());
    members.non_zero(destination, record.destination_prefix_length.into());
    if !record.ip_next_hop_address.is_unspecified() {
        members.address(next_hop, record.ip_next_hop_address);
    }
}

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

    fn non_zero(&mut self, name: &str, value: u64) {
        if value > 0 {
            self.number(name, value);
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

/// Appends an address as a JSON string.
pub fn write_address(address: Address, out: &mut Vec<u8>) {
    // Writing into a `Vec` cannot fail.
    drop(write!(out, "\"{address}\""));
}

/// Appends a number.
pub fn write_number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `text` as a JSON string, quotes included (RFC 8259 §7).
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for octet in text.bytes() {
        match octet {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0..0x20 => drop(write!(out, "\\u{octet:04x}")),
            _ => out.push(octet),
        }
    }
    out.push(b'"');
}

/// Appends octets as a JSON string of lower-case hexadecimal digits.
pub fn write_hex(octets: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for octet in octets {
        for nibble in [octet >> 4, octet & 15] {
            out.extend(DIGITS.get(usize::from(nibble)));
        }
    }
    out.push(b'"');
}

/// Appends a value as the data type of its element asks. A value whose length does not fit its type
/// (exporters do that), and one of no known type, is shown as its octets, so that nothing is hidden.
pub(crate) fn write_value(data_type: Option<DataType>, value: &[u8], out: &mut Vec<u8>) {
    let Some(data_type) = data_type else {
        return write_hex(value, out);
    };
    match (data_type, value.len()) {
        (
            DataType::Unsigned | DataType::DateTimeSeconds | DataType::DateTimeMilliseconds,
            1..=8,
        ) => {
            write_number(unsigned(value), out);
        }
        (DataType::Signed, 1..=8) => {
            out.extend_from_slice(itoa::Buffer::new().format(signed(value)).as_bytes());
        }
        (DataType::Boolean, 1) => match value {
            [1] => out.extend_from_slice(b"true"),
            [2] => out.extend_from_slice(b"false"),
            _ => write_number(unsigned(value), out),
        },
        (DataType::Float, 4 | 8) => {
            let number = match <[u8; 4]>::try_from(value) {
                Ok(four) => f64::from(f32::from_be_bytes(four)),
                Err(_) => f64::from_bits(unsigned(value)),
            };
            // JSON has no infinities and no NaN.
            if number.is_finite() {
                drop(write!(out, "{number}"));
            } else {
                out.extend_from_slice(b"null");
            }
        }
        (DataType::Ipv4Address, 4) => {
            let bits = u32::try_from(unsigned(value)).unwrap_or_default();
            write_address(Address::from_v4_bits(bits), out);
        }
        (DataType::Ipv6Address, 16) => {
            let bits = value.try_into().map_or(0, u128::from_be_bytes);
            drop(write!(out, "\"{}\"", std::net::Ipv6Addr::from_bits(bits)));
        }
        (DataType::MacAddress, 6) => {
            out.push(b'"');
            for (at, octet) in value.iter().enumerate() {
                let colon = if at > 0 { ":" } else { "" };
                drop(write!(out, "{colon}{octet:02x}"));
            }
            out.push(b'"');
        }
        (DataType::String, _) => {
            // NetFlow v9 pads strings of fixed length with zeros.
            let end = value
                .iter()
                .rposition(|o| *o != 0)
                .map_or(0, |at| at.saturating_add(1));
            write_string(
                &String::from_utf8_lossy(value.get(..end).unwrap_or_default()),
                out,
            );
        }
        (DataType::DateTimeMicroseconds, 8) => {
            write_number(ntp_to_unix(unsigned(value), 1_000_000), out)
        }
        (DataType::DateTimeNanoseconds, 8) => {
            write_number(ntp_to_unix(unsigned(value), 1_000_000_000), out)
        }
        _ => write_hex(value, out),
    }
}

/// A big-endian integer of up to 8 octets (RFC 7011 §6.2: reduced-size encoding of any width).
pub(crate) fn unsigned(value: &[u8]) -> u64 {
    value
        .iter()
        .fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

fn signed(value: &[u8]) -> i64 {
    let negative = value.first().is_some_and(|octet| octet & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    value
        .iter()
        .fold(start, |sum, octet| sum << 8 | i64::from(*octet))
}

/// NTP timestamp (seconds since 1900, fraction) → so many `per_second` since 1970, 0 if before.
pub(crate) fn ntp_to_unix(bits: u64, per_second: u64) -> u64 {
    let Some(seconds) = (bits >> 32).checked_sub(NTP_TO_UNIX_SECONDS) else {
        return 0;
    };
    let fraction = (bits & 0xffff_ffff).saturating_mul(per_second) >> 32;
    seconds.saturating_mul(per_second).saturating_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::find;

    fn text(enterprise: u32, id: u16, value: &[u8]) -> String {
        let mut out = Vec::new();
        write_value(find(enterprise, id).map(|e| e.data_type), value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_as_their_type_asks() {
        assert_eq!(text(0, 1, &[1, 0]), "256");
        assert_eq!(text(0, 1, &[0xff; 8]), u64::MAX.to_string());
        assert_eq!(text(0, 1, &[1, 2, 3, 4, 5]), "4328719365");
        assert_eq!(text(0, 8, &[10, 0, 0, 1]), "\"10.0.0.1\"");
        assert_eq!(text(0, 56, &[0, 1, 2, 3, 4, 255]), "\"00:01:02:03:04:ff\"");
        assert_eq!(text(0, 82, b"eth\"0\n\0\0"), "\"eth\\\"0\\u000a\"");
        assert_eq!(text(0, 82, &[0xff, b'a']), "\"\u{fffd}a\"");
        assert_eq!(text(0, 276, &[2]), "false");
        assert_eq!(text(4_000_000, 1, &[0xab, 1]), "\"ab01\"");
        assert_eq!(text(0, 8, &[10, 0]), "\"0a00\"");
        assert_eq!(text(0, 320, &f64::NAN.to_be_bytes()), "null");
    }

    #[test]
    fn a_signed_value_of_any_width_keeps_its_sign() {
        assert_eq!(signed(&[0xff]), -1);
        assert_eq!(signed(&[0x7f]), 127);
        assert_eq!(signed(&[0xff, 0xfe, 0]), -512);
        assert_eq!(signed(&i64::MIN.to_be_bytes()), i64::MIN);
    }

    #[test]
    fn ntp_time_becomes_unix_time() {
        let half_past = ((NTP_TO_UNIX_SECONDS + 10) << 32) | 0x8000_0000;
        assert_eq!(ntp_to_unix(half_past, 1000), 10_500);
        assert_eq!(ntp_to_unix(0, 1000), 0);
    }

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
}
