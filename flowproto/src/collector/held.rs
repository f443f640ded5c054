//! Data Sets that arrived before their template: kept within bounds until it comes (RFC 7011 §8.2 leaves
//! that to the Collecting Process).
//!
//! Found by template and by age without looking through the others, so that an exporter, or who poses as
//! one, cannot make every datagram cost as much as all that wait.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::session::Scope;
use super::set::Header;

/// What an entry costs beside its octets, so that many small Sets are bounded too.
const OVERHEAD_OCTETS: usize = 256;

/// A Data Set without a template.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) exporter: SocketAddr,
    pub(super) header: Header,
    pub(super) content: Box<[u8]>,
}

/// Whose template of which number a Set waits for, and its place in the order of arrival.
type Place = (Scope, u16, u64);

/// All that wait.
#[derive(Debug)]
pub(super) struct Held {
    sets: BTreeMap<Place, Waiting>,
    /// Since when, oldest first, by the number in the order of arrival.
    ages: BTreeMap<u64, (u64, Scope, u16)>,
    arrivals: u64,
    octets: usize,
    max_octets: usize,
    max_milliseconds: u64,
}

impl Held {
    pub(super) const fn new(max_octets: usize, max_milliseconds: u64) -> Self {
        Self {
            sets: BTreeMap::new(),
            ages: BTreeMap::new(),
            arrivals: 0,
            octets: 0,
            max_octets,
            max_milliseconds,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// False where there is no room for a Set of so many octets.
    pub(super) const fn has_room(&self, octets: usize) -> bool {
        self.octets.saturating_add(cost(octets)) <= self.max_octets
    }

    /// Keeps a Set that waits for the template `id` of `scope`.
    pub(super) fn keep(&mut self, scope: Scope, id: u16, waiting: Waiting, now_milliseconds: u64) {
        self.octets = self.octets.saturating_add(cost(waiting.content.len()));
        self.arrivals = self.arrivals.saturating_add(1);
        self.ages
            .insert(self.arrivals, (now_milliseconds, scope, id));
        self.sets.insert((scope, id, self.arrivals), waiting);
    }

    /// Takes out the oldest Set that waits for the template `id` of `scope`.
    pub(super) fn take(&mut self, scope: Scope, id: u16) -> Option<Waiting> {
        let range = (scope, id, 0)..=(scope, id, u64::MAX);
        let place = *self.sets.range(range).next()?.0;
        self.remove(place)
    }

    /// Drops what waited too long; how many Sets.
    pub(super) fn expire(&mut self, now_milliseconds: u64) -> usize {
        let before = self.sets.len();
        while let Some((arrival, (since, scope, id))) = self.ages.first_key_value() {
            if now_milliseconds.saturating_sub(*since) <= self.max_milliseconds {
                break;
            }
            let place = (*scope, *id, *arrival);
            self.remove(place);
        }
        before.saturating_sub(self.sets.len())
    }

    /// Drops what waits for templates of `scope`, which is no more; how many Sets.
    pub(super) fn forget(&mut self, scope: Scope) -> usize {
        let before = self.sets.len();
        let range = (scope, 0, 0)..=(scope, u16::MAX, u64::MAX);
        while let Some((place, _)) = self.sets.range(range.clone()).next() {
            let place = *place;
            self.remove(place);
        }
        before.saturating_sub(self.sets.len())
    }

    fn remove(&mut self, place: Place) -> Option<Waiting> {
        self.ages.remove(&place.2);
        let waiting = self.sets.remove(&place)?;
        self.octets = self.octets.saturating_sub(cost(waiting.content.len()));
        Some(waiting)
    }
}

const fn cost(octets: usize) -> usize {
    octets.saturating_add(OVERHEAD_OCTETS)
}
