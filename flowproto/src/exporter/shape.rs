//! Template layouts. The content of a flow record selects its template, so that plain records stay
//! small: IPv4 or IPv6, with or without interfaces, tunnel, translation, reverse direction, TCP
//! health and the name of the responder. This file has both the order of the fields and their writing.

use super::{dns, http, put, responder_name, tcp};
use crate::address::Address;
use crate::element::{KIPFIX_ENTERPRISE, REVERSE_ENTERPRISE};
use crate::field::{FieldSpecifier, VARIABLE_LENGTH};
use crate::host_name::NameSource;
use crate::record::{FlowRecord, Interfaces, SecurityProtocol, Translation, Tunnel, TunnelType};
use crate::tcp::{ConnectionState, Handshake};

/// Template ID of shape 0; the others follow. Options templates have lower ones.
const FIRST_FLOW_TEMPLATE: u16 = 1024;
const VMWARE: u32 = 6876;

pub(super) const fn iana(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: 0,
        id,
        length,
    }
}

const fn vmware(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: VMWARE,
        id,
        length,
    }
}

const fn kipfix(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: KIPFIX_ENTERPRISE,
        id,
        length,
    }
}

const fn reverse(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: REVERSE_ENTERPRISE,
        id,
        length,
    }
}

const KEY_V4: [FieldSpecifier; 2] = [iana(8, 4), iana(12, 4)];
const KEY_V6: [FieldSpecifier; 2] = [iana(27, 16), iana(28, 16)];
/// tcpControlBits has one octet, because collectors exist that read two as 0.
const FLOW: [FieldSpecifier; 14] = [
    iana(7, 2),
    iana(11, 2),
    iana(4, 1),
    iana(5, 1),
    iana(6, 1),
    iana(136, 1),
    iana(239, 1),
    iana(58, 2),
    iana(1, 8),
    iana(2, 8),
    iana(152, 8),
    iana(153, 8),
    iana(278, 4),
    iana(279, 4),
];
const ICMP_V4: [FieldSpecifier; 1] = [iana(32, 2)];
const ICMP_V6: [FieldSpecifier; 1] = [iana(139, 2)];
const INTERFACES: [FieldSpecifier; 3] = [iana(10, 4), iana(14, 4), iana(61, 1)];
const SEGMENT: [FieldSpecifier; 1] = [iana(351, 8)];
const TUNNEL_TYPE: [FieldSpecifier; 2] = [vmware(891, 1), vmware(892, 4)];
const TUNNEL_ENCAPSULATION: [FieldSpecifier; 2] = [kipfix(46, 1), vmware(892, 4)];
const TUNNEL_V4: [FieldSpecifier; 2] = [vmware(893, 4), vmware(894, 4)];
const TUNNEL_V6: [FieldSpecifier; 2] = [kipfix(16, 16), kipfix(17, 16)];
const TUNNEL: [FieldSpecifier; 3] = [vmware(895, 1), vmware(896, 2), vmware(897, 2)];
const SECURITY: [FieldSpecifier; 1] = [kipfix(47, 1)];
const NAT_V4: [FieldSpecifier; 4] = [iana(225, 4), iana(226, 4), iana(227, 2), iana(228, 2)];
const NAT_V6: [FieldSpecifier; 4] = [iana(281, 16), iana(282, 16), iana(227, 2), iana(228, 2)];

/// The reverse direction (RFC 5103).
const REVERSE: [FieldSpecifier; 5] = [
    reverse(1, 8),
    reverse(2, 8),
    reverse(152, 8),
    reverse(153, 8),
    reverse(6, 1),
];

/// 173 `flowKeyIndicator` of every template: its first five fields are the Flow Key.
pub(super) const FLOW_KEY_INDICATOR: u64 = 0b1_1111;

/// The groups of fields of a record and of its template. The Template ID is 1024 + the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) u16);

impl Shape {
    pub(super) const IPV6: u16 = 1;
    const INTERFACES: u16 = 2;
    const TRANSLATED: u16 = 4;
    /// Has a tunnel; the next two bits are the kind of its type: none of both for IP in IP, the second
    /// alone for a type of kipfix's own element.
    pub(super) const TUNNELLED: u16 = 8;
    /// The tunnel has a type in the registry.
    const KEYED: u16 = 16;
    /// VXLAN, which also has 351 layer2SegmentId, or a type that is not in the registry.
    const SEGMENT: u16 = 32;
    /// The outer header is IPv4, otherwise IPv6.
    const OUTER_V4: u16 = 64;
    /// Has a reverse direction.
    pub(super) const BIFLOW: u16 = 128;
    /// Has the duration or the state of a connection.
    const CONNECTION: u16 = 256;
    /// Has the round-trip times of a handshake.
    const HANDSHAKE: u16 = 512;
    /// Has losses of TCP.
    const HEALTH: u16 = 1024;
    /// Has round-trip times of TCP.
    const ROUND_TRIP: u16 = 2048;

    /// Has the name of the responder: two bits with its source.
    const DNS_NAME: u16 = 4096;
    const TLS_NAME: u16 = 8192;
    const HTTP_NAME: u16 = Self::NAME;
    pub(super) const NAME: u16 = Self::DNS_NAME | Self::TLS_NAME;
    /// Has one of these, not several, so that the Template ID has 16 bits: a protocol that protects the
    /// packets, or counts of DNS or HTTP messages.
    const CONTENT: u16 = Self::HTTP;
    const SECURITY: u16 = 16_384;
    const DNS: u16 = 32_768;
    /// The group has the host, so that there is no [`Self::HTTP_NAME`] besides.
    const HTTP: u16 = Self::SECURITY | Self::DNS;

    /// Number of shapes.
    pub(super) const COUNT: u16 = Self::HTTP | Self::HTTP_NAME;

    /// All shapes.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Plain records of either family, whose templates are sent from the start.
    pub(super) const fn is_plain(self) -> bool {
        self.0 == 0 || self.0 == Self::IPV6
    }

    pub(super) fn of(record: &FlowRecord) -> Self {
        let when = |yes: bool, bit: u16| if yes { bit } else { 0 };
        let has_http = !record.http.is_empty();
        let tunnel = record.tunnel.as_ref().map_or(0, |tunnel| {
            Self::TUNNELLED
                | when(tunnel.tunnel_type.octet() != 0, Self::KEYED)
                | when(
                    tunnel.tunnel_type == TunnelType::Vxlan
                        || tunnel.tunnel_type.encapsulation() != 0,
                    Self::SEGMENT,
                )
                | when(tunnel.tunnel_source_address.is_ipv4(), Self::OUTER_V4)
        });
        Self(
            when(!fits_ipv4(record), Self::IPV6)
                | when(record.interfaces.is_some(), Self::INTERFACES)
                | when(record.translation.is_some(), Self::TRANSLATED)
                | when(record.is_biflow(), Self::BIFLOW)
                | when(has_connection(record), Self::CONNECTION)
                | when(
                    record.tcp_handshake != Handshake::default(),
                    Self::HANDSHAKE,
                )
                | when(
                    !record.tcp_health.is_empty() || !record.reverse_tcp_health.is_empty(),
                    Self::HEALTH,
                )
                | when(
                    record.tcp_round_trip_time.samples != 0
                        || record.reverse_tcp_round_trip_time.samples != 0,
                    Self::ROUND_TRIP,
                )
                | match record.security_protocol {
                    _ if has_http => Self::HTTP,
                    _ if !record.dns.is_empty() => Self::DNS,
                    SecurityProtocol::None => 0,
                    _ => Self::SECURITY,
                }
                | record
                    .responder_name
                    .as_ref()
                    .map_or(0, |responder| match responder.source {
                        NameSource::Dns => Self::DNS_NAME,
                        NameSource::Tls => Self::TLS_NAME,
                        NameSource::Http if has_http => 0,
                        NameSource::Http => Self::HTTP_NAME,
                    })
                | tunnel,
        )
    }

    /// Has counts of DNS messages.
    pub(super) const fn has_dns(self) -> bool {
        self.0 & Self::CONTENT == Self::DNS
    }

    /// Has counts of HTTP messages.
    pub(super) const fn has_http(self) -> bool {
        self.0 & Self::CONTENT == Self::HTTP
    }

    /// Has a protocol that protects the packets.
    const fn has_security(self) -> bool {
        self.0 & Self::CONTENT == Self::SECURITY
    }

    /// Without the groups that have enterprise-specific elements.
    pub(super) const fn registered(self) -> Self {
        Self(self.0 & (Self::IPV6 | Self::INTERFACES | Self::TRANSLATED))
    }

    /// The shape of the same record without the name of the responder.
    pub(super) const fn without_name(self) -> Self {
        Self(self.0 & !Self::NAME)
    }

    /// The source of the name of the responder.
    const fn name(self) -> Option<NameSource> {
        match self.0 & Self::NAME {
            Self::DNS_NAME => Some(NameSource::Dns),
            Self::TLS_NAME => Some(NameSource::Tls),
            Self::HTTP_NAME => Some(NameSource::Http),
            _ => None,
        }
    }

    pub(super) const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    pub(super) const fn template_id(self) -> u16 {
        FIRST_FLOW_TEMPLATE.saturating_add(self.0)
    }

    /// The groups of fields of this shape, in the order in which [`write_record`] writes them.
    fn groups(self) -> impl Iterator<Item = &'static [FieldSpecifier]> + Clone {
        let ipv6 = self.has(Self::IPV6);
        let tunnelled = self.has(Self::TUNNELLED);
        let biflow = self.has(Self::BIFLOW);
        let (health, round_trip) = (self.has(Self::HEALTH), self.has(Self::ROUND_TRIP));
        let name = self.name();
        let (keyed, segment) = (self.has(Self::KEYED), self.has(Self::SEGMENT));
        let (has_dns, has_http) = (self.has_dns(), self.has_http());
        let all: [(bool, &'static [FieldSpecifier]); 25] = [
            (true, if ipv6 { &KEY_V6 } else { &KEY_V4 }),
            (true, &FLOW),
            (true, if ipv6 { &ICMP_V6 } else { &ICMP_V4 }),
            (self.has(Self::INTERFACES), &INTERFACES),
            (tunnelled && keyed && segment, &SEGMENT),
            (tunnelled && keyed, &TUNNEL_TYPE),
            (tunnelled && !keyed && segment, &TUNNEL_ENCAPSULATION),
            (tunnelled && self.has(Self::OUTER_V4), &TUNNEL_V4),
            (tunnelled && !self.has(Self::OUTER_V4), &TUNNEL_V6),
            (tunnelled, &TUNNEL),
            (
                self.has(Self::TRANSLATED),
                if ipv6 { &NAT_V6 } else { &NAT_V4 },
            ),
            (biflow, &REVERSE),
            (self.has(Self::CONNECTION), &tcp::CONNECTION),
            (self.has(Self::HANDSHAKE), &tcp::HANDSHAKE),
            (health, &tcp::HEALTH),
            (health && biflow, &tcp::REVERSE_HEALTH),
            (round_trip, &tcp::ROUND_TRIP),
            (round_trip && biflow, &tcp::REVERSE_ROUND_TRIP),
            (self.has_security(), &SECURITY),
            (has_dns, &dns::COUNTS),
            (has_dns, &dns::QUERY),
            (has_http, &http::COUNTS),
            (has_http, &http::GRPC),
            (has_http, &http::REQUEST),
            (name.is_some(), name.map_or(&[], responder_name::field)),
        ];
        all.into_iter()
            .filter_map(|(has, group)| has.then_some(group))
    }

    pub(super) fn fields(self) -> impl Iterator<Item = FieldSpecifier> + Clone {
        self.groups().flatten().copied()
    }

    /// Octets of the fields of fixed length: all but names.
    pub(super) fn record_octets(self) -> u16 {
        let lengths = self.fields().map(|field| field.length);
        lengths.filter(|length| *length != VARIABLE_LENGTH).sum()
    }
}

/// Whether IPv4 elements can carry the record's addresses. If one of a pair is IPv6 (an exporter of
/// one address only, NAT64), both are sent as IPv6, the other one v4-mapped.
#[inline]
fn fits_ipv4(record: &FlowRecord) -> bool {
    let fits = |address: Address| address.is_ipv4() || address.is_unspecified();
    record.key.is_ipv4()
        && record.translation.as_ref().is_none_or(|translation| {
            fits(translation.post_nat_source_address)
                && fits(translation.post_nat_destination_address)
        })
}

/// Whether the record reports the duration or the state of a connection.
fn has_connection(record: &FlowRecord) -> bool {
    record.connection_sum_duration_milliseconds != 0
        || record.tcp_connection_state != ConnectionState::Unknown
}

/// The fields that templates of flow records can have, each once.
#[must_use]
pub fn fields() -> Vec<FieldSpecifier> {
    let mut fields = Vec::new();
    let names = Shape::all().filter(|shape| shape.without_name() == Shape(0));
    let is_other = |shape: &Shape| shape.name().is_none() && !shape.has(Shape::DNS);
    let messages = [Shape(Shape::DNS), Shape(Shape::HTTP)];
    let others = Shape::all().filter(is_other).chain(messages);
    for field in others.chain(names).flat_map(Shape::fields) {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}

/// Writes a record in the order of its shape's groups. `with_texts`: with the name of its DNS query, or
/// the texts of its HTTP request.
pub(super) fn write_record(out: &mut Vec<u8>, shape: Shape, record: &FlowRecord, with_texts: bool) {
    let key = &record.key;
    if shape.has(Shape::IPV6) {
        put(out, key.source_address.bits().to_be_bytes());
        put(out, key.destination_address.bits().to_be_bytes());
    } else {
        put(out, key.source_address.v4_bits().to_be_bytes());
        put(out, key.destination_address.v4_bits().to_be_bytes());
    }
    put(out, key.source_port.to_be_bytes());
    put(out, key.destination_port.to_be_bytes());
    let [_, tcp_control_bits] = record.tcp_control_bits.to_be_bytes();
    put(
        out,
        [
            key.protocol_identifier,
            record.ip_class_of_service,
            tcp_control_bits,
            record.flow_end_reason.octet(),
            record.biflow_direction.unwrap_or_default().octet(),
        ],
    );
    put(out, record.vlan_id.to_be_bytes());
    put(out, record.octet_delta_count.to_be_bytes());
    put(out, record.packet_delta_count.to_be_bytes());
    put(out, record.flow_start_milliseconds.to_be_bytes());
    put(out, record.flow_end_milliseconds.to_be_bytes());
    put(
        out,
        record
            .new_connection_delta_count
            .unwrap_or_default()
            .to_be_bytes(),
    );
    let seconds = record.connection_sum_duration_seconds.unwrap_or_default();
    put(
        out,
        u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes(),
    );
    put(out, record.icmp_type_code.to_be_bytes());
    if let Some(interfaces) = &record.interfaces {
        write_interfaces(out, interfaces);
    }
    if let Some(tunnel) = &record.tunnel
        && shape.has(Shape::TUNNELLED)
    {
        write_tunnel(out, shape, tunnel);
    }
    if let Some(translation) = &record.translation {
        write_translation(out, shape, translation);
    }
    let biflow = shape.has(Shape::BIFLOW);
    if biflow {
        write_reverse(out, record);
    }
    if shape.has(Shape::CONNECTION) {
        tcp::write_connection(out, record);
    }
    if shape.has(Shape::HANDSHAKE) {
        tcp::write_handshake(out, record.tcp_handshake);
    }
    if shape.has(Shape::HEALTH) {
        tcp::write_health(out, &record.tcp_health);
        if biflow {
            tcp::write_health(out, &record.reverse_tcp_health);
        }
    }
    if shape.has(Shape::ROUND_TRIP) {
        tcp::write_round_trip(out, &record.tcp_round_trip_time);
        if biflow {
            tcp::write_round_trip(out, &record.reverse_tcp_round_trip_time);
        }
    }
    if shape.has_security() {
        put(out, [record.security_protocol.octet()]);
    }
    if shape.has_dns() {
        dns::write(out, &record.dns, record.dns_query.as_ref(), with_texts);
    }
    if shape.has_http() {
        http::write(out, record, with_texts);
    }
    if let Some(name) = record.responder_name.as_ref()
        && shape.name().is_some()
    {
        responder_name::write(out, name);
    }
}

fn write_reverse(out: &mut Vec<u8>, record: &FlowRecord) {
    put(out, record.reverse_octet_delta_count.to_be_bytes());
    put(out, record.reverse_packet_delta_count.to_be_bytes());
    put(out, record.reverse_flow_start_milliseconds.to_be_bytes());
    put(out, record.reverse_flow_end_milliseconds.to_be_bytes());
    let [_, tcp_control_bits] = record.reverse_tcp_control_bits.to_be_bytes();
    put(out, [tcp_control_bits]);
}

fn write_interfaces(out: &mut Vec<u8>, interfaces: &Interfaces) {
    put(out, interfaces.ingress_interface.to_be_bytes());
    put(out, interfaces.egress_interface.to_be_bytes());
    put(out, [interfaces.flow_direction.unwrap_or_default()]);
}

fn write_tunnel(out: &mut Vec<u8>, shape: Shape, tunnel: &Tunnel) {
    match (shape.has(Shape::KEYED), shape.has(Shape::SEGMENT)) {
        (true, is_vxlan) => {
            if is_vxlan {
                put(out, tunnel.layer2_segment_id().to_be_bytes());
            }
            put(out, [tunnel.tunnel_type.octet()]);
            put(out, tunnel.tunnel_key.to_be_bytes());
        }
        (false, true) => {
            put(out, [tunnel.tunnel_type.encapsulation()]);
            put(out, tunnel.tunnel_key.to_be_bytes());
        }
        (false, false) => {}
    }
    let (source, destination) = (
        tunnel.tunnel_source_address,
        tunnel.tunnel_destination_address,
    );
    if shape.has(Shape::OUTER_V4) {
        put(out, source.v4_bits().to_be_bytes());
        put(out, destination.v4_bits().to_be_bytes());
    } else {
        put(out, source.bits().to_be_bytes());
        put(out, destination.bits().to_be_bytes());
    }
    put(out, [tunnel.tunnel_protocol_identifier]);
    put(out, tunnel.tunnel_source_port.to_be_bytes());
    put(out, tunnel.tunnel_destination_port.to_be_bytes());
}

fn write_translation(out: &mut Vec<u8>, shape: Shape, translation: &Translation) {
    let (source, destination) = (
        translation.post_nat_source_address,
        translation.post_nat_destination_address,
    );
    if shape.has(Shape::IPV6) {
        put(out, source.bits().to_be_bytes());
        put(out, destination.bits().to_be_bytes());
    } else {
        put(out, source.v4_bits().to_be_bytes());
        put(out, destination.v4_bits().to_be_bytes());
    }
    put(out, translation.post_napt_source_port.to_be_bytes());
    put(out, translation.post_napt_destination_port.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::message::LONGEST_WITHOUT_NAME;

    #[test]
    fn every_record_has_room_in_the_shortest_message() {
        let longest = Shape::all().map(Shape::record_octets).max().unwrap();
        let octets = usize::from(longest) + http::empty_octets();
        assert!(octets <= LONGEST_WITHOUT_NAME, "{octets}");
    }

    #[test]
    fn template_ids_have_sixteen_bits() {
        assert!(Shape::all().all(|shape| shape.template_id() == 1024 + shape.0));
    }
}
