//! The table that external addresses of one family are looked up in.

use super::attributes::ExternalId;
use crate::interval_map::{AddressBits, IntervalMap};

const BUCKETS: usize = 1 << 16;

/// An address that belongs to one of [`BUCKETS`] buckets.
pub(super) trait Bucketed: AddressBits {
    /// Returns the bucket. It does not descend when addresses ascend.
    fn bucket(self) -> usize;
}

impl Bucketed for u32 {
    #[inline]
    fn bucket(self) -> usize {
        usize::try_from(self >> 16).unwrap_or(0)
    }
}

impl Bucketed for u128 {
    /// Global unicast addresses are in `2000::/3`. The buckets divide that prefix.
    #[inline]
    fn bucket(self) -> usize {
        const GLOBAL_UNICAST: u128 = 0x2000 << 112;
        let within = self.saturating_sub(GLOBAL_UNICAST) >> 109;
        usize::try_from(within.min(0xffff)).unwrap_or(0)
    }
}

/// Sorted intervals with an index over buckets of addresses. The binary search within a bucket
/// covers about a dozen intervals that are adjacent in memory.
#[derive(Debug, Default)]
pub(super) struct BucketTable<K> {
    /// Number of intervals that start in earlier buckets, by bucket. The last entry is the total.
    buckets: Vec<u32>,
    /// First address of each interval, ascending.
    starts: Vec<K>,
    /// Id of each interval.
    ids: Vec<ExternalId>,
}

impl<K: Bucketed> BucketTable<K> {
    /// Creates a table from intervals and the ids of their values. Also returns the number of
    /// intervals with [`ExternalId::OTHER`].
    pub(super) fn new(intervals: &IntervalMap<K, u32>, ids: &[ExternalId]) -> (Self, usize) {
        let mut table = Self {
            buckets: Vec::with_capacity(BUCKETS.saturating_add(1)),
            starts: Vec::with_capacity(intervals.count()),
            ids: Vec::with_capacity(intervals.count()),
        };
        let mut other = 0_usize;
        for (start, value) in intervals.iter() {
            let id = usize::try_from(value)
                .ok()
                .and_then(|at| ids.get(at).copied())
                .unwrap_or_default();
            // Addresses before the first interval are unknown too.
            if table.ids.last().copied().unwrap_or_default() == id {
                continue;
            }
            if id == ExternalId::OTHER {
                other = other.saturating_add(1);
            }
            table.fill_buckets(start.bucket());
            table.starts.push(start);
            table.ids.push(id);
        }
        table.fill_buckets(BUCKETS);
        table.starts.shrink_to_fit();
        table.ids.shrink_to_fit();
        (table, other)
    }

    /// Lets all buckets up to `bucket` start at the next interval.
    fn fill_buckets(&mut self, bucket: usize) {
        let before = u32::try_from(self.starts.len()).unwrap_or(u32::MAX);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket.saturating_add(1), before);
        }
    }

    /// Returns the id of the interval around `address`.
    #[inline]
    pub(super) fn get(&self, address: K) -> ExternalId {
        self.search(address).unwrap_or_default()
    }

    #[inline]
    fn search(&self, address: K) -> Option<ExternalId> {
        let bucket = address.bucket();
        let from = usize::try_from(*self.buckets.get(bucket)?).ok()?;
        let to = usize::try_from(*self.buckets.get(bucket.checked_add(1)?)?).ok()?;
        let within = self.starts.get(from..to)?;
        let after = from.checked_add(within.partition_point(|start| *start <= address))?;
        self.ids.get(after.checked_sub(1)?).copied()
    }

    /// Returns the number of intervals.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }
}
