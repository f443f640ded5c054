//! The edges of one pipeline: what was counted for each pair of endpoints since the last drain.
//!
//! A record costs one access to a table whose entries share a line of the processor's cache with
//! their key. The accesses of a block of records are made together, so that their cache misses
//! overlap. If an active family needs details of records, an edge is a pair of endpoints with a
//! detail, and a record costs a second access to find the number of that edge. Connection health is
//! in a table of its own.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::detail::Detail;
use super::edge_health::{EdgeHealth, HealthAddition, HealthTable};
use super::health::HealthParts;
use crate::inventory::EndpointId;
use crate::pipeline::Measures;

/// Slots of a new table, a power of two.
const INITIAL_SLOTS: usize = 1 << 10;

/// Source and destination of an edge, or the number of a [`DetailedEdge`], plus one, so that 0 is an
/// empty slot.
type Key = u64;

/// Sums of measures by edge. Owned by one thread. It grows with the number of edges up to a bound
/// and keeps its room, so that counting does not allocate once it is warm.
#[derive(Debug)]
pub struct EdgeTable {
    /// Open addressing with linear probing, at most half full. The length is a power of two.
    slots: Vec<Slot>,
    edges: usize,
    max_edges: usize,
    /// The edges with a detail. If there are any, all edges have one.
    detailed: DetailedEdges,
    health: HealthTable,
    /// Spreads keys in a way that differs from process to process.
    seed: u64,
}

/// Two endpoints, and a detail of the records between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DetailedEdge {
    pub(super) source: EndpointId,
    pub(super) destination: EndpointId,
    pub(super) detail: Detail,
}

/// Edges by their number.
#[derive(Debug, Default)]
struct DetailedEdges {
    edges: Vec<DetailedEdge>,
    numbers: HashTable<u32>,
    hasher: RandomState,
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

impl CountedEdge<'_> {
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
    /// Adds a flow. False if a sum of connections or flows would be more than `u32::MAX`: nothing was
    /// added.
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

impl EdgeTable {
    /// Creates an empty table for `max_edges`, which is at least 1.
    #[must_use]
    pub fn new(max_edges: usize) -> Self {
        Self {
            slots: vec![Slot::default(); INITIAL_SLOTS],
            edges: 0,
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

    /// Adds to an edge. False if the edge is new and the table full, or if a sum would be too large:
    /// nothing was added, and the table must be drained first.
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
        if self.edges >= self.max_edges {
            return false;
        }
        if self.edges >= self.slots.len() / 2 {
            self.grow();
        }
        self.edges = self.edges.saturating_add(1);
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

    /// Reads the slot where a key should be, so that it is in the processor's cache when it is added to.
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
        self.edges
    }

    /// True if nothing was counted since the last drain.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.edges == 0 && self.health.is_empty()
    }

    /// The edges with their traffic, then those with health.
    pub fn iter(&self) -> impl Iterator<Item = CountedEdge<'_>> {
        let used = self.slots.iter().filter(|slot| slot.key != 0);
        let traffic = used.map(|slot| self.counted(slot.key.wrapping_sub(1), slot.sums));
        let health = self.health.iter().map(|(key, health)| CountedEdge {
            health: Some(health),
            ..self.counted(key.wrapping_sub(1), SlotSums::default())
        });
        traffic.chain(health)
    }

    fn counted(&self, key: Key, sums: SlotSums) -> CountedEdge<'_> {
        let low = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap_or(0);
        let (source, destination, detail) = match self.detailed.get(low(key)) {
            Some(edge) => (edge.source, edge.destination, Some(&edge.detail)),
            None => (EndpointId(low(key >> 32)), EndpointId(low(key)), None),
        };
        CountedEdge {
            source,
            destination,
            detail,
            measures: Measures {
                bytes: sums.bytes,
                packets: sums.packets,
                connections: sums.connections.into(),
            },
            flows: sums.flows.into(),
            health: None,
            open_connections: 0,
        }
    }

    /// Adds to an edge with a detail. False as for [`Self::add`].
    #[must_use]
    pub(super) fn add_detailed(&mut self, edge: &DetailedEdge, measures: &Measures) -> bool {
        let Some(number) = self.detailed.number(edge, self.max_edges) else {
            return false;
        };
        self.add_key(u64::from(number).wrapping_add(1), measures)
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
        let addition = HealthAddition::of_packets(health);
        let key = Self::key(source, destination);
        self.add_health(key, &addition, HealthParts::CONNECTIONS)
    }

    /// Adds to the health of an edge with a detail. False as for [`Self::add`].
    fn add_detailed_health(
        &mut self,
        edge: &DetailedEdge,
        addition: &HealthAddition,
        parts: HealthParts,
    ) -> bool {
        let Some(number) = self.detailed.number(edge, self.max_edges) else {
            return false;
        };
        self.add_health(u64::from(number).wrapping_add(1), addition, parts)
    }

    /// Removes all edges. The room stays.
    pub fn clear(&mut self) {
        self.health.clear();
        if self.edges > 0 {
            self.edges = 0;
            self.slots.fill(Slot::default());
        }
        self.detailed.edges.clear();
        self.detailed.numbers.clear();
    }
}

impl DetailedEdges {
    /// The number of an edge. `None` if it is new and there are `max` already.
    fn number(&mut self, edge: &DetailedEdge, max: usize) -> Option<u32> {
        let Self {
            edges,
            numbers,
            hasher,
        } = self;
        let at = |number: &u32| usize::try_from(*number).ok().and_then(|at| edges.get(at));
        let entry = numbers.entry(
            hasher.hash_one(edge),
            |number| at(number) == Some(edge),
            |number| at(number).map_or(0, |edge| hasher.hash_one(edge)),
        );
        match entry {
            Entry::Occupied(number) => Some(*number.get()),
            Entry::Vacant(_) if edges.len() >= max => None,
            Entry::Vacant(room) => {
                let number = u32::try_from(edges.len()).ok()?;
                room.insert(number);
                edges.push(edge.clone());
                Some(number)
            }
        }
    }

    fn get(&self, number: u32) -> Option<&DetailedEdge> {
        self.edges.get(usize::try_from(number).ok()?)
    }
}

/// The edges of a block of records, added together.
#[derive(Debug, Default)]
pub struct EdgeBatch {
    edges: Vec<(Key, Measures)>,
    detailed: Vec<(DetailedEdge, Measures)>,
    health: Vec<(Key, HealthAddition)>,
    detailed_health: Vec<(DetailedEdge, HealthAddition)>,
    health_parts: HealthParts,
}

impl EdgeBatch {
    /// Creates an empty batch that counts these parts of connection health.
    #[must_use]
    pub(super) fn new(health_parts: HealthParts) -> Self {
        Self {
            health_parts,
            ..Self::default()
        }
    }

    /// Sets the parts of connection health that are counted of the next records.
    pub(super) const fn set_health(&mut self, parts: HealthParts) {
        self.health_parts = parts;
    }

    /// Adds a record to the batch.
    #[inline]
    pub fn push(&mut self, source: EndpointId, destination: EndpointId, measures: Measures) {
        self.edges
            .push((EdgeTable::key(source, destination), measures));
    }

    /// Adds a record with a detail to the batch.
    pub(super) fn push_detailed(&mut self, edge: DetailedEdge, measures: Measures) {
        self.detailed.push((edge, measures));
    }

    /// Adds the health of an edge to the batch.
    pub(super) fn push_health(
        &mut self,
        source: EndpointId,
        destination: EndpointId,
        addition: HealthAddition,
    ) {
        self.health
            .push((EdgeTable::key(source, destination), addition));
    }

    /// Adds the health of an edge with a detail to the batch.
    pub(super) fn push_detailed_health(&mut self, edge: DetailedEdge, addition: HealthAddition) {
        self.detailed_health.push((edge, addition));
    }

    /// Adds the batch to a table. `drain` empties the table when it is full.
    #[inline]
    pub fn add_to(&mut self, table: &mut EdgeTable, mut drain: impl FnMut(&mut EdgeTable)) {
        let mut touched = 0;
        for (key, _) in &self.edges {
            touched ^= table.touch(*key);
        }
        std::hint::black_box(touched);
        for (key, measures) in &self.edges {
            if !table.add_key(*key, measures) {
                drain(table);
                let is_added = table.add_key(*key, measures);
                debug_assert!(is_added, "an empty table takes an edge");
            }
        }
        self.edges.clear();
        for (edge, measures) in &self.detailed {
            if !table.add_detailed(edge, measures) {
                drain(table);
                let is_added = table.add_detailed(edge, measures);
                debug_assert!(is_added, "an empty table takes an edge");
            }
        }
        self.detailed.clear();
        self.add_health_to(table, drain);
    }

    fn add_health_to(&mut self, table: &mut EdgeTable, mut drain: impl FnMut(&mut EdgeTable)) {
        let parts = self.health_parts;
        for (key, addition) in self.health.drain(..) {
            if !table.add_health(key, &addition, parts) {
                drain(table);
                let is_added = table.add_health(key, &addition, parts);
                debug_assert!(is_added, "an empty table takes an edge");
            }
        }
        for (edge, addition) in self.detailed_health.drain(..) {
            if !table.add_detailed_health(&edge, &addition, parts) {
                drain(table);
                let is_added = table.add_detailed_health(&edge, &addition, parts);
                debug_assert!(is_added, "an empty table takes an edge");
            }
        }
    }
}

#[cfg(test)]
mod tests;
