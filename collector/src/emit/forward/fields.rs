//! The layout of the fields of fixed length.

use flowproto::exporter::Profile;
use flowproto::exporter::layout::{FieldSink, FieldValue, FixedOctets};
use flowproto::field::ElementId;
use flowproto::record::{FlowRecord, Tunnel};

use super::names::{self, Names};
use super::record::ForwardedRecord;
use super::shape::{
    CONNECTIONS, DESTINATION_AS, DESTINATION_PREFIX, DIRECTION, DURATION, ENCAPSULATED, END,
    END_REASON, FLOW_TYPE, HOP_V6, ICMP, INITIATED, INTERFACES, IPV6, KEYED, NAPT_DESTINATION,
    NAPT_SOURCE, NAT_DESTINATION, NAT_SOURCE, NAT_V6, NEXT_HOP, ORIGIN_V6, OUTER_V4, OUTER_V6,
    PORTS, SAMPLED, SECURED, SERVICE_PORT, SOURCE_AS, SOURCE_PREFIX, START, TCP, TUNNELLED, VLAN,
    VXLAN,
};

/// What fields are written from.
pub(super) struct Source<'a> {
    pub(super) record: &'a ForwardedRecord,
    pub(super) names: &'a Names<'a>,
}

/// Maximum octets of a record in fields of fixed length.
pub(super) const MAX_FIXED_OCTETS: usize = 384;

/// The bits of what a record has.
#[derive(Clone, Copy)]
struct Bits(u64);

impl Bits {
    /// Whether it has all of these.
    #[inline]
    const fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }
}

/// Passes on the fields whose elements a profile has.
struct ProfileFields<'a, S> {
    out: &'a mut S,
    profile: Profile,
}

impl<S: FieldSink> FieldSink for ProfileFields<'_, S> {
    #[inline]
    fn field<V: FieldValue>(&mut self, element: ElementId, value: V) {
        if self.profile.has(element.enterprise) {
            self.out.field(element, value);
        }
    }

    fn text(&mut self, element: ElementId, text: &str) {
        if self.profile.has(element.enterprise) {
            self.out.text(element, text);
        }
    }

    fn list(&mut self, element: ElementId, of: ElementId, values: &[u32]) {
        if self.profile.has(element.enterprise) && self.profile.has(of.enterprise) {
            self.out.list(element, of, values);
        }
    }
}

/// Passes the fields of a record with these bits to `out`.
pub(super) fn write(out: &mut impl FieldSink, profile: Profile, bits: u64, source: &Source<'_>) {
    let mut out = ProfileFields { out, profile };
    let record = &source.record.record;
    let bits = Bits(bits);
    flow(&mut out, bits, record);
    if bits.has(TUNNELLED) {
        tunnel(&mut out, bits, &record.tunnel.unwrap_or_default());
    }
    if bits.has(SECURED) {
        out.field(ElementId::kipfix(47), record.security_protocol.octet());
    }
    if bits.has(TUNNELLED) {
        outer_header(&mut out, &record.tunnel.unwrap_or_default());
    }
    translation(&mut out, bits, record);
    routing(&mut out, bits, record);
    // The counters are raw, so the sampling goes with them.
    if bits.has(SAMPLED) {
        out.field(ElementId::iana(305), record.sampling.interval);
        out.field(ElementId::iana(306), record.sampling.space);
    }
    origin(&mut out, bits, source.record);
    if bits.has(SERVICE_PORT) {
        out.field(names::SERVICE_PORT, source.names.service_port);
    }
    if bits.has(FLOW_TYPE) {
        out.field(names::FLOW_TYPE, source.names.flow_type);
    }
}

fn flow(out: &mut impl FieldSink, bits: Bits, record: &FlowRecord) {
    let key = &record.key;
    if bits.has(IPV6) {
        out.field(ElementId::iana(27), key.source_address.bits());
        out.field(ElementId::iana(28), key.destination_address.bits());
    } else {
        out.field(ElementId::iana(8), key.source_address.v4_bits());
        out.field(ElementId::iana(12), key.destination_address.v4_bits());
    }
    if bits.has(PORTS) {
        out.field(ElementId::iana(7), key.source_port);
        out.field(ElementId::iana(11), key.destination_port);
    }
    out.field(ElementId::iana(4), key.protocol_identifier);
    out.field(ElementId::iana(5), record.ip_class_of_service);
    if bits.has(TCP) {
        // In one octet, because some collectors read two octets as 0.
        let [_, low] = record.tcp_control_bits.to_be_bytes();
        out.field(ElementId::iana(6), low);
    }
    if bits.has(END_REASON) {
        out.field(ElementId::iana(136), record.flow_end_reason.octet());
    }
    if bits.has(VLAN) {
        out.field(ElementId::iana(58), record.vlan_id);
    }
    out.field(ElementId::iana(1), record.octet_delta_count);
    out.field(ElementId::iana(2), record.packet_delta_count);
    if bits.has(START) {
        out.field(ElementId::iana(152), record.flow_start_milliseconds);
    }
    if bits.has(END) {
        out.field(ElementId::iana(153), record.flow_end_milliseconds);
    }
    if bits.has(INITIATED) {
        let direction = record.biflow_direction.unwrap_or_default();
        out.field(ElementId::iana(239), direction.octet());
    }
    if bits.has(CONNECTIONS) {
        let connections = record.new_connection_delta_count.unwrap_or_default();
        out.field(ElementId::iana(278), connections);
    }
    if bits.has(DURATION) {
        let seconds = record.connection_sum_duration_seconds.unwrap_or_default();
        out.field(ElementId::iana(279), seconds);
    }
    if bits.has(ICMP) {
        let id = if bits.has(IPV6) { 139 } else { 32 };
        out.field(ElementId::iana(id), record.icmp_type_code);
    }
    let interfaces = record.interfaces.unwrap_or_default();
    if bits.has(INTERFACES) {
        out.field(ElementId::iana(10), interfaces.ingress_interface);
        out.field(ElementId::iana(14), interfaces.egress_interface);
    }
    if bits.has(DIRECTION) {
        let direction = interfaces.flow_direction.unwrap_or_default();
        out.field(ElementId::iana(61), direction);
    }
}

fn tunnel(out: &mut impl FieldSink, bits: Bits, tunnel: &Tunnel) {
    let (source, destination) = (
        tunnel.tunnel_source_address,
        tunnel.tunnel_destination_address,
    );
    if bits.has(VXLAN) {
        out.field(ElementId::iana(351), tunnel.layer2_segment_id());
    }
    if bits.has(KEYED) {
        out.field(ElementId::vmware(891), tunnel.tunnel_type.octet());
        out.field(ElementId::vmware(892), tunnel.tunnel_key);
    }
    if bits.has(OUTER_V4) {
        out.field(ElementId::vmware(893), source.v4_bits());
        out.field(ElementId::vmware(894), destination.v4_bits());
    }
    if bits.has(OUTER_V6) {
        out.field(ElementId::kipfix(16), source.bits());
        out.field(ElementId::kipfix(17), destination.bits());
    }
    if bits.has(ENCAPSULATED) {
        out.field(ElementId::kipfix(46), tunnel.tunnel_type.encapsulation());
        out.field(ElementId::vmware(892), tunnel.tunnel_key);
    }
}

fn outer_header(out: &mut impl FieldSink, tunnel: &Tunnel) {
    out.field(ElementId::vmware(895), tunnel.tunnel_protocol_identifier);
    out.field(ElementId::vmware(896), tunnel.tunnel_source_port);
    out.field(ElementId::vmware(897), tunnel.tunnel_destination_port);
}

fn translation(out: &mut impl FieldSink, bits: Bits, record: &FlowRecord) {
    let nat = record.translation.unwrap_or_default();
    let (source, destination) = (
        nat.post_nat_source_address,
        nat.post_nat_destination_address,
    );
    match (bits.has(NAT_SOURCE), bits.has(NAT_V6)) {
        (true, true) => out.field(ElementId::iana(281), source.bits()),
        (true, false) => out.field(ElementId::iana(225), source.v4_bits()),
        (false, _) => {}
    }
    match (bits.has(NAT_DESTINATION), bits.has(NAT_V6)) {
        (true, true) => out.field(ElementId::iana(282), destination.bits()),
        (true, false) => out.field(ElementId::iana(226), destination.v4_bits()),
        (false, _) => {}
    }
    if bits.has(NAPT_SOURCE) {
        out.field(ElementId::iana(227), nat.post_napt_source_port);
    }
    if bits.has(NAPT_DESTINATION) {
        out.field(ElementId::iana(228), nat.post_napt_destination_port);
    }
}

fn routing(out: &mut impl FieldSink, bits: Bits, record: &FlowRecord) {
    if bits.has(SOURCE_AS) {
        out.field(ElementId::iana(16), record.bgp_source_as_number);
    }
    if bits.has(DESTINATION_AS) {
        out.field(ElementId::iana(17), record.bgp_destination_as_number);
    }
    if !bits.has(IPV6) {
        prefixes(out, bits, record, [9, 13]);
    }
    if bits.has(NEXT_HOP) && !bits.has(HOP_V6) {
        let next_hop = record.ip_next_hop_address.v4_bits();
        out.field(ElementId::iana(15), next_hop);
    }
    if bits.has(IPV6) {
        prefixes(out, bits, record, [29, 30]);
    }
    if bits.has(NEXT_HOP | HOP_V6) {
        let next_hop = record.ip_next_hop_address.bits();
        out.field(ElementId::iana(62), next_hop);
    }
}

fn prefixes(out: &mut impl FieldSink, bits: Bits, record: &FlowRecord, ids: [u16; 2]) {
    let [source, destination] = ids.map(ElementId::iana);
    if bits.has(SOURCE_PREFIX) {
        out.field(source, record.source_prefix_length);
    }
    if bits.has(DESTINATION_PREFIX) {
        out.field(destination, record.destination_prefix_length);
    }
}

/// The Original Exporter: as in RFC 7119, and where collectors behind a proxy look for it.
fn origin(out: &mut impl FieldSink, bits: Bits, record: &ForwardedRecord) {
    let address = record.origin_address();
    if bits.has(ORIGIN_V6) {
        out.field(ElementId::iana(131), address.bits());
        out.field(ElementId::iana(404), address.bits());
    } else {
        out.field(ElementId::iana(130), address.v4_bits());
        out.field(ElementId::iana(403), address.v4_bits());
    }
    let domain = record.origin.observation_domain_id;
    out.field(ElementId::iana(405), domain);
}

/// Octets of the fields of a record with these bits.
pub(super) fn fixed_octets(bits: u64, source: &Source<'_>) -> usize {
    let mut octets = FixedOctets::default();
    write(&mut octets, Profile::All, bits, source);
    octets.0.into()
}
