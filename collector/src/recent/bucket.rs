//! A rate limit that costs one comparison.

/// Tokens that are added at a rate, up to those of a second.
#[derive(Debug)]
pub(super) struct TokenBucket {
    per_second: u64,
    /// Thousandths of tokens.
    level: u64,
    /// Time of the last refill, monotonic milliseconds.
    refilled: u64,
}

/// Thousandths of a token.
const TOKEN: u64 = 1000;

impl TokenBucket {
    /// A full bucket.
    pub(super) const fn new(per_second: u64) -> Self {
        Self {
            per_second,
            level: per_second.saturating_mul(TOKEN),
            refilled: 0,
        }
    }

    /// Adds the tokens of the time since the last refill.
    #[inline]
    pub(super) fn refill(&mut self, monotonic_milliseconds: u64) {
        let elapsed = monotonic_milliseconds.saturating_sub(self.refilled);
        if elapsed > 0 {
            self.refilled = monotonic_milliseconds;
            let added = elapsed.saturating_mul(self.per_second);
            let most = self.per_second.saturating_mul(TOKEN);
            self.level = self.level.saturating_add(added).min(most);
        }
    }

    /// Takes a token. False if there is none.
    #[inline]
    pub(super) const fn take(&mut self) -> bool {
        match self.level.checked_sub(TOKEN) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
