//! Spreads records over time, for receivers whose buffer a savefile would overrun.

use std::time::{Duration, Instant};

/// Pacing sleeps for so much at once: few wake-ups, and bursts that the smallest usual receive buffer holds.
const STEP: Duration = Duration::from_millis(4);

#[derive(Debug)]
pub(crate) struct Pace {
    per_record: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// `None` for 0, which is unpaced.
    pub(crate) fn new(records_per_second: u32) -> Option<Self> {
        let per_record = Duration::from_secs(1).checked_div(records_per_second)?;
        Some(Self {
            per_record,
            next: None,
        })
    }

    /// Waits until so many more records may leave.
    pub(crate) fn wait_for(&mut self, records: u64) {
        let now = crate::monotonic();
        // What was not used of the past is lost, but for a little: sleeps are late.
        let earliest = now.checked_sub(STEP * 2).unwrap_or(now);
        let next = self.next.unwrap_or(now).max(earliest);
        if let Some(early) = next.checked_duration_since(now)
            && early >= STEP
        {
            std::thread::sleep(early);
        }
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        self.next = Some(next + self.per_record.saturating_mul(records));
    }
}
