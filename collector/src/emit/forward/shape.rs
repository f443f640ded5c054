//! The template of a forwarded record follows from what it has: fields that were not measured are left out, so that a
//! record without a count of connections is not taken for one of no connection. A row of [`FIELDS`] is a field, what a
//! record must have and must not have for it, and how it is written.

use flowproto::Address;
use flowproto::field::FieldSpecifier;
use flowproto::record::{Sampling, TunnelType};

use super::names::{ANTREA, Names};
use super::record::ForwardedRecord;

const VMWARE: u32 = 6876;
/// Template of shape 0. Lower numbers are those of options templates.
const FIRST_TEMPLATE: u16 = 1024;

/// What a record has, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape(u32);

const IPV6: u32 = 1;
const INTERFACES: u32 = 1 << 1;
const TRANSLATED: u32 = 1 << 2;
const TUNNELLED: u32 = 1 << 3;
/// The tunnel has a type in the registry and a key: not IP in IP.
const KEYED: u32 = 1 << 4;
const VXLAN: u32 = 1 << 5;
const OUTER_V4: u32 = 1 << 6;
/// The exporter counts connections.
const CONNECTIONS: u32 = 1 << 7;
const DURATION: u32 = 1 << 8;
/// The exporter reports the initiator.
const INITIATED: u32 = 1 << 9;
/// Autonomous systems, prefixes, next hop.
const ROUTED: u32 = 1 << 10;
const SAMPLED: u32 = 1 << 11;
const ORIGIN_V6: u32 = 1 << 12;
/// An address after translation is IPv6, whatever the family before (NAT64).
const NAT_V6: u32 = 1 << 13;
/// The next hop is IPv6, whatever the family of the packets (RFC 8950).
const HOP_V6: u32 = 1 << 14;
/// The start and the end of the flow are known.
const STARTED: u32 = 1 << 15;
const ENDED: u32 = 1 << 16;

/// What fields are written from.
pub(super) struct Source<'a> {
    pub(super) record: &'a ForwardedRecord,
    pub(super) names: &'a Names<'a>,
}

struct Field {
    specifier: FieldSpecifier,
    needs: u32,
    lacks: u32,
    write: fn(&Source<'_>, &mut Vec<u8>),
}

const fn field(
    (enterprise, id, length): (u32, u16, u16),
    (needs, lacks): (u32, u32),
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

const ALWAYS: (u32, u32) = (0, 0);

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

const FIELDS: [Field; 54] = [
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
    field((0, 7, 2), ALWAYS, value!(r => r.key.source_port)),
    field((0, 11, 2), ALWAYS, value!(r => r.key.destination_port)),
    field((0, 4, 1), ALWAYS, value!(r => r.key.protocol_identifier)),
    field((0, 5, 1), ALWAYS, value!(r => r.ip_class_of_service)),
    // In one octet, because some collectors read two octets as 0.
    field((0, 6, 1), ALWAYS, |source, out| {
        let [_, low] = source.record.record.tcp_control_bits.to_be_bytes();
        out.push(low);
    }),
    field((0, 136, 1), ALWAYS, value!(r => r.flow_end_reason.octet())),
    field((0, 58, 2), ALWAYS, value!(r => r.vlan_id)),
    field((0, 1, 8), ALWAYS, value!(r => r.octet_delta_count)),
    field((0, 2, 8), ALWAYS, value!(r => r.packet_delta_count)),
    field(
        (0, 152, 8),
        (STARTED, 0),
        value!(r => r.flow_start_milliseconds),
    ),
    field(
        (0, 153, 8),
        (ENDED, 0),
        value!(r => r.flow_end_milliseconds),
    ),
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
    field((0, 32, 2), (0, IPV6), value!(r => r.icmp_type_code)),
    field((0, 139, 2), (IPV6, 0), value!(r => r.icmp_type_code)),
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
        (INTERFACES, 0),
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
        (TRANSLATED, NAT_V6),
        nat!(n => n.post_nat_source_address.v4_bits()),
    ),
    field(
        (0, 226, 4),
        (TRANSLATED, NAT_V6),
        nat!(n => n.post_nat_destination_address.v4_bits()),
    ),
    field(
        (0, 281, 16),
        (TRANSLATED | NAT_V6, 0),
        nat!(n => n.post_nat_source_address.bits()),
    ),
    field(
        (0, 282, 16),
        (TRANSLATED | NAT_V6, 0),
        nat!(n => n.post_nat_destination_address.bits()),
    ),
    field(
        (0, 227, 2),
        (TRANSLATED, 0),
        nat!(n => n.post_napt_source_port),
    ),
    field(
        (0, 228, 2),
        (TRANSLATED, 0),
        nat!(n => n.post_napt_destination_port),
    ),
    field((0, 16, 4), (ROUTED, 0), value!(r => r.bgp_source_as_number)),
    field(
        (0, 17, 4),
        (ROUTED, 0),
        value!(r => r.bgp_destination_as_number),
    ),
    field(
        (0, 9, 1),
        (ROUTED, IPV6),
        value!(r => r.source_prefix_length),
    ),
    field(
        (0, 13, 1),
        (ROUTED, IPV6),
        value!(r => r.destination_prefix_length),
    ),
    field(
        (0, 15, 4),
        (ROUTED, HOP_V6),
        value!(r => r.ip_next_hop_address.v4_bits()),
    ),
    field(
        (0, 29, 1),
        (ROUTED | IPV6, 0),
        value!(r => r.source_prefix_length),
    ),
    field(
        (0, 30, 1),
        (ROUTED | IPV6, 0),
        value!(r => r.destination_prefix_length),
    ),
    field(
        (0, 62, 16),
        (ROUTED | HOP_V6, 0),
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
    field((ANTREA, 108, 2), ALWAYS, |source, out| {
        out.extend_from_slice(&source.names.service_port.to_be_bytes());
    }),
    field((ANTREA, 137, 1), ALWAYS, |source, out| {
        out.push(source.names.flow_type)
    }),
];

fn origin_v4(source: &Source<'_>, out: &mut Vec<u8>) {
    let address = source.record.origin_address();
    out.extend_from_slice(&address.v4_bits().to_be_bytes());
}

fn origin_v6(source: &Source<'_>, out: &mut Vec<u8>) {
    let address = source.record.origin_address();
    out.extend_from_slice(&address.bits().to_be_bytes());
}

impl Shape {
    /// Number of shapes: 4 of times, 3 of routes, 3 of translations, 7 of tunnels, and 7 bits.
    pub(super) const COUNT: usize = (4 * 3 * 3 * 7) << 7;

    pub(super) fn of(forwarded: &ForwardedRecord) -> Self {
        let record = &forwarded.record;
        let when = |yes: bool, bit: u32| if yes { bit } else { 0 };
        let tunnel = record.tunnel.as_ref().map_or(0, |tunnel| {
            TUNNELLED
                | when(tunnel.tunnel_type != TunnelType::IpInIp, KEYED)
                | when(tunnel.tunnel_type == TunnelType::Vxlan, VXLAN)
                | when(tunnel.tunnel_source_address.is_ipv4(), OUTER_V4)
        });
        let routed = record.bgp_source_as_number != 0
            || record.bgp_destination_as_number != 0
            || record.source_prefix_length != 0
            || record.destination_prefix_length != 0
            || !record.ip_next_hop_address.is_unspecified();
        let is_ipv6 = |address: Address| !address.is_ipv4() && !address.is_unspecified();
        let translated_to_ipv6 = record.translation.as_ref().is_some_and(|t| {
            is_ipv6(t.post_nat_source_address) || is_ipv6(t.post_nat_destination_address)
        });
        Self(
            when(!record.key.is_ipv4(), IPV6)
                | when(record.interfaces.is_some(), INTERFACES)
                | when(record.translation.is_some(), TRANSLATED)
                | when(record.new_connection_delta_count.is_some(), CONNECTIONS)
                | when(record.connection_sum_duration_seconds.is_some(), DURATION)
                | when(record.biflow_direction.is_some(), INITIATED)
                | when(routed, ROUTED)
                | when(record.sampling != Sampling::NONE, SAMPLED)
                | when(!forwarded.origin_address().is_ipv4(), ORIGIN_V6)
                | when(translated_to_ipv6, NAT_V6)
                | when(routed && is_ipv6(record.ip_next_hop_address), HOP_V6)
                | when(record.flow_start_milliseconds != 0, STARTED)
                | when(record.flow_end_milliseconds != 0, ENDED)
                | tunnel,
        )
    }

    pub(super) fn template_id(self) -> u16 {
        FIRST_TEMPLATE.saturating_add(self.number())
    }

    /// Its position among all shapes.
    pub(super) fn index(self) -> usize {
        self.number().into()
    }

    /// A number for the bits, of which not all occur together: template IDs have 16 bits.
    fn number(self) -> u16 {
        let bit = |bit: u32| u16::from(self.has(bit));
        let tunnel = match (self.has(TUNNELLED), self.has(KEYED), self.has(VXLAN)) {
            (false, ..) => 0,
            (_, false, _) => 1,
            (_, _, false) => 3,
            _ => 5,
        };
        // Each digit with its base.
        let digits = [
            // 0 where both are known.
            (4, 3 ^ (bit(STARTED) | bit(ENDED) << 1)),
            (3, bit(ROUTED).saturating_add(bit(HOP_V6))),
            (3, bit(TRANSLATED).saturating_add(bit(NAT_V6))),
            (7, bit(OUTER_V4).saturating_add(tunnel)),
            (2, bit(IPV6)),
            (2, bit(INTERFACES)),
            (2, bit(CONNECTIONS)),
            (2, bit(DURATION)),
            (2, bit(INITIATED)),
            (2, bit(SAMPLED)),
            (2, bit(ORIGIN_V6)),
        ];
        digits.into_iter().fold(0_u16, |number, (base, digit)| {
            number.saturating_mul(base).saturating_add(digit)
        })
    }

    const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    pub(super) const fn is_tunnelled(self) -> bool {
        self.has(TUNNELLED)
    }

    fn rows(self) -> impl Iterator<Item = &'static Field> + Clone {
        FIELDS
            .iter()
            .filter(move |f| self.0 & f.needs == f.needs && self.0 & f.lacks == 0)
    }

    /// The fields of fixed length, which precede the names.
    pub(super) fn fields(self) -> impl Iterator<Item = FieldSpecifier> + Clone {
        self.rows().map(|field| field.specifier)
    }

    /// Octets of the fields of fixed length.
    pub(super) fn octets(self) -> u16 {
        self.fields().map(|field| field.length).sum()
    }

    /// Appends the fields of fixed length.
    pub(super) fn write(self, source: &Source<'_>, out: &mut Vec<u8>) {
        for field in self.rows() {
            (field.write)(source, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_a_template_of_its_own() {
        // A bit, and the one without which it does not occur.
        let only_with = [
            (KEYED, TUNNELLED),
            (VXLAN, KEYED),
            (OUTER_V4, TUNNELLED),
            (NAT_V6, TRANSLATED),
            (HOP_V6, ROUTED),
        ];
        let mut used = vec![false; Shape::COUNT];
        for bits in 0..ENDED << 1 {
            let occurs = |(bit, with): &(u32, u32)| bits & bit == 0 || bits & with != 0;
            if only_with.iter().all(occurs) {
                let shape = Shape(bits);
                assert!(!std::mem::replace(&mut used[shape.index()], true));
                assert_eq!(usize::from(shape.template_id()), 1024 + shape.index());
            }
        }
        assert!(used.iter().all(|used| *used));
    }

    #[test]
    fn times_that_are_not_known_have_no_field() {
        for (bits, expected) in [
            (0, vec![]),
            (STARTED, vec![152]),
            (ENDED, vec![153]),
            (STARTED | ENDED, vec![152, 153]),
        ] {
            let times = |id: &u16| (152..=153).contains(id);
            let fields = Shape(bits).fields().map(|field| field.id);
            assert_eq!(fields.filter(times).collect::<Vec<_>>(), expected);
        }
    }
}
