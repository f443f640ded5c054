//! Encrypted packets over UDP, as far as their headers prove it: WireGuard, and ESP in UDP (RFC
//! 3948).

use flowproto::record::SecurityProtocol;

use super::tunnel_ports::TunnelProtocol;

const UDP_HEADER: usize = 8;
/// Octets of the smallest ESP packet: SPI, sequence number, and a block of four with its trailer.
const MIN_ESP: u32 = 12;

/// What protects a UDP datagram whose header and payload are `datagram`, as far as they were
/// captured. `payload_octets` on the wire; 0 for fragments, of which nothing is known.
#[cold]
pub(super) fn over_udp(
    protocol: TunnelProtocol,
    datagram: &[u8],
    payload_octets: u32,
) -> Option<SecurityProtocol> {
    let word = *datagram.get(UDP_HEADER..)?.first_chunk::<4>()?;
    match protocol {
        TunnelProtocol::WireGuard => is_wireguard(word, payload_octets),
        // IKE has four zero octets in place of the SPI (RFC 3948 §2.2).
        TunnelProtocol::Esp => word != [0; 4] && payload_octets >= MIN_ESP,
        _ => false,
    }
    .then_some(match protocol {
        TunnelProtocol::WireGuard => SecurityProtocol::WireGuard,
        _ => SecurityProtocol::Esp,
    })
}

/// A message type with three zero octets, and the length of the type. Three types have one length;
/// messages with data are padded to a multiple of 16 octets, which segments of an offload are, too.
const fn is_wireguard(word: [u8; 4], payload_octets: u32) -> bool {
    match word {
        [1, 0, 0, 0] => payload_octets == 148,
        [2, 0, 0, 0] => payload_octets == 92,
        [3, 0, 0, 0] => payload_octets == 64,
        [4, 0, 0, 0] => payload_octets >= 32 && payload_octets.is_multiple_of(16),
        _ => false,
    }
}
