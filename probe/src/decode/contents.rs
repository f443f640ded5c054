//! Contents that distinguish a packet from others of its flow and that are the same in all its
//! copies.
//!
//! Left out is what changes on the way through a node: time to live, class of service, and
//! checksums, which offloads complete at different places.

use super::ip::Header;
use super::packet::PacketContents;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Maximum number of octets that are hashed: the header of TCP with all options, and the beginning
/// of the payload. The default snap length captures as many below a tunnel.
const MAX_OCTETS: usize = 96;

/// The contents of a packet.
pub(super) fn of(header: &Header<'_>) -> PacketContents {
    let payload = header.payload.get(..MAX_OCTETS).unwrap_or(header.payload);
    // Where the transport header has its checksum.
    let checksum = match header.protocol {
        ICMP | ICMPV6 => 2..4,
        UDP => 6..8,
        TCP => 16..18,
        _ => 0..0,
    };
    let is_later = header.fragment.is_some_and(|fragment| !fragment.first);
    let (before, after) = match (payload.get(..checksum.start), payload.get(checksum.end..)) {
        (Some(before), Some(after)) if !is_later => (before, after),
        _ => (payload, &[][..]),
    };
    let mut hash = u64::from(header.octets);
    for part in [before, after] {
        for word in part.chunks(8) {
            let mut octets = [0; 8];
            for (octet, value) in octets.iter_mut().zip(word) {
                *octet = *value;
            }
            hash = mix(hash ^ u64::from_be_bytes(octets));
        }
    }
    PacketContents {
        identification: header.identification,
        hash,
    }
}

/// Spreads every bit of the input over the output.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value ^ (value >> 29)
}
