//! Ids that are reused after a delay.

use std::collections::VecDeque;

use crate::inventory::clock_reading::ClockReading;

/// Assigns ids below a limit. A released id is reused when its delay is over.
#[derive(Debug)]
pub(super) struct IdPool {
    next: u32,
    bound: u32,
    /// Released ids and when they can be reused, in the order of release.
    released: VecDeque<(ClockReading, u32)>,
}

impl IdPool {
    /// Creates a pool of the ids below `bound`.
    pub(super) const fn new(bound: u32) -> Self {
        Self {
            next: 0,
            bound,
            released: VecDeque::new(),
        }
    }

    /// Takes an id, or returns `None` if all are in use.
    pub(super) fn take(&mut self, now: ClockReading) -> Option<u32> {
        match self.released.front() {
            Some((reuse, _)) if now.has_reached(*reuse) => {
                self.released.pop_front().map(|(_, id)| id)
            }
            _ if self.next < self.bound => {
                self.next += 1;
                Some(self.next - 1)
            }
            _ => None,
        }
    }

    /// Releases an id. It is not reused before `reuse`, on either clock: pending records expire by
    /// the monotonic clock, and assignments by the wall clock.
    pub(super) fn release(&mut self, id: u32, reuse: ClockReading) {
        self.released.push_back((reuse, id));
    }

    /// Returns the lowest id that has never been taken.
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    /// Returns the number of ids in use.
    pub(super) fn in_use(&self) -> usize {
        usize::try_from(self.next)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.released.len())
    }
}
