//! What an IP header means where that is not stated: behind MPLS labels, and without a length.

use crate::protocol::{TCP, UDP};

/// Octets of an IPv6 header.
const IPV6_HEADER: u64 = 40;
/// Octets of the shortest header of TCP and UDP.
const TRANSPORT_HEADER: u64 = 8;
/// Maximum value of the length in an IP header.
const MAX_LENGTH: u64 = 65_535;

/// Whether the octets begin with a whole IPv4 header whose checksum is correct (RFC 791 §3.1).
#[must_use]
pub fn has_ipv4_checksum(packet: &[u8]) -> bool {
    let Some(first @ 0x45..=0x4f) = packet.first() else {
        return false;
    };
    let octets = usize::from(first & 0x0f).saturating_mul(4);
    let Some(header) = packet.get(..octets) else {
        return false;
    };
    let (words, _) = header.as_chunks::<2>();
    let sum: u32 = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    // The sum of up to 30 words has less than five carries.
    let folded = (sum & 0xffff).wrapping_add(sum >> 16);
    matches!(folded, 0xffff | 0x1_fffe)
}

/// Whether octets can be an IP packet, by the lengths in its header. `octets`: those on the wire, 0 if they
/// are not known.
#[must_use]
pub fn may_begin(packet: &[u8], octets: u64) -> bool {
    let length = |high, low| u64::from(u16::from_be_bytes([high, low]));
    match *packet {
        [first @ 0x45..=0x4f, _, high, low, ..] => {
            let minimum = u64::from(first & 0x0f).saturating_mul(4);
            let captured = u64::try_from(packet.len()).unwrap_or(u64::MAX);
            has_ipv4_checksum(packet)
                || (minimum..=octets.max(captured)).contains(&length(high, low))
        }
        [0x60..=0x6f, _, _, _, high, low, ..] => {
            octets == 0 || length(high, low).saturating_add(IPV6_HEADER) <= octets
        }
        _ => false,
    }
}

/// Whether octets are an IP packet: IPv4 by its checksum, IPv6 by its length. `octets` as for [`may_begin`].
#[must_use]
pub fn is_recognized(packet: &[u8], octets: u64) -> bool {
    let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    has_ipv4_checksum(packet) || is_v6 && may_begin(packet, octets)
}

/// Whether an IPv6 packet with payload length 0 that has `octets` on the wire is one of segmentation offload,
/// which sets the length to 0: of Linux above 65,535 octets, of Windows always. Otherwise it has no payload, and
/// is padded. `next_header`: that of the IPv6 header (RFC 8200 §3).
#[must_use]
pub const fn is_offloaded_ipv6(next_header: u8, octets: u64) -> bool {
    let has_header = matches!(next_header, TCP | UDP);
    octets > MAX_LENGTH || has_header && octets >= IPV6_HEADER.saturating_add(TRANSPORT_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; 20] = [
        0x45, 0, 0, 60, 0x1c, 0x46, 0x40, 0, 64, 6, 0xb1, 0xe6, 172, 16, 10, 99, 172, 16, 10, 12,
    ];

    #[test]
    fn a_header_has_its_checksum() {
        assert!(has_ipv4_checksum(&HEADER));
        assert!(has_ipv4_checksum(&[&HEADER[..], &[7; 9]].concat()));
        assert!(!has_ipv4_checksum(&HEADER[..19]));
        for at in 0..20 {
            let mut other = HEADER;
            other[at] ^= 0x10;
            assert!(!has_ipv4_checksum(&other), "{at}");
        }
    }

    #[test]
    fn options_belong_to_the_header() {
        let mut header = [&HEADER[..], &[1, 1, 1, 1]].concat();
        header[0] = 0x46;
        // 0x0100 more of the version and length, 0x0202 of the options.
        header[10..12].copy_from_slice(&(0xb1e6_u16 - 0x0302).to_be_bytes());
        assert!(has_ipv4_checksum(&header));
        header[21] = 0;
        assert!(!has_ipv4_checksum(&header));
    }
}
