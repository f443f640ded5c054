//! Types (RFC 5610) of the elements about connections: TCP health, and the name of the responder.

use super::options::ElementType;
use super::tcp::{
    CONNECTION, HANDSHAKE, HEALTH, NTOP, REVERSE_HEALTH, REVERSE_ROUND_TRIP, ROUND_TRIP,
};
use super::{dns, http, responder_name};
use crate::element;
use crate::field::FieldSpecifier;

/// The enterprise elements of all groups.
pub(super) fn elements() -> impl Iterator<Item = ElementType<'static>> {
    let names = responder_name::DNS.iter().chain(&responder_name::TLS);
    let [query_type, response_code, query] = &dns::QUERY;
    let names = names.chain([query]);
    let groups: [&'static [FieldSpecifier]; 8] = [
        &CONNECTION,
        &HANDSHAKE,
        &HEALTH,
        &REVERSE_HEALTH,
        &ROUND_TRIP,
        &REVERSE_ROUND_TRIP,
        &dns::COUNTS,
        &http::COUNTS,
    ];
    let groups = groups.into_iter().flatten();
    let groups = groups.chain([query_type, response_code, &http::GRPC_RESPONSES]);
    groups.map(element_type).chain(names.map(name_type))
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
