//! The clocks in Message headers: restarts of exporters.

use crate::wire::MessageHeader;

/// `sysUpTime` of a late Message is lower by at most this time, milliseconds.
const MAX_LATENESS: u32 = 10_000;
/// `sysUpTime` differs from the time since the Message before by at most this time, milliseconds:
/// clocks are set, and a capture may have other times.
const MAX_CLOCK_ERROR: u64 = 3_600_000;
/// The export time has seconds, milliseconds.
const EXPORT_TIME_PRECISION: u64 = 2000;

/// The clocks of a Message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageClock {
    /// `sysUpTime`, milliseconds; 0 if the header has none.
    pub(super) up_time: u32,
    pub(super) export_milliseconds: u64,
    pub(super) received_milliseconds: u64,
}

impl MessageClock {
    pub(super) const fn new(header: &MessageHeader, now_milliseconds: u64) -> Self {
        Self {
            up_time: header.sys_up_time,
            export_milliseconds: header.export_time_milliseconds,
            received_milliseconds: now_milliseconds,
        }
    }

    /// Whether `sysUpTime` of a later Message is lower because the exporter has started in between.
    /// If the export time is lower by the same, the Message is late. If the exporter was up already
    /// when it sent this Message, its cards have different clocks.
    pub(super) fn is_above(&self, later: &Self) -> bool {
        let Some(back) = self.up_time.checked_sub(later.up_time) else {
            return false;
        };
        let possible = self.elapsed(later).saturating_add(MAX_CLOCK_ERROR);
        let until_overflow = u32::MAX.saturating_sub(self.up_time);
        let exported_before = self
            .export_milliseconds
            .saturating_sub(later.export_milliseconds);
        later.up_time != 0
            && u64::from(later.up_time) <= possible
            && u64::from(until_overflow) > possible
            && back > MAX_LATENESS
            && u64::from(back).abs_diff(exported_before) > MAX_LATENESS.into()
    }

    /// Time between two Messages, by the clock that shows more.
    fn elapsed(&self, later: &Self) -> u64 {
        let exported = later
            .export_milliseconds
            .saturating_sub(self.export_milliseconds);
        let received = later
            .received_milliseconds
            .saturating_sub(self.received_milliseconds);
        exported.max(received)
    }

    /// Whether it was exported before `latest` by both clocks, as far as there are two.
    pub(super) const fn is_exported_before(&self, latest: &Self) -> bool {
        self.export_milliseconds < latest.export_milliseconds && self.up_time <= latest.up_time
    }

    /// Whether no clock shows that it was exported after `latest`.
    pub(super) const fn is_not_after(&self, latest: &Self) -> bool {
        self.export_milliseconds <= latest.export_milliseconds && self.up_time <= latest.up_time
    }

    /// Whether by the clocks of a later Message the exporter has started after this one, although
    /// its `sysUpTime` is higher by then.
    fn is_before_boot_of(&self, later: &Self) -> bool {
        let boot = later
            .export_milliseconds
            .saturating_sub(later.up_time.into());
        let last = self
            .export_milliseconds
            .saturating_add(EXPORT_TIME_PRECISION);
        later.up_time != 0 && boot > last && self.up_time_lag(later) > MAX_LATENESS.into()
    }

    /// By how much `sysUpTime` has advanced less than the time of reception, milliseconds.
    fn up_time_lag(&self, later: &Self) -> u64 {
        let advanced = later.up_time.wrapping_sub(self.up_time);
        let elapsed = later
            .received_milliseconds
            .saturating_sub(self.received_milliseconds);
        elapsed.saturating_sub(advanced.into())
    }
}

/// The clocks of an exporter, as kept over a restart of the collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClockState {
    pub(super) latest: Option<MessageClock>,
    /// How far `sysUpTime` is trusted.
    pub(super) credit: u8,
}

impl ClockState {
    /// The same with the time of reception changed.
    pub(super) fn map_time(self, change: &impl Fn(u64) -> u64) -> Self {
        let latest = self.latest.map(|latest| MessageClock {
            received_milliseconds: change(latest.received_milliseconds),
            ..latest
        });
        Self { latest, ..self }
    }
}

impl From<MessageClock> for ClockState {
    fn from(clock: MessageClock) -> Self {
        Self {
            latest: Some(clock),
            credit: 0,
        }
    }
}

/// Detects restarts of an exporter by the clocks of its Messages.
#[derive(Clone, Debug, Default)]
pub(super) struct RestartDetector {
    latest: Option<MessageClock>,
    /// Messages between which `sysUpTime` advanced as the time of reception did.
    credit: u8,
    /// Restarts in quick succession: `sysUpTime` means something else.
    falls: u8,
    fell_milliseconds: u64,
}

impl RestartDetector {
    /// `sysUpTime` must have been right this often for a boot time to be trusted.
    const CREDIT: u8 = 2;
    /// Restarts within a minute after which `sysUpTime` is not trusted.
    const MAX_FALLS: u8 = 3;

    pub(super) const fn latest(&self) -> Option<MessageClock> {
        self.latest
    }

    /// What is kept over a restart of the collector.
    pub(super) const fn state(&self) -> ClockState {
        ClockState {
            latest: self.latest,
            credit: self.credit,
        }
    }

    pub(super) fn restore(&mut self, state: ClockState) {
        self.latest = state.latest;
        self.credit = state.credit.min(Self::CREDIT);
    }

    /// Takes back the clocks of a late Message. `latest`: those before it.
    pub(super) const fn set_back(&mut self, latest: MessageClock) {
        self.latest = Some(latest);
    }

    /// Takes the clocks of a Message. True if the exporter has restarted.
    pub(super) fn on_message(&mut self, clock: MessageClock) -> bool {
        let Some(latest) = self.latest.replace(clock) else {
            return false;
        };
        let elapsed = clock
            .received_milliseconds
            .saturating_sub(latest.received_milliseconds);
        let lag = latest.up_time_lag(&clock);
        let has_fallen = latest.is_above(&clock);
        let is_restart =
            has_fallen || self.credit >= Self::CREDIT && latest.is_before_boot_of(&clock);
        if !is_restart {
            if elapsed >= 1000 && clock.up_time > latest.up_time {
                let is_right = lag <= 1000_u64.max(elapsed / 8);
                self.credit = if is_right {
                    self.credit.saturating_add(1).min(Self::CREDIT)
                } else {
                    0
                };
            }
            // A late Message must not set the clock back.
            if clock.up_time < latest.up_time
                && latest.up_time.wrapping_sub(clock.up_time) < 1 << 31
            {
                self.latest = Some(latest);
            }
            return false;
        }
        let since = clock
            .received_milliseconds
            .saturating_sub(self.fell_milliseconds);
        self.falls = if since > 60_000 {
            1
        } else {
            self.falls.saturating_add(1)
        };
        self.fell_milliseconds = clock.received_milliseconds;
        self.falls <= Self::MAX_FALLS
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "test code"
    )]

    use super::*;

    const BOOT: u64 = 1_700_000_000_000;

    /// A Message at this time after the boot of an exporter.
    const fn at(up_time: u32, milliseconds: u64) -> MessageClock {
        MessageClock {
            up_time,
            export_milliseconds: (BOOT + milliseconds) / 1000 * 1000,
            received_milliseconds: BOOT + milliseconds,
        }
    }

    fn restarts(clocks: &[MessageClock]) -> Vec<bool> {
        let mut detector = RestartDetector::default();
        clocks.iter().map(|c| detector.on_message(*c)).collect()
    }

    #[test]
    fn an_uptime_that_decreases_is_a_restart_unless_the_message_is_late() {
        let clocks = [
            at(900_000, 900_000),
            at(899_990, 900_020),
            at(901_000, 901_000),
            at(5000, 930_000),
            at(6000, 931_000),
        ];
        assert_eq!(restarts(&clocks), [false, false, false, true, false]);
    }

    #[test]
    fn a_message_that_is_late_by_all_its_clocks_is_not_a_restart() {
        let late = MessageClock {
            export_milliseconds: BOOT + 881_000,
            ..at(881_000, 900_001)
        };
        assert_eq!(restarts(&[at(900_000, 900_000), late]), [false, false]);
    }

    #[test]
    fn the_counter_of_milliseconds_wraps() {
        let clocks = [at(u32::MAX - 10, 1000), at(100, 1110)];
        assert_eq!(restarts(&clocks), [false, false]);
    }

    #[test]
    fn a_boot_after_the_last_message_is_a_restart() {
        // Up for 5 s; restarted at 20 s; up for 80 s.
        let clocks = [
            at(3000, 3000),
            at(4000, 4000),
            at(5000, 5000),
            at(80_000, 100_000),
        ];
        assert_eq!(restarts(&clocks), [false, false, false, true]);
    }

    #[test]
    fn an_uptime_that_is_constant_or_has_another_unit_is_not_a_restart() {
        let still: Vec<_> = (0..9).map(|n| at(3_600_000, n * 60_000)).collect();
        assert!(!restarts(&still).contains(&true));
        let seconds: Vec<_> = (0..9)
            .map(|n| at(5000 + n as u32 * 60, n * 60_000))
            .collect();
        assert!(!restarts(&seconds).contains(&true));
    }

    #[test]
    fn a_restart_with_a_clock_that_was_not_set_is_one() {
        let unset = MessageClock {
            export_milliseconds: 730_944_000_000,
            ..at(5000, 950_000)
        };
        assert_eq!(restarts(&[at(900_000, 900_000), unset]), [false, true]);
    }

    #[test]
    fn an_exporter_that_was_up_for_weeks_restarts() {
        let weeks = 40 * 86_400_000;
        assert_eq!(restarts(&[at(weeks, 0), at(5000, 60_000)]), [false, true]);
        // The counter overflows instead.
        let day_before = u32::MAX - 86_400_000;
        let clocks = [at(day_before, 0), at(5000, 86_405_000)];
        assert_eq!(restarts(&clocks), [false, false]);
    }

    #[test]
    fn an_up_time_of_weeks_after_a_higher_one_does_not_show_a_restart() {
        let weeks = 30 * 86_400_000;
        let clocks = [
            at(weeks + 113_000, 0),
            at(weeks + 5000, 16_000),
            at(weeks + 130_000, 17_000),
            at(weeks + 22_000, 33_000),
        ];
        assert_eq!(restarts(&clocks), [false; 4]);
        // Another card, then both start again.
        let clocks = [
            at(weeks, 0),
            at(weeks - 60_000, 1000),
            at(4000, 90_000),
            at(5000, 91_000),
        ];
        assert_eq!(restarts(&clocks), [false, false, true, false]);
    }

    #[test]
    fn an_up_time_that_falls_again_and_again_is_not_trusted() {
        let clocks: Vec<_> = (0..20)
            .map(|n| at(if n % 2 == 0 { 900_000 } else { 20_000 }, n * 1000))
            .collect();
        let restarts = restarts(&clocks).iter().filter(|restart| **restart).count();
        assert_eq!(restarts, 3);
    }
}
