//! The fields of fixed length. A row of [`FIELDS`] is a field, what a record must have and must not have for it, and how it
//! is written.

use flowproto::element::KIPFIX_ENTERPRISE;
use flowproto::field::FieldSpecifier;

use super::names::{ANTREA, Names};
use super::shape::{
    CONNECTIONS, DESTINATION_AS, DESTINATION_PREFIX, DIRECTION, DURATION, ENCAPSULATED, END,
    END_REASON, FLOW_TYPE, HOP_V6, ICMP, INITIATED, INTERFACES, IPV6, KEYED, NAPT_DESTINATION,
    NAPT_SOURCE, NAT_DESTINATION, NAT_SOURCE, NAT_V6, NEXT_HOP, ORIGIN_V6, OUTER_V4, OUTER_V6,
    PORTS, SAMPLED, SECURED, SERVICE_PORT, SOURCE_AS, SOURCE_PREFIX, START, TCP, TUNNELLED, VLAN,
    VXLAN,
};
use crate::emit::record::ForwardedRecord;

const VMWARE: u32 = 6876;

/// What fields are written from.
pub(super) struct Source<'a> {
    pub(super) record: &'a ForwardedRecord,
    pub(super) names: &'a Names<'a>,
}

/// A field of fixed length.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) specifier: FieldSpecifier,
    needs: u64,
    lacks: u64,
    pub(super) write: fn(&Source<'_>, &mut Vec<u8>),
}

impl Field {
    /// True if a record with these bits has the field.
    pub(super) const fn is_in(&self, bits: u64) -> bool {
        bits & self.needs == self.needs && bits & self.lacks == 0
    }
}

const fn field(
    (enterprise, id, length): (u32, u16, u16),
    (needs, lacks): (u64, u64),
    write: fn(&Source<'_>, &mut Vec<u8>),
) -> Field {
    Field {
        specifier: FieldSpecifier {
            enterprise,
            id,
            length,
        },
        needs,
        lacks,
        write,
    }
}

const ALWAYS: (u64, u64) = (0, 0);

macro_rules! value {
    ($record:ident => $value:expr) => {
        |source, out| {
            let $record = &source.record.record;
            out.extend_from_slice(&$value.to_be_bytes());
        }
    };
}

macro_rules! tunnel {
    ($tunnel:ident => $value:expr) => {
        |source, out| {
            if let Some($tunnel) = &source.record.record.tunnel {
                out.extend_from_slice(&$value.to_be_bytes());
            }
        }
    };
}

macro_rules! nat {
    ($nat:ident => $value:expr) => {
        |source, out| {
            if let Some($nat) = &source.record.record.translation {
                out.extend_from_slice(&$value.to_be_bytes());
            }
        }
    };
}

macro_rules! interface {
    ($interfaces:ident => $value:expr) => {
        |source, out| {
            if let Some($interfaces) = &source.record.record.interfaces {
                out.extend_from_slice(&$value.to_be_bytes());
            }
        }
    };
}

/// No record has more octets in fields of fixed length.
pub(super) const MAX_FIXED_OCTETS: usize = 384;

/// The fields, in the order in which they are written.
pub(super) const FIELDS: [Field; 59] = [
    field(
        (0, 8, 4),
        (0, IPV6),
        value!(r => r.key.source_address.v4_bits()),
    ),
    field(
        (0, 12, 4),
        (0, IPV6),
        value!(r => r.key.destination_address.v4_bits()),
    ),
    field(
        (0, 27, 16),
        (IPV6, 0),
        value!(r => r.key.source_address.bits()),
    ),
    field(
        (0, 28, 16),
        (IPV6, 0),
        value!(r => r.key.destination_address.bits()),
    ),
    field((0, 7, 2), (PORTS, 0), value!(r => r.key.source_port)),
    field((0, 11, 2), (PORTS, 0), value!(r => r.key.destination_port)),
    field((0, 4, 1), ALWAYS, value!(r => r.key.protocol_identifier)),
    field((0, 5, 1), ALWAYS, value!(r => r.ip_class_of_service)),
    // In one octet, because some collectors read two octets as 0.
    field((0, 6, 1), (TCP, 0), |source, out| {
        let [_, low] = source.record.record.tcp_control_bits.to_be_bytes();
        out.push(low);
    }),
    field(
        (0, 136, 1),
        (END_REASON, 0),
        value!(r => r.flow_end_reason.octet()),
    ),
    field((0, 58, 2), (VLAN, 0), value!(r => r.vlan_id)),
    field((0, 1, 8), ALWAYS, value!(r => r.octet_delta_count)),
    field((0, 2, 8), ALWAYS, value!(r => r.packet_delta_count)),
    field(
        (0, 152, 8),
        (START, 0),
        value!(r => r.flow_start_milliseconds),
    ),
    field((0, 153, 8), (END, 0), value!(r => r.flow_end_milliseconds)),
    field((0, 239, 1), (INITIATED, 0), |source, out| {
        let direction = source.record.record.biflow_direction;
        out.push(direction.unwrap_or_default().octet());
    }),
    field(
        (0, 278, 4),
        (CONNECTIONS, 0),
        value!(r => r.new_connection_delta_count.unwrap_or_default()),
    ),
    field(
        (0, 279, 8),
        (DURATION, 0),
        value!(r => r.connection_sum_duration_seconds.unwrap_or_default()),
    ),
    field((0, 32, 2), (ICMP, IPV6), value!(r => r.icmp_type_code)),
    field((0, 139, 2), (ICMP | IPV6, 0), value!(r => r.icmp_type_code)),
    field(
        (0, 10, 4),
        (INTERFACES, 0),
        interface!(i => i.ingress_interface),
    ),
    field(
        (0, 14, 4),
        (INTERFACES, 0),
        interface!(i => i.egress_interface),
    ),
    field(
        (0, 61, 1),
        (DIRECTION, 0),
        interface!(i => i.flow_direction.unwrap_or_default()),
    ),
    field((0, 351, 8), (VXLAN, 0), tunnel!(t => t.layer2_segment_id())),
    field(
        (VMWARE, 891, 1),
        (KEYED, 0),
        tunnel!(t => t.tunnel_type.octet()),
    ),
    field((VMWARE, 892, 4), (KEYED, 0), tunnel!(t => t.tunnel_key)),
    field(
        (VMWARE, 893, 4),
        (OUTER_V4, 0),
        tunnel!(t => t.tunnel_source_address.v4_bits()),
    ),
    field(
        (VMWARE, 894, 4),
        (OUTER_V4, 0),
        tunnel!(t => t.tunnel_destination_address.v4_bits()),
    ),
    field(
        (KIPFIX_ENTERPRISE, 16, 16),
        (OUTER_V6, 0),
        tunnel!(t => t.tunnel_source_address.bits()),
    ),
    field(
        (KIPFIX_ENTERPRISE, 17, 16),
        (OUTER_V6, 0),
        tunnel!(t => t.tunnel_destination_address.bits()),
    ),
    field(
        (KIPFIX_ENTERPRISE, 46, 1),
        (ENCAPSULATED, 0),
        tunnel!(t => t.tunnel_type.encapsulation()),
    ),
    field(
        (VMWARE, 892, 4),
        (ENCAPSULATED, 0),
        tunnel!(t => t.tunnel_key),
    ),
    field(
        (KIPFIX_ENTERPRISE, 47, 1),
        (SECURED, 0),
        value!(r => r.security_protocol.octet()),
    ),
    field(
        (VMWARE, 895, 1),
        (TUNNELLED, 0),
        tunnel!(t => t.tunnel_protocol_identifier),
    ),
    field(
        (VMWARE, 896, 2),
        (TUNNELLED, 0),
        tunnel!(t => t.tunnel_source_port),
    ),
    field(
        (VMWARE, 897, 2),
        (TUNNELLED, 0),
        tunnel!(t => t.tunnel_destination_port),
    ),
    field(
        (0, 225, 4),
        (NAT_SOURCE, NAT_V6),
        nat!(n => n.post_nat_source_address.v4_bits()),
    ),
    field(
        (0, 226, 4),
        (NAT_DESTINATION, NAT_V6),
        nat!(n => n.post_nat_destination_address.v4_bits()),
    ),
    field(
        (0, 281, 16),
        (NAT_SOURCE | NAT_V6, 0),
        nat!(n => n.post_nat_source_address.bits()),
    ),
    field(
        (0, 282, 16),
        (NAT_DESTINATION | NAT_V6, 0),
        nat!(n => n.post_nat_destination_address.bits()),
    ),
    field(
        (0, 227, 2),
        (NAPT_SOURCE, 0),
        nat!(n => n.post_napt_source_port),
    ),
    field(
        (0, 228, 2),
        (NAPT_DESTINATION, 0),
        nat!(n => n.post_napt_destination_port),
    ),
    field(
        (0, 16, 4),
        (SOURCE_AS, 0),
        value!(r => r.bgp_source_as_number),
    ),
    field(
        (0, 17, 4),
        (DESTINATION_AS, 0),
        value!(r => r.bgp_destination_as_number),
    ),
    field(
        (0, 9, 1),
        (SOURCE_PREFIX, IPV6),
        value!(r => r.source_prefix_length),
    ),
    field(
        (0, 13, 1),
        (DESTINATION_PREFIX, IPV6),
        value!(r => r.destination_prefix_length),
    ),
    field(
        (0, 15, 4),
        (NEXT_HOP, HOP_V6),
        value!(r => r.ip_next_hop_address.v4_bits()),
    ),
    field(
        (0, 29, 1),
        (SOURCE_PREFIX | IPV6, 0),
        value!(r => r.source_prefix_length),
    ),
    field(
        (0, 30, 1),
        (DESTINATION_PREFIX | IPV6, 0),
        value!(r => r.destination_prefix_length),
    ),
    field(
        (0, 62, 16),
        (NEXT_HOP | HOP_V6, 0),
        value!(r => r.ip_next_hop_address.bits()),
    ),
    // The counters are raw, so the sampling goes with them.
    field((0, 305, 4), (SAMPLED, 0), value!(r => r.sampling.interval)),
    field((0, 306, 4), (SAMPLED, 0), value!(r => r.sampling.space)),
    // The Original Exporter: as in RFC 7119, and where collectors behind a proxy look for it.
    field((0, 130, 4), (0, ORIGIN_V6), |source, out| {
        origin_v4(source, out)
    }),
    field((0, 131, 16), (ORIGIN_V6, 0), |source, out| {
        origin_v6(source, out)
    }),
    field((0, 403, 4), (0, ORIGIN_V6), |source, out| {
        origin_v4(source, out)
    }),
    field((0, 404, 16), (ORIGIN_V6, 0), |source, out| {
        origin_v6(source, out)
    }),
    field((0, 405, 4), ALWAYS, |source, out| {
        let domain = source.record.origin.observation_domain_id;
        out.extend_from_slice(&domain.to_be_bytes());
    }),
    field((ANTREA, 108, 2), (SERVICE_PORT, 0), |source, out| {
        out.extend_from_slice(&source.names.service_port.to_be_bytes());
    }),
    field((ANTREA, 137, 1), (FLOW_TYPE, 0), |source, out| {
        out.push(source.names.flow_type)
    }),
];

/// Octets of the fields of a record with these bits.
pub(super) fn fixed_octets(bits: u64) -> usize {
    let fields = FIELDS.iter().filter(|field| field.is_in(bits));
    fields
        .map(|field| usize::from(field.specifier.length))
        .sum()
}

fn origin_v4(source: &Source<'_>, out: &mut Vec<u8>) {
    let address = source.record.origin_address();
    out.extend_from_slice(&address.v4_bits().to_be_bytes());
}

fn origin_v6(source: &Source<'_>, out: &mut Vec<u8>) {
    let address = source.record.origin_address();
    out.extend_from_slice(&address.bits().to_be_bytes());
}
