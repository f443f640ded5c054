//! The current time.

/// A reading of the wall clock and of a monotonic clock at the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockReading {
    /// Wall clock, milliseconds since the epoch. Assignments and records are matched by it.
    pub wall_milliseconds: u64,
    /// Monotonic clock, milliseconds since the start.
    pub monotonic_milliseconds: u64,
}

impl ClockReading {
    /// Returns whether both clocks have reached `other`.
    pub(super) const fn has_reached(self, other: Self) -> bool {
        self.wall_milliseconds >= other.wall_milliseconds
            && self.monotonic_milliseconds >= other.monotonic_milliseconds
    }

    /// Returns the reading after `milliseconds`.
    pub(super) const fn after(self, milliseconds: u64) -> Self {
        Self {
            wall_milliseconds: self.wall_milliseconds.saturating_add(milliseconds),
            monotonic_milliseconds: self.monotonic_milliseconds.saturating_add(milliseconds),
        }
    }
}
