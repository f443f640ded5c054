//! Packet time as a clock that never goes back and that one wrong timestamp does not move.
//!
//! Packets of several interfaces come a little out of order, a wall clock may be set, and a savefile may
//! hold nonsense: timeouts have to work all the same. So the clock has a scale of its own, which begins
//! with the first packet; only differences of it mean anything.

/// The scale's beginning. Not 0, which stands for "never" in the flow cache.
const BEGINNING_NS: u64 = 1_000_000_000;
/// A packet so much older than the clock is not late: no ring between the kernel and us holds packets for
/// that long.
const LATE_NS: u64 = 10_000_000_000;
/// Packets out of time are believed when they went on for so long …
const BELIEVED_AFTER_NS: i64 = 10_000_000_000;
/// … or when they were so many in a row. Packets that fit between them show that the clock is right.
const BELIEVED_PACKETS: u32 = 1000;

/// How far the packets have come in time: nanoseconds, `BEGINNING_NS` at the first one.
#[derive(Clone, Copy, Debug)]
pub struct PacketClock {
    now_ns: u64,
    /// What is added to a packet's time, modulo 2^64, to have it on the clock's scale.
    offset_ns: u64,
    /// How late and how far ahead together a packet may be; 0 before the first one.
    window_ns: u64,
    longest_gap_ns: u64,
    /// On the clock's scale, modulo 2^64: the first of the packets out of time that came in a row.
    stranger_ns: u64,
    strangers: u32,
}

impl PacketClock {
    /// A clock that has seen no packet. `longest_gap_ns`: packets further apart than this tell that their
    /// clock was set, not that time passed.
    #[must_use]
    pub const fn new(longest_gap_ns: u64) -> Self {
        Self {
            now_ns: BEGINNING_NS,
            offset_ns: 0,
            window_ns: 0,
            longest_gap_ns,
            stranger_ns: 0,
            strangers: 0,
        }
    }

    /// Takes note of a packet's time, nanoseconds since the epoch; gives the clock's time.
    #[inline]
    pub const fn advance(&mut self, time_ns: u64) -> u64 {
        let time_ns = time_ns.wrapping_add(self.offset_ns);
        let ahead_ns = time_ns.wrapping_sub(self.now_ns);
        if ahead_ns.wrapping_add(LATE_NS) >= self.window_ns {
            self.meet(time_ns);
        } else {
            if ahead_ns.cast_signed() > 0 {
                self.now_ns = self.now_ns.saturating_add(ahead_ns);
            }
            self.strangers = 0;
        }
        self.now_ns
    }

    /// Takes note of a packet that is out of time, which the first one is too.
    #[cold]
    const fn meet(&mut self, time_ns: u64) {
        if self.window_ns == 0 {
            self.offset_ns = self.now_ns.wrapping_sub(time_ns);
            // More than half of 64 bits (292 years) ahead cannot be told from behind.
            let half = u64::MAX / 2;
            let gap_ns = if self.longest_gap_ns > half {
                half
            } else {
                self.longest_gap_ns
            };
            self.window_ns = gap_ns.saturating_add(LATE_NS + 1);
            return;
        }
        let since_ns = time_ns.wrapping_sub(self.stranger_ns).cast_signed();
        if self.strangers == 0 || since_ns < -LATE_NS.cast_signed() {
            self.stranger_ns = time_ns;
            self.strangers = 1;
            return;
        }
        self.strangers += 1;
        if since_ns >= BELIEVED_AFTER_NS || self.strangers >= BELIEVED_PACKETS {
            // The packets' clock was set: time goes on from where it was, plus what has passed since.
            let passed_ns = if since_ns > 0 { since_ns } else { 0 };
            self.now_ns = self.now_ns.saturating_add(passed_ns.cast_unsigned());
            let step_ns = self.now_ns.wrapping_sub(time_ns);
            self.offset_ns = self.offset_ns.wrapping_add(step_ns);
            self.strangers = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;
    const YEAR_2026: u64 = 1_767_225_600 * SECOND;

    /// How far the clock has come with each of these times.
    fn run(times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut clock = PacketClock::new(24 * HOUR);
        let passed = |time| clock.advance(time) - BEGINNING_NS;
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
    fn packets_without_a_time_and_from_the_far_future_do_not_move_it() {
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
    fn after_a_step_back_time_soon_goes_on_from_where_it_was() {
        let t = YEAR_2026;
        let back = (0..=20).map(|n| t - HOUR + n * SECOND);
        let passed = run([t - 5, t].into_iter().chain(back));
        assert_eq!(passed.last(), Some(&(5 + 20 * SECOND)));
        assert!(passed.is_sorted());
    }

    #[test]
    fn a_wrong_first_time_is_soon_forgotten() {
        let t = YEAR_2026;
        for first in [0, 1, 3 * t, u64::MAX] {
            let passed = run([first].into_iter().chain((0..=20).map(|n| t + n * SECOND)));
            assert_eq!(passed.last(), Some(&(20 * SECOND)), "{first}");
        }
    }

    #[test]
    fn packets_days_apart_let_time_pass_all_the_same() {
        let t = YEAR_2026;
        let passed = run((0..10).map(|n| t + n * 48 * HOUR));
        assert!(*passed.last().unwrap() >= 4 * 48 * HOUR);
    }

    #[test]
    fn no_sequence_of_times_is_too_strange() {
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
}
