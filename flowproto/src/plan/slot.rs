//! Maps Information Elements to the values of a flow record.

use crate::element::{KIPFIX_ENTERPRISE, REVERSE_ENTERPRISE};
use crate::field::{FieldSpecifier, VARIABLE_LENGTH};

const CISCO: u32 = 9;
const IXIA: u32 = 3054;
const VMWARE: u32 = 6876;
const NTOP: u32 = 35632;

/// Rank of the addresses of client and server (Cisco AVC), which stand for source and destination
/// in templates without these.
pub(super) const CLIENT_RANK: u8 = 1;
/// Rank of the ports of client and server.
pub(super) const CLIENT_PORT_RANK: u8 = 4;

/// The slots of counters.
pub(super) const COUNTERS: u128 = Slot::Octets.bit()
    | Slot::Packets.bit()
    | Slot::ReverseOctets.bit()
    | Slot::ReversePackets.bit();

/// The slots that have elements by protocol, address family or kind of tag. Records send 0 in those
/// that do not apply to the flow.
pub(super) const ALTERNATIVES: u128 = Slot::SourcePort.bit()
    | Slot::DestinationPort.bit()
    | Slot::IcmpTypeCode.bit()
    | Slot::IcmpType.bit()
    | Slot::IcmpCode.bit()
    | Slot::SourcePrefixLength.bit()
    | Slot::DestinationPrefixLength.bit()
    | Slot::VlanId.bit();

/// Place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Slot {
    // Addresses of 16 octets come first: they have an array of their own.
    SourceV6,
    DestinationV6,
    NextHopV6,
    ExporterV6,
    PostNatSourceV6,
    PostNatDestinationV6,
    TunnelSourceV6,
    TunnelDestinationV6,
    Octets,
    Packets,
    ReverseOctets,
    ReversePackets,
    TransportOctets,
    ReverseTransportOctets,
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
    FlowEndReason,
    PostNatSourceV4,
    PostNatDestinationV4,
    PostNaptSourcePort,
    PostNaptDestinationPort,
    BiflowDirection,
    NewConnections,
    ConnectionSeconds,
    ConnectionMilliseconds,
    TunnelType,
    TunnelKey,
    TunnelSourceV4,
    TunnelDestinationV4,
    TunnelProtocol,
    TunnelSourcePort,
    TunnelDestinationPort,
    TunnelEncapsulation,
    SecurityProtocol,
    DnsQueries,
    DnsUnanswered,
    DnsNoError,
    DnsNameError,
    DnsServerFailure,
    DnsOtherError,
    DnsTimeMinimum,
    DnsTimeSum,
    DnsTimeSamples,
    HttpRequests,
    HttpUnanswered,
    HttpInformational,
    HttpSuccessful,
    HttpRedirection,
    HttpClientError,
    HttpServerError,
    HttpTimeMinimum,
    HttpTimeSum,
    HttpTimeSamples,
    /// A list, not a number.
    GrpcResponses,
    SamplingAlgorithm,
    SelectorAlgorithm,
    SelectionSequence,
    ObservationPoint,
    LineCard,
    Port,
    FirewallEvent,
    FlowId,
    ConnectionState,
    ClientLatencyMilliseconds,
    ServerLatencyMilliseconds,
    ClientLatency,
    ServerLatency,
    RetransmittedPackets,
    RetransmittedOctets,
    OutOfOrder,
    TimeoutRetransmitted,
    SpuriousRetransmitted,
    SynRetransmitted,
    DuplicateAcknowledgments,
    ZeroWindows,
    ReverseRetransmittedPackets,
    ReverseRetransmittedOctets,
    ReverseOutOfOrder,
    ReverseTimeoutRetransmitted,
    ReverseSpuriousRetransmitted,
    ReverseSynRetransmitted,
    ReverseDuplicateAcknowledgments,
    ReverseZeroWindows,
    RoundTripMinimum,
    RoundTripSum,
    RoundTripSamples,
    ReverseRoundTripMinimum,
    ReverseRoundTripSum,
    ReverseRoundTripSamples,
}

/// Start times of a flow in order of preference: `sysUpTime` depends on the exporter's boot time,
/// and seconds are coarse.
pub(super) const STARTS: [Slot; 5] = [
    Slot::StartMilliseconds,
    Slot::StartNtp,
    Slot::StartDeltaMicroseconds,
    Slot::StartSeconds,
    Slot::StartSysUpTime,
];
/// End times of a flow in order of preference.
pub(super) const ENDS: [Slot; 5] = [
    Slot::EndMilliseconds,
    Slot::EndNtp,
    Slot::EndDeltaMicroseconds,
    Slot::EndSeconds,
    Slot::EndSysUpTime,
];
/// Start and end of the reverse direction.
pub(super) const REVERSE_TIMES: [Slot; 2] = [Slot::ReverseStart, Slot::ReverseEnd];

impl Slot {
    /// Number of slots.
    pub(super) const COUNT: usize = Self::ReverseRoundTripSamples.index() + 1;
    /// Number of slots for addresses of 16 octets.
    pub(super) const WIDE: usize = Self::TunnelDestinationV6.index() + 1;

    /// Index into the values.
    #[expect(clippy::as_conversions, reason = "the discriminants are the places")]
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// Bit in a set of slots.
    #[expect(clippy::as_conversions, reason = "the discriminants are the places")]
    pub(super) const fn bit(self) -> u128 {
        1_u128.wrapping_shl(self as u32)
    }

    /// The slot that an element fills, and its rank among the elements that fill the same slot. The
    /// lowest rank in a template wins; 0 for the only element of a slot.
    pub(super) const fn of(enterprise: u32, id: u16) -> Option<(Self, u8)> {
        Some(match (enterprise, id) {
            (0, 1) => (Self::Octets, 1),
            (CISCO, 8338) | (0, 41_106) => (Self::Octets, 2),
            (0, 231) => (Self::Octets, 3),
            (0, 85) => (Self::Octets, 4),
            (0, 23) => (Self::Octets, 5),
            (0, 171) => (Self::Octets, 6),
            (0, 352) => (Self::Octets, 7),
            (0, 353) => (Self::Octets, 8),
            (0, 2) => (Self::Packets, 1),
            (0, 298) => (Self::Packets, 3),
            (0, 86) => (Self::Packets, 4),
            (0, 24) => (Self::Packets, 5),
            (0, 172) => (Self::Packets, 6),
            (REVERSE_ENTERPRISE, 1) | (IXIA, 176) => (Self::ReverseOctets, 1),
            (CISCO, 8337) | (0, 41_105) => (Self::ReverseOctets, 2),
            (0, 232) => (Self::ReverseOctets, 3),
            (REVERSE_ENTERPRISE, 85) => (Self::ReverseOctets, 4),
            (REVERSE_ENTERPRISE, 23) => (Self::ReverseOctets, 5),
            (REVERSE_ENTERPRISE, 171) => (Self::ReverseOctets, 6),
            (REVERSE_ENTERPRISE, 352) => (Self::ReverseOctets, 7),
            (REVERSE_ENTERPRISE, 353) => (Self::ReverseOctets, 8),
            (REVERSE_ENTERPRISE, 2) | (IXIA, 177) => (Self::ReversePackets, 1),
            (0, 299) => (Self::ReversePackets, 3),
            (REVERSE_ENTERPRISE, 86) => (Self::ReversePackets, 4),
            (REVERSE_ENTERPRISE, 24) => (Self::ReversePackets, 5),
            (REVERSE_ENTERPRISE, 172) => (Self::ReversePackets, 6),
            (0, 401) => (Self::TransportOctets, 0),
            (REVERSE_ENTERPRISE, 401) => (Self::ReverseTransportOctets, 0),
            // In the order of STARTS and ENDS.
            (REVERSE_ENTERPRISE, 152) => (Self::ReverseStart, 1),
            (REVERSE_ENTERPRISE, 154) => (Self::ReverseStart, 2),
            (REVERSE_ENTERPRISE, 156) => (Self::ReverseStart, 3),
            (REVERSE_ENTERPRISE, 158) => (Self::ReverseStart, 4),
            (REVERSE_ENTERPRISE, 150) => (Self::ReverseStart, 5),
            (REVERSE_ENTERPRISE, 22) => (Self::ReverseStart, 6),
            (REVERSE_ENTERPRISE, 153) => (Self::ReverseEnd, 1),
            (REVERSE_ENTERPRISE, 155) => (Self::ReverseEnd, 2),
            (REVERSE_ENTERPRISE, 157) => (Self::ReverseEnd, 3),
            (REVERSE_ENTERPRISE, 159) => (Self::ReverseEnd, 4),
            (REVERSE_ENTERPRISE, 151) => (Self::ReverseEnd, 5),
            (REVERSE_ENTERPRISE, 21) => (Self::ReverseEnd, 6),
            (REVERSE_ENTERPRISE, 6) => (Self::ReverseTcpControlBits, 0),
            (0, 4) => (Self::Protocol, 0),
            (0, 5) => (Self::ClassOfService, 0),
            (0, 6) => (Self::TcpControlBits, 0),
            (0, 7) => (Self::SourcePort, 1),
            (0, 180) => (Self::SourcePort, 2),
            (0, 182) => (Self::SourcePort, 3),
            (0, 11) => (Self::DestinationPort, 1),
            (0, 181) => (Self::DestinationPort, 2),
            (0, 183) => (Self::DestinationPort, 3),
            (CISCO, 12_240) | (0, 45_008) => (Self::SourcePort, CLIENT_PORT_RANK),
            (CISCO, 12_241) | (0, 45_009) => (Self::DestinationPort, CLIENT_PORT_RANK),
            (0, 8) => (Self::SourceV4, 0),
            (CISCO, 12_236) | (0, 45_004) => (Self::SourceV4, CLIENT_RANK),
            (0, 12) => (Self::DestinationV4, 0),
            (CISCO, 12_237) | (0, 45_005) => (Self::DestinationV4, CLIENT_RANK),
            (0, 15) => (Self::NextHopV4, 0),
            (0, 27) => (Self::SourceV6, 0),
            (CISCO, 12_238) | (0, 45_006) => (Self::SourceV6, CLIENT_RANK),
            (0, 28) => (Self::DestinationV6, 0),
            (CISCO, 12_239) | (0, 45_007) => (Self::DestinationV6, CLIENT_RANK),
            (0, 62) => (Self::NextHopV6, 0),
            (0, 9) => (Self::SourcePrefixLength, 1),
            (0, 29) => (Self::SourcePrefixLength, 2),
            (0, 13) => (Self::DestinationPrefixLength, 1),
            (0, 30) => (Self::DestinationPrefixLength, 2),
            (0, 10) => (Self::IngressInterface, 1),
            (0, 14) => (Self::EgressInterface, 1),
            // Physical interfaces: the only ones in the records of bridged traffic of some routers.
            (0, 252) => (Self::IngressInterface, 2),
            (0, 253) => (Self::EgressInterface, 2),
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
            (0, 35) => (Self::SamplingAlgorithm, 1),
            (0, 49) => (Self::SamplingAlgorithm, 2),
            (0, 304) => (Self::SelectorAlgorithm, 0),
            (0, 301) => (Self::SelectionSequence, 0),
            (0, 138) => (Self::ObservationPoint, 0),
            (0, 141) => (Self::LineCard, 0),
            (0, 142) => (Self::Port, 0),
            (0, 148) => (Self::FlowId, 0),
            (0, 233) => (Self::FirewallEvent, 1),
            // Cisco ASA before 233 was registered.
            (0, 40_005) => (Self::FirewallEvent, 2),
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
            (0, 291) => (Self::GrpcResponses, 0),
            (KIPFIX_ENTERPRISE, id) => return Self::of_own(id),
            (NTOP, 109) => (Self::RetransmittedPackets, 0),
            (NTOP, 110) => (Self::ReverseRetransmittedPackets, 0),
            (NTOP, 111) => (Self::OutOfOrder, 0),
            (NTOP, 112) => (Self::ReverseOutOfOrder, 0),
            (NTOP, 123) => (Self::ClientLatencyMilliseconds, 0),
            (NTOP, 124) => (Self::ServerLatencyMilliseconds, 0),
            (NTOP, 127) => (Self::RetransmittedOctets, 0),
            (NTOP, 128) => (Self::ReverseRetransmittedOctets, 0),
            (VMWARE, 891) => (Self::TunnelType, 0),
            (VMWARE, 892) => (Self::TunnelKey, 0),
            (VMWARE, 893) => (Self::TunnelSourceV4, 0),
            (VMWARE, 894) => (Self::TunnelDestinationV4, 0),
            (VMWARE, 895) => (Self::TunnelProtocol, 0),
            (VMWARE, 896) => (Self::TunnelSourcePort, 0),
            (VMWARE, 897) => (Self::TunnelDestinationPort, 0),
            _ => return None,
        })
    }

    /// The slot that an element of kipfix fills.
    const fn of_own(id: u16) -> Option<(Self, u8)> {
        let slot = match id {
            15 => Self::ConnectionMilliseconds,
            16 => Self::TunnelSourceV6,
            17 => Self::TunnelDestinationV6,
            18 => Self::DuplicateAcknowledgments,
            19 => Self::ZeroWindows,
            20 => Self::RoundTripMinimum,
            21 => Self::RoundTripSum,
            22 => Self::RoundTripSamples,
            23 => Self::ConnectionState,
            24 => Self::ClientLatency,
            25 => Self::ServerLatency,
            26 => Self::SynRetransmitted,
            27 => Self::TimeoutRetransmitted,
            28 => Self::SpuriousRetransmitted,
            34 => Self::ReverseDuplicateAcknowledgments,
            35 => Self::ReverseZeroWindows,
            36 => Self::ReverseRoundTripMinimum,
            37 => Self::ReverseRoundTripSum,
            38 => Self::ReverseRoundTripSamples,
            42 => Self::ReverseSynRetransmitted,
            43 => Self::ReverseTimeoutRetransmitted,
            44 => Self::ReverseSpuriousRetransmitted,
            46 => Self::TunnelEncapsulation,
            47 => Self::SecurityProtocol,
            48 => Self::DnsQueries,
            49 => Self::DnsUnanswered,
            50 => Self::DnsNoError,
            51 => Self::DnsNameError,
            52 => Self::DnsServerFailure,
            53 => Self::DnsOtherError,
            54 => Self::DnsTimeMinimum,
            55 => Self::DnsTimeSum,
            56 => Self::DnsTimeSamples,
            57 => Self::HttpRequests,
            58 => Self::HttpUnanswered,
            59 => Self::HttpInformational,
            60 => Self::HttpSuccessful,
            61 => Self::HttpRedirection,
            62 => Self::HttpClientError,
            63 => Self::HttpServerError,
            64 => Self::HttpTimeMinimum,
            65 => Self::HttpTimeSum,
            66 => Self::HttpTimeSamples,
            _ => return None,
        };
        Some((slot, 0))
    }

    /// [`Self::of`] for a field whose values have a readable length.
    pub(super) fn filled_by(specifier: &FieldSpecifier) -> Option<(Self, u8)> {
        Self::of(specifier.enterprise, specifier.id)
            .filter(|(slot, _)| slot.unit(specifier).takes(specifier.length))
    }

    /// The slot whose values have the unit of a field that fills `self`: of the times of the
    /// reverse direction, which have one slot for all units, that of the element of the forward
    /// direction.
    pub(super) fn unit(self, specifier: &FieldSpecifier) -> Self {
        match self {
            Self::ReverseStart | Self::ReverseEnd => Self::of(0, specifier.id),
            _ => None,
        }
        .map_or(self, |(slot, _)| slot)
    }

    /// Whether values of this length can be read: addresses have one length, numbers up to 8
    /// octets.
    const fn takes(self, length: u16) -> bool {
        match self {
            Self::SourceV4
            | Self::DestinationV4
            | Self::NextHopV4
            | Self::ExporterV4
            | Self::PostNatSourceV4
            | Self::PostNatDestinationV4
            | Self::TunnelSourceV4
            | Self::TunnelDestinationV4 => length == 4,
            Self::SourceV6
            | Self::DestinationV6
            | Self::NextHopV6
            | Self::ExporterV6
            | Self::PostNatSourceV6
            | Self::PostNatDestinationV6
            | Self::TunnelSourceV6
            | Self::TunnelDestinationV6 => length == 16,
            Self::StartNtp | Self::EndNtp => length == 8,
            Self::SamplingProbability => length == 4 || length == 8,
            Self::TunnelKey | Self::GrpcResponses => length > 0,
            _ => 0 < length && length <= 8 || length == VARIABLE_LENGTH,
        }
    }
}
