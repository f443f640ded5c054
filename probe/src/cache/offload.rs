//! Offloads (GRO, TSO, UDP_SEGMENT) merge segments before capture: a captured packet of 64 kB was
//! many on the wire.

use crate::decode::PacketInfo;

/// MTU that is assumed if nothing else is known, octets.
const ETHERNET_MTU: u32 = 1500;

/// Minimum size of a segment with its options, whatever is announced, octets. Linux ignores smaller
/// ones, and one packet must not count as a thousand.
const MIN_SEGMENT: u16 = 48;

/// The number of segments that offloads merged into a captured packet: its payload divided by that
/// of a full segment. That is limited by the maximum segment size of the receiver and by the MTU of
/// the interface. Without either, the MTU of Ethernet is assumed.
#[inline]
pub(super) fn segments(packet: &PacketInfo, announced: Option<u16>, mtu: u32) -> u32 {
    let by_mtu = |mtu: u32| {
        mtu.saturating_sub(packet.encapsulation_octets)
            .saturating_sub(packet.header_octets)
            .max(MIN_SEGMENT.into())
    };
    let segment = match (announced, mtu) {
        (None, 0) => by_mtu(ETHERNET_MTU),
        (None, mtu) => by_mtu(mtu),
        (Some(size), mtu) => {
            let by_receiver = u32::from(size.max(MIN_SEGMENT))
                .saturating_sub(packet.tcp_option_octets)
                .max(1);
            if mtu == 0 {
                by_receiver
            } else {
                by_receiver.min(by_mtu(mtu))
            }
        }
    };
    if packet.payload_octets <= segment {
        return 1;
    }
    packet.payload_octets.div_ceil(segment)
}
