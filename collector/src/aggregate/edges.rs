//! The edges of one pipeline: what was counted for each pair of endpoints since the last drain.
//!
//! A record costs one access to a table whose entries share a line of the processor's cache with
//! their key. The accesses of a block of records are made together, so that their cache misses
//! overlap. If a record has a detail that an active family needs, its edge is a pair of endpoints
//! with that detail. These edges and connection health are in tables of their own.

mod batch;
mod detailed;
#[cfg(test)]
mod tests;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

pub use self::batch::EdgeBatch;
pub(super) use self::detailed::DetailedEdge;
use self::detailed::DetailedEdges;
use super::detail::Detail;
use super::edge_health::{EdgeHealth, HealthTable};
use super::health::HealthParts;
use super::health_addition::HealthAddition;
use crate::inventory::EndpointId;
use crate::pipeline::Measures;

/// Slots of a new table, a power of two.
const INITIAL_SLOTS: usize = 1 << 10;

/// Source and destination of an edge, plus one, so that 0 is an empty slot. In the table of health,
/// it can also be [`DETAILED`] and the number of a [`DetailedEdge`].
type Key = u64;

/// Marks the key of an edge with a detail: no endpoint has this id.
const DETAILED: EndpointId = EndpointId(u32::MAX);

/// Sums of measures by edge. Owned by one thread. It grows with the number of edges up to a bound
/// and keeps its room, so that counting does not allocate once it is warm.
#[derive(Debug)]
pub struct EdgeTable {
    /// Open addressing with linear probing, at most half full. The length is a power of two.
    slots: Vec<Slot>,
    /// Used slots.
    plain_edges: usize,
    max_edges: usize,
    detailed: DetailedEdges,
    health: HealthTable,
    /// Spreads keys in a way that differs from process to process.
    seed: u64,
}

/// An edge of a table with what was counted.
#[derive(Clone, Copy, Debug)]
pub struct CountedEdge<'a> {
    /// The sender.
    pub source: EndpointId,
    /// The receiver.
    pub destination: EndpointId,
    pub(super) detail: Option<&'a Detail>,
    /// What was counted of its flows.
    pub measures: Measures,
    /// Number of flows.
    pub flows: u64,
    /// Its connection health. Then `measures` and `flows` are 0, because an edge with health is two
    /// items of the table.
    pub health: Option<EdgeHealth<'a>>,
    /// Number of its open connections. Then everything else is 0.
    pub open_connections: u64,
}

/// What an item counts of its edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgePart {
    /// Its traffic.
    Traffic,
    /// Its connection health.
    Health,
    /// Its open connections.
    OpenConnections,
}

impl<'a> CountedEdge<'a> {
    /// The edge between two endpoints, with nothing counted.
    fn between(source: EndpointId, destination: EndpointId) -> Self {
        Self {
            source,
            destination,
            detail: None,
            measures: Measures::default(),
            flows: 0,
            health: None,
            open_connections: 0,
        }
    }

    /// An edge with a detail, with nothing counted.
    pub(super) fn of(edge: &'a DetailedEdge) -> Self {
        Self {
            detail: Some(&edge.detail),
            ..Self::between(edge.source, edge.destination)
        }
    }

    /// The edge with its traffic.
    fn with(self, sums: SlotSums) -> Self {
        Self {
            measures: Measures {
                bytes: sums.bytes,
                packets: sums.packets,
                connections: sums.connections.into(),
            },
            flows: sums.flows.into(),
            ..self
        }
    }

    /// What it counts.
    pub(super) const fn part(&self) -> EdgePart {
        if self.health.is_some() {
            EdgePart::Health
        } else if self.open_connections > 0 {
            EdgePart::OpenConnections
        } else {
            EdgePart::Traffic
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Slot {
    key: Key,
    sums: SlotSums,
}

/// Sums between two drains, in 24 octets.
#[derive(Clone, Copy, Debug, Default)]
struct SlotSums {
    bytes: u64,
    packets: u64,
    connections: u32,
    flows: u32,
}

impl SlotSums {
    /// Adds a flow. False if a sum of connections or flows would be more than `u32::MAX`: nothing
    /// was added.
    #[inline]
    fn try_add(&mut self, measures: &Measures) -> bool {
        let connections = u32::try_from(measures.connections).ok();
        let connections = connections.and_then(|more| self.connections.checked_add(more));
        let (Some(connections), Some(flows)) = (connections, self.flows.checked_add(1)) else {
            return false;
        };
        *self = Self {
            bytes: self.bytes.saturating_add(measures.bytes),
            packets: self.packets.saturating_add(measures.packets),
            connections,
            flows,
        };
        true
    }

    /// The sums of one flow. It has at most `u32::MAX` connections.
    fn of(measures: &Measures) -> Self {
        Self {
            bytes: measures.bytes,
            packets: measures.packets,
            connections: u32::try_from(measures.connections).unwrap_or(u32::MAX),
            flows: 1,
        }
    }
}

/// Source and destination in a key.
fn ends(key: Key) -> [EndpointId; 2] {
    let ends = key.wrapping_sub(1);
    [ends >> 32, ends & 0xffff_ffff].map(|id| EndpointId(u32::try_from(id).unwrap_or(0)))
}

impl EdgeTable {
    /// Creates an empty table for `max_edges`, which is at least 1.
    #[must_use]
    pub fn new(max_edges: usize) -> Self {
        Self {
            slots: vec![Slot::default(); INITIAL_SLOTS],
            plain_edges: 0,
            max_edges,
            detailed: DetailedEdges::default(),
            health: HealthTable::default(),
            seed: RandomState::default().hash_one(0) | 1,
        }
    }

    /// The key of an edge.
    #[inline]
    #[must_use]
    fn key(source: EndpointId, destination: EndpointId) -> Key {
        let key = u64::from(source.0) << 32 | u64::from(destination.0);
        key.wrapping_add(1)
    }

    /// Adds to an edge. False if the edge is new and the table full, or if a sum would be too
    /// large: nothing was added, and the table must be drained first.
    #[must_use]
    pub fn add(
        &mut self,
        source: EndpointId,
        destination: EndpointId,
        measures: &Measures,
    ) -> bool {
        self.add_key(Self::key(source, destination), measures)
    }

    #[inline]
    fn add_key(&mut self, key: Key, measures: &Measures) -> bool {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = self.home(key);
        // An empty slot exists, since the table is at most half full.
        while let Some(slot) = self.slots.get_mut(at & mask) {
            if slot.key == key {
                return slot.sums.try_add(measures);
            }
            if slot.key == 0 {
                break;
            }
            at = at.wrapping_add(1);
        }
        self.insert(key, measures)
    }

    #[cold]
    fn insert(&mut self, key: Key, measures: &Measures) -> bool {
        if self.is_full() {
            return false;
        }
        if self.plain_edges >= self.slots.len() / 2 {
            self.grow();
        }
        self.plain_edges = self.plain_edges.saturating_add(1);
        let sums = SlotSums::of(measures);
        self.place(Slot { key, sums });
        true
    }

    fn grow(&mut self) {
        let slots = self.slots.len().saturating_mul(2);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        for slot in old.into_iter().filter(|slot| slot.key != 0) {
            self.place(slot);
        }
    }

    /// Puts a slot whose key is not in the table into the first empty place.
    fn place(&mut self, new: Slot) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = self.home(new.key);
        while let Some(slot) = self.slots.get_mut(at & mask) {
            if slot.key == 0 {
                *slot = new;
                return;
            }
            at = at.wrapping_add(1);
        }
    }

    /// Reads the slot where a key should be, so that it is in the processor's cache when it is
    /// added to.
    #[inline]
    fn touch(&self, key: Key) -> u64 {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get(self.home(key) & mask).map_or(0, |s| s.key)
    }

    /// Where probing for a key begins, before it is reduced to the length of the table.
    #[inline]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "the high bits of the product are folded into the low ones"
    )]
    fn home(&self, key: Key) -> usize {
        const MULTIPLIER: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(key ^ self.seed).wrapping_mul(MULTIPLIER);
        ((product >> 64) as u64 ^ product as u64) as usize
    }

    /// Number of edges.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.plain_edges.saturating_add(self.detailed.edges.len())
    }

    const fn is_full(&self) -> bool {
        self.len() >= self.max_edges
    }

    /// True if nothing was counted since the last drain.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0 && self.health.is_empty()
    }

    /// The edges with their traffic, then those with health.
    pub fn iter(&self) -> impl Iterator<Item = CountedEdge<'_>> {
        let plain = self.slots.iter().filter(|slot| slot.key != 0);
        let plain = plain.map(|slot| {
            let [source, destination] = ends(slot.key);
            CountedEdge::between(source, destination).with(slot.sums)
        });
        let detailed = self.detailed.edges.iter();
        let detailed = detailed.filter(|(_, sums)| sums.flows > 0);
        let detailed = detailed.map(|(edge, sums)| CountedEdge::of(edge).with(*sums));
        let health = self.health.iter().map(|(key, health)| CountedEdge {
            health: Some(health),
            ..self.edge(key)
        });
        plain.chain(detailed).chain(health)
    }

    /// The edge of a key in the table of health, with nothing counted.
    fn edge(&self, key: Key) -> CountedEdge<'_> {
        let [source, destination] = ends(key);
        match self.detailed.get(destination.0) {
            Some(edge) if source == DETAILED => CountedEdge::of(edge),
            _ => CountedEdge::between(source, destination),
        }
    }

    /// Adds to an edge with a detail. `hash` is that of the edge. False as for [`Self::add`].
    fn add_detailed(&mut self, edge: &DetailedEdge, hash: u64, measures: &Measures) -> bool {
        let is_full = self.is_full();
        let sums = self.detailed.entry(edge, hash, is_full);
        sums.is_some_and(|(_, sums)| match sums.flows {
            0 => {
                *sums = SlotSums::of(measures);
                true
            }
            _ => sums.try_add(measures),
        })
    }

    /// Adds to the health of an edge with a detail. False as for [`Self::add`].
    fn add_detailed_health(
        &mut self,
        edge: &DetailedEdge,
        addition: &HealthAddition,
        parts: HealthParts,
    ) -> bool {
        let (hash, is_full) = (self.detailed.hash(edge), self.is_full());
        let Some((number, _)) = self.detailed.entry(edge, hash, is_full) else {
            return false;
        };
        self.add_health(Self::key(DETAILED, EndpointId(number)), addition, parts)
    }

    /// Adds to the health of an edge. False as for [`Self::add`].
    fn add_health(&mut self, key: Key, addition: &HealthAddition, parts: HealthParts) -> bool {
        self.health.add(key, addition, parts, self.max_edges)
    }

    /// Adds the health of a flow to an edge without a detail. False as for [`Self::add`].
    #[cfg(test)]
    pub(crate) fn add_flow_health(
        &mut self,
        source: EndpointId,
        destination: EndpointId,
        health: &crate::pipeline::FlowHealth,
    ) -> bool {
        let addition = HealthAddition::Packets(health.packets, health.round_trip_time);
        let key = Self::key(source, destination);
        self.add_health(key, &addition, HealthParts::CONNECTIONS)
    }

    /// Removes all edges. The room stays.
    pub fn clear(&mut self) {
        self.health.clear();
        if self.plain_edges > 0 {
            self.plain_edges = 0;
            self.slots.fill(Slot::default());
        }
        self.detailed.clear();
    }
}
