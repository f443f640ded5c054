//! Reads the traffic of a Data Record: a few values at fixed offsets, without the rest of a flow
//! record.

use super::read::{HEALTH, Load, bits};
use super::slot::{ENDS, STARTS, Slot};
use super::time::to_epoch;
use super::{MessageContext, Selection, Step};
use crate::address::Address;
use crate::record::BiflowDirection;
use crate::traffic::TrafficRecord;
use crate::value::{low_u8, low_u32};

/// Values that can be in a record with traffic alone: those that are read here, and those that
/// neither change what is counted nor between whom.
const ALLOWED: u128 = HEALTH
    | bits(STARTS)
    | bits(ENDS)
    | bits([
        Slot::SourceV4,
        Slot::DestinationV4,
        Slot::SourceV6,
        Slot::DestinationV6,
        Slot::Octets,
        Slot::Packets,
        Slot::TransportOctets,
        Slot::NewConnections,
        Slot::ConnectionSeconds,
        Slot::BiflowDirection,
        Slot::FlowDirection,
        Slot::FlowEndReason,
        Slot::Protocol,
        Slot::SourcePort,
        Slot::DestinationPort,
        Slot::ClassOfService,
        Slot::TcpControlBits,
        Slot::IcmpTypeCode,
        Slot::IcmpType,
        Slot::IcmpCode,
        Slot::VlanId,
        Slot::IngressInterface,
        Slot::EgressInterface,
        Slot::SourceAs,
        Slot::DestinationAs,
        Slot::SourcePrefixLength,
        Slot::DestinationPrefixLength,
        Slot::NextHopV4,
        Slot::NextHopV6,
        Slot::SecurityProtocol,
        Slot::FlowId,
    ]);

/// Reads the traffic of the records of a template.
#[derive(Debug)]
pub(crate) struct TrafficReader {
    /// Where source and destination are.
    addresses: [usize; 2],
    has_ipv6: bool,
    octets: Option<Load>,
    packets: Option<Load>,
    start: Option<Load>,
    end: Option<Load>,
    connections: Option<Load>,
    seconds: Option<Load>,
    direction: Option<Load>,
    biflow_direction: Option<Load>,
    end_reason: Option<Load>,
    protocol: Option<Load>,
    has_health: bool,
    /// The template has counters of packets that leave, too.
    has_outgoing: bool,
}

impl TrafficReader {
    /// `fields` of a template without fields of variable length. `filled`: their slots. `minimum`:
    /// octets of a record. `has_outgoing`: it has counters of packets that leave, too. `None` if
    /// the traffic of its records cannot be counted alone.
    pub(super) fn new<'a>(
        fields: impl Iterator<Item = &'a Step> + Clone,
        filled: u128,
        minimum: usize,
        has_outgoing: bool,
    ) -> Option<Self> {
        if filled & !ALLOWED != 0 {
            return None;
        }
        let field = |slot: Slot| fields.clone().find(|step| step.slot == slot);
        // A field whose number is not at a fixed offset cannot be read here.
        let load = |slot: Slot| match field(slot) {
            None => Some(None),
            Some(step) => Load::of(step, None, minimum).map(Some),
        };
        let time = |alternatives: [Slot; 5]| {
            let mut slots = alternatives.into_iter();
            match slots.find(|slot| filled & slot.bit() != 0) {
                Some(slot) => load(slot),
                None => Some(None),
            }
        };
        let v4 = [Slot::SourceV4, Slot::DestinationV4].map(field);
        let v6 = [Slot::SourceV6, Slot::DestinationV6].map(field);
        let (([Some(source), Some(destination)], [None, None])
        | ([None, None], [Some(source), Some(destination)])) = (v4, v6)
        else {
            return None;
        };
        Some(Self {
            addresses: [source.span.start, destination.span.start],
            has_ipv6: source.slot == Slot::SourceV6,
            octets: load(Slot::Octets)?,
            packets: load(Slot::Packets)?,
            start: time(STARTS)?,
            end: time(ENDS)?,
            connections: load(Slot::NewConnections)?,
            seconds: load(Slot::ConnectionSeconds)?,
            direction: load(Slot::FlowDirection)?,
            biflow_direction: load(Slot::BiflowDirection)?,
            end_reason: load(Slot::FlowEndReason)?,
            protocol: load(Slot::Protocol)?,
            has_health: filled & HEALTH != 0,
            has_outgoing,
        })
    }

    /// Whether records can have the health of a connection, or of DNS or HTTP messages.
    pub(crate) const fn has_health(&self) -> bool {
        self.has_health
    }

    /// Whether a record has to be read as a whole: it can have its counters in those of packets
    /// that leave.
    #[inline]
    pub(crate) const fn may_have_outgoing(&self, record: &TrafficRecord) -> bool {
        self.has_outgoing
            && matches!(record.flow_direction, Some(1))
            && (record.octet_delta_count == 0 || record.packet_delta_count == 0)
    }

    /// Whether the addresses are those of IPv6.
    pub(crate) const fn has_ipv6(&self) -> bool {
        self.has_ipv6
    }

    /// Source and destination of a record. `IPV6` is [`Self::has_ipv6`]: as a constant, it is
    /// decided once for all records of a Set.
    #[inline]
    pub(crate) fn addresses<const IPV6: bool>(&self, octets: &[u8]) -> [Address; 2] {
        self.addresses.map(|at| {
            if IPV6 {
                Address::from_v6_bits(u128::from_be_bytes(octets_at(octets, at)))
            } else {
                Address::from_v4_bits(u32::from_be_bytes(octets_at(octets, at)))
            }
        })
    }

    /// The traffic of a record. `IPV6` as for [`Self::addresses`]. `selection`: the sampling in
    /// force.
    #[inline]
    pub(crate) fn read<const IPV6: bool>(
        &self,
        octets: &[u8],
        context: &MessageContext,
        selection: Selection,
    ) -> TrafficRecord {
        let [source_address, destination_address] = self.addresses::<IPV6>(octets);
        let number_if = |load: &Option<Load>| load.as_ref().map(|load| load.value(octets));
        let number = |load: &Option<Load>| number_if(load).unwrap_or_default();
        let time = |load: &Option<Load>| {
            let init = context.system_init_milliseconds;
            // As `map_or`, it is a call for each time.
            match load {
                Some(load) => to_epoch(load.slot(), load.value(octets), init, context),
                None => 0,
            }
        };
        let direction = number_if(&self.direction).filter(|direction| *direction <= 1);
        let biflow_direction = number_if(&self.biflow_direction);
        TrafficRecord {
            source_address,
            destination_address,
            octet_delta_count: number(&self.octets),
            packet_delta_count: number(&self.packets),
            flow_start_milliseconds: time(&self.start),
            flow_end_milliseconds: time(&self.end),
            new_connection_delta_count: number_if(&self.connections).map(low_u32),
            flow_direction: direction.map(|direction| u8::from(direction == 1)),
            protocol_identifier: low_u8(number(&self.protocol)),
            flow_end_reason: low_u8(number(&self.end_reason)).into(),
            biflow_direction: biflow_direction
                .and_then(|number| BiflowDirection::from_repr(u8::try_from(number).ok()?)),
            connection_sum_duration_seconds: number_if(&self.seconds),
            sampling: selection.in_force(),
            flow_sampling: selection.flows,
        }
    }
}

#[inline]
fn octets_at<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    let value = octets.get(at..at.wrapping_add(N));
    value.and_then(|v| v.try_into().ok()).unwrap_or([0; N])
}
