//! A queue between pipelines and one consumer thread: two buffers that grow up to a bound.
//! Producers fill one while the consumer empties the other, so a producer takes one lock for
//! everything that it has collected, and the consumer only to exchange the buffers.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kipfix_service::signals::Stop;
use kipfix_service::sync::lock;

use super::OverflowPolicy;

/// The content of a buffer: a number of items.
pub(super) trait Batch: Default {
    /// Number of items.
    fn len(&self) -> usize;
    /// What they take of the bound.
    fn size(&self) -> usize;
    /// Appends items from the front of `more` as long as the size stays within `bound`. Returns
    /// their number.
    fn append(&mut self, more: &Self, bound: usize) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A bounded queue that several threads fill and one empties.
#[derive(Debug)]
pub(super) struct DoubleBuffer<T> {
    filling: Mutex<Filling<T>>,
    /// Something was added, or the queue was closed.
    not_empty: Condvar,
    /// The buffers were exchanged.
    emptied: Condvar,
    bound: usize,
}

#[derive(Debug)]
struct Filling<T> {
    batch: T,
    is_closed: bool,
    /// The size that the consumer waits for; [`BUSY`] if it does not wait. A notification is a
    /// system call.
    awaited_size: usize,
}

/// No size is awaited.
const BUSY: usize = usize::MAX;

impl<T: Batch> DoubleBuffer<T> {
    /// Creates an empty queue whose buffers are bounded by `bound` each.
    pub(super) fn new(bound: usize) -> Self {
        Self {
            filling: Mutex::new(Filling {
                batch: T::default(),
                is_closed: false,
                awaited_size: BUSY,
            }),
            not_empty: Condvar::new(),
            emptied: Condvar::new(),
            bound,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Filling<T>> {
        lock(&self.filling)
    }

    /// Adds what there is room for, or all of it after a wait. `on_added` gets the number of items
    /// added before the consumer can see them; the last ones of `more` are those without room.
    pub(super) fn push(&self, more: &T, policy: OverflowPolicy, on_added: impl FnOnce(usize)) {
        let mut filling = self.lock();
        while policy == OverflowPolicy::Block
            && !filling.is_closed
            && !filling.batch.is_empty()
            && filling.batch.size().saturating_add(more.size()) > self.bound
        {
            filling = self
                .emptied
                .wait(filling)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let bound = match policy {
            OverflowPolicy::Block => usize::MAX,
            OverflowPolicy::Drop => self.bound,
        };
        if filling.is_closed {
            on_added(0);
        } else {
            on_added(filling.batch.append(more, bound));
        }
        let is_awaited = filling.batch.size() >= filling.awaited_size;
        drop(filling);
        if is_awaited {
            self.not_empty.notify_one();
        }
    }

    /// Waits until the batch has `size`, the queue is closed, or `timeout` is over.
    pub(super) fn wait_for(&self, size: usize, timeout: Duration) {
        // A full queue may have room for less than one more record.
        drop(self.await_size(self.lock(), size.min(self.bound / 2), timeout));
    }

    fn await_size<'a>(
        &self,
        mut filling: MutexGuard<'a, Filling<T>>,
        size: usize,
        timeout: Duration,
    ) -> MutexGuard<'a, Filling<T>> {
        let is_short = |filling: &mut Filling<T>| !filling.is_closed && filling.batch.size() < size;
        if is_short(&mut filling) {
            filling.awaited_size = size;
            (filling, _) = self
                .not_empty
                .wait_timeout_while(filling, timeout, is_short)
                .unwrap_or_else(PoisonError::into_inner);
            filling.awaited_size = BUSY;
        }
        filling
    }

    /// Exchanges what was added for an empty batch, after a wait of at most `timeout` for the first
    /// item. False if the queue is closed and empty.
    pub(super) fn swap(&self, empty: &mut T, timeout: Duration) -> bool {
        let mut filling = self.await_size(self.lock(), 1, timeout);
        std::mem::swap(&mut filling.batch, empty);
        let is_open = !empty.is_empty() || !filling.is_closed;
        drop(filling);
        self.emptied.notify_all();
        is_open
    }

    /// Closes the queue: nothing more is added.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.not_empty.notify_one();
        self.emptied.notify_all();
    }
}

/// Held by the consumer thread. When that ends, for whatever reason, producers no longer wait for
/// it, and the process is asked to stop.
pub(super) struct ConsumerGuard<'a, T: Batch>(pub(super) &'a DoubleBuffer<T>, pub(super) Stop);

impl<T: Batch> Drop for ConsumerGuard<'_, T> {
    fn drop(&mut self) {
        self.0.close();
        self.1.set();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    impl Batch for Vec<u8> {
        fn len(&self) -> usize {
            self.len()
        }

        fn size(&self) -> usize {
            self.len()
        }

        fn append(&mut self, more: &Self, bound: usize) -> usize {
            let room = bound.saturating_sub(self.len()).min(more.len());
            self.extend(&more[..room]);
            room
        }
    }

    #[test]
    fn items_that_do_not_fit_are_dropped_from_the_end() {
        let queue = DoubleBuffer::new(6);
        let mut added = Vec::new();
        for _ in 0..2 {
            queue.push(&vec![0, 1, 2, 3], OverflowPolicy::Drop, |items| {
                added.push(items)
            });
        }
        assert_eq!(added, [4, 2]);
        let mut batch = Vec::new();
        assert!(queue.swap(&mut batch, Duration::ZERO));
        assert_eq!(batch, [0, 1, 2, 3, 0, 1]);
        queue.close();
        assert!(!queue.swap(&mut Vec::new(), Duration::from_secs(60)));
    }

    #[test]
    fn a_producer_does_not_wait_for_a_consumer_that_has_ended() {
        let queue = DoubleBuffer::new(3);
        queue.push(&vec![1, 2, 3], OverflowPolicy::Block, |_| ());
        let stop = Stop::new().unwrap();
        drop(ConsumerGuard(&queue, stop.clone()));
        assert!(stop.is_set());
        let mut added = None;
        queue.push(&vec![4], OverflowPolicy::Block, |items| added = Some(items));
        assert_eq!(added, Some(0));
    }

    #[test]
    fn a_consumer_wakes_up_when_the_size_that_it_waits_for_is_reached() {
        const LONG: Duration = Duration::from_secs(600);
        let queue = Arc::new(DoubleBuffer::new(100));
        let consumer = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let mut batch = Vec::new();
                queue.wait_for(8, LONG);
                queue.swap(&mut batch, LONG);
                let first = batch.len();
                batch.clear();
                queue.swap(&mut batch, LONG);
                (first, batch.len())
            }
        });
        let is_waiting = |size| {
            while queue.lock().awaited_size != size {
                std::thread::yield_now();
            }
        };
        is_waiting(8);
        for _ in 0..3 {
            queue.push(&vec![1, 2, 3], OverflowPolicy::Drop, |_| ());
        }
        is_waiting(1);
        queue.push(&vec![1], OverflowPolicy::Drop, |_| ());
        assert_eq!(consumer.join().unwrap(), (9, 1));
    }

    #[test]
    fn a_producer_that_waits_loses_nothing() {
        let queue = Arc::new(DoubleBuffer::new(5));
        let consumer = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || {
                let (mut batch, mut sum) = (Vec::new(), 0);
                while queue.swap(&mut batch, Duration::from_secs(1)) {
                    sum += batch.len();
                    batch.clear();
                }
                sum
            }
        });
        for _ in 0..100 {
            queue.push(&vec![1, 2, 3], OverflowPolicy::Block, |_| ());
        }
        queue.close();
        assert_eq!(consumer.join().unwrap(), 300);
    }
}
