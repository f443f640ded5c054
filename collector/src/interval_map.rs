//! Maps addresses to values by ranges: the narrowest range around an address has its value.
//!
//! Nested ranges, such as CIDRs, are flattened once into intervals that do not overlap. A lookup
//! is then one binary search.

use std::cmp::Reverse;
use std::fmt::Debug;
use std::net::IpAddr;

use flowproto::Address;
use ipnet::IpNet;

/// Parses a CIDR, or an address as the network of itself.
#[must_use]
pub fn parse_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// The bits of an address: of one family, or of both with IPv4 in its v4-mapped form.
pub trait AddressBits: Copy + Ord + Debug {
    /// The lowest address.
    const FIRST: Self;

    /// Returns the address after this one, or `None` after the highest.
    fn next(self) -> Option<Self>;
}

impl AddressBits for u32 {
    const FIRST: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl AddressBits for u128 {
    const FIRST: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A range of addresses and its value.
#[derive(Clone, Copy, Debug)]
pub struct AddressRange<K, V> {
    /// The first address.
    pub first: K,
    /// The last address.
    pub last: K,
    /// Of several ranges with the same addresses, the one with the highest precedence is on top.
    pub precedence: u32,
    /// The value of all addresses in the range.
    pub value: V,
}

impl<V> AddressRange<u32, V> {
    /// Returns the range of a CIDR, or `None` for an IPv6 one. A v4-mapped CIDR is an IPv4 one.
    pub fn of_v4(cidr: IpNet, value: V) -> Option<Self> {
        let (first, last) = ends(cidr);
        (first.is_ipv4() && last.is_ipv4()).then(|| Self {
            first: first.v4_bits(),
            last: last.v4_bits(),
            precedence: 0,
            value,
        })
    }
}

impl<V> AddressRange<u128, V> {
    /// Returns the range of a CIDR of either family, IPv4 in its v4-mapped form.
    pub fn of(cidr: IpNet, value: V) -> Self {
        let (first, last) = ends(cidr);
        Self {
            first: first.bits(),
            last: last.bits(),
            precedence: 0,
            value,
        }
    }
}

fn ends(cidr: IpNet) -> (Address, Address) {
    (
        Address::from(cidr.network()),
        Address::from(cidr.broadcast()),
    )
}

/// Maps every address to a value. An interval ends where the next one starts.
#[derive(Clone, Debug)]
pub struct IntervalMap<K, V> {
    /// First address of each interval, ascending. The first one is [`AddressBits::FIRST`].
    starts: Vec<K>,
    /// Value of each interval. Adjacent intervals have different values.
    values: Vec<V>,
}

impl<K: AddressBits, V: Copy + Default> Default for IntervalMap<K, V> {
    fn default() -> Self {
        Self {
            starts: vec![K::FIRST],
            values: vec![V::default()],
        }
    }
}

impl<K: AddressBits, V: Copy + Default + PartialEq> IntervalMap<K, V> {
    /// Flattens ranges of which any two are nested or disjoint. Addresses outside of all ranges
    /// have the default value.
    #[must_use]
    pub fn from_nested(ranges: Vec<AddressRange<K, V>>) -> Self {
        Self::from_nested_with(ranges, |inner, _| inner)
    }

    /// Flattens ranges of which any two are nested or disjoint. `combine` returns the value of a
    /// range from its own value and that of the range around it.
    #[must_use]
    pub fn from_nested_with(
        mut ranges: Vec<AddressRange<K, V>>,
        mut combine: impl FnMut(V, V) -> V,
    ) -> Self {
        // A range comes after the ranges that enclose it.
        ranges.sort_by_key(|range| (range.first, Reverse(range.last), range.precedence));
        let mut map = Self::default();
        let mut open: Vec<(K, V)> = Vec::new();
        for range in ranges {
            map.close(&mut open, Some(range.first));
            let enclosing = open.last().map_or(V::default(), |(_, value)| *value);
            let value = combine(range.value, enclosing);
            map.push(range.first, value);
            open.push((range.last, value));
        }
        map.close(&mut open, None);
        map
    }

    /// Ends the open ranges that end before `next`. The ranges around them continue.
    fn close(&mut self, open: &mut Vec<(K, V)>, next: Option<K>) {
        while let Some((last, _)) = open.last().copied() {
            if next.is_some_and(|next| last >= next) {
                break;
            }
            open.pop();
            let enclosing = open.last().map_or(V::default(), |(_, value)| *value);
            if let Some(after) = last.next() {
                self.push(after, enclosing);
            }
        }
    }

    /// Starts an interval. Starts must not descend. Of several with the same start, the last
    /// one stays.
    pub fn push(&mut self, start: K, value: V) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// Puts this map on top of `below`. `combine` returns the value of an interval from the values
    /// that it has in the two maps.
    #[must_use]
    pub fn overlay<W>(&self, below: &Self, mut combine: impl FnMut(V, V) -> W) -> IntervalMap<K, W>
    where
        W: Copy + Default + PartialEq,
    {
        let mut merged = IntervalMap::default();
        let (mut top, mut under) = (self.iter().peekable(), below.iter().peekable());
        let (mut a, mut b) = (V::default(), V::default());
        loop {
            let start = match (top.peek(), under.peek()) {
                (None, None) => return merged,
                (Some((start, _)), None) | (None, Some((start, _))) => *start,
                (Some((one, _)), Some((two, _))) => *one.min(two),
            };
            if let Some((_, value)) = top.next_if(|(at, _)| *at == start) {
                a = value;
            }
            if let Some((_, value)) = under.next_if(|(at, _)| *at == start) {
                b = value;
            }
            merged.push(start, combine(a, b));
        }
    }

    /// Returns the value of an address.
    #[inline]
    #[must_use]
    pub fn get(&self, address: K) -> V {
        let after = self.starts.partition_point(|start| *start <= address);
        let value = after.checked_sub(1).and_then(|at| self.values.get(at));
        value.copied().unwrap_or_default()
    }

    /// Returns the intervals' first addresses and values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)> {
        let starts = self.starts.iter().copied();
        starts.zip(self.values.iter().copied())
    }

    /// Returns the number of intervals.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ranges: &[(u32, u32, u8)]) -> IntervalMap<u32, u8> {
        let range = |(first, last, value): &(u32, u32, u8)| AddressRange {
            first: *first,
            last: *last,
            precedence: u32::from(*value),
            value: *value,
        };
        IntervalMap::from_nested(ranges.iter().map(range).collect())
    }

    fn intervals(map: &IntervalMap<u32, u8>) -> Vec<(u32, u8)> {
        map.iter().collect()
    }

    #[test]
    fn the_narrowest_range_has_its_value() {
        let map = map(&[(10, 99, 1), (20, 29, 2), (25, 25, 3), (99, 99, 4)]);
        for (address, value) in [
            (0, 0),
            (9, 0),
            (10, 1),
            (20, 2),
            (25, 3),
            (26, 2),
            (30, 1),
            (99, 4),
            (100, 0),
            (u32::MAX, 0),
        ] {
            assert_eq!(map.get(address), value, "{address}");
        }
    }

    #[test]
    fn the_precedence_decides_between_equal_ranges() {
        assert_eq!(
            intervals(&map(&[(5, 9, 2), (5, 9, 1)])),
            [(0, 0), (5, 2), (10, 0)]
        );
    }

    #[test]
    fn a_range_may_end_at_the_highest_address() {
        let map = map(&[(0, u32::MAX, 1), (u32::MAX, u32::MAX, 2)]);
        assert_eq!(intervals(&map), [(0, 1), (u32::MAX, 2)]);
    }

    #[test]
    fn adjacent_intervals_of_one_value_are_one_interval() {
        assert_eq!(
            intervals(&map(&[(0, 9, 1), (10, 19, 1)])),
            [(0, 1), (20, 0)]
        );
    }

    #[test]
    fn an_overlay_has_the_starts_of_both_maps() {
        let (top, below) = (map(&[(10, 19, 1)]), map(&[(15, 29, 2)]));
        let merged = top.overlay(&below, |top, below| if top == 0 { below } else { top });
        assert_eq!(intervals(&merged), [(0, 0), (10, 1), (20, 2), (30, 0)]);
    }

    #[test]
    fn a_value_can_depend_on_the_range_around_it() {
        let ranges = [(0, 99, 1), (10, 19, 2)].map(|(first, last, value)| AddressRange {
            first,
            last,
            precedence: 0,
            value,
        });
        let sum =
            IntervalMap::<u32, u8>::from_nested_with(ranges.into(), |inner, outer| inner + outer);
        assert_eq!(intervals(&sum), [(0, 1), (10, 3), (20, 1), (100, 0)]);
    }

    #[test]
    fn cidrs_of_both_families_are_ranges() {
        let cidr = |text: &str| text.parse::<IpNet>().unwrap();
        let v4 = AddressRange::of_v4(cidr("10.0.0.0/24"), ()).unwrap();
        assert_eq!((v4.first, v4.last), (0x0a00_0000, 0x0a00_00ff));
        let mapped = AddressRange::of_v4(cidr("::ffff:10.0.0.0/120"), ()).unwrap();
        assert_eq!((mapped.first, mapped.last), (v4.first, v4.last));
        assert!(AddressRange::of_v4(cidr("2001:db8::/32"), ()).is_none());
        assert!(AddressRange::of_v4(cidr("::/0"), ()).is_none());
        let both = AddressRange::of(cidr("10.0.0.0/24"), ());
        assert_eq!(both.first, 0xffff_0a00_0000);
    }
}
