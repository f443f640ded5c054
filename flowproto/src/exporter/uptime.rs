//! The clock of NetFlow v5 and v9: flow times are milliseconds of a 32-bit uptime (49 days), and
//! each message has both its uptime and its calendar time.
//!
//! The uptime begins one hour before the first record, so that every flow start fits. It restarts
//! long before it overflows: tools disagree on overflows, and agree on restarts. A record that
//! ended long before its export (an old capture) is sent in a message of the time at which it
//! ended, which the current uptime could not reach.

const HOUR_MILLISECONDS: u64 = 3_600_000;
/// 24 days. Readers take larger distances from the message's uptime for an overflow.
const LONGEST_MILLISECONDS: u64 = 1 << 31;

/// The time at which the uptime was 0, and the time of the current message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uptime {
    zero_milliseconds: u64,
    message_milliseconds: u64,
}

/// A flow's start and end in milliseconds of uptime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UptimeSpan {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Uptime {
    /// Whether a record of this time fits into the current message.
    pub(super) fn fits(self, start: u64, end: u64, now: u64) -> bool {
        let (start, end, message) = Self::times(start, end, now);
        self.in_range(start) && self.in_range(end) && self.in_range(message.saturating_add(1000))
    }

    /// Restarts the uptime, so that a record of this time fits.
    pub(super) fn begin(&mut self, start: u64, end: u64, now: u64) {
        let (start, _, message) = Self::times(start, end, now);
        self.zero_milliseconds = start.min(message).saturating_sub(HOUR_MILLISECONDS);
        self.message_milliseconds = 0;
    }

    /// Whether the current message has a record, whose times [`Self::begin`] would change.
    pub(super) const fn is_used(self) -> bool {
        self.message_milliseconds != 0
    }

    /// The times of a record that fits. Moves the time of the message to at least its end.
    pub(super) fn span(&mut self, start: u64, end: u64, now: u64) -> UptimeSpan {
        let (start, end, message) = Self::times(start, end, now);
        self.message_milliseconds = self.message_milliseconds.max(message).max(end);
        UptimeSpan {
            first: self.of(start),
            last: self.of(end),
        }
    }

    /// Ends the message, and returns its time, milliseconds since the epoch: `now` if it has no
    /// record.
    pub(super) const fn message(&mut self, now: u64) -> u64 {
        match std::mem::replace(&mut self.message_milliseconds, 0) {
            0 => now,
            time => time,
        }
    }

    /// A calendar time as uptime.
    pub(super) fn of(self, milliseconds: u64) -> u32 {
        u32::try_from(milliseconds.saturating_sub(self.zero_milliseconds)).unwrap_or(u32::MAX)
    }

    fn in_range(self, milliseconds: u64) -> bool {
        milliseconds
            .checked_sub(self.zero_milliseconds)
            .is_some_and(|up| up < LONGEST_MILLISECONDS)
    }

    /// The time of the message of a record.
    pub(super) fn message_time(start: u64, end: u64, now: u64) -> u64 {
        Self::times(start, end, now).2
    }

    /// Start, end, and time of the message of a record; 0 is unknown.
    fn times(start: u64, end: u64, now: u64) -> (u64, u64, u64) {
        let end = match (start, end) {
            (0, 0) => now,
            (start, end) => end.max(start),
        };
        let start = if start == 0 { end } else { start };
        let long_ago = now.saturating_sub(end) > HOUR_MILLISECONDS;
        (start, end, if long_ago { end } else { now.max(end) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn the_calendar_comes_back_out_of_header_and_uptime() {
        let day = 86_400_000;
        let mut uptime = Uptime::default();
        for (start, end, now) in [
            (NOW - 5000, NOW - 1, NOW),
            (NOW - 5000, NOW - 1, NOW + 600),
            // Seven weeks later the uptime has restarted.
            (NOW + 50 * day, NOW + 50 * day + 5, NOW + 50 * day + 9),
            // An old capture.
            (NOW - 400 * day, NOW - 400 * day + 100, NOW),
        ] {
            if !uptime.fits(start, end, now) {
                uptime.begin(start, end, now);
            }
            let span = uptime.span(start, end, now);
            let message = uptime.message(now);
            let zero = message - u64::from(uptime.of(message));
            assert_eq!(zero + u64::from(span.first), start);
            assert_eq!(zero + u64::from(span.last), end);
            assert!(span.last <= uptime.of(message));
        }
    }
}
