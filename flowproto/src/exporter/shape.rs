//! What a flow record has. Its content selects its template, so that plain records stay small: IPv4 or
//! IPv6, with or without interfaces, tunnel, translation, reverse direction, TCP health and the name of
//! the responder.

use crate::address::Address;
use crate::host_name::NameSource;
use crate::record::{FlowRecord, SecurityProtocol, TunnelType};
use crate::tcp::{ConnectionState, Handshake};

/// Template ID of shape 0; the others follow. Options templates have lower ones.
const FIRST_FLOW_TEMPLATE: u16 = 1024;

/// The groups of fields of a record and of its template. The Template ID is 1024 + the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) u16);

impl Shape {
    pub(super) const IPV6: u16 = 1;
    pub(super) const INTERFACES: u16 = 2;
    pub(super) const TRANSLATED: u16 = 4;
    /// Has a tunnel; the next two bits are the kind of its type: none of both for IP in IP, the second
    /// alone for a type of kipfix's own element.
    pub(super) const TUNNELLED: u16 = 8;
    /// The tunnel has a type in the registry.
    pub(super) const KEYED: u16 = 16;
    /// VXLAN, which also has 351 layer2SegmentId, or a type that is not in the registry.
    pub(super) const SEGMENT: u16 = 32;
    /// The outer header is IPv4, otherwise IPv6.
    pub(super) const OUTER_V4: u16 = 64;
    /// Has a reverse direction.
    pub(super) const BIFLOW: u16 = 128;
    /// Has the duration or the state of a connection.
    pub(super) const CONNECTION: u16 = 256;
    /// Has the round-trip times of a handshake.
    pub(super) const HANDSHAKE: u16 = 512;
    /// Has losses of TCP.
    pub(super) const HEALTH: u16 = 1024;
    /// Has round-trip times of TCP.
    pub(super) const ROUND_TRIP: u16 = 2048;

    /// Has the name of the responder: two bits with its source.
    const DNS_NAME: u16 = 4096;
    const TLS_NAME: u16 = 8192;
    const HTTP_NAME: u16 = Self::NAME;
    pub(super) const NAME: u16 = Self::DNS_NAME | Self::TLS_NAME;
    /// Has one of these, not several, so that the Template ID has 16 bits: a protocol that protects the
    /// packets, or counts of DNS or HTTP messages.
    const CONTENT: u16 = Self::HTTP;
    const SECURITY: u16 = 16_384;
    pub(super) const DNS: u16 = 32_768;
    /// The group has the host, so that there is no [`Self::HTTP_NAME`] besides.
    pub(super) const HTTP: u16 = Self::SECURITY | Self::DNS;

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
    pub(super) const fn has_security(self) -> bool {
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
    pub(super) const fn name(self) -> Option<NameSource> {
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
    fn template_ids_have_sixteen_bits() {
        assert!(Shape::all().all(|shape| shape.template_id() == 1024 + shape.0));
    }
}
