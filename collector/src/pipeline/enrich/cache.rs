//! Remembers the endpoints of addresses that were looked up recently.
//!
//! The index of a large cluster is spread over memory, and a lookup waits for several cache misses. Most records are
//! of addresses that just had some. For these, one line of a small table has the endpoint. Only answers that do not
//! depend on the time, from some moment on, are kept. All are dropped when newer snapshots arrive.

use flowproto::Address;

use super::lookup::{ResolvedEndpoint, look_up};
use crate::inventory::{
    Certainty, EndpointId, EndpointKind, NodeId, Place, TimeRange, TransportPort,
};
use crate::snapshots::Snapshots;

/// Sets of the smallest and of the largest table, powers of two.
const SETS: [usize; 2] = [1 << 13, 1 << 17];
/// Sets for each address of the index. A miss costs several cache misses, an unused set only room: with
/// three addresses or more in a set, they displace each other with every record.
const SETS_PER_ADDRESS: usize = 4;
/// Low bits of [`Entry::since`] that hold the generation.
const GENERATION_BITS: u32 = 16;

/// Endpoints of addresses that were looked up recently.
#[derive(Debug)]
pub struct EndpointCache {
    /// Its length is a power of two.
    sets: Box<[Set]>,
    /// Generation of the snapshots; 0 is that of an empty entry.
    generation: u16,
}

/// The two addresses that share a line of the processor's cache. The first is the more recent one.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([Entry; 2]);

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    address: u128,
    /// Time from which on the entry holds, milliseconds since the epoch, and the generation in the lowest bits.
    since: u64,
    endpoint: EndpointId,
    place: PackedPlace,
}

/// A [`Place`] in four octets: the kind in the three highest bits, the node plus one below, 0 without a node.
#[derive(Clone, Copy, Debug, Default)]
struct PackedPlace(u32);

impl PackedPlace {
    const NODE_BITS: u32 = 29;
    const NODE_MASK: u32 = (1 << Self::NODE_BITS) - 1;

    /// `None` if the node's number is too large.
    fn new(place: Place) -> Option<Self> {
        let kind: u32 = match place.kind {
            EndpointKind::External => 0,
            EndpointKind::Pod => 1,
            EndpointKind::Node => 2,
            EndpointKind::Service => 3,
            EndpointKind::Link => 4,
        };
        let node = match place.node {
            None => 0,
            Some(node) => node.0.checked_add(1)?,
        };
        (node <= Self::NODE_MASK).then_some(Self(kind << Self::NODE_BITS | node))
    }

    #[inline]
    fn unpack(self) -> Place {
        let node = self.0 & Self::NODE_MASK;
        Place {
            kind: match self.0 >> Self::NODE_BITS {
                1 => EndpointKind::Pod,
                2 => EndpointKind::Node,
                3 => EndpointKind::Service,
                4 => EndpointKind::Link,
                _ => EndpointKind::External,
            },
            node: node.checked_sub(1).map(NodeId),
        }
    }
}

impl Default for EndpointCache {
    fn default() -> Self {
        Self::new(0)
    }
}

impl EndpointCache {
    /// Creates an empty cache for an index with a number of addresses.
    #[must_use]
    pub fn new(addresses: usize) -> Self {
        let [min, max] = SETS;
        let sets = addresses.saturating_mul(SETS_PER_ADDRESS).clamp(min, max);
        Self {
            sets: vec![Set::default(); sets.next_power_of_two()].into(),
            generation: 1,
        }
    }

    /// Drops all entries, because newer snapshots are used from now on, with a number of addresses.
    pub fn clear(&mut self, addresses: usize) {
        let [_, max] = SETS;
        let is_small = addresses > self.sets.len() && self.sets.len() < max;
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 || is_small {
            *self = Self::new(addresses);
        }
    }

    /// Reads the line of an address, so that it is in the processor's cache when it is looked up. The
    /// result has no meaning but to keep the read.
    #[inline]
    pub fn touch(&self, address: Address) -> u64 {
        let set = self.sets.get(self.set_of(address.bits()));
        set.map_or(0, |Set([first, _])| first.since)
    }

    /// The endpoint that had an address, or a port of it, while the packets were sent.
    #[inline]
    pub(super) fn lookup(
        &mut self,
        snapshots: &Snapshots,
        address: Address,
        port: Option<TransportPort>,
        time: TimeRange,
    ) -> ResolvedEndpoint {
        let bits = address.bits();
        let generation = u64::from(self.generation);
        let at = self.set_of(bits);
        let Some(Set([first, second])) = self.sets.get_mut(at) else {
            return look_up(snapshots, address, port, time).0;
        };
        for entry in [&*first, &*second] {
            let is_current = entry.address == bits
                && entry.since & u64::from(u16::MAX) == generation
                && entry.since >> GENERATION_BITS <= time.start_milliseconds;
            if is_current {
                return ResolvedEndpoint {
                    id: entry.endpoint,
                    place: entry.place.unpack(),
                    certainty: Certainty::Known,
                };
            }
        }
        let (resolved, since) = look_up(snapshots, address, port, time);
        let depends_on_port =
            resolved.place.kind == EndpointKind::Node && snapshots.index.has_ports();
        if resolved.certainty == Certainty::Known
            && since <= u64::MAX >> GENERATION_BITS
            && !depends_on_port
            && let Some(place) = PackedPlace::new(resolved.place)
        {
            if first.address != bits {
                *second = *first;
            }
            *first = Entry {
                address: bits,
                since: since << GENERATION_BITS | generation,
                endpoint: resolved.id,
                place,
            };
        }
        resolved
    }

    /// Position of an address in the table: the highest bits of a product, which depend on all bits of
    /// the address. Addresses that collide on purpose gain nothing: they are looked up.
    #[inline]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "the two halves of the address are combined"
    )]
    fn set_of(&self, bits: u128) -> usize {
        let mixed = (bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let unused = self.sets.len().leading_zeros().saturating_add(1);
        (mixed >> unused) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{AddressKey, Endpoint, IndexWriter};
    use crate::snapshots::SnapshotStore;

    const A: Address = Address::from_v4_bits(0x0a01_0101);
    const UNASSIGNED: Address = Address::from_v4_bits(0xc633_6407);

    fn assign(
        writer: &mut IndexWriter,
        key: AddressKey,
        kind: EndpointKind,
        from: u64,
    ) -> EndpointId {
        let node = (kind == EndpointKind::Node)
            .then(|| writer.acquire_node("n"))
            .flatten();
        let endpoint = Endpoint {
            kind,
            node,
            ..Endpoint::default()
        };
        let id = writer.add_endpoint(endpoint);
        writer.assign(key, id, from, 0);
        id
    }

    fn snapshots(writer: &mut IndexWriter) -> Snapshots {
        SnapshotStore::new(writer.current(), Default::default(), "").load()
    }

    /// Looks up each address twice, the second time possibly from the cache, and compares with the index.
    fn assert_as_indexed(cache: &mut EndpointCache, writer: &mut IndexWriter, times: &[u64]) {
        let snapshots = snapshots(writer);
        for round in 0..2 {
            for time in times {
                for (address, port) in [(A, 0), (A, 80), (A, 81), (UNASSIGNED, 80)] {
                    let (port, time) = (TransportPort::new(6, port), TimeRange::instant(*time));
                    let found = cache.lookup(&snapshots, address, port, time);
                    let wanted = snapshots.index.lookup_port(address, port, time);
                    assert_eq!(
                        (found.id, found.certainty, found.place),
                        (
                            wanted.endpoint,
                            wanted.certainty,
                            snapshots.place(wanted.endpoint)
                        ),
                        "round {round}, {address:?} {port:?} at {time:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_cache_answers_as_the_index_does_at_any_time() {
        let mut writer = IndexWriter::default();
        let mut cache = EndpointCache::default();
        let times = [5000, 1500, 2500, 999, 0, 2000, 1999];
        let key = AddressKey::address(A);
        let first = assign(&mut writer, key, EndpointKind::Pod, 1000);
        assert_as_indexed(&mut cache, &mut writer, &times);
        writer.unassign(key, first, 2000);
        cache.clear(1);
        assert_as_indexed(&mut cache, &mut writer, &times);
        assign(&mut writer, key, EndpointKind::Pod, 2200);
        cache.clear(1);
        assert_as_indexed(&mut cache, &mut writer, &times);
    }

    #[test]
    fn a_port_of_a_node_may_belong_to_a_pod() {
        let mut writer = IndexWriter::default();
        assign(
            &mut writer,
            AddressKey::address(A),
            EndpointKind::Node,
            1000,
        );
        let port = TransportPort::new(6, 80).unwrap();
        assign(
            &mut writer,
            AddressKey::port(A, port),
            EndpointKind::Pod,
            1000,
        );
        assert_as_indexed(&mut EndpointCache::default(), &mut writer, &[5000, 500]);
    }

    #[test]
    fn newer_snapshots_are_not_answered_from_older_ones() {
        let mut writer = IndexWriter::default();
        let mut cache = EndpointCache::default();
        assert_as_indexed(&mut cache, &mut writer, &[5000]);
        assign(&mut writer, AddressKey::address(A), EndpointKind::Pod, 1000);
        for _ in 0..=u32::from(u16::MAX) {
            cache.clear(1);
        }
        assert_as_indexed(&mut cache, &mut writer, &[5000]);
    }

    #[test]
    fn the_addresses_of_a_large_cluster_are_spread_over_the_table() {
        let addresses = 100_000;
        let cache = EndpointCache::new(addresses);
        let mut in_set = vec![0_u8; cache.sets.len()];
        for pod in 0..addresses {
            // Twenty pods on each node, whose pod CIDR is a /24.
            let (node, host) = (pod / 20, pod % 20);
            let bits = 0x0a00_0000 + node * 256 + 10 + host;
            let address = Address::from_v4_bits(u32::try_from(bits).unwrap());
            in_set[cache.set_of(address.bits())] += 1;
        }
        let displaced = in_set.iter().filter(|addresses| **addresses > 2);
        assert!(displaced.count() < addresses / 20);
    }

    #[test]
    fn the_table_grows_with_the_index_up_to_a_bound() {
        let mut cache = EndpointCache::default();
        let [min, max] = SETS;
        for (addresses, sets) in [
            (0, min),
            (min, min),
            (min + 1, 4 * min * 2),
            (1, 4 * min * 2),
            (usize::MAX, max),
            (usize::MAX, max),
        ] {
            cache.clear(addresses);
            assert_eq!(cache.sets.len(), sets, "{addresses}");
        }
    }

    #[test]
    fn two_addresses_that_collide_are_both_remembered() {
        let mut cache = EndpointCache::default();
        let collides = |bits: &u32| {
            let address = Address::from_v4_bits(*bits);
            address != A && cache.set_of(address.bits()) == cache.set_of(A.bits())
        };
        let other = Address::from_v4_bits((0x0a02_0000..).find(collides).unwrap());
        let mut writer = IndexWriter::default();
        let ids = [A, other].map(|address| {
            assign(
                &mut writer,
                AddressKey::address(address),
                EndpointKind::Pod,
                1000,
            )
        });
        let snapshots = snapshots(&mut writer);
        for _ in 0..3 {
            let found = [A, other].map(|address| {
                let time = TimeRange::instant(5000);
                cache.lookup(&snapshots, address, None, time).id
            });
            assert_eq!(found, ids);
        }
        let Set([first, second]) = cache.sets[cache.set_of(A.bits())];
        assert_eq!(first.address, other.bits());
        assert_eq!(second.address, A.bits());
    }

    #[test]
    fn a_place_survives_packing() {
        for kind in [
            EndpointKind::External,
            EndpointKind::Pod,
            EndpointKind::Node,
            EndpointKind::Service,
            EndpointKind::Link,
        ] {
            for node in [None, Some(NodeId(0)), Some(NodeId(1 << 20))] {
                let place = Place { kind, node };
                assert_eq!(PackedPlace::new(place).unwrap().unpack(), place);
            }
        }
        let node = Some(NodeId(u32::MAX));
        let kind = EndpointKind::Pod;
        assert!(PackedPlace::new(Place { kind, node }).is_none());
    }
}
