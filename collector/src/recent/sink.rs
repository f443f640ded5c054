//! The sink of one pipeline.

use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};

use kipfix_service::sync::lock;

use super::bucket::TokenBucket;
use super::follower::StagedLines;
use super::ring::RecentRecord;
use super::{Followers, MAX_FOLLOWERS, RecentRecords};
use crate::aggregate::RecordFields;
use crate::clock::Now;
use crate::emit::flow_log::write_line;
use crate::pipeline::DecidedRecord;
use crate::snapshots::Snapshots;

/// Records per second that a pipeline keeps in the ring.
pub(super) const KEPT_PER_SECOND: u32 = 200;
/// Records per second that a pipeline writes for followers.
pub(super) const FOLLOWED_PER_SECOND: u32 = 20_000;
/// Time that the filter of a follower takes from a pipeline, nanoseconds per second: 2.5 %. A filter
/// is written by a client, and a regular expression can take a thousand times as long as another.
const FILTER_NANOSECONDS_PER_SECOND: u32 = 25_000_000;
/// Octets of lines that are collected before they are handed over.
const STAGE_OCTETS: usize = 64 << 10;
/// Room of a line that is kept; more is released after a line of unusual length.
const LINE_OCTETS: usize = 64 << 10;

/// Keeps a sample of the records of one pipeline, and passes records to followers.
///
/// Without a follower, a record that is not in the sample costs two comparisons.
#[derive(Debug)]
pub struct RecentSink {
    shared: Arc<RecentRecords>,
    followers: Followers,
    /// The generation of `followers`.
    generation: u64,
    /// Lines for each follower.
    lines: Vec<StagedLines>,
    /// Fields and lines of records for the ring.
    kept: Vec<(RecordFields, Box<[u8]>)>,
    line: Vec<u8>,
    /// Records that are received for the ring, which is more expensive than to count them.
    received_rate: TokenBucket,
    /// Records that are kept in the ring.
    kept_rate: TokenBucket,
    followed_rate: TokenBucket,
    /// Nanoseconds for the filter of each follower. They belong to the place of a follower, so a
    /// client that disconnects and follows again gets no more of them.
    filter_times: [TokenBucket; MAX_FOLLOWERS],
    is_next_needed: bool,
}

impl RecentSink {
    /// A sink for one pipeline.
    #[must_use]
    pub fn new(shared: Arc<RecentRecords>) -> Self {
        Self {
            shared,
            followers: Arc::new([]),
            generation: 0,
            lines: Vec::new(),
            kept: Vec::new(),
            line: Vec::new(),
            received_rate: TokenBucket::new(KEPT_PER_SECOND),
            kept_rate: TokenBucket::new(KEPT_PER_SECOND),
            followed_rate: TokenBucket::new(FOLLOWED_PER_SECOND),
            filter_times: std::array::from_fn(|_| TokenBucket::new(FILTER_NANOSECONDS_PER_SECOND)),
            is_next_needed: false,
        }
    }

    /// True if the next record is needed as it was received.
    #[inline]
    pub(crate) fn need_whole_record(&mut self) -> bool {
        self.is_next_needed = !self.followers.is_empty() || self.received_rate.take();
        self.is_next_needed
    }

    /// True if the details of the next record are needed.
    #[inline]
    pub(crate) const fn need_details(&self) -> bool {
        self.is_next_needed
    }

    /// Takes a record. The opposite direction of a biflow is part of its record's line.
    #[inline]
    pub(crate) fn accept(&mut self, record: &DecidedRecord<'_>, snapshots: &Snapshots) {
        if record.whole.is_some() && record.flow.is_forward() {
            self.accept_whole(record, snapshots);
        }
    }

    fn accept_whole(&mut self, record: &DecidedRecord<'_>, snapshots: &Snapshots) {
        let is_kept = self.kept_rate.take();
        if !is_kept && self.followers.is_empty() {
            return;
        }
        let fields = RecordFields::of(record);
        self.line.clear();
        if is_kept {
            write(record, snapshots, &mut self.line);
        }
        let mut may_write = None;
        let staged = self.lines.iter_mut().zip(&mut self.filter_times);
        for (follower, (lines, time)) in self.followers.iter().zip(staged) {
            match follower.selects(&fields, snapshots, time) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    lines.not_filtered = lines.not_filtered.saturating_add(1);
                    continue;
                }
            }
            if !*may_write.get_or_insert_with(|| self.followed_rate.take()) {
                lines.rate_limited = lines.rate_limited.saturating_add(1);
                continue;
            }
            if self.line.is_empty() {
                write(record, snapshots, &mut self.line);
            }
            lines.add(&self.line);
            if lines.octets() >= STAGE_OCTETS {
                follower.push(lines, &self.shared);
            }
        }
        if is_kept {
            self.kept.push((fields, self.line.as_slice().into()));
        }
        if self.line.capacity() > LINE_OCTETS {
            self.line.clear();
            self.line.shrink_to(LINE_OCTETS);
        }
    }

    /// Hands over what was collected until `now`, and notices new followers.
    pub(crate) fn flush(&mut self, now: Now) {
        let rates = [
            &mut self.received_rate,
            &mut self.kept_rate,
            &mut self.followed_rate,
        ];
        for rate in rates.into_iter().chain(&mut self.filter_times) {
            rate.refill(now.monotonic_milliseconds);
        }
        if !self.kept.is_empty() {
            // While a client reads the ring, the records wait for the next batch.
            let ring = match self.shared.ring.try_lock() {
                Ok(ring) => Some(ring),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            if let Some(mut ring) = ring {
                for (fields, line) in self.kept.drain(..) {
                    ring.push(RecentRecord {
                        time: now,
                        fields,
                        line,
                    });
                }
            }
        }
        for (follower, lines) in self.followers.iter().zip(&mut self.lines) {
            if !lines.is_empty() {
                follower.push(lines, &self.shared);
            }
        }
        let generation = self.shared.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.generation = generation;
            self.followers = Arc::clone(&lock(&self.shared.followers));
            self.lines.clear();
            self.lines
                .resize_with(self.followers.len(), StagedLines::default);
        }
    }
}

fn write(record: &DecidedRecord<'_>, snapshots: &Snapshots, line: &mut Vec<u8>) {
    if let Some(whole) = &record.whole {
        write_line(record, whole, snapshots, line);
    }
}
