//! Several intervals as one sorted stream of edges.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::interval::{EdgeKey, Edges, Interval};
use super::measures::Stored;

/// Merges sorted intervals. Needs memory for one edge of each interval.
#[derive(Debug)]
pub(super) struct MergedEdges<'a, V> {
    streams: Vec<Stream<'a, V>>,
    /// The next edge of each stream.
    heads: BinaryHeap<Reverse<(EdgeKey, usize)>>,
}

#[derive(Debug)]
struct Stream<'a, V> {
    begin: u64,
    edges: Edges<'a, V>,
    next: V,
}

impl<'a, V: Stored> MergedEdges<'a, V> {
    /// `list` selects a list of each interval.
    pub(super) fn new(
        intervals: impl Iterator<Item = &'a Interval>,
        list: fn(&'a Interval) -> Edges<'a, V>,
    ) -> Self {
        let mut streams = Vec::new();
        let mut heads = BinaryHeap::new();
        for interval in intervals {
            let mut edges = list(interval);
            if let Some((key, next)) = edges.next() {
                heads.push(Reverse((key, streams.len())));
                streams.push(Stream {
                    begin: interval.begin,
                    edges,
                    next,
                });
            }
        }
        Self { streams, heads }
    }

    /// The next edge. Fills `parts` with the begin and the values of each interval that has it, in
    /// the order of the intervals.
    pub(super) fn next(&mut self, parts: &mut Vec<(u64, V)>) -> Option<EdgeKey> {
        parts.clear();
        let Reverse((key, _)) = *self.heads.peek()?;
        while let Some(mut head) = self.heads.peek_mut() {
            let Reverse((next_key, at)) = *head;
            if next_key != key {
                break;
            }
            let Some(stream) = self.streams.get_mut(at) else {
                break;
            };
            parts.push((stream.begin, stream.next));
            match stream.edges.next() {
                Some((following, next)) => {
                    stream.next = next;
                    *head = Reverse((following, at));
                }
                None => {
                    PeekMut::pop(head);
                }
            }
        }
        Some(key)
    }
}

/// The sum of intervals, as one that begins at `begin`.
pub(super) fn sum<'a>(
    begin: u64,
    intervals: impl Iterator<Item = &'a Interval> + Clone,
) -> Interval {
    let traffic = sums(MergedEdges::new(intervals.clone(), Interval::traffic));
    let health = sums(MergedEdges::new(intervals, Interval::health));
    Interval::new(begin, traffic, health)
}

fn sums<V: Stored>(mut merged: MergedEdges<'_, V>) -> impl Iterator<Item = (EdgeKey, V)> {
    let mut parts = Vec::new();
    std::iter::from_fn(move || {
        let key = merged.next(&mut parts)?;
        Some((key, total(&parts)))
    })
}

/// The sum of the values of an edge.
pub(super) fn total<V: Stored>(parts: &[(u64, V)]) -> V {
    let mut total = V::default();
    for (_, values) in parts {
        total.add(values);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::measures::Health;
    use crate::pipeline::Measures;

    fn bytes(bytes: u64) -> Measures {
        Measures {
            bytes,
            ..Measures::default()
        }
    }

    #[test]
    fn an_edge_of_several_intervals_comes_once_with_all_of_them() {
        let intervals = [
            Interval::new(10, [((1, 2), bytes(1)), ((3, 1), bytes(2))], []),
            Interval::new(20, [((1, 1), bytes(4)), ((3, 1), bytes(8))], []),
            Interval::new(30, [], []),
            Interval::new(40, [((3, 1), bytes(16))], []),
        ];
        let mut merged = MergedEdges::new(intervals.iter(), Interval::traffic);
        let mut parts = Vec::new();
        let mut all = Vec::new();
        while let Some(key) = merged.next(&mut parts) {
            let parts: Vec<_> = parts.iter().map(|(at, m)| (*at, m.bytes)).collect();
            all.push((key, parts));
        }
        let wanted = [
            ((1, 1), vec![(20, 4)]),
            ((1, 2), vec![(10, 1)]),
            ((3, 1), vec![(10, 2), (20, 8), (40, 16)]),
        ];
        assert_eq!(all, wanted);
    }

    #[test]
    fn the_sum_of_intervals_has_every_edge_once() {
        let intervals = [
            Interval::new(10, [((1, 2), bytes(1)), ((3, 1), bytes(2))], []),
            Interval::new(20, [((3, 1), bytes(8))], []),
        ];
        let sum = sum(0, intervals.iter());
        let edges: Vec<_> = sum.traffic().map(|(key, m)| (key, m.bytes)).collect();
        assert_eq!(edges, [((1, 2), 1), ((3, 1), 10)]);
        assert_eq!(sum.begin, 0);
        assert!(sum.health().next().is_none());
    }

    #[test]
    fn health_is_summed_apart_from_traffic() {
        let refused = |refused_connections| Health {
            refused_connections,
            ..Health::default()
        };
        let intervals = [
            Interval::new(10, [((1, 2), bytes(1))], [((2, 1), refused(3))]),
            Interval::new(20, [], [((1, 2), refused(1)), ((2, 1), refused(4))]),
        ];
        let sum = sum(0, intervals.iter());
        let health: Vec<_> = sum.health().collect();
        assert_eq!(health, [((1, 2), refused(1)), ((2, 1), refused(7))]);
        assert_eq!(sum.traffic().count(), 1);
    }
}
