//! The offset between an exporter's clock and the collector's, and the time of a record's packets by the
//! collector's clock.
//!
//! A Message takes some time to arrive, and its export time is truncated to the second (RFC 7011 §3.1). The smallest
//! difference between arrival and export time within a window is therefore the offset, to a second. A smaller
//! offset is taken for none.

use crate::clock::Now;
use crate::inventory::TimeRange;

/// The offset is the smallest difference of the current window and the one before it; milliseconds.
const WINDOW_MILLISECONDS: u64 = 60_000;
/// Resolution of an export time, milliseconds.
const RESOLUTION_MILLISECONDS: i64 = 1000;

/// The clock offset of one exporter.
#[derive(Clone, Copy, Debug)]
pub struct ClockSkew {
    current: i64,
    previous: i64,
    /// Monotonic time at which the current window ends.
    window_end_milliseconds: u64,
}

impl Default for ClockSkew {
    fn default() -> Self {
        Self {
            current: i64::MAX,
            previous: i64::MAX,
            window_end_milliseconds: 0,
        }
    }
}

impl ClockSkew {
    /// Records the export time of a Message that arrived now; 0 is unknown.
    pub fn observe(&mut self, now: Now, export_time_milliseconds: u64) {
        if export_time_milliseconds == 0 {
            return;
        }
        if now.monotonic_milliseconds >= self.window_end_milliseconds {
            self.previous = self.current;
            self.current = i64::MAX;
            self.window_end_milliseconds = now
                .monotonic_milliseconds
                .saturating_add(WINDOW_MILLISECONDS);
        }
        let arrived = now.wall_milliseconds;
        self.current = self
            .current
            .min(difference(arrived, export_time_milliseconds));
    }

    /// The offset that must be added to the exporter's time to get the collector's, milliseconds.
    #[must_use]
    pub fn milliseconds(&self) -> i64 {
        match self.current.min(self.previous) {
            i64::MAX => 0,
            // An export time that was not truncated arrives later, too.
            skew if (-RESOLUTION_MILLISECONDS..RESOLUTION_MILLISECONDS).contains(&skew) => 0,
            skew => skew,
        }
    }
}

fn difference(a: u64, b: u64) -> i64 {
    let wide = i128::from(a) - i128::from(b);
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

/// The time of a record's packets by the collector's clock, from its start and end by the exporter's;
/// 0 is unknown. If the record has no times, or if the exporter's clock is off by more than
/// `max_skew_milliseconds`, they are taken to end now.
#[inline]
#[must_use]
pub fn time_range(
    (start, end): (u64, u64),
    skew_milliseconds: i64,
    max_skew_milliseconds: u64,
    now_milliseconds: u64,
) -> TimeRange {
    let start = match start {
        0 => end,
        start => start.min(end),
    };
    let known = end != 0 && skew_milliseconds.unsigned_abs() <= max_skew_milliseconds;
    let local_end = if known {
        end.saturating_add_signed(skew_milliseconds)
            .min(now_milliseconds)
    } else {
        now_milliseconds
    };
    TimeRange {
        start_milliseconds: local_end.saturating_sub(end - start),
        end_milliseconds: local_end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn skew(arrivals: &[(u64, u64)]) -> i64 {
        let mut skew = ClockSkew::default();
        for (arrived, exported) in arrivals {
            skew.observe(Now::of_packet(*arrived), *exported);
        }
        skew.milliseconds()
    }

    #[test]
    fn an_export_time_truncated_to_the_second_is_not_skew() {
        assert_eq!(skew(&[(NOW + 999, NOW)]), 0);
        assert_eq!(skew(&[(NOW + 2500, NOW), (NOW + 2600, NOW + 2000)]), 0);
        assert_eq!(skew(&[]), 0);
    }

    #[test]
    fn the_smallest_difference_is_the_skew() {
        assert_eq!(skew(&[(NOW + 9000, NOW), (NOW + 9100, NOW + 1000)]), 8100);
        assert_eq!(skew(&[(NOW, NOW + 5000), (NOW + 300, NOW + 5000)]), -5000);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_after_two_windows() {
        let set = [
            (NOW, NOW + 5000),
            (NOW + 60_000, NOW + 60_000),
            (NOW + 120_000, NOW + 120_000),
        ];
        assert_eq!(skew(&set[..2]), -5000);
        assert_eq!(skew(&set), 0);
    }

    #[test]
    fn the_windows_follow_the_monotonic_clock() {
        let mut skew = ClockSkew::default();
        for minute in 0..3 {
            // The collector's own clock was set back by an hour after the first Message.
            let wall = if minute == 0 { NOW } else { NOW - 3_600_000 };
            let now = Now {
                wall_milliseconds: wall,
                monotonic_milliseconds: minute * WINDOW_MILLISECONDS,
            };
            skew.observe(now, NOW);
        }
        assert_eq!(skew.milliseconds(), -3_600_000);
    }

    #[test]
    fn packets_have_the_times_of_the_record_unless_the_clock_is_too_far_off() {
        let at = |skew| {
            let range = time_range((NOW - 500, NOW - 100), skew, 10_000, NOW);
            (NOW - range.start_milliseconds, NOW - range.end_milliseconds)
        };
        assert_eq!(at(0), (500, 100));
        assert_eq!(at(-5000), (5500, 5100));
        assert_eq!(at(5000), (400, 0));
        assert_eq!(at(-50_000), (400, 0));
        assert_eq!(time_range((0, 0), 0, 0, NOW), TimeRange::instant(NOW));
    }
}
