//! How the fields of a template fill a [`FlowRecord`]: decided once, when the template arrives, so that
//! a Data Record is read by offset and never interpreted by element number.
//!
//! Exporters carry the same quantity under several elements, at times under two in one record. These are
//! the families of counters; of a template, the first family counts that it has:
//!
//! | family | octets | packets | reverse octets | reverse packets |
//! |---|---|---|---|---|
//! | deltas | 1 `octetDeltaCount` | 2 `packetDeltaCount` | 29305:1 | 29305:2 |
//! | of initiator and responder | 231 `initiatorOctets` | 298 `initiatorPackets` | 232 `responderOctets` | 299 `responderPackets` |
//! | totals | 85 `octetTotalCount` | 86 `packetTotalCount` | 29305:85 | 29305:86 |
//! | behind a middlebox | 23 `postOctetDeltaCount` | 24 `postPacketDeltaCount` | 29305:23 | 29305:24 |
//! | totals behind it | 171 `postOctetTotalCount` | 172 `postPacketTotalCount` | 29305:171 | 29305:172 |
//! | layer 2 | 352 `layer2OctetDeltaCount` | – | 29305:352 | – |
//!
//! They are never added up: a record with deltas and totals, or with counters before and after a
//! middlebox, describes the same packets twice. Octets and packets choose for themselves; the opposite
//! direction is that of the same family, or of one whose forward counter the template does not have.
//! Totals run on from record to record of a flow: what counts is how far ([`crate::collector`]).
//!
//! Of several times, the finest that means something counts: milliseconds (152, 153), microseconds and
//! nanoseconds (154–157), distance to the export time (158, 159), seconds (150, 151), `sysUpTime` (22, 21).

use crate::address::Address;
use crate::element::REVERSE_ENTERPRISE;
use crate::json::{ntp_to_unix, unsigned};
use crate::record::{FlowRecord, Interfaces, Sampling, Translation, Tunnel, TunnelType};
use crate::template::{FieldSpecifier, Span, VARIABLE_LENGTH};

const VMWARE: u32 = 6876;

/// What a template's fields mean for a flow record.
#[derive(Debug)]
pub(crate) struct Plan {
    steps: Box<[Step]>,
    octets_are_totals: bool,
    packets_are_totals: bool,
}

/// Families of counters that run on from record to record.
const TOTALS: [u8; 2] = [3, 5];

#[derive(Debug)]
struct Step {
    /// Position among the template's fields: where the spans say the value stands.
    field: usize,
    /// Where the value stands if no field of variable length is in front of it.
    span: Span,
    slot: Slot,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Octets,
    Packets,
    ReverseOctets,
    ReversePackets,
    ReverseStart,
    ReverseEnd,
    ReverseTcpControlBits,
    Protocol,
    ClassOfService,
    TcpControlBits,
    SourcePort,
    DestinationPort,
    SourceV4,
    DestinationV4,
    NextHopV4,
    SourceV6,
    DestinationV6,
    NextHopV6,
    SourcePrefixLength,
    DestinationPrefixLength,
    IngressInterface,
    EgressInterface,
    FlowDirection,
    SourceAs,
    DestinationAs,
    StartSysUpTime,
    EndSysUpTime,
    StartSeconds,
    EndSeconds,
    StartMilliseconds,
    EndMilliseconds,
    StartNtp,
    EndNtp,
    StartDeltaMicroseconds,
    EndDeltaMicroseconds,
    SystemInitTime,
    IcmpTypeCode,
    IcmpType,
    IcmpCode,
    SamplingInterval,
    SamplingPacketInterval,
    SamplingPacketSpace,
    SamplingSize,
    SamplingPopulation,
    SamplingProbability,
    SelectorId,
    VlanId,
    ExporterV4,
    ExporterV6,
    FlowEndReason,
    PostNatSourceV4,
    PostNatDestinationV4,
    PostNatSourceV6,
    PostNatDestinationV6,
    PostNaptSourcePort,
    PostNaptDestinationPort,
    BiflowDirection,
    NewConnections,
    ConnectionSeconds,
    TunnelType,
    TunnelKey,
    TunnelSource,
    TunnelDestination,
    TunnelProtocol,
    TunnelSourcePort,
    TunnelDestinationPort,
}

/// What says when a flow started, in order of preference: `sysUpTime` means nothing without the exporter's
/// start, and seconds are coarse.
const STARTS: [Slot; 5] = [
    Slot::StartMilliseconds,
    Slot::StartNtp,
    Slot::StartDeltaMicroseconds,
    Slot::StartSeconds,
    Slot::StartSysUpTime,
];
/// The same of its end.
const ENDS: [Slot; 5] = [
    Slot::EndMilliseconds,
    Slot::EndNtp,
    Slot::EndDeltaMicroseconds,
    Slot::EndSeconds,
    Slot::EndSysUpTime,
];

impl Slot {
    /// The slot that an element fills, and its rank among the elements that fill the same slot: the
    /// lowest of a template wins. 0 for elements without a rival.
    const fn of(enterprise: u32, id: u16) -> Option<(Self, u8)> {
        Some(match (enterprise, id) {
            (0, 1) => (Self::Octets, 1),
            (0, 231) => (Self::Octets, 2),
            (0, 85) => (Self::Octets, 3),
            (0, 23) => (Self::Octets, 4),
            (0, 171) => (Self::Octets, 5),
            (0, 352) => (Self::Octets, 6),
            (0, 2) => (Self::Packets, 1),
            (0, 298) => (Self::Packets, 2),
            (0, 86) => (Self::Packets, 3),
            (0, 24) => (Self::Packets, 4),
            (0, 172) => (Self::Packets, 5),
            (REVERSE_ENTERPRISE, 1) => (Self::ReverseOctets, 1),
            (0, 232) => (Self::ReverseOctets, 2),
            (REVERSE_ENTERPRISE, 85) => (Self::ReverseOctets, 3),
            (REVERSE_ENTERPRISE, 23) => (Self::ReverseOctets, 4),
            (REVERSE_ENTERPRISE, 171) => (Self::ReverseOctets, 5),
            (REVERSE_ENTERPRISE, 352) => (Self::ReverseOctets, 6),
            (REVERSE_ENTERPRISE, 2) => (Self::ReversePackets, 1),
            (0, 299) => (Self::ReversePackets, 2),
            (REVERSE_ENTERPRISE, 86) => (Self::ReversePackets, 3),
            (REVERSE_ENTERPRISE, 152) => (Self::ReverseStart, 0),
            (REVERSE_ENTERPRISE, 153) => (Self::ReverseEnd, 0),
            (REVERSE_ENTERPRISE, 6) => (Self::ReverseTcpControlBits, 0),
            (REVERSE_ENTERPRISE, 24) => (Self::ReversePackets, 4),
            (REVERSE_ENTERPRISE, 172) => (Self::ReversePackets, 5),
            (0, 4) => (Self::Protocol, 0),
            (0, 5) => (Self::ClassOfService, 0),
            (0, 6) => (Self::TcpControlBits, 0),
            (0, 7) => (Self::SourcePort, 1),
            (0, 180) => (Self::SourcePort, 2),
            (0, 182) => (Self::SourcePort, 3),
            (0, 11) => (Self::DestinationPort, 1),
            (0, 181) => (Self::DestinationPort, 2),
            (0, 183) => (Self::DestinationPort, 3),
            (0, 8) => (Self::SourceV4, 0),
            (0, 12) => (Self::DestinationV4, 0),
            (0, 15) => (Self::NextHopV4, 0),
            (0, 27) => (Self::SourceV6, 0),
            (0, 28) => (Self::DestinationV6, 0),
            (0, 62) => (Self::NextHopV6, 0),
            (0, 9) => (Self::SourcePrefixLength, 1),
            (0, 29) => (Self::SourcePrefixLength, 2),
            (0, 13) => (Self::DestinationPrefixLength, 1),
            (0, 30) => (Self::DestinationPrefixLength, 2),
            (0, 10) => (Self::IngressInterface, 0),
            (0, 14) => (Self::EgressInterface, 0),
            (0, 61) => (Self::FlowDirection, 0),
            (0, 16) => (Self::SourceAs, 0),
            (0, 17) => (Self::DestinationAs, 0),
            (0, 22) => (Self::StartSysUpTime, 0),
            (0, 21) => (Self::EndSysUpTime, 0),
            (0, 150) => (Self::StartSeconds, 0),
            (0, 151) => (Self::EndSeconds, 0),
            (0, 152) => (Self::StartMilliseconds, 0),
            (0, 153) => (Self::EndMilliseconds, 0),
            (0, 154) => (Self::StartNtp, 1),
            (0, 156) => (Self::StartNtp, 2),
            (0, 155) => (Self::EndNtp, 1),
            (0, 157) => (Self::EndNtp, 2),
            (0, 158) => (Self::StartDeltaMicroseconds, 0),
            (0, 159) => (Self::EndDeltaMicroseconds, 0),
            (0, 160) => (Self::SystemInitTime, 0),
            (0, 32) => (Self::IcmpTypeCode, 1),
            (0, 139) => (Self::IcmpTypeCode, 2),
            (0, 176) => (Self::IcmpType, 1),
            (0, 178) => (Self::IcmpType, 2),
            (0, 177) => (Self::IcmpCode, 1),
            (0, 179) => (Self::IcmpCode, 2),
            (0, 34) => (Self::SamplingInterval, 1),
            (0, 50) => (Self::SamplingInterval, 2),
            (0, 305) => (Self::SamplingPacketInterval, 0),
            (0, 306) => (Self::SamplingPacketSpace, 0),
            (0, 309) => (Self::SamplingSize, 0),
            (0, 310) => (Self::SamplingPopulation, 0),
            (0, 311) => (Self::SamplingProbability, 0),
            (0, 302) => (Self::SelectorId, 1),
            (0, 48) => (Self::SelectorId, 2),
            (0, 58) => (Self::VlanId, 1),
            (0, 243) => (Self::VlanId, 2),
            (0, 130) => (Self::ExporterV4, 0),
            (0, 131) => (Self::ExporterV6, 0),
            (0, 136) => (Self::FlowEndReason, 0),
            (0, 225) => (Self::PostNatSourceV4, 0),
            (0, 226) => (Self::PostNatDestinationV4, 0),
            (0, 281) => (Self::PostNatSourceV6, 0),
            (0, 282) => (Self::PostNatDestinationV6, 0),
            (0, 227) => (Self::PostNaptSourcePort, 0),
            (0, 228) => (Self::PostNaptDestinationPort, 0),
            (0, 239) => (Self::BiflowDirection, 0),
            (0, 278) => (Self::NewConnections, 0),
            (0, 279) => (Self::ConnectionSeconds, 0),
            (VMWARE, 891) => (Self::TunnelType, 0),
            (VMWARE, 892) => (Self::TunnelKey, 0),
            (VMWARE, 893) => (Self::TunnelSource, 0),
            (VMWARE, 894) => (Self::TunnelDestination, 0),
            (VMWARE, 895) => (Self::TunnelProtocol, 0),
            (VMWARE, 896) => (Self::TunnelSourcePort, 0),
            (VMWARE, 897) => (Self::TunnelDestinationPort, 0),
            _ => return None,
        })
    }

    /// What [`Self::of`] says of a field, if its values can be read.
    fn filled_by(specifier: &FieldSpecifier) -> Option<(Self, u8)> {
        Self::of(specifier.enterprise, specifier.id)
            .filter(|(slot, _)| slot.takes(specifier.length))
    }

    /// True where a value of this length can be read: an address has one length, a number up to 8.
    const fn takes(self, length: u16) -> bool {
        match self {
            Self::SourceV4
            | Self::DestinationV4
            | Self::NextHopV4
            | Self::ExporterV4
            | Self::PostNatSourceV4
            | Self::PostNatDestinationV4
            | Self::TunnelSource
            | Self::TunnelDestination => length == 4,
            Self::SourceV6
            | Self::DestinationV6
            | Self::NextHopV6
            | Self::ExporterV6
            | Self::PostNatSourceV6
            | Self::PostNatDestinationV6 => length == 16,
            Self::StartNtp | Self::EndNtp => length == 8,
            Self::SamplingProbability => length == 4 || length == 8,
            Self::TunnelKey => length > 0,
            _ => 0 < length && length <= 8 || length == VARIABLE_LENGTH,
        }
    }
}

/// What a record alone does not say: the header of its Message, and what options data announced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// Export time, milliseconds since the epoch.
    pub(crate) export_time_milliseconds: u64,
    /// `sysUpTime` of a v9 header; 0 in IPFIX.
    pub(crate) sys_up_time: u32,
    /// When the exporter's `sysUpTime` was 0, milliseconds since the epoch, if known.
    pub(crate) system_init_milliseconds: Option<u64>,
    /// Sampling that options data announced.
    pub(crate) samplers: &'a Samplers,
}

/// Sampling that an Observation Domain announced in options data: by selector (302, 48), and the last
/// one said, which stands for records that name no selector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samplers {
    pub(crate) default: Option<Sampling>,
    pub(crate) by_selector: Vec<(u64, Sampling)>,
}

impl Samplers {
    /// Selectors that one domain may announce; more are not kept.
    const MOST: usize = 256;

    /// Takes note of an announcement. False where there is no room for one more selector.
    pub(crate) fn announce(&mut self, selector: Option<u64>, sampling: Sampling) -> bool {
        self.default = Some(sampling);
        let Some(selector) = selector else {
            return true;
        };
        if let Some(entry) = self.by_selector.iter_mut().find(|(id, _)| *id == selector) {
            entry.1 = sampling;
            return true;
        }
        let has_room = self.by_selector.len() < Self::MOST;
        if has_room {
            self.by_selector.push((selector, sampling));
        }
        has_room
    }

    fn of(&self, selector: Option<u64>) -> Option<Sampling> {
        match selector {
            Some(selector) => self
                .by_selector
                .iter()
                .find(|(id, _)| *id == selector)
                .map(|(_, s)| *s),
            None => self.default,
        }
    }
}

/// Which family of counters a template's octets, or packets, are taken from.
#[derive(Clone, Copy)]
struct Families {
    forward: Option<u8>,
    reverse: Option<u8>,
}

impl Families {
    fn of(steps: &[(Step, u8)], forward: Slot, reverse: Slot) -> Self {
        let ranks = |wanted: Slot| {
            let steps = steps.iter().filter(move |(step, _)| step.slot == wanted);
            steps.map(|(_, rank)| *rank)
        };
        let best = ranks(forward).min();
        let fits = |rank: &u8| best == Some(*rank) || ranks(forward).all(|other| other != *rank);
        let by_preference = |rank: &u8| (Some(*rank) != best, *rank);
        Self {
            forward: best,
            reverse: ranks(reverse).filter(fits).min_by_key(by_preference),
        }
    }

    fn are_totals(self) -> bool {
        [self.forward, self.reverse]
            .into_iter()
            .flatten()
            .any(|family| TOTALS.contains(&family))
    }
}

impl Plan {
    /// True where an element fills something of a record.
    pub(crate) const fn reads(enterprise: u32, id: u16) -> bool {
        Slot::of(enterprise, id).is_some()
    }

    pub(crate) fn new(specifiers: &[FieldSpecifier]) -> Self {
        let mut start = 0_usize;
        let mut all: Vec<(Step, u8)> = Vec::new();
        for (field, specifier) in specifiers.iter().enumerate() {
            let length = usize::from(specifier.length);
            let span = Span { start, length };
            // Behind a field of variable length this is not used: the spans are.
            start = start.saturating_add(length);
            if let Some((slot, rank)) = Slot::filled_by(specifier) {
                all.push((Step { field, span, slot }, rank));
            }
        }
        let octets = Families::of(&all, Slot::Octets, Slot::ReverseOctets);
        let packets = Families::of(&all, Slot::Packets, Slot::ReversePackets);
        let mut steps: Vec<(Step, u8)> = Vec::new();
        for (step, rank) in all {
            let counts = match step.slot {
                Slot::Octets => Some(rank) == octets.forward,
                Slot::ReverseOctets => Some(rank) == octets.reverse,
                Slot::Packets => Some(rank) == packets.forward,
                Slot::ReversePackets => Some(rank) == packets.reverse,
                _ => true,
            };
            if !counts {
                continue;
            }
            match steps.iter_mut().find(|(s, _)| s.slot == step.slot) {
                // The first occurrence of an element counts, a preferred element replaces a rival.
                Some((_, taken)) if *taken <= rank => {}
                Some(entry) => *entry = (step, rank),
                None => steps.push((step, rank)),
            }
        }
        for rivals in [STARTS, ENDS] {
            let has = |slot: &&Slot| steps.iter().any(|(step, _)| step.slot == **slot);
            let best = rivals.iter().find(has).copied();
            steps.retain(|(step, _)| Some(step.slot) == best || !rivals.contains(&step.slot));
        }
        Self {
            steps: steps.into_iter().map(|(step, _)| step).collect(),
            octets_are_totals: octets.are_totals(),
            packets_are_totals: packets.are_totals(),
        }
    }

    /// Whether counters of the records run on from one to the next of the same flow: octets, packets.
    pub(crate) const fn totals(&self) -> (bool, bool) {
        (self.octets_are_totals, self.packets_are_totals)
    }

    /// Fills `record` (reset first) from the octets of a Data Record. `spans` says where the values
    /// stand if the template has fields of variable length, else it is empty.
    pub(crate) fn read(
        &self,
        octets: &[u8],
        spans: &[Span],
        around: &Surroundings<'_>,
        record: &mut FlowRecord,
    ) {
        *record = FlowRecord::default();
        let mut said = Said::default();
        for step in &self.steps {
            let span = spans.get(step.field).unwrap_or(&step.span);
            let Some(end) = span.start.checked_add(span.length) else {
                continue;
            };
            if let Some(value) = octets.get(span.start..end) {
                said.take(step.slot, value, around, record);
            }
        }
        said.finish(around, record);
    }
}

/// What several fields of a record must say together before it means something.
#[derive(Default)]
struct Said {
    selector: Option<u64>,
    rate: Rate,
    system_init_milliseconds: Option<u64>,
    start_up_time: Option<u32>,
    end_up_time: Option<u32>,
}

impl Said {
    #[inline]
    fn take(
        &mut self,
        slot: Slot,
        value: &[u8],
        around: &Surroundings<'_>,
        record: &mut FlowRecord,
    ) {
        match slot {
            Slot::Octets => record.octet_delta_count = number(value),
            Slot::Packets => record.packet_delta_count = number(value),
            Slot::ReverseOctets => record.reverse_octet_delta_count = number(value),
            Slot::ReversePackets => record.reverse_packet_delta_count = number(value),
            Slot::ReverseStart => record.reverse_flow_start_milliseconds = number(value),
            Slot::ReverseEnd => record.reverse_flow_end_milliseconds = number(value),
            Slot::ReverseTcpControlBits => record.reverse_tcp_control_bits = short(value),
            Slot::Protocol => record.key.protocol_identifier = octet(value),
            Slot::ClassOfService => record.ip_class_of_service = octet(value),
            Slot::TcpControlBits => record.tcp_control_bits = short(value),
            Slot::SourcePort => record.key.source_port = short(value),
            Slot::DestinationPort => record.key.destination_port = short(value),
            Slot::SourceV4 => v4(&mut record.key.source_address, value),
            Slot::DestinationV4 => v4(&mut record.key.destination_address, value),
            Slot::NextHopV4 => v4(&mut record.ip_next_hop_address, value),
            Slot::SourceV6 => v6(&mut record.key.source_address, value),
            Slot::DestinationV6 => v6(&mut record.key.destination_address, value),
            Slot::NextHopV6 => v6(&mut record.ip_next_hop_address, value),
            Slot::SourcePrefixLength => record.source_prefix_length = octet(value),
            Slot::DestinationPrefixLength => record.destination_prefix_length = octet(value),
            Slot::IngressInterface => interfaces(record).ingress_interface = word(value),
            Slot::EgressInterface => interfaces(record).egress_interface = word(value),
            Slot::FlowDirection => interfaces(record).flow_direction = Some(octet(value)),
            Slot::SourceAs => record.bgp_source_as_number = word(value),
            Slot::DestinationAs => record.bgp_destination_as_number = word(value),
            Slot::StartSysUpTime => self.start_up_time = Some(word(value)),
            Slot::EndSysUpTime => self.end_up_time = Some(word(value)),
            Slot::StartSeconds => {
                record.flow_start_milliseconds = number(value).saturating_mul(1000)
            }
            Slot::EndSeconds => record.flow_end_milliseconds = number(value).saturating_mul(1000),
            Slot::StartMilliseconds => record.flow_start_milliseconds = number(value),
            Slot::EndMilliseconds => record.flow_end_milliseconds = number(value),
            Slot::StartNtp => record.flow_start_milliseconds = ntp_to_unix(value, 1000),
            Slot::EndNtp => record.flow_end_milliseconds = ntp_to_unix(value, 1000),
            Slot::StartDeltaMicroseconds => {
                record.flow_start_milliseconds = before(around.export_time_milliseconds, value);
            }
            Slot::EndDeltaMicroseconds => {
                record.flow_end_milliseconds = before(around.export_time_milliseconds, value);
            }
            Slot::SystemInitTime => self.system_init_milliseconds = Some(number(value)),
            Slot::IcmpTypeCode => record.icmp_type_code = short(value),
            Slot::IcmpType => {
                record.icmp_type_code =
                    record.icmp_type_code & 0x00ff | u16::from(octet(value)) << 8;
            }
            Slot::IcmpCode => {
                record.icmp_type_code = record.icmp_type_code & 0xff00 | u16::from(octet(value));
            }
            Slot::SamplingInterval => self.rate.interval = Some(word(value)),
            Slot::SamplingPacketInterval => self.rate.packet_interval = Some(word(value)),
            Slot::SamplingPacketSpace => self.rate.packet_space = word(value),
            Slot::SamplingSize => self.rate.size = word(value),
            Slot::SamplingPopulation => self.rate.population = Some(word(value)),
            Slot::SamplingProbability => self.rate.probability = float(value),
            Slot::SelectorId => self.selector = Some(number(value)),
            Slot::VlanId => record.vlan_id = short(value),
            Slot::ExporterV4 => v4(&mut record.exporter_address, value),
            Slot::ExporterV6 => v6(&mut record.exporter_address, value),
            Slot::FlowEndReason => record.flow_end_reason = octet(value).into(),
            Slot::PostNatSourceV4 => v4(&mut translation(record).post_nat_source_address, value),
            Slot::PostNatSourceV6 => v6(&mut translation(record).post_nat_source_address, value),
            Slot::PostNatDestinationV4 => {
                v4(&mut translation(record).post_nat_destination_address, value);
            }
            Slot::PostNatDestinationV6 => {
                v6(&mut translation(record).post_nat_destination_address, value);
            }
            Slot::PostNaptSourcePort => translation(record).post_napt_source_port = short(value),
            Slot::PostNaptDestinationPort => {
                translation(record).post_napt_destination_port = short(value);
            }
            Slot::BiflowDirection => record.biflow_direction = Some(octet(value).into()),
            Slot::NewConnections => record.new_connection_delta_count = Some(word(value)),
            Slot::ConnectionSeconds => record.connection_sum_duration_seconds = Some(number(value)),
            Slot::TunnelType => {
                tunnel(record).tunnel_type = match octet(value) {
                    1 => TunnelType::Vxlan,
                    2 => TunnelType::Gre,
                    7 => TunnelType::Geneve,
                    _ => TunnelType::IpInIp,
                };
            }
            Slot::TunnelKey => tunnel(record).tunnel_key = word(value),
            Slot::TunnelSource => v4(&mut tunnel(record).tunnel_source_address, value),
            Slot::TunnelDestination => v4(&mut tunnel(record).tunnel_destination_address, value),
            Slot::TunnelProtocol => tunnel(record).tunnel_protocol_identifier = octet(value),
            Slot::TunnelSourcePort => tunnel(record).tunnel_source_port = short(value),
            Slot::TunnelDestinationPort => tunnel(record).tunnel_destination_port = short(value),
        }
    }

    fn finish(&self, around: &Surroundings<'_>, record: &mut FlowRecord) {
        let init = self
            .system_init_milliseconds
            .or(around.system_init_milliseconds);
        if let Some(up_time) = self.start_up_time {
            record.flow_start_milliseconds = up_time_to_epoch(up_time, init, around);
        }
        if let Some(up_time) = self.end_up_time {
            record.flow_end_milliseconds = up_time_to_epoch(up_time, init, around);
        }
        record.sampling = self
            .rate
            .sampling()
            .or_else(|| around.samplers.of(self.selector))
            .unwrap_or_default();
    }
}

/// What the elements of one record say of sampling.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    /// 34 or 50: one packet in so many.
    interval: Option<u32>,
    /// 305 and 306: so many packets of so many and these.
    packet_interval: Option<u32>,
    packet_space: u32,
    /// 309 and 310: so many packets of so many.
    size: u32,
    population: Option<u32>,
    /// 311: each packet with this chance.
    probability: Option<f64>,
}

impl Rate {
    /// `None` where they do not say.
    fn sampling(self) -> Option<Sampling> {
        if let Some(interval) = self.packet_interval {
            return Some(Sampling {
                interval: interval.max(1),
                space: self.packet_space,
            });
        }
        if let Some(population) = self.population {
            let size = self.size.max(1);
            return Some(Sampling {
                interval: size,
                space: population.saturating_sub(size),
            });
        }
        if let Some(probability) = self.probability
            && probability > 0.0
            && probability <= 1.0
        {
            return Some(Sampling::by_chance(probability));
        }
        let interval = self.interval.filter(|interval| *interval > 0)?;
        Some(Sampling::one_in(interval))
    }
}

/// Reads what an options record says of sampling, and for which selector.
pub(crate) fn announced_sampling<'a>(
    values: impl Iterator<Item = (FieldSpecifier, &'a [u8])>,
) -> Option<(Option<u64>, Sampling)> {
    let (mut rate, mut selector) = (Rate::default(), None);
    for (specifier, value) in values.filter(|(s, v)| s.enterprise == 0 && v.len() <= 8) {
        match specifier.id {
            34 | 50 => rate.interval = rate.interval.filter(|i| *i > 1).or(Some(word(value))),
            305 => rate.packet_interval = Some(word(value)),
            306 => rate.packet_space = word(value),
            309 => rate.size = word(value),
            310 => rate.population = Some(word(value)),
            311 => rate.probability = float(value),
            302 | 48 => selector = Some(number(value)),
            _ => {}
        }
    }
    Some((selector, rate.sampling()?))
}

/// A `sysUpTime` as milliseconds since the epoch, `init` being when it was 0, if that is known. The
/// counter wraps after 49.7 days: of the times that it may mean, the last one that is not after the
/// export is taken.
fn up_time_to_epoch(up_time: u32, init: Option<u64>, around: &Surroundings<'_>) -> u64 {
    const WRAP: u64 = 1 << 32;
    /// Export times are whole seconds, and clocks differ.
    const AFTER_EXPORT: u64 = 60_000;
    let Some(init) = init else {
        return relative_to_header(up_time, around.sys_up_time, around.export_time_milliseconds);
    };
    let first = init.saturating_add(up_time.into());
    let latest = around.export_time_milliseconds.saturating_add(AFTER_EXPORT);
    let wraps = latest.saturating_sub(first) / WRAP;
    first.saturating_add(wraps.saturating_mul(WRAP))
}

/// A `sysUpTime` as milliseconds since the epoch, by what the header of its Message says of both clocks;
/// 0 where the header has no `sysUpTime`. The 32-bit counter wraps after 49.7 days: the header's is the
/// later one, so that their distance is right across a wrap.
pub(crate) fn relative_to_header(up_time: u32, header_up_time: u32, header_time: u64) -> u64 {
    if header_up_time == 0 {
        return 0;
    }
    let distance = header_up_time.wrapping_sub(up_time);
    if distance < 1 << 31 {
        header_time.saturating_sub(distance.into())
    } else {
        header_time.saturating_add(up_time.wrapping_sub(header_up_time).into())
    }
}

fn before(export_time_milliseconds: u64, microseconds: &[u8]) -> u64 {
    export_time_milliseconds.saturating_sub(unsigned(microseconds) / 1000)
}

#[inline]
fn number(value: &[u8]) -> u64 {
    match *value {
        [a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]).into(),
        [a, b] => u16::from_be_bytes([a, b]).into(),
        [a] => a.into(),
        _ => unsigned(value),
    }
}

/// The low 32 bits of a number.
#[inline]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "low bits are asked for"
)]
fn word(value: &[u8]) -> u32 {
    number(value) as u32
}

/// The low 16 bits of a number.
#[inline]
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "low bits are asked for"
)]
fn short(value: &[u8]) -> u16 {
    number(value) as u16
}

/// A floating-point number of either width (RFC 7011 §6.1.3).
fn float(value: &[u8]) -> Option<f64> {
    match value.len() {
        4 => value.try_into().ok().map(f32::from_be_bytes).map(f64::from),
        8 => value.try_into().ok().map(f64::from_be_bytes),
        _ => None,
    }
}

#[inline]
fn octet(value: &[u8]) -> u8 {
    value.last().copied().unwrap_or_default()
}

/// Some templates carry both families and send zeros for the one that a flow does not have.
#[inline]
fn v4(address: &mut Address, value: &[u8]) {
    let bits = word(value);
    if bits != 0 || address.is_unspecified() {
        *address = Address::from_v4_bits(bits);
    }
}

#[inline]
fn v6(address: &mut Address, value: &[u8]) {
    let bits = value.try_into().map_or(0, u128::from_be_bytes);
    if bits != 0 {
        *address = Address::from_v6_bits(bits);
    }
}

fn interfaces(record: &mut FlowRecord) -> &mut Interfaces {
    record.interfaces.get_or_insert_default()
}

fn translation(record: &mut FlowRecord) -> &mut Translation {
    record.translation.get_or_insert_default()
}

fn tunnel(record: &mut FlowRecord) -> &mut Tunnel {
    record.tunnel.get_or_insert(Tunnel {
        tunnel_type: TunnelType::IpInIp,
        tunnel_key: 0,
        tunnel_source_address: Address::UNSPECIFIED,
        tunnel_destination_address: Address::UNSPECIFIED,
        tunnel_protocol_identifier: 0,
        tunnel_source_port: 0,
        tunnel_destination_port: 0,
    })
}
