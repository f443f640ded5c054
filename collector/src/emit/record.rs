//! A record on its way to the targets: as it was measured, with its endpoints and its exporter.

use std::sync::Arc;

use flowproto::host_name::HostName;
use flowproto::record::BiflowDirection;
use flowproto::tcp::RoundTripTime;
use flowproto::{Address, FlowRecord};

use crate::emit::double_buffer::Batch;
use crate::pipeline::enrich::Endpoints;
use crate::pipeline::{
    ConnectionHealth, DecidedRecord, Direction, Initiator, Measures, Origin, WholeRecord,
    host_names,
};

/// One direction of a record. It has no names: these are looked up when it is written.
#[derive(Clone, Debug)]
pub struct ForwardedRecord {
    /// The record with its counters and times as received.
    pub record: FlowRecord,
    /// Its endpoints.
    pub endpoints: Endpoints,
    /// Its exporter.
    pub origin: Arc<Origin>,
    /// Its octets, packets and connections as the metric families count them.
    pub measures: Measures,
    /// The metric families count it.
    pub is_counted: bool,
    /// Its connection health.
    pub health: ForwardedHealth,
}

/// Connection health of a record, as the metric families count it: without what they do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardedHealth {
    /// Retransmitted packets.
    pub retransmitted_packets: u64,
    /// Round-trip times between the observer and the destination.
    pub round_trip_time: RoundTripTime,
    /// Start and end of the connection.
    pub connection: ConnectionHealth,
}

impl ForwardedHealth {
    fn of(decided: &DecidedRecord<'_>) -> Self {
        let mut counted = Self::default();
        let Some(health) = decided.health else {
            return counted;
        };
        if decided.verdict.is_counted() {
            counted.retransmitted_packets = health.packets.retransmitted;
            counted.round_trip_time = health.round_trip_time;
        }
        if decided.is_connection_counted {
            counted.connection = health.connection;
        }
        counted
    }
}

impl ForwardedRecord {
    pub(super) fn new(decided: &DecidedRecord<'_>, whole: &WholeRecord<'_>) -> Self {
        Self {
            record: match decided.flow.direction {
                Direction::Forward => forward(whole.record),
                Direction::Reverse => reverse(whole.record),
            },
            endpoints: *decided.endpoints,
            origin: Arc::clone(decided.origin),
            measures: decided.flow.measures,
            is_counted: decided.verdict.is_counted(),
            health: ForwardedHealth::of(decided),
        }
    }

    /// The host names by which source and destination were reached, if they are external.
    pub(super) fn host_names(&self) -> [Option<&str>; 2] {
        let (name, initiator) = (&self.record.responder_name, Initiator::of(&self.record));
        host_names(name.as_ref(), initiator, &self.endpoints).map(|name| name.map(HostName::as_str))
    }

    /// The Original Exporter's address. The one in the record itself is the most certain.
    pub(super) fn origin_address(&self) -> Address {
        if self.record.exporter_address.is_unspecified() {
            self.origin.address()
        } else {
            self.record.exporter_address
        }
    }
}

/// The opposite direction of a biflow record, as a record of its own.
fn reverse(record: &FlowRecord) -> FlowRecord {
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

/// A biflow record without its opposite direction.
fn forward(record: &FlowRecord) -> FlowRecord {
    FlowRecord {
        reverse_octet_delta_count: 0,
        reverse_packet_delta_count: 0,
        reverse_flow_start_milliseconds: 0,
        reverse_flow_end_milliseconds: 0,
        reverse_tcp_control_bits: 0,
        ..record.clone()
    }
}

/// Records, one after the other.
#[derive(Debug, Default)]
pub(super) struct Records(pub(super) Vec<ForwardedRecord>);

impl Batch for Records {
    fn len(&self) -> usize {
        self.0.len()
    }

    /// Records.
    fn size(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, more: &Self, bound: usize) -> usize {
        let room = bound.saturating_sub(self.0.len()).min(more.0.len());
        self.0.extend(more.0.iter().take(room).cloned());
        room
    }
}
