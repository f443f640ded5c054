//! How the buffers of the captured interfaces are read.
//!
//! A wake-up costs as much as dozens of packets, so the probe pauses between two rounds of reading
//! while the buffers have plenty of room. Packets of several interfaces are compared, so these are
//! read without a pause. If it does not keep up, work that the records can do without is left out,
//! before frames are lost.

use std::time::Duration;

use super::interface::Round;

/// Maximum length of a pause.
const MAX_PAUSE_NS: u64 = 25_000_000;
/// Shorter pauses are not made.
const MIN_PAUSE_NS: u64 = 1_000_000;
/// Part of a buffer that may fill during a pause, at the rate of the last round.
const FILLED_PART: u64 = 8;
/// Octets of a buffer that a frame takes besides its captured octets.
const FRAME_OCTETS: u64 = 100;
/// Frames read in a row, while more wait, from which on the probe is behind. The smallest buffer of
/// an interface that is of use holds more.
const BEHIND_FRAMES: u64 = 16_384;
/// How long the probe counts as behind afterwards. A CPU quota stops a process several times per
/// second, and in between it catches up.
const BEHIND_NS: u64 = 1_000_000_000;

/// The rounds of reading so far. Times are nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Octets of the buffer of an interface.
    buffer_octets: u64,
    /// Pause after the last round.
    pause_ns: u64,
    /// When the last round ended.
    round_ns: u64,
    /// Frames read since none were left.
    frames: u64,
    /// When the probe was behind last.
    behind_ns: Option<u64>,
}

impl Pace {
    /// Begins without a pause.
    pub(super) const fn new(buffer_octets: u64) -> Self {
        Self {
            buffer_octets,
            pause_ns: 0,
            round_ns: 0,
            frames: 0,
            behind_ns: None,
        }
    }

    /// Adds a round of reading of all interfaces that ended at `now_ns`. `more`: frames may be
    /// left.
    pub(super) fn add(&mut self, round: Round, more: bool, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.round_ns);
        self.round_ns = now_ns;
        if more {
            self.pause_ns = 0;
            self.frames = self.frames.saturating_add(round.frames);
        } else {
            self.pause_ns = self.pause_after(round, elapsed_ns);
            self.frames = 0;
        }
        if self.frames >= BEHIND_FRAMES {
            self.behind_ns = Some(now_ns);
        }
    }

    /// The pause after a round that has read what arrived in `elapsed_ns`.
    fn pause_after(&self, round: Round, elapsed_ns: u64) -> u64 {
        let headers = round.frames.saturating_mul(FRAME_OCTETS);
        let octets = round.captured_octets.saturating_add(headers);
        let room = self.buffer_octets / FILLED_PART;
        let fills_ns = elapsed_ns.saturating_mul(room).checked_div(octets);
        // Without a frame, the wait for the next one is the pause. The buffer has room for a sudden
        // gigabyte per second.
        let pause_ns = fills_ns
            .unwrap_or(0)
            .min(MAX_PAUSE_NS)
            .min(self.buffer_octets);
        if pause_ns < MIN_PAUSE_NS { 0 } else { pause_ns }
    }

    /// How long not to read after the last round.
    pub(super) const fn pause(&self) -> Duration {
        Duration::from_nanos(self.pause_ns)
    }

    /// True if the probe does not keep up, at `now_ns`.
    pub(super) const fn is_behind(&self, now_ns: u64) -> bool {
        match self.behind_ns {
            Some(behind_ns) => now_ns.abs_diff(behind_ns) < BEHIND_NS,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const BUFFER: u64 = 32 << 20;

    const fn round(frames: u64) -> Round {
        Round {
            frames,
            octets: 1000 * frames,
            captured_octets: 220 * frames,
        }
    }

    /// The pause of a probe that has a buffer of N octets and reads M frames per second.
    fn pause_at(frames_per_second: u64, buffer_octets: u64) -> Duration {
        let mut pace = Pace::new(buffer_octets);
        pace.add(round(1), false, SECOND);
        pace.add(round(frames_per_second / 100), false, SECOND + SECOND / 100);
        pace.pause()
    }

    #[test]
    fn full_rounds_in_a_row_are_a_backlog() {
        let mut pace = Pace::new(BUFFER);
        for count in 1..=4 {
            assert!(!pace.is_behind(SECOND), "{count}");
            pace.add(round(4096), true, SECOND);
        }
        assert!(pace.is_behind(SECOND));
    }

    #[test]
    fn a_probe_that_reads_all_frames_in_time_is_not_behind() {
        let mut pace = Pace::new(BUFFER);
        for _ in 0..100 {
            pace.add(round(4096), true, SECOND);
            pace.add(round(4096), true, SECOND);
            pace.add(round(4000), false, SECOND);
        }
        assert!(!pace.is_behind(SECOND));
    }

    #[test]
    fn a_backlog_counts_for_a_second_and_not_after_the_clock_was_set() {
        let mut pace = Pace::new(BUFFER);
        pace.add(round(20_000), true, 5 * SECOND);
        pace.add(round(100), false, 5 * SECOND);
        assert!(pace.is_behind(6 * SECOND - 1));
        assert!(!pace.is_behind(6 * SECOND));
        assert!(!pace.is_behind(2 * SECOND));
    }

    #[test]
    fn an_eighth_of_the_buffer_fills_during_a_pause_at_most() {
        assert_eq!(pause_at(1000, BUFFER), Duration::from_millis(25));
        assert_eq!(pause_at(100_000, BUFFER), Duration::from_millis(25));
        let pause = pause_at(1_000_000, BUFFER);
        let octets = 320 * 1_000_000 * pause.as_millis() / 1000;
        assert!((3 << 20..=4 << 20).contains(&octets), "{pause:?}");
        assert_eq!(pause_at(20_000_000, BUFFER), Duration::ZERO);
        let small = pause_at(1000, 4 << 20);
        assert!((4..5).contains(&small.as_millis()), "{small:?}");
    }

    #[test]
    fn there_is_no_pause_while_frames_wait_or_after_none() {
        let mut pace = Pace::new(BUFFER);
        pace.add(round(4096), true, SECOND);
        assert_eq!(pace.pause(), Duration::ZERO);
        pace.add(round(0), false, 2 * SECOND);
        assert_eq!(pace.pause(), Duration::ZERO);
        // The clock was set back.
        pace.add(round(10), false, SECOND);
        assert_eq!(pace.pause(), Duration::ZERO);
    }
}
