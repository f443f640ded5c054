//! Data Sets that cannot be read yet, kept within bounds: their template has not arrived (RFC 7011
//! §8.2 leaves this to the Collecting Process), or the next Message has to show whether their
//! exporter has restarted.
//!
//! Sets are found by session, template and age without a search, so that no sender can make each
//! datagram cost as much as all pending Sets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use crate::address::Address;
use crate::sessions::{DomainKey, Place, SessionMessage};
use crate::wire::MessageHeader;

/// Fixed cost of a Set, so that small Sets are bounded too.
const OVERHEAD_OCTETS: usize = 256;

/// A Data Set that cannot be read yet.
#[derive(Debug)]
pub(super) struct PendingSet {
    pub(super) exporter: SocketAddr,
    pub(super) header: MessageHeader,
    pub(super) message: SessionMessage,
    pub(super) domain: DomainKey,
    pub(super) id: u16,
    pub(super) content: Box<[u8]>,
}

/// What a Set waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// The template of this ID.
    Template(u16),
    /// The next Message of its session.
    NextMessage,
}

/// A Set: its session, what it waits for, and its number in the order of arrival.
type Key = (Place, Wait, u64);

/// All pending Sets.
#[derive(Debug)]
pub(super) struct PendingSets {
    sets: BTreeMap<Key, PendingSet>,
    /// Time of arrival, by the number in the order of arrival.
    ages: BTreeMap<u64, (u64, Place, Wait)>,
    /// Sessions that wait for a template, with the number of their Sets.
    waiting: BTreeMap<(DomainKey, u16), BTreeSet<Place>>,
    octets_of: HashMap<Address, usize, foldhash::fast::RandomState>,
    arrivals: u64,
    octets: usize,
    max_octets: usize,
    /// Maximum size of the Sets of one address.
    max_octets_of: usize,
    max_milliseconds: u64,
}

impl PendingSets {
    pub(super) fn new(max_octets: usize, max_octets_of: usize, max_milliseconds: u64) -> Self {
        Self {
            sets: BTreeMap::new(),
            ages: BTreeMap::new(),
            waiting: BTreeMap::new(),
            octets_of: HashMap::default(),
            arrivals: 0,
            octets: 0,
            max_octets,
            max_octets_of,
            max_milliseconds,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// Whether there is room for a Set of this number of octets.
    pub(super) fn has_room(&self, domain: &DomainKey, octets: usize) -> bool {
        let cost = cost(octets);
        let of_address = self.octets_of.get(&domain.address).copied();
        self.octets.saturating_add(cost) <= self.max_octets
            && of_address.unwrap_or_default().saturating_add(cost) <= self.max_octets_of
    }

    /// Keeps a Set.
    pub(super) fn push(&mut self, wait: Wait, set: PendingSet, now_milliseconds: u64) {
        let (place, cost) = (set.message.place, cost(set.content.len()));
        self.octets = self.octets.saturating_add(cost);
        let of_address = self.octets_of.entry(set.domain.address).or_default();
        *of_address = of_address.saturating_add(cost);
        self.arrivals = self.arrivals.saturating_add(1);
        self.ages
            .insert(self.arrivals, (now_milliseconds, place, wait));
        if let Wait::Template(id) = wait {
            let sessions = self.waiting.entry((set.domain, id)).or_default();
            sessions.insert(place);
        }
        self.sets.insert((place, wait, self.arrivals), set);
    }

    /// Removes the oldest Set of a session that waits for this.
    pub(super) fn pop(&mut self, place: Place, wait: Wait) -> Option<PendingSet> {
        let range = (place, wait, 0)..=(place, wait, u64::MAX);
        let key = *self.sets.range(range).next()?.0;
        self.remove(key)
    }

    /// Sessions of a domain that wait for a template, at most `number` of them.
    pub(super) fn waiting(&self, domain: DomainKey, id: u16, number: usize) -> Vec<Place> {
        let sessions = self.waiting.get(&(domain, id)).into_iter().flatten();
        sessions.copied().take(number).collect()
    }

    /// The message of the oldest Set of a session that waits for this.
    pub(super) fn first(&self, place: Place, wait: Wait) -> Option<&PendingSet> {
        let range = (place, wait, 0)..=(place, wait, u64::MAX);
        self.sets.range(range).next().map(|(_, set)| set)
    }

    /// Removes the oldest Set that has waited for too long.
    pub(super) fn pop_expired(&mut self, now_milliseconds: u64) -> Option<PendingSet> {
        let (arrival, (since, place, wait)) = self.ages.first_key_value()?;
        if now_milliseconds.saturating_sub(*since) <= self.max_milliseconds {
            return None;
        }
        self.remove((*place, *wait, *arrival))
    }

    /// Removes the oldest Set of a session.
    pub(super) fn pop_of(&mut self, place: Place) -> Option<PendingSet> {
        let range = (place, Wait::Template(0), 0)..=(place, Wait::NextMessage, u64::MAX);
        let key = *self.sets.range(range).next()?.0;
        self.remove(key)
    }

    fn remove(&mut self, key: Key) -> Option<PendingSet> {
        let (place, wait, arrival) = key;
        self.ages.remove(&arrival);
        let set = self.sets.remove(&key)?;
        let cost = cost(set.content.len());
        self.octets = self.octets.saturating_sub(cost);
        if let Some(of_address) = self.octets_of.get_mut(&set.domain.address) {
            *of_address = of_address.saturating_sub(cost);
            if *of_address == 0 {
                self.octets_of.remove(&set.domain.address);
            }
        }
        if let Wait::Template(id) = wait
            && self.first(place, wait).is_none()
            && let Some(sessions) = self.waiting.get_mut(&(set.domain, id))
        {
            sessions.remove(&place);
            if sessions.is_empty() {
                self.waiting.remove(&(set.domain, id));
            }
        }
        Some(set)
    }
}

const fn cost(octets: usize) -> usize {
    octets.saturating_add(OVERHEAD_OCTETS)
}
