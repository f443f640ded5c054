//! Connection health of edges: counts and observed times since the last drain.
//!
//! Only edges with health have an entry, and it is apart from their traffic, so that records
//! without health cost nothing.

use std::hash::BuildHasher;

use enum_map::{Enum, EnumMap};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::buckets::{self, BucketNumber};
use super::health::{Distribution, HealthCount, HealthParts, Observed};
use super::health_addition::HealthAddition;

/// Maximum number of buckets for each edge that a table may have, on average.
const BUCKETS_PER_EDGE: usize = 8;
/// The end of a list of buckets.
const END: u32 = u32::MAX;

/// Sums of additions.
#[derive(Clone, Copy, Debug, Default)]
struct HealthSums {
    counts: EnumMap<HealthCount, u64>,
    observed: EnumMap<Distribution, Observed>,
    /// The shortest round-trip time, microseconds; 0 if unknown.
    shortest_round_trip: u32,
}

/// The health of edges by their key.
#[derive(Debug, Default)]
pub(super) struct HealthTable {
    edges: Vec<EdgeSums>,
    numbers: HashTable<u32>,
    buckets: Vec<BucketCount>,
    /// Positions of buckets by edge, distribution and number.
    bucket_numbers: HashTable<u32>,
    hasher: RandomState,
}

/// The sums of an edge.
#[derive(Clone, Copy, Debug)]
struct EdgeSums {
    key: u64,
    sums: HealthSums,
    /// The first of its buckets.
    buckets: u32,
}

#[derive(Clone, Copy, Debug)]
struct BucketCount {
    /// Position of the edge.
    edge: usize,
    distribution: Distribution,
    number: BucketNumber,
    count: u64,
    /// The next bucket of the same edge.
    next: u32,
}

/// The health of an edge.
#[derive(Clone, Copy, Debug)]
pub struct EdgeHealth<'a> {
    sums: &'a HealthSums,
    first: u32,
    buckets: &'a [BucketCount],
}

impl HealthSums {
    #[inline]
    fn add(&mut self, addition: &HealthAddition) {
        addition.for_each_count(|count, more| {
            let sum = &mut self.counts[count];
            *sum = sum.saturating_add(more);
        });
        addition.for_each_observation(|distribution, more| {
            let sum = &mut self.observed[distribution];
            sum.sum = sum.sum.saturating_add(more.sum);
            sum.count = sum.count.saturating_add(more.count);
        });
        if let HealthAddition::Packets(_, times) = addition {
            self.shortest_round_trip = match (self.shortest_round_trip, times.minimum_microseconds)
            {
                (0, shortest) | (shortest, 0) => shortest,
                (one, other) => one.min(other),
            };
        }
    }
}

impl HealthTable {
    /// Adds to an edge. False if it is new and there are `max_edges` already, or if there are too
    /// many buckets: nothing was added.
    #[must_use]
    pub(super) fn add(
        &mut self,
        key: u64,
        addition: &HealthAddition,
        parts: HealthParts,
        max_edges: usize,
    ) -> bool {
        let max_buckets = max_edges.saturating_mul(BUCKETS_PER_EDGE);
        if self.buckets.len().saturating_add(Distribution::LENGTH) > max_buckets {
            return false;
        }
        let Some(at) = self.position(key, max_edges) else {
            return false;
        };
        let Some(edge) = self.edges.get_mut(at) else {
            return false;
        };
        edge.sums.add(addition);
        if parts.has_buckets() {
            addition.for_each_observation(|distribution, observed| {
                // The value of a record is the mean of its observations.
                if let Some(mean) = observed.sum.checked_div(observed.count)
                    && parts.with_buckets[distribution]
                {
                    let number = buckets::number_of(mean);
                    self.count(at, distribution, number, observed.count);
                }
            });
        }
        true
    }

    /// Reads the sums of an edge, so that they are in the processor's cache when it is added to.
    #[inline]
    pub(super) fn touch(&self, key: u64) -> u64 {
        let edge_at = |number: &u32| self.edges.get(usize::try_from(*number).ok()?);
        let hash = self.hasher.hash_one(key);
        let is_it = |number: &u32| edge_at(number).is_some_and(|edge| edge.key == key);
        let edge = self.numbers.find(hash, is_it).and_then(edge_at);
        edge.map_or(0, |edge| edge.sums.observed[Distribution::RoundTrip].sum)
    }

    /// The position of an edge. `None` if it is new and there are `max` already.
    fn position(&mut self, key: u64, max: usize) -> Option<usize> {
        let Self {
            edges,
            numbers,
            hasher,
            ..
        } = self;
        let key_of = |number: &u32| {
            let at = usize::try_from(*number).ok()?;
            edges.get(at).map(|edge| edge.key)
        };
        let entry = numbers.entry(
            hasher.hash_one(key),
            |number| key_of(number) == Some(key),
            |number| key_of(number).map_or(0, |key| hasher.hash_one(key)),
        );
        let number = match entry {
            Entry::Occupied(number) => *number.get(),
            Entry::Vacant(_) if edges.len() >= max => return None,
            Entry::Vacant(room) => {
                let number = u32::try_from(edges.len()).ok()?;
                room.insert(number);
                edges.push(EdgeSums {
                    key,
                    sums: HealthSums::default(),
                    buckets: END,
                });
                number
            }
        };
        usize::try_from(number).ok()
    }

    /// Counts observations in a bucket of an edge.
    fn count(
        &mut self,
        edge: usize,
        distribution: Distribution,
        number: BucketNumber,
        observations: u64,
    ) {
        let Self {
            edges,
            buckets,
            bucket_numbers,
            hasher,
            ..
        } = self;
        let key = (edge, distribution, number);
        let key_of = |at: &u32| bucket_at(buckets, *at).map(BucketCount::key);
        let entry = bucket_numbers.entry(
            hasher.hash_one(key),
            |at| key_of(at) == Some(key),
            |at| key_of(at).map_or(0, |key| hasher.hash_one(key)),
        );
        match entry {
            Entry::Occupied(at) => {
                let at = usize::try_from(*at.get()).ok();
                if let Some(bucket) = at.and_then(|at| buckets.get_mut(at)) {
                    bucket.count = bucket.count.saturating_add(observations);
                }
            }
            Entry::Vacant(room) => {
                let (Ok(new), Some(sums)) = (u32::try_from(buckets.len()), edges.get_mut(edge))
                else {
                    return;
                };
                room.insert(new);
                buckets.push(BucketCount {
                    edge,
                    distribution,
                    number,
                    count: observations,
                    next: sums.buckets,
                });
                sums.buckets = new;
            }
        }
    }

    /// The edges by their key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, EdgeHealth<'_>)> {
        self.edges.iter().map(|edge| {
            let health = EdgeHealth {
                sums: &edge.sums,
                first: edge.buckets,
                buckets: &self.buckets,
            };
            (edge.key, health)
        })
    }

    /// True if no edge has health.
    pub(super) const fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// Removes all edges. The room stays.
    pub(super) fn clear(&mut self) {
        self.edges.clear();
        self.numbers.clear();
        self.buckets.clear();
        self.bucket_numbers.clear();
    }
}

impl BucketCount {
    const fn key(&self) -> (usize, Distribution, BucketNumber) {
        (self.edge, self.distribution, self.number)
    }
}

impl EdgeHealth<'_> {
    /// A count.
    #[must_use]
    pub fn count(&self, count: HealthCount) -> u64 {
        self.sums.counts[count]
    }

    /// The observations of a distribution.
    #[must_use]
    pub fn observed(&self, distribution: Distribution) -> Observed {
        self.sums.observed[distribution]
    }

    /// The shortest round-trip time, microseconds. 0 if unknown.
    #[must_use]
    pub fn shortest_round_trip(&self) -> u64 {
        self.sums.shortest_round_trip.into()
    }

    /// True if it has more than comparisons of what two nodes observed.
    #[must_use]
    pub fn has_connections(&self) -> bool {
        let mut counts = self.sums.counts.iter();
        let mut observed = self.sums.observed.values();
        counts.any(|(count, value)| !count.is_comparison() && *value > 0)
            || observed.any(|observed| observed.count > 0)
    }

    /// The buckets of a distribution with the number of observations.
    pub(super) fn buckets(
        &self,
        distribution: Distribution,
    ) -> impl Iterator<Item = (BucketNumber, u64)> {
        let mut next = self.first;
        let all = std::iter::from_fn(move || {
            let bucket = bucket_at(self.buckets, next)?;
            next = bucket.next;
            Some(bucket)
        });
        all.filter(move |bucket| bucket.distribution == distribution)
            .map(|bucket| (bucket.number, bucket.count))
    }
}

fn bucket_at(buckets: &[BucketCount], at: u32) -> Option<&BucketCount> {
    buckets.get(usize::try_from(at).ok()?)
}

#[cfg(test)]
mod tests {
    use flowproto::dns::DnsHealth;
    use flowproto::http::HttpHealth;
    use flowproto::tcp::RoundTripTime;

    use super::*;
    use crate::pipeline::{ConnectionHealth, PacketHealth};

    const ALL: HealthParts = HealthParts {
        is_needed: true,
        compares: false,
        has_open_connections: false,
        with_buckets: EnumMap::from_array([true; 5]),
    };

    /// Observations of times with this sum in microseconds.
    fn observation(distribution: Distribution, sum: u64, count: u32) -> HealthAddition {
        let times = RoundTripTime {
            sum_microseconds: sum,
            samples: count,
            minimum_microseconds: 1,
        };
        let connection = ConnectionHealth {
            connections: count.into(),
            ..ConnectionHealth::default()
        };
        let mean = sum / u64::from(count);
        match distribution {
            Distribution::RoundTrip => HealthAddition::Packets(PacketHealth::default(), times),
            Distribution::DnsResponse => HealthAddition::Dns(DnsHealth {
                response_time: times,
                ..DnsHealth::default()
            }),
            Distribution::HttpResponse => HealthAddition::Http(HttpHealth {
                response_time: times,
                ..HttpHealth::default()
            }),
            Distribution::Handshake => HealthAddition::Connection(ConnectionHealth {
                handshake_microseconds: Some(u32::try_from(mean).unwrap()),
                ..connection
            }),
            Distribution::Duration => HealthAddition::Connection(ConnectionHealth {
                duration_milliseconds: Some(mean / 1000),
                ..connection
            }),
        }
    }

    #[test]
    fn observations_are_summed_by_edge_and_bucket() {
        let mut table = HealthTable::default();
        let mut parts = HealthParts::default();
        parts.add_buckets(Distribution::RoundTrip);
        parts.add_buckets(Distribution::Duration);
        let one = observation(Distribution::RoundTrip, 900, 3);
        for (key, addition) in [
            (7, one),
            (7, one),
            (7, observation(Distribution::RoundTrip, 5000, 1)),
            (7, observation(Distribution::Handshake, 400, 1)),
            (9, observation(Distribution::Duration, 0, 2)),
        ] {
            assert!(table.add(key, &addition, parts, 10));
        }
        let edges: Vec<_> = table.iter().collect();
        assert_eq!(
            edges.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
            [7, 9]
        );
        let round_trips = edges[0].1.observed(Distribution::RoundTrip);
        let expected = Observed {
            sum: 6800,
            count: 7,
        };
        assert_eq!(round_trips, expected);
        let mut found: Vec<_> = edges[0].1.buckets(Distribution::RoundTrip).collect();
        found.sort_unstable();
        let numbers = [300, 5000].map(buckets::number_of);
        assert_eq!(found, [(numbers[0], 6), (numbers[1], 1)]);
        assert_eq!(edges[0].1.observed(Distribution::Handshake).count, 1);
        assert_eq!(edges[0].1.buckets(Distribution::Handshake).count(), 0);
        let durations: Vec<_> = edges[1].1.buckets(Distribution::Duration).collect();
        assert_eq!(durations, [(buckets::number_of(0), 2)]);
    }

    #[test]
    fn a_full_table_takes_no_new_edge_and_an_empty_one_takes_it() {
        let mut table = HealthTable::default();
        let addition = observation(Distribution::RoundTrip, 10, 1);
        assert!(table.add(1, &addition, ALL, 1));
        assert!(!table.add(2, &addition, ALL, 1));
        assert!(table.add(1, &addition, ALL, 1));
        table.clear();
        assert!(table.is_empty());
        assert!(table.add(2, &addition, ALL, 1));
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let mut table = HealthTable::default();
        let mut added = 0;
        while table.add(
            1,
            &observation(Distribution::Duration, 1000 << added, 1),
            ALL,
            2,
        ) {
            added += 1;
            assert!(added < 64, "no bound");
        }
        assert!(table.buckets.len() <= 2 * BUCKETS_PER_EDGE);
        table.clear();
        assert!(table.add(1, &observation(Distribution::Duration, 1, 1), ALL, 2));
    }
}
