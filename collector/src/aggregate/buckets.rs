//! Buckets of histograms: one division of all values, from which classic and native buckets follow.
//!
//! A value is a time in microseconds. The division has the bounds of the native buckets (schema 3,
//! so that a bucket is 9 % wide) and all bounds of classic buckets. Counts by this division give
//! the exact counts of both.

use std::sync::LazyLock;

/// Resolution of the native buckets: their bounds are the powers of 2^(2^-schema) seconds.
pub(super) const NATIVE_SCHEMA: i32 = 3;
/// Largest value of the zero bucket, seconds: less than a microsecond.
pub(super) const ZERO_THRESHOLD: f64 = 1e-7;
/// Native bucket of the largest values: up to 2^20 s, 12 days.
const LAST_NATIVE: i32 = 20 * 8;
/// Native bucket of 1 µs, the smallest value that is not zero.
const FIRST_NATIVE: i32 = -159;

/// Upper bounds of classic buckets, microseconds.
pub(super) type ClassicBounds = &'static [u64];

/// Classic buckets of round-trip times: 100 µs–1 s.
pub(super) const ROUND_TRIP_BOUNDS: ClassicBounds = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];
/// Classic buckets of response times: 250 µs–10 s. Its bounds are also those of others.
pub(super) const RESPONSE_BOUNDS: ClassicBounds = &[
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000,
];
/// Classic buckets of durations: 1 ms–1 d.
pub(super) const DURATION_BOUNDS: ClassicBounds = &[
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    60_000_000,
    300_000_000,
    3_600_000_000,
    86_400_000_000,
];

/// A part of the division.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// The largest value in it, microseconds.
    pub(super) upper_bound: u64,
    /// The native bucket that contains it. `None` for the zero bucket.
    pub(super) native: Option<i32>,
}

/// Position of a bucket in [`BUCKETS`].
pub(super) type BucketNumber = u16;

/// All buckets, in ascending order. Values above the last bound are in the last bucket.
static BUCKETS: LazyLock<Vec<Bucket>> = LazyLock::new(division);

/// The bucket of a value.
pub(super) fn number_of(microseconds: u64) -> BucketNumber {
    let last = BUCKETS.len().saturating_sub(1);
    let at = BUCKETS.partition_point(|bucket| bucket.upper_bound < microseconds);
    BucketNumber::try_from(at.min(last)).unwrap_or(BucketNumber::MAX)
}

/// The bucket of a number.
pub(super) fn bucket(number: BucketNumber) -> Option<Bucket> {
    BUCKETS.get(usize::from(number)).copied()
}

fn division() -> Vec<Bucket> {
    let mut bounds = vec![0];
    bounds.extend((FIRST_NATIVE..=LAST_NATIVE).map(native_bound));
    bounds.extend(ROUND_TRIP_BOUNDS.iter().chain(DURATION_BOUNDS));
    bounds.sort_unstable();
    bounds.dedup();
    let bucket = |upper_bound| Bucket {
        upper_bound,
        native: native_of(upper_bound),
    };
    bounds.into_iter().map(bucket).collect()
}

/// The native bucket of a value.
fn native_of(microseconds: u64) -> Option<i32> {
    (microseconds != 0).then(|| {
        (FIRST_NATIVE..LAST_NATIVE)
            .find(|index| native_bound(*index) >= microseconds)
            .unwrap_or(LAST_NATIVE)
    })
}

/// The largest value of a native bucket, microseconds.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "only a cast rounds a float down to an integer, and it saturates"
)]
fn native_bound(index: i32) -> u64 {
    ((f64::from(index) / 8.0).exp2() * 1e6) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_division_is_ascending_and_its_bounds_are_in_their_own_buckets() {
        assert!(BUCKETS.is_sorted_by(|a, b| a.upper_bound < b.upper_bound));
        assert!(BUCKETS.is_sorted_by_key(|bucket| bucket.native));
        for (at, bucket) in BUCKETS.iter().enumerate() {
            assert_eq!(usize::from(number_of(bucket.upper_bound)), at);
        }
        assert!(BUCKETS.len() < 360, "{}", BUCKETS.len());
    }

    #[test]
    fn a_native_bucket_has_the_values_between_its_bounds() {
        for microseconds in (1..5000).chain([250_000, 1_000_000, 1_000_001, 86_400_000_000]) {
            let index = bucket(number_of(microseconds)).unwrap().native.unwrap();
            let seconds = f64::from(u32::try_from(microseconds / 1000).unwrap()) / 1000.0
                + f64::from(u32::try_from(microseconds % 1000).unwrap()) / 1e6;
            let upper = (f64::from(index) / 8.0).exp2();
            let lower = (f64::from(index - 1) / 8.0).exp2();
            assert!(lower < seconds && seconds <= upper, "{microseconds} µs");
        }
    }

    #[test]
    fn every_classic_bound_is_a_bound_of_the_division() {
        for bound in ROUND_TRIP_BOUNDS.iter().chain(DURATION_BOUNDS) {
            assert_eq!(bucket(number_of(*bound)).unwrap().upper_bound, *bound);
        }
    }

    #[test]
    fn zero_and_values_above_the_last_bound_have_a_bucket() {
        assert_eq!(bucket(number_of(0)).unwrap().native, None);
        let last = bucket(number_of(u64::MAX)).unwrap();
        assert_eq!(last.native, Some(LAST_NATIVE));
    }
}
