//! The forward thread: takes records from a bounded queue and gives them to all targets of
//! Messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use kipfix_export::counters::{TargetCounters, to_u64};
use kipfix_export::{Exporter, FLUSH_INTERVAL, finish_all, wall_clock_milliseconds};
use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;

use super::ForwardSettings;
use super::record::{ForwardedRecord, Records};
use crate::emit::OverflowPolicy;
use crate::emit::double_buffer::{Batch, ConsumerGuard, DoubleBuffer};

/// Records that a sink collects before it hands them over.
const STAGE_RECORDS: usize = 256;

/// A target with its counters.
pub(super) type OpenTarget = (Box<dyn Exporter<ForwardedRecord>>, TargetCounters);

/// The forward thread with its queue.
#[derive(Debug)]
pub(super) struct MessageForwarder {
    queue: MessageQueue,
    thread: JoinHandle<()>,
}

/// What the sinks and the thread share.
#[derive(Clone, Debug)]
pub(super) struct MessageQueue {
    records: Arc<DoubleBuffer<Records>>,
    counts: Arc<QueueCounts>,
    policy: OverflowPolicy,
}

/// Counts of the queue.
#[derive(Debug, Default)]
struct QueueCounts {
    full: AtomicU64,
    queued: AtomicU64,
}

/// The records of one pipeline on their way to the forward thread.
#[derive(Debug)]
pub(super) struct MessageSink {
    queue: MessageQueue,
    stage: Records,
}

impl MessageForwarder {
    /// Starts the thread.
    pub(super) fn start(
        targets: Vec<OpenTarget>,
        settings: ForwardSettings,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let queue = MessageQueue {
            records: Arc::new(DoubleBuffer::new(settings.queue_records)),
            counts: Arc::default(),
            policy: settings.policy,
        };
        let thread = std::thread::Builder::new().name("forward".into()).spawn({
            let (queue, stop) = (queue.clone(), stop.clone());
            move || run(&queue, targets, stop)
        });
        Ok(Self {
            queue,
            thread: thread.context("cannot start the forward thread")?,
        })
    }

    /// A sink for one pipeline.
    pub(super) fn sink(&self) -> MessageSink {
        MessageSink {
            queue: self.queue.clone(),
            stage: Records::default(),
        }
    }

    pub(super) const fn queue(&self) -> &MessageQueue {
        &self.queue
    }

    /// Sends what is queued and ends all sessions.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.queue.records.close();
        let died = |_| anyhow!("the forward thread died").into();
        self.thread.join().map_err(died)
    }
}

impl MessageQueue {
    /// Records that were dropped because it was full.
    pub(super) fn full(&self) -> u64 {
        self.counts.full.load(Ordering::Acquire)
    }

    /// Records in it.
    pub(super) fn queued(&self) -> u64 {
        self.counts.queued.load(Ordering::Acquire)
    }
}

fn run(queue: &MessageQueue, mut targets: Vec<OpenTarget>, stop: Stop) {
    let _guard = ConsumerGuard(&queue.records, stop);
    let mut records = Records::default();
    let mut flushed = crate::clock::monotonic();
    while queue.records.swap(&mut records, FLUSH_INTERVAL) {
        let now = wall_clock_milliseconds();
        let is_idle = records.is_empty();
        for (exporter, counters) in &mut targets {
            if is_idle {
                exporter.settle();
            } else {
                counters.records_received(records.len());
                exporter.export(&records.0, now);
            }
        }
        let count = to_u64(records.len());
        queue.counts.queued.fetch_sub(count, Ordering::AcqRel);
        records.0.clear();
        if is_idle || flushed.elapsed() >= FLUSH_INTERVAL {
            flushed = crate::clock::monotonic();
            for (exporter, _) in &mut targets {
                exporter.flush(now);
            }
        }
    }
    let exporters = targets.iter_mut().map(|(exporter, _)| exporter);
    finish_all(exporters, wall_clock_milliseconds());
}

impl MessageSink {
    /// Takes a record.
    pub(super) fn accept(&mut self, record: ForwardedRecord) {
        self.stage.0.push(record);
    }

    /// True if the records should be handed over.
    pub(super) const fn is_full(&self) -> bool {
        self.stage.0.len() >= STAGE_RECORDS
    }

    /// Hands the records over.
    pub(super) fn flush(&mut self) {
        let staged = self.stage.len();
        if staged == 0 {
            return;
        }
        let MessageQueue {
            records,
            counts,
            policy,
        } = &self.queue;
        records.push(&self.stage, *policy, |added| {
            counts.queued.fetch_add(to_u64(added), Ordering::AcqRel);
            let dropped = to_u64(staged.saturating_sub(added));
            counts.full.fetch_add(dropped, Ordering::AcqRel);
        });
        self.stage.0.clear();
    }
}
