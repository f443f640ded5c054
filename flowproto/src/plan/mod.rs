//! How the fields of a template fill a [`crate::FlowRecord`]. Decided once, when the template
//! arrives: a Data Record is then read by offset and never interpreted by element number.
//!
//! Exporters carry the same quantity in several elements, at times in two of one record. These are
//! the families of counters. The first family that a template has is the one that is counted:
//!
//! | family | octets | packets | reverse octets | reverse packets |
//! |---|---|---|---|---|
//! | deltas | 1 `octetDeltaCount` | 2 `packetDeltaCount` | 29305:1 | 29305:2 |
//! | client and server (Cisco AVC) | 9:8338 `clientBytesNetwork` | – | 9:8337 `serverBytesNetwork` | – |
//! | initiator and responder | 231 `initiatorOctets` | 298 `initiatorPackets` | 232 `responderOctets` | 299 `responderPackets` |
//! | totals | 85 `octetTotalCount` | 86 `packetTotalCount` | 29305:85 | 29305:86 |
//! | behind a middlebox | 23 `postOctetDeltaCount` | 24 `postPacketDeltaCount` | 29305:23 | 29305:24 |
//! | totals behind it | 171 `postOctetTotalCount` | 172 `postPacketTotalCount` | 29305:171 | 29305:172 |
//! | layer 2 | 352 `layer2OctetDeltaCount` | – | 29305:352 | – |
//! | totals of layer 2 | 353 `layer2OctetTotalCount` | – | 29305:353 | – |
//!
//! Families are never added up: a record with deltas and totals, or with counters before and behind
//! a middlebox, describes the same packets twice. Octets and packets choose independently. The
//! reverse direction comes from the same family, or from one whose forward counter is not in the
//! template. Totals run on from record to record of a flow; their increase is what counts
//! ([`crate::collector`]).
//!
//! Of several times, the finest one counts: milliseconds (152, 153), microseconds and nanoseconds
//! (154–157), offset from the export time (158, 159), seconds (150, 151), `sysUpTime` (22, 21).
//!
//! Ports, ICMP types, prefix lengths and VLANs have elements by protocol or address family. A
//! template may have several of them, of which a record fills one: the first that is not 0 is
//! taken.
//!
//! A record of packets that leave (61) with deltas of 0 counts the deltas behind a middlebox, which
//! are the outgoing counters of NetFlow v9.
//!
//! A template with two headers, of which the first is that of a tunnel, counts the second one.
//!
//! A template without counters that has the first octets of a packet reports one packet in each
//! record.
//!
//! `slot` maps elements to places, `choice` chooses among several for one place, `layers` separates
//! the headers of a tunnel packet, `names` reads the name of the responder, `read` reads the values
//! of a record and combines them, `outgoing` reads outgoing counters, `section` reads packets,
//! `traffic` reads only what is counted, `sampling` and `time` interpret several values together.

mod choice;
mod layers;
mod names;
mod outgoing;
mod place;
mod read;
mod sampling;
mod section;
mod slot;
mod time;
mod traffic;

pub(crate) use read::{SamplingScopes, Values};
pub(crate) use sampling::{SamplingFields, Selection};
pub(crate) use time::relative_to_header;
pub(crate) use traffic::TrafficReader;

use crate::field::{FieldSpan, FieldSpecifier};
use crate::host_name::{HostNames, NameError, ResponderName};
use choice::Choice;
use names::NameField;
use outgoing::OutgoingCounters;
use read::Load;
use section::PacketSection;
use slot::{COUNTERS, Slot};

/// Instructions for reading the records of one template.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Numbers at a fixed offset.
    loads: Box<[Load]>,
    /// All other values.
    steps: Box<[Step]>,
    /// Other elements of slots that have one for each protocol or address family: read if the
    /// preferred one is 0, because it does not apply to the flow.
    alternatives: Box<[Step]>,
    names: Box<[NameField]>,
    /// The packet that each record reports, if the template has no counters.
    packet: Option<Box<PacketSection>>,
    /// The counters of packets that leave, if the template has those of packets that enter, too.
    outgoing: Option<Box<OutgoingCounters>>,
    /// The slots that records fill, as [`Slot::bit`]s.
    filled: u128,
    /// The slots whose unit start and end of the reverse direction have.
    reverse_times: [Slot; 2],
    octets: CounterKind,
    packets: CounterKind,
    /// A counter is that of the initiator, which is the source or the destination according to 239
    /// `biflowDirection`.
    has_initiator: bool,
    traffic: Option<TrafficReader>,
}

/// What the counters of a family mean from record to record of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CounterKind {
    /// The increase since the previous record.
    Delta,
    /// Counters of initiator and responder (231, 232, 298, 299), or of client and server. In
    /// records of firewall connections, the last one has those of the whole connection.
    Connection,
    /// Totals that run on from record to record.
    Total,
    /// Totals of four octets, which continue at 0 after their maximum.
    Total32,
}

impl CounterKind {
    const fn of_family(family: u8) -> Self {
        match family {
            2 | 3 => Self::Connection,
            4 | 6 | 8 => Self::Total,
            _ => Self::Delta,
        }
    }

    /// The kind of counters of this number of octets.
    const fn of_length(self, length: Option<usize>) -> Self {
        match (self, length) {
            (Self::Total, Some(4)) => Self::Total32,
            (kind, _) => kind,
        }
    }

    /// Whether the counters run on from record to record.
    pub(crate) const fn is_total(self) -> bool {
        matches!(self, Self::Total | Self::Total32)
    }
}

#[derive(Debug)]
struct Step {
    /// Position among the template's fields, and so among the spans of a record.
    field: usize,
    /// Position of the value if no field of variable length precedes it.
    span: FieldSpan,
    slot: Slot,
}

/// Context of a record: the clocks of its exporter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageContext {
    /// Export time, milliseconds since the epoch.
    pub(crate) export_time_milliseconds: u64,
    /// `sysUpTime` of a v9 header, milliseconds; 0 in IPFIX.
    pub(crate) sys_up_time: u32,
    /// 160: the time at which the exporter's `sysUpTime` was 0, milliseconds since the epoch.
    pub(crate) system_init_milliseconds: Option<u64>,
}

/// Positions of the values of a template's fields. Behind a field of variable length, those of the
/// record are used instead.
fn fixed_spans(specifiers: &[FieldSpecifier]) -> Vec<FieldSpan> {
    let spans = specifiers.iter().scan(0_usize, |start, specifier| {
        let length = usize::from(specifier.length);
        let span = FieldSpan {
            start: *start,
            length,
        };
        *start = start.saturating_add(length);
        Some(span)
    });
    spans.collect()
}

impl Plan {
    /// Whether an element fills a field of the flow record.
    pub(crate) const fn reads(enterprise: u32, id: u16) -> bool {
        Slot::of(enterprise, id).is_some()
            || names::source_of(enterprise, id).is_some()
            || section::is_section(enterprise, id)
    }

    pub(crate) fn new(specifiers: &[FieldSpecifier]) -> Self {
        let spans = fixed_spans(specifiers);
        let choice = Choice::of(specifiers, &spans);
        let filled = choice.filled();
        let [octets, packets] = choice.counter_kinds();
        let has_initiator = choice.has_initiator();
        let reverse_times = choice.reverse_times();
        let has_counters = filled & COUNTERS != 0;
        let packet = (!has_counters).then(|| PacketSection::of(specifiers, &spans));
        let packet = packet.flatten().map(Box::new);
        let outgoing = (filled & Slot::FlowDirection.bit() != 0)
            .then(|| OutgoingCounters::of(specifiers, &spans, choice.have_deltas()));
        let outgoing = outgoing.flatten().map(Box::new);
        let names = names::fields_of(specifiers, spans.into_iter());
        let first_variable = specifiers.iter().position(|s| s.is_variable());
        let minimum = specifiers.iter().map(|s| s.minimum_length()).sum();
        let is_plain = first_variable.is_none()
            && names.is_empty()
            && packet.is_none()
            && !octets.is_total()
            && !packets.is_total()
            && !has_initiator;
        let traffic = if is_plain {
            TrafficReader::new(choice.steps(), filled, minimum, outgoing.is_some())
        } else {
            None
        };
        let (mut loads, mut steps) = (Vec::new(), Vec::new());
        let (chosen, alternatives) = choice.into_steps();
        for step in chosen {
            match Load::of(&step, first_variable, minimum) {
                Some(load) => loads.push(load),
                None => steps.push(step),
            }
        }
        Self {
            loads: loads.into(),
            steps: steps.into(),
            alternatives: alternatives.into(),
            names,
            packet,
            outgoing,
            filled,
            reverse_times,
            octets,
            packets,
            has_initiator,
            traffic,
        }
    }

    /// Whether each record reports a packet.
    pub(crate) const fn has_packet(&self) -> bool {
        self.packet.is_some()
    }

    /// Whether records can have the name of the responder.
    pub(crate) fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether records have the health of a connection, or of DNS or HTTP messages.
    pub(crate) const fn has_health(&self) -> bool {
        self.filled & read::HEALTH != 0
    }

    /// Reads the name of the responder. `spans` as for [`Self::read`].
    ///
    /// # Errors
    /// It is not a host name, or there is no room for it.
    pub(crate) fn read_name(
        &self,
        octets: &[u8],
        spans: &[FieldSpan],
        names: &mut HostNames,
    ) -> Result<Option<ResponderName>, NameError> {
        names::read(&self.names, octets, spans, names)
    }

    /// The reader of the traffic of records. `None` if counting them takes more than that.
    pub(crate) const fn traffic(&self) -> Option<&TrafficReader> {
        self.traffic.as_ref()
    }

    /// Whether each record needs what earlier records of its flow have counted: running totals and
    /// firewall connections. That costs a look-up, which exporters of deltas do not pay for. A
    /// reported packet is neither.
    pub(crate) fn need_totals(&self) -> bool {
        let has_totals = self.counter_kinds().iter().any(|kind| kind.is_total());
        !self.has_packet() && (has_totals || self.are_firewall_connections())
    }

    /// What octets and packets mean from record to record of a flow.
    pub(crate) const fn counter_kinds(&self) -> [CounterKind; 2] {
        [self.octets, self.packets]
    }
}
