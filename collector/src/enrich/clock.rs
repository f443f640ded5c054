//! How far an exporter's clock is from the collector's, and when the packets of a record ran by the
//! collector's clock.
//!
//! A Message takes some time to arrive, never less than none, and its export time is cut to the second
//! (RFC 7011 §3.1): the smallest difference of arrival and export time in a while is the skew, to a
//! second. A smaller one is none.

use flowproto::FlowRecord;

use crate::inventory::TimeRange;

/// The smallest difference is that of this long and of this long before, milliseconds.
const WINDOW_MILLISECONDS: u64 = 60_000;
/// What an export time cannot tell.
const RESOLUTION_MILLISECONDS: i64 = 1000;

/// The clock of one exporter.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: i64,
    before: i64,
    window_until_milliseconds: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            now: i64::MAX,
            before: i64::MAX,
            window_until_milliseconds: 0,
        }
    }
}

impl Clock {
    /// A Message of that export time arrived.
    pub fn observe(&mut self, arrived_milliseconds: u64, export_time_milliseconds: u64) {
        if export_time_milliseconds == 0 {
            return;
        }
        if arrived_milliseconds >= self.window_until_milliseconds {
            self.before = self.now;
            self.now = i64::MAX;
            self.window_until_milliseconds =
                arrived_milliseconds.saturating_add(WINDOW_MILLISECONDS);
        }
        self.now = self
            .now
            .min(difference(arrived_milliseconds, export_time_milliseconds));
    }

    /// What must be added to the exporter's time to have the collector's, milliseconds.
    #[must_use]
    pub fn skew_milliseconds(&self) -> i64 {
        match self.now.min(self.before) {
            i64::MAX => 0,
            // An export time that was not cut arrives later than it says, too.
            skew if (-RESOLUTION_MILLISECONDS..RESOLUTION_MILLISECONDS).contains(&skew) => 0,
            skew => skew,
        }
    }
}

fn difference(a: u64, b: u64) -> i64 {
    let wide = i128::from(a) - i128::from(b);
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

/// When the packets of `record` ran, by the collector's clock. Where the record does not say, or the
/// exporter's clock is off by more than `most_milliseconds`, they ran until just now.
#[must_use]
pub fn span(
    record: &FlowRecord,
    skew_milliseconds: i64,
    most_milliseconds: u64,
    now_milliseconds: u64,
) -> TimeRange {
    let end = record.flow_end_milliseconds;
    let start = match record.flow_start_milliseconds {
        0 => end,
        start => start.min(end),
    };
    let known = end != 0 && skew_milliseconds.unsigned_abs() <= most_milliseconds;
    let here = if known {
        end.saturating_add_signed(skew_milliseconds)
            .min(now_milliseconds)
    } else {
        now_milliseconds
    };
    TimeRange {
        start_milliseconds: here.saturating_sub(end - start),
        end_milliseconds: here,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn skew(arrivals: &[(u64, u64)]) -> i64 {
        let mut clock = Clock::default();
        for (arrived, exported) in arrivals {
            clock.observe(*arrived, *exported);
        }
        clock.skew_milliseconds()
    }

    #[test]
    fn an_export_time_cut_to_the_second_is_no_skew() {
        assert_eq!(skew(&[(NOW + 999, NOW)]), 0);
        assert_eq!(skew(&[(NOW + 2500, NOW), (NOW + 2600, NOW + 2000)]), 0);
        assert_eq!(skew(&[]), 0);
    }

    #[test]
    fn a_clock_that_is_off_is_off_by_the_smallest_difference() {
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
    fn packets_ran_when_the_record_says_it_unless_the_clock_is_of_no_use() {
        let record = FlowRecord {
            flow_start_milliseconds: NOW - 500,
            flow_end_milliseconds: NOW - 100,
            ..FlowRecord::default()
        };
        let at = |skew| {
            let span = span(&record, skew, 10_000, NOW);
            (NOW - span.start_milliseconds, NOW - span.end_milliseconds)
        };
        assert_eq!(at(0), (500, 100));
        assert_eq!(at(-5000), (5500, 5100));
        assert_eq!(at(5000), (400, 0));
        assert_eq!(at(-50_000), (400, 0));
        assert_eq!(
            span(&FlowRecord::default(), 0, 0, NOW),
            TimeRange::instant(NOW)
        );
    }
}
