//! Reads the values of a Data Record, then combines them into a flow record.
//!
//! Numbers are loaded in one uniform way into the places of their slots, so that the loop over the
//! fields has no unpredictable branch. All records of a Set fill the same slots; the other slots
//! are cleared once per Set.

mod addresses;
mod dns;
mod headers;
mod http;
mod tcp;
mod times;

use super::sampling::{SamplingFields, Selection};
use super::slot::{REVERSE_TIMES, Slot};
use super::time::known_time;
use super::{CounterKind, MessageContext, Plan, Step};
use crate::field::FieldSpan;
use crate::http::GrpcStatusCounts;
use crate::record::{BiflowDirection, FlowKey, FlowRecord, Interfaces};
use crate::value::{float, low_u8, low_u16, low_u32, unsigned};

/// Octets loaded for a number of any length.
const WINDOW: usize = 8;

/// Loads a number: eight octets that contain it, shifted and masked.
#[derive(Debug)]
pub(super) struct Load {
    mask: u64,
    /// Sixteen bits are enough for a Message, and no sum with them overflows.
    at: u16,
    shift: u8,
    slot: Slot,
}

impl Load {
    /// `None` for values that are not numbers of up to eight octets, that follow a field of
    /// variable length, or where a record may be shorter than the window. `minimum`: minimum number
    /// of octets of a record.
    pub(super) fn of(step: &Step, first_variable: Option<usize>, minimum: usize) -> Option<Self> {
        let FieldSpan { start, length } = step.span;
        let floats = first_variable.is_some_and(|first| first <= step.field);
        let is_number = step.slot.index() >= Slot::WIDE
            && !matches!(step.slot, Slot::SamplingProbability | Slot::GrpcResponses);
        if floats || !is_number || length == 0 {
            return None;
        }
        let bits = u32::try_from(WINDOW.checked_sub(length)?.checked_mul(8)?).ok()?;
        // The window ends with the number, or begins with it near the start of the record.
        let (at, shift) = match start.checked_add(length)?.checked_sub(WINDOW) {
            Some(at) => (at, 0),
            None => (start, bits),
        };
        (at.checked_add(WINDOW)? <= minimum).then_some(Self {
            mask: u64::MAX.checked_shr(bits)?,
            at: at.try_into().ok()?,
            shift: shift.try_into().ok()?,
            slot: step.slot,
        })
    }

    /// The slot that the number fills.
    pub(super) const fn slot(&self) -> Slot {
        self.slot
    }

    #[inline]
    pub(super) fn value(&self, octets: &[u8]) -> u64 {
        let at = usize::from(self.at);
        let window = octets.get(at..at.wrapping_add(WINDOW));
        let window = window.and_then(|window| window.try_into().ok());
        let number = window.map_or(0, u64::from_be_bytes);
        number.wrapping_shr(self.shift.into()) & self.mask
    }
}

impl Step {
    /// The octets of the value in a record. `spans` as for [`Plan::read`].
    #[inline]
    fn value<'a>(&self, octets: &'a [u8], spans: &[FieldSpan]) -> &'a [u8] {
        spans.get(self.field).unwrap_or(&self.span).value_in(octets)
    }
}

/// Values of one record, by slot.
#[derive(Debug)]
pub(crate) struct Values {
    numbers: [u64; Slot::COUNT],
    wide: [u128; Slot::WIDE],
    grpc: GrpcStatusCounts,
    /// The slots that the template fills.
    filled: u128,
    /// The slots whose unit start and end of the reverse direction have.
    reverse_times: [Slot; 2],
}

impl Default for Values {
    fn default() -> Self {
        Self {
            numbers: [0; Slot::COUNT],
            wide: [0; Slot::WIDE],
            grpc: GrpcStatusCounts::default(),
            filled: 0,
            reverse_times: REVERSE_TIMES,
        }
    }
}

/// Set of several slots.
pub(super) const fn bits<const N: usize>(slots: [Slot; N]) -> u128 {
    let (mut bits, mut rest) = (0, slots.as_slice());
    while let [slot, after @ ..] = rest {
        bits |= slot.bit();
        rest = after;
    }
    bits
}

const SAMPLING: u128 = bits([
    Slot::SamplingInterval,
    Slot::SamplingPacketInterval,
    Slot::SamplingPopulation,
    Slot::SamplingProbability,
]);
/// Properties of a record that an announcement of sampling can have as its scope, besides
/// interfaces.
const SAMPLING_SCOPES: u128 = bits([
    Slot::SelectorId,
    Slot::SelectionSequence,
    Slot::ObservationPoint,
    Slot::LineCard,
    Slot::Port,
]);
const REVERSE: u128 = bits([
    Slot::ReverseOctets,
    Slot::ReversePackets,
    Slot::ReverseStart,
    Slot::ReverseEnd,
    Slot::ReverseTcpControlBits,
    Slot::ReverseTransportOctets,
]);
const ICMP: u128 = bits([Slot::IcmpType, Slot::IcmpCode]);
const INTERFACES: u128 = bits([
    Slot::IngressInterface,
    Slot::EgressInterface,
    Slot::FlowDirection,
]);
const ROUTING: u128 = bits([
    Slot::SourceAs,
    Slot::DestinationAs,
    Slot::SourcePrefixLength,
    Slot::DestinationPrefixLength,
    Slot::NextHopV4,
    Slot::NextHopV6,
]);
/// What is reported of a connection besides its traffic.
pub(super) const HEALTH: u128 =
    tcp::SLOTS | dns::SLOTS | http::SLOTS | Slot::ConnectionMilliseconds.bit();
const EXPORTER: u128 = bits([Slot::ExporterV4, Slot::ExporterV6]);

impl Plan {
    /// Whether the records have properties by which sampling is announced.
    pub(crate) const fn have_sampling_scopes(&self) -> bool {
        self.filled & SAMPLING_SCOPES != 0
    }

    /// Whether the records report sampling themselves.
    pub(crate) const fn have_sampling(&self) -> bool {
        self.filled & SAMPLING != 0
    }

    /// Whether the records are those of firewall connections.
    pub(crate) const fn are_firewall_connections(&self) -> bool {
        self.filled & Slot::FirewallEvent.bit() != 0
    }

    /// Clears `values` and `record` for the records of a Set.
    pub(crate) fn begin(&self, values: &mut Values, record: &mut FlowRecord) {
        *values = Values {
            filled: self.filled,
            reverse_times: self.reverse_times,
            ..Values::default()
        };
        *record = FlowRecord::default();
    }

    /// Fills `record` from the octets of a Data Record, after [`Self::begin`] and any number of
    /// records of the same template. `spans`: positions of the values if the template has fields of
    /// variable length, otherwise empty.
    #[inline]
    pub(crate) fn read(
        &self,
        octets: &[u8],
        spans: &[FieldSpan],
        context: &MessageContext,
        values: &mut Values,
        record: &mut FlowRecord,
    ) {
        for load in &self.loads {
            values.put(load.slot, load.value(octets));
        }
        for step in &self.steps {
            values.take(step.slot, step.value(octets, spans));
        }
        for step in &self.alternatives {
            if values.number(step.slot) == 0 {
                values.take(step.slot, step.value(octets, spans));
            }
        }
        values.fill(context, record);
        if self.has_initiator && record.biflow_direction == Some(BiflowDirection::ReverseInitiator)
        {
            self.reverse_initiator(record);
        }
        if let Some(packet) = &self.packet {
            packet.read(octets, spans, record);
        }
        if let Some(outgoing) = &self.outgoing {
            outgoing.read(octets, spans, record);
        }
    }

    /// The counters of the initiator are those of the destination.
    #[cold]
    fn reverse_initiator(&self, record: &mut FlowRecord) {
        let [octets, packets] = self.counter_kinds();
        if octets == CounterKind::Connection {
            let counts = &mut record.octet_delta_count;
            std::mem::swap(counts, &mut record.reverse_octet_delta_count);
        }
        if packets == CounterKind::Connection {
            let counts = &mut record.packet_delta_count;
            std::mem::swap(counts, &mut record.reverse_packet_delta_count);
        }
    }
}

impl Values {
    #[inline]
    fn put(&mut self, slot: Slot, number: u64) {
        if let Some(place) = self.numbers.get_mut(slot.index()) {
            *place = number;
        }
    }

    fn take(&mut self, slot: Slot, value: &[u8]) {
        if let Some(place) = self.wide.get_mut(slot.index()) {
            *place = value.try_into().map_or(0, u128::from_be_bytes);
        } else if slot == Slot::SamplingProbability {
            self.put(slot, float(value).unwrap_or_default().to_bits());
        } else if slot == Slot::GrpcResponses {
            self.grpc = http::grpc_responses(value);
        } else {
            self.put(slot, unsigned(value));
        }
    }

    const fn any(&self, slots: u128) -> bool {
        self.filled & slots != 0
    }

    /// The number in a slot; 0 if the template does not fill it.
    #[inline]
    fn number(&self, slot: Slot) -> u64 {
        self.numbers.get(slot.index()).copied().unwrap_or_default()
    }

    fn number_if(&self, slot: Slot) -> Option<u64> {
        self.any(slot.bit()).then(|| self.number(slot))
    }

    /// The low 32 bits of a number.
    #[inline]
    fn low_u32(&self, slot: Slot) -> u32 {
        low_u32(self.number(slot))
    }

    fn low_u32_if(&self, slot: Slot) -> Option<u32> {
        self.any(slot.bit()).then(|| self.low_u32(slot))
    }

    /// The low 16 bits of a number.
    #[inline]
    fn low_u16(&self, slot: Slot) -> u16 {
        low_u16(self.number(slot))
    }

    /// The low 8 bits of a number.
    #[inline]
    fn low_u8(&self, slot: Slot) -> u8 {
        low_u8(self.number(slot))
    }

    #[inline]
    fn fill(&self, context: &MessageContext, record: &mut FlowRecord) {
        let [source_address, destination_address] = self.ends();
        record.key = FlowKey {
            source_address,
            destination_address,
            source_port: self.low_u16(Slot::SourcePort),
            destination_port: self.low_u16(Slot::DestinationPort),
            protocol_identifier: self.low_u8(Slot::Protocol),
        };
        record.octet_delta_count = self.number(Slot::Octets);
        record.packet_delta_count = self.number(Slot::Packets);
        record.transport_octet_delta_count = self.number_if(Slot::TransportOctets);
        let time = |slot| known_time(self.number(slot), context);
        record.flow_start_milliseconds = time(Slot::StartMilliseconds);
        record.flow_end_milliseconds = time(Slot::EndMilliseconds);
        record.tcp_control_bits = self.low_u16(Slot::TcpControlBits);
        record.ip_class_of_service = self.low_u8(Slot::ClassOfService);
        record.flow_end_reason = self.low_u8(Slot::FlowEndReason).into();
        record.icmp_type_code = self.low_u16(Slot::IcmpTypeCode);
        // A VLAN ID has 12 bits.
        record.vlan_id = match self.low_u16(Slot::VlanId) {
            vlan_id @ 0..4096 => vlan_id,
            _ => 0,
        };
        record.biflow_direction = self
            .number_if(Slot::BiflowDirection)
            .and_then(|number| BiflowDirection::from_repr(u8::try_from(number).ok()?));
        record.new_connection_delta_count = self.low_u32_if(Slot::NewConnections);
        record.connection_sum_duration_seconds = self.number_if(Slot::ConnectionSeconds);
        record.connection_sum_duration_milliseconds = self.number(Slot::ConnectionMilliseconds);
        if self.any(INTERFACES) {
            record.interfaces = Some(Interfaces {
                ingress_interface: self.low_u32(Slot::IngressInterface),
                egress_interface: self.low_u32(Slot::EgressInterface),
                // 0 ingress, 1 egress; other values are not defined.
                flow_direction: self
                    .number_if(Slot::FlowDirection)
                    .and_then(|number| u8::try_from(number).ok())
                    .filter(|direction| *direction <= 1),
            });
        }
        if self.any(ROUTING) {
            record.bgp_source_as_number = self.low_u32(Slot::SourceAs);
            record.bgp_destination_as_number = self.low_u32(Slot::DestinationAs);
            let key = record.key;
            record.source_prefix_length = key
                .source_address
                .prefix_length(self.low_u8(Slot::SourcePrefixLength));
            record.destination_prefix_length = key
                .destination_address
                .prefix_length(self.low_u8(Slot::DestinationPrefixLength));
            record.ip_next_hop_address = self.optional_address(Slot::NextHopV4, Slot::NextHopV6);
        }
        if self.any(times::OTHER_UNITS) {
            self.fill_times(context, record);
        }
        if self.any(SAMPLING) {
            let selection = self.sampling_fields().selection();
            selection.unwrap_or_default().apply(record);
        }
        if self.any(REVERSE | ICMP | EXPORTER | headers::SLOTS) {
            self.fill_rest(context, record);
        }
        if self.any(tcp::SLOTS) {
            self.fill_tcp(record);
        }
        if self.any(dns::SLOTS) {
            self.fill_dns(record);
        }
        if self.any(http::SLOTS) {
            self.fill_http(record);
        }
    }

    fn sampling_fields(&self) -> SamplingFields {
        SamplingFields {
            interval: self.number_if(Slot::SamplingInterval),
            algorithm: self.number_if(Slot::SamplingAlgorithm),
            selector_algorithm: self.number_if(Slot::SelectorAlgorithm),
            packet_interval: self.number_if(Slot::SamplingPacketInterval),
            packet_space: self.number(Slot::SamplingPacketSpace),
            size: self.number_if(Slot::SamplingSize),
            population: self.number_if(Slot::SamplingPopulation),
            probability: self
                .number_if(Slot::SamplingProbability)
                .map(f64::from_bits),
            ..SamplingFields::default()
        }
    }

    /// The sampling that the record itself reports.
    pub(crate) fn own_sampling(&self) -> Option<Selection> {
        if !self.any(SAMPLING) {
            return None;
        }
        self.sampling_fields().selection()
    }

    /// Whether the record reports an interval that no sampler has.
    pub(crate) fn has_implausible_sampling(&self) -> bool {
        self.any(SAMPLING) && self.sampling_fields().is_implausible()
    }

    /// The properties by which sampling is announced, besides interfaces.
    pub(crate) fn sampling_scopes(&self) -> SamplingScopes {
        SamplingScopes {
            selector: self.number_if(Slot::SelectorId),
            sequence: self.number_if(Slot::SelectionSequence),
            observation_point: self.number_if(Slot::ObservationPoint),
            line_card: self.number_if(Slot::LineCard),
            port: self.number_if(Slot::Port),
        }
    }

    /// 148 `flowId`.
    pub(crate) fn flow_id(&self) -> Option<u64> {
        self.number_if(Slot::FlowId)
    }

    /// 233 `firewallEvent`.
    pub(crate) fn firewall_event(&self) -> Option<u64> {
        self.number_if(Slot::FirewallEvent)
    }

    /// Fields that few templates have.
    fn fill_rest(&self, context: &MessageContext, record: &mut FlowRecord) {
        record.reverse_octet_delta_count = self.number(Slot::ReverseOctets);
        record.reverse_packet_delta_count = self.number(Slot::ReversePackets);
        record.reverse_transport_octet_delta_count = self.number_if(Slot::ReverseTransportOctets);
        self.fill_reverse_times(context, record);
        record.reverse_tcp_control_bits = self.low_u16(Slot::ReverseTcpControlBits);
        record.exporter_address = self.optional_address(Slot::ExporterV4, Slot::ExporterV6);
        if self.any(ICMP) {
            let [mut kind, mut code] = record.icmp_type_code.to_be_bytes();
            if self.any(Slot::IcmpType.bit()) {
                kind = self.low_u8(Slot::IcmpType);
            }
            if self.any(Slot::IcmpCode.bit()) {
                code = self.low_u8(Slot::IcmpCode);
            }
            record.icmp_type_code = u16::from_be_bytes([kind, code]);
        }
        self.fill_headers(record);
    }
}

/// Properties of a record by which sampling is announced.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SamplingScopes {
    /// 302 or 48.
    pub(crate) selector: Option<u64>,
    /// 301.
    pub(crate) sequence: Option<u64>,
    /// 138.
    pub(crate) observation_point: Option<u64>,
    /// 141.
    pub(crate) line_card: Option<u64>,
    /// 142.
    pub(crate) port: Option<u64>,
}
