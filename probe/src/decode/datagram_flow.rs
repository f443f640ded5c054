//! The flow of a datagram at fixed offsets of a cooked frame, for a decision that must cost less
//! than decoding.

use flowproto::protocol::UDP;

use crate::capture::frame::{Frame, LinkType};

/// Octets of the cooked header.
const COOKED: usize = 20;

/// The interface that has observed a datagram, addresses and ports in words; equal if all of them
/// are.
///
/// `None` if these are not at their usual places: other link types and protocols, options and
/// extension headers, later fragments.
#[inline]
#[must_use]
pub fn datagram_flow(frame: &Frame<'_>, interface: u32) -> Option<[u64; 5]> {
    if frame.link_type != LinkType::LinuxSll2 {
        return None;
    }
    let (cooked, packet) = frame.captured.split_first_chunk::<COOKED>()?;
    let [a, b, ..] = *cooked;
    let interface = u64::from(interface) << 32;
    match (u16::from_be_bytes([a, b]), packet) {
        (0x0800, [0x45, _, _, _, _, _, high, low, _, protocol, ..])
            if *protocol == UDP && u16::from_be_bytes([*high, *low]) & 0x1fff == 0 =>
        {
            let ports = word(packet, 20)? >> 32;
            Some([interface | ports, word(packet, 12)?, 0, 0, 0])
        }
        (0x86dd, [_, _, _, _, _, _, next_header, ..]) if *next_header == UDP => {
            let ports = word(packet, 40)? >> 32;
            Some([
                interface | ports,
                word(packet, 8)?,
                word(packet, 16)?,
                word(packet, 24)?,
                word(packet, 32)?,
            ])
        }
        _ => None,
    }
}

#[inline]
fn word(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*octets.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::frame::cooked_interface;

    fn flow(captured: &[u8]) -> Option<[u64; 5]> {
        let frame = Frame {
            captured,
            wire_octets: 100,
            is_wire_length_lost: false,
            link_type: LinkType::LinuxSll2,
            time_ns: 0,
        };
        datagram_flow(&frame, cooked_interface(captured)?)
    }

    fn ipv4() -> Vec<u8> {
        let mut frame = vec![8, 0, 0, 0, 0, 0, 0, 7, 0, 1, 0, 6];
        frame.extend([0; 8]);
        frame.extend([0x45, 0, 0, 30, 0, 1, 0x40, 0, 64, 17, 0, 0]);
        frame.extend([10, 0, 0, 1, 10, 0, 0, 2, 0xc0, 1, 0, 53, 0, 10, 0, 0, 1, 2]);
        frame
    }

    fn ipv6() -> Vec<u8> {
        let mut frame = vec![0x86, 0xdd, 0, 0, 0, 0, 0, 7, 0, 1, 0, 6];
        frame.extend([0; 8]);
        frame.extend([0x60, 0, 0, 0, 0, 10, 17, 64]);
        frame.extend((0..32).collect::<Vec<u8>>());
        frame.extend([0xc0, 1, 0, 53, 0, 10, 0, 0, 1, 2]);
        frame
    }

    #[test]
    fn interface_addresses_and_ports_are_the_flow() {
        for (frame, offset) in [(ipv4(), 12), (ipv6(), 8)] {
            let whole = flow(&frame).unwrap();
            let addresses = 20 + offset..frame.len() - 10;
            let ports = frame.len() - 10..frame.len() - 6;
            for place in (0..frame.len()).filter(|place| *place != 26 && *place != 20) {
                let mut other = frame.clone();
                other[place] ^= 0x80;
                let is_part =
                    (4..8).contains(&place) || addresses.contains(&place) || ports.contains(&place);
                let changed = flow(&other).is_some_and(|flow| flow != whole);
                let is_type = place < 2 || (offset == 12 && place == 29);
                assert_eq!(changed, is_part && !is_type, "{place}");
            }
        }
    }

    #[test]
    fn other_packets_have_none() {
        let with = |frame: Vec<u8>, place: usize, value: u8| {
            let mut frame = frame;
            frame[place] = value;
            frame
        };
        for frame in [
            with(ipv4(), 20, 0x46),
            with(ipv4(), 27, 1),
            with(ipv4(), 29, 6),
            with(ipv6(), 26, 0),
            with(ipv4(), 0, 0x86),
            ipv4()[..42].to_vec(),
            ipv6()[..62].to_vec(),
            Vec::new(),
        ] {
            assert_eq!(flow(&frame), None, "{frame:02x?}");
        }
    }
}
