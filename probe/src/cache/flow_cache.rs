//! The flow cache proper: one entry per conversation with both directions inside, so that a packet
//! takes one lookup and the state of both directions is at hand. A direction with packets becomes a
//! [`FlowRecord`] when the conversation is idle, has been active for long, has ended, or when its
//! slot is needed.
//!
//! Conversations are in an own slab under a `hashbrown` table instead of an `lru` cache: it has
//! three lists instead of one, moves a conversation within them once per second instead of once per
//! packet, and is faster. `cargo bench -p kipfix-probe`, 65,536 conversations, ns per packet, own |
//! `lru`, on a busy machine: all fit 29 | 56; four times too many, skewed 78 | 120, even 72 | 106.
//!
//! A lookup waits for memory several times: hash table, conversation. [`FlowCache::meter_all`] does
//! each of these steps for several packets at once, so that the processor waits for all of them
//! together.
//!
//! Packet time is the only clock, and nothing depends on the seed of the hash: the same packets
//! give the same records in the same order.

use flowproto::FlowRecord;
use flowproto::record::{FlowEndReason, SecurityProtocol};

use super::captured::{CapturedPacket, CopyCounts};
use super::clock::{PacketClock, PacketTime};
use super::conversation::{Choice, Conversation, ReportContext, join};
use super::counters::CacheCounters;
use super::dns;
use super::http;
use super::key::ConversationKey;
use super::links::{List, NONE};
use super::lookup::Lookup;
use super::offload::segments;
use super::settings::CacheSettings;
use super::table::ConversationTable;
use crate::capture::frame::ObservationPoint;
use crate::connection::{Connection, Side};
use crate::decode::{PacketInfo, Signal};
use crate::inspect::{NameTable, Observed};
use crate::tcp::segment::Segment;
use crate::translation::{TranslationSource, TranslationTable};

const SECOND_NS: u64 = 1_000_000_000;

/// How long a conversation that has ended waits for trailing packets, so that the last ACK is not
/// taken for a conversation of its own.
pub(super) const LINGER_NS: u64 = 5 * SECOND_NS;
/// The order of use is accurate to this, which saves most packets the work on the list.
const MOVE_AFTER_NS: u64 = SECOND_NS;

/// Receives flow records.
pub trait RecordSink {
    /// Number of records that can be taken now without a loss. Expiry, which can wait, stops there.
    fn room(&self) -> usize {
        usize::MAX
    }
    /// Takes a record out of its place, or leaves it there if it is not needed. It is too large to
    /// be copied or moved more than once.
    fn record(&mut self, record: &mut Option<FlowRecord>);
}

/// The flow cache of a node.
#[derive(Debug)]
pub struct FlowCache {
    pub(super) settings: CacheSettings,
    pub(super) table: ConversationTable,
    pub(super) translations: TranslationTable,
    /// Names of addresses; `None` if names are not learned.
    pub(super) names: Option<NameTable>,
    pub(super) clock: PacketClock,
    pub(super) next_expiry_ns: u64,
    /// Interfaces that lead out of the node, in ascending order.
    pub(super) outside: Box<[u32]>,
    /// Clock time of the latest eviction of a conversation with packets; 0 if there was none.
    evicted_ns: u64,
    /// Lookups of the packets that are metered together. Empty in between.
    lookups: Vec<Lookup>,
    /// Conversations that expire together.
    pub(super) expiring: Vec<u32>,
    pub(super) counters: CacheCounters,
}

impl FlowCache {
    /// Creates an empty cache.
    #[must_use]
    pub fn new(settings: CacheSettings) -> Self {
        Self {
            clock: PacketClock::new(settings.longest_gap_ns),
            table: ConversationTable::new(
                settings.tcp_health && !settings.sampling.selects_packets(),
            ),
            settings,
            translations: if settings.translations == TranslationSource::Conntrack {
                TranslationTable::exact()
            } else {
                TranslationTable::default()
            },
            names: settings.max_names.map(NameTable::new),
            outside: Box::default(),
            next_expiry_ns: 0,
            evicted_ns: 0,
            lookups: Vec::new(),
            expiring: Vec::new(),
            counters: CacheCounters::default(),
        }
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> &CacheCounters {
        &self.counters
    }

    /// Returns the number of conversations that have packets to report or have just ended.
    #[must_use]
    pub const fn conversations(&self) -> u32 {
        self.table.len(List::Live) + self.table.len(List::Closing)
    }

    /// Returns the number of conversations that are reported and quiet.
    #[must_use]
    pub const fn dormant(&self) -> u32 {
        self.table.len(List::Dormant)
    }

    /// Meters packets in their order. They refer to `observed`. Returns how many of them are
    /// copies, see [`Self::meter`].
    #[inline]
    pub fn meter_all(
        &mut self,
        packets: &[CapturedPacket],
        observed: &[Observed],
        sink: &mut impl RecordSink,
    ) -> CopyCounts {
        let mut copies = CopyCounts::default();
        let mut lookups = std::mem::take(&mut self.lookups);
        // Of the others, any packet: a lookup does no harm.
        lookups.extend(packets.iter().map(|captured| self.lookup(&captured.packet)));
        for lookup in &mut lookups {
            self.table.locate(lookup);
        }
        let mut touched = 0;
        let mut unknown = 0;
        for lookup in &lookups {
            touched ^= self.table.touch(lookup.candidate);
            unknown += u32::from(lookup.candidate == NONE);
        }
        std::hint::black_box(touched);
        self.touch_evicted(unknown);
        for (captured, lookup) in packets.iter().zip(&lookups) {
            let (point, time_ns) = (captured.point, captured.time_ns);
            let packet = &captured.packet;
            let shown = captured.observed;
            let shown = shown.and_then(|at| observed.get(usize::from(at)));
            if !captured.is_metered {
                self.tick(time_ns, sink);
            } else if !self.meter_found(packet, lookup, (point, time_ns), shown, sink) {
                copies.packets += 1;
                copies.octets += u64::from(packet.octets);
            }
        }
        lookups.clear();
        self.lookups = lookups;
        copies
    }

    /// Meters one packet, captured at `time_ns` since the epoch. False if it is a copy of a packet
    /// that was observed on another side of an address translation.
    #[inline]
    pub fn meter(
        &mut self,
        packet: &PacketInfo,
        point: ObservationPoint,
        time_ns: u64,
        sink: &mut impl RecordSink,
    ) -> bool {
        let lookup = self.lookup(packet);
        self.meter_found(packet, &lookup, (point, time_ns), None, sink)
    }

    #[inline]
    fn lookup(&self, packet: &PacketInfo) -> Lookup {
        let (key, source) = ConversationKey::of(packet);
        self.table.lookup(key, source, packet.network())
    }

    #[inline]
    fn meter_found(
        &mut self,
        packet: &PacketInfo,
        lookup: &Lookup,
        (point, time_ns): (ObservationPoint, u64),
        observed: Option<&Observed>,
        sink: &mut impl RecordSink,
    ) -> bool {
        let time = self.clock.advance(time_ns);
        let now = time.now_ns;
        if now >= self.next_expiry_ns {
            self.expire(now, sink);
        }
        let source = lookup.source;
        let found = self.table.find(lookup, point.interface);
        let index = match found {
            Some(index) if self.revisit(index, packet, source, (time_ns, now), sink) => Some(index),
            _ => {
                let is_start_observed = self.is_start_observed(point, time_ns, now)
                    || observed.is_some_and(Observed::is_from_initiator);
                let connection = Connection::begin(packet, source, is_start_observed);
                let index = self.begin(lookup, connection, now, sink);
                if let Some(index) = index
                    && !self.translations.is_empty()
                {
                    self.find_translation(index, time_ns, Some((source, point.interface)));
                }
                if let Some(index) = index {
                    self.find_name(index, source, time_ns);
                }
                index
            }
        };
        let Some(index) = index else {
            return true;
        };
        if let Some(name) = observed.and_then(Observed::name) {
            self.set_name(index, source, name);
        }
        let is_metered = self.count(index, packet, source, point, time);
        match observed {
            Some(Observed::Dns(messages)) if is_metered => {
                for message in messages.iter() {
                    self.table.dns.observe(index, message, time.packet_ns);
                }
            }
            Some(Observed::Http(messages, _)) if is_metered => {
                self.table.http.observe(index, messages);
            }
            _ => {}
        }
        is_metered
    }

    /// Advances time to `time_ns` since the epoch without a packet.
    pub fn tick(&mut self, time_ns: u64, sink: &mut impl RecordSink) {
        let now = self.clock.advance(time_ns).now_ns;
        self.translations.expire(time_ns);
        if now >= self.next_expiry_ns {
            self.expire(now, sink);
        }
    }

    /// True if no earlier packet of a conversation that begins now can have been missed: the
    /// observation has lasted for an idle timeout, and no conversation with packets was evicted
    /// meanwhile.
    fn is_start_observed(&self, point: ObservationPoint, time_ns: u64, now: u64) -> bool {
        let idle_ns = self.settings.idle_timeout_ns;
        let is_evicting = self.evicted_ns != 0 && now - self.evicted_ns < idle_ns;
        !self.settings.sampling.selects_packets()
            && self.clock.elapsed_ns() >= idle_ns
            && time_ns >= point.start_ns.saturating_add(idle_ns)
            && !is_evicting
    }

    /// Prepares the conversation found for a packet. False if the packet begins another one.
    #[inline]
    fn revisit(
        &mut self,
        index: u32,
        packet: &PacketInfo,
        source: Side,
        (time_ns, now): (u64, u64),
        sink: &mut impl RecordSink,
    ) -> bool {
        let Some(entry) = self.table.get(index) else {
            return false;
        };
        let list = entry.links.list;
        let silence = now - entry.seen_ns;
        let idle = silence >= self.settings.idle_timeout_ns;
        match list {
            List::Live => {}
            List::Closing if now - entry.moved_ns >= LINGER_NS => {
                self.report(index, FlowEndReason::EndOfFlowDetected, sink);
                self.table.remove(index);
                return false;
            }
            List::Closing => {}
            List::Dormant if silence >= self.settings.connection_timeout_ns => {
                self.table.remove(index);
                return false;
            }
            List::Dormant => {}
        }
        let quiet = idle || list != List::Live;
        if entry.connection.is_another(packet, source, quiet) {
            self.report(index, FlowEndReason::EndOfFlowDetected, sink);
            self.table.remove(index);
            return false;
        }
        match list {
            List::Closing => return true,
            List::Dormant => {
                self.find_translation(index, time_ns, None);
            }
            List::Live if idle => self.report(index, FlowEndReason::IdleTimeout, sink),
            List::Live if now - entry.record_start_ns >= self.settings.active_timeout_ns => {
                self.report(index, FlowEndReason::ActiveTimeout, sink);
            }
            List::Live if now - entry.moved_ns < MOVE_AFTER_NS => return true,
            List::Live => {}
        }
        self.table.move_to_end(index, List::Live, now);
        true
    }

    /// Makes room for a new conversation and inserts it.
    fn begin(
        &mut self,
        lookup: &Lookup,
        connection: Connection,
        now: u64,
        sink: &mut impl RecordSink,
    ) -> Option<u32> {
        if self.conversations() + self.dormant() >= self.settings.max_conversations.max(1) {
            self.evict(now, sink);
        }
        if connection.initiator().is_some() {
            self.counters.conversations_started += 1;
        } else {
            self.counters.conversations_start_not_observed += 1;
        }
        let conversation = Conversation::new(lookup.key, connection, now);
        self.table.insert(lookup, conversation)
    }

    /// Frees one slot: that of a dormant conversation, which has nothing to report, or else that of
    /// the least recently used one, whose record is made early.
    fn evict(&mut self, now: u64, sink: &mut impl RecordSink) {
        if let Some((index, _)) = self.table.first(List::Dormant) {
            self.counters.dormant_evicted += 1;
            self.table.remove(index);
        } else if let Some((index, _)) = self.table.first(List::Live) {
            self.evicted_ns = now;
            self.report(index, FlowEndReason::LackOfResources, sink);
            self.table.remove(index);
        } else if let Some((index, _)) = self.table.first(List::Closing) {
            self.report(index, FlowEndReason::EndOfFlowDetected, sink);
            self.table.remove(index);
        }
    }

    /// Reads the conversations that are evicted when `begun` others begin, so that they are in the
    /// cache of the processor.
    fn touch_evicted(&mut self, begun: u32) {
        let kept = self.conversations() + self.dormant();
        let free = self.settings.max_conversations.saturating_sub(kept);
        let mut evicted = usize::try_from(begun.saturating_sub(free)).unwrap_or_default();
        for list in [List::Dormant, List::Live] {
            let group = &mut self.expiring;
            self.table.head(list, evicted, |_| true, group);
            evicted = evicted.saturating_sub(group.len());
        }
    }

    /// Adds a packet to its direction. False if it is a copy.
    #[inline]
    fn count(
        &mut self,
        index: u32,
        packet: &PacketInfo,
        source: Side,
        point: ObservationPoint,
        time: PacketTime,
    ) -> bool {
        let Some(entry) = self.table.get_mut(index) else {
            return true;
        };
        let mut ended = false;
        if packet.signal != Signal::None {
            ended = !entry.connection.is_over();
            entry.connection.advance(packet, source);
            ended &= entry.connection.is_over();
        }
        entry.seen_ns = time.now_ns;
        let entry = if *entry.choices.of(source) == Choice::Metered {
            entry
        } else {
            if !self.decide(index, source) {
                if ended {
                    self.table.move_to_end(index, List::Closing, time.now_ns);
                }
                return false;
            }
            let Some(entry) = self.table.get_mut(index) else {
                return true;
            };
            entry
        };
        let mut packets = 1;
        if self.settings.packet_correction && packet.payload_octets != 0 {
            packets = segments(packet, entry.connection.segment_octets(source), point.mtu);
        }
        let reverse_packets = entry.directions.of(source.opposite()).packets;
        let direction = entry.directions.of_mut(source);
        let starts_record = direction.packets == 0;
        if starts_record {
            direction.first_ns = time.packet_ns;
            direction.last_ns = time.packet_ns;
            direction.network.get_or_insert(packet.network());
            direction.interface = point.interface;
            direction.egress = point.egress;
            direction.icmp_type_code = packet.icmp_type_code;
            direction.vlan_id = packet.vlan_id;
            direction.ip_class_of_service = packet.ip_class_of_service;
        } else {
            direction.first_ns = direction.first_ns.min(time.packet_ns);
            direction.last_ns = direction.last_ns.max(time.packet_ns);
        }
        direction.octets += u64::from(packet.octets);
        direction.packets += u64::from(packets);
        direction.transport_octets += u64::from(packet.transport_octets());
        direction.tcp_control_bits |= packet.tcp_control_bits;
        if packet.security_protocol != SecurityProtocol::None {
            direction.security_protocol = packet.security_protocol;
        }
        if starts_record && reverse_packets == 0 {
            entry.record_start_ns = time.now_ns;
        }
        if packet.tcp_options.is_complete() {
            let segment = Segment::of(packet, packets, time.packet_ns);
            self.table.track(index, &segment, source);
        }
        self.counters.packets += 1;
        self.counters.octets += u64::from(packet.octets);
        self.counters.packets_corrected += u64::from(packets - 1);
        if starts_record {
            self.table.set_tunnel(index, source, packet.tunnel);
        }
        if ended {
            self.table.move_to_end(index, List::Closing, time.now_ns);
        }
        true
    }

    /// Makes the records of the directions of a conversation that have packets.
    pub(super) fn report(&mut self, index: u32, reason: FlowEndReason, sink: &mut impl RecordSink) {
        let tunnels = self.table.tunnels(index);
        let translation = self.table.translation(index).copied();
        let Some((entry, health)) = self.table.get_with_health(index) else {
            return;
        };
        let context = ReportContext {
            reason,
            clock: &self.clock,
            has_interfaces: self.settings.has_interfaces,
        };
        let mut records = [None, None];
        entry.report(context, &tunnels, health, &mut records);
        let (connection, seen_ns) = (entry.connection, entry.seen_ns);
        let dns = self.table.dns.take(index, reason, seen_ns);
        let http = self.table.http.take(index, reason);
        let name = self.table.names.get(index);
        let name = name.and_then(|name| name.of(&connection));
        if self.settings.biflow
            && let [Some(forward), second] = &mut records
            && let Some(reverse) = second
        {
            join(forward, reverse);
            *second = None;
        }
        if let Some(dns) = dns {
            dns::assign(&mut records, dns);
        }
        if let Some(http) = http {
            http::assign(&mut records, http);
        }
        for place in &mut records {
            let Some(record) = place else { continue };
            record.sampling = self.settings.sampling.scale();
            record.flow_sampling = self.settings.sampling.flow_sampling();
            record.responder_name.clone_from(&name);
            if let Some(translation) = &translation {
                translation.apply(record, &connection);
            }
            self.counters.count_tcp(record);
            self.counters.record_packets +=
                record.packet_delta_count + record.reverse_packet_delta_count;
            self.counters.record_octets +=
                record.octet_delta_count + record.reverse_octet_delta_count;
            self.counters.records[reason] += 1;
            sink.record(place);
        }
    }
}
