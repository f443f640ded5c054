//! A target that can block, in a thread of its own behind a bounded queue, so that it keeps neither the other
//! targets nor the metering waiting. Live, what the queue has no room for is lost and counted; offline it
//! waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kipfix_service::signals::Stop;

use crate::counters::{Loss, TargetCounters, wide};
use crate::{END_WITHIN, Exporter, FLUSH_INTERVAL, monotonic, wall_clock_milliseconds};

/// Records that the thread takes at once.
const BATCH_RECORDS: usize = 128;
/// How soon who waits notices that it is to stop.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Tells a target's thread that it is to end, and until when it may try to get its records out.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<(Mutex<Option<Instant>>, Condvar)>);

impl Ending {
    /// From now on there are [`END_WITHIN`] left.
    pub fn begin(&self) {
        let (deadline, changed) = &*self.0;
        let mut deadline = deadline.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.get_or_insert_with(|| monotonic() + END_WITHIN);
        changed.notify_all();
    }

    /// What is left of the time, where it is limited.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let deadline = *self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        deadline.map(|deadline| deadline.saturating_duration_since(monotonic()))
    }

    /// No time is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Sleeps, for shorter if the end begins meanwhile.
    pub fn sleep(&self, duration: Duration) {
        let (deadline, changed) = &*self.0;
        let guard = deadline.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(deadline) = *guard {
            drop(guard);
            let left = deadline.saturating_duration_since(monotonic());
            std::thread::sleep(duration.min(left));
        } else {
            drop(changed.wait_timeout(guard, duration));
        }
    }
}

#[derive(Debug)]
struct Queue<R> {
    state: Mutex<State<R>>,
    filled: Condvar,
    emptied: Condvar,
    capacity: usize,
}

#[derive(Debug)]
struct State<R> {
    records: VecDeque<R>,
    /// No more will come.
    closed: bool,
    /// The thread is gone.
    abandoned: bool,
}

impl<R> Queue<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue that records are put in.
#[derive(Debug)]
pub struct Queued<R> {
    queue: Arc<Queue<R>>,
    ending: Ending,
    thread: Option<JoinHandle<()>>,
    counters: TargetCounters,
    patience: Patience,
}

/// What becomes of records that the queue has no room for.
#[derive(Clone, Debug)]
pub enum Patience {
    /// They are lost and counted.
    Lose,
    /// They wait, until the process is asked to stop.
    WaitUntil(Stop),
}

impl Patience {
    fn waits(&self) -> bool {
        matches!(self, Self::WaitUntil(stop) if !stop.is_set())
    }
}

impl<R: Clone + Send + 'static> Queued<R> {
    /// Starts the thread. `capacity`: records in the queue at the most.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start(
        exporter: impl Exporter<R> + 'static,
        ending: Ending,
        capacity: usize,
        patience: Patience,
        counters: TargetCounters,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                records: VecDeque::new(),
                closed: false,
                abandoned: false,
            }),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            capacity: capacity.max(1),
        });
        let taken = Arc::clone(&queue);
        let counted = counters.clone();
        let thread = std::thread::Builder::new()
            .name("target".to_owned())
            .spawn(move || {
                let _abandon = Abandon(&taken);
                run(exporter, &taken, &counted);
            })?;
        Ok(Self {
            queue,
            ending,
            thread: Some(thread),
            counters,
            patience,
        })
    }
}

/// Sees to it that nobody waits for a thread that is gone.
struct Abandon<'a, R>(&'a Queue<R>);

impl<R> Drop for Abandon<'_, R> {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.emptied.notify_all();
    }
}

fn run<R: Clone>(mut exporter: impl Exporter<R>, queue: &Queue<R>, counters: &TargetCounters) {
    let mut batch = Vec::with_capacity(BATCH_RECORDS);
    let mut flushed = monotonic();
    loop {
        let mut state = queue.lock();
        if state.records.is_empty() && !state.closed {
            let waited = queue.filled.wait_timeout(state, FLUSH_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = state.records.len().min(BATCH_RECORDS);
        batch.extend(state.records.drain(..count));
        let done = state.closed && batch.is_empty();
        drop(state);
        let now = wall_clock_milliseconds();
        if done {
            exporter.finish(now);
            return;
        }
        let quiet = batch.is_empty();
        if !quiet {
            queue.emptied.notify_one();
            exporter.export(&batch, now);
            counters.waiting(-signed(batch.len()));
            batch.clear();
        }
        if quiet || monotonic() - flushed >= FLUSH_INTERVAL {
            if quiet {
                exporter.settle();
            }
            exporter.flush(now);
            flushed = monotonic();
        }
    }
}

impl<R: Clone + Send + std::fmt::Debug + 'static> Exporter<R> for Queued<R> {
    fn export(&mut self, mut records: &[R], _now_milliseconds: u64) {
        while !records.is_empty() {
            let mut state = self.queue.lock();
            while state.records.len() >= self.queue.capacity
                && !state.abandoned
                && self.patience.waits()
            {
                let waited = self.queue.emptied.wait_timeout(state, LOOK_UP);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let room = if state.abandoned {
                0
            } else {
                self.queue.capacity.saturating_sub(state.records.len())
            };
            let (taken, rest) = records.split_at(room.min(records.len()));
            state.records.extend(taken.iter().cloned());
            let abandoned = state.abandoned;
            drop(state);
            self.counters.waiting(signed(taken.len()));
            self.queue.filled.notify_one();
            if abandoned || !self.patience.waits() {
                let reason = if abandoned {
                    Loss::Failed
                } else {
                    Loss::QueueFull
                };
                self.counters.records_lost(reason, wide(rest.len()));
                return;
            }
            records = rest;
        }
    }

    /// The thread flushes by itself.
    fn flush(&mut self, _now_milliseconds: u64) {}

    fn finish(&mut self, _now_milliseconds: u64) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_one();
        // Offline nothing hurries.
        while self.patience.waits() && self.thread.as_ref().is_some_and(|t| !t.is_finished()) {
            std::thread::sleep(LOOK_UP / 10);
        }
        self.ending.begin();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of an export target died");
        }
        let left: Vec<R> = self.queue.lock().records.drain(..).collect();
        self.counters.waiting(-signed(left.len()));
        self.counters.records_lost(Loss::Failed, wide(left.len()));
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, sync_channel};

    /// Takes a batch only when it is let.
    #[derive(Debug)]
    struct Slow(Receiver<()>, TargetCounters);

    impl Exporter<u32> for Slow {
        fn export(&mut self, records: &[u32], _: u64) {
            self.0.recv().ok();
            let weight = flowproto::exporter::Weight {
                records: wide(records.len()),
                ..Default::default()
            };
            self.1.message_sent(weight, 0);
        }
        fn flush(&mut self, _: u64) {}
        fn finish(&mut self, _: u64) {}
    }

    #[test]
    fn a_target_that_stands_still_keeps_nobody_waiting_and_what_it_misses_is_counted() {
        let counters = TargetCounters::for_tests();
        let (let_go, stand) = sync_channel(1000);
        let slow = Slow(stand, counters.clone());
        let mut queued = Queued::start(
            slow,
            Ending::default(),
            1000,
            Patience::Lose,
            counters.clone(),
        )
        .unwrap();
        for _ in 0..50 {
            queued.export(&[7; 100], 0);
        }
        drop(let_go);
        queued.finish(0);
        let lost = counters.lost_for(Loss::QueueFull);
        assert_eq!(counters.sent() + lost, 5000);
        // The queue, and at the most one batch that the thread has taken.
        assert!((3872..=4000).contains(&lost), "{lost}");
    }

    #[test]
    fn offline_a_full_queue_is_waited_for() {
        let counters = TargetCounters::for_tests();
        let (let_go, stand) = sync_channel(1000);
        let slow = Slow(stand, counters.clone());
        let patience = Patience::WaitUntil(Stop::new().unwrap());
        let mut queued =
            Queued::start(slow, Ending::default(), 10, patience, counters.clone()).unwrap();
        let helper = std::thread::spawn(move || {
            for _ in 0..1000 {
                let_go.send(()).ok();
            }
        });
        for _ in 0..50 {
            queued.export(&[7; 100], 0);
        }
        helper.join().unwrap();
        queued.finish(0);
        assert_eq!((counters.sent(), counters.total_lost()), (5000, 0));
    }
}
