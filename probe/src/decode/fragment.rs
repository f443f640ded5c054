//! Ports of later fragments: only the first fragment of an IP packet has the transport header, so
//! its ports are kept for the later ones (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Fragments are rare, so the table is an `lru` cache: bounded, the oldest packet is evicted first.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::ip::{Fragment, Header};
use super::packet::{PacketInfo, Undecodable};

/// How long a first fragment is kept: RFC 8200 §4.5 gives reassembly 60 s, Linux 30 s.
const LIFETIME_NS: u64 = 30_000_000_000;

/// Source, destination, identification and protocol in words, hashed and compared as integers.
type PacketKey = [u64; 5];

#[derive(Clone, Copy, Debug)]
struct FirstFragment {
    time_ns: u64,
    /// The packet is a tunnel's, and its payload was metered.
    is_tunnel: bool,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
    icmp_type_code: u16,
}

/// Ports of recent fragmented packets.
#[derive(Debug)]
pub struct FragmentTable {
    packets: LruCache<PacketKey, FirstFragment>,
    evicted: u64,
    orphans: u64,
}

impl FragmentTable {
    /// Creates an empty table for at most `capacity` packets.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self {
            packets: LruCache::new(capacity),
            evicted: 0,
            orphans: 0,
        }
    }

    /// Returns the number of packets kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// True if no packet is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// First fragments evicted because the table was full.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Later fragments whose first one is not in the table. They are metered with ports 0.
    #[must_use]
    pub const fn orphans(&self) -> u64 {
        self.orphans
    }

    /// Keeps the first fragment of a tunnel packet, whose payload is metered whole.
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
        self.insert(packet_key(&outer, part), first);
    }

    /// Keeps a first fragment, or sets the protocol and ports of a later one to those of its first.
    ///
    /// By value: a reference, taken for the few fragments, would keep the packet out of registers
    /// for all others.
    ///
    /// # Errors
    /// The fragment belongs to a tunnel packet whose payload was metered already.
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
            self.insert(key, first);
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

    fn insert(&mut self, key: PacketKey, first: FirstFragment) {
        if let Some((pushed_out, _)) = self.packets.push(key, first)
            && pushed_out != key
        {
            self.evicted = self.evicted.saturating_add(1);
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
