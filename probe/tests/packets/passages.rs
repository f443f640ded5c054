//! Packets of a conversation that pass two captured interfaces of a node, and rings from which they
//! are read.

use std::collections::VecDeque;

use super::*;

/// Addresses and ports of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends(
    pub(crate) [u8; 4],
    pub(crate) u16,
    pub(crate) [u8; 4],
    pub(crate) u16,
);

impl Ends {
    pub(crate) const fn reversed(self) -> Self {
        Self(self.2, self.3, self.0, self.1)
    }

    pub(crate) fn tcp(self, numbers: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
        let segment = tcp((self.1, self.3), numbers, flags, payload);
        ethernet(0x0800, &ipv4(6, self.0, self.2, &segment))
    }

    pub(crate) fn udp(self, payload: &[u8]) -> Vec<u8> {
        let datagram = udp(self.1, self.3, payload);
        ethernet(0x0800, &ipv4(17, self.0, self.2, &datagram))
    }
}

/// A packet that passes two captured interfaces of the node.
pub(crate) struct Passage {
    pub(crate) is_answer: bool,
    /// The capture of first packets has it, too.
    pub(crate) is_first: bool,
    /// The frame for its addresses.
    pub(crate) frame: Box<dyn Fn(Ends) -> Vec<u8>>,
}

/// True for an answer, then sequence and acknowledgement number, flags and payload.
type Segment = (bool, (u32, u32), u8, &'static [u8]);

/// A TCP connection of four packets in each direction.
pub(crate) fn tcp_passages() -> Vec<Passage> {
    let packets: [Segment; 8] = [
        (false, (100, 0), SYN, b""),
        (true, (9000, 101), SYN | ACK, b""),
        (false, (101, 9001), ACK, b""),
        (false, (101, 9001), ACK, b"request"),
        (true, (9001, 108), ACK, b"answer"),
        (true, (9007, 108), FIN | ACK, b""),
        (false, (108, 9008), FIN | ACK, b""),
        (true, (9008, 109), ACK, b""),
    ];
    let passage = |(is_answer, numbers, flags, payload)| Passage {
        is_answer,
        is_first: flags == SYN,
        frame: Box::new(move |ends: Ends| ends.tcp(numbers, flags, payload)),
    };
    packets.into_iter().map(passage).collect()
}

/// Four datagrams in each direction.
pub(crate) fn udp_passages() -> Vec<Passage> {
    let packets: [(bool, &[u8]); 8] = [
        (false, b"first request"),
        (true, b"first answer"),
        (false, b"second request"),
        (false, b"third request"),
        (true, b"second answer"),
        (true, b"third answer"),
        (false, b"last request"),
        (true, b"last answer"),
    ];
    let passage = |(is_answer, payload)| Passage {
        is_answer,
        is_first: !is_answer,
        frame: Box::new(move |ends: Ends| ends.udp(payload)),
    };
    packets.into_iter().map(passage).collect()
}

/// Observations that are read up to a time.
#[derive(Default)]
pub(crate) struct Ring(pub(crate) VecDeque<(u64, u32, bool, Vec<u8>)>);

impl Ring {
    pub(crate) fn read(&mut self, until: u64, mut each: impl FnMut(u64, u32, bool, &[u8])) {
        while self.0.front().is_some_and(|(time, ..)| *time <= until) {
            let (time, interface, egress, packet) = self.0.pop_front().unwrap();
            each(time, interface, egress, &packet);
        }
    }
}
