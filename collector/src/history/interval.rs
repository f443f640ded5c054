//! An interval: what was counted for each edge in some seconds, sorted by edge and encoded.
//!
//! Connection health is a list of its own, of the edges that have it, so that others need no octet
//! for it.

use std::marker::PhantomData;

use kipfix_service::exposition::protobuf::write_varint;

use crate::pipeline::Measures;

use super::endpoints::EndpointSlot;
use super::measures::{Health, Stored};
use super::varint;

/// Source and destination of an edge, in the order in which edges are sorted.
pub(super) type EdgeKey = (EndpointSlot, EndpointSlot);

/// The edges of some seconds. It never changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Interval {
    /// Milliseconds since the epoch.
    pub(super) begin: u64,
    traffic: Box<[u8]>,
    health: Box<[u8]>,
}

impl Interval {
    /// Encodes edges. Each list must be sorted, and its edges distinct.
    pub(super) fn new(
        begin: u64,
        traffic: impl IntoIterator<Item = (EdgeKey, Measures)>,
        health: impl IntoIterator<Item = (EdgeKey, Health)>,
    ) -> Self {
        Self {
            begin,
            traffic: encode(traffic),
            health: encode(health),
        }
    }

    /// The lists as octets: traffic, and health.
    pub(super) const fn encoded(&self) -> [&[u8]; 2] {
        [&self.traffic, &self.health]
    }

    /// Lists that were encoded. `None` if they are not complete, sorted and distinct.
    pub(super) fn of_encoded(begin: u64, [traffic, health]: [&[u8]; 2]) -> Option<Self> {
        let is_valid = is_sorted::<Measures>(traffic) && is_sorted::<Health>(health);
        is_valid.then(|| Self {
            begin,
            traffic: traffic.into(),
            health: health.into(),
        })
    }

    /// The edges with traffic, sorted.
    pub(super) fn traffic(&self) -> Edges<'_, Measures> {
        Edges::new(&self.traffic)
    }

    /// The edges with connection health, sorted.
    pub(super) fn health(&self) -> Edges<'_, Health> {
        Edges::new(&self.health)
    }

    /// The keys of all edges. One that is in both lists comes twice.
    pub(super) fn keys(&self) -> impl Iterator<Item = EdgeKey> {
        let traffic = self.traffic().map(|(key, _)| key);
        traffic.chain(self.health().map(|(key, _)| key))
    }

    /// Octets of memory.
    pub(super) fn octets(&self) -> usize {
        /// The reference counts, and the rounding of the allocator for each allocation.
        const OVERHEAD: usize = 48;
        self.traffic.len() + self.health.len() + size_of::<Self>() + OVERHEAD
    }

    /// True if it has no edge.
    pub(super) fn is_empty(&self) -> bool {
        self.traffic.is_empty() && self.health.is_empty()
    }
}

/// An edge is encoded as the difference to the one before it, and its values.
fn encode<V: Stored>(edges: impl IntoIterator<Item = (EdgeKey, V)>) -> Box<[u8]> {
    let mut octets = Vec::new();
    let (mut source, mut destination) = (0, 0);
    for (key, values) in edges {
        let step = key.0.wrapping_sub(source);
        write_varint(step.into(), &mut octets);
        let other = if step == 0 {
            key.1.wrapping_sub(destination)
        } else {
            key.1
        };
        write_varint(other.into(), &mut octets);
        (source, destination) = key;
        values.write(&mut octets);
    }
    octets.into()
}

fn is_sorted<V: Stored>(octets: &[u8]) -> bool {
    let mut edges = Edges::<V>::new(octets);
    let mut last = None;
    while !edges.rest.is_empty() {
        // The octets end within an edge: not sorted.
        match edges.next() {
            Some((key, _)) if last.is_none_or(|last| last < key) => last = Some(key),
            _ => return false,
        }
    }
    true
}

/// Decodes a list of edges.
#[derive(Clone, Debug)]
pub(super) struct Edges<'a, V> {
    rest: &'a [u8],
    key: EdgeKey,
    values: PhantomData<V>,
}

impl<'a, V> Edges<'a, V> {
    const fn new(octets: &'a [u8]) -> Self {
        Self {
            rest: octets,
            key: (0, 0),
            values: PhantomData,
        }
    }
}

impl<V: Stored> Iterator for Edges<'_, V> {
    type Item = (EdgeKey, V);

    fn next(&mut self) -> Option<Self::Item> {
        let mut number = || u32::try_from(varint::read(&mut self.rest)?).ok();
        let step = number()?;
        let other = number()?;
        let (source, destination) = self.key;
        self.key = if step == 0 {
            (source, destination.wrapping_add(other))
        } else {
            (source.wrapping_add(step), other)
        };
        Some((self.key, V::read(&mut self.rest)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_edge_needs_few_octets_and_more_only_if_it_has_health() {
        let measures = Measures {
            bytes: 1_000_000,
            packets: 900,
            connections: 3,
        };
        let health = Health {
            retransmitted_packets: 4,
            rtt_count: 300,
            rtt_sum_microseconds: 150_000,
            rtt_min_microseconds: 180,
            ..Health::default()
        };
        let keys = || (0..1000).map(|number| (number / 5, number));
        let without = Interval::new(0, keys().map(|key| (key, measures)), []);
        assert!(without.octets() < 10_000, "{}", without.octets());
        let with = keys().map(|key| (key, health));
        let with = Interval::new(0, keys().map(|key| (key, measures)), with);
        let more = with.octets() - without.octets();
        assert!(more < 13_000, "{more}");
        assert_eq!(with.encoded()[0], without.encoded()[0]);
    }

    #[test]
    fn edges_that_are_not_sorted_are_refused() {
        let one = Measures::default();
        let octets = encode([((2, 1), one), ((1, 1), one)]);
        assert!(Interval::of_encoded(0, [&octets, &[]]).is_none());
        let octets = encode([((1, 1), one), ((2, 1), one)]);
        assert!(Interval::of_encoded(0, [&octets, &[]]).is_some());
        assert!(Interval::of_encoded(0, [&octets[..octets.len() - 1], &[]]).is_none());
        assert!(Interval::of_encoded(0, [&octets, &octets]).is_none());
    }

    proptest! {
        #[test]
        fn edges_are_decoded_as_they_were_encoded(
            traffic in btree_map(any::<(u32, u32)>(), any::<(u64, u64, u64)>(), 0..50),
            health in btree_map(any::<(u32, u32)>(), any::<(u64, bool, u64)>(), 0..50),
        ) {
            let traffic = traffic.into_iter().map(|(key, (bytes, packets, connections))| {
                (key, Measures { bytes, packets, connections })
            });
            let traffic: Vec<(EdgeKey, Measures)> = traffic.collect();
            let health = health.into_iter().map(|(key, (refused, has_rtt, number))| {
                let rtt_sum_microseconds = if has_rtt { number } else { 0 };
                let health = Health {
                    refused_connections: refused,
                    rtt_sum_microseconds,
                    rtt_min_microseconds: rtt_sum_microseconds >> 1,
                    ..Health::default()
                };
                (key, health)
            });
            let health: Vec<(EdgeKey, Health)> = health.collect();
            let interval = Interval::new(7, traffic.clone(), health.clone());
            prop_assert_eq!(interval.traffic().collect::<Vec<_>>(), traffic);
            prop_assert_eq!(interval.health().collect::<Vec<_>>(), health);
            prop_assert!(Interval::of_encoded(7, interval.encoded()).is_some());
        }
    }
}
