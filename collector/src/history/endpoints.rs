//! The endpoints that edges of the history refer to, each stored once.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::endpoint::StoredEndpoint;

/// Position of an endpoint in the table.
pub(super) type EndpointSlot = u32;

/// The slot of the endpoint that stands for all that found no room.
pub(super) const OTHER: EndpointSlot = 0;

/// The endpoints by slot, shared with the snapshots that queries read.
pub(super) type EndpointList = Arc<Vec<Option<Arc<StoredEndpoint>>>>;

/// Endpoints by slot. A slot is used again when no interval refers to its endpoint.
#[derive(Debug)]
pub(super) struct EndpointTable {
    list: EndpointList,
    /// Begin of the last interval that refers to each slot, milliseconds since the epoch.
    last_used: Vec<u64>,
    free: Vec<EndpointSlot>,
    slots: HashTable<EndpointSlot>,
    hasher: RandomState,
    octets: usize,
    max_octets: usize,
    refused: u64,
}

impl EndpointTable {
    pub(super) fn new(max_octets: usize) -> Self {
        Self {
            list: Arc::new(vec![Some(Arc::new(StoredEndpoint::other()))]),
            last_used: vec![u64::MAX],
            free: Vec::new(),
            slots: HashTable::new(),
            hasher: RandomState::default(),
            octets: 0,
            max_octets,
            refused: 0,
        }
    }

    /// Creates a table of stored endpoints. `last_used` has the begin of the last interval that
    /// refers to each slot. `None` if there is no room for them.
    pub(super) fn restored(
        list: EndpointList,
        mut last_used: Vec<u64>,
        max_octets: usize,
    ) -> Option<Self> {
        last_used.resize(list.len(), 0);
        let other = Self::new(max_octets);
        if get(&list, OTHER) != get(&other.list, OTHER) {
            return None;
        }
        let mut table = Self { list, ..other };
        if let Some(last) = last_used.first_mut() {
            *last = u64::MAX;
        }
        table.last_used = last_used;
        let list = Arc::clone(&table.list);
        for (endpoint, slot) in list.iter().zip(0..).skip(1) {
            let Some(endpoint) = endpoint else {
                table.free.push(slot);
                continue;
            };
            table.octets = table.octets.saturating_add(endpoint.octets());
            let hash = table.hasher.hash_one(&**endpoint);
            let rehash = |slot: &EndpointSlot| {
                get(&list, *slot).map_or(0, |endpoint| table.hasher.hash_one(endpoint))
            };
            table.slots.insert_unique(hash, slot, rehash);
        }
        (table.octets <= max_octets).then_some(table)
    }

    /// The slot of an endpoint, which is kept if it is new for the interval that begins at `begin`.
    /// [`OTHER`] if there is no room.
    pub(super) fn slot(&mut self, endpoint: StoredEndpoint, begin: u64) -> EndpointSlot {
        let hash = self.hasher.hash_one(&endpoint);
        let known = self
            .slots
            .find(hash, |slot| get(&self.list, *slot) == Some(&endpoint));
        if let Some(slot) = known.copied() {
            return slot;
        }
        let octets = endpoint.octets();
        if self.octets.saturating_add(octets) > self.max_octets {
            return OTHER;
        }
        let list = Arc::make_mut(&mut self.list);
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let Ok(slot) = EndpointSlot::try_from(list.len()) else {
                    return OTHER;
                };
                list.push(None);
                self.last_used.push(begin);
                slot
            }
        };
        if let Some(place) = list.get_mut(index(slot)) {
            *place = Some(Arc::new(endpoint));
        }
        self.octets += octets;
        if let Some(last) = self.last_used.get_mut(index(slot)) {
            *last = begin;
        }
        let (list, hasher) = (&self.list, &self.hasher);
        let rehash = |slot: &EndpointSlot| get(list, *slot).map_or(0, |e| hasher.hash_one(e));
        self.slots.insert_unique(hash, slot, rehash);
        slot
    }

    /// Records that an edge of the interval that begins at `begin` refers to a slot.
    #[inline]
    pub(super) fn refer(&mut self, slot: EndpointSlot, begin: u64) {
        if slot == OTHER {
            self.refused = self.refused.wrapping_add(1);
        } else if let Some(last) = self.last_used.get_mut(index(slot)) {
            *last = begin.max(*last);
        }
    }

    /// Removes the endpoints that no interval from `oldest_begin` on refers to. True if there were
    /// any.
    pub(super) fn remove_unused(&mut self, oldest_begin: u64) -> bool {
        let used = self.last_used.iter().zip(0..);
        let unused: Vec<EndpointSlot> = used
            .filter(|(last, slot)| **last < oldest_begin && get(&self.list, *slot).is_some())
            .map(|(_, slot)| slot)
            .collect();
        if unused.is_empty() {
            return false;
        }
        for slot in &unused {
            let Some(endpoint) = get(&self.list, *slot) else {
                continue;
            };
            self.octets = self.octets.saturating_sub(endpoint.octets());
            let hash = self.hasher.hash_one(endpoint);
            if let Ok(entry) = self.slots.find_entry(hash, |known| known == slot) {
                entry.remove();
            }
        }
        let list = Arc::make_mut(&mut self.list);
        for slot in &unused {
            if let Some(place) = list.get_mut(index(*slot)) {
                *place = None;
            }
        }
        self.free.extend(unused);
        true
    }

    /// The endpoints by slot.
    pub(super) fn list(&self) -> EndpointList {
        Arc::clone(&self.list)
    }

    /// Maximum octets of memory.
    pub(super) const fn max_octets(&self) -> usize {
        self.max_octets
    }

    /// Number of endpoints.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Octets of memory.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// Number of references to [`OTHER`] for lack of room.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }
}

/// The endpoint in a slot.
pub(super) fn get(
    list: &[Option<Arc<StoredEndpoint>>],
    slot: EndpointSlot,
) -> Option<&StoredEndpoint> {
    list.get(index(slot))?.as_deref()
}

fn index(slot: EndpointSlot) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(number: u32) -> StoredEndpoint {
        StoredEndpoint::of_pod("shop", "web", &format!("web-{number}"), "node-a")
    }

    #[test]
    fn an_endpoint_is_stored_once_and_its_slot_is_used_again() {
        let mut table = EndpointTable::new(1 << 20);
        let first = table.slot(pod(1), 10);
        let second = table.slot(pod(2), 10);
        assert_eq!(table.slot(pod(1), 20), first);
        table.refer(first, 20);
        assert_eq!(table.len(), 2);
        let before = table.list();
        assert!(table.remove_unused(20));
        assert!(!table.remove_unused(20));
        assert_eq!(table.len(), 1);
        assert_eq!(table.slot(pod(3), 30), second);
        // A query that began earlier still sees what it referred to.
        assert_eq!(get(&before, second), Some(&pod(2)));
        assert_eq!(get(&table.list(), second), Some(&pod(3)));
    }

    #[test]
    fn a_full_table_uses_other_and_counts_it() {
        let mut table = EndpointTable::new(pod(1).octets());
        let first = table.slot(pod(1), 1);
        assert_ne!(first, OTHER);
        assert_eq!(table.slot(pod(2), 1), OTHER);
        assert_eq!(table.slot(pod(1), 1), first);
        for slot in [first, OTHER] {
            table.refer(slot, 1);
        }
        assert_eq!(table.refused(), 1);
        table.remove_unused(2);
        assert_eq!(table.octets(), 0);
        assert_ne!(table.slot(pod(2), 2), OTHER);
        assert!(get(&table.list(), OTHER).is_some());
    }
}
