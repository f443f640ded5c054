//! The state of one conversation, and the records of its directions.

use flowproto::FlowRecord;
use flowproto::record::{BiflowDirection, FlowEndReason, Interfaces, Tunnel};

use super::key::ConversationKey;
use super::slab::Links;
use crate::connection::{Connection, Pair, Side};

const SECOND_NS: u64 = 1_000_000_000;
const MILLISECOND_NS: u64 = 1_000_000;

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

/// One direction of a conversation since its last record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Direction {
    pub(super) octets: u64,
    pub(super) packets: u64,
    /// Capture times, nanoseconds since the epoch.
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
    /// Clock time of the latest packet. Not reset by a record.
    pub(super) seen_ns: u64,
    pub(super) interface: u32,
    pub(super) tcp_control_bits: u16,
    pub(super) icmp_type_code: u16,
    pub(super) vlan_id: u16,
    pub(super) ip_class_of_service: u8,
    pub(super) egress: bool,
}

/// A conversation: both directions between two ends. Fields that nearly every packet needs come
/// first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Conversation {
    pub(super) key: ConversationKey,
    /// Clock time of the latest packet of either direction.
    pub(super) seen_ns: u64,
    /// Clock time of the last move within the lists.
    pub(super) moved_ns: u64,
    /// Clock time of the first packet since the last record.
    pub(super) record_start_ns: u64,
    pub(super) links: Links,
    pub(super) directions: Pair<Direction>,
    pub(super) connection: Connection,
    /// Clock time of the first packet.
    pub(super) start_ns: u64,
    /// Seconds of the connection in records so far.
    pub(super) reported_seconds: u64,
}

impl Conversation {
    /// The directions in the order of their records: that of the initiator first.
    pub(super) fn order(&self) -> [Side; 2] {
        let first = self.connection.initiator().unwrap_or(Side::Low);
        [first, first.opposite()]
    }

    /// Makes the record of a direction that has packets, and resets the direction.
    pub(super) fn report(
        &mut self,
        source: Side,
        reason: FlowEndReason,
        tunnel: Option<Tunnel>,
    ) -> Option<FlowRecord> {
        let seen_ns = self.seen_ns;
        let initiator = self.connection.initiator();
        let direction = self.directions.of_mut(source);
        if direction.packets == 0 {
            return None;
        }
        let mut record = direction.record();
        *direction = Direction {
            seen_ns: direction.seen_ns,
            interface: direction.interface,
            ..Direction::default()
        };
        record.key = self.key.flow_key(source);
        record.flow_end_reason = reason;
        record.tunnel = tunnel;
        record.biflow_direction = Some(match initiator {
            None => BiflowDirection::Arbitrary,
            Some(side) if side == source => BiflowDirection::Initiator,
            Some(_) => BiflowDirection::ReverseInitiator,
        });
        let (mut connections, mut seconds) = (0, 0);
        let protocol = record.key.protocol_identifier;
        if initiator == Some(source) && matches!(protocol, TCP | UDP | SCTP) {
            connections = u32::from(!self.connection.counted);
            self.connection.counted = true;
            // UDP ends by silence only. If it continues later, only the difference is reported.
            if reason == FlowEndReason::EndOfFlowDetected
                || (reason == FlowEndReason::IdleTimeout && protocol == UDP)
            {
                let lasted = (seen_ns - self.start_ns) / SECOND_NS;
                seconds = lasted.saturating_sub(self.reported_seconds);
                self.reported_seconds = lasted;
            }
        }
        record.new_connection_delta_count = Some(connections);
        record.connection_sum_duration_seconds = Some(seconds);
        Some(record)
    }
}

impl Direction {
    fn record(&self) -> FlowRecord {
        let interfaces = (self.interface != 0).then_some(Interfaces {
            ingress_interface: if self.egress { 0 } else { self.interface },
            egress_interface: if self.egress { self.interface } else { 0 },
            flow_direction: Some(u8::from(self.egress)),
        });
        FlowRecord {
            octet_delta_count: self.octets,
            packet_delta_count: self.packets,
            flow_start_milliseconds: self.first_ns / MILLISECOND_NS,
            flow_end_milliseconds: self.last_ns / MILLISECOND_NS,
            tcp_control_bits: self.tcp_control_bits,
            ip_class_of_service: self.ip_class_of_service,
            icmp_type_code: self.icmp_type_code,
            vlan_id: self.vlan_id,
            interfaces,
            ..FlowRecord::default()
        }
    }
}
