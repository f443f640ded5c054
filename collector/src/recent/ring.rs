//! The ring: the newest records of a sample, limited in octets and in age.

use std::collections::VecDeque;
use std::sync::Arc;

use super::MAX_AGE_MILLISECONDS;
use crate::aggregate::RecordFields;
use crate::clock::Now;

/// A record of the ring.
#[derive(Debug)]
pub(super) struct RecentRecord {
    /// When it was decided.
    pub(super) time: Now,
    /// What filters read.
    pub(super) fields: RecordFields,
    /// Its line of JSON, with the line feed.
    pub(super) line: Box<[u8]>,
}

impl RecentRecord {
    /// Octets of memory.
    fn octets(&self) -> usize {
        /// Reference counts, the pointer in the ring, and the rounding of the allocator.
        const OVERHEAD: usize = 64;
        size_of::<Self>() + self.line.len() + OVERHEAD
    }
}

/// Records, the oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    records: VecDeque<Arc<RecentRecord>>,
    octets: usize,
    max_octets: usize,
}

impl Ring {
    pub(super) const fn new(max_octets: usize) -> Self {
        Self {
            records: VecDeque::new(),
            octets: 0,
            max_octets,
        }
    }

    /// Adds a record. The oldest make room for it.
    pub(super) fn push(&mut self, record: RecentRecord) {
        let octets = record.octets();
        if octets > self.max_octets {
            return;
        }
        self.expire(record.time);
        while self.octets.saturating_add(octets) > self.max_octets {
            self.remove_oldest();
        }
        self.octets = self.octets.saturating_add(octets);
        self.records.push_back(Arc::new(record));
    }

    /// The records, the oldest first.
    pub(super) fn records(&mut self, now: Now) -> Vec<Arc<RecentRecord>> {
        self.expire(now);
        self.records.iter().cloned().collect()
    }

    fn expire(&mut self, now: Now) {
        let now = now.monotonic_milliseconds;
        while let Some(oldest) = self.records.front() {
            let age = now.saturating_sub(oldest.time.monotonic_milliseconds);
            if age <= MAX_AGE_MILLISECONDS {
                return;
            }
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        match self.records.pop_front() {
            Some(oldest) => self.octets = self.octets.saturating_sub(oldest.octets()),
            None => self.octets = 0,
        }
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Octets of memory.
    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// Maximum octets of memory.
    pub(super) const fn max_octets(&self) -> usize {
        self.max_octets
    }
}
