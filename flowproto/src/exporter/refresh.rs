//! When templates and options data are sent again, because a transport can lose them (RFC 7011
//! §8.4, RFC 3954 §9).

/// An interval or a number of Messages that never passes.
const NEVER: u64 = u64::MAX;

/// The time of the next refresh of a session.
#[derive(Clone, Copy, Debug)]
pub struct Refresh {
    /// Interval, milliseconds.
    milliseconds: u64,
    /// Number of Messages, if the interval has not passed before.
    messages: u64,
    /// Time of the latest refresh; `None` before the first one.
    last: Option<u64>,
    messages_at_last: u64,
}

impl Refresh {
    /// Due at first, and then after an interval or a number of Messages.
    #[must_use]
    pub const fn every(milliseconds: u64, messages: u64) -> Self {
        Self {
            milliseconds,
            messages,
            last: None,
            messages_at_last: 0,
        }
    }

    /// Due at first, and then after an interval.
    #[must_use]
    pub const fn every_interval(milliseconds: u64) -> Self {
        Self::every(milliseconds, NEVER)
    }

    /// Due at first only.
    #[must_use]
    pub const fn once() -> Self {
        Self::every(NEVER, NEVER)
    }

    /// Whether templates are to be sent, after this number of Messages.
    #[inline]
    #[must_use]
    pub fn is_due(&self, now_milliseconds: u64, messages_sent: u64) -> bool {
        // A clock that is set back must not delay the refresh.
        self.last
            .is_none_or(|last| now_milliseconds.abs_diff(last) >= self.milliseconds)
            || messages_sent.saturating_sub(self.messages_at_last) >= self.messages
    }

    /// Whether there was no refresh yet, or none since [`Self::restart`].
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.last.is_none()
    }

    /// Notes the time of a refresh.
    pub const fn begin(&mut self, now_milliseconds: u64) {
        self.last = Some(now_milliseconds);
    }

    /// Notes the Messages that were sent until the end of a refresh.
    pub const fn end(&mut self, messages_sent: u64) {
        self.messages_at_last = messages_sent;
    }

    /// Makes a first refresh due.
    pub const fn restart(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refreshed(mut refresh: Refresh) -> Refresh {
        assert!(refresh.is_first() && refresh.is_due(0, 0));
        refresh.begin(1000);
        refresh.end(5);
        refresh
    }

    #[test]
    fn a_refresh_is_due_after_an_interval_or_a_number_of_messages() {
        let refresh = refreshed(Refresh::every(100, 10));
        assert!(!refresh.is_due(1099, 14));
        assert!(refresh.is_due(1100, 5));
        assert!(refresh.is_due(1000, 15));
        let refresh = refreshed(Refresh::every_interval(100));
        assert!(!refresh.is_due(1099, u64::MAX - 1));
        assert!(refresh.is_due(1100, 5));
        assert!(!refreshed(Refresh::once()).is_due(u64::MAX - 1, u64::MAX - 1));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_delay_the_refresh() {
        assert!(refreshed(Refresh::every(100, 10)).is_due(900, 5));
        assert!(!refreshed(Refresh::every(100, 10)).is_due(901, 5));
    }

    #[test]
    fn a_restart_makes_a_first_refresh_due() {
        let mut refresh = refreshed(Refresh::once());
        refresh.restart();
        assert!(refresh.is_first() && refresh.is_due(1000, 5));
    }
}
