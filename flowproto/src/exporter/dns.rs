//! The group of fields about the DNS messages of a record: ntop's elements for the latest query, else
//! kipfix's own.

use super::message::write_text;
use super::put;
use super::tcp::NTOP;
use crate::dns::{DnsHealth, DnsQuery};
use crate::element::KIPFIX_ENTERPRISE;
use crate::field::{FieldSpecifier, VARIABLE_LENGTH};
use crate::host_name::HostName;

const fn field(enterprise: u32, id: u16, length: u16) -> FieldSpecifier {
    FieldSpecifier {
        enterprise,
        id,
        length,
    }
}

const fn own(id: u16, length: u16) -> FieldSpecifier {
    field(KIPFIX_ENTERPRISE, id, length)
}

/// The counts.
pub(super) const COUNTS: [FieldSpecifier; 9] = [
    own(48, 4),
    own(49, 4),
    own(50, 4),
    own(51, 4),
    own(52, 4),
    own(53, 4),
    own(54, 4),
    own(55, 8),
    own(56, 4),
];
/// The latest query.
pub(super) const QUERY: [FieldSpecifier; 3] = [
    field(NTOP, 207, 2),
    field(NTOP, 208, 1),
    field(NTOP, 205, VARIABLE_LENGTH),
];

fn name(query: Option<&DnsQuery>) -> &str {
    let name = query.and_then(|query| query.name.as_ref());
    name.map_or("", HostName::as_str)
}

/// Octets of the name on the wire. It is shorter than 255 octets (RFC 7011 §7).
pub(super) fn name_octets(query: Option<&DnsQuery>) -> usize {
    name(query).len().saturating_add(1)
}

/// Writes [`COUNTS`] and [`QUERY`], without the name unless `with_name`.
pub(super) fn write(out: &mut Vec<u8>, dns: &DnsHealth, query: Option<&DnsQuery>, with_name: bool) {
    for count in [
        dns.queries,
        dns.unanswered_queries,
        dns.no_error_responses,
        dns.name_error_responses,
        dns.server_failure_responses,
        dns.other_error_responses,
        dns.response_time.minimum_microseconds,
    ] {
        put(out, count.to_be_bytes());
    }
    put(out, dns.response_time.sum_microseconds.to_be_bytes());
    put(out, dns.response_time.samples.to_be_bytes());
    put(out, query.map_or(0, |query| query.query_type).to_be_bytes());
    let response_code = query.map_or(DnsQuery::NO_RESPONSE, |query| query.response_code);
    put(out, [response_code]);
    write_text(out, if with_name { name(query) } else { "" });
}
