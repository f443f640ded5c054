//! A queue of records with deadlines, bounded in octets, with a fair share for every sender.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowproto::Address;

/// Deadline, milliseconds, and number of arrival.
type Position = (u64, u64);

/// What the queue itself needs for a record, octets.
const ENTRY_OCTETS: usize = 192;

/// What a record occupies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// Octets of its own.
    pub(super) octets: usize,
    /// What it shares with other records of its sender, under a key. It counts once.
    pub(super) shared: Option<Shared>,
}

/// Memory that several records of one sender share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shared {
    pub(super) key: usize,
    pub(super) octets: usize,
}

/// Records in the order of their deadlines. When there are more octets than allowed, the sender
/// that has most of them loses the record with its earliest deadline first, so that no sender
/// displaces another.
#[derive(Debug)]
pub(super) struct DelayQueue<T> {
    records: BTreeMap<Position, Entry<T>>,
    by_sender: BTreeSet<(Address, Position)>,
    /// Octets of each sender.
    shares: HashMap<Address, usize>,
    by_share: BTreeSet<(usize, Address)>,
    /// Number of records that have a [`Shared::key`].
    sharing: HashMap<usize, usize>,
    octets: usize,
    max_octets: usize,
    arrivals: u64,
}

#[derive(Debug)]
struct Entry<T> {
    record: T,
    footprint: Footprint,
    sender: Address,
}

impl<T> DelayQueue<T> {
    /// Creates an empty queue for `max_octets`.
    pub(super) fn new(max_octets: usize) -> Self {
        Self {
            records: BTreeMap::new(),
            by_sender: BTreeSet::new(),
            shares: HashMap::new(),
            by_share: BTreeSet::new(),
            sharing: HashMap::new(),
            octets: 0,
            max_octets,
            arrivals: 0,
        }
    }

    /// Adds a record until the deadline. [`Self::pop_overflow`] must follow.
    pub(super) fn push(
        &mut self,
        record: T,
        footprint: Footprint,
        sender: Address,
        deadline_milliseconds: u64,
    ) {
        self.arrivals = self.arrivals.wrapping_add(1);
        let position = (deadline_milliseconds, self.arrivals);
        let mut octets = footprint.octets.saturating_add(ENTRY_OCTETS);
        if let Some(shared) = footprint.shared {
            let records = self.sharing.entry(shared.key).or_default();
            if *records == 0 {
                octets = octets.saturating_add(shared.octets);
            }
            *records = records.saturating_add(1);
        }
        let entry = Entry {
            record,
            footprint,
            sender,
        };
        self.records.insert(position, entry);
        self.by_sender.insert((sender, position));
        self.octets = self.octets.saturating_add(octets);
        self.resize_share(sender, |share| share.saturating_add(octets));
    }

    /// Removes a record that there is no room for.
    pub(super) fn pop_overflow(&mut self) -> Option<T> {
        if self.octets <= self.max_octets {
            return None;
        }
        let (_, sender) = self.by_share.last()?;
        let (of, position) = self.by_sender.range((*sender, (0, 0))..).next()?;
        debug_assert_eq!(of, sender, "a sender with a share has a record");
        let position = *position;
        self.remove(position)
    }

    /// Removes a record whose deadline has passed.
    pub(super) fn pop_expired(&mut self, now_milliseconds: u64) -> Option<T> {
        let (position, _) = self.records.first_key_value()?;
        if position.0 > now_milliseconds {
            return None;
        }
        let position = *position;
        self.remove(position)
    }

    /// Removes the record with the earliest deadline.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.pop_expired(u64::MAX)
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Octets of the records.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    fn remove(&mut self, position: Position) -> Option<T> {
        let Entry {
            record,
            footprint,
            sender,
        } = self.records.remove(&position)?;
        self.by_sender.remove(&(sender, position));
        let mut octets = footprint.octets.saturating_add(ENTRY_OCTETS);
        if let Some(shared) = footprint.shared
            && let Some(records) = self.sharing.get_mut(&shared.key)
        {
            *records = records.saturating_sub(1);
            if *records == 0 {
                self.sharing.remove(&shared.key);
                octets = octets.saturating_add(shared.octets);
            }
        }
        self.octets = self.octets.saturating_sub(octets);
        self.resize_share(sender, |share| share.saturating_sub(octets));
        Some(record)
    }

    fn resize_share(&mut self, sender: Address, resize: impl FnOnce(usize) -> usize) {
        let share = self.shares.entry(sender).or_default();
        self.by_share.remove(&(*share, sender));
        *share = resize(*share);
        if *share == 0 {
            self.shares.remove(&sender);
        } else {
            self.by_share.insert((*share, sender));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Address = Address::from_v4_bits(0x0a00_0001);
    const B: Address = Address::from_v4_bits(0x0a00_0002);

    fn queue(records: usize) -> DelayQueue<u32> {
        DelayQueue::new(records * (ENTRY_OCTETS + 100))
    }

    fn octets(octets: usize) -> Footprint {
        Footprint {
            octets,
            shared: None,
        }
    }

    fn overflow(queue: &mut DelayQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop_overflow()).collect()
    }

    #[test]
    fn records_leave_in_the_order_of_their_deadlines() {
        let mut queue = queue(10);
        for (record, deadline) in [(1, 300), (2, 100), (3, 200), (4, 100)] {
            queue.push(record, octets(100), A, deadline);
        }
        assert_eq!(queue.pop_expired(99), None);
        assert_eq!(queue.pop_expired(100), Some(2));
        assert_eq!(queue.pop_expired(200), Some(4));
        assert_eq!(queue.pop_expired(200), Some(3));
        assert_eq!(queue.pop_expired(200), None);
        assert_eq!(queue.pop(), Some(1));
        assert_eq!((queue.len(), queue.octets(), queue.pop()), (0, 0, None));
    }

    #[test]
    fn the_bound_is_in_octets() {
        let mut queue = queue(10);
        queue.push(1, octets(100), A, 1);
        queue.push(2, octets(9 * (ENTRY_OCTETS + 100)), A, 2);
        assert_eq!(overflow(&mut queue), [1]);
        queue.push(3, octets(100 * ENTRY_OCTETS), A, 3);
        assert_eq!(overflow(&mut queue), [2, 3]);
        assert_eq!(queue.octets(), 0);
    }

    #[test]
    fn what_records_share_counts_once_and_until_the_last_of_them_is_gone() {
        let mut queue = queue(10);
        let sharing = Footprint {
            octets: 100,
            shared: Some(Shared {
                key: 7,
                octets: 1000,
            }),
        };
        for record in 0..3 {
            queue.push(record, sharing, A, u64::from(record));
        }
        assert_eq!(queue.octets(), 3 * (ENTRY_OCTETS + 100) + 1000);
        queue.pop();
        queue.pop();
        assert_eq!(queue.octets(), ENTRY_OCTETS + 100 + 1000);
        queue.pop();
        assert_eq!(queue.octets(), 0);
        assert!(queue.sharing.is_empty() && queue.shares.is_empty());
    }

    #[test]
    fn the_sender_with_the_most_octets_is_evicted_first() {
        let mut queue = queue(10);
        for record in 0..3 {
            queue.push(record, octets(100), A, 0);
        }
        for record in 10..1000 {
            queue.push(record, octets(100), B, 1000 + u64::from(record));
            assert!(overflow(&mut queue).iter().all(|record| *record >= 10));
        }
        assert_eq!(queue.len(), 10);
        // The quiet sender may fill its share, at the other's cost.
        queue.push(3, octets(100), A, 0);
        queue.push(4, octets(100), A, 0);
        assert_eq!(overflow(&mut queue), [993, 994]);
        queue.push(5, octets(100), A, 0);
        assert_eq!(overflow(&mut queue), [0]);
    }
}
