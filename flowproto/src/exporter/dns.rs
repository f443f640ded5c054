//! The group of fields about the DNS messages of a record: ntop's elements for the latest query,
//! else kipfix's own.

use super::layout::FieldSink;
use super::tcp::times_of;
use crate::dns::{DnsHealth, DnsQuery};
use crate::field::ElementId;
use crate::host_name::HostName;

fn name(query: Option<&DnsQuery>) -> &str {
    let name = query.and_then(|query| query.name.as_ref());
    name.map_or("", HostName::as_str)
}

/// Octets of the name on the wire. It is shorter than 255 octets (RFC 7011 §7).
pub(super) fn name_octets(query: Option<&DnsQuery>) -> usize {
    name(query).len().saturating_add(1)
}

/// The counts.
pub(super) fn counts(out: &mut impl FieldSink, dns: &DnsHealth) {
    out.field(ElementId::kipfix(48), dns.queries);
    out.field(ElementId::kipfix(49), dns.unanswered_queries);
    out.field(ElementId::kipfix(50), dns.no_error_responses);
    out.field(ElementId::kipfix(51), dns.name_error_responses);
    out.field(ElementId::kipfix(52), dns.server_failure_responses);
    out.field(ElementId::kipfix(53), dns.other_error_responses);
    times_of(out, &dns.response_time, [54, 55, 56]);
}

/// The latest query, without its name unless `with_name`.
pub(super) fn query(out: &mut impl FieldSink, query: Option<&DnsQuery>, with_name: bool) {
    let response_code = query.map_or(DnsQuery::NO_RESPONSE, |query| query.response_code);
    out.field(
        ElementId::ntop(207),
        query.map_or(0, |query| query.query_type),
    );
    out.field(ElementId::ntop(208), response_code);
    out.text(
        ElementId::ntop(205),
        if with_name { name(query) } else { "" },
    );
}
