//! A hand-over between workers and one thread: two buffers that grow up to a bound, one being filled, one being
//! emptied. A worker takes one lock for all that it has gathered, and the thread only to swap them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kipfix_service::signals::Stop;

use super::Patience;

/// What is handed over: many at once.
pub(super) trait Load: Default {
    /// How many.
    fn len(&self) -> usize;
    /// What they take of the bound.
    fn size(&self) -> usize;
    /// Takes as many from the front of `more` as there is room for until `bound`; how many.
    fn take_from(&mut self, more: &Self, bound: usize) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A bounded place that workers put into and one thread empties.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    filling: Mutex<Filling<T>>,
    /// Something came, or nothing more will.
    came: Condvar,
    /// There is room again.
    emptied: Condvar,
    bound: usize,
}

#[derive(Debug, Default)]
struct Filling<T> {
    load: T,
    is_closed: bool,
}

impl<T: Load> Mailbox<T> {
    /// An empty one with room for `bound`.
    pub(super) fn new(bound: usize) -> Self {
        Self {
            filling: Mutex::default(),
            came: Condvar::new(),
            emptied: Condvar::new(),
            bound,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Filling<T>> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what there is room for, or all after a wait, and tells `taken` how many before anybody can
    /// take them out; the last ones are those for which there was no room.
    pub(super) fn put(&self, more: &T, patience: Patience, taken: impl FnOnce(usize)) {
        let mut filling = self.lock();
        while patience == Patience::Wait
            && !filling.is_closed
            && !filling.load.is_empty()
            && filling.load.size().saturating_add(more.size()) > self.bound
        {
            filling = self
                .emptied
                .wait(filling)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let bound = match patience {
            Patience::Wait => usize::MAX,
            Patience::Drop => self.bound,
        };
        if filling.is_closed {
            taken(0);
        } else {
            taken(filling.load.take_from(more, bound));
        }
        drop(filling);
        self.came.notify_one();
    }

    /// Swaps what came against an empty load, waiting for it for `patience`. False where nothing more will
    /// come.
    pub(super) fn take(&self, emptied: &mut T, patience: Duration) -> bool {
        let mut filling = self.lock();
        if filling.load.is_empty() && !filling.is_closed {
            (filling, _) = self
                .came
                .wait_timeout(filling, patience)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut filling.load, emptied);
        let more = !emptied.is_empty() || !filling.is_closed;
        drop(filling);
        self.emptied.notify_all();
        more
    }

    /// Nothing more is taken in.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_one();
        self.emptied.notify_all();
    }
}

/// Held by the thread that empties a mailbox. When that ends, however it ends, nobody waits for it any more, and
/// the process is asked to stop: a dead stage ends it.
pub(super) struct Emptier<'a, T: Load>(pub(super) &'a Mailbox<T>, pub(super) Stop);

impl<T: Load> Drop for Emptier<'_, T> {
    fn drop(&mut self) {
        self.0.close();
        self.1.set();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    impl Load for Vec<u8> {
        fn len(&self) -> usize {
            self.len()
        }

        fn size(&self) -> usize {
            self.len()
        }

        fn take_from(&mut self, more: &Self, bound: usize) -> usize {
            let room = bound.saturating_sub(self.len()).min(more.len());
            self.extend(&more[..room]);
            room
        }
    }

    #[test]
    fn what_does_not_fit_is_lost_from_the_end() {
        let mailbox = Mailbox::new(6);
        let mut counted = Vec::new();
        for _ in 0..2 {
            mailbox.put(&vec![0, 1, 2, 3], Patience::Drop, |taken| {
                counted.push(taken)
            });
        }
        assert_eq!(counted, [4, 2]);
        let mut taken = Vec::new();
        assert!(mailbox.take(&mut taken, Duration::ZERO));
        assert_eq!(taken, [0, 1, 2, 3, 0, 1]);
        mailbox.close();
        assert!(!mailbox.take(&mut Vec::new(), Duration::from_secs(60)));
    }

    #[test]
    fn nobody_waits_for_a_thread_that_is_gone() {
        let mailbox = Mailbox::new(3);
        mailbox.put(&vec![1, 2, 3], Patience::Wait, |_| ());
        let stop = Stop::new().unwrap();
        drop(Emptier(&mailbox, stop.clone()));
        assert!(stop.is_set());
        let mut counted = None;
        mailbox.put(&vec![4], Patience::Wait, |taken| counted = Some(taken));
        assert_eq!(counted, Some(0));
    }

    #[test]
    fn who_has_patience_loses_nothing() {
        let mailbox = Arc::new(Mailbox::new(5));
        let other = std::thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || {
                let (mut taken, mut sum) = (Vec::new(), 0);
                while mailbox.take(&mut taken, Duration::from_secs(1)) {
                    sum += taken.len();
                    taken.clear();
                }
                sum
            }
        });
        for _ in 0..100 {
            mailbox.put(&vec![1, 2, 3], Patience::Wait, |_| ());
        }
        mailbox.close();
        assert_eq!(other.join().unwrap(), 300);
    }
}
