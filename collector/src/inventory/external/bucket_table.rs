//! The table that addresses of one family are looked up in.

use super::ExternalId;
use super::layer::{Bits, Ranges};

const BUCKETS: usize = 1 << 16;

/// Sorted ranges, and for each bucket of addresses where its ranges begin: what is left to search is
/// mostly a dozen ranges, side by side in memory.
#[derive(Debug, Default)]
pub(super) struct BucketTable<K> {
    /// By bucket: number of ranges that start in buckets before it. One more than there are buckets.
    buckets: Vec<u32>,
    /// First address of each range, ascending.
    starts: Vec<K>,
    /// By range.
    ids: Vec<ExternalId>,
}

impl<K: Bits> BucketTable<K> {
    /// The table, `ids` by value of a range; and how many ranges are [`ExternalId::OTHER`].
    pub(super) fn new(ranges: &Ranges<K>, ids: &[ExternalId]) -> (Self, usize) {
        let mut table = Self {
            buckets: Vec::with_capacity(BUCKETS.saturating_add(1)),
            starts: Vec::with_capacity(ranges.starts.len()),
            ids: Vec::with_capacity(ranges.starts.len()),
        };
        let mut other = 0_usize;
        for (start, value) in ranges.starts.iter().zip(&ranges.values) {
            let id = usize::try_from(*value)
                .ok()
                .and_then(|at| ids.get(at).copied())
                .unwrap_or_default();
            // What is around the first range is not known, as it is where there is none.
            if table.ids.last().copied().unwrap_or_default() == id {
                continue;
            }
            if id == ExternalId::OTHER {
                other = other.saturating_add(1);
            }
            table.fill_buckets(start.bucket());
            table.starts.push(*start);
            table.ids.push(id);
        }
        table.fill_buckets(BUCKETS);
        table.starts.shrink_to_fit();
        table.ids.shrink_to_fit();
        (table, other)
    }

    /// All buckets up to `bucket` begin with the next range.
    fn fill_buckets(&mut self, bucket: usize) {
        let before = u32::try_from(self.starts.len()).unwrap_or(u32::MAX);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket.saturating_add(1), before);
        }
    }

    /// What the range around `address` has.
    #[inline]
    pub(super) fn find(&self, address: K) -> ExternalId {
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

    /// Number of ranges.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }
}
