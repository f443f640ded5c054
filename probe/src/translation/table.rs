//! Translations that were learned, for the conversations that begin.
//!
//! A conversation takes its translation with it, so a translation that was learned from packets is
//! needed only for as long as the packets of another interface may wait to be read. One that the
//! kernel reports is kept until the kernel reports its end, because a conversation may begin again.

use std::hash::BuildHasher as _;

use flowproto::FlowKey;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::TranslationCounters;
use super::entries::OrderedEntries;
use super::legs::{Legs, undirected};

/// How long a translation is kept. Linux keeps that of an unanswered datagram as long.
const LIFETIME_NS: u64 = 30_000_000_000;
/// A translation that is observed again is renewed after this time.
const RENEWAL_NS: u64 = LIFETIME_NS / 4;
/// Maximum number of translations that are learned from packets.
pub const MAX_TRANSLATIONS: usize = 32_768;
/// Maximum number of translations that the kernel reports.
pub const MAX_EXACT_TRANSLATIONS: usize = 262_144;

/// The translation of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The sides of the connection.
    pub legs: Legs,
    /// Initial sequence number of a TCP connection.
    pub sequence_number: Option<u32>,
    /// Capture time of the packet that it was learned from, nanoseconds since the epoch. If the kernel
    /// reports it, the time after which its connection has begun; 0 if that is unknown.
    pub learned_ns: u64,
    /// The kernel reports it. Otherwise it was learned from packets, and a connection that it belongs
    /// to has its sequence number.
    pub is_exact: bool,
}

impl Translation {
    /// True if the other one is of the same connection and has no other sides.
    fn contains(&self, other: &Self) -> bool {
        let has = |key: &FlowKey| {
            let mut sides = self.legs.as_slice().iter();
            sides.any(|side| undirected(*side) == undirected(*key))
        };
        self.sequence_number == other.sequence_number && other.legs.as_slice().iter().all(has)
    }
}

/// Translations by the flow keys of their sides.
#[derive(Debug, Default)]
pub struct TranslationTable {
    hasher: RandomState,
    entries: OrderedEntries<Entry>,
    /// Translations are kept until they are removed.
    is_exact: bool,
    /// Numbers of entries by the undirected keys of their sides.
    sides: HashTable<Side>,
    counters: TranslationCounters,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    translation: Translation,
    time_ns: u64,
    /// The sides that are metered, of the first packet's direction and of the other one.
    metered: [Option<FlowKey>; 2],
    /// Both sides are traffic of their own.
    is_relayed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Side {
    key: FlowKey,
    number: u32,
}

impl Entry {
    fn is_used(&self) -> bool {
        self.metered.iter().any(Option::is_some)
    }

    /// The metered sides in the directions of another translation of the same connection.
    fn metered_as(&self, other: &Translation) -> [Option<FlowKey>; 2] {
        let [forward, reverse] = self.metered;
        let is_same_direction = other
            .legs
            .as_slice()
            .contains(&self.translation.legs.original());
        if is_same_direction {
            [forward, reverse]
        } else {
            [reverse, forward]
        }
    }
}

impl TranslationTable {
    /// Creates an empty table of translations that the kernel reports.
    #[must_use]
    pub fn exact() -> Self {
        Self {
            is_exact: true,
            ..Self::default()
        }
    }

    /// Counts so far. Those of the matcher are 0.
    #[must_use]
    pub const fn counters(&self) -> TranslationCounters {
        self.counters
    }

    /// Returns the number of translations that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if no translation is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Adds a translation. False if it is already kept.
    ///
    /// The sides of a connection are learned one after the other, and those of its answers in the
    /// other order. The side that is metered does not change meanwhile.
    pub fn insert(&mut self, translation: Translation, time_ns: u64) -> bool {
        self.expire(time_ns);
        let mut entry = Entry {
            translation,
            time_ns,
            metered: [None; 2],
            is_relayed: false,
        };
        let mut is_new = true;
        match self.related(&translation) {
            Some(known) if known.translation.contains(&translation) => {
                if self.is_exact {
                    self.confirm(&translation, time_ns);
                    return false;
                }
                if time_ns.saturating_sub(known.time_ns) < RENEWAL_NS {
                    return false;
                }
                is_new = !known.is_used();
                entry = Entry { time_ns, ..known };
            }
            Some(known) => entry.metered = known.metered_as(&translation),
            None => self.counters.learned += 1,
        }
        while self.entries.len() >= self.capacity() {
            self.counters.missed += u64::from(self.is_exact);
            self.pop();
        }
        let Some(number) = self.entries.push(entry) else {
            return false;
        };
        for key in entry.translation.legs.as_slice() {
            let key = undirected(*key);
            let hash = self.hasher.hash_one(key);
            let hasher = &self.hasher;
            match self.sides.find_mut(hash, |side| side.key == key) {
                Some(side) => side.number = number,
                None => {
                    let side = Side { key, number };
                    self.sides
                        .insert_unique(hash, side, |side| hasher.hash_one(side.key));
                }
            }
        }
        is_new
    }

    /// Maximum number of translations.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        if self.is_exact {
            MAX_EXACT_TRANSLATIONS
        } else {
            MAX_TRANSLATIONS
        }
    }

    /// Removes a translation whose connection has ended.
    pub fn remove(&mut self, legs: &Legs) {
        let Some(number) = self.number(undirected(legs.original())) else {
            return;
        };
        let entry = self.entries.get(number);
        if entry.is_some_and(|entry| entry.translation.legs == *legs) {
            self.remove_number(number);
        }
    }

    /// Removes the translations that were not inserted again since this time, nanoseconds since the
    /// epoch.
    pub fn remove_older(&mut self, time_ns: u64) {
        let entries = self.entries.iter();
        let older: Vec<u32> = entries
            .filter(|(_, entry)| entry.time_ns < time_ns)
            .map(|(number, _)| number)
            .collect();
        for number in older {
            self.remove_number(number);
        }
    }

    /// Marks the connection of a side: both sides are traffic of their own.
    pub fn set_relayed(&mut self, key: FlowKey) {
        if let Some(entry) = self.entry_mut(key) {
            entry.is_relayed = true;
        }
    }

    fn confirm(&mut self, translation: &Translation, time_ns: u64) {
        if let Some(entry) = self.entry_mut(translation.legs.original()) {
            entry.time_ns = time_ns;
        }
    }

    /// Finds the translation that has a conversation as one of its sides.
    #[must_use]
    pub fn find(&self, key: FlowKey) -> Option<&Translation> {
        let entry = self.entry(key)?;
        (!entry.is_relayed).then_some(&entry.translation)
    }

    /// Chooses the side of a translation that is metered in a direction, unless one was chosen
    /// before. True if it is the side with this key.
    pub fn choose(&mut self, key: FlowKey) -> bool {
        let Some(entry) = self.entry_mut(key) else {
            return true;
        };
        let [forward, reverse] = &mut entry.metered;
        let metered = if entry.translation.legs.as_slice().contains(&key) {
            forward
        } else {
            reverse
        };
        *metered.get_or_insert(key) == key
    }

    /// Forgets what was learned from packets too long before this time.
    pub fn expire(&mut self, time_ns: u64) {
        while !self.is_exact
            && let Some((_, oldest)) = self.entries.first()
            && time_ns.saturating_sub(oldest.time_ns) > LIFETIME_NS
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((number, _)) = self.entries.first() {
            self.remove_number(number);
        }
    }

    fn remove_number(&mut self, number: u32) {
        let Some(entry) = self.entries.remove(number) else {
            return;
        };
        let mut is_replaced = false;
        for key in entry.translation.legs.as_slice() {
            let key = undirected(*key);
            let hash = self.hasher.hash_one(key);
            match self
                .sides
                .find_entry(hash, |side| side.key == key && side.number == number)
            {
                Ok(side) => drop(side.remove()),
                Err(_) => is_replaced = true,
            }
        }
        let is_unused = !entry.is_used() && !is_replaced;
        self.counters.expired += u64::from(is_unused);
    }

    /// The entry of the same connection: one has all sides of the other.
    fn related(&self, translation: &Translation) -> Option<Entry> {
        let mut sides = translation.legs.as_slice().iter();
        let known = sides.find_map(|key| self.entry(*key))?;
        let (few, many) = if known.translation.contains(translation) {
            (translation, &known.translation)
        } else {
            (&known.translation, translation)
        };
        // Each of the sides may belong to a later translation by now.
        let mut numbers = few
            .legs
            .as_slice()
            .iter()
            .map(|key| self.number(undirected(*key)));
        let first = numbers.next()?;
        let is_related = many.contains(few) && numbers.all(|number| number == first);
        is_related.then_some(*known)
    }

    fn entry(&self, key: FlowKey) -> Option<&Entry> {
        self.entries.get(self.number(undirected(key))?)
    }

    fn entry_mut(&mut self, key: FlowKey) -> Option<&mut Entry> {
        let number = self.number(undirected(key))?;
        self.entries.get_mut(number)
    }

    /// Number of the entry of an undirected key.
    fn number(&self, key: FlowKey) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let side = self.sides.find(hash, |side| side.key == key)?;
        Some(side.number)
    }
}
