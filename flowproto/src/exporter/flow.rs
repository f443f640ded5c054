//! The layout of flow records: the fields of each group of a [`Shape`], in their order.

use std::sync::LazyLock;

use super::layout::{FieldSink, FixedOctets};
use super::shape::Shape;
use super::{dns, http, responder_name, tcp};
use crate::address::Address;
use crate::field::{ElementId, FieldSpecifier};
use crate::record::{FlowRecord, Interfaces, Translation, Tunnel};

/// 173 `flowKeyIndicator` of every template: its first five fields are the Flow Key.
pub(super) const FLOW_KEY_INDICATOR: u64 = 0b1_1111;

/// A record that has nothing, from which templates are made.
static EMPTY: LazyLock<FlowRecord> = LazyLock::new(FlowRecord::default);

impl Shape {
    /// Passes the fields of the template to `out`.
    pub(super) fn fields(self, out: &mut impl FieldSink) {
        record(out, self, &EMPTY, false);
    }

    /// Octets of the fields of fixed length: all but names.
    pub(super) fn record_octets(self) -> u16 {
        let mut octets = FixedOctets::default();
        self.fields(&mut octets);
        octets.0
    }
}

/// Passes the fields of a record to `out`. Which ones follows from the shape alone. `with_texts`:
/// with the name of its DNS query, or the texts of its HTTP request.
#[inline]
pub(super) fn record(
    out: &mut impl FieldSink,
    shape: Shape,
    record: &FlowRecord,
    with_texts: bool,
) {
    let is_ipv6 = shape.has(Shape::IPV6);
    let is_biflow = shape.has(Shape::BIFLOW);
    let key = &record.key;
    let addresses = (key.source_address, key.destination_address);
    pair(out, is_ipv6, addresses, [8, 12], [27, 28]);
    out.field(ElementId::iana(7), key.source_port);
    out.field(ElementId::iana(11), key.destination_port);
    out.field(ElementId::iana(4), key.protocol_identifier);
    out.field(ElementId::iana(5), record.ip_class_of_service);
    out.field(ElementId::iana(6), low_octet(record.tcp_control_bits));
    out.field(ElementId::iana(136), record.flow_end_reason.octet());
    out.field(
        ElementId::iana(239),
        record.biflow_direction.unwrap_or_default().octet(),
    );
    out.field(ElementId::iana(58), record.vlan_id);
    out.field(ElementId::iana(1), record.octet_delta_count);
    out.field(ElementId::iana(2), record.packet_delta_count);
    out.field(ElementId::iana(152), record.flow_start_milliseconds);
    out.field(ElementId::iana(153), record.flow_end_milliseconds);
    out.field(
        ElementId::iana(278),
        record.new_connection_delta_count.unwrap_or_default(),
    );
    let seconds = record.connection_sum_duration_seconds.unwrap_or_default();
    out.field(
        ElementId::iana(279),
        u32::try_from(seconds).unwrap_or(u32::MAX),
    );
    out.field(
        ElementId::iana(if is_ipv6 { 139 } else { 32 }),
        record.icmp_type_code,
    );
    if shape.has(Shape::INTERFACES) {
        interfaces(out, record.interfaces.unwrap_or_default());
    }
    if shape.has(Shape::TUNNELLED) {
        tunnel(out, shape, &record.tunnel.unwrap_or_default());
    }
    if shape.has(Shape::TRANSLATED) {
        translation(out, is_ipv6, &record.translation.unwrap_or_default());
    }
    if is_biflow {
        reverse(out, record);
    }
    if shape.has(Shape::TRANSPORT) {
        transport(out, is_biflow, record);
    }
    if shape.has(Shape::CONNECTION) {
        tcp::connection(out, record);
    }
    if shape.has(Shape::HANDSHAKE) {
        tcp::handshake(out, record.tcp_handshake);
    }
    if shape.has(Shape::HEALTH) {
        tcp::health(out, &record.tcp_health);
        if is_biflow {
            tcp::reverse_health(out, &record.reverse_tcp_health);
        }
    }
    if shape.has(Shape::ROUND_TRIP) {
        tcp::round_trip(out, &record.tcp_round_trip_time);
        if is_biflow {
            tcp::reverse_round_trip(out, &record.reverse_tcp_round_trip_time);
        }
    }
    if shape.has_security() {
        out.field(ElementId::kipfix(47), record.security_protocol.octet());
    }
    if shape.has_dns() {
        dns::counts(out, &record.dns);
        dns::query(out, record.dns_query.as_ref(), with_texts);
    }
    if shape.has_http() {
        http::counts(out, &record.http);
        http::grpc(out, &record.http);
        http::request(out, record, with_texts);
    }
    if let Some(source) = shape.name() {
        responder_name::field(out, source, record.responder_name.as_ref());
    }
}

/// tcpControlBits has one octet, because collectors exist that read two as 0.
#[inline]
pub(super) const fn low_octet(tcp_control_bits: u16) -> u8 {
    let [_, low] = tcp_control_bits.to_be_bytes();
    low
}

/// The addresses of source and destination, as elements of either family.
#[inline]
pub(super) fn pair(
    out: &mut impl FieldSink,
    is_ipv6: bool,
    (source, destination): (Address, Address),
    v4: [u16; 2],
    v6: [u16; 2],
) {
    if is_ipv6 {
        let [first, second] = v6.map(ElementId::iana);
        out.field(first, source.bits());
        out.field(second, destination.bits());
    } else {
        let [first, second] = v4.map(ElementId::iana);
        out.field(first, source.v4_bits());
        out.field(second, destination.v4_bits());
    }
}

fn interfaces(out: &mut impl FieldSink, interfaces: Interfaces) {
    out.field(ElementId::iana(10), interfaces.ingress_interface);
    out.field(ElementId::iana(14), interfaces.egress_interface);
    out.field(
        ElementId::iana(61),
        interfaces.flow_direction.unwrap_or_default(),
    );
}

fn tunnel(out: &mut impl FieldSink, shape: Shape, tunnel: &Tunnel) {
    let has_segment = shape.has(Shape::SEGMENT);
    if shape.has(Shape::KEYED) {
        if has_segment {
            out.field(ElementId::iana(351), tunnel.layer2_segment_id());
        }
        out.field(ElementId::vmware(891), tunnel.tunnel_type.octet());
        out.field(ElementId::vmware(892), tunnel.tunnel_key);
    } else if has_segment {
        out.field(ElementId::kipfix(46), tunnel.tunnel_type.encapsulation());
        out.field(ElementId::vmware(892), tunnel.tunnel_key);
    }
    let (source, destination) = (
        tunnel.tunnel_source_address,
        tunnel.tunnel_destination_address,
    );
    if shape.has(Shape::OUTER_V4) {
        out.field(ElementId::vmware(893), source.v4_bits());
        out.field(ElementId::vmware(894), destination.v4_bits());
    } else {
        out.field(ElementId::kipfix(16), source.bits());
        out.field(ElementId::kipfix(17), destination.bits());
    }
    out.field(ElementId::vmware(895), tunnel.tunnel_protocol_identifier);
    out.field(ElementId::vmware(896), tunnel.tunnel_source_port);
    out.field(ElementId::vmware(897), tunnel.tunnel_destination_port);
}

fn translation(out: &mut impl FieldSink, is_ipv6: bool, translation: &Translation) {
    let addresses = (
        translation.post_nat_source_address,
        translation.post_nat_destination_address,
    );
    pair(out, is_ipv6, addresses, [225, 226], [281, 282]);
    out.field(ElementId::iana(227), translation.post_napt_source_port);
    out.field(ElementId::iana(228), translation.post_napt_destination_port);
}

/// The reverse direction (RFC 5103).
fn reverse(out: &mut impl FieldSink, record: &FlowRecord) {
    out.field(ElementId::reverse(1), record.reverse_octet_delta_count);
    out.field(ElementId::reverse(2), record.reverse_packet_delta_count);
    out.field(
        ElementId::reverse(152),
        record.reverse_flow_start_milliseconds,
    );
    out.field(
        ElementId::reverse(153),
        record.reverse_flow_end_milliseconds,
    );
    out.field(
        ElementId::reverse(6),
        low_octet(record.reverse_tcp_control_bits),
    );
}

/// Octets behind the transport header.
fn transport(out: &mut impl FieldSink, is_biflow: bool, record: &FlowRecord) {
    let octets = record.transport_octet_delta_count;
    out.field(ElementId::iana(401), octets.unwrap_or_default());
    if is_biflow {
        let octets = record.reverse_transport_octet_delta_count;
        out.field(ElementId::reverse(401), octets.unwrap_or_default());
    }
}

/// The fields that templates of flow records can have, each once.
#[must_use]
pub fn fields() -> Vec<FieldSpecifier> {
    let mut fields = Vec::new();
    let names = Shape::all().filter(|shape| shape.without_name() == Shape(0));
    let is_other = |shape: &Shape| shape.name().is_none() && !shape.has(Shape::DNS);
    let messages = [Shape(Shape::DNS), Shape(Shape::HTTP)];
    let others = Shape::all().filter(is_other).chain(messages);
    let mut of_shape = Vec::new();
    for shape in others.chain(names) {
        of_shape.clear();
        shape.fields(&mut of_shape);
        for field in &of_shape {
            if !fields.contains(field) {
                fields.push(*field);
            }
        }
    }
    fields
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
}
