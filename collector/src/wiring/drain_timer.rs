//! When edges are merged into the series and the history, even without a scrape.

use std::time::Duration;

use crate::clock::Now;

/// Interval of drains, milliseconds.
const INTERVAL: u64 = 10_000;

/// A timer of 10 s. It is due at multiples of 10 s of the wall clock, where the intervals of the
/// history begin.
#[derive(Debug)]
pub(super) struct DrainTimer {
    last: Now,
}

impl DrainTimer {
    /// Starts the timer.
    pub(super) const fn new(now: Now) -> Self {
        Self { last: now }
    }

    /// True if a drain is due. The timer then starts again.
    pub(super) fn is_due(&mut self, now: Now) -> bool {
        let has_new_interval =
            now.wall_milliseconds / INTERVAL > self.last.wall_milliseconds / INTERVAL;
        // The wall clock may be set back.
        let is_late = self.elapsed(now) >= INTERVAL;
        let is_due = has_new_interval || is_late;
        if is_due {
            self.last = now;
        }
        is_due
    }

    /// Time until the next drain.
    pub(super) fn remaining(&self, now: Now) -> Duration {
        let until_boundary = INTERVAL - now.wall_milliseconds % INTERVAL;
        let until_late = INTERVAL.saturating_sub(self.elapsed(now));
        Duration::from_millis(until_boundary.min(until_late).max(1))
    }

    const fn elapsed(&self, now: Now) -> u64 {
        now.monotonic_milliseconds
            .saturating_sub(self.last.monotonic_milliseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(wall_milliseconds: u64, monotonic_milliseconds: u64) -> Now {
        Now {
            wall_milliseconds,
            monotonic_milliseconds,
        }
    }

    #[test]
    fn it_is_due_where_an_interval_begins() {
        let mut timer = DrainTimer::new(at(1_007_000, 50));
        assert_eq!(timer.remaining(at(1_007_000, 50)), Duration::from_secs(3));
        assert!(!timer.is_due(at(1_009_999, 3049)));
        assert!(timer.is_due(at(1_010_001, 3051)));
        assert!(!timer.is_due(at(1_010_002, 3052)));
        assert_eq!(
            timer.remaining(at(1_010_002, 3052)),
            Duration::from_millis(9998)
        );
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_it() {
        let mut timer = DrainTimer::new(at(1_007_000, 0));
        assert!(!timer.is_due(at(500_000, 9_999)));
        assert!(timer.is_due(at(500_001, 10_000)));
    }
}
