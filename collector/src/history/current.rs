//! The current interval: edges by key, until the interval ends.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::endpoints::OTHER;
use super::interval::{EdgeKey, Interval};
use super::measures::{Health, Stored};
use crate::pipeline::Measures;

/// Edges of the current interval. Connection health is apart from the traffic, because few edges
/// may have it.
#[derive(Debug)]
pub(super) struct CurrentInterval {
    /// Milliseconds since the epoch.
    pub(super) begin: u64,
    traffic: EdgeMap<Measures>,
    health: EdgeMap<Health>,
}

impl CurrentInterval {
    /// Creates an empty interval with a maximum number of octets for each of its tables.
    pub(super) fn new(begin: u64, traffic_octets: usize, health_octets: usize) -> Self {
        Self {
            begin,
            traffic: EdgeMap::new(traffic_octets),
            health: EdgeMap::new(health_octets),
        }
    }

    /// Maximum octets of both tables.
    pub(super) const fn max_octets(&self) -> usize {
        self.traffic
            .max_octets()
            .saturating_add(self.health.max_octets())
    }

    /// Octets of both tables.
    pub(super) fn octets(&self) -> usize {
        self.traffic.octets().saturating_add(self.health.octets())
    }

    /// Number of additions to [`OTHER`] because a table was full.
    pub(super) const fn refused(&self) -> u64 {
        self.traffic.refused.wrapping_add(self.health.refused)
    }

    pub(super) fn add_traffic(&mut self, key: EdgeKey, measures: &Measures) {
        self.traffic.add(key, measures);
    }

    pub(super) fn add_health(&mut self, key: EdgeKey, health: &Health) {
        self.health.add(key, health);
    }

    /// Adds the edges of an interval.
    pub(super) fn add(&mut self, interval: &Interval) {
        for (key, measures) in interval.traffic() {
            self.traffic.add(key, &measures);
        }
        for (key, health) in interval.health() {
            self.health.add(key, &health);
        }
    }

    /// A copy of the edges, not sorted.
    pub(super) fn copy(&self) -> CurrentEdges {
        CurrentEdges {
            begin: self.begin,
            traffic: self.traffic.copy(),
            health: self.health.copy(),
        }
    }

    /// Removes the edges, as an interval, and begins the next one.
    pub(super) fn close(&mut self, next: u64) -> Interval {
        let edges = self.copy();
        self.traffic.clear();
        self.health.clear();
        self.begin = next;
        edges.into()
    }
}

/// The edges of the current interval, not sorted.
#[derive(Debug)]
pub(super) struct CurrentEdges {
    begin: u64,
    traffic: Vec<(EdgeKey, Measures)>,
    health: Vec<(EdgeKey, Health)>,
}

impl From<CurrentEdges> for Interval {
    fn from(mut edges: CurrentEdges) -> Self {
        edges.traffic.sort_unstable_by_key(|(key, _)| *key);
        edges.health.sort_unstable_by_key(|(key, _)| *key);
        Self::new(edges.begin, edges.traffic, edges.health)
    }
}

/// A bounded table of edges.
#[derive(Debug)]
struct EdgeMap<V> {
    edges: HashMap<EdgeKey, V, RandomState>,
    /// Maximum number of edges other than that of [`OTHER`].
    max: usize,
    refused: u64,
}

impl<V: Stored> EdgeMap<V> {
    /// Octets of an edge, with one octet of the table itself.
    const EDGE_OCTETS: usize = size_of::<(EdgeKey, V)>() + 1;

    /// Creates a table that needs at most `octets`: its size is a power of two, and one eighth of
    /// it stays empty.
    fn new(octets: usize) -> Self {
        let places = (octets / Self::EDGE_OCTETS).max(64);
        let places = places.checked_next_power_of_two().map_or(places, |next| {
            if next == places { places } else { next / 2 }
        });
        Self {
            edges: HashMap::default(),
            // One place is left for the edge of those that find no room.
            max: places / 8 * 7 - 1,
            refused: 0,
        }
    }

    /// Octets when it is full.
    const fn max_octets(&self) -> usize {
        ((self.max + 1) / 7 * 8).saturating_mul(Self::EDGE_OCTETS)
    }

    fn octets(&self) -> usize {
        self.edges.capacity().saturating_mul(Self::EDGE_OCTETS) / 7 * 8
    }

    fn add(&mut self, key: EdgeKey, values: &V) {
        let is_full = self.edges.len() >= self.max;
        let key = if is_full && !self.edges.contains_key(&key) {
            self.refused = self.refused.wrapping_add(1);
            (OTHER, OTHER)
        } else {
            key
        };
        self.edges.entry(key).or_default().add(values);
    }

    fn copy(&self) -> Vec<(EdgeKey, V)> {
        let edges = self.edges.iter();
        edges.map(|(key, values)| (*key, *values)).collect()
    }

    fn clear(&mut self) {
        let edges = self.edges.len();
        self.edges.clear();
        // A burst must not take memory for ever.
        self.edges.shrink_to(edges.saturating_mul(2));
    }
}
