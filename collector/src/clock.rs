//! Where time enters. Everything else receives the time as an argument.
//!
//! Two clocks run side by side. Timestamps of packets and of series are wall-clock time, which an
//! administrator or NTP may set. Everything that expires is measured by the monotonic clock, which
//! only moves forward.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

/// The time of an event by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, milliseconds since the epoch.
    pub wall_milliseconds: u64,
    /// Monotonic clock, milliseconds since an arbitrary origin.
    pub monotonic_milliseconds: u64,
}

impl Now {
    /// The time of a captured packet, which is both clocks of a savefile.
    #[must_use]
    pub const fn of_packet(milliseconds: u64) -> Self {
        Self {
            wall_milliseconds: milliseconds,
            monotonic_milliseconds: milliseconds,
        }
    }

    /// A wall-clock time as a time of the monotonic clock. Times in the future become the present.
    #[must_use]
    pub const fn to_monotonic(self, wall_milliseconds: u64) -> u64 {
        let age = self.wall_milliseconds.saturating_sub(wall_milliseconds);
        self.monotonic_milliseconds.saturating_sub(age)
    }
}

/// The source of time of a running collector.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The clocks of the host.
    Host,
    /// The time of the last packet read from a savefile, milliseconds since the epoch.
    Packets(Arc<AtomicU64>),
}

impl Clock {
    /// The current time.
    #[must_use]
    pub fn now(&self) -> Now {
        match self {
            Self::Host => now(),
            Self::Packets(last) => Now::of_packet(last.load(Ordering::Relaxed)),
        }
    }
}

/// The current time by the clocks of the host.
#[must_use]
pub fn now() -> Now {
    /// Start of the monotonic milliseconds. A day is added so that times before the start can be
    /// expressed.
    static ORIGIN: LazyLock<Instant> = LazyLock::new(monotonic);
    const BEFORE_START: Duration = Duration::from_secs(86_400);
    let origin = *ORIGIN;
    let elapsed = monotonic().saturating_duration_since(origin);
    Now {
        wall_milliseconds: wall_milliseconds(),
        monotonic_milliseconds: milliseconds(elapsed.saturating_add(BEFORE_START)),
    }
}

/// Wall clock, milliseconds since the epoch.
#[must_use]
pub fn wall_milliseconds() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where wall-clock time enters"
    )]
    let now = SystemTime::now();
    milliseconds(
        now.duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

/// Monotonic clock.
#[must_use]
pub fn monotonic() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where monotonic time enters"
    )]
    Instant::now()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_time_keeps_its_age_on_the_monotonic_clock() {
        let now = Now {
            wall_milliseconds: 1_700_000_000_000,
            monotonic_milliseconds: 50_000,
        };
        assert_eq!(now.to_monotonic(1_700_000_000_000 - 300), 49_700);
        assert_eq!(now.to_monotonic(1_700_000_000_000 + 300), 50_000);
        assert_eq!(now.to_monotonic(0), 0);
    }

    #[test]
    fn the_monotonic_clock_does_not_move_backwards() {
        let first = now();
        assert!(now().monotonic_milliseconds >= first.monotonic_milliseconds);
        assert!(first.monotonic_milliseconds >= 86_400_000);
    }
}
