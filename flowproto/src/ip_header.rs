//! Recognizes IP headers where nothing names the protocol, such as behind MPLS labels.

/// Octets of an IPv6 header.
const IPV6_HEADER: u64 = 40;

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

/// Whether octets can be an IP packet, by the lengths in its header. `octets`: those on the wire, 0
/// if they are not known.
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

/// Whether octets are an IP packet: IPv4 by its checksum, IPv6 by its length. `octets` as for
/// [`may_begin`].
#[must_use]
pub fn is_recognized(packet: &[u8], octets: u64) -> bool {
    let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
    has_ipv4_checksum(packet) || is_v6 && may_begin(packet, octets)
}

/// Whether octets are an IPv6 packet, and nothing else, by the length in its header.
#[must_use]
pub fn is_whole_ipv6(packet: &[u8]) -> bool {
    let [0x60..=0x6f, _, _, _, high, low, ..] = *packet else {
        return false;
    };
    let length = u64::from(u16::from_be_bytes([high, low])).saturating_add(IPV6_HEADER);
    u64::try_from(packet.len()) == Ok(length)
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

    #[test]
    fn a_whole_packet_of_ipv6_has_the_length_in_its_header() {
        let mut packet = [0; 48];
        packet[0] = 0x60;
        packet[5] = 8;
        assert!(is_whole_ipv6(&packet));
        for octets in [0, 5, 40, 47] {
            assert!(!is_whole_ipv6(&packet[..octets]), "{octets}");
        }
        packet[0] = 0x45;
        assert!(!is_whole_ipv6(&packet));
    }
}
