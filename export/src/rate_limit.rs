//! Limits the rate of records to receivers whose buffer a savefile would overrun.

use std::time::{Duration, Instant};

use crate::clock::monotonic;
use crate::shutdown::ShutdownDeadline;

/// Granularity of sleeps: few wake-ups, and bursts that a default receive buffer holds.
const STEP: Duration = Duration::from_millis(4);

/// Delays Messages so that a number of records per second is not exceeded.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_record: Duration,
    next: Option<Instant>,
    deadline: ShutdownDeadline,
}

impl RateLimit {
    /// Creates a limit; `None` for 0, which is unlimited.
    pub(crate) fn new(records_per_second: u32, deadline: ShutdownDeadline) -> Option<Self> {
        let per_record = Duration::from_secs(1).checked_div(records_per_second)?;
        Some(Self {
            per_record,
            next: None,
            deadline,
        })
    }

    /// Waits until a number of records may be sent, or until the shutdown has no time left.
    pub(crate) fn wait_for(&mut self, records: u64) {
        let now = monotonic();
        // Unused time is not saved up, except for a little, because sleeps are late.
        let earliest = now.checked_sub(STEP * 2).unwrap_or(now);
        let next = self.next.unwrap_or(now).max(earliest);
        if let Some(early) = next.checked_duration_since(now)
            && early >= STEP
        {
            self.deadline.sleep(early);
        }
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        self.next = Some(next + self.per_record.saturating_mul(records));
    }
}
