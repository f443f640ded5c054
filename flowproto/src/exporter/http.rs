//! The group of fields about the HTTP messages of a record: registered elements for the latest
//! request, else kipfix's own.

use super::layout::{self, FieldSink};
use super::tcp::times_of;
use crate::field::ElementId;
use crate::host_name::NameSource;
use crate::http::HttpHealth;
use crate::record::FlowRecord;

/// Texts of a request.
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

/// Octets of the list of gRPC responses on the wire. It is shorter than 255 octets (RFC 7011 §7).
pub(super) fn list_octets(record: &FlowRecord) -> usize {
    layout::list_octets(record.http.grpc.used())
}

/// Octets of the texts if all are empty.
pub(super) const fn empty_octets() -> usize {
    TEXTS
}

/// The counts.
pub(super) fn counts(out: &mut impl FieldSink, http: &HttpHealth) {
    out.field(ElementId::kipfix(57), http.requests);
    out.field(ElementId::kipfix(58), http.unanswered_requests);
    for (id, count) in (59..).zip(http.responses) {
        out.field(ElementId::kipfix(id), count);
    }
    times_of(out, &http.response_time, [64, 65, 66]);
}

/// The number of gRPC responses with the status of its position in the list [`grpc`].
pub(super) const GRPC_RESPONSES: ElementId = ElementId::kipfix(67);

/// Responses of gRPC by status, up to the last one that is not 0. The list has no elements if the
/// messages are not of gRPC.
pub(super) fn grpc(out: &mut impl FieldSink, http: &HttpHealth) {
    out.list(ElementId::iana(291), GRPC_RESPONSES, http.grpc.used());
}

/// The latest request, without its texts unless `with_texts`. The host is that of the first one,
/// which names the responder.
pub(super) fn request(out: &mut impl FieldSink, record: &FlowRecord, with_texts: bool) {
    let request = record.http_request.as_ref();
    let status_code = request.map_or(0, |request| request.status_code);
    out.field(ElementId::iana(457), status_code);
    for (id, text) in (459..).zip(texts(record)) {
        out.text(ElementId::iana(id), if with_texts { text } else { "" });
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
        assert_eq!(list_octets(&record), 1 + layout::LIST_HEADER + 17 * 4);
        // With the headers of Message and Set.
        let longest = 16 + 4 + LONGEST_WITHOUT_NAME + list_octets(&record);
        assert!(longest <= message_octets(0), "{longest}");
    }
}
