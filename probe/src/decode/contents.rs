//! Contents that distinguish a packet from others of its flow and that are the same in all its
//! copies.
//!
//! Left out is what changes on the way through a node: time to live, class of service, and
//! checksums, which offloads complete at different places, and ports, which are in the flow key and
//! may be translated.

use flowproto::protocol::{ICMP, ICMPV6, TCP, UDP};

use super::ip::Header;
use super::packet::{PacketContents, Repetition};

/// Maximum number of octets that are hashed: the header of TCP with all options, and the beginning
/// of the payload. The default snap length captures as many below a tunnel.
const MAX_OCTETS: usize = 96;
/// Octets of both ports.
const PORT_OCTETS: usize = 4;

/// The contents of a packet.
pub(super) fn of(header: &Header<'_>) -> PacketContents {
    let payload = header.payload.get(..MAX_OCTETS).unwrap_or(header.payload);
    // Where the transport header has its first constant field, and its checksum.
    let (start, checksum) = match header.protocol {
        ICMP | ICMPV6 => (0, 2..4),
        UDP => (PORT_OCTETS, 6..8),
        TCP => (PORT_OCTETS, 16..18),
        _ => (0, 0..0),
    };
    let is_later = header.fragment.is_some_and(|fragment| fragment.offset != 0);
    let (before, after) = match (
        payload.get(start..checksum.start),
        payload.get(checksum.end..),
    ) {
        (Some(before), Some(after)) if !is_later => (before, after),
        _ => (payload, &[][..]),
    };
    // Spread first: the identification and the acknowledgment number often advance by the same.
    let mut hash = mix(u64::from(header.octets) << 16 | u64::from(header.identification));
    if let Some(fragment) = header.fragment {
        hash = mix(hash ^ u64::from(fragment.identification) << 16 ^ u64::from(fragment.offset));
    }
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
        hash,
        repetition: repetition(header),
    }
}

fn repetition(header: &Header<'_>) -> Repetition {
    let words = header.payload.get(12).map(|octet| u32::from(octet >> 4));
    let transport_octets = header.octets.saturating_sub(header.header_octets);
    let has_data = words.is_some_and(|words| transport_octets > words.wrapping_mul(4));
    if header.protocol == TCP && header.fragment.is_none() && has_data {
        Repetition::Retransmission
    } else if header.identification != 0 || header.fragment.is_some() {
        Repetition::Unlikely
    } else {
        Repetition::Likely
    }
}

/// Spreads every bit of the input over the output.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value ^ (value >> 29)
}
