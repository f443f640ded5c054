//! The path of a packet on the metering thread: frame → sampling → decode → exclusion of own export
//! → flow cache → records. One thread owns all of it, so nothing is locked and counts are plain
//! integers.

use enum_map::EnumMap;
use flowproto::FlowKey;
use flowproto::flow_selection::FlowHashSelection;
use flowproto::protocol::{TCP, UDP};
use kipfix_export::own_endpoints::OwnEndpoint;

use crate::cache::key::ConversationKey;
use crate::cache::{CacheCounters, CacheSettings, CapturedPacket, FlowCache, RecordSink};
use crate::capture::conntrack::{ConntrackEvent, EventTime, TranslatedConnection};
use crate::capture::frame::{CopyDetection, Frame, LinkType, ObservationPoint};
use crate::decode::{Decoder, DecoderSettings, PacketInfo, Undecodable, datagram_flow};
use crate::duplicates::DuplicateFilter;
use crate::inspect::http::HttpCounters;
use crate::inspect::{
    Inspector, InspectorCounters, InspectorSettings, NameCounters, NameTable, Observed,
};
use crate::sampling::Sampler;
use crate::translation::{
    DatagramSelection, FirstPacket, Legs, PacketIdentity, Translation, TranslationCounters,
    TranslationMatcher, TranslationSource,
};

/// Packets that are metered together. More do not fit in the first-level cache of the processor.
const GROUP_PACKETS: usize = 32;

/// Parameters of the stages.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// Of the decoder.
    pub decoder: DecoderSettings,
    /// Of the inspection of payloads.
    pub inspector: InspectorSettings,
    /// Of the flow cache, with the sampling.
    pub cache: CacheSettings,
}

/// Counts of a pipeline since it started, and its occupancy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineCounters {
    /// Frames received.
    pub frames: u64,
    /// Frames without an IP packet.
    pub undecodable: EnumMap<Undecodable, u64>,
    /// Packets metered by their outer header because the inner one is not decodable, by reason.
    pub inner_undecodable: EnumMap<Undecodable, u64>,
    /// Packets of this probe's own export.
    pub own_export: u64,
    /// Packets that the sampling did not select.
    pub not_selected: u64,
    /// Packets observed again on another interface, which are not metered.
    pub duplicate_packets: u64,
    /// Octets of those packets.
    pub duplicate_octets: u64,
    /// Packets that were forgotten although copies of them could still be observed.
    pub duplicates_evicted: u64,
    /// Packets metered by the length in their header because the savefile has lost the one on the
    /// wire.
    pub wire_length_lost: u64,
    /// Octets on the wire of the frames that could not be decoded.
    pub ignored_octets: u64,
    /// Counts of the flow cache.
    pub cache: CacheCounters,
    /// Later fragments whose first one is not known.
    pub fragment_orphans: u64,
    /// First fragments evicted because the table was full.
    pub fragments_evicted: u64,
    /// Fragmented packets kept now.
    pub fragments: usize,
    /// Conversations in the cache now, without dormant ones.
    pub conversations: u32,
    /// Dormant conversations in the cache now.
    pub dormant: u32,
    /// Counts of address translations.
    pub translations: TranslationCounters,
    /// Translations kept now.
    pub translations_kept: usize,
    /// Names in payloads.
    pub inspected: InspectorCounters,
    /// Counts of HTTP messages, if they are metered.
    pub http: HttpCounters,
    /// Counts of resolved names.
    pub names: NameCounters,
    /// Resolved names kept now.
    pub names_kept: usize,
    /// Octets of all names.
    pub names_octets: usize,
}

/// Sampler, decoder, filters and flow cache.
#[derive(Debug)]
pub struct Pipeline {
    sampler: Sampler,
    /// The selection of conversations; `None` for all.
    flow_selection: Option<FlowHashSelection>,
    decoder: Decoder,
    own_endpoints: Vec<OwnEndpoint>,
    duplicates: DuplicateFilter,
    cache: FlowCache,
    first_packets: FirstPackets,
    inspector: Inspector,
    /// Names that packets of the group refer to.
    observed: Vec<Observed>,
    /// Places for the packets that are metered together.
    group: Box<[CapturedPacket; GROUP_PACKETS]>,
    /// How many of the places have a packet that is not metered yet.
    waiting: usize,
    counters: PipelineCounters,
}

/// State of learning address translations.
#[derive(Debug, Default)]
struct FirstPackets {
    source: TranslationSource,
    datagrams: DatagramSelection,
    matcher: TranslationMatcher,
    /// Packets that are compared together.
    waiting: Vec<FirstPacket>,
    /// Interfaces that lead out of the node, in ascending order.
    outside: Vec<u32>,
}

impl FirstPackets {
    /// The first packet of a connection; `None` if it is another packet.
    fn describe(
        &self,
        packet: &PacketInfo,
        frame: &Frame<'_>,
        point: ObservationPoint,
    ) -> Option<FirstPacket> {
        let is_cooked = matches!(frame.link_type, LinkType::LinuxSll | LinkType::LinuxSll2);
        Some(FirstPacket {
            key: packet.key,
            identity: PacketIdentity::of(packet)?,
            time_ns: frame.time_ns,
            interface: point.interface,
            is_outside: self.outside.binary_search(&point.interface).is_ok(),
            egress: (is_cooked || point.egress).then_some(point.egress),
        })
    }

    /// Learns the translation of a connection from its first packet.
    fn learn(&mut self, first: &FirstPacket, cache: &mut FlowCache) {
        if let Some(legs) = self.matcher.observe(first) {
            let translation = Translation {
                legs,
                sequence_number: first.identity.sequence_number(),
                learned_ns: first.time_ns,
                is_exact: false,
            };
            cache.translate(translation, first.time_ns);
        }
    }

    /// Learns from the packets that wait, in their order.
    fn flush(&mut self, cache: &mut FlowCache) {
        let waiting = std::mem::take(&mut self.waiting);
        let touched = waiting.iter().map(|first| self.matcher.touch(first));
        std::hint::black_box(touched.fold(0, |all, one| all ^ one));
        for first in &waiting {
            self.learn(first, cache);
        }
        self.waiting = waiting;
        self.waiting.clear();
    }
}

impl Pipeline {
    /// Creates an empty pipeline.
    #[must_use]
    pub fn new(settings: PipelineSettings) -> Self {
        let sampling = settings.cache.sampling;
        Self {
            sampler: Sampler::new(sampling),
            flow_selection: sampling.flow_selection(),
            decoder: Decoder::new(settings.decoder),
            own_endpoints: Vec::new(),
            duplicates: DuplicateFilter::default(),
            first_packets: FirstPackets {
                source: settings.cache.translations,
                ..FirstPackets::default()
            },
            cache: FlowCache::new(settings.cache),
            inspector: Inspector::new(settings.inspector),
            observed: Vec::with_capacity(GROUP_PACKETS),
            group: Box::new([CapturedPacket::default(); GROUP_PACKETS]),
            waiting: 0,
            counters: PipelineCounters::default(),
        }
    }

    /// Sets the pairs of interfaces that a packet can pass in the same direction.
    pub fn set_stacked(&mut self, pairs: &[(u32, u32)]) {
        self.duplicates.set_stacked(pairs.iter().copied());
    }

    /// Sets the interfaces that lead out of the node.
    pub fn set_outside(&mut self, interfaces: &[u32]) {
        let outside = &mut self.first_packets.outside;
        interfaces.clone_into(outside);
        outside.sort_unstable();
        self.cache.set_outside(outside);
    }

    /// Processes what the kernel reports of a connection.
    pub fn conntrack(&mut self, event: ConntrackEvent, time: EventTime) {
        match event {
            ConntrackEvent::Present(connection) => {
                let translation = Translation {
                    legs: legs_of(&connection),
                    sequence_number: None,
                    learned_ns: time.after_ns,
                    is_exact: true,
                };
                self.cache.translate(translation, time.read_ns);
            }
            ConntrackEvent::Ended(connection) => {
                self.cache.remove_translation(&legs_of(&connection));
            }
            ConntrackEvent::Complete { began_ns } => self.cache.remove_older_translations(began_ns),
        }
    }

    /// Processes a frame of the capture of first packets immediately. It is not metered.
    pub fn first_packet(&mut self, frame: &Frame<'_>, point: ObservationPoint) {
        self.enqueue_first_packet(frame, point);
        self.flush_first_packets();
    }

    /// Decodes a frame of the capture of first packets, and compares its packet when there is a
    /// group of them, or with [`Self::flush_first_packets`].
    pub fn enqueue_first_packet(&mut self, frame: &Frame<'_>, point: ObservationPoint) {
        let first_packets = &mut self.first_packets;
        if let Some(flow) = datagram_flow(frame, point.interface)
            && !first_packets.datagrams.selects(&flow, frame.time_ns)
        {
            return;
        }
        let mut packet = PacketInfo::default();
        if self.decoder.decode_into(frame, true, &mut packet).is_ok()
            && let Some(first) = first_packets.describe(&packet, frame, point)
        {
            first_packets.waiting.push(first);
            if first_packets.waiting.len() >= GROUP_PACKETS {
                self.flush_first_packets();
            }
        }
    }

    /// Compares the first packets that wait for a group.
    pub fn flush_first_packets(&mut self) {
        self.first_packets.flush(&mut self.cache);
    }

    /// Processes a frame of the capture of DNS answers. It is not metered.
    pub fn dns_answer(&mut self, frame: &Frame<'_>) {
        let mut packet = PacketInfo::default();
        if let Ok(transport) = self.decoder.decode_into(frame, false, &mut packet)
            && let Some(names) = self.cache.names_mut()
        {
            self.inspector
                .inspect(&packet, transport, frame.time_ns, names);
        }
    }

    /// Excludes the probe's own export where the kernel filter does not: on captures that were
    /// opened before its endpoints were known, and behind a tunnel or an address translation.
    pub fn exclude(&mut self, own_endpoints: Vec<OwnEndpoint>) {
        self.own_endpoints = own_endpoints;
    }

    /// Processes one frame immediately.
    pub fn frame(
        &mut self,
        frame: &Frame<'_>,
        point: ObservationPoint,
        sink: &mut impl RecordSink,
    ) {
        self.enqueue(frame, point, sink);
        self.flush(sink);
    }

    /// Decodes one frame, and meters its packet when there is a group of packets, or with
    /// [`Self::flush`]. Packets of a group wait for memory together, which takes less time.
    #[inline]
    pub fn enqueue(
        &mut self,
        frame: &Frame<'_>,
        point: ObservationPoint,
        sink: &mut impl RecordSink,
    ) {
        self.counters.frames += 1;
        let has_copies = point.copies != CopyDetection::Off;
        if has_copies && self.first_packets.source == TranslationSource::Frames {
            // A translation that a frame shows changes the conversations of earlier packets.
            self.flush(sink);
        }
        if self.decode(frame, point) {
            self.waiting += 1;
            if self.waiting >= GROUP_PACKETS {
                self.flush(sink);
            }
        }
    }

    /// Meters the packets that wait for a group.
    pub fn flush(&mut self, sink: &mut impl RecordSink) {
        let group = self.group.get(..self.waiting).unwrap_or_default();
        let copies = self.cache.meter_all(group, &self.observed, sink);
        self.observed.clear();
        self.counters.duplicate_packets += copies.packets;
        self.counters.duplicate_octets += copies.octets;
        self.waiting = 0;
    }

    /// Decodes a frame into the next place of the group. False if it is not metered and does not
    /// advance time, so that the place remains free.
    #[inline]
    fn decode(&mut self, frame: &Frame<'_>, point: ObservationPoint) -> bool {
        let has_copies = point.copies != CopyDetection::Off;
        // Copies would be selected independently of each other, so they are removed first.
        if !has_copies && !is_selected(&mut self.sampler, &mut self.counters) {
            return false;
        }
        let Some(captured) = self.group.get_mut(self.waiting) else {
            return false;
        };
        captured.time_ns = frame.time_ns;
        captured.point = point;
        captured.observed = None;
        let packet = &mut captured.packet;
        captured.is_metered = match self.decoder.decode_into(frame, has_copies, packet) {
            Ok(transport) => {
                let inspector = &mut self.inspector;
                let place = u8::try_from(self.observed.len()).ok();
                let names = self.cache.names_mut();
                let time_ns = frame.time_ns;
                if inspector.observe(packet, transport, time_ns, names, &mut self.observed) {
                    captured.observed = place;
                    // Packets that are not metered take no place in the group.
                    if place.is_none() {
                        self.observed.pop();
                    }
                }
                true
            }
            Err(reason) => {
                self.counters.undecodable[reason] += 1;
                self.counters.ignored_octets += u64::from(frame.wire_octets);
                // Time advances with every frame.
                false
            }
        };
        if !captured.is_metered {
            return true;
        }
        if let Some(reason) = packet.inner_fault {
            self.counters.inner_undecodable[reason] += 1;
        }
        if matches!(packet.key.protocol_identifier, TCP | UDP)
            && is_own_export(&self.own_endpoints, &packet.key)
        {
            self.counters.own_export += 1;
            return false;
        }
        if has_copies {
            if self.first_packets.source == TranslationSource::Frames
                && let Some(first) = self.first_packets.describe(packet, frame, point)
            {
                self.first_packets.learn(&first, &mut self.cache);
            }
            if self.duplicates.is_duplicate(packet, point, frame.time_ns) {
                self.counters.duplicate_packets += 1;
                self.counters.duplicate_octets += u64::from(packet.octets);
                captured.is_metered = false;
                return true;
            }
            if !is_selected(&mut self.sampler, &mut self.counters) {
                return false;
            }
        }
        if let Some(selection) = self.flow_selection
            && !selection.selects(ConversationKey::of(packet).0.selection_hash())
        {
            self.counters.not_selected += 1;
            // Time advances all the same.
            captured.is_metered = false;
            return true;
        }
        self.counters.wire_length_lost += u64::from(packet.is_wire_length_lost);
        true
    }

    fn translation_counters(&self) -> TranslationCounters {
        let table = self.cache.translations().counters();
        let matcher = self.first_packets.matcher.counters();
        TranslationCounters {
            learned: table.learned,
            expired: table.expired,
            missed: table.missed + matcher.missed,
            ..matcher
        }
    }

    /// Advances time to `time_ns` since the epoch without a frame.
    pub fn tick(&mut self, time_ns: u64, sink: &mut impl RecordSink) {
        self.flush(sink);
        self.cache.tick(time_ns, sink);
    }

    /// Reports all conversations.
    pub fn finish(&mut self, sink: &mut impl RecordSink) {
        self.flush(sink);
        self.cache.finish(sink);
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> PipelineCounters {
        let (fragments, names) = (self.decoder.fragments(), self.cache.names());
        PipelineCounters {
            cache: *self.cache.counters(),
            fragment_orphans: fragments.orphans(),
            fragments_evicted: fragments.evicted(),
            duplicates_evicted: self.duplicates.evicted(),
            fragments: fragments.len(),
            conversations: self.cache.conversations(),
            dormant: self.cache.dormant(),
            translations: self.translation_counters(),
            translations_kept: self.cache.translations().len(),
            inspected: self.inspector.counters(),
            http: self.inspector.http_counters(),
            names: names.map_or_else(NameCounters::default, |names| *names.counters()),
            names_kept: names.map_or(0, NameTable::len),
            names_octets: names.map_or(0, NameTable::octets),
            ..self.counters
        }
    }
}

fn legs_of(connection: &TranslatedConnection) -> Legs {
    let (original, translated) = (connection.original, connection.translated);
    // The destination is translated first, which a bridge with a filter of its own shows.
    let between = FlowKey {
        source_address: original.source_address,
        source_port: original.source_port,
        ..translated
    };
    let mut legs = Legs::new(original);
    if between != original && between != translated {
        legs.push(between);
    }
    legs.push(translated);
    legs
}

#[inline]
fn is_selected(sampler: &mut Sampler, counters: &mut PipelineCounters) -> bool {
    let is_selected = sampler.selects();
    counters.not_selected += u64::from(!is_selected);
    is_selected
}

/// True for packets of the probe's own export. Of a TCP connection, both directions are.
#[inline]
fn is_own_export(own_endpoints: &[OwnEndpoint], key: &FlowKey) -> bool {
    let endpoint = |address, port| OwnEndpoint {
        protocol_identifier: key.protocol_identifier,
        address,
        port,
    };
    let source = endpoint(key.source_address, key.source_port);
    let destination = endpoint(key.destination_address, key.destination_port);
    own_endpoints
        .iter()
        .any(|own| *own == source || (own.protocol_identifier == TCP && *own == destination))
}
