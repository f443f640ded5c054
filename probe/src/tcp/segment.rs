//! What the health of a connection depends on in a packet.

use crate::decode::{PacketInfo, TcpOptions};

const FIN: u16 = 0x01;
const SYN: u16 = 0x02;
const RST: u16 = 0x04;
const ACK: u16 = 0x10;

/// `a` is before `b` in the stream, modulo 2³² (RFC 9293 §3.4).
pub(super) const fn precedes(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// A TCP segment, or several that an offload has merged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Time of the packet on the scale of the cache's clock, nanoseconds.
    pub time_ns: u64,
    /// Sequence number of the first octet.
    pub sequence_number: u32,
    /// Acknowledgment number.
    pub acknowledgment_number: u32,
    /// Octets of payload.
    pub payload_octets: u32,
    /// Segments that it was on the wire, ≥ 1.
    pub packets: u32,
    /// 6 `tcpControlBits`.
    pub control_bits: u16,
    /// The window field.
    pub window: u16,
    /// Options.
    pub options: TcpOptions,
}

impl Segment {
    /// The segment of a packet that has a complete TCP header and is not a fragment.
    #[inline]
    #[must_use]
    pub const fn of(packet: &PacketInfo, packets: u32, time_ns: u64) -> Self {
        Self {
            time_ns,
            sequence_number: packet.sequence_number,
            acknowledgment_number: packet.acknowledgment_number,
            payload_octets: packet.payload_octets,
            packets,
            control_bits: packet.tcp_control_bits,
            window: packet.tcp_window,
            options: packet.tcp_options,
        }
    }

    /// SYN.
    #[must_use]
    pub const fn is_synchronize(&self) -> bool {
        self.control_bits & SYN != 0
    }

    /// FIN.
    #[must_use]
    pub const fn is_finish(&self) -> bool {
        self.control_bits & FIN != 0
    }

    /// RST.
    #[must_use]
    pub const fn is_reset(&self) -> bool {
        self.control_bits & RST != 0
    }

    /// The acknowledgment number is valid.
    #[must_use]
    pub const fn has_acknowledgment(&self) -> bool {
        self.control_bits & ACK != 0
    }

    /// Sequence numbers that it takes: payload, SYN and FIN.
    #[must_use]
    pub fn length(&self) -> u32 {
        let controls = u32::from(self.is_synchronize()) + u32::from(self.is_finish());
        self.payload_octets.saturating_add(controls)
    }

    /// The number of segments in `octets` of it, rounded up, ≥ 1.
    #[must_use]
    pub fn packets_in(&self, octets: u32) -> u32 {
        if self.packets <= 1 {
            return 1;
        }
        let size = self.payload_octets.div_ceil(self.packets).max(1);
        octets.div_ceil(size).max(1)
    }
}
