//! Histograms: the buckets of a row, and how an exposition writes them.

use kipfix_service::exposition::{Bucket, NativeBuckets};

use super::seconds::seconds;
use crate::aggregate::buckets::{self, BucketNumber, NATIVE_SCHEMA, ZERO_THRESHOLD};
use crate::aggregate::health::Distribution;

/// Number of observations of each bucket that has some, in the order of the buckets.
#[derive(Clone, Debug, Default)]
pub(super) struct BucketSums(Vec<(BucketNumber, u64)>);

/// The classic buckets of a histogram, with the end of their label text.
#[derive(Debug)]
pub(super) struct ClassicBuckets {
    /// Position among the histograms of a row.
    pub(super) position: usize,
    /// Upper bound in microseconds, and `le="…"} `.
    bounds: Vec<(u64, Vec<u8>)>,
}

impl BucketSums {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, number: BucketNumber, observations: u64) {
        match self.0.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => {
                if let Some((_, count)) = self.0.get_mut(at) {
                    *count = count.saturating_add(observations);
                }
            }
            Err(at) => self.0.insert(at, (number, observations)),
        }
    }

    /// The number of observations up to each bound. The bounds are ascending.
    fn cumulative(&self, bounds: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
        let mut counts = self.0.iter().peekable();
        let mut sum = 0_u64;
        bounds.map(move |bound| {
            let is_within = |number: BucketNumber| {
                buckets::bucket(number).is_some_and(|bucket| bucket.upper_bound <= bound)
            };
            while let Some((_, count)) = counts.next_if(|(number, _)| is_within(*number)) {
                sum = sum.saturating_add(*count);
            }
            sum
        })
    }

    /// The observations of native buckets, and those of the zero bucket.
    fn native(&self) -> (Vec<(i32, u64)>, u64) {
        let mut native: Vec<(i32, u64)> = Vec::new();
        let mut zero = 0;
        for (number, count) in &self.0 {
            match buckets::bucket(*number).and_then(|bucket| bucket.native) {
                None => zero += count,
                Some(index) => match native.last_mut() {
                    Some((last, sum)) if *last == index => *sum = sum.saturating_add(*count),
                    _ => native.push((index, *count)),
                },
            }
        }
        (native, zero)
    }
}

impl ClassicBuckets {
    pub(super) fn new(distribution: Distribution, position: usize) -> Self {
        let bounds = distribution.classic_bounds().iter().map(|bound| {
            // "1.0", not "1": OpenMetrics requires floats here.
            let end = format!("le=\"{:?}\"}} ", seconds(*bound));
            (*bound, end.into_bytes())
        });
        let infinite = (u64::MAX, b"le=\"+Inf\"} ".to_vec());
        Self {
            position,
            bounds: bounds.chain([infinite]).collect(),
        }
    }

    /// Number of buckets, with that of all observations.
    pub(super) const fn len(&self) -> usize {
        self.bounds.len()
    }

    /// The ends of the labels of all buckets with the number of observations up to them.
    pub(super) fn lines(&self, sums: &BucketSums) -> impl Iterator<Item = (&[u8], u64)> {
        let counts = sums.cumulative(self.bounds.iter().map(|(bound, _)| *bound));
        let ends = self.bounds.iter().map(|(_, end)| end.as_slice());
        ends.zip(counts)
    }

    /// Calls `write` with the classic and the native buckets of a row.
    pub(super) fn with_native(
        &self,
        sums: &BucketSums,
        write: impl FnOnce(&[Bucket], NativeBuckets<'_>),
    ) {
        let finite = self.bounds.iter().map(|(bound, _)| *bound);
        let finite = finite.filter(|bound| *bound != u64::MAX);
        let counts = sums.cumulative(finite.clone());
        let classic: Vec<Bucket> = finite
            .zip(counts)
            .map(|(bound, cumulative_count)| Bucket {
                upper_bound: seconds(bound),
                cumulative_count,
            })
            .collect();
        let (positive, zero_count) = sums.native();
        let native = NativeBuckets {
            schema: NATIVE_SCHEMA,
            zero_threshold: ZERO_THRESHOLD,
            zero_count,
            positive: &positive,
        };
        write(&classic, native);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(values: &[u64]) -> BucketSums {
        let mut sums = BucketSums::default();
        for value in values {
            sums.add(buckets::number_of(*value), 1);
        }
        sums
    }

    #[test]
    fn classic_buckets_are_cumulative_and_include_their_bound() {
        let classic = ClassicBuckets::new(Distribution::Duration, 0);
        let sums = sums(&[0, 1000, 1001, 2_000_000, u64::MAX]);
        let lines: Vec<(String, u64)> = classic
            .lines(&sums)
            .map(|(end, count)| (String::from_utf8(end.to_vec()).unwrap(), count))
            .collect();
        assert_eq!(lines.len(), classic.len());
        let counts: Vec<u64> = lines.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 4, 4, 4, 4, 4, 5]);
        assert_eq!(lines[0].0, "le=\"0.001\"} ");
        assert_eq!(lines[3].0, "le=\"1.0\"} ");
        assert_eq!(lines[9].0, "le=\"+Inf\"} ");
    }

    #[test]
    fn native_buckets_have_every_observation_once() {
        // 1 s is the bound of bucket 0. 2.5 and 2.4 ms are in one bucket, with a classic bound in
        // it.
        let sums = sums(&[0, 2_400, 2_500, 2_501, 1_000_000]);
        let (native, zero) = sums.native();
        assert_eq!(zero, 1);
        assert_eq!(native, [(-69, 3), (0, 1)]);
    }
}
