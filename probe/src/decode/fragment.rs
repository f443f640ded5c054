//! Later fragments follow their first: only the first fragment of an IP packet has the transport header, so
//! its ports are remembered for those that come behind it (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Fragments are rare, so the table is the `lru` crate's: bounded, the oldest packet is forgotten first.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::ip::{Fragment, Header};
use super::{PacketInfo, Undecodable};

/// How long a first fragment is remembered: RFC 8200 §4.5 gives reassembly 60 s, Linux 30 s.
const LIFETIME_NS: u64 = 30_000_000_000;

/// Source, destination, identification and what else tells packets apart, in words: hashed and compared as
/// integers.
type PacketKey = [u64; 5];

#[derive(Clone, Copy, Debug)]
struct FirstFragment {
    time_ns: u64,
    /// The packet is a tunnel's and was metered as what it carries.
    is_tunnel: bool,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
    icmp_type_code: u16,
}

/// The transport headers of fragmented packets seen lately.
#[derive(Debug)]
pub struct FragmentTable {
    packets: LruCache<PacketKey, FirstFragment>,
    forgotten: u64,
    orphans: u64,
}

impl FragmentTable {
    /// A table for at most `capacity` packets whose fragments are on the way.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self {
            packets: LruCache::new(capacity),
            forgotten: 0,
            orphans: 0,
        }
    }

    /// Fragmented packets remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// True where none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// First fragments forgotten for want of room.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Later fragments whose first one was not known: metered with ports 0.
    #[must_use]
    pub const fn orphans(&self) -> u64 {
        self.orphans
    }

    /// Remembers the first fragment of a tunnel's packet, which is metered as the whole packet that it
    /// carries.
    #[cold]
    pub(super) fn tunnel(&mut self, outer: Header<'_>, part: Fragment, time_ns: u64) {
        let first = FirstFragment {
            time_ns,
            is_tunnel: true,
            protocol: outer.protocol,
            source_port: 0,
            destination_port: 0,
            icmp_type_code: 0,
        };
        self.remember(packet_key(&outer, part), first);
    }

    /// Remembers a first fragment, or gives a later one the protocol and the ports of its first. By value,
    /// because what is lent for the few fragments could not stay in registers for all other packets.
    ///
    /// # Errors
    /// It belongs to a tunnel's packet that is metered already.
    #[cold]
    pub(super) fn follow(
        &mut self,
        header: Header<'_>,
        part: Fragment,
        mut info: PacketInfo,
        time_ns: u64,
    ) -> Result<PacketInfo, Undecodable> {
        let key = packet_key(&header, part);
        if part.first {
            let first = FirstFragment {
                time_ns,
                is_tunnel: false,
                protocol: header.protocol,
                source_port: info.key.source_port,
                destination_port: info.key.destination_port,
                icmp_type_code: info.icmp_type_code,
            };
            self.remember(key, first);
        } else if let Some(first) = self.packets.get(&key)
            && time_ns.abs_diff(first.time_ns) <= LIFETIME_NS
        {
            if first.is_tunnel {
                return Err(Undecodable::TunnelFragment);
            }
            info.key.protocol_identifier = first.protocol;
            info.key.source_port = first.source_port;
            info.key.destination_port = first.destination_port;
            info.icmp_type_code = first.icmp_type_code;
        } else {
            self.orphans = self.orphans.saturating_add(1);
        }
        Ok(info)
    }

    fn remember(&mut self, key: PacketKey, first: FirstFragment) {
        if let Some((pushed_out, _)) = self.packets.push(key, first)
            && pushed_out != key
        {
            self.forgotten = self.forgotten.saturating_add(1);
        }
    }
}

fn packet_key(header: &Header<'_>, part: Fragment) -> PacketKey {
    let words = |bits: u128| {
        let low = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(bits >> 64).unwrap_or_default();
        [high, low]
    };
    let [a, b] = words(header.source.bits());
    let [c, d] = words(header.destination.bits());
    let last = u64::from(part.identification) << 8 | u64::from(part.protocol);
    [a, b, c, d, last]
}
