//! Reading: the values of a Data Record, then the flow record that they make.
//!
//! No step depends on what a field is, so that nothing has to be guessed from field to field: numbers are
//! loaded, all in the same way, to the places of their slots. All records of a Set fill the same slots; the
//! others are emptied once.

use super::sampling::Rate;
use super::slot::Slot;
use super::time::up_time_to_epoch;
use super::{Plan, Step, Surroundings};
use crate::address::Address;
use crate::json::{ntp_to_unix, unsigned};
use crate::record::{FlowKey, FlowRecord, Interfaces, Translation, Tunnel, TunnelType};
use crate::template::Span;

/// Octets that are loaded for a number, however long it is.
const WINDOW: usize = 8;

/// How a number is loaded: eight octets with it, from which what is beside it is taken away.
#[derive(Debug)]
pub(super) struct Load {
    mask: u64,
    /// Sixteen bits are enough for a Message, and no sum with them overflows.
    at: u16,
    shift: u8,
    slot: Slot,
}

impl Load {
    /// `None` where a value is no number of up to eight octets, stands behind a field of variable length, or
    /// where a record may be too short. `minimum`: octets of a record at least.
    pub(super) fn of(step: &Step, first_variable: Option<usize>, minimum: usize) -> Option<Self> {
        let Span { start, length } = step.span;
        let floats = first_variable.is_some_and(|first| first <= step.field);
        let is_number = step.slot.index() >= Slot::WIDE && step.slot != Slot::SamplingProbability;
        if floats || !is_number || length == 0 {
            return None;
        }
        let bits = u32::try_from(WINDOW.checked_sub(length)?.checked_mul(8)?).ok()?;
        // The octets end with the number, or begin with it where there are not as many in front of it.
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

    #[inline]
    fn value(&self, octets: &[u8]) -> u64 {
        let at = usize::from(self.at);
        let window = octets.get(at..at.wrapping_add(WINDOW));
        let window = window.and_then(|window| window.try_into().ok());
        let number = window.map_or(0, u64::from_be_bytes);
        number.wrapping_shr(self.shift.into()) & self.mask
    }
}

/// The values of one record, by slot.
#[derive(Debug)]
pub(crate) struct Values {
    numbers: [u64; Slot::COUNT],
    wide: [u128; Slot::WIDE],
    /// The slots that were filled.
    filled: u128,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            numbers: [0; Slot::COUNT],
            wide: [0; Slot::WIDE],
            filled: 0,
        }
    }
}

/// The bits of several slots.
const fn bits<const N: usize>(slots: [Slot; N]) -> u128 {
    let (mut bits, mut rest) = (0, slots.as_slice());
    while let [slot, after @ ..] = rest {
        bits |= slot.bit();
        rest = after;
    }
    bits
}

const OTHER_TIMES: u128 = bits([
    Slot::StartSysUpTime,
    Slot::EndSysUpTime,
    Slot::StartSeconds,
    Slot::EndSeconds,
    Slot::StartNtp,
    Slot::EndNtp,
    Slot::StartDeltaMicroseconds,
    Slot::EndDeltaMicroseconds,
]);
const SAMPLING: u128 = bits([
    Slot::SamplingInterval,
    Slot::SamplingPacketInterval,
    Slot::SamplingPopulation,
    Slot::SamplingProbability,
    Slot::SelectorId,
]);
const REVERSE: u128 = bits([
    Slot::ReverseOctets,
    Slot::ReversePackets,
    Slot::ReverseStart,
    Slot::ReverseEnd,
    Slot::ReverseTcpControlBits,
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
const EXPORTER: u128 = bits([Slot::ExporterV4, Slot::ExporterV6]);
const TRANSLATION: u128 = bits([
    Slot::PostNatSourceV4,
    Slot::PostNatDestinationV4,
    Slot::PostNatSourceV6,
    Slot::PostNatDestinationV6,
    Slot::PostNaptSourcePort,
    Slot::PostNaptDestinationPort,
]);
const TUNNEL: u128 = bits([
    Slot::TunnelType,
    Slot::TunnelKey,
    Slot::TunnelSource,
    Slot::TunnelDestination,
    Slot::TunnelProtocol,
    Slot::TunnelSourcePort,
    Slot::TunnelDestinationPort,
]);

impl Plan {
    /// Empties `values` and `record` for the records of a Set.
    pub(crate) fn begin(&self, values: &mut Values, record: &mut FlowRecord) {
        *values = Values {
            filled: self.filled,
            ..Values::default()
        };
        *record = FlowRecord::default();
    }

    /// Fills `record` from the octets of a Data Record; [`Self::begin`] went before, and other records of the
    /// same template. `spans` says where the values stand if the template has fields of variable length, else
    /// it is empty.
    #[inline]
    pub(crate) fn read(
        &self,
        octets: &[u8],
        spans: &[Span],
        around: &Surroundings<'_>,
        values: &mut Values,
        record: &mut FlowRecord,
    ) {
        for load in &self.loads {
            values.put(load.slot, load.value(octets));
        }
        for step in &self.steps {
            let span = spans.get(step.field).unwrap_or(&step.span);
            let end = span.start.checked_add(span.length);
            let value = end.and_then(|end| octets.get(span.start..end));
            values.take(step.slot, value.unwrap_or_default());
        }
        values.fill(around, record);
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
        } else {
            self.put(slot, unsigned(value));
        }
    }

    const fn any(&self, slots: u128) -> bool {
        self.filled & slots != 0
    }

    /// 0 where it was not filled.
    #[inline]
    fn number(&self, slot: Slot) -> u64 {
        self.numbers.get(slot.index()).copied().unwrap_or_default()
    }

    fn number_if(&self, slot: Slot) -> Option<u64> {
        self.any(slot.bit()).then(|| self.number(slot))
    }

    /// The low 32 bits of a number.
    #[inline]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "low bits are asked for"
    )]
    fn word(&self, slot: Slot) -> u32 {
        self.number(slot) as u32
    }

    fn word_if(&self, slot: Slot) -> Option<u32> {
        self.any(slot.bit()).then(|| self.word(slot))
    }

    /// The low 16 bits of a number.
    #[inline]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "low bits are asked for"
    )]
    fn short(&self, slot: Slot) -> u16 {
        self.number(slot) as u16
    }

    /// The low 8 bits of a number.
    #[inline]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "low bits are asked for"
    )]
    fn octet(&self, slot: Slot) -> u8 {
        self.number(slot) as u8
    }

    /// An address of either family: some templates carry both and send zeros for the one that a flow does
    /// not have.
    #[inline]
    fn address(&self, v4: Slot, v6: Slot) -> Address {
        let wide = self.wide.get(v6.index()).copied().unwrap_or_default();
        if wide != 0 {
            Address::from_v6_bits(wide)
        } else if self.any(v4.bit()) {
            Address::from_v4_bits(self.word(v4))
        } else {
            Address::UNSPECIFIED
        }
    }

    /// An address of which only the IPv4 form has an element.
    fn v4(&self, slot: Slot) -> Address {
        match self.word_if(slot) {
            Some(bits) => Address::from_v4_bits(bits),
            None => Address::UNSPECIFIED,
        }
    }

    #[inline]
    fn fill(&self, around: &Surroundings<'_>, record: &mut FlowRecord) {
        record.key = FlowKey {
            source_address: self.address(Slot::SourceV4, Slot::SourceV6),
            destination_address: self.address(Slot::DestinationV4, Slot::DestinationV6),
            source_port: self.short(Slot::SourcePort),
            destination_port: self.short(Slot::DestinationPort),
            protocol_identifier: self.octet(Slot::Protocol),
        };
        record.octet_delta_count = self.number(Slot::Octets);
        record.packet_delta_count = self.number(Slot::Packets);
        record.flow_start_milliseconds = self.number(Slot::StartMilliseconds);
        record.flow_end_milliseconds = self.number(Slot::EndMilliseconds);
        record.tcp_control_bits = self.short(Slot::TcpControlBits);
        record.ip_class_of_service = self.octet(Slot::ClassOfService);
        record.flow_end_reason = self.octet(Slot::FlowEndReason).into();
        record.icmp_type_code = self.short(Slot::IcmpTypeCode);
        record.vlan_id = self.short(Slot::VlanId);
        record.biflow_direction = self
            .any(Slot::BiflowDirection.bit())
            .then(|| self.octet(Slot::BiflowDirection).into());
        record.new_connection_delta_count = self.word_if(Slot::NewConnections);
        record.connection_sum_duration_seconds = self.number_if(Slot::ConnectionSeconds);
        record.connection_sum_duration_milliseconds = self.number(Slot::ConnectionMilliseconds);
        if self.any(INTERFACES) {
            record.interfaces = Some(Interfaces {
                ingress_interface: self.word(Slot::IngressInterface),
                egress_interface: self.word(Slot::EgressInterface),
                flow_direction: self
                    .any(Slot::FlowDirection.bit())
                    .then(|| self.octet(Slot::FlowDirection)),
            });
        }
        if self.any(ROUTING) {
            record.bgp_source_as_number = self.word(Slot::SourceAs);
            record.bgp_destination_as_number = self.word(Slot::DestinationAs);
            record.source_prefix_length = self.octet(Slot::SourcePrefixLength);
            record.destination_prefix_length = self.octet(Slot::DestinationPrefixLength);
            record.ip_next_hop_address = self.address(Slot::NextHopV4, Slot::NextHopV6);
        }
        if self.any(OTHER_TIMES) {
            self.fill_times(around, record);
        }
        record.sampling = if self.any(SAMPLING) {
            let selected = || around.samplers.of(self.number_if(Slot::SelectorId));
            self.rate().sampling().or_else(selected).unwrap_or_default()
        } else {
            around.samplers.of(None).unwrap_or_default()
        };
        if self.any(REVERSE | ICMP | EXPORTER | TRANSLATION | TUNNEL) {
            self.fill_rest(record);
        }
    }

    /// Of the times of a template only the best start and the best end were kept.
    fn fill_times(&self, around: &Surroundings<'_>, record: &mut FlowRecord) {
        let init = self
            .number_if(Slot::SystemInitTime)
            .or(around.system_init_milliseconds);
        let export = around.export_time_milliseconds;
        let time = |[up_time, seconds, ntp, before]: [Slot; 4]| {
            if let Some(up_time) = self.word_if(up_time) {
                Some(up_time_to_epoch(up_time, init, around))
            } else if let Some(seconds) = self.number_if(seconds) {
                Some(seconds.saturating_mul(1000))
            } else if let Some(ntp) = self.number_if(ntp) {
                Some(ntp_to_unix(ntp, 1000))
            } else {
                let microseconds = self.number_if(before)?;
                Some(export.saturating_sub(microseconds / 1000))
            }
        };
        let start = time([
            Slot::StartSysUpTime,
            Slot::StartSeconds,
            Slot::StartNtp,
            Slot::StartDeltaMicroseconds,
        ]);
        let end = time([
            Slot::EndSysUpTime,
            Slot::EndSeconds,
            Slot::EndNtp,
            Slot::EndDeltaMicroseconds,
        ]);
        record.flow_start_milliseconds = start.unwrap_or(record.flow_start_milliseconds);
        record.flow_end_milliseconds = end.unwrap_or(record.flow_end_milliseconds);
    }

    fn rate(&self) -> Rate {
        Rate {
            interval: self.word_if(Slot::SamplingInterval),
            packet_interval: self.word_if(Slot::SamplingPacketInterval),
            packet_space: self.word(Slot::SamplingPacketSpace),
            size: self.word(Slot::SamplingSize),
            population: self.word_if(Slot::SamplingPopulation),
            probability: self
                .number_if(Slot::SamplingProbability)
                .map(f64::from_bits),
        }
    }

    /// What few templates have.
    fn fill_rest(&self, record: &mut FlowRecord) {
        record.reverse_octet_delta_count = self.number(Slot::ReverseOctets);
        record.reverse_packet_delta_count = self.number(Slot::ReversePackets);
        record.reverse_flow_start_milliseconds = self.number(Slot::ReverseStart);
        record.reverse_flow_end_milliseconds = self.number(Slot::ReverseEnd);
        record.reverse_tcp_control_bits = self.short(Slot::ReverseTcpControlBits);
        record.exporter_address = self.address(Slot::ExporterV4, Slot::ExporterV6);
        if self.any(ICMP) {
            let [mut kind, mut code] = record.icmp_type_code.to_be_bytes();
            if self.any(Slot::IcmpType.bit()) {
                kind = self.octet(Slot::IcmpType);
            }
            if self.any(Slot::IcmpCode.bit()) {
                code = self.octet(Slot::IcmpCode);
            }
            record.icmp_type_code = u16::from_be_bytes([kind, code]);
        }
        if self.any(TRANSLATION) {
            record.translation = Some(Translation {
                post_nat_source_address: self.address(Slot::PostNatSourceV4, Slot::PostNatSourceV6),
                post_nat_destination_address: self
                    .address(Slot::PostNatDestinationV4, Slot::PostNatDestinationV6),
                post_napt_source_port: self.short(Slot::PostNaptSourcePort),
                post_napt_destination_port: self.short(Slot::PostNaptDestinationPort),
            });
        }
        if self.any(TUNNEL) {
            record.tunnel = Some(Tunnel {
                tunnel_type: match self.octet(Slot::TunnelType) {
                    1 => TunnelType::Vxlan,
                    2 => TunnelType::Gre,
                    7 => TunnelType::Geneve,
                    _ => TunnelType::IpInIp,
                },
                tunnel_key: self.word(Slot::TunnelKey),
                tunnel_source_address: self.v4(Slot::TunnelSource),
                tunnel_destination_address: self.v4(Slot::TunnelDestination),
                tunnel_protocol_identifier: self.octet(Slot::TunnelProtocol),
                tunnel_source_port: self.short(Slot::TunnelSourcePort),
                tunnel_destination_port: self.short(Slot::TunnelDestinationPort),
            });
        }
    }
}

/// A floating-point number of either width (RFC 7011 §6.1.3).
pub(super) fn float(value: &[u8]) -> Option<f64> {
    match value.len() {
        4 => value.try_into().ok().map(f32::from_be_bytes).map(f64::from),
        8 => value.try_into().ok().map(f64::from_be_bytes),
        _ => None,
    }
}

/// The low 32 bits of a number.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "low bits are asked for"
)]
pub(super) fn word(value: &[u8]) -> u32 {
    unsigned(value) as u32
}
