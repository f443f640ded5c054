//! An interval: what was counted for each edge in some seconds, sorted by edge and encoded.

use kipfix_service::exposition::protobuf::write_varint;

use crate::pipeline::Measures;

use super::endpoints::EndpointSlot;
use super::varint;

/// Source and destination of an edge, in the order in which edges are sorted.
pub(super) type EdgeKey = (EndpointSlot, EndpointSlot);

/// The edges of some seconds. It never changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Interval {
    /// Milliseconds since the epoch.
    pub(super) begin: u64,
    octets: Box<[u8]>,
}

impl Interval {
    /// Encodes edges, which must be sorted and distinct.
    pub(super) fn new(begin: u64, edges: impl IntoIterator<Item = (EdgeKey, Measures)>) -> Self {
        let mut octets = Vec::new();
        let (mut source, mut destination) = (0, 0);
        for (key, measures) in edges {
            // An edge is encoded as the difference to the one before it.
            let step = key.0.wrapping_sub(source);
            write_varint(step.into(), &mut octets);
            let other = if step == 0 {
                key.1.wrapping_sub(destination)
            } else {
                key.1
            };
            write_varint(other.into(), &mut octets);
            (source, destination) = key;
            write_measures(&measures, &mut octets);
        }
        Self {
            begin,
            octets: octets.into(),
        }
    }

    /// The edges as octets.
    pub(super) const fn encoded(&self) -> &[u8] {
        &self.octets
    }

    /// Edges that were encoded. `None` if they are not complete, sorted and distinct.
    pub(super) fn of_encoded(begin: u64, octets: &[u8]) -> Option<Self> {
        let interval = Self {
            begin,
            octets: octets.into(),
        };
        let mut edges = interval.edges();
        let mut last = None;
        for (key, _) in edges.by_ref() {
            if last.is_some_and(|last| last >= key) {
                return None;
            }
            last = Some(key);
        }
        edges.rest.is_empty().then_some(interval)
    }

    /// The edges, sorted.
    pub(super) fn edges(&self) -> Edges<'_> {
        Edges {
            rest: &self.octets,
            key: (0, 0),
        }
    }

    /// Octets of memory.
    pub(super) fn octets(&self) -> usize {
        /// The reference counts and the rounding of the allocator.
        const OVERHEAD: usize = 32;
        self.octets.len() + size_of::<Self>() + OVERHEAD
    }

    /// True if it has no edge.
    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }
}

fn write_measures(measures: &Measures, out: &mut Vec<u8>) {
    write_varint(measures.bytes, out);
    write_varint(measures.packets, out);
    write_varint(measures.connections, out);
}

fn read_measures(octets: &mut &[u8]) -> Option<Measures> {
    Some(Measures {
        bytes: varint::read(octets)?,
        packets: varint::read(octets)?,
        connections: varint::read(octets)?,
    })
}

/// Decodes the edges of an interval.
#[derive(Clone, Debug)]
pub(super) struct Edges<'a> {
    rest: &'a [u8],
    key: EdgeKey,
}

impl Iterator for Edges<'_> {
    type Item = (EdgeKey, Measures);

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
        Some((self.key, read_measures(&mut self.rest)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_edge_needs_few_octets() {
        let measures = Measures {
            bytes: 1_000_000,
            packets: 900,
            connections: 3,
        };
        let edges = (0..1000).map(|number| ((number / 5, number), measures));
        let interval = Interval::new(0, edges);
        assert!(interval.octets() < 10_000, "{}", interval.octets());
    }

    proptest! {
        #[test]
        fn edges_are_decoded_as_they_were_encoded(
            edges in btree_map(any::<(u32, u32)>(), any::<(u64, u64, u64)>(), 0..50)
        ) {
            let edges: Vec<(EdgeKey, Measures)> = edges
                .into_iter()
                .map(|(key, (bytes, packets, connections))| {
                    (key, Measures { bytes, packets, connections })
                })
                .collect();
            let interval = Interval::new(7, edges.clone());
            prop_assert_eq!(interval.edges().collect::<Vec<_>>(), edges);
        }
    }
}
