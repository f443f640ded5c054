//! A client that follows: a queue between the pipelines and its connection.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use enum_map::Enum;
use kipfix_export::counters::to_u64;
use kipfix_service::sync::lock;
use strum::IntoStaticStr;
use tokio::sync::Notify;

use super::RecentRecords;
use super::bucket::TokenBucket;
use crate::aggregate::RecordFields;
use crate::aggregate::expression::Expression;
use crate::clock::monotonic;
use crate::snapshots::Snapshots;

/// Maximum octets of lines in a queue.
pub(super) const QUEUE_OCTETS: usize = 1 << 20;
/// Maximum time that is charged for one record, because the thread may have been interrupted.
const MAX_FILTER_NANOSECONDS: u32 = 1_000_000;

/// Why a follower lost a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LossReason {
    /// The client reads too slowly: its queue was full.
    QueueFull,
    /// More records matched than a pipeline writes for followers.
    RateLimit,
    /// The filter took more time than a pipeline has for a follower: it is not known whether the
    /// record matches.
    FilterTime,
    /// The client disconnected before it got the record.
    Disconnected,
}

/// Records that a follower lost since its last batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostRecords {
    /// [`LossReason::QueueFull`].
    pub queue_full: u64,
    /// [`LossReason::RateLimit`].
    pub rate_limit: u64,
    /// [`LossReason::FilterTime`].
    pub filter_time: u64,
}

impl LostRecords {
    /// True if nothing was lost.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.queue_full == 0 && self.rate_limit == 0 && self.filter_time == 0
    }
}

/// Lines for a follower, and what was lost after them.
#[derive(Debug, Default)]
pub struct FollowedBatch {
    /// Complete lines of JSON.
    pub text: Vec<u8>,
    /// Number of lines.
    pub records: u64,
    /// Records that were lost.
    pub lost: LostRecords,
}

impl FollowedBatch {
    /// Keeps the first `most` lines.
    pub fn truncate(&mut self, most: u64) {
        if self.records <= most {
            return;
        }
        let mut feeds = self
            .text
            .iter()
            .zip(1..)
            .filter(|(octet, _)| **octet == b'\n');
        let last = usize::try_from(most.saturating_sub(1)).unwrap_or(usize::MAX);
        let end = feeds.nth(last).map_or(0, |(_, end)| end);
        self.text.truncate(if most == 0 { 0 } else { end });
        self.records = most;
    }
}

/// The side of the pipelines.
#[derive(Debug)]
pub(super) struct Follower {
    filter: Option<Expression>,
    queue: Mutex<Queue>,
    is_not_empty: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    batch: FollowedBatch,
    /// The client does not follow any more.
    is_closed: bool,
}

impl Follower {
    pub(super) fn new(filter: Option<Expression>) -> Self {
        Self {
            filter,
            queue: Mutex::default(),
            is_not_empty: Notify::new(),
        }
    }

    /// Whether it wants a record. `None` if there is no time for its filter, in nanoseconds.
    pub(super) fn selects(
        &self,
        fields: &RecordFields,
        snapshots: &Snapshots,
        time: &mut TokenBucket,
    ) -> Option<bool> {
        let Some(filter) = &self.filter else {
            return Some(true);
        };
        if time.is_empty() {
            return None;
        }
        let begin = monotonic();
        let is_selected = fields.match_filter(filter, snapshots);
        let nanoseconds = begin.elapsed().as_nanos();
        let spent = u32::try_from(nanoseconds).unwrap_or(u32::MAX);
        time.spend(spent.min(MAX_FILTER_NANOSECONDS));
        Some(is_selected)
    }

    /// Adds the lines that have room, and counts the others.
    pub(super) fn push(&self, lines: &mut StagedLines, shared: &RecentRecords) {
        let mut queue = lock(&self.queue);
        if queue.is_closed {
            let unread = to_u64(lines.ends.len())
                .saturating_add(lines.rate_limited)
                .saturating_add(lines.not_filtered);
            shared.count_lost(LossReason::Disconnected, unread);
            lines.clear();
            return;
        }
        let queue = &mut queue.batch;
        let room = QUEUE_OCTETS.saturating_sub(queue.text.len());
        // Lines after a loss would have a gap before them that the report does not show.
        let room = if queue.lost.is_none() { room } else { 0 };
        let count = lines.ends.partition_point(|end| *end <= room);
        let last = count.checked_sub(1).and_then(|last| lines.ends.get(last));
        let text = last.and_then(|end| lines.text.get(..*end));
        queue.text.extend_from_slice(text.unwrap_or_default());
        queue.records = queue.records.saturating_add(to_u64(count));
        let lost = to_u64(lines.ends.len().saturating_sub(count));
        queue.lost.queue_full = queue.lost.queue_full.saturating_add(lost);
        queue.lost.rate_limit = queue.lost.rate_limit.saturating_add(lines.rate_limited);
        queue.lost.filter_time = queue.lost.filter_time.saturating_add(lines.not_filtered);
        shared.count_lost(LossReason::QueueFull, lost);
        shared.count_lost(LossReason::RateLimit, lines.rate_limited);
        shared.count_lost(LossReason::FilterTime, lines.not_filtered);
        lines.clear();
        self.is_not_empty.notify_one();
    }
}

/// Lines that a pipeline has for a follower.
#[derive(Debug, Default)]
pub(super) struct StagedLines {
    text: Vec<u8>,
    /// End of each line in the text.
    ends: Vec<usize>,
    /// Records that were not written because of the rate limit.
    pub(super) rate_limited: u64,
    /// Records that were not compared with the filter, for lack of time.
    pub(super) not_filtered: u64,
}

impl StagedLines {
    pub(super) fn add(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.ends.push(self.text.len());
    }

    /// Octets of the lines.
    pub(super) fn octets(&self) -> usize {
        self.text.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.rate_limited == 0 && self.not_filtered == 0
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.rate_limited = 0;
        self.not_filtered = 0;
    }
}

/// The records that a client follows. When it is dropped, the client does not follow any more.
#[derive(Debug)]
pub struct FollowedRecords {
    shared: Arc<RecentRecords>,
    follower: Arc<Follower>,
}

impl FollowedRecords {
    pub(super) const fn new(shared: Arc<RecentRecords>, follower: Arc<Follower>) -> Self {
        Self { shared, follower }
    }

    /// Waits for records, and takes all that there are.
    pub async fn next(&self) -> FollowedBatch {
        loop {
            let batch = self.take();
            if batch.records > 0 || !batch.lost.is_none() {
                self.shared.sent.fetch_add(batch.records, Ordering::AcqRel);
                return batch;
            }
            self.follower.is_not_empty.notified().await;
        }
    }

    fn take(&self) -> FollowedBatch {
        std::mem::take(&mut lock(&self.follower.queue).batch)
    }
}

impl Drop for FollowedRecords {
    fn drop(&mut self) {
        self.shared.unfollow(&self.follower);
        let mut queue = lock(&self.follower.queue);
        queue.is_closed = true;
        let unread = std::mem::take(&mut queue.batch).records;
        drop(queue);
        self.shared.count_lost(LossReason::Disconnected, unread);
    }
}
