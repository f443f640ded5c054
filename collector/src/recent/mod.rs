//! Recent: records as the flow log writes them, for clients of the API.
//!
//! Each pipeline has a [`RecentSink`]. Without a client it keeps a sample of the records in a ring
//! that all pipelines share: up to a number per second, which is all of them in a small cluster. A
//! client that follows gets every record that its filter selects, through a queue of its own that
//! is limited in octets. A pipeline never waits for a client: what has no room in the queue is
//! lost, counted, and reported to the client. The filter of a client has a share of its time.

mod bucket;
mod follower;
mod ring;
mod sink;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use enum_map::EnumMap;
use kipfix_export::counters::to_u64;
use kipfix_service::sync::lock;

use crate::aggregate::expression::Expression;
use crate::clock::Now;
use crate::snapshots::Snapshots;
use follower::Follower;
use ring::Ring;

pub use follower::{FollowedBatch, FollowedRecords, LossReason, LostRecords};
pub use sink::RecentSink;

/// Maximum age of a record in the ring, milliseconds. Ids of endpoints are not used again before.
pub const MAX_AGE_MILLISECONDS: u64 = 600_000;
/// Maximum number of followers.
pub const MAX_FOLLOWERS: usize = 8;

/// All followers.
type Followers = Arc<[Arc<Follower>]>;

/// The recent records, and the clients that follow. Shared by the pipelines and the API.
#[derive(Debug)]
pub struct RecentRecords {
    ring: Mutex<Ring>,
    followers: Mutex<Followers>,
    /// Incremented by each change of the followers.
    generation: AtomicU64,
    sent: AtomicU64,
    lost: EnumMap<LossReason, AtomicU64>,
}

/// Occupancy, and what followers got and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentCounts {
    /// Records in the ring.
    pub records: u64,
    /// Octets of memory of the ring.
    pub octets: u64,
    /// Clients that follow.
    pub followers: u64,
    /// Records passed to connections of followers.
    pub sent: u64,
    /// Records that followers lost.
    pub lost: EnumMap<LossReason, u64>,
}

/// A query for records of the ring.
#[derive(Clone, Copy, Debug)]
pub struct RecordsQuery<'a> {
    /// The begin and the end, Unix milliseconds. The end is not included.
    pub time: (u64, u64),
    /// The records that are included. `None` includes all.
    pub filter: Option<&'a Expression>,
    /// Maximum number of records. The newest are selected.
    pub limit: usize,
    /// Maximum octets of the lines.
    pub max_octets: usize,
}

impl RecentRecords {
    /// Creates an empty ring of at most `max_octets`.
    #[must_use]
    pub fn new(max_octets: usize) -> Self {
        Self {
            ring: Mutex::new(Ring::new(max_octets)),
            followers: Mutex::new(Arc::new([])),
            generation: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            lost: Default::default(),
        }
    }

    /// Lines of the selected records of the ring, the oldest first. No pipeline waits for it.
    #[must_use]
    pub fn select(&self, query: RecordsQuery<'_>, snapshots: &Snapshots, now: Now) -> Vec<u8> {
        let records = lock(&self.ring).records(now);
        let (from, to) = query.time;
        let mut selected = Vec::new();
        let mut octets = 0_usize;
        for record in records.iter().rev() {
            let is_wanted = (from..to).contains(&record.time.wall_milliseconds)
                && query
                    .filter
                    .is_none_or(|filter| record.fields.match_filter(filter, snapshots));
            if !is_wanted {
                continue;
            }
            octets = octets.saturating_add(record.line.len());
            if selected.len() >= query.limit || octets > query.max_octets {
                break;
            }
            selected.push(&*record.line);
        }
        selected.reverse();
        selected.concat()
    }

    /// Adds a follower of the records that `filter` selects. `None` if there are too many.
    #[must_use]
    pub fn follow(self: &Arc<Self>, filter: Option<Expression>) -> Option<FollowedRecords> {
        let mut followers = lock(&self.followers);
        if followers.len() >= MAX_FOLLOWERS {
            return None;
        }
        let follower = Arc::new(Follower::new(filter));
        *followers = followers.iter().chain([&follower]).cloned().collect();
        self.generation.fetch_add(1, Ordering::AcqRel);
        drop(followers);
        Some(FollowedRecords::new(Arc::clone(self), follower))
    }

    fn unfollow(&self, follower: &Arc<Follower>) {
        let mut followers = lock(&self.followers);
        let others = followers
            .iter()
            .filter(|other| !Arc::ptr_eq(other, follower));
        *followers = others.cloned().collect();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    fn count_lost(&self, reason: LossReason, records: u64) {
        self.lost[reason].fetch_add(records, Ordering::AcqRel);
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> RecentCounts {
        let ring = lock(&self.ring);
        RecentCounts {
            records: to_u64(ring.len()),
            octets: to_u64(ring.octets()),
            followers: to_u64(lock(&self.followers).len()),
            sent: self.sent.load(Ordering::Acquire),
            lost: EnumMap::from_fn(|reason| self.lost[reason].load(Ordering::Acquire)),
        }
    }

    /// The maximum memory of the ring, octets.
    #[must_use]
    pub fn max_octets(&self) -> usize {
        lock(&self.ring).max_octets()
    }
}

#[cfg(test)]
mod tests;
