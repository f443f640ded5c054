//! Selects the datagrams that are compared. The kernel cannot recognize the first datagram of a
//! conversation, so all of them arrive, and most belong to conversations of which enough were
//! compared.

use std::hash::BuildHasher as _;

use crate::decode::mix;

/// Datagrams of a conversation that are compared at its beginning, on each interface.
const COMPARED: u8 = 2;
/// Time without a datagram after which a conversation begins again.
const PAUSE_NS: u64 = 10_000_000_000;
/// All datagrams in one part of each period are compared: the sides of a conversation whose
/// translation has changed are observed at nearly the same time. It is another part in each period,
/// for conversations that send at a steady pace.
const PERIOD_NS: u64 = 1_000_000_000;
const PARTS: u64 = 32;
/// Conversations that are remembered; a power of two. Another one in the same slot replaces them,
/// and its datagrams are compared.
const SLOTS: usize = 16_384;

/// Conversations, each on one interface, whose datagrams were compared.
#[derive(Debug, Default)]
pub struct DatagramSelection {
    hasher: foldhash::fast::RandomState,
    /// Empty until the first datagram.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    seen_ns: u64,
    hash: u32,
    compared: u8,
}

impl DatagramSelection {
    /// True if the datagram is to be compared. `flow`: interface, addresses and ports.
    #[inline]
    pub fn selects(&mut self, flow: &[u64; 5], time_ns: u64) -> bool {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS];
        }
        let [a, b, c, d, low @ ..] = self.hasher.hash_one(flow).to_be_bytes();
        let hash = u32::from_be_bytes([a, b, c, d]);
        let slot = usize::try_from(u32::from_be_bytes(low)).unwrap_or_default() % SLOTS;
        let Some(slot) = self.slots.get_mut(slot) else {
            return true;
        };
        if slot.hash != hash || time_ns.abs_diff(slot.seen_ns) > PAUSE_NS {
            slot.hash = hash;
            slot.compared = 0;
        }
        slot.seen_ns = time_ns;
        if slot.compared < COMPARED {
            slot.compared += 1;
            return true;
        }
        let (period, part) = (time_ns / PERIOD_NS, time_ns % PERIOD_NS * PARTS / PERIOD_NS);
        mix(period) % PARTS == part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time at which not all datagrams are compared.
    const START: u64 = 1_700_000_000_500_000_000;
    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn the_first_datagrams_of_each_conversation_are_compared() {
        let mut selection = DatagramSelection::default();
        for flow in 0..100 {
            let mut compared = 0;
            for datagram in 0..50 {
                let time = START + datagram * MILLISECOND;
                compared += u32::from(selection.selects(&[flow, 1, 0, 0, 0], time));
            }
            // Two conversations of these can share a slot, but they do not take turns.
            assert_eq!(compared, u32::from(COMPARED));
        }
    }

    #[test]
    fn a_conversation_begins_again_after_a_pause() {
        let mut selection = DatagramSelection::default();
        let flow = [1, 2, 0, 0, 0];
        let mut select = |time: u64| (0..10).filter(|_| selection.selects(&flow, time)).count();
        assert_eq!(select(START), 2);
        assert_eq!(select(START + 9_000 * MILLISECOND), 0);
        assert_eq!(select(START + 20_000 * MILLISECOND), 2);
        // The clock was set back.
        assert_eq!(select(START), 2);
    }

    #[test]
    fn all_datagrams_are_compared_in_a_part_of_each_second() {
        let mut selection = DatagramSelection::default();
        let flow = [1, 2, 0, 0, 0];
        let times = (0..10_000).map(|step| START + step * MILLISECOND / 2);
        let compared = times.filter(|time| selection.selects(&flow, *time)).count();
        // 31.25 ms of each of five seconds, and the first datagrams.
        assert!((300..=325).contains(&compared), "{compared}");
    }
}
