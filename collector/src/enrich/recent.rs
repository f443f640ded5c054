//! Who was looked up lately.
//!
//! The index of a large cluster is spread over the memory, and a lookup waits for it several times. Most records
//! are of ends that just had some: for these, one line of a table that stays near says who they are. It only
//! has what is so whatever the time, since some moment, and forgets all when a newer snapshot is taken.

use flowproto::Address;

use super::Known;
use crate::inventory::{Certainty, EndpointId, EndpointKind, Found, TimeRange, TransportPort};

/// Addresses that are remembered, a power of two.
const REMEMBERED: usize = 1 << 14;
/// Bits of [`Entry::since`] that are the generation.
const GENERATION_BITS: u32 = 16;

/// The ends that a worker looked up lately.
#[derive(Debug)]
pub struct Recent {
    entries: Box<[Entry]>,
    /// Of the snapshots; never 0, which is that of an empty entry.
    generation: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    bits: u128,
    /// Since when, milliseconds since the epoch, and the generation in the lowest bits.
    since: u64,
    endpoint: EndpointId,
    kind: EndpointKind,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            entries: vec![Entry::default(); REMEMBERED].into(),
            generation: 1,
        }
    }
}

impl Recent {
    /// Newer snapshots are looked up from now on.
    pub fn forget(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            *self = Self::default();
        }
    }

    /// Who held an address, or a port of it, while the packets ran, and what that is.
    #[inline]
    pub(super) fn lookup(
        &mut self,
        known: Known<'_>,
        address: Address,
        port: Option<TransportPort>,
        span: TimeRange,
    ) -> (Found, EndpointKind) {
        let bits = address.bits();
        let generation = u64::from(self.generation);
        let Some(entry) = self.entries.get_mut(place(bits)) else {
            return look_up(known, address, port, span);
        };
        let is_current = entry.bits == bits
            && entry.since & u64::from(u16::MAX) == generation
            && entry.since >> GENERATION_BITS <= span.start_milliseconds;
        if is_current {
            let found = Found {
                endpoint: entry.endpoint,
                certainty: Certainty::Known,
                since_milliseconds: entry.since >> GENERATION_BITS,
            };
            return (found, entry.kind);
        }
        let (found, kind) = look_up(known, address, port, span);
        let by_port = kind == EndpointKind::Node && known.index.has_ports();
        if found.certainty == Certainty::Known
            && found.since_milliseconds <= u64::MAX >> GENERATION_BITS
            && !by_port
        {
            *entry = Entry {
                bits,
                since: found.since_milliseconds << GENERATION_BITS | generation,
                endpoint: found.endpoint,
                kind,
            };
        }
        (found, kind)
    }
}

fn look_up(
    known: Known<'_>,
    address: Address,
    port: Option<TransportPort>,
    span: TimeRange,
) -> (Found, EndpointKind) {
    let found = known.index.lookup_port(address, port, span);
    let kind = known.index.place(found.endpoint).kind;
    (known.beyond(found, address), kind)
}

/// Where an address is, if it is. Who makes addresses meet gains nothing: they are looked up then.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "low bits are asked for"
)]
const fn place(bits: u128) -> usize {
    let mixed = (bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::AddressKey;
    use crate::inventory::external::ExternalSnapshot;
    use crate::inventory::{Endpoint, IndexSnapshot, IndexWriter};

    const A: Address = Address::from_v4_bits(0x0a01_0101);
    const NOBODYS: Address = Address::from_v4_bits(0xc633_6407);

    fn hold(
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

    /// Every lookup twice, the second time maybe from memory: as the index alone says.
    fn assert_as_indexed(recent: &mut Recent, index: &IndexSnapshot, times: &[u64]) {
        let known = Known {
            index,
            outside: &ExternalSnapshot::default(),
        };
        for round in 0..2 {
            for time in times {
                for (address, port) in [(A, 0), (A, 80), (A, 81), (NOBODYS, 80)] {
                    let (port, span) = (TransportPort::new(6, port), TimeRange::instant(*time));
                    let (found, kind) = recent.lookup(known, address, port, span);
                    let wanted = index.lookup_port(address, port, span);
                    assert_eq!(
                        (found.endpoint, found.certainty),
                        (wanted.endpoint, wanted.certainty),
                        "round {round}, {address:?} {port:?} at {time}"
                    );
                    assert_eq!(kind, index.place(wanted.endpoint).kind);
                }
            }
        }
    }

    #[test]
    fn what_is_remembered_is_what_the_index_says_at_any_time() {
        let mut writer = IndexWriter::default();
        let mut recent = Recent::default();
        let times = [5000, 1500, 2500, 999, 0, 2000, 1999];
        let first = hold(&mut writer, AddressKey::address(A), EndpointKind::Pod, 1000);
        assert_as_indexed(&mut recent, &writer.current(), &times);
        writer.unassign(AddressKey::address(A), first, 2000);
        recent.forget();
        assert_as_indexed(&mut recent, &writer.current(), &times);
        hold(&mut writer, AddressKey::address(A), EndpointKind::Pod, 2200);
        recent.forget();
        assert_as_indexed(&mut recent, &writer.current(), &times);
    }

    #[test]
    fn a_port_of_a_node_is_its_own_holders() {
        let mut writer = IndexWriter::default();
        hold(
            &mut writer,
            AddressKey::address(A),
            EndpointKind::Node,
            1000,
        );
        let port = TransportPort::new(6, 80).unwrap();
        hold(
            &mut writer,
            AddressKey::port(A, port),
            EndpointKind::Pod,
            1000,
        );
        assert_as_indexed(&mut Recent::default(), &writer.current(), &[5000, 500]);
    }

    #[test]
    fn a_newer_snapshot_is_not_answered_from_an_older_one() {
        let mut writer = IndexWriter::default();
        let mut recent = Recent::default();
        assert_as_indexed(&mut recent, &writer.current(), &[5000]);
        hold(&mut writer, AddressKey::address(A), EndpointKind::Pod, 1000);
        for _ in 0..=u32::from(u16::MAX) {
            recent.forget();
        }
        assert_as_indexed(&mut recent, &writer.current(), &[5000]);
    }
}
