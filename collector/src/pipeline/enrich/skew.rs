//! The offset between an exporter's clock and the collector's, and the time of a record's packets
//! by the collector's clock.
//!
//! A Message takes some time to arrive, and its export time is truncated to the second (RFC 7011
//! §3.1). The smallest difference between arrival and export time within a window is therefore the
//! offset, to a second. A smaller offset is taken for none.
//!
//! The first Messages may have waited for longer, such as in the socket of a collector that was
//! starting. Until a whole window has confirmed an offset, it is only a bound: the packets may have
//! been observed at any time between, and a record is never attributed to one of two endpoints that
//! had the address in that time.

use crate::clock::Now;
use crate::inventory::TimeRange;

/// The offset is the smallest difference of the current window and the one before it; milliseconds.
const WINDOW_MILLISECONDS: u64 = 60_000;
/// Resolution of an export time, milliseconds.
const RESOLUTION_MILLISECONDS: i64 = 1000;
/// Every Message of an exporter may take this long to arrive, as on a loaded machine; milliseconds.
const LATENCY_MILLISECONDS: i64 = 1000;

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

    /// The least and the greatest offset that the Messages so far are possible with.
    #[must_use]
    pub fn offset(&self) -> ClockOffset {
        let skew = self.milliseconds();
        let is_confirmed = self.previous != i64::MAX;
        let least = if skew > 0
            && (!is_confirmed || skew < RESOLUTION_MILLISECONDS + LATENCY_MILLISECONDS)
        {
            0
        } else if skew < 0 && !is_confirmed {
            skew.saturating_sub(RESOLUTION_MILLISECONDS)
        } else {
            skew
        };
        ClockOffset {
            least,
            greatest: skew,
        }
    }
}

/// Bounds of a clock offset, which must be added to the exporter's time to get the collector's;
/// milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffset {
    /// Lower bound.
    pub least: i64,
    /// Upper bound.
    pub greatest: i64,
}

fn difference(a: u64, b: u64) -> i64 {
    let wide = i128::from(a) - i128::from(b);
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

/// The time of a record's packets by the collector's clock, from its start and end by the
/// exporter's; 0 is unknown. If the record has no times, or if the exporter's clock is off by more
/// than `max_skew_milliseconds`, they are taken to end now.
#[inline]
#[must_use]
pub fn time_range(
    (start, end): (u64, u64),
    offset: ClockOffset,
    max_skew_milliseconds: u64,
    now_milliseconds: u64,
) -> TimeRange {
    let start = match start {
        0 => end,
        start => start.min(end),
    };
    let known = end != 0 && offset.greatest.unsigned_abs() <= max_skew_milliseconds;
    let local_end = |offset: i64| {
        if known {
            end.saturating_add_signed(offset).min(now_milliseconds)
        } else {
            now_milliseconds
        }
    };
    TimeRange {
        start_milliseconds: local_end(offset.least).saturating_sub(end - start),
        end_milliseconds: local_end(offset.greatest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn observed(arrivals: &[(u64, u64)]) -> ClockSkew {
        let mut skew = ClockSkew::default();
        for (arrived, exported) in arrivals {
            skew.observe(Now::of_packet(*arrived), *exported);
        }
        skew
    }

    fn skew(arrivals: &[(u64, u64)]) -> i64 {
        observed(arrivals).milliseconds()
    }

    fn offset(arrivals: &[(u64, u64)]) -> (i64, i64) {
        let ClockOffset { least, greatest } = observed(arrivals).offset();
        (least, greatest)
    }

    #[test]
    fn an_export_time_truncated_to_the_second_is_not_skew() {
        assert_eq!(skew(&[(NOW + 999, NOW)]), 0);
        assert_eq!(skew(&[(NOW + 2500, NOW), (NOW + 2600, NOW + 2000)]), 0);
        assert_eq!(skew(&[]), 0);
        assert_eq!(offset(&[(NOW + 999, NOW)]), (0, 0));
        assert_eq!(offset(&[]), (0, 0));
    }

    #[test]
    fn the_smallest_difference_is_the_skew() {
        assert_eq!(skew(&[(NOW + 9000, NOW), (NOW + 9100, NOW + 1000)]), 8100);
        assert_eq!(skew(&[(NOW, NOW + 5000), (NOW + 300, NOW + 5000)]), -5000);
    }

    #[test]
    fn a_skew_is_certain_when_a_window_has_confirmed_it() {
        let late = [(NOW + 5000, NOW), (NOW + 65_000, NOW + 60_000)];
        // The first Message may have waited for five seconds.
        assert_eq!(offset(&late[..1]), (0, 5000));
        assert_eq!(offset(&late), (5000, 5000));
        // It cannot have arrived before it was exported, but the second may have been over when it
        // was.
        let early = [(NOW, NOW + 5000), (NOW + 60_000, NOW + 65_000)];
        assert_eq!(offset(&early[..1]), (-6000, -5000));
        assert_eq!(offset(&early), (-5000, -5000));
    }

    #[test]
    fn a_skew_below_the_latency_of_messages_is_never_certain() {
        let slow = [(NOW + 1040, NOW), (NOW + 61_020, NOW + 60_000)];
        assert_eq!(offset(&slow), (0, 1020));
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
        let at = |least, greatest| {
            let offset = ClockOffset { least, greatest };
            let range = time_range((NOW - 500, NOW - 100), offset, 10_000, NOW);
            (NOW - range.start_milliseconds, NOW - range.end_milliseconds)
        };
        assert_eq!(at(0, 0), (500, 100));
        assert_eq!(at(-5000, -5000), (5500, 5100));
        assert_eq!(at(5000, 5000), (400, 0));
        assert_eq!(at(-50_000, -50_000), (400, 0));
        // Any offset between is possible.
        assert_eq!(at(0, 50), (500, 50));
        assert_eq!(at(0, 5000), (500, 0));
        assert_eq!(at(-6000, -5000), (6500, 5100));
        let none = ClockOffset::default();
        assert_eq!(time_range((0, 0), none, 0, NOW), TimeRange::instant(NOW));
    }
}
