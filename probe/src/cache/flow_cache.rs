//! The flow cache proper: one entry a conversation with its two directions inside, so that a packet costs one
//! lookup and both directions know of each other. A direction with packets becomes a [`FlowRecord`] when the
//! conversation is idle, when it has been active for long, when it ended, or when its slot is needed.
//!
//! The conversations live in an own slab under a `hashbrown` table, not in the `lru` crate: it gives
//! three lists for the price of one, moves a conversation in them once a second instead of with every packet, and is
//! faster although it does more. `cargo bench -p kipfix-probe`, 65 536 conversations, ns a packet, own | `lru`, on a busy
//! machine (the ratios hold): all fit 29 | 56, four times too many, skewed 78 | 120, even 72 | 106.
//!
//! Packet time is the only clock, and nothing depends on the hash's seed: the same packets give the same
//! records in the same order.

use std::hash::BuildHasher;

use flowproto::FlowRecord;
use flowproto::record::{FlowEndReason, Sampling, Tunnel};
use hashbrown::HashTable;

use super::clock::PacketClock;
use super::conversation::Conversation;
use super::key::ConversationKey;
use super::offload::segments;
use super::slab::{Links, List, Slab};
use crate::connection::{Connection, Pair, Side};
use crate::decode::{PacketInfo, Signal};

const SECOND_NS: u64 = 1_000_000_000;
const MILLISECOND_NS: u64 = 1_000_000;

/// How long a conversation that is over waits for the packets that trail behind, so that the last ACK does
/// not look like a conversation of its own.
const LINGER_NS: u64 = 5 * SECOND_NS;
/// A direction belongs to the interface that saw it first, until that one is silent for so long. Longer than
/// packets of one interface can wait in its ring while those of another are read, so that a second sighting
/// is never counted; short enough that traffic which moves to another interface is soon counted there.
const OWNERSHIP_NS: u64 = 5 * SECOND_NS;
/// The order of use is kept to about a second, which spares most packets the work on the list.
const MOVE_AFTER_NS: u64 = SECOND_NS;
/// How often the ends of the lists are looked at.
const EXPIRY_INTERVAL_NS: u64 = 100 * MILLISECOND_NS;

/// Bounds and timeouts of a flow cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// Conversations at the most, dormant ones included; at least 1.
    pub max_conversations: u32,
    /// A conversation without a packet for so long is reported, nanoseconds.
    pub idle_timeout_ns: u64,
    /// A conversation that goes on is reported this often, nanoseconds.
    pub active_timeout_ns: u64,
    /// What is known of a quiet connection is kept for so long, nanoseconds.
    pub connection_timeout_ns: u64,
    /// Packets further apart than this tell that the clock they were stamped with was set, not that time
    /// passed, nanoseconds. Live, where time is told between packets too, this can be short.
    pub longest_gap_ns: u64,
    /// Count the segments that offloads merged into one packet.
    pub packet_correction: bool,
    /// Both directions of a conversation in one record (RFC 5103).
    pub biflow: bool,
    /// What part of the packets comes here; said in every record.
    pub sampling: Sampling,
}

/// Where records go.
pub trait RecordSink {
    /// Records that can be taken now without losing any. Expiry, which can wait, stops at this.
    fn room(&self) -> usize {
        usize::MAX
    }
    /// Takes a record.
    fn record(&mut self, record: FlowRecord);
}

/// Where a packet was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// ifIndex of the interface; 0 for a savefile.
    pub interface: u32,
    /// The node sent it out of that interface.
    pub egress: bool,
    /// MTU of the interface, octets; 0 where nothing is known of it.
    pub mtu: u32,
}

/// What a flow cache has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets metered, as captured: corrected counts less [`Self::packets_corrected`].
    pub packets: u64,
    /// Octets metered.
    pub octets: u64,
    /// Packets added by the correction of merged segments.
    pub packets_corrected: u64,
    /// Packets seen a second time, on another interface: not metered.
    pub second_sighting_packets: u64,
    /// Octets of those.
    pub second_sighting_octets: u64,
    /// Conversations whose beginning was seen.
    pub conversations_begun: u64,
    /// Conversations joined half-way: no connection is counted for them.
    pub conversations_joined: u64,
    /// Records made, by 136 `flowEndReason`; place 0 is not used.
    pub records: [u64; 6],
    /// Packets in those records.
    pub record_packets: u64,
    /// Octets in those records.
    pub record_octets: u64,
    /// Dormant conversations forgotten because a slot was needed.
    pub dormant_evicted: u64,
}

/// The flow cache of a node.
#[derive(Debug)]
pub struct FlowCache {
    settings: CacheSettings,
    hasher: foldhash::fast::RandomState,
    table: HashTable<u32>,
    slab: Slab,
    /// Outer headers of the directions of each slot: apart, for most conversations have none.
    tunnels: Vec<Pair<Option<Tunnel>>>,
    clock: PacketClock,
    next_expiry_ns: u64,
    counters: Counters,
}

impl FlowCache {
    /// An empty cache.
    #[must_use]
    pub fn new(settings: CacheSettings) -> Self {
        Self {
            clock: PacketClock::new(settings.longest_gap_ns),
            settings,
            hasher: foldhash::fast::RandomState::default(),
            table: HashTable::new(),
            slab: Slab::default(),
            tunnels: Vec::new(),
            next_expiry_ns: 0,
            counters: Counters::default(),
        }
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Conversations with packets to report, or that have just ended.
    #[must_use]
    pub const fn conversations(&self) -> u32 {
        self.slab.len(List::Live) + self.slab.len(List::Closing)
    }

    /// Conversations that are quiet: reported, but remembered.
    #[must_use]
    pub const fn dormant(&self) -> u32 {
        self.slab.len(List::Dormant)
    }

    /// Meters one packet, captured at `time_ns` since the epoch.
    #[inline]
    pub fn meter(
        &mut self,
        packet: &PacketInfo,
        sighting: Sighting,
        time_ns: u64,
        sink: &mut impl RecordSink,
    ) {
        let now = self.clock.advance(time_ns);
        if now >= self.next_expiry_ns {
            self.expire(now, sink);
        }
        let (key, source) = ConversationKey::of(packet);
        let hash = self.hasher.hash_one(key);
        let slab = &self.slab;
        let found = self
            .table
            .find(hash, |index| {
                slab.get(*index).is_some_and(|entry| entry.key == key)
            })
            .copied();
        let index = match found {
            Some(index) => match self.revisit(index, packet, source, sighting, now, sink) {
                Visit::Counts => index,
                Visit::SecondSighting => return,
                Visit::Gone => match self.begin(key, hash, packet, source, now, sink) {
                    Some(index) => index,
                    None => return,
                },
            },
            None => match self.begin(key, hash, packet, source, now, sink) {
                Some(index) => index,
                None => return,
            },
        };
        self.count(index, packet, source, sighting, time_ns, now);
    }

    /// Lets time pass to `time_ns` since the epoch without a packet.
    pub fn tick(&mut self, time_ns: u64, sink: &mut impl RecordSink) {
        let now = self.clock.advance(time_ns);
        if now >= self.next_expiry_ns {
            self.expire(now, sink);
        }
    }

    /// Reports everything that is held: the Metering Process stops.
    pub fn finish(&mut self, sink: &mut impl RecordSink) {
        while let Some(index) = self.slab.first(List::Closing) {
            self.report(index, FlowEndReason::EndOfFlowDetected, sink);
            self.remove(index);
        }
        while let Some(index) = self.slab.first(List::Live) {
            self.report(index, FlowEndReason::ForcedEnd, sink);
            self.remove(index);
        }
    }

    /// Decides what a packet of known addresses and ports is to the conversation that has them.
    #[inline]
    fn revisit(
        &mut self,
        index: u32,
        packet: &PacketInfo,
        source: Side,
        sighting: Sighting,
        now: u64,
        sink: &mut impl RecordSink,
    ) -> Visit {
        let Some(entry) = self.slab.get(index) else {
            return Visit::Gone;
        };
        let list = entry.links.list;
        let silence = now - entry.seen_ns;
        let idle = silence >= self.settings.idle_timeout_ns;
        match list {
            List::Live => {}
            List::Closing if now - entry.moved_ns >= LINGER_NS => {
                self.report(index, FlowEndReason::EndOfFlowDetected, sink);
                self.remove(index);
                return Visit::Gone;
            }
            List::Closing => {}
            List::Dormant if silence >= self.settings.connection_timeout_ns => {
                self.remove(index);
                return Visit::Gone;
            }
            List::Dormant => {}
        }
        let quiet = idle || list != List::Live;
        if entry.connection.is_another(packet, source, quiet) {
            self.report(index, FlowEndReason::EndOfFlowDetected, sink);
            self.remove(index);
            return Visit::Gone;
        }
        let direction = entry.directions.of(source);
        if direction.interface != sighting.interface
            && direction.seen_ns != 0
            && now - direction.seen_ns < OWNERSHIP_NS
        {
            self.counters.second_sighting_packets += 1;
            self.counters.second_sighting_octets += u64::from(packet.octets);
            return Visit::SecondSighting;
        }
        match list {
            List::Closing => return Visit::Counts,
            List::Dormant => {}
            List::Live if idle => self.report(index, FlowEndReason::IdleTimeout, sink),
            List::Live if now - entry.since_ns >= self.settings.active_timeout_ns => {
                self.report(index, FlowEndReason::ActiveTimeout, sink);
            }
            List::Live if now - entry.moved_ns < MOVE_AFTER_NS => return Visit::Counts,
            List::Live => {}
        }
        self.move_to_end(index, List::Live, now);
        Visit::Counts
    }

    /// Makes room for a new conversation and puts it into the cache.
    fn begin(
        &mut self,
        key: ConversationKey,
        hash: u64,
        packet: &PacketInfo,
        source: Side,
        now: u64,
        sink: &mut impl RecordSink,
    ) -> Option<u32> {
        if self.conversations() + self.dormant() >= self.settings.max_conversations.max(1) {
            self.evict(sink);
        }
        let connection =
            Connection::begin(packet, source, self.settings.sampling != Sampling::NONE);
        if connection.initiator().is_some() {
            self.counters.conversations_begun += 1;
        } else {
            self.counters.conversations_joined += 1;
        }
        let index = self.slab.insert(Conversation {
            key,
            directions: Pair::default(),
            since_ns: now,
            seen_ns: now,
            begun_ns: now,
            moved_ns: now,
            connection,
            reported_seconds: 0,
            links: Links::default(),
        })?;
        if self.tunnels.len() < self.slab.slots() {
            self.tunnels.push(Pair::default());
        }
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.table.insert_unique(hash, index, |index| {
            slab.get(*index)
                .map_or(0, |entry| hasher.hash_one(entry.key))
        });
        Some(index)
    }

    /// Frees one slot: a dormant conversation has nothing to report; else the least recently used one is
    /// reported before its time.
    fn evict(&mut self, sink: &mut impl RecordSink) {
        if let Some(index) = self.slab.first(List::Dormant) {
            self.counters.dormant_evicted += 1;
            self.remove(index);
        } else if let Some(index) = self.slab.first(List::Live) {
            self.report(index, FlowEndReason::LackOfResources, sink);
            self.remove(index);
        } else if let Some(index) = self.slab.first(List::Closing) {
            self.report(index, FlowEndReason::EndOfFlowDetected, sink);
            self.remove(index);
        }
    }

    /// Adds a packet to its direction.
    #[inline]
    fn count(
        &mut self,
        index: u32,
        packet: &PacketInfo,
        source: Side,
        sighting: Sighting,
        time_ns: u64,
        now: u64,
    ) {
        let Some(entry) = self.slab.get_mut(index) else {
            return;
        };
        let mut ended = false;
        if packet.signal != Signal::None {
            ended = !entry.connection.is_over();
            entry.connection.advance(packet, source);
            ended &= entry.connection.is_over();
        }
        let mut packets = 1;
        if self.settings.packet_correction && packet.payload_octets != 0 {
            packets = segments(
                packet,
                entry.connection.segment_octets(source),
                sighting.mtu,
            );
        }
        let other_packets = |entry: &Conversation| entry.directions.of(source.opposite()).packets;
        if entry.directions.of(source).packets == 0 && other_packets(entry) == 0 {
            entry.since_ns = now;
        }
        let direction = entry.directions.of_mut(source);
        if direction.packets == 0 {
            direction.first_ns = time_ns;
            direction.last_ns = time_ns;
            direction.egress = sighting.egress;
            direction.icmp_type_code = packet.icmp_type_code;
            direction.vlan_id = packet.vlan_id;
            direction.ip_class_of_service = packet.ip_class_of_service;
            let tunnel = usize::try_from(index)
                .ok()
                .and_then(|i| self.tunnels.get_mut(i));
            if let Some(pair) = tunnel {
                *pair.of_mut(source) = packet.tunnel;
            }
        } else {
            direction.first_ns = direction.first_ns.min(time_ns);
            direction.last_ns = direction.last_ns.max(time_ns);
        }
        // The owner may be another one after a silence, also in the middle of a record. Written only then,
        // since it stands in another cache line than the counts.
        if direction.interface != sighting.interface {
            direction.interface = sighting.interface;
            direction.egress = sighting.egress;
        }
        direction.octets += u64::from(packet.octets);
        direction.packets += u64::from(packets);
        direction.tcp_control_bits |= packet.tcp_control_bits;
        direction.seen_ns = now;
        entry.seen_ns = now;
        self.counters.packets += 1;
        self.counters.octets += u64::from(packet.octets);
        self.counters.packets_corrected += u64::from(packets - 1);
        if ended {
            self.move_to_end(index, List::Closing, now);
        }
    }

    /// Reports what is over, what is idle, and forgets what has been silent for too long.
    fn expire(&mut self, now: u64, sink: &mut impl RecordSink) {
        self.next_expiry_ns = now.saturating_add(EXPIRY_INTERVAL_NS);
        while let Some((index, entry)) = self.oldest(List::Closing) {
            if now - entry.moved_ns < LINGER_NS || sink.room() < 2 {
                break;
            }
            self.report(index, FlowEndReason::EndOfFlowDetected, sink);
            self.remove(index);
        }
        while let Some((index, entry)) = self.oldest(List::Live) {
            // It may have had packets since it was moved, for up to MOVE_AFTER_NS; those behind it, which
            // were moved later, wait for no longer than that.
            if now - entry.seen_ns < self.settings.idle_timeout_ns || sink.room() < 2 {
                break;
            }
            self.report(index, FlowEndReason::IdleTimeout, sink);
            self.move_to_end(index, List::Dormant, now);
        }
        while let Some((index, entry)) = self.oldest(List::Dormant) {
            if now - entry.seen_ns < self.settings.connection_timeout_ns {
                break;
            }
            self.remove(index);
        }
    }

    fn oldest(&self, list: List) -> Option<(u32, &Conversation)> {
        let index = self.slab.first(list)?;
        Some((index, self.slab.get(index)?))
    }

    fn move_to_end(&mut self, index: u32, list: List, now: u64) {
        if let Some(entry) = self.slab.get_mut(index) {
            entry.moved_ns = now;
        }
        self.slab.move_to_end(index, list);
    }

    fn remove(&mut self, index: u32) {
        let Some(entry) = self.slab.get(index) else {
            return;
        };
        let hash = self.hasher.hash_one(entry.key);
        if let Ok(slot) = self.table.find_entry(hash, |found| *found == index) {
            slot.remove();
        }
        self.slab.remove(index);
    }

    /// Makes the records of a conversation's directions that have packets.
    fn report(&mut self, index: u32, reason: FlowEndReason, sink: &mut impl RecordSink) {
        let Some(entry) = self.slab.get_mut(index) else {
            return;
        };
        let tunnels = usize::try_from(index)
            .ok()
            .and_then(|index| self.tunnels.get(index))
            .copied()
            .unwrap_or_default();
        let [first, second] = entry
            .order()
            .map(|source| entry.report(source, reason, *tunnels.of(source)));
        let records = match (first, second) {
            (Some(there), Some(back)) if self.settings.biflow => [Some(biflow(there, &back)), None],
            uniflows => uniflows.into(),
        };
        for mut record in records.into_iter().flatten() {
            record.sampling = self.settings.sampling;
            self.counters.record_packets +=
                record.packet_delta_count + record.reverse_packet_delta_count;
            self.counters.record_octets +=
                record.octet_delta_count + record.reverse_octet_delta_count;
            if let Some(count) = self.counters.records.get_mut(usize::from(reason.octet())) {
                *count += 1;
            }
            sink.record(record);
        }
    }
}

/// One record of two (RFC 5103 §3).
fn biflow(there: FlowRecord, back: &FlowRecord) -> FlowRecord {
    FlowRecord {
        reverse_octet_delta_count: back.octet_delta_count,
        reverse_packet_delta_count: back.packet_delta_count,
        reverse_flow_start_milliseconds: back.flow_start_milliseconds,
        reverse_flow_end_milliseconds: back.flow_end_milliseconds,
        reverse_tcp_control_bits: back.tcp_control_bits,
        ..there
    }
}

/// What a packet is to the conversation found for it.
enum Visit {
    /// One of its packets.
    Counts,
    /// One of its packets that another interface has counted.
    SecondSighting,
    /// It was over; the packet begins another.
    Gone,
}
