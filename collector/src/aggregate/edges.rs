//! The edge table: what a worker counted since it was last drained.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::inventory::EndpointId;

/// What is measured of an edge. Plain `u64`; a sum that would pass `u64::MAX` stays there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Octets of IP packets, scaled by the sampling in force.
    pub bytes: u64,
    /// Packets, scaled by the sampling in force.
    pub packets: u64,
    /// New connections.
    pub connections: u64,
}

impl Measures {
    /// Adds `other` to this.
    pub const fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.packets = self.packets.saturating_add(other.packets);
        self.connections = self.connections.saturating_add(other.connections);
    }
}

/// (source, destination) → what was measured. Owned by one worker. It grows to what the traffic needs,
/// up to its bound, and keeps that room, so that counting does not allocate once it is warm.
#[derive(Debug)]
pub struct EdgeTable {
    edges: HashMap<u64, Measures, RandomState>,
    bound: usize,
}

impl EdgeTable {
    /// An empty table for `bound` edges, ≥ 2.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self {
            edges: HashMap::with_hasher(RandomState::default()),
            bound,
        }
    }

    /// Counts one direction of a record. False where the edge is new and the table full: nothing was
    /// counted, the table must be drained first.
    #[must_use]
    pub fn count(
        &mut self,
        source: EndpointId,
        destination: EndpointId,
        measures: &Measures,
    ) -> bool {
        let key = u64::from(source.0) << 32 | u64::from(destination.0);
        if let Some(sum) = self.edges.get_mut(&key) {
            sum.add(measures);
            return true;
        }
        if self.edges.len() >= self.bound {
            return false;
        }
        self.edges.insert(key, *measures);
        true
    }

    /// Edges in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// True where nothing was counted since the last drain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// Takes all edges out; the room stays.
    pub fn drain(&mut self) -> impl Iterator<Item = (EndpointId, EndpointId, Measures)> {
        self.edges.drain().map(|(key, measures)| {
            let end = |bits: u64| EndpointId(u32::try_from(bits & 0xffff_ffff).unwrap_or(0));
            (end(key >> 32), end(key), measures)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: u64) -> Measures {
        Measures {
            bytes,
            ..Measures::default()
        }
    }

    #[test]
    fn an_edge_sums_what_it_is_given_and_direction_matters() {
        let mut table = EdgeTable::new(8);
        assert!(table.count(EndpointId(1), EndpointId(2), &bytes(10)));
        assert!(table.count(EndpointId(1), EndpointId(2), &bytes(5)));
        assert!(table.count(EndpointId(2), EndpointId(1), &bytes(1)));
        let mut drained: Vec<_> = table.drain().map(|(s, d, m)| (s.0, d.0, m.bytes)).collect();
        drained.sort_unstable();
        assert_eq!(drained, [(1, 2, 15), (2, 1, 1)]);
        assert!(table.is_empty());
    }

    #[test]
    fn a_full_table_takes_known_edges_but_no_new_one() {
        let mut table = EdgeTable::new(1);
        assert!(table.count(EndpointId(1), EndpointId(2), &bytes(1)));
        assert!(!table.count(EndpointId(3), EndpointId(4), &bytes(1)));
        assert!(table.count(EndpointId(1), EndpointId(2), &bytes(1)));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_sum_beyond_the_largest_number_stays_there() {
        let mut sum = bytes(u64::MAX);
        sum.add(&bytes(1));
        assert_eq!(sum.bytes, u64::MAX);
    }
}
