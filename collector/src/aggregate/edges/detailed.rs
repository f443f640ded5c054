//! Edges with a detail, and the sums of their traffic.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::SlotSums;
use crate::aggregate::detail::Detail;
use crate::inventory::EndpointId;

/// Two endpoints, and a detail of the records between them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::aggregate) struct DetailedEdge {
    pub(in crate::aggregate) source: EndpointId,
    pub(in crate::aggregate) destination: EndpointId,
    pub(in crate::aggregate) detail: Detail,
}

/// The edges with a detail by their number.
#[derive(Debug, Default)]
pub(super) struct DetailedEdges {
    /// With their sums, which are 0 if only health was counted.
    pub(super) edges: Vec<(DetailedEdge, SlotSums)>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl DetailedEdges {
    pub(super) fn hash(&self, edge: &DetailedEdge) -> u64 {
        self.hasher.hash_one(edge)
    }

    /// Reads where an edge with this hash should be, so that it is in the processor's cache when it
    /// is added to.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u32 {
        let touched = self.numbers.find(hash, |_| true);
        let edge = touched.and_then(|number| self.get(*number));
        edge.map_or(0, |edge| edge.source.0)
    }

    /// The number of an edge and its sums. `None` if it is new and there is no room.
    pub(super) fn entry(
        &mut self,
        edge: &DetailedEdge,
        hash: u64,
        is_full: bool,
    ) -> Option<(u32, &mut SlotSums)> {
        let Self {
            edges,
            numbers,
            hasher,
        } = self;
        let at = |number: &u32| {
            let at = usize::try_from(*number).ok()?;
            edges.get(at).map(|(edge, _)| edge)
        };
        let entry = numbers.entry(
            hash,
            |number| at(number) == Some(edge),
            |number| at(number).map_or(0, |edge| hasher.hash_one(edge)),
        );
        let number = match entry {
            Entry::Occupied(number) => *number.get(),
            Entry::Vacant(_) if is_full => return None,
            Entry::Vacant(room) => {
                let number = u32::try_from(edges.len()).ok()?;
                room.insert(number);
                edges.push((edge.clone(), SlotSums::default()));
                number
            }
        };
        let (_, sums) = edges.get_mut(usize::try_from(number).ok()?)?;
        Some((number, sums))
    }

    pub(super) fn get(&self, number: u32) -> Option<&DetailedEdge> {
        let (edge, _) = self.edges.get(usize::try_from(number).ok()?)?;
        Some(edge)
    }

    /// Removes all edges. The room stays.
    pub(super) fn clear(&mut self) {
        self.edges.clear();
        self.numbers.clear();
    }
}
