//! Datagrams that a capture has several times, because it is of several interfaces: a datagram that
//! passes a bridge is captured at each of its ports by `tcpdump -i any`. The first copy is read.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::SocketAddr;

use foldhash::fast::RandomState;

/// Copies are captured within this time, milliseconds.
const WINDOW_MILLISECONDS: u64 = 1000;
/// Maximum number of datagrams that are remembered.
const MAX_REMEMBERED: usize = 65_536;

/// The interface of a captured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Interface {
    /// The capture is of one interface.
    Only,
    /// One of several, by number.
    Number(u64),
    /// One of several; the capture does not have its number.
    Unknown,
}

/// The datagrams that were read a moment ago, by a hash of exporter and payload.
#[derive(Debug, Default)]
pub(super) struct Copies {
    recent: HashMap<u64, First, RandomState>,
    order: VecDeque<(u64, u64)>,
    hasher: RandomState,
}

/// The interface and time of the copy that was read.
#[derive(Clone, Copy, Debug)]
struct First {
    interface: Interface,
    time_milliseconds: u64,
}

impl Copies {
    /// True if this datagram was read from another interface a moment ago. The same datagram again
    /// from the same interface was sent twice.
    pub(super) fn is_copy(
        &mut self,
        interface: Interface,
        (exporter, payload): (SocketAddr, &[u8]),
        time_milliseconds: u64,
    ) -> bool {
        if interface == Interface::Only {
            return false;
        }
        self.forget(time_milliseconds);
        let hash = self.hasher.hash_one((exporter, payload));
        if let Some(first) = self.recent.get(&hash)
            && (first.interface != interface || interface == Interface::Unknown)
        {
            return true;
        }
        self.order.push_back((time_milliseconds, hash));
        let first = First {
            interface,
            time_milliseconds,
        };
        self.recent.insert(hash, first);
        false
    }

    /// Forgets what is older than the window, and the oldest of too many.
    fn forget(&mut self, now_milliseconds: u64) {
        while let Some((time, hash)) = self.order.front().copied() {
            let is_recent = time.abs_diff(now_milliseconds) < WINDOW_MILLISECONDS;
            if is_recent && self.order.len() < MAX_REMEMBERED {
                return;
            }
            self.order.pop_front();
            let same = self.recent.get(&hash);
            if same.is_some_and(|first| first.time_milliseconds == time) {
                self.recent.remove(&hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 4739))
    }

    #[test]
    fn a_copy_from_another_interface_within_a_second_is_found() {
        let mut copies = Copies::default();
        let mut is_copy = |interface, payload: &[u8], time| {
            copies.is_copy(Interface::Number(interface), (exporter(), payload), time)
        };
        assert!(!is_copy(1, b"a", 1000));
        assert!(is_copy(2, b"a", 1001) && is_copy(3, b"a", 1999));
        assert!(!is_copy(2, b"b", 1999));
        // It was sent twice.
        assert!(!is_copy(1, b"a", 1999));
        assert!(is_copy(2, b"a", 2500));
        assert!(!is_copy(2, b"a", 3000));
    }

    #[test]
    fn without_interface_numbers_every_repetition_is_a_copy() {
        let mut copies = Copies::default();
        let mut is_copy = |interface, time| copies.is_copy(interface, (exporter(), b"a"), time);
        assert!(!is_copy(Interface::Unknown, 1000));
        assert!(is_copy(Interface::Unknown, 1000));
        assert!(!is_copy(Interface::Only, 1000) && !is_copy(Interface::Only, 1000));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut copies = Copies::default();
        for number in 0..2 * MAX_REMEMBERED {
            let payload = number.to_be_bytes();
            let datagram = (exporter(), &payload[..]);
            assert!(!copies.is_copy(Interface::Unknown, datagram, 1000));
        }
        assert!(copies.order.len() <= MAX_REMEMBERED);
        assert!(copies.recent.len() <= MAX_REMEMBERED);
    }
}
