//! Data Sets that arrived before their template, kept within bounds until it arrives (RFC 7011 §8.2
//! leaves this to the Collecting Process).
//!
//! Sets are found by template and by age without a search, so that no sender can make each datagram
//! cost as much as all pending Sets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::sessions::TemplateScope;
use crate::wire::MessageHeader;

/// Fixed cost of a Set, so that many small Sets are bounded too.
const OVERHEAD_OCTETS: usize = 256;

/// A Data Set whose template is not known.
#[derive(Debug)]
pub(super) struct PendingSet {
    pub(super) exporter: SocketAddr,
    pub(super) header: MessageHeader,
    pub(super) content: Box<[u8]>,
}

/// The template that a Set needs, and its number in the order of arrival.
type Place = (TemplateScope, u16, u64);

/// All pending Sets.
#[derive(Debug)]
pub(super) struct PendingSets {
    sets: BTreeMap<Place, PendingSet>,
    /// Time of arrival and template, by the number in the order of arrival.
    ages: BTreeMap<u64, (u64, TemplateScope, u16)>,
    arrivals: u64,
    octets: usize,
    max_octets: usize,
    max_milliseconds: u64,
}

impl PendingSets {
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

    /// Whether there is room for a Set of this number of octets.
    pub(super) const fn has_room(&self, octets: usize) -> bool {
        self.octets.saturating_add(cost(octets)) <= self.max_octets
    }

    /// Keeps a Set until template `id` of `scope` arrives.
    pub(super) fn push(
        &mut self,
        scope: TemplateScope,
        id: u16,
        set: PendingSet,
        now_milliseconds: u64,
    ) {
        self.octets = self.octets.saturating_add(cost(set.content.len()));
        self.arrivals = self.arrivals.saturating_add(1);
        self.ages
            .insert(self.arrivals, (now_milliseconds, scope, id));
        self.sets.insert((scope, id, self.arrivals), set);
    }

    /// Removes the oldest Set that needs template `id` of `scope`.
    pub(super) fn pop(&mut self, scope: TemplateScope, id: u16) -> Option<PendingSet> {
        let range = (scope, id, 0)..=(scope, id, u64::MAX);
        let place = *self.sets.range(range).next()?.0;
        self.remove(place)
    }

    /// Drops Sets that have waited for too long, and returns their number.
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

    /// Drops all Sets of `scope`, and returns their number.
    pub(super) fn drop_scope(&mut self, scope: TemplateScope) -> usize {
        let before = self.sets.len();
        let range = (scope, 0, 0)..=(scope, u16::MAX, u64::MAX);
        while let Some((place, _)) = self.sets.range(range.clone()).next() {
            let place = *place;
            self.remove(place);
        }
        before.saturating_sub(self.sets.len())
    }

    fn remove(&mut self, place: Place) -> Option<PendingSet> {
        self.ages.remove(&place.2);
        let set = self.sets.remove(&place)?;
        self.octets = self.octets.saturating_sub(cost(set.content.len()));
        Some(set)
    }
}

const fn cost(octets: usize) -> usize {
    octets.saturating_add(OVERHEAD_OCTETS)
}
