//! Remembers the endpoints of addresses that were looked up recently.
//!
//! The index of a large cluster is spread over memory, and a lookup waits for several cache misses.
//! Most records are of addresses that just had some. For these, one line of a small table has the
//! endpoint: four of IPv4, or two of IPv6. Only answers that do not depend on the time, from some
//! moment on, are kept. All are dropped when newer snapshots arrive.

use flowproto::Address;

use super::lookup::{ResolvedEndpoint, look_up};
use super::packed_place::PackedPlace;
use crate::inventory::{Certainty, EndpointId, EndpointKind, TimeRange, TransportPort};
use crate::snapshots::Snapshots;

/// Entries of the smallest and of the largest table of a family, powers of two.
const ENTRIES: [usize; 2] = [1 << 14, 1 << 19];
/// Entries for each address of the index. A miss costs several cache misses, an unused entry only
/// room: with more addresses in a set than entries, they displace each other with every record.
const ENTRIES_PER_ADDRESS: usize = 4;

/// Endpoints of addresses that were looked up recently.
#[derive(Debug)]
pub struct EndpointCache {
    v4: Table<u32, 4>,
    v6: Table<u128, 2>,
    /// Generation of the snapshots; 0 is that of an empty entry.
    generation: u32,
}

/// The entries of an address family. It takes no room before the first one.
#[derive(Debug)]
struct Table<A, const WAYS: usize> {
    sets: Box<[Set<A, WAYS>]>,
    /// Number of sets, a power of two, and the bits of a hash that do not select one.
    size: usize,
    shift: u32,
}

/// Addresses that share a line of the processor's cache, the most recent one first.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set<A, const WAYS: usize>([Entry<A>; WAYS]);

const _: () = assert!(size_of::<Set<u32, 4>>() == 64 && size_of::<Set<u128, 2>>() == 64);

#[derive(Clone, Copy, Debug, Default)]
struct Entry<A> {
    address: A,
    remembered: Remembered,
}

/// The answer for an address.
#[derive(Clone, Copy, Debug, Default)]
struct Remembered {
    /// Time from which on it holds, seconds since the epoch.
    since_seconds: u32,
    endpoint: EndpointId,
    place: PackedPlace,
}

impl<A: Copy + Default + Eq, const WAYS: usize> Table<A, WAYS> {
    fn new(addresses: usize) -> Self {
        let [min, max] = ENTRIES;
        let entries = addresses.saturating_mul(ENTRIES_PER_ADDRESS);
        let size = entries.clamp(min, max).next_power_of_two() / WAYS;
        Self {
            sets: Box::default(),
            size,
            shift: size.leading_zeros().saturating_add(1),
        }
    }

    /// The set of an address: the highest bits of a product, which depend on all bits of the
    /// address. Addresses that collide on purpose gain nothing: they are looked up.
    #[inline]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "the two halves of the address are combined"
    )]
    fn set_of(&self, address: Address) -> usize {
        let bits = address.bits();
        let mixed = (bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed.wrapping_shr(self.shift) as usize
    }

    #[inline]
    fn touch(&self, address: Address) -> u32 {
        let set = self.sets.get(self.set_of(address));
        set.map_or(0, |Set(entries)| {
            entries.first().map_or(0, |e| e.remembered.since_seconds)
        })
    }

    /// The entry of an address, whatever its generation and time.
    #[inline]
    fn get(&self, address: Address, key: A) -> Option<&Entry<A>> {
        let Set(entries) = self.sets.get(self.set_of(address))?;
        let mut found = WAYS;
        // All are compared, because which one it is cannot be predicted.
        for (way, entry) in entries.iter().enumerate() {
            found = if entry.address == key { way } else { found };
        }
        entries.get(found)
    }

    fn insert(&mut self, address: Address, key: A, remembered: Remembered) {
        if self.sets.is_empty() {
            self.sets = vec![Set([Entry::default(); WAYS]); self.size].into();
        }
        let at = self.set_of(address);
        let Some(Set(entries)) = self.sets.get_mut(at) else {
            return;
        };
        let own = entries.iter().position(|e| e.address == key);
        let replaced = own.unwrap_or(WAYS.saturating_sub(1));
        if let Some(entries) = entries.get_mut(..=replaced) {
            entries.rotate_right(1);
        }
        if let Some(first) = entries.first_mut() {
            *first = Entry {
                address: key,
                remembered,
            };
        }
    }
}

impl Remembered {
    /// The endpoint, if it is that of this generation of snapshots and of packets at this time.
    #[inline]
    fn endpoint(&self, generation: u32, time: TimeRange) -> Option<ResolvedEndpoint> {
        let since_milliseconds = u64::from(self.since_seconds).wrapping_mul(1000);
        let is_current =
            self.place.generation() == generation && since_milliseconds <= time.start_milliseconds;
        is_current
            .then(|| ResolvedEndpoint::new(self.endpoint, self.place.unpack(), Certainty::Known))
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
        Self {
            v4: Table::new(addresses),
            v6: Table::new(addresses),
            generation: 1,
        }
    }

    /// Drops all entries, because newer snapshots are used from now on, with a number of addresses.
    pub fn clear(&mut self, addresses: usize) {
        let [_, max] = ENTRIES;
        let entries = self.v4.size.saturating_mul(4);
        let is_small = addresses > entries / 2 && entries < max;
        self.generation = self.generation.wrapping_add(1);
        if self.generation > PackedPlace::MAX_GENERATION || is_small {
            *self = Self::new(addresses);
        }
    }

    /// Reads the line of an address, so that it is in the processor's cache when it is looked up.
    /// The result has no meaning but to keep the read.
    #[inline]
    pub fn touch(&self, address: Address) -> u32 {
        if address.is_ipv4() {
            self.v4.touch(address)
        } else {
            self.v6.touch(address)
        }
    }

    /// The endpoint that had an address while the packets were sent, if it was looked up recently.
    #[inline(always)]
    pub(in crate::pipeline) fn recent(
        &self,
        address: Address,
        time: TimeRange,
    ) -> Option<ResolvedEndpoint> {
        if address.is_ipv4() {
            let entry = self.v4.get(address, address.v4_bits())?;
            entry.remembered.endpoint(self.generation, time)
        } else {
            let entry = self.v6.get(address, address.bits())?;
            entry.remembered.endpoint(self.generation, time)
        }
    }

    /// The endpoint that had an address, or a port of a protocol at it, while the packets were
    /// sent.
    #[inline(always)]
    pub(super) fn lookup(
        &mut self,
        snapshots: &Snapshots,
        address: Address,
        port: (u8, u16),
        time: TimeRange,
    ) -> ResolvedEndpoint {
        let recent = self.recent(address, time);
        recent.unwrap_or_else(|| self.look_up(snapshots, address, port, time))
    }

    /// Asks the snapshots, and keeps the answer if it depends on nothing but the address.
    #[cold]
    fn look_up(
        &mut self,
        snapshots: &Snapshots,
        address: Address,
        (protocol, port): (u8, u16),
        time: TimeRange,
    ) -> ResolvedEndpoint {
        let port = TransportPort::new(protocol, port);
        let (resolved, since) = look_up(snapshots, address, port, time);
        let depends_on_port =
            resolved.place.kind == EndpointKind::Node && snapshots.index.has_ports();
        if resolved.certainty == Certainty::Known
            && !depends_on_port
            && let Ok(since_seconds) = u32::try_from(since.div_ceil(1000))
            && let Some(place) = PackedPlace::new(resolved.place, self.generation)
        {
            let remembered = Remembered {
                since_seconds,
                endpoint: resolved.id,
                place,
            };
            if address.is_ipv4() {
                self.v4.insert(address, address.v4_bits(), remembered);
            } else {
                self.v6.insert(address, address.bits(), remembered);
            }
        }
        resolved
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

    /// Looks up each address twice, the second time possibly from the cache, and compares with the
    /// index.
    fn assert_as_indexed(cache: &mut EndpointCache, writer: &mut IndexWriter, times: &[u64]) {
        let snapshots = snapshots(writer);
        for round in 0..2 {
            for time in times {
                for (address, port) in [(A, 0), (A, 80), (A, 81), (UNASSIGNED, 80)] {
                    let time = TimeRange::instant(*time);
                    let found = cache.lookup(&snapshots, address, (6, port), time);
                    let port = TransportPort::new(6, port);
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
        for _ in 0..PackedPlace::MAX_GENERATION {
            cache.clear(1);
        }
        assert_as_indexed(&mut cache, &mut writer, &[5000]);
    }

    #[test]
    fn the_addresses_of_a_large_cluster_are_spread_over_the_table() {
        let addresses = 100_000;
        let table: Table<u32, 4> = Table::new(addresses);
        let mut in_set = vec![0_u8; table.size];
        for pod in 0..addresses {
            // Twenty pods on each node, whose pod CIDR is a /24.
            let (node, host) = (pod / 20, pod % 20);
            let bits = 0x0a00_0000 + node * 256 + 10 + host;
            let address = Address::from_v4_bits(u32::try_from(bits).unwrap());
            in_set[table.set_of(address)] += 1;
        }
        let displaced = in_set.iter().filter(|addresses| **addresses > 4);
        assert!(displaced.count() < addresses / 200);
    }

    #[test]
    fn the_table_grows_with_the_index_up_to_a_bound() {
        let mut cache = EndpointCache::default();
        let [min, max] = ENTRIES;
        for (addresses, entries) in [
            (0, min),
            (min / 2, min),
            (min / 2 + 1, 4 * min),
            (1, 4 * min),
            (usize::MAX, max),
            (usize::MAX, max),
        ] {
            cache.clear(addresses);
            assert_eq!(cache.v4.size * 4, entries, "{addresses}");
            assert_eq!(cache.v6.size * 2, entries, "{addresses}");
        }
    }

    /// Looks addresses that share a set up in turn, and expects all of them to be remembered.
    fn assert_remembered<const N: usize>(
        addresses: [Address; N],
        is_known: fn(&EndpointCache, Address) -> bool,
    ) {
        let mut cache = EndpointCache::default();
        let mut writer = IndexWriter::default();
        let ids = addresses.map(|address| {
            assign(
                &mut writer,
                AddressKey::address(address),
                EndpointKind::Pod,
                1000,
            )
        });
        let snapshots = snapshots(&mut writer);
        for _ in 0..3 {
            let found = addresses.map(|address| {
                let time = TimeRange::instant(5000);
                cache.lookup(&snapshots, address, (0, 0), time).id
            });
            assert_eq!(found, ids);
        }
        assert_eq!(
            addresses.map(|address| is_known(&cache, address)),
            [true; N]
        );
    }

    #[test]
    fn addresses_that_collide_are_remembered_if_a_line_has_room_for_them() {
        let cache = EndpointCache::default();
        let set = cache.v4.set_of(A);
        let collide = |address: &Address| cache.v4.set_of(*address) == set;
        let mut colliding = (0x0a02_0000..).map(Address::from_v4_bits).filter(collide);
        let colliding = [A; 4].map(|_| colliding.next().unwrap());
        assert_remembered(colliding, |cache, address| {
            cache.v4.get(address, address.v4_bits()).is_some()
        });
        let v6 = |low: u128| Address::from_v6_bits(0xfd00 << 112 | low);
        let set = cache.v6.set_of(v6(1));
        let collide = |address: &Address| cache.v6.set_of(*address) == set;
        let second = (2..).map(v6).find(collide).unwrap();
        assert_remembered([v6(1), second], |cache, address| {
            cache.v6.get(address, address.bits()).is_some()
        });
    }
}
