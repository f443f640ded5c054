//! The group of fields about the HTTP messages of a record: registered elements for the latest request,
//! else kipfix's own.

use super::message::write_text;
use super::put;
use crate::element::KIPFIX_ENTERPRISE;
use crate::field::{FieldSpecifier, VARIABLE_LENGTH};
use crate::host_name::NameSource;
use crate::record::FlowRecord;

const fn own(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: KIPFIX_ENTERPRISE,
        id,
        length,
    }
}

const fn registered(id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise: 0,
        id,
        length,
    }
}

/// The counts.
pub(super) const COUNTS: [FieldSpecifier; 10] = [
    own(57, 4),
    own(58, 4),
    own(59, 4),
    own(60, 4),
    own(61, 4),
    own(62, 4),
    own(63, 4),
    own(64, 4),
    own(65, 8),
    own(66, 4),
];
/// Responses of gRPC: a basicList (RFC 6313 §4.5.1) of [`GRPC_RESPONSES`] by status, up to the last one
/// that is not 0. It has no elements if the messages are not of gRPC.
pub(super) const GRPC: [FieldSpecifier; 1] = [registered(291, VARIABLE_LENGTH)];
/// The element of the list: the number of responses with the status of its position.
pub(super) const GRPC_RESPONSES: FieldSpecifier = own(67, 4);
/// The semantic of a list whose order matters (RFC 6313 §4.4.5).
const ORDERED: u8 = 4;
const ENTERPRISE_BIT: u16 = 0x8000;
/// Octets of a list without elements: its semantic, and the Field Specifier.
const LIST_HEADER: usize = 9;
/// The latest request. The host is that of the first one, which names the responder.
pub(super) const REQUEST: [FieldSpecifier; 5] = [
    registered(457, 2),
    registered(459, VARIABLE_LENGTH),
    registered(460, VARIABLE_LENGTH),
    registered(461, VARIABLE_LENGTH),
    registered(462, VARIABLE_LENGTH),
];
/// Texts of [`REQUEST`].
const TEXTS: usize = 4;

/// Method, host, target and version; empty where there is none.
fn texts(record: &FlowRecord) -> [&str; TEXTS] {
    let host = record.responder_name.as_ref();
    let host = host.filter(|responder| responder.source == NameSource::Http);
    let host = host.map_or("", |responder| responder.name.as_str());
    match &record.http_request {
        None => ["", host, "", ""],
        Some(request) => [
            request.method.into(),
            host,
            request.target.as_deref().unwrap_or_default(),
            request.version.into(),
        ],
    }
}

/// Octets of the texts on the wire. Each is shorter than 255 octets (RFC 7011 §7).
pub(super) fn text_octets(record: &FlowRecord) -> usize {
    let lengths = texts(record).map(|text| text.len().saturating_add(1));
    lengths.iter().sum()
}

/// Octets of the list on the wire. It is shorter than 255 octets (RFC 7011 §7).
pub(super) fn list_octets(record: &FlowRecord) -> usize {
    let counts = record.http.grpc.used().len().saturating_mul(4);
    counts.saturating_add(LIST_HEADER + 1)
}

fn write_list(out: &mut Vec<u8>, record: &FlowRecord) {
    let length = list_octets(record).saturating_sub(1);
    put(out, [u8::try_from(length).unwrap_or_default(), ORDERED]);
    put(out, (GRPC_RESPONSES.id | ENTERPRISE_BIT).to_be_bytes());
    put(out, GRPC_RESPONSES.length.to_be_bytes());
    put(out, GRPC_RESPONSES.enterprise.to_be_bytes());
    for count in record.http.grpc.used() {
        put(out, count.to_be_bytes());
    }
}

/// Octets of the texts if all are empty.
pub(super) const fn empty_octets() -> usize {
    TEXTS
}

/// Writes [`COUNTS`], [`GRPC`] and [`REQUEST`], without the texts unless `with_texts`.
pub(super) fn write(out: &mut Vec<u8>, record: &FlowRecord, with_texts: bool) {
    let http = &record.http;
    put(out, http.requests.to_be_bytes());
    put(out, http.unanswered_requests.to_be_bytes());
    for count in http.responses {
        put(out, count.to_be_bytes());
    }
    let times = &http.response_time;
    put(out, times.minimum_microseconds.to_be_bytes());
    put(out, times.sum_microseconds.to_be_bytes());
    put(out, times.samples.to_be_bytes());
    write_list(out, record);
    let request = record.http_request.as_ref();
    let status_code = request.map_or(0, |request| request.status_code);
    put(out, status_code.to_be_bytes());
    for text in texts(record) {
        write_text(out, if with_texts { text } else { "" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::message::LONGEST_WITHOUT_NAME;
    use crate::exporter::message_octets;
    use crate::http::GrpcStatus;

    #[test]
    fn the_longest_list_has_room_in_the_shortest_message() {
        let mut record = FlowRecord::default();
        record.http.grpc.count(GrpcStatus::Unauthenticated);
        assert_eq!(list_octets(&record), 1 + LIST_HEADER + 17 * 4);
        // With the headers of Message and Set.
        let longest = 16 + 4 + LONGEST_WITHOUT_NAME + list_octets(&record);
        assert!(longest <= message_octets(0), "{longest}");
    }
}
