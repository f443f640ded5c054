//! One direction of a flow record, reduced to what the stages after the decoder need.
//!
//! A [`Flow`] is small, so that a block of them stays in the cache while it passes the stages. A
//! biflow record (RFC 5103) becomes two flows, because its directions are attributed and counted on
//! their own.

use std::sync::Arc;

use flowproto::host_name::ResponderName;
use flowproto::record::{BiflowDirection, SecurityProtocol, Translation, Tunnel, TunnelType};
use flowproto::tcp::ConnectionState;
use flowproto::{Address, FlowRecord, TrafficRecord, protocol};

use super::policy::{CountedDirection, RecordPolicy};
use crate::inventory::{NodeId, TimeRange};

/// What is counted of a flow. Sums saturate at `u64::MAX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Octets of IP packets, scaled by the sampling in force.
    pub bytes: u64,
    /// Packets, scaled by the sampling in force.
    pub packets: u64,
    /// New connections, scaled by the selection of flows in force.
    pub connections: u64,
}

impl Measures {
    /// Adds `other`.
    #[inline]
    pub const fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.packets = self.packets.saturating_add(other.packets);
        self.connections = self.connections.saturating_add(other.connections);
    }

    /// The counters of a record's own direction. `connections` replaces 278
    /// `newConnectionDeltaCount` in a record that does not have it, unless an earlier record has
    /// counted its connection.
    #[inline]
    fn forward(record: &FlowRecord, connections: u64) -> Self {
        let connections = match record.new_connection_delta_count {
            Some(count) => count.into(),
            None if record.is_continuation => 0,
            None => connections,
        };
        Self {
            bytes: record.sampling.scale(record.octet_delta_count),
            packets: record.sampling.scale(record.packet_delta_count),
            connections: record.flow_sampling.scale(connections),
        }
    }

    /// The counters of a record's traffic. `sampling` replaces the one that the record has.
    /// `connections` as for [`Self::forward`].
    #[inline]
    pub(super) fn of_traffic(record: &TrafficRecord, connections: u64) -> Self {
        let counted = record.new_connection_delta_count.map(u64::from);
        Self {
            bytes: record.sampling.scale(record.octet_delta_count),
            packets: record.sampling.scale(record.packet_delta_count),
            connections: record.flow_sampling.scale(counted.unwrap_or(connections)),
        }
    }

    /// The counters of the opposite direction. A connection is counted once, with the record's own
    /// direction.
    fn reverse(record: &FlowRecord) -> Self {
        Self {
            bytes: record.sampling.scale(record.reverse_octet_delta_count),
            packets: record.sampling.scale(record.reverse_packet_delta_count),
            connections: 0,
        }
    }
}

/// What is compared of packets between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathCount {
    /// Packets.
    Packets(u64),
    /// Octets behind the headers of TCP. Both nodes count the same ones, even if a NIC joins or
    /// splits segments.
    Bytes(u64),
}

/// Which direction of its record a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordDirection {
    /// The record's own direction.
    Forward,
    /// The opposite direction of a biflow record (RFC 5103).
    Reverse,
}

/// One direction of a flow record.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Address of the sender.
    pub source: Address,
    /// Address of the receiver.
    pub destination: Address,
    /// Time of the packets by the collector's clock.
    pub time: TimeRange,
    /// What it counts.
    pub measures: Measures,
    /// Octets behind the transport header, scaled by the sampling in force; `None` if the record
    /// does not have them.
    pub transport_octets: Option<u64>,
    /// Node of the exporter, if that is a known node.
    pub node: Option<NodeId>,
    /// Transport port of the sender; 0 if there is none.
    pub source_port: u16,
    /// Transport port of the receiver; 0 if there is none.
    pub destination_port: u16,
    /// 4 `protocolIdentifier`.
    pub protocol: u8,
    /// What protects the packets.
    pub security_protocol: SecurityProtocol,
    /// Direction within its record.
    pub direction: RecordDirection,
    /// 61 `flowDirection`: 0 ingress, 1 egress; `None` if the record does not have it.
    pub reported_direction: Option<u8>,
    /// Whether records of its exporter count.
    pub policy: RecordPolicy,
    /// The direction of its exporter's records that counts, if its policy has one.
    pub counted_direction: Option<CountedDirection>,
    /// The record counts octets or packets, in either direction.
    pub has_counters: bool,
    /// Position in the block's [`FlowExtras`].
    pub(super) extras: Option<u32>,
    /// Position in the block's [`FlowHealth`](super::FlowHealth).
    pub(super) health: Option<u32>,
    /// [`flowproto::collector::Message::domain_index`].
    pub(super) domain: u32,
}

/// An address with a transport port; 0 if there is none.
pub type AddressAndPort = (Address, u16);

/// The ends of a tunnel, from the outer header.
#[derive(Clone, Copy, Debug)]
pub struct TunnelEnds {
    /// Sender and receiver, for the record's own direction.
    pub ends: [AddressAndPort; 2],
    /// Protocol of the outer IP header.
    pub protocol: u8,
}

impl TunnelEnds {
    /// The ends of the tunnel of a record; `None` if it has no outer addresses.
    fn of(tunnel: &Tunnel) -> Option<Self> {
        let ends = [
            (tunnel.tunnel_source_address, tunnel.tunnel_source_port),
            (
                tunnel.tunnel_destination_address,
                tunnel.tunnel_destination_port,
            ),
        ];
        let is_known = ends.iter().any(|(address, _)| !address.is_unspecified());
        is_known.then_some(Self {
            ends,
            protocol: tunnel.tunnel_protocol_identifier,
        })
    }
}

/// What only few records have, or only few families need. Pairs are source and destination of the
/// record's own direction; [`Flow::sides`] has those of a flow.
#[derive(Clone, Debug, Default)]
pub struct FlowExtras {
    /// Source and destination after network address translation; unspecified, and 0, where not
    /// carried.
    pub translated: Option<[AddressAndPort; 2]>,
    /// 130 or 131, the address of the exporter as the record itself has it.
    pub exporter_address: Address,
    /// The ends of the tunnel that the packets were in.
    pub tunnel: Option<TunnelEnds>,
    /// The encapsulation of the packets.
    pub tunnel_type: Option<TunnelType>,
    /// 10 and 14 of the record's own direction: names of the interfaces, else their ifIndex. `None`
    /// if not carried, or if no family needs them.
    pub interfaces: [Option<Arc<str>>; 2],
    /// The initiator, for the record's own direction.
    initiator: Initiator,
    /// 5 `ipClassOfService` of the record's own direction.
    pub ip_class_of_service: u8,
    /// 16 and 17; 0 if not carried.
    pub bgp_as_numbers: [u32; 2],
    /// The name by which the initiator reached the responder.
    pub responder_name: Option<ResponderName>,
    /// 32473:23 `tcpConnectionState`: that of the record's own direction.
    pub tcp_connection_state: ConnectionState,
    /// Duration of the connection that the record's own direction reports, whole seconds.
    pub connection_seconds: Option<u32>,
    /// Time between the first and the last packet of the record's own direction, whole seconds.
    /// `None` if not reported.
    pub flow_seconds: Option<u32>,
}

/// The endpoint that opened the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// It was not observed, or the record does not have it.
    #[default]
    Unknown,
    /// The sender.
    Source,
    /// The receiver.
    Destination,
}

impl Initiator {
    /// The initiator of a record's own direction.
    #[must_use]
    pub const fn of(record: &FlowRecord) -> Self {
        match record.biflow_direction {
            Some(BiflowDirection::Initiator) => Self::Source,
            Some(BiflowDirection::ReverseInitiator) => Self::Destination,
            Some(BiflowDirection::Arbitrary | BiflowDirection::Perimeter) | None => Self::Unknown,
        }
    }

    /// The initiator of the opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl FlowExtras {
    /// True if a record has some that no family needs to ask for.
    #[inline]
    pub(super) const fn are_in(record: &FlowRecord) -> bool {
        record.translation.is_some()
            || !record.exporter_address.is_unspecified()
            || record.tunnel.is_some()
            || record.responder_name.is_some()
    }

    /// The extras of a record, without the names of its interfaces.
    pub(super) fn of(record: &FlowRecord) -> Self {
        Self {
            translated: record.translation.as_ref().map(after_translation),
            exporter_address: record.exporter_address,
            tunnel: record.tunnel.as_ref().and_then(TunnelEnds::of),
            tunnel_type: record.tunnel.map(|tunnel| tunnel.tunnel_type),
            interfaces: [None, None],
            initiator: Initiator::of(record),
            ip_class_of_service: record.ip_class_of_service,
            bgp_as_numbers: [
                record.bgp_source_as_number,
                record.bgp_destination_as_number,
            ],
            responder_name: record.responder_name.clone(),
            tcp_connection_state: record.tcp_connection_state,
            connection_seconds: record.connection_milliseconds().map(whole_seconds),
            flow_seconds: record.flow_milliseconds().map(whole_seconds),
        }
    }

    /// The initiator of a flow of this record.
    #[must_use]
    pub fn initiator_of(&self, flow: &Flow) -> Initiator {
        if flow.is_forward() {
            self.initiator
        } else {
            self.initiator.reversed()
        }
    }
}

fn whole_seconds(milliseconds: u64) -> u32 {
    u32::try_from(milliseconds / 1000).unwrap_or(u32::MAX)
}

const fn after_translation(translation: &Translation) -> [AddressAndPort; 2] {
    [
        (
            translation.post_nat_source_address,
            translation.post_napt_source_port,
        ),
        (
            translation.post_nat_destination_address,
            translation.post_napt_destination_port,
        ),
    ]
}

impl Flow {
    /// The record's own direction. `connections` as for [`Measures`].
    #[inline]
    pub(super) fn forward(record: &FlowRecord, time: TimeRange, connections: u64) -> Self {
        let key = &record.key;
        Self {
            source: key.source_address,
            destination: key.destination_address,
            time,
            measures: Measures::forward(record, connections),
            transport_octets: record
                .transport_octet_delta_count
                .map(|octets| record.sampling.scale(octets)),
            node: None,
            source_port: key.source_port,
            destination_port: key.destination_port,
            protocol: key.protocol_identifier,
            security_protocol: record.protection(),
            direction: RecordDirection::Forward,
            reported_direction: record.interfaces.and_then(|i| i.flow_direction),
            policy: RecordPolicy::default(),
            counted_direction: None,
            has_counters: record.packet_delta_count != 0
                || record.octet_delta_count != 0
                || record.is_biflow(),
            extras: None,
            health: None,
            domain: 0,
        }
    }

    /// The opposite direction of a biflow record, of which `self` is the own direction.
    pub(super) fn reverse(&self, record: &FlowRecord) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            measures: Measures::reverse(record),
            transport_octets: record
                .reverse_transport_octet_delta_count
                .map(|octets| record.sampling.scale(octets)),
            direction: RecordDirection::Reverse,
            health: None,
            ..*self
        }
    }

    /// What is compared of its packets, if they are between two nodes.
    #[must_use]
    pub fn path_count(&self) -> PathCount {
        match self.protocol {
            protocol::TCP => PathCount::Bytes(self.transport_octets.unwrap_or_default()),
            _ => PathCount::Packets(self.measures.packets),
        }
    }

    /// Source and destination.
    #[inline]
    #[must_use]
    pub const fn ends(&self) -> [AddressAndPort; 2] {
        [
            (self.source, self.source_port),
            (self.destination, self.destination_port),
        ]
    }

    /// True if its protocol has ports.
    #[must_use]
    pub const fn has_ports(&self) -> bool {
        protocol::has_ports(self.protocol)
    }

    /// True for the record's own direction.
    #[must_use]
    pub fn is_forward(&self) -> bool {
        self.direction == RecordDirection::Forward
    }

    /// What its source and its destination have, from the same of its record.
    #[must_use]
    pub fn sides<T>(&self, [source, destination]: [T; 2]) -> [T; 2] {
        if self.is_forward() {
            [source, destination]
        } else {
            [destination, source]
        }
    }
}

#[cfg(test)]
mod tests {
    use flowproto::record::Sampling;

    use super::*;

    #[test]
    fn a_sum_beyond_the_largest_number_saturates() {
        let mut sum = Measures {
            bytes: u64::MAX,
            ..Measures::default()
        };
        sum.add(&Measures {
            bytes: 1,
            packets: 1,
            connections: 1,
        });
        assert_eq!((sum.bytes, sum.packets, sum.connections), (u64::MAX, 1, 1));
    }

    #[test]
    fn each_direction_of_a_biflow_has_its_own_counters() {
        let mut record = FlowRecord {
            octet_delta_count: 100,
            packet_delta_count: 1,
            reverse_octet_delta_count: 30,
            reverse_packet_delta_count: 3,
            transport_octet_delta_count: Some(60),
            sampling: Sampling::one_in(10),
            ..FlowRecord::default()
        };
        record.key.source_port = 40_000;
        record.key.destination_port = 80;
        let forward = Flow::forward(&record, TimeRange::instant(5), 1);
        let reverse = forward.reverse(&record);
        assert_eq!(
            forward.measures,
            Measures {
                bytes: 1000,
                packets: 10,
                connections: 1,
            }
        );
        assert_eq!(
            reverse.measures,
            Measures {
                bytes: 300,
                packets: 30,
                connections: 0,
            }
        );
        assert_eq!(
            (reverse.source_port, reverse.destination_port),
            (80, 40_000)
        );
        assert!(!reverse.is_forward());
        assert_eq!(forward.transport_octets, Some(600));
        assert_eq!(reverse.transport_octets, None);
    }

    #[test]
    fn the_size_of_a_flow_is_bounded() {
        assert!(size_of::<Flow>() <= 128, "{}", size_of::<Flow>());
    }
}
