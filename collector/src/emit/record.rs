//! What all targets read from a record in the same way.

use flowproto::host_name::HostName;
use flowproto::{Address, FlowRecord};

use crate::pipeline::enrich::Endpoints;
use crate::pipeline::{Initiator, Origin, host_names};

/// The host names by which source and destination of a record were reached, if they are external.
pub(super) fn host_names_of<'a>(
    record: &'a FlowRecord,
    endpoints: &Endpoints,
) -> [Option<&'a str>; 2] {
    let name = record.responder_name.as_ref();
    host_names(name, Initiator::of(record), endpoints).map(|name| name.map(HostName::as_str))
}

/// The Original Exporter's address. The one in the record itself is the most certain.
pub(super) fn origin_address(record: &FlowRecord, origin: &Origin) -> Address {
    if record.exporter_address.is_unspecified() {
        origin.address()
    } else {
        record.exporter_address
    }
}

/// The opposite direction of a biflow record, as a record of its own.
pub(super) fn reverse(record: &FlowRecord) -> FlowRecord {
    FlowRecord {
        // A connection is counted once, in its initiator's direction. A duration of 0 adds nothing.
        connection_sum_duration_seconds: None,
        // A router's tables have both addresses, whatever the direction.
        bgp_source_as_number: record.bgp_destination_as_number,
        bgp_destination_as_number: record.bgp_source_as_number,
        source_prefix_length: record.destination_prefix_length,
        destination_prefix_length: record.source_prefix_length,
        ..record.reverse()
    }
}
