//! Offloads (GRO, TSO) merge segments before they are captured: a "packet" of 64 kB was many on the wire.

use crate::decode::PacketInfo;

/// Octets; taken where nothing else is known.
const ETHERNET_MTU: u32 = 1500;

/// Octets of a segment and its options that every sender may send, whatever is announced: Linux heeds nothing
/// smaller, and nobody may have one packet counted as a thousand.
const SMALLEST_SEGMENT: u16 = 48;

/// Segments that offloads (GRO, TSO) merged into a captured packet: its payload by what a full segment holds,
/// which is what the receiver announced in its SYN, and what the interface's MTU takes. Without either the
/// MTU is taken to be Ethernet's.
#[inline]
pub(super) fn segments(packet: &PacketInfo, announced: Option<u16>, mtu: u32) -> u32 {
    let by_mtu = |mtu: u32| {
        mtu.saturating_sub(packet.encapsulation_octets)
            .saturating_sub(packet.header_octets)
    };
    let segment = match (announced, mtu) {
        (None, 0) => by_mtu(ETHERNET_MTU),
        (None, mtu) => by_mtu(mtu),
        (Some(size), mtu) => {
            let by_receiver =
                u32::from(size.max(SMALLEST_SEGMENT)).saturating_sub(packet.tcp_option_octets);
            if mtu == 0 {
                by_receiver
            } else {
                by_receiver.min(by_mtu(mtu))
            }
        }
    };
    if segment == 0 || packet.payload_octets <= segment {
        return 1;
    }
    packet.payload_octets.div_ceil(segment)
}
