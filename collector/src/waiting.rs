//! Records that wait: for the inventory to say who an address is, or for the verdict of [`crate::dedup`].

use std::collections::VecDeque;

/// What waits, the oldest first, within a bound.
#[derive(Debug)]
pub struct Waiting<T> {
    queue: VecDeque<(u64, T)>,
    bound: usize,
}

impl<T> Waiting<T> {
    /// Room for `bound` of them.
    #[must_use]
    pub const fn new(bound: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            bound,
        }
    }

    /// One more waits from now on. Where there is no room, the oldest comes back: it must be settled at
    /// once.
    #[must_use]
    pub fn hold(&mut self, one: T, now_milliseconds: u64) -> Option<T> {
        if self.bound == 0 {
            return Some(one);
        }
        let oldest = if self.queue.len() >= self.bound {
            self.take()
        } else {
            None
        };
        self.queue.push_back((now_milliseconds, one));
        oldest
    }

    /// The oldest, if it has waited for `wait_milliseconds`.
    #[must_use]
    pub fn due(&mut self, now_milliseconds: u64, wait_milliseconds: u64) -> Option<T> {
        let (since, _) = self.queue.front()?;
        if now_milliseconds.saturating_sub(*since) < wait_milliseconds {
            return None;
        }
        self.take()
    }

    /// The oldest, however short it has waited.
    #[must_use]
    pub fn take(&mut self) -> Option<T> {
        self.queue.pop_front().map(|(_, one)| one)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// True where none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_leaves_when_it_is_due_or_its_room_is_needed() {
        let mut waiting = Waiting::new(2);
        assert_eq!(waiting.hold('a', 100), None);
        assert_eq!(waiting.hold('b', 105), None);
        assert_eq!(waiting.due(109, 10), None);
        assert_eq!(waiting.due(110, 10), Some('a'));
        assert_eq!(waiting.hold('c', 106), None);
        assert_eq!(waiting.hold('d', 107), Some('b'));
        assert_eq!(waiting.len(), 2);
        assert_eq!(Waiting::new(0).hold('e', 1), Some('e'));
    }
}
