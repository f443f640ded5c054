//! A rate limit that costs one comparison.

/// Tokens that are added at a rate, up to those of a second.
#[derive(Debug)]
pub(super) struct TokenBucket {
    per_second: u32,
    /// Thousandths of tokens. Negative if more were spent than there were.
    level: i64,
    /// Time of the last refill, monotonic milliseconds.
    refilled: u64,
}

/// Thousandths of a token.
const TOKEN: i64 = 1000;

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            level: Self::full(per_second),
            refilled: 0,
        }
    }

    fn full(per_second: u32) -> i64 {
        i64::from(per_second) * TOKEN
    }

    /// Adds the tokens of the time since the last refill.
    #[inline]
    pub(super) fn refill(&mut self, monotonic_milliseconds: u64) {
        let elapsed = monotonic_milliseconds.saturating_sub(self.refilled);
        if elapsed > 0 {
            self.refilled = monotonic_milliseconds;
            let elapsed = i64::try_from(elapsed).unwrap_or(i64::MAX);
            let added = elapsed.saturating_mul(self.per_second.into());
            self.level = self
                .level
                .saturating_add(added)
                .min(Self::full(self.per_second));
        }
    }

    /// Takes a token. False if there is none.
    #[inline]
    pub(super) const fn take(&mut self) -> bool {
        let has_token = !self.is_empty();
        if has_token {
            self.level -= TOKEN;
        }
        has_token
    }

    /// True if there is no token.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.level < TOKEN
    }

    /// Takes a number of tokens that is known only afterwards. What is missing is taken from those
    /// of the time to come.
    #[inline]
    pub(super) fn spend(&mut self, tokens: u32) {
        let spent = i64::from(tokens) * TOKEN;
        self.level = self.level.saturating_sub(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_beyond_the_tokens_is_taken_from_later_ones() {
        let mut bucket = TokenBucket::new(1000);
        bucket.spend(1500);
        bucket.refill(500);
        assert!(bucket.is_empty());
        bucket.refill(501);
        assert!(!bucket.is_empty());
        bucket.refill(9000);
        assert_eq!(taken(&mut bucket), 1000);
    }

    fn taken(bucket: &mut TokenBucket) -> usize {
        std::iter::from_fn(|| bucket.take().then_some(())).count()
    }

    #[test]
    fn tokens_are_added_at_the_rate_and_kept_for_a_second() {
        let mut bucket = TokenBucket::new(200);
        assert_eq!(taken(&mut bucket), 200);
        bucket.refill(10_000);
        assert_eq!(taken(&mut bucket), 200);
        for millisecond in 10_001..=10_004 {
            bucket.refill(millisecond);
            assert!(!bucket.take());
        }
        bucket.refill(10_005);
        assert_eq!(taken(&mut bucket), 1);
        bucket.refill(10_500);
        assert_eq!(taken(&mut bucket), 99);
        bucket.refill(90_000);
        assert_eq!(taken(&mut bucket), 200);
    }
}
