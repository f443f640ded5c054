//! Packet time as a clock that never goes back and that a single wrong timestamp does not move.
//!
//! Packets of several interfaces arrive slightly out of order, a wall clock may be set, and a
//! savefile may have any timestamps. Timeouts must work all the same. So the clock has a scale of
//! its own that starts with the first packet. Only its differences are meaningful.

/// Maximum age of a late packet. Kernel buffers hold packets for less.
const MAX_LATENESS_NS: u64 = 10_000_000_000;
/// Start of the scale. Packets that are late after the first one are before it, but not at 0, which
/// means "never" in the flow cache.
const START_NS: u64 = 2 * MAX_LATENESS_NS;
/// Outliers in a row are accepted as the new time after this long, if there are at least
/// `MIN_OUTLIERS`, …
const ACCEPT_AFTER_NS: i64 = 10_000_000_000;
/// … or after this many packets. A packet in time between them confirms the clock.
const ACCEPT_AFTER_PACKETS: u32 = 1000;
/// Two packets in a row may both have a wrong time.
const MIN_OUTLIERS: u32 = 3;

/// The time of a packet on the scale of the clock, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketTime {
    /// The time of the clock, which never goes back.
    pub now_ns: u64,
    /// The time of the packet itself, up to 10 s earlier. For an outlier, the time of the clock.
    pub packet_ns: u64,
}

/// The time of the latest packet: nanoseconds since the first one + `START_NS`.
#[derive(Clone, Copy, Debug)]
pub struct PacketClock {
    now_ns: u64,
    /// Difference between the scale and the time of packets, modulo 2^64.
    offset_ns: u64,
    /// Sum of the maximum lateness and the longest gap; 0 before the first packet.
    window_ns: u64,
    longest_gap_ns: u64,
    /// Time of the first outlier in a row, on the clock's scale, modulo 2^64.
    first_outlier_ns: u64,
    /// The clock has advanced by the time between the first outlier and this one.
    counted_outlier_ns: u64,
    outliers: u32,
}

impl PacketClock {
    /// Creates a clock without a packet. A gap between packets that is longer than `longest_gap_ns`
    /// means that their clock was set, not that time passed.
    #[must_use]
    pub const fn new(longest_gap_ns: u64) -> Self {
        Self {
            now_ns: START_NS,
            offset_ns: 0,
            window_ns: 0,
            longest_gap_ns,
            first_outlier_ns: 0,
            counted_outlier_ns: 0,
            outliers: 0,
        }
    }

    /// Advances to the time of a packet, nanoseconds since the epoch.
    #[inline]
    pub const fn advance(&mut self, time_ns: u64) -> PacketTime {
        let time_ns = time_ns.wrapping_add(self.offset_ns);
        let ahead_ns = time_ns.wrapping_sub(self.now_ns);
        let mut packet_ns = time_ns;
        if ahead_ns.wrapping_add(MAX_LATENESS_NS) >= self.window_ns {
            self.on_outlier(time_ns);
            // Its own time would stretch a record.
            packet_ns = self.now_ns;
        } else {
            if ahead_ns.cast_signed() > 0 {
                self.now_ns = self.now_ns.saturating_add(ahead_ns);
            }
            self.outliers = 0;
        }
        PacketTime {
            now_ns: self.now_ns,
            packet_ns,
        }
    }

    /// Time since the start of the clock, nanoseconds.
    #[inline]
    #[must_use]
    pub const fn elapsed_ns(&self) -> u64 {
        self.now_ns.saturating_sub(START_NS)
    }

    /// A time since the epoch on the clock's scale, by the present offset.
    #[must_use]
    pub const fn scale_ns(&self, time_ns: u64) -> u64 {
        time_ns.wrapping_add(self.offset_ns)
    }

    /// A time on the clock's scale as milliseconds since the epoch, by the present offset: after
    /// the clock of the packets was set, earlier times are reported as the new clock would have had
    /// them.
    #[must_use]
    pub const fn epoch_milliseconds(&self, scale_ns: u64) -> u64 {
        let epoch_ns = scale_ns.wrapping_sub(self.offset_ns);
        // Before the epoch.
        if epoch_ns.cast_signed() < 0 {
            0
        } else {
            epoch_ns / 1_000_000
        }
    }

    /// Handles a packet outside the window, such as the first one.
    #[cold]
    const fn on_outlier(&mut self, time_ns: u64) {
        if self.window_ns == 0 {
            self.offset_ns = self.now_ns.wrapping_sub(time_ns);
            // More than half of 64 bits (292 years) ahead cannot be distinguished from behind.
            let half = u64::MAX / 2;
            let gap_ns = if self.longest_gap_ns > half {
                half
            } else {
                self.longest_gap_ns
            };
            self.window_ns = gap_ns.saturating_add(MAX_LATENESS_NS + 1);
            return;
        }
        let since_ns = time_ns.wrapping_sub(self.first_outlier_ns).cast_signed();
        if self.outliers == 0 || since_ns < -MAX_LATENESS_NS.cast_signed() {
            self.first_outlier_ns = time_ns;
            self.counted_outlier_ns = time_ns;
            self.outliers = 1;
            return;
        }
        self.outliers += 1;
        let passed_ns = time_ns.wrapping_sub(self.counted_outlier_ns).cast_signed();
        let is_ahead = time_ns.wrapping_sub(self.now_ns).cast_signed() > 0;
        let is_long = since_ns >= ACCEPT_AFTER_NS && self.outliers >= MIN_OUTLIERS;
        let is_accepted = is_long || self.outliers >= ACCEPT_AFTER_PACKETS;
        // Between packets after a gap, time passes before the gap is accepted. Those with an earlier time
        // are left out: the clocks of two interfaces may take turns.
        let is_next = is_ahead && passed_ns < MAX_LATENESS_NS.cast_signed();
        if passed_ns > 0 && (is_accepted || is_next) {
            self.now_ns = self.now_ns.saturating_add(passed_ns.cast_unsigned());
            self.counted_outlier_ns = time_ns;
        }
        if is_accepted {
            // The clock of the packets was set. Time continues.
            let step_ns = self.now_ns.wrapping_sub(time_ns);
            self.offset_ns = self.offset_ns.wrapping_add(step_ns);
            self.outliers = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;
    const YEAR_2026: u64 = 1_767_225_600 * SECOND;

    /// The time of the clock after each packet, since its start.
    fn run(times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut clock = PacketClock::new(24 * HOUR);
        let passed = |time| clock.advance(time).now_ns - START_NS;
        times.into_iter().map(passed).collect()
    }

    #[test]
    fn late_packets_do_not_turn_the_clock_back() {
        let t = YEAR_2026;
        assert_eq!(run([t, t + 9, t + 3, t + 10]), [0, 9, 9, 10]);
    }

    #[test]
    fn a_gap_is_time_that_passed() {
        let t = YEAR_2026;
        assert_eq!(run([t, t + 23 * HOUR]), [0, 23 * HOUR]);
    }

    #[test]
    fn packets_without_a_time_or_from_the_far_future_do_not_move_it() {
        let t = YEAR_2026;
        let wrong = [0, u64::MAX, 0, 2 * t, u64::MAX / 2, 0];
        let times = (0..100).flat_map(|n| [t + n, wrong[usize::try_from(n).unwrap() % 6]]);
        let expected: Vec<u64> = (0..100).flat_map(|n| [n, n]).collect();
        assert_eq!(run(times), expected);
    }

    #[test]
    fn two_clocks_in_one_capture_are_one_time() {
        let t = YEAR_2026;
        let times = (0..100).flat_map(|n| [t + n * SECOND, t - 60 * SECOND + n * SECOND]);
        assert_eq!(run(times).last(), Some(&(99 * SECOND)));
    }

    #[test]
    fn after_a_step_back_time_soon_continues() {
        let t = YEAR_2026;
        let back = (0..=20).map(|n| t - HOUR + n * SECOND);
        let passed = run([t - 5, t].into_iter().chain(back));
        assert_eq!(passed.last(), Some(&(5 + 20 * SECOND)));
        assert!(passed.is_sorted());
    }

    #[test]
    fn a_wrong_first_time_is_soon_corrected() {
        let t = YEAR_2026;
        for first in [0, 1, 3 * t, u64::MAX] {
            let passed = run([first].into_iter().chain((0..=20).map(|n| t + n * SECOND)));
            assert_eq!(passed.last(), Some(&(20 * SECOND)), "{first}");
        }
    }

    #[test]
    fn time_passes_between_packets_that_are_days_apart() {
        let t = YEAR_2026;
        let passed = run((0..10).map(|n| t + n * 48 * HOUR));
        assert!(*passed.last().unwrap() >= 4 * 48 * HOUR);
    }

    #[test]
    fn time_passes_between_the_first_packets_after_a_gap_of_days() {
        let t = YEAR_2026;
        let after = (0..5).map(|n| t + 48 * HOUR + n * SECOND);
        let passed = run([t, t + 1].into_iter().chain(after));
        assert_eq!(
            passed,
            [
                0,
                1,
                1,
                SECOND + 1,
                2 * SECOND + 1,
                3 * SECOND + 1,
                4 * SECOND + 1
            ]
        );
        // Until the gap is accepted, and from then on.
        let after = (0..50).map(|n| t + 48 * HOUR + n * SECOND);
        let passed = run([t, t + 1].into_iter().chain(after));
        assert_eq!(passed.last(), Some(&(49 * SECOND + 1)));
    }

    #[test]
    fn the_clock_never_goes_back_whatever_the_times() {
        let mut time = 1_u64;
        let times = (0..100_000).map(|n| {
            // xorshift: any 64 bits.
            time ^= time << 13;
            time ^= time >> 7;
            time ^= time << 17;
            if n % 3 == 0 { u64::MAX } else { time }
        });
        assert!(run(times).is_sorted());
    }

    #[test]
    fn an_outlier_has_the_time_of_the_clock_and_a_late_packet_its_own() {
        let mut clock = PacketClock::new(24 * HOUR);
        let t = YEAR_2026;
        let mut reported = |time| {
            let time = clock.advance(time);
            clock.epoch_milliseconds(time.packet_ns)
        };
        assert_eq!(reported(t), t / 1_000_000);
        assert_eq!(reported(t + 5 * SECOND), t / 1_000_000 + 5000);
        assert_eq!(reported(t + 2 * SECOND), t / 1_000_000 + 2000);
        for wrong in [
            [0, t - 2160 * HOUR],
            [t + 8760 * HOUR, u64::MAX],
            [0, t + 8760 * HOUR],
        ] {
            let now = t / 1_000_000 + 5000;
            assert_eq!(wrong.map(&mut reported), [now, now], "{wrong:?}");
            assert_eq!(reported(t + 5 * SECOND), now);
        }
    }

    #[test]
    fn after_the_clock_was_set_earlier_times_are_reported_by_the_new_clock() {
        let mut clock = PacketClock::new(24 * HOUR);
        let (old, new) = (YEAR_2026 - 8760 * HOUR, YEAR_2026);
        let first = clock.advance(old).packet_ns;
        clock.advance(old + 3 * SECOND);
        for second in 0..=10 {
            clock.advance(new + (second + 4) * SECOND);
        }
        let last = clock.advance(new + 20 * SECOND).packet_ns;
        assert_eq!(clock.epoch_milliseconds(last), new / 1_000_000 + 20_000);
        // 3 s on the old clock, 10 s until the new one is accepted, 6 s more.
        let lasted = clock.epoch_milliseconds(last) - clock.epoch_milliseconds(first);
        assert_eq!(lasted, 19_000);
    }
}
