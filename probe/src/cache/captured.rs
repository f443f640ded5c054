//! Packets on their way into the flow cache.

use crate::capture::frame::ObservationPoint;
use crate::decode::PacketInfo;

/// A packet to meter, or the capture time of a frame without one.
#[derive(Clone, Copy, Debug, Default)]
pub struct CapturedPacket {
    /// Capture time, nanoseconds since the epoch.
    pub time_ns: u64,
    /// Where it was observed.
    pub point: ObservationPoint,
    /// False if there is no packet to meter and only time advances. Not an `Option`, so that a
    /// packet can be decoded in place.
    pub is_metered: bool,
    /// Position of what its payload shows, among those of the group.
    pub observed: Option<u8>,
    /// The packet.
    pub packet: PacketInfo,
}

/// Packets that are copies of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyCounts {
    /// Number of packets.
    pub packets: u64,
    /// Octets of those packets.
    pub octets: u64,
}
