//! Ports of later fragments: only the first fragment of an IP packet has the transport header, so
//! its ports are kept for the later ones (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Fragments are rare, so the table is an `lru` cache: bounded, the oldest packet is evicted first.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::ip::{Fragment, Header};
use super::packet::{NetworkId, PacketInfo, Undecodable};

/// How long a fragmented packet is kept: RFC 8200 §4.5 gives reassembly 60 s, Linux 30 s.
const LIFETIME_NS: u64 = 30_000_000_000;

/// Source, destination, identification and protocol, and virtual network in words, hashed and
/// compared as integers.
type PacketKey = [u64; 6];

/// A fragmented packet.
#[derive(Clone, Copy, Debug)]
struct FragmentedPacket {
    time_ns: u64,
    first: FirstFragment,
}

#[derive(Clone, Copy, Debug)]
enum FirstFragment {
    /// It was not observed yet. Later ones were metered, with this many octets of payload.
    Missing { metered_octets: u32 },
    /// It is that of a tunnel packet, and the inner packet was metered whole.
    Tunnel,
    /// It has these fields of the transport header.
    Observed {
        protocol: u8,
        source_port: u16,
        destination_port: u16,
        icmp_type_code: u16,
    },
}

/// Ports of recent fragmented packets.
#[derive(Debug)]
pub struct FragmentTable {
    packets: LruCache<PacketKey, FragmentedPacket>,
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

    /// Packets evicted because the table was full.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Later fragments whose first one was not observed before. They are metered with ports 0.
    #[must_use]
    pub const fn orphans(&self) -> u64 {
        self.orphans
    }

    /// Keeps the first fragment of a tunnel packet, whose payload is metered whole. `network`: that
    /// of the outer header. Returns the octets of that payload that later fragments have metered
    /// already.
    #[cold]
    pub(super) fn tunnel(
        &mut self,
        outer: Header<'_>,
        part: Fragment,
        network: NetworkId,
        time_ns: u64,
    ) -> u32 {
        let key = packet_key(&outer, part, network);
        let metered_octets = match self.find(&key, time_ns) {
            Some(FirstFragment::Missing { metered_octets }) => metered_octets,
            _ => 0,
        };
        self.insert(key, time_ns, FirstFragment::Tunnel);
        metered_octets
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
        let key = packet_key(&header, part, info.network());
        if part.is_first() {
            let first = FirstFragment::Observed {
                protocol: header.protocol,
                source_port: info.key.source_port,
                destination_port: info.key.destination_port,
                icmp_type_code: info.icmp_type_code,
            };
            self.insert(key, time_ns, first);
            return Ok(info);
        }
        let found = self.find(&key, time_ns);
        match found {
            Some(FirstFragment::Tunnel) => return Err(Undecodable::TunnelFragment),
            Some(FirstFragment::Observed {
                protocol,
                source_port,
                destination_port,
                icmp_type_code,
            }) => {
                info.key.protocol_identifier = protocol;
                info.key.source_port = source_port;
                info.key.destination_port = destination_port;
                info.icmp_type_code = icmp_type_code;
            }
            Some(FirstFragment::Missing { .. }) | None => {
                self.orphans = self.orphans.saturating_add(1);
                let before = match found {
                    Some(FirstFragment::Missing { metered_octets }) => metered_octets,
                    _ => 0,
                };
                let payload_octets = header.octets.saturating_sub(header.header_octets);
                let metered_octets = before.saturating_add(payload_octets);
                self.insert(key, time_ns, FirstFragment::Missing { metered_octets });
            }
        }
        Ok(info)
    }

    fn find(&mut self, key: &PacketKey, time_ns: u64) -> Option<FirstFragment> {
        let packet = self.packets.get(key)?;
        (time_ns.abs_diff(packet.time_ns) <= LIFETIME_NS).then_some(packet.first)
    }

    fn insert(&mut self, key: PacketKey, time_ns: u64, first: FirstFragment) {
        let packet = FragmentedPacket { time_ns, first };
        if let Some((pushed_out, _)) = self.packets.push(key, packet)
            && pushed_out != key
        {
            self.evicted = self.evicted.saturating_add(1);
        }
    }
}

fn packet_key(header: &Header<'_>, part: Fragment, network: NetworkId) -> PacketKey {
    let words = |bits: u128| {
        let low = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(bits >> 64).unwrap_or_default();
        [high, low]
    };
    let [a, b] = words(header.source.bits());
    let [c, d] = words(header.destination.bits());
    let last = u64::from(part.identification) << 8 | u64::from(part.protocol);
    [a, b, c, d, last, network.bits()]
}
