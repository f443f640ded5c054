//! A record on its way to others: as it was measured, who its ends are, and who exported it.

use std::sync::Arc;

use flowproto::collector::Message;
use flowproto::record::BiflowDirection;
use flowproto::{Address, FlowRecord};

use crate::emit::mailbox::Load;
use crate::enrich::Ends;

/// One direction of a record. Names are not in it: who sends it looks them up.
#[derive(Clone, Debug)]
pub struct Enriched {
    /// The record, raw: octets, packets and times as they came.
    pub record: FlowRecord,
    /// Who its ends are.
    pub ends: Ends,
    /// Who exported it.
    pub origin: Arc<Origin>,
}

impl Enriched {
    /// The Original Exporter's address: what the record itself says is most certain.
    pub(super) fn origin_address(&self) -> Address {
        if self.record.exporter_address.is_unspecified() {
            self.origin.address
        } else {
            self.record.exporter_address
        }
    }
}

/// The Original Exporter (RFC 7119) of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The address that it says it has (130, 131), else the one that it sends from.
    pub address: Address,
    /// Its Observation Domain.
    pub observation_domain_id: u32,
    /// 300 `observationDomainName`; empty where it says none.
    pub name: Box<str>,
}

impl Origin {
    pub(super) fn of(message: &Message<'_>) -> Self {
        let said = message.domain.exporter_address;
        Self {
            address: if said.is_unspecified() {
                message.exporter.ip().into()
            } else {
                said
            },
            observation_domain_id: message.observation_domain_id,
            name: message
                .domain
                .observation_domain_name
                .clone()
                .unwrap_or_default(),
        }
    }
}

/// The way back of a biflow record, as a record of its own.
pub(super) fn way_back(record: &FlowRecord) -> FlowRecord {
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
        ..FlowRecord::default()
    }
}

/// The way there of a biflow record, without the way back.
pub(super) fn way_there(record: &FlowRecord) -> FlowRecord {
    FlowRecord {
        reverse_octet_delta_count: 0,
        reverse_packet_delta_count: 0,
        reverse_flow_start_milliseconds: 0,
        reverse_flow_end_milliseconds: 0,
        reverse_tcp_control_bits: 0,
        ..record.clone()
    }
}

/// Records, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Records(pub(super) Vec<Enriched>);

impl Load for Records {
    fn len(&self) -> usize {
        self.0.len()
    }

    /// Records.
    fn size(&self) -> usize {
        self.0.len()
    }

    fn take_from(&mut self, more: &Self, bound: usize) -> usize {
        let room = bound.saturating_sub(self.0.len()).min(more.0.len());
        self.0.extend(more.0.iter().take(room).cloned());
        room
    }
}
