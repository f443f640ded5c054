//! Packet time as a clock that never goes back.

/// A packet so much older than the clock is not late but tells that the capture's clock was set back.
/// No ring between the kernel and us holds packets for that long.
const STEP_NS: u64 = 10_000_000_000;

/// The time of the latest packet, nanoseconds. Packets of several interfaces come a little out of order, a
/// wall clock may be set, and a savefile may hold nonsense: timeouts have to work all the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketClock {
    now_ns: u64,
    /// What is added to packet times since the capture's clock was set back.
    ahead_ns: u64,
}

impl PacketClock {
    /// Takes note of a packet's time, nanoseconds since the epoch; gives the clock's time.
    #[inline]
    pub const fn advance(&mut self, time_ns: u64) -> u64 {
        let time_ns = time_ns.saturating_add(self.ahead_ns);
        if time_ns > self.now_ns {
            self.now_ns = time_ns;
        } else if self.now_ns - time_ns > STEP_NS {
            self.ahead_ns = self.ahead_ns.saturating_add(self.now_ns - time_ns);
        }
        self.now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn late_packets_do_not_turn_the_clock_back() {
        let mut clock = PacketClock::default();
        assert_eq!(clock.advance(100 * SECOND), 100 * SECOND);
        assert_eq!(clock.advance(99 * SECOND), 100 * SECOND);
    }

    #[test]
    fn after_a_step_back_time_goes_on_from_where_it_was() {
        let mut clock = PacketClock::default();
        clock.advance(1000 * SECOND);
        assert_eq!(clock.advance(10 * SECOND), 1000 * SECOND);
        assert_eq!(clock.advance(12 * SECOND), 1002 * SECOND);
    }
}
