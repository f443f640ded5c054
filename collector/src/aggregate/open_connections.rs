//! Open TCP connections of one pipeline.
//!
//! A connection is in the table from a record that reports it as open until a record reports its
//! end. If the end is not received, it leaves the table after the timeout, which begins again with
//! every record that reports it as open. The number of its connections is a level of its edge.

use std::hash::BuildHasher;

use flowproto::tcp::ConnectionState;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use lru::LruCache;

use super::edges::{CountedEdge, DetailedEdge};
use crate::pipeline::{AddressAndPort, ConnectionHealth, Flow};

/// Bounds of a table of open connections.
#[derive(Clone, Copy, Debug)]
pub struct OpenConnectionSettings {
    /// Maximum number of connections, at least 1.
    pub max_connections: usize,
    /// Time after the latest record of an open connection after which it is presumed to have ended,
    /// milliseconds.
    pub timeout_milliseconds: u64,
}

impl Default for OpenConnectionSettings {
    fn default() -> Self {
        Self {
            max_connections: 262_144,
            timeout_milliseconds: 3_600_000,
        }
    }
}

/// What happened to the connections of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenConnectionCounts {
    /// Connections in the table.
    pub open: u64,
    /// Connections whose end was not received in time.
    pub expired: u64,
    /// Connections that were removed because the table was full.
    pub forgotten: u64,
}

impl OpenConnectionCounts {
    /// Adds the counts of another table.
    pub const fn add(&mut self, other: &Self) {
        self.open = self.open.saturating_add(other.open);
        self.expired = self.expired.saturating_add(other.expired);
        self.forgotten = self.forgotten.saturating_add(other.forgotten);
    }
}

/// The number of open connections of an edge.
#[derive(Clone, Debug)]
pub struct OpenEdge {
    pub(super) edge: DetailedEdge,
    pub(super) connections: u64,
}

impl OpenEdge {
    /// The edge as an item of a table.
    pub(super) fn counted(&self) -> CountedEdge<'_> {
        CountedEdge {
            open_connections: self.connections,
            ..CountedEdge::of(&self.edge)
        }
    }
}

/// The two ends of a connection in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ConnectionEnds([AddressAndPort; 2]);

impl ConnectionEnds {
    pub(super) fn of(flow: &Flow) -> Self {
        let mut ends = flow.ends();
        ends.sort_unstable();
        Self(ends)
    }
}

/// What a record reports of a connection.
#[derive(Clone, Debug)]
pub(super) enum ConnectionEvent {
    /// It is open, on this edge. It stands for this number of connections.
    Open(DetailedEdge, u64),
    /// It has ended.
    Ended,
}

impl ConnectionEvent {
    /// The event of a record. `is_counted`: its observer is the one whose connections count.
    /// `edge`: from the initiator to the responder.
    pub(super) fn of(
        connection: &ConnectionHealth,
        is_counted: bool,
        edge: impl FnOnce() -> DetailedEdge,
    ) -> Option<Self> {
        // Without a state, the observer that had reported the connection is not known.
        let is_counted_end = is_counted || connection.state == ConnectionState::Unknown;
        if connection.has_ended && is_counted_end {
            return Some(Self::Ended);
        }
        let is_open = connection.state == ConnectionState::Open && is_counted;
        is_open.then(|| Self::Open(edge(), connection.connections))
    }
}

#[derive(Clone, Copy, Debug)]
struct OpenConnection {
    /// Number of its edge.
    edge: u32,
    connections: u64,
    /// Time of the latest record, monotonic clock.
    seen_milliseconds: u64,
}

/// The open connections, in the order of their latest records.
#[derive(Debug)]
pub(super) struct OpenConnections {
    settings: OpenConnectionSettings,
    /// By a hash of their ends with random seeds: an equal hash of two of them is as good as
    /// impossible.
    connections: LruCache<u64, OpenConnection, RandomState>,
    edges: OpenEdges,
    hasher: RandomState,
    expired: u64,
    forgotten: u64,
}

impl OpenConnections {
    pub(super) fn new(settings: OpenConnectionSettings) -> Self {
        Self {
            settings,
            connections: LruCache::unbounded_with_hasher(RandomState::default()),
            edges: OpenEdges::default(),
            hasher: RandomState::default(),
            expired: 0,
            forgotten: 0,
        }
    }

    pub(super) fn counts(&self) -> OpenConnectionCounts {
        OpenConnectionCounts {
            open: u64::try_from(self.connections.len()).unwrap_or(u64::MAX),
            expired: self.expired,
            forgotten: self.forgotten,
        }
    }

    /// Applies what a record reports.
    pub(super) fn apply(&mut self, ends: ConnectionEnds, event: ConnectionEvent, now: u64) {
        let key = self.hasher.hash_one(ends);
        match event {
            ConnectionEvent::Ended => {
                if let Some(ended) = self.connections.pop(&key) {
                    self.edges.release(ended);
                }
            }
            ConnectionEvent::Open(edge, connections) => {
                let Some(edge) = self.edges.acquire(edge, connections) else {
                    return;
                };
                let open = OpenConnection {
                    edge,
                    connections,
                    seen_milliseconds: now,
                };
                if let Some(earlier) = self.connections.put(key, open) {
                    self.edges.release(earlier);
                } else if self.connections.len() > self.settings.max_connections {
                    self.forgotten = self.forgotten.saturating_add(1);
                    self.remove_oldest();
                }
            }
        }
    }

    /// Removes the connections of which no record was received within the timeout.
    pub(super) fn expire(&mut self, now: u64) {
        while let Some((_, oldest)) = self.connections.peek_lru() {
            let silence = now.saturating_sub(oldest.seen_milliseconds);
            if silence < self.settings.timeout_milliseconds {
                break;
            }
            self.expired = self.expired.saturating_add(1);
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, oldest)) = self.connections.pop_lru() {
            self.edges.release(oldest);
        }
    }

    /// Removes all connections.
    pub(super) fn clear(&mut self) {
        self.connections.clear();
        self.edges = OpenEdges::default();
    }

    /// The edges with open connections.
    pub(super) fn edges(&self) -> impl Iterator<Item = OpenEdge> {
        self.edges.slots.iter().flatten().map(|slot| OpenEdge {
            edge: slot.edge.clone(),
            connections: slot.connections,
        })
    }
}

/// Edges with open connections, by their number.
#[derive(Debug, Default)]
struct OpenEdges {
    slots: Vec<Option<EdgeSlot>>,
    numbers: HashTable<u32>,
    free: Vec<u32>,
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct EdgeSlot {
    edge: DetailedEdge,
    /// Number of entries of the table.
    entries: usize,
    /// Number of connections for which they stand.
    connections: u64,
}

impl OpenEdges {
    /// Adds connections to an edge. Returns its number.
    fn acquire(&mut self, edge: DetailedEdge, connections: u64) -> Option<u32> {
        let Self {
            slots,
            numbers,
            free,
            hasher,
        } = self;
        let at = |number: &u32| slot_at(slots, *number).map(|slot| &slot.edge);
        let entry = numbers.entry(
            hasher.hash_one(&edge),
            |number| at(number) == Some(&edge),
            |number| at(number).map_or(0, |edge| hasher.hash_one(edge)),
        );
        let number = match entry {
            Entry::Occupied(number) => *number.get(),
            Entry::Vacant(room) => {
                let slot = EdgeSlot {
                    edge,
                    entries: 0,
                    connections: 0,
                };
                let number = free.pop().or_else(|| u32::try_from(slots.len()).ok())?;
                room.insert(number);
                let place = usize::try_from(number).ok()?;
                match slots.get_mut(place) {
                    Some(place) => *place = Some(slot),
                    None => slots.push(Some(slot)),
                }
                number
            }
        };
        let slot = slots.get_mut(usize::try_from(number).ok()?)?.as_mut()?;
        slot.entries = slot.entries.saturating_add(1);
        slot.connections = slot.connections.saturating_add(connections);
        Some(number)
    }

    /// Removes a connection from its edge, and an edge without connections.
    fn release(&mut self, connection: OpenConnection) {
        let number = connection.edge;
        let Some(place) = usize::try_from(number)
            .ok()
            .and_then(|number| self.slots.get_mut(number))
        else {
            return;
        };
        let Some(slot) = place else {
            return;
        };
        slot.entries = slot.entries.saturating_sub(1);
        slot.connections = slot.connections.saturating_sub(connection.connections);
        if slot.entries > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&slot.edge);
        *place = None;
        if let Ok(entry) = self.numbers.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
        self.free.push(number);
    }
}

fn slot_at(slots: &[Option<EdgeSlot>], number: u32) -> Option<&EdgeSlot> {
    slots.get(usize::try_from(number).ok()?)?.as_ref()
}

#[cfg(test)]
mod tests {
    use flowproto::Address;

    use super::*;
    use crate::aggregate::detail::Detail;
    use crate::inventory::EndpointId;

    const TIMEOUT: u64 = 1000;

    fn table(max_connections: usize) -> OpenConnections {
        OpenConnections::new(OpenConnectionSettings {
            max_connections,
            timeout_milliseconds: TIMEOUT,
        })
    }

    fn ends(port: u16) -> ConnectionEnds {
        ConnectionEnds([(Address::default(), port), (Address::default(), 443)])
    }

    fn open(destination: u32, connections: u64) -> ConnectionEvent {
        let edge = DetailedEdge {
            source: EndpointId(1),
            destination: EndpointId(destination),
            detail: Detail::default(),
        };
        ConnectionEvent::Open(edge, connections)
    }

    fn levels(table: &OpenConnections) -> Vec<(u32, u64)> {
        let mut levels: Vec<_> = table
            .edges()
            .map(|open| (open.edge.destination.0, open.connections))
            .collect();
        levels.sort_unstable();
        levels
    }

    #[test]
    fn a_connection_counts_once_from_its_first_record_to_its_end() {
        let mut table = table(10);
        table.apply(ends(1), open(7, 1), 0);
        table.apply(ends(1), open(7, 1), 10);
        table.apply(ends(2), open(7, 1), 10);
        table.apply(ends(3), open(8, 20), 10);
        assert_eq!(levels(&table), [(7, 2), (8, 20)]);
        table.apply(ends(1), ConnectionEvent::Ended, 20);
        table.apply(ends(1), ConnectionEvent::Ended, 20);
        table.apply(ends(3), ConnectionEvent::Ended, 20);
        assert_eq!(levels(&table), [(7, 1)]);
        // The number of an edge without connections is used again.
        table.apply(ends(4), open(9, 1), 30);
        assert_eq!(levels(&table), [(7, 1), (9, 1)]);
        assert_eq!(table.edges.slots.len(), 2);
    }

    #[test]
    fn a_connection_whose_endpoints_are_known_later_moves_to_their_edge() {
        let mut table = table(10);
        table.apply(ends(1), open(0, 1), 0);
        table.apply(ends(1), open(7, 1), 10);
        assert_eq!(levels(&table), [(7, 1)]);
    }

    #[test]
    fn a_connection_without_records_leaves_after_the_timeout() {
        let mut table = table(10);
        table.apply(ends(1), open(7, 1), 0);
        table.apply(ends(2), open(7, 1), 100);
        table.apply(ends(1), open(7, 1), 500);
        table.expire(TIMEOUT + 99);
        assert_eq!(levels(&table), [(7, 2)]);
        table.expire(TIMEOUT + 100);
        assert_eq!(levels(&table), [(7, 1)]);
        table.expire(TIMEOUT + 500);
        assert_eq!(levels(&table), []);
        let expected = OpenConnectionCounts {
            expired: 2,
            ..OpenConnectionCounts::default()
        };
        assert_eq!(table.counts(), expected);
    }

    #[test]
    fn a_full_table_forgets_the_connection_without_records_for_longest() {
        let mut table = table(2);
        table.apply(ends(1), open(1, 1), 0);
        table.apply(ends(2), open(2, 1), 1);
        table.apply(ends(1), open(1, 1), 2);
        table.apply(ends(3), open(3, 1), 3);
        assert_eq!(levels(&table), [(1, 1), (3, 1)]);
        let expected = OpenConnectionCounts {
            open: 2,
            expired: 0,
            forgotten: 1,
        };
        assert_eq!(table.counts(), expected);
        table.clear();
        assert_eq!(levels(&table), []);
    }
}
