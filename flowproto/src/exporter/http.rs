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
            request.version(),
        ],
    }
}

/// Octets of the texts on the wire. Each is shorter than 255 octets (RFC 7011 §7).
pub(super) fn text_octets(record: &FlowRecord) -> usize {
    let lengths = texts(record).map(|text| text.len().saturating_add(1));
    lengths.iter().sum()
}

/// Octets of the texts if all are empty.
pub(super) const fn empty_octets() -> usize {
    TEXTS
}

/// Writes [`COUNTS`] and [`REQUEST`], without the texts unless `with_texts`.
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
    let request = record.http_request.as_ref();
    let status_code = request.map_or(0, |request| request.status_code);
    put(out, status_code.to_be_bytes());
    for text in texts(record) {
        write_text(out, if with_texts { text } else { "" });
    }
}
