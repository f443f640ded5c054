//! What all targets read from a record in the same way.

use flowproto::host_name::HostName;
use flowproto::record::BiflowDirection;
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
    let or = |time: u64, other: u64| if time == 0 { other } else { time };
    FlowRecord {
        key: record.key.reversed(),
        octet_delta_count: record.reverse_octet_delta_count,
        packet_delta_count: record.reverse_packet_delta_count,
        flow_start_milliseconds: or(
            record.reverse_flow_start_milliseconds,
            record.flow_start_milliseconds,
        ),
        flow_end_milliseconds: or(
            record.reverse_flow_end_milliseconds,
            record.flow_end_milliseconds,
        ),
        tcp_control_bits: record.reverse_tcp_control_bits,
        flow_end_reason: record.flow_end_reason,
        biflow_direction: record.biflow_direction.map(|direction| match direction {
            BiflowDirection::Initiator => BiflowDirection::ReverseInitiator,
            BiflowDirection::ReverseInitiator => BiflowDirection::Initiator,
            other => other,
        }),
        // A connection is counted once, in its initiator's direction.
        new_connection_delta_count: record.new_connection_delta_count.map(|_| 0),
        vlan_id: record.vlan_id,
        bgp_source_as_number: record.bgp_destination_as_number,
        bgp_destination_as_number: record.bgp_source_as_number,
        source_prefix_length: record.destination_prefix_length,
        destination_prefix_length: record.source_prefix_length,
        sampling: record.sampling,
        exporter_address: record.exporter_address,
        responder_name: record.responder_name.clone(),
        ..FlowRecord::default()
    }
}
