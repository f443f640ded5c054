//! The queue of records from the metering threads to the exporting thread. Each metering thread has
//! a fixed number of batches, which circulate: filled ones over one bounded channel, emptied ones
//! back to their thread. So nothing is allocated once all have been used, and there is no lock per
//! record.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use flowproto::FlowRecord;

use crate::cache::RecordSink;

/// Records in a batch.
const BATCH_RECORDS: usize = 256;

/// A batch of records.
#[derive(Debug, Default)]
pub struct Batch {
    records: Vec<FlowRecord>,
    /// The metering thread whose batch it is.
    thread: usize,
}

impl Batch {
    /// The records.
    #[must_use]
    pub fn records(&self) -> &[FlowRecord] {
        &self.records
    }
}

/// Creates a queue of at most `records` records, in batches, for a number of metering threads. If
/// the share of a thread is full, its records wait for room if `wait` is set (savefile), and are
/// lost and counted otherwise (live).
#[must_use]
pub fn queue(records: usize, wait: bool, threads: usize) -> (Vec<RecordBatches>, FilledBatches) {
    // One batch is being filled and one being exported.
    let batches = records.div_ceil(BATCH_RECORDS * threads).max(1) + 2;
    let (filled, filled_receiver) = sync_channel(batches * threads);
    let mut queue = FilledBatches {
        filled: filled_receiver,
        emptied: Vec::with_capacity(threads),
    };
    let mut of_threads = Vec::with_capacity(threads);
    for thread in 0..threads {
        let (emptied, emptied_receiver) = sync_channel(batches);
        queue.emptied.push(emptied);
        let empty = |records| Batch { records, thread };
        of_threads.push(RecordBatches {
            filling: empty(Vec::with_capacity(BATCH_RECORDS)),
            empty: (1..batches).map(|_| empty(Vec::new())).collect(),
            filled: filled.clone(),
            emptied: emptied_receiver,
            wait,
            lost: 0,
            broken: false,
        });
    }
    (of_threads, queue)
}

/// The end of the queue in a metering thread.
#[derive(Debug)]
pub struct RecordBatches {
    filling: Batch,
    empty: Vec<Batch>,
    filled: SyncSender<Batch>,
    emptied: Receiver<Batch>,
    wait: bool,
    lost: u64,
    broken: bool,
}

impl RecordBatches {
    /// Records lost because the queue was full.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// True if the exporting thread has ended.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Lets records wait for room from now on, so that the last ones are not lost.
    pub const fn wait_for_room(&mut self) {
        self.wait = true;
    }

    /// Takes emptied batches back and sends a batch that is not full yet.
    pub fn cycle(&mut self) {
        self.take_back();
        if !self.filling.records.is_empty()
            && let Some(next) = self.empty.pop()
        {
            self.send(next);
        }
    }

    /// Sends what is left. The exporting thread ends after the last thread has done so. False if it
    /// has ended already.
    #[must_use]
    pub fn close(mut self) -> bool {
        if !self.filling.records.is_empty() {
            self.send(Batch::default());
        }
        !self.broken
    }

    fn send(&mut self, next: Batch) {
        let full = std::mem::replace(&mut self.filling, next);
        // The channel has room for every batch, so it fails only without a receiver.
        if self.filled.send(full).is_err() {
            self.broken = true;
        }
    }

    /// Takes emptied batches back.
    fn take_back(&mut self) {
        loop {
            match self.emptied.try_recv() {
                Ok(batch) => self.empty.push(batch),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.broken = true;
                    break;
                }
            }
        }
    }

    /// The batch that was emptied last: its memory is likely in the cache of the processor, and
    /// that of batches which are never needed is not allocated.
    fn next_empty(&mut self) -> Option<Batch> {
        self.take_back();
        if let Some(batch) = self.empty.pop() {
            return Some(batch);
        }
        if !self.wait {
            return None;
        }
        let next = self.emptied.recv().ok();
        self.broken |= next.is_none();
        next
    }
}

impl RecordSink for RecordBatches {
    fn room(&self) -> usize {
        if self.wait {
            usize::MAX
        } else {
            self.empty.len() * BATCH_RECORDS + (BATCH_RECORDS - self.filling.records.len())
        }
    }

    fn record(&mut self, record: &mut Option<FlowRecord>) {
        if self.filling.records.len() >= BATCH_RECORDS {
            match self.next_empty() {
                Some(next) => self.send(next),
                None => {
                    self.lost += 1;
                    return;
                }
            }
        }
        self.filling.records.extend(record.take());
    }
}

/// The end of the queue in the exporting thread.
#[derive(Debug)]
pub struct FilledBatches {
    filled: Receiver<Batch>,
    /// By metering thread.
    emptied: Vec<SyncSender<Batch>>,
}

impl FilledBatches {
    /// Waits for the next batch.
    ///
    /// # Errors
    /// There was none within `timeout`, or all metering threads have closed the queue.
    pub fn next(&self, timeout: Duration) -> Result<Batch, RecvTimeoutError> {
        self.filled.recv_timeout(timeout)
    }

    /// Returns a batch to be filled again.
    pub fn give_back(&self, mut batch: Batch) {
        batch.records.clear();
        if let Some(emptied) = self.emptied.get(batch.thread) {
            // The metering thread may have ended.
            emptied.try_send(batch).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue for one thread.
    fn single(records: usize, wait: bool) -> (RecordBatches, FilledBatches) {
        let (mut of_threads, batches) = queue(records, wait, 1);
        (of_threads.remove(0), batches)
    }

    #[test]
    fn a_full_queue_loses_and_counts_what_does_not_fit() {
        let (mut records, batches) = single(BATCH_RECORDS, false);
        let room = records.room();
        for _ in 0..room + 10 {
            records.record(&mut Some(FlowRecord::default()));
        }
        assert_eq!(records.lost(), 10);
        let batch = batches.next(Duration::ZERO).unwrap();
        assert_eq!(batch.records().len(), BATCH_RECORDS);
        batches.give_back(batch);
        records.record(&mut Some(FlowRecord::default()));
        assert_eq!(records.lost(), 10);
    }

    #[test]
    fn a_batch_that_is_not_full_is_sent_by_the_cycle() {
        let (mut records, batches) = single(1, false);
        records.record(&mut Some(FlowRecord::default()));
        records.cycle();
        assert_eq!(batches.next(Duration::ZERO).unwrap().records().len(), 1);
    }

    #[test]
    fn the_last_records_are_sent_even_if_no_batch_is_empty() {
        let (mut records, batches) = single(1, false);
        for _ in 0..records.room() {
            records.record(&mut Some(FlowRecord::default()));
        }
        assert!(records.close());
        let received = std::iter::from_fn(|| batches.next(Duration::ZERO).ok());
        assert_eq!(
            received.map(|batch| batch.records().len()).sum::<usize>(),
            3 * BATCH_RECORDS
        );
    }

    #[test]
    fn a_missing_receiver_is_noticed_not_waited_for() {
        let (mut records, batches) = single(1, true);
        drop(batches);
        for _ in 0..10 * BATCH_RECORDS {
            records.record(&mut Some(FlowRecord::default()));
        }
        assert!(records.is_broken());
    }

    #[test]
    fn the_batches_of_each_thread_return_to_it() {
        let (mut of_threads, batches) = queue(2 * BATCH_RECORDS, false, 2);
        for records in &mut of_threads {
            for _ in 0..records.room() {
                records.record(&mut Some(FlowRecord::default()));
            }
            assert_eq!((records.room(), records.lost()), (0, 0));
        }
        // Of three batches each, two were sent.
        for _ in 0..4 {
            let batch = batches.next(Duration::ZERO).unwrap();
            batches.give_back(batch);
        }
        for records in &mut of_threads {
            records.cycle();
            assert_eq!(records.room(), 2 * BATCH_RECORDS);
        }
        drop(of_threads);
        for _ in 0..2 {
            assert!(batches.next(Duration::ZERO).is_ok());
        }
        let ended = batches.next(Duration::ZERO).unwrap_err();
        assert_eq!(ended, RecvTimeoutError::Disconnected);
    }
}
