//! The first packet of a connection, as one interface has observed it.

use flowproto::FlowKey;
use flowproto::protocol::{TCP, UDP};

use crate::decode::{PacketInfo, Repetition, Signal, mix};

/// What a translation leaves unchanged in a first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketIdentity {
    /// Hash of the unchanged contents; not 0.
    pub(super) hash: u64,
    /// Initial sequence number of a TCP connection.
    sequence_number: Option<u32>,
    /// The datagram has an IP identification, which a program that passes it on does not keep.
    pub(super) has_identification: bool,
}

impl PacketIdentity {
    /// The identity of a TCP SYN or of a datagram. `None` for other packets.
    #[must_use]
    pub fn of(packet: &PacketInfo) -> Option<Self> {
        let (hash, sequence_number) = match (packet.key.protocol_identifier, packet.signal) {
            (TCP, Signal::Open) => {
                let number = packet.sequence_number;
                (u64::from(number), Some(number))
            }
            // A later fragment has no ports.
            (UDP, Signal::None | Signal::Answer) if packet.key.source_port != 0 => {
                (packet.contents.hash, None)
            }
            _ => return None,
        };
        let protocol = u64::from(packet.key.protocol_identifier);
        Some(Self {
            // The lowest bit is set, because 0 marks an unused slot.
            hash: mix(hash ^ protocol << 56) | 1,
            sequence_number,
            has_identification: packet.contents.repetition == Repetition::Unlikely,
        })
    }

    /// Initial sequence number of a TCP connection.
    #[must_use]
    pub const fn sequence_number(self) -> Option<u32> {
        self.sequence_number
    }

    /// True if hardly any other connection has the same identity. Datagrams are repeated, sequence
    /// numbers are random.
    pub(super) const fn is_unique(self) -> bool {
        self.sequence_number.is_some()
    }
}

/// A first packet, and where it was observed.
#[derive(Clone, Copy, Debug)]
pub struct FirstPacket {
    /// Its flow key at this interface.
    pub key: FlowKey,
    /// What is the same at all interfaces.
    pub identity: PacketIdentity,
    /// Capture time, nanoseconds since the epoch.
    pub time_ns: u64,
    /// Identity of the interface.
    pub interface: u32,
    /// The interface leads out of the node.
    pub is_outside: bool,
    /// True if the node sent the packet out of that interface, `None` if unknown.
    pub egress: Option<bool>,
}
