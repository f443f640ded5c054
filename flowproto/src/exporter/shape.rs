//! What a flow record has. Its content selects its template, so that plain records stay small: IPv4
//! or IPv6, with or without interfaces, tunnel, translation, reverse direction, TCP health and the
//! name of the responder.

use std::ops::Range;

use crate::address::Address;
use crate::host_name::NameSource;
use crate::record::{FlowRecord, SecurityProtocol, TunnelType};
use crate::tcp::{ConnectionState, Handshake};

/// Template ID of shape 0; the others follow. Options templates have lower ones.
const FIRST_FLOW_TEMPLATE: u16 = 1024;

/// Bits that each shape can have or not: all below [`Shape::TUNNELLED`].
const FREE_BITS: u32 = 8;
/// No tunnel, or three bits of one.
const TUNNELS: u16 = 1 + 8;
/// Without octets behind the transport header, one bit: a connection. With them, four bits.
const TRANSPORTS: u16 = 2 + 16;

/// The groups of fields of a record and of its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) u32);

impl Shape {
    pub(super) const IPV6: u32 = 1;
    pub(super) const INTERFACES: u32 = 1 << 1;
    pub(super) const TRANSLATED: u32 = 1 << 2;
    /// Has a reverse direction.
    pub(super) const BIFLOW: u32 = 1 << 3;
    /// Has the name of the responder: two bits with its source.
    const DNS_NAME: u32 = 1 << 4;
    const TLS_NAME: u32 = 1 << 5;
    const HTTP_NAME: u32 = Self::NAME;
    pub(super) const NAME: u32 = Self::DNS_NAME | Self::TLS_NAME;
    /// Has one of these, not several, so that Template IDs have 16 bits: a protocol that protects
    /// the packets, or counts of DNS or HTTP messages.
    const CONTENT: u32 = Self::HTTP;
    const SECURITY: u32 = 1 << 6;
    pub(super) const DNS: u32 = 1 << 7;
    /// The group has the host, so that there is no [`Self::HTTP_NAME`] besides.
    pub(super) const HTTP: u32 = Self::SECURITY | Self::DNS;

    /// Has a tunnel; the next two bits are the kind of its type: none of both for IP in IP, the
    /// second alone for a type of kipfix's own element.
    pub(super) const TUNNELLED: u32 = 1 << 8;
    /// The tunnel has a type in the registry.
    pub(super) const KEYED: u32 = 1 << 9;
    /// VXLAN, which also has 351 layer2SegmentId, or a type that is not in the registry.
    pub(super) const SEGMENT: u32 = 1 << 10;
    /// The outer header is IPv4, otherwise IPv6.
    pub(super) const OUTER_V4: u32 = 1 << 11;

    /// Has octets behind the transport header. So has every record with one of the last three
    /// groups.
    pub(super) const TRANSPORT: u32 = 1 << 12;
    /// Has the duration or the state of a connection.
    pub(super) const CONNECTION: u32 = 1 << 13;
    /// Has the round-trip times of a handshake.
    pub(super) const HANDSHAKE: u32 = 1 << 14;
    /// Has losses of TCP.
    pub(super) const HEALTH: u32 = 1 << 15;
    /// Has round-trip times of TCP.
    pub(super) const ROUND_TRIP: u32 = 1 << 16;

    /// Numbers of plain records of either family, whose templates are sent from the start.
    pub(super) const PLAIN: Range<u16> = 0..2;
    /// Number of shapes.
    pub(super) const COUNT: u16 = (TRANSPORTS * TUNNELS) << FREE_BITS;

    /// All shapes.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self::from_number)
    }

    pub(super) fn of(record: &FlowRecord) -> Self {
        let when = |yes: bool, bit: u32| if yes { bit } else { 0 };
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
        let tcp = when(
            record.tcp_handshake != Handshake::default(),
            Self::HANDSHAKE,
        ) | when(
            !record.tcp_health.is_empty() || !record.reverse_tcp_health.is_empty(),
            Self::HEALTH,
        ) | when(
            record.tcp_round_trip_time.samples != 0
                || record.reverse_tcp_round_trip_time.samples != 0,
            Self::ROUND_TRIP,
        );
        let has_transport = tcp != 0
            || record.transport_octet_delta_count.is_some()
            || record.reverse_transport_octet_delta_count.is_some();
        Self(
            when(!fits_ipv4(record), Self::IPV6)
                | when(record.interfaces.is_some(), Self::INTERFACES)
                | when(record.translation.is_some(), Self::TRANSLATED)
                | when(record.is_biflow(), Self::BIFLOW)
                | when(has_transport, Self::TRANSPORT)
                | when(has_connection(record), Self::CONNECTION)
                | tcp
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

    /// Its place among all shapes. The free bits are the lowest ones. Tunnels and transport follow
    /// as digits, because most of their bits depend on another one.
    #[inline]
    pub(super) fn number(self) -> u16 {
        let tunnel = (self.0 >> 8 & 0b1111).div_ceil(2);
        let transport = self.0 >> 12;
        let transport = (transport >> 1).wrapping_add((transport & 1) << 1);
        let digits = transport.wrapping_mul(TUNNELS.into()).wrapping_add(tunnel);
        u16::try_from(digits << FREE_BITS | self.0 & 0xff).unwrap_or_default()
    }

    /// The shape at a place, see [`Self::number`].
    pub(super) fn from_number(number: u16) -> Self {
        let digits = number >> FREE_BITS;
        let tunnel = match digits % TUNNELS {
            0 => 0,
            tunnel => (tunnel << 1).wrapping_sub(1),
        };
        let transport = match digits / TUNNELS {
            without @ 0..2 => without << 1,
            with => with.wrapping_sub(2) << 1 | 1,
        };
        let [transport, tunnel, free] = [transport, tunnel, number & 0xff].map(u32::from);
        Self(transport << 12 | tunnel << 8 | free)
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
    pub(super) const fn has_security(self) -> bool {
        self.0 & Self::CONTENT == Self::SECURITY
    }

    /// Without the groups that have enterprise-specific elements.
    pub(super) const fn registered(self) -> Self {
        Self(self.0 & (Self::IPV6 | Self::INTERFACES | Self::TRANSLATED | Self::TRANSPORT))
    }

    /// The shape of the same record without the name of the responder.
    pub(super) const fn without_name(self) -> Self {
        Self(self.0 & !Self::NAME)
    }

    /// The source of the name of the responder.
    pub(super) const fn name(self) -> Option<NameSource> {
        match self.0 & Self::NAME {
            Self::DNS_NAME => Some(NameSource::Dns),
            Self::TLS_NAME => Some(NameSource::Tls),
            Self::HTTP_NAME => Some(NameSource::Http),
            _ => None,
        }
    }

    pub(super) const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// Its Template ID.
    #[inline]
    pub(super) fn template_id(self) -> u16 {
        FIRST_FLOW_TEMPLATE.saturating_add(self.number())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_has_a_template_id_of_sixteen_bits() {
        const { assert!(Shape::COUNT <= u16::MAX - FIRST_FLOW_TEMPLATE) }
        for (number, shape) in (0..).zip(Shape::all()) {
            assert_eq!(shape.number(), number, "{shape:?}");
        }
    }
}
