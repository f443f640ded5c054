//! A target that can block, in a thread of its own after a bounded queue, so that it delays neither
//! the other targets nor the metering. If the queue is full, records are lost and counted when
//! live, and wait for room when they come from a savefile.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use kipfix_service::signals::Stop;
use kipfix_service::sync::lock;

use crate::clock::{monotonic, wall_clock_milliseconds};
use crate::counters::{LossReason, TargetCounters, to_u64};
use crate::exporter::{Exporter, FLUSH_INTERVAL};
use crate::shutdown::ShutdownDeadline;

/// Records that the thread takes at once.
const BATCH_RECORDS: usize = 128;
/// Interval at which a blocked caller checks for the stop.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Interval at which a caller checks whether the thread has ended.
const END_CHECK_INTERVAL: Duration = Duration::from_millis(10);

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
    /// The caller adds no more records.
    closed: bool,
    /// The thread has ended.
    abandoned: bool,
}

impl<R> Queue<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        lock(&self.state)
    }
}

/// The caller's end of the queue.
#[derive(Debug)]
pub struct QueuedExporter<R> {
    queue: Arc<Queue<R>>,
    deadline: ShutdownDeadline,
    thread: Option<JoinHandle<()>>,
    counters: TargetCounters,
    policy: OverflowPolicy,
}

/// What happens to records that do not fit into the queue.
#[derive(Clone, Debug)]
pub enum OverflowPolicy {
    /// They are lost and counted.
    Drop,
    /// They wait for room until the process stops.
    Block(Stop),
}

impl OverflowPolicy {
    fn blocks(&self) -> bool {
        matches!(self, Self::Block(stop) if !stop.is_set())
    }
}

impl<R: Clone + Send + 'static> QueuedExporter<R> {
    /// Starts the thread, with a queue of at most `capacity` records.
    ///
    /// # Errors
    /// The thread cannot be created.
    pub fn start(
        exporter: impl Exporter<R> + 'static,
        deadline: ShutdownDeadline,
        capacity: usize,
        policy: OverflowPolicy,
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
        let consumer = Arc::clone(&queue);
        let (consumer_counters, consumer_deadline) = (counters.clone(), deadline.clone());
        let thread = std::thread::Builder::new()
            .name("target".to_owned())
            .spawn(move || {
                let _abandon = Abandon(&consumer);
                run(exporter, &consumer, &consumer_deadline, &consumer_counters);
            })?;
        Ok(Self {
            queue,
            deadline,
            thread: Some(thread),
            counters,
            policy,
        })
    }
}

/// Marks the queue as abandoned when the thread ends, so that no caller waits for it.
struct Abandon<'a, R>(&'a Queue<R>);

impl<R> Drop for Abandon<'_, R> {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.emptied.notify_all();
    }
}

/// Exports records until the queue is closed and empty, or the deadline is over.
fn run<R: Clone>(
    mut exporter: impl Exporter<R>,
    queue: &Queue<R>,
    deadline: &ShutdownDeadline,
    counters: &TargetCounters,
) {
    let mut batch = Vec::with_capacity(BATCH_RECORDS);
    let mut flushed = monotonic();
    loop {
        let mut state = queue.lock();
        if state.records.is_empty() && !state.closed {
            let waited = queue.filled.wait_timeout(state, FLUSH_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_over = state.closed && deadline.is_over();
        let count = if is_over {
            0
        } else {
            state.records.len().min(BATCH_RECORDS)
        };
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

impl<R: Clone + Send + std::fmt::Debug + 'static> Exporter<R> for QueuedExporter<R> {
    fn export(&mut self, mut records: &[R], _now_milliseconds: u64) {
        while !records.is_empty() {
            let mut state = self.queue.lock();
            while state.records.len() >= self.queue.capacity
                && !state.abandoned
                && self.policy.blocks()
            {
                let waited = self.queue.emptied.wait_timeout(state, STOP_CHECK_INTERVAL);
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
            if abandoned || !self.policy.blocks() {
                let reason = if abandoned {
                    LossReason::Failed
                } else {
                    LossReason::QueueFull
                };
                self.counters.records_lost(reason, to_u64(rest.len()));
                return;
            }
            records = rest;
        }
    }

    /// Does nothing: the thread flushes on its own.
    fn flush(&mut self, _now_milliseconds: u64) {}

    fn finish(&mut self, _now_milliseconds: u64) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_one();
        // Records of a savefile have no deadline unless the process stops.
        while self.policy.blocks() && self.thread.as_ref().is_some_and(|t| !t.is_finished()) {
            std::thread::sleep(END_CHECK_INTERVAL);
        }
        self.deadline.begin();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of an export target died");
        }
        let left: Vec<R> = self.queue.lock().records.drain(..).collect();
        self.counters.waiting(-signed(left.len()));
        self.counters
            .records_lost(LossReason::Failed, to_u64(left.len()));
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, sync_channel};

    /// Takes a batch for each permit.
    #[derive(Debug)]
    struct Slow(Receiver<()>, TargetCounters);

    impl Exporter<u32> for Slow {
        fn export(&mut self, records: &[u32], _: u64) {
            self.0.recv().ok();
            let weight = flowproto::exporter::Weight {
                records: to_u64(records.len()),
                ..Default::default()
            };
            self.1.message_sent(weight, 0);
        }
        fn flush(&mut self, _: u64) {}
        fn finish(&mut self, _: u64) {}
    }

    #[test]
    fn a_blocked_target_delays_no_caller_and_its_losses_are_counted() {
        let counters = TargetCounters::for_tests();
        let (permit, permits) = sync_channel(1000);
        let slow = Slow(permits, counters.clone());
        let mut queued = QueuedExporter::start(
            slow,
            ShutdownDeadline::default(),
            1000,
            OverflowPolicy::Drop,
            counters.clone(),
        )
        .unwrap();
        for _ in 0..50 {
            queued.export(&[7; 100], 0);
        }
        drop(permit);
        queued.finish(0);
        let lost = counters.lost_for(LossReason::QueueFull);
        assert_eq!(counters.sent() + lost, 5000);
        // The queue is full, and the thread has taken at most one batch.
        assert!((3872..=4000).contains(&lost), "{lost}");
    }

    #[test]
    fn records_of_a_savefile_wait_for_a_full_queue() {
        let counters = TargetCounters::for_tests();
        let (permit, permits) = sync_channel(1000);
        let slow = Slow(permits, counters.clone());
        let policy = OverflowPolicy::Block(Stop::new().unwrap());
        let deadline = ShutdownDeadline::default();
        let mut queued =
            QueuedExporter::start(slow, deadline, 10, policy, counters.clone()).unwrap();
        let permitting = std::thread::spawn(move || {
            for _ in 0..1000 {
                permit.send(()).ok();
            }
        });
        for _ in 0..50 {
            queued.export(&[7; 100], 0);
        }
        permitting.join().unwrap();
        queued.finish(0);
        assert_eq!((counters.sent(), counters.total_lost()), (5000, 0));
    }
}
