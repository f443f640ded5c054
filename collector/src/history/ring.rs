//! A ring: intervals of one length, the oldest of which are removed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::interval::Interval;
use super::merge;
use super::ring_settings::RingSettings;
use super::saved::SavedRing;

/// Intervals, the oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    settings: RingSettings,
    intervals: VecDeque<Arc<Interval>>,
    /// The sum of the finer intervals that were closed in the current interval.
    open: Option<Arc<Interval>>,
    octets: usize,
    max_octets: usize,
    discarded: u64,
    /// No earlier interval is complete.
    complete_from: u64,
}

impl Ring {
    pub(super) const fn new(settings: RingSettings, max_octets: usize, started: u64) -> Self {
        Self {
            settings,
            intervals: VecDeque::new(),
            open: None,
            octets: 0,
            max_octets,
            discarded: 0,
            complete_from: started,
        }
    }

    /// Takes over intervals that were stored.
    pub(super) fn restore(&mut self, saved: SavedRing) {
        self.complete_from = saved.complete_from;
        self.open = saved.open;
        for interval in saved.intervals {
            self.push(interval);
        }
        self.discard();
    }

    /// The ring as it is stored.
    pub(super) fn saved(&self) -> SavedRing {
        SavedRing {
            settings: self.settings,
            complete_from: self.complete_from,
            intervals: self.intervals.iter().cloned().collect(),
            open: self.open.clone(),
        }
    }

    /// Adds an interval of a finer ring. Returns the interval that is complete because of that.
    pub(super) fn add(&mut self, finer: &Arc<Interval>) -> Option<Arc<Interval>> {
        let begin = self.settings.begin_of(finer.begin);
        let is_same = self.open.as_ref().is_some_and(|open| open.begin >= begin);
        let closed = if is_same { None } else { self.open.take() };
        let parts = self.open.iter().chain([finer]).map(|part| &**part);
        let begin = self.open.as_ref().map_or(begin, |open| open.begin);
        self.open = Some(Arc::new(merge::sum(begin, parts)));
        if let Some(closed) = &closed {
            self.push(Arc::clone(closed));
        }
        self.discard();
        closed
    }

    /// Adds an interval of the ring's own length.
    pub(super) fn push(&mut self, interval: Arc<Interval>) {
        self.octets = self.octets.saturating_add(interval.octets());
        self.intervals.push_back(interval);
        self.discard();
    }

    /// Discards the oldest intervals until the others have room.
    fn discard(&mut self) {
        while self.octets() > self.max_octets {
            let Some(oldest) = self.intervals.front() else {
                // One interval alone is too large.
                if let Some(open) = self.open.take() {
                    self.discarded = self.discarded.wrapping_add(1);
                    self.complete_from = self.settings.end_of(open.begin);
                }
                return;
            };
            self.discarded = self.discarded.wrapping_add(1);
            self.complete_from = self.settings.end_of(oldest.begin);
            self.remove_oldest();
        }
    }

    /// Removes the intervals that are older than the ring is long.
    pub(super) fn expire(&mut self, now: u64) {
        let oldest = now.saturating_sub(self.settings.length);
        while let Some(interval) = self.intervals.front() {
            if self.settings.end_of(interval.begin) > oldest {
                break;
            }
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some(interval) = self.intervals.pop_front() {
            self.octets = self.octets.saturating_sub(interval.octets());
        }
    }

    /// Length of the intervals, and how long they are kept.
    pub(super) const fn settings(&self) -> RingSettings {
        self.settings
    }

    /// The first time that it covers.
    pub(super) fn from(&self, now: u64) -> u64 {
        self.complete_from
            .max(now.saturating_sub(self.settings.length))
    }

    /// The begin of the oldest interval.
    pub(super) fn oldest_begin(&self) -> Option<u64> {
        let oldest = self.intervals.front().or(self.open.as_ref());
        oldest.map(|interval| interval.begin)
    }

    /// The complete intervals, the oldest first.
    pub(super) fn complete(&self) -> impl Iterator<Item = &Arc<Interval>> {
        self.intervals.iter()
    }

    /// The sum of the finer intervals of the current interval.
    pub(super) const fn open(&self) -> Option<&Arc<Interval>> {
        self.open.as_ref()
    }

    /// Octets of memory.
    pub(super) fn octets(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.octets());
        self.octets.saturating_add(open)
    }

    /// Number of intervals.
    pub(super) fn len(&self) -> usize {
        self.intervals.len() + usize::from(self.open.is_some())
    }

    /// Number of intervals that were discarded for lack of room.
    pub(super) const fn discarded(&self) -> u64 {
        self.discarded
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::Measures;

    use super::*;

    const MINUTE: RingSettings = RingSettings {
        step: 60,
        length: 600,
    };

    fn interval(begin: u64, edges: u32) -> Arc<Interval> {
        let measures = Measures {
            bytes: 1,
            ..Measures::default()
        };
        let edges = (0..edges).map(|number| ((0, number), measures));
        Arc::new(Interval::new(begin, edges, []))
    }

    fn begins(ring: &Ring) -> Vec<u64> {
        ring.complete().map(|interval| interval.begin).collect()
    }

    #[test]
    fn finer_intervals_are_summed_until_the_next_interval_begins() {
        let mut ring = Ring::new(MINUTE, 1 << 20, 0);
        assert!(ring.add(&interval(60, 1)).is_none());
        assert!(ring.add(&interval(110, 2)).is_none());
        let closed = ring.add(&interval(130, 1)).unwrap();
        assert_eq!(closed.begin, 60);
        let bytes: Vec<u64> = closed
            .traffic()
            .map(|(_, measures)| measures.bytes)
            .collect();
        assert_eq!(bytes, [2, 1]);
        assert_eq!(begins(&ring), [60]);
        assert_eq!(ring.open().unwrap().begin, 120);
    }

    #[test]
    fn old_intervals_are_removed() {
        let mut ring = Ring::new(MINUTE, 1 << 20, 0);
        for begin in (0..1200).step_by(60) {
            ring.push(interval(begin, 1));
        }
        ring.expire(1200);
        assert_eq!(begins(&ring).first(), Some(&600));
        assert_eq!(ring.from(1200), 600);
        assert_eq!(ring.discarded(), 0);
    }

    #[test]
    fn a_full_ring_discards_its_oldest_intervals_and_covers_less_time() {
        let size = interval(0, 10).octets();
        let mut ring = Ring::new(MINUTE, 3 * size, 0);
        for begin in (0..300).step_by(60) {
            ring.push(interval(begin, 10));
        }
        assert_eq!(begins(&ring), [120, 180, 240]);
        assert_eq!(ring.from(300), 120);
        assert_eq!(ring.discarded(), 2);
        assert!(ring.octets() <= 3 * size);
    }

    #[test]
    fn an_interval_that_is_too_large_on_its_own_is_discarded() {
        let mut ring = Ring::new(MINUTE, 200, 0);
        ring.add(&interval(0, 1000));
        assert_eq!((ring.len(), ring.discarded()), (0, 1));
        assert_eq!(ring.from(60), 60);
    }
}
