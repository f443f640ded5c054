//! Flow export inside a tunnel, as in a capture of a node's uplink: from an outer IP packet to the
//! inner one.

use etherparse::{LaxIpPayloadSlice, ip_number};

use super::link::{self, IPV4, IPV6};

/// Ports of VXLAN: RFC 7348, and Linux before that.
const VXLAN: [u16; 2] = [4789, 8472];
const GENEVE: u16 = 6081;
/// EtherType of an Ethernet frame in GRE and Geneve.
const ETHERNET: u16 = 0x6558;

/// What is inside a tunnel packet, with its EtherType. `None` if it is not one, or a fragment of
/// one.
pub(super) fn inside<'a>(outer: &LaxIpPayloadSlice<'a>) -> Option<(u16, &'a [u8])> {
    let data = outer.payload;
    if outer.fragmented {
        return None;
    }
    match outer.ip_number {
        ip_number::IPV4 => Some((IPV4, data)),
        ip_number::IPV6 => Some((IPV6, data)),
        ip_number::GRE => gre(data),
        ip_number::UDP => match data {
            [_, _, d0, d1, _, _, _, _, data @ ..] => over_udp(u16::from_be_bytes([*d0, *d1]), data),
            _ => None,
        },
        _ => None,
    }
}

fn over_udp(destination_port: u16, data: &[u8]) -> Option<(u16, &[u8])> {
    match (destination_port, data) {
        // The flag of a valid network identifier (RFC 7348 §5).
        (port, [0x08, _, _, _, _, _, _, _, frame @ ..]) if VXLAN.contains(&port) => {
            Some(link::ethernet(frame))
        }
        // Version 0 and the length of the options in words (RFC 8926 §3.4).
        (GENEVE, [options @ 0..64, _, k0, k1, _, _, _, _, rest @ ..]) => {
            let options = usize::from(*options).saturating_mul(4);
            let kind = u16::from_be_bytes([*k0, *k1]);
            Some(of_kind(kind, rest.get(options..)?))
        }
        _ => None,
    }
}

/// Version 0 with an optional checksum, key and sequence number (RFC 2784, RFC 2890).
fn gre(data: &[u8]) -> Option<(u16, &[u8])> {
    let [flags, 0, k0, k1, rest @ ..] = data else {
        return None;
    };
    // The other bits are of obsolete fields.
    if flags & !0xb0 != 0 {
        return None;
    }
    let options = usize::try_from(flags.count_ones()).ok()?.checked_mul(4)?;
    let kind = u16::from_be_bytes([*k0, *k1]);
    Some(of_kind(kind, rest.get(options..)?))
}

fn of_kind(kind: u16, data: &[u8]) -> (u16, &[u8]) {
    match kind {
        ETHERNET => link::ethernet(data),
        _ => (kind, data),
    }
}
