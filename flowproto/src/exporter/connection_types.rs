//! Types (RFC 5610) of the elements about connections: TCP health, and the name of the responder.

use std::sync::LazyLock;

use super::options::ElementType;
use super::{dns, http, responder_name, tcp};
use crate::element::{self, NTOP_ENTERPRISE as NTOP};
use crate::field::FieldSpecifier;
use crate::host_name::NameSource;
use crate::record::FlowRecord;

/// The enterprise elements of all groups: those of numbers, then those of names.
pub(super) fn elements() -> impl Iterator<Item = ElementType<'static>> {
    static ELEMENTS: LazyLock<Vec<ElementType<'static>>> = LazyLock::new(|| {
        let fields = fields().into_iter();
        let (names, numbers): (Vec<_>, Vec<_>) = fields
            .filter(|field| field.enterprise != 0)
            .partition(|field| field.is_variable());
        let responses = http::GRPC_RESPONSES.with_length(4);
        let numbers = numbers.iter().chain([&responses]).map(element_type);
        numbers.chain(names.iter().map(name_type)).collect()
    });
    ELEMENTS.iter().copied()
}

fn fields() -> Vec<FieldSpecifier> {
    let record = FlowRecord::default();
    let mut fields = Vec::new();
    tcp::connection(&mut fields, &record);
    tcp::handshake(&mut fields, record.tcp_handshake);
    tcp::health(&mut fields, &record.tcp_health);
    tcp::reverse_health(&mut fields, &record.reverse_tcp_health);
    tcp::round_trip(&mut fields, &record.tcp_round_trip_time);
    tcp::reverse_round_trip(&mut fields, &record.reverse_tcp_round_trip_time);
    dns::counts(&mut fields, &record.dns);
    http::counts(&mut fields, &record.http);
    for source in [NameSource::Dns, NameSource::Tls] {
        responder_name::field(&mut fields, source, None);
    }
    dns::query(&mut fields, None, false);
    fields
}

/// The type of an element (RFC 5610), from its row in the registry.
fn element_type(field: &FieldSpecifier) -> ElementType<'static> {
    const QUANTITY: u8 = 1;
    const DELTA_COUNTER: u8 = 3;
    const IDENTIFIER: u8 = 4;
    let element = element::find(field.enterprise, field.id);
    let name = element.map_or("", |element| element.name);
    let is_quantity = name.contains("LATENCY") || name.contains("Minimum");
    ElementType {
        enterprise: field.enterprise,
        id: field.id,
        data_type: match field.length {
            1 => 1,
            2 => 2,
            4 => 3,
            _ => 4,
        },
        semantics: match name {
            "tcpConnectionState" | "DNS_QUERY_TYPE" | "DNS_RET_CODE" => IDENTIFIER,
            _ if is_quantity || name.starts_with("tcpHandshake") => QUANTITY,
            _ => DELTA_COUNTER,
        },
        units: match (
            element.map_or("", |element| element.units),
            field.enterprise,
        ) {
            ("packets", _) => 3,
            ("milliseconds", _) => 6,
            ("microseconds", _) => 7,
            (_, NTOP) if name.ends_with("_BYTES") => 2,
            (_, NTOP) if name.ends_with("_PKTS") => 3,
            (_, NTOP) if name.ends_with("_MS") => 6,
            _ => 0,
        },
        name,
    }
}

/// The type of an element with a name.
fn name_type(field: &FieldSpecifier) -> ElementType<'static> {
    const STRING: u8 = 13;
    ElementType {
        enterprise: field.enterprise,
        id: field.id,
        data_type: STRING,
        semantics: 0,
        units: 0,
        name: element::find(field.enterprise, field.id).map_or("", |element| element.name),
    }
}
