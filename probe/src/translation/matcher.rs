//! Finds the sides of a translated connection among the first packets of all interfaces.
//!
//! First packets with the same identity that are observed at nearly the same time belong to one
//! connection. The first one observed has the addresses before the translation. Many hosts may send
//! datagrams with equal contents, so one end must be the same on both sides unless they have an IP
//! identification, and a source is translated only where packets leave an interface.
//!
//! A connection that enters the node from outside and leaves it to the outside, such as one to a
//! `NodePort` whose pod is on another node, is *relayed*: both sides are traffic of their own, and
//! no translation is learned.

use flowproto::FlowKey;

use super::legs::{Legs, MAX_LEGS};
use super::observation::FirstPacket;
use super::{TranslationCounters, observation::PacketIdentity};

/// The sides of a connection are observed within this time.
const WINDOW_NS: u64 = 1_000_000_000;
/// The same for datagrams, whose contents may be repeated.
const DATAGRAM_WINDOW_NS: u64 = 100_000_000;
/// First packets in one slot of the table.
const WAYS: usize = 4;
/// Slots of the table; a power of two.
const SLOTS: usize = 4096;

/// Compares first packets.
#[derive(Debug, Default)]
pub struct TranslationMatcher {
    /// Empty until the first packet. Hardly any packet is like another one, so most read only
    /// these.
    slots: Vec<Slot>,
    /// The connections of each slot.
    candidates: Vec<[Candidate; WAYS]>,
    /// Their further sides. Kept apart because most connections are observed on one side. Empty
    /// until the first connection that is observed twice.
    further: Vec<[FurtherLegs; WAYS]>,
    counters: TranslationCounters,
}

/// The first packets of one slot. It takes one cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Slot {
    /// Hashes of their identities; 0 is unused.
    hashes: [u64; WAYS],
    /// When they were observed.
    times_ns: [u64; WAYS],
}

/// A connection whose first packet was observed. It takes one cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Candidate {
    /// The side that was observed first.
    first: FlowKey,
    /// Where it was observed first.
    interface: u32,
    /// Number of sides.
    sides: u8,
    is_outside: bool,
    is_relayed: bool,
}

const _: () = assert!(size_of::<Slot>() == 64, "one cache line");
const _: () = assert!(size_of::<Candidate>() == 64, "one cache line");

/// The sides of a connection after the first one.
type FurtherLegs = [FlowKey; MAX_LEGS - 1];

impl TranslationMatcher {
    /// Counts so far. Those of the table are 0.
    #[must_use]
    pub const fn counters(&self) -> TranslationCounters {
        self.counters
    }

    /// Reads the slot of a packet, so that it is in the cache of the processor. The result has no
    /// meaning but to keep the read.
    #[inline]
    #[must_use]
    pub fn touch(&self, packet: &FirstPacket) -> u64 {
        let slot = self.slots.get(slot_of(packet.identity));
        slot.map_or(0, |slot| slot.times_ns[0])
    }

    /// Compares a first packet with others. Returns the sides of its connection if this packet has
    /// added one.
    pub fn observe(&mut self, packet: &FirstPacket) -> Option<Legs> {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS];
            self.candidates = vec![Default::default(); SLOTS];
        }
        self.counters.first_packets += 1;
        let index = slot_of(packet.identity);
        let slot = self.slots.get(index)?;
        if !slot.hashes.contains(&packet.identity.hash) {
            self.insert(packet, index);
            return None;
        }
        if self.further.is_empty() {
            self.further = vec![Default::default(); SLOTS];
        }
        let candidates = self.candidates.get_mut(index)?;
        let further = self.further.get_mut(index)?;
        let mut best: Option<(u8, &mut Candidate, &mut FurtherLegs)> = None;
        let mut is_tied = false;
        let ways = slot.hashes.iter().zip(slot.times_ns);
        let ways = ways.zip(candidates.iter_mut().zip(further));
        for ((hash, time_ns), (candidate, further)) in ways {
            let is_current = *hash == packet.identity.hash
                && packet.time_ns.abs_diff(time_ns) <= window_ns(packet.identity);
            if !is_current {
                continue;
            }
            let legs = candidate.legs(further);
            if legs.as_slice().contains(&packet.key) {
                return None;
            }
            let Some(rank) = candidate.rank(&legs, packet) else {
                continue;
            };
            match &best {
                Some((other, ..)) if *other < rank => {}
                Some((other, ..)) if *other == rank => is_tied = true,
                _ => {
                    is_tied = false;
                    best = Some((rank, candidate, further));
                }
            }
        }
        if is_tied {
            self.counters.ambiguous += 1;
            return None;
        }
        if let Some((_, candidate, further)) = best {
            return candidate.add(further, packet);
        }
        self.insert(packet, index);
        None
    }

    /// Replaces the oldest packet of a slot.
    fn insert(&mut self, packet: &FirstPacket, index: usize) {
        let (Some(slot), Some(candidates)) =
            (self.slots.get_mut(index), self.candidates.get_mut(index))
        else {
            return;
        };
        let ways = slot
            .hashes
            .iter_mut()
            .zip(&mut slot.times_ns)
            .zip(candidates);
        let Some(((hash, time_ns), candidate)) = ways.min_by_key(|((_, time_ns), _)| **time_ns)
        else {
            return;
        };
        let is_recent =
            *hash != 0 && packet.time_ns.abs_diff(*time_ns) <= window_ns(packet.identity);
        let is_lost = is_recent && candidate.sides == 1;
        self.counters.missed += u64::from(is_lost);
        (*hash, *time_ns) = (packet.identity.hash, packet.time_ns);
        *candidate = Candidate {
            first: packet.key,
            interface: packet.interface,
            sides: 1,
            is_outside: packet.is_outside,
            is_relayed: false,
        };
    }
}

impl Candidate {
    /// All sides.
    fn legs(&self, further: &FurtherLegs) -> Legs {
        let mut legs = Legs::new(self.first);
        let number = usize::from(self.sides).saturating_sub(1);
        for key in further.iter().take(number) {
            legs.push(*key);
        }
        legs
    }

    /// How well a packet continues this connection with these sides, 0 is best. `None` if it
    /// cannot.
    fn rank(&self, legs: &Legs, packet: &FirstPacket) -> Option<u8> {
        let (last, key) = (legs.translated(), packet.key);
        let has_same_source =
            (last.source_address, last.source_port) == (key.source_address, key.source_port);
        let has_same_destination = (last.destination_address, last.destination_port)
            == (key.destination_address, key.destination_port);
        // The source is translated last, where a packet leaves.
        let original = legs.original();
        let has_left = (original.source_address, original.source_port)
            != (last.source_address, last.source_port);
        if has_left || legs.is_full() {
            return None;
        }
        if !packet.identity.is_unique() {
            if packet.interface == self.interface {
                // The same contents sent to two destinations.
                return None;
            }
            let has_changed_source = packet.egress == Some(true)
                && (has_same_destination || packet.identity.has_identification);
            if !has_same_source && !has_changed_source {
                return None;
            }
        }
        // Linux keeps the source port where it can.
        let keeps_port = last.source_port == key.source_port;
        Some(u8::from(!keeps_port))
    }

    /// Adds the side of a packet. Returns all sides, unless the connection is relayed.
    fn add(&mut self, further: &mut FurtherLegs, packet: &FirstPacket) -> Option<Legs> {
        let place = further.get_mut(usize::from(self.sides).saturating_sub(1))?;
        *place = packet.key;
        self.sides += 1;
        self.is_relayed |=
            packet.interface == self.interface || packet.is_outside && self.is_outside;
        (!self.is_relayed).then(|| self.legs(further))
    }
}

fn slot_of(identity: PacketIdentity) -> usize {
    usize::try_from(identity.hash >> 32).unwrap_or_default() % SLOTS
}

const fn window_ns(identity: PacketIdentity) -> u64 {
    if identity.is_unique() {
        WINDOW_NS
    } else {
        DATAGRAM_WINDOW_NS
    }
}
