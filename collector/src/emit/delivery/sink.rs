//! The two ends of a target's queue: each pipeline encodes its records, the thread of the target
//! delivers them.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use kipfix_export::FLUSH_INTERVAL;
use kipfix_export::counters::{LossReason, TargetCounters, TargetFamilies};
use kipfix_export::shutdown::ShutdownDeadline;
use kipfix_service::signals::Stop;

use super::progress::Obstacle;
use super::{Chunk, Client, Progress};
use crate::emit::OverflowPolicy;
use crate::emit::double_buffer::{Batch, ConsumerGuard, DoubleBuffer};
use crate::emit::enriched::{Encoder, EnrichedRecord, RecordFormat};

/// Octets that a sink collects before it hands them over.
const STAGE_OCTETS: usize = 256 << 10;

/// How records are delivered.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// The target, for log messages and metrics.
    pub target: String,
    /// How records are encoded.
    pub format: RecordFormat,
    /// Maximum octets of the queue.
    pub queue_octets: usize,
    /// Records are delivered when there are this many octets …
    pub batch_octets: usize,
    /// … or after this time.
    pub interval: Duration,
    /// What happens when the queue is full.
    pub policy: OverflowPolicy,
}

/// A target with its queue and its thread.
#[derive(Debug)]
pub struct Delivery {
    inlet: Inlet,
    target: String,
    deadline: ShutdownDeadline,
    thread: JoinHandle<()>,
}

/// The end of the queue that encoded records are put in.
#[derive(Clone, Debug)]
struct Inlet {
    queue: Arc<DoubleBuffer<Chunk>>,
    format: RecordFormat,
    policy: OverflowPolicy,
    obstacle: Obstacle,
    counters: TargetCounters,
}

/// The records of one pipeline on their way to the thread of a target.
#[derive(Debug)]
pub struct DeliverySink {
    inlet: Inlet,
    encoder: Encoder,
    stage: Chunk,
}

impl Delivery {
    /// Starts the thread that delivers through `client`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        settings: DeliverySettings,
        client: impl Client,
        families: &TargetFamilies,
        stop: &Stop,
    ) -> std::io::Result<Self> {
        let counters = families.target(&settings.target);
        let (deadline, obstacle) = (ShutdownDeadline::default(), Obstacle::default());
        let progress = Progress::new(
            settings.target.clone(),
            counters.clone(),
            deadline.clone(),
            obstacle.clone(),
            settings.policy == OverflowPolicy::Block,
        );
        let inlet = Inlet {
            // Of the two buffers one is filled while the other is delivered.
            queue: Arc::new(DoubleBuffer::new(settings.queue_octets / 2)),
            format: settings.format,
            policy: settings.policy,
            obstacle,
            counters,
        };
        let thread = std::thread::Builder::new().name("deliver".into()).spawn({
            let (queue, stop) = (Arc::clone(&inlet.queue), stop.clone());
            let (octets, interval) = (settings.batch_octets, settings.interval);
            move || {
                let guard = ConsumerGuard(&queue, stop);
                run(guard.0, client, progress, octets, interval);
            }
        })?;
        Ok(Self {
            inlet,
            target: settings.target,
            deadline,
            thread,
        })
    }

    /// The counters of its target.
    pub(in crate::emit) const fn counters(&self) -> &TargetCounters {
        &self.inlet.counters
    }

    /// A sink for one pipeline.
    #[must_use]
    pub fn sink(&self) -> DeliverySink {
        DeliverySink {
            encoder: Encoder::new(self.inlet.format),
            inlet: self.inlet.clone(),
            stage: Chunk::default(),
        }
    }

    /// Delivers what is queued. Every [`DeliverySink`] must be flushed before.
    pub fn finish(self) {
        self.inlet.queue.close();
        if self.inlet.policy == OverflowPolicy::Drop {
            self.deadline.begin();
        }
        if self.thread.join().is_err() {
            tracing::error!(target = %self.target, "forward: the thread of a target died");
        }
    }
}

fn run(
    queue: &DoubleBuffer<Chunk>,
    mut client: impl Client,
    mut progress: Progress,
    batch_octets: usize,
    interval: Duration,
) {
    let mut chunk = Chunk::default();
    loop {
        queue.wait_for(batch_octets, interval);
        if !queue.swap(&mut chunk, FLUSH_INTERVAL) {
            return;
        }
        if !chunk.is_empty() {
            progress.begin(chunk.len());
            client.deliver(&chunk, &mut progress);
            progress.end();
            chunk.clear();
        }
    }
}

impl DeliverySink {
    /// Takes a record.
    pub fn accept(&mut self, record: &EnrichedRecord<'_>) {
        self.encoder.encode(record, &mut self.stage.octets);
        self.stage.end_record(record.flow_hash());
    }

    /// True if the records should be handed over.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.stage.size() >= STAGE_OCTETS
    }

    /// Hands the records over.
    pub fn flush(&mut self) {
        if !self.stage.is_empty() {
            self.inlet.push(&self.stage);
            self.stage.clear();
        }
    }
}

impl Inlet {
    fn push(&self, records: &Chunk) {
        let count = records.len();
        self.counters.records_received(count);
        let mut lost = 0;
        self.queue.push(records, self.policy, |added| {
            self.counters
                .waiting(i64::try_from(added).unwrap_or(i64::MAX));
            lost = count.saturating_sub(added);
        });
        if lost > 0 {
            // Records are lost because the queue is full. The cause of that is more specific.
            let reason = self.obstacle.cause().unwrap_or(LossReason::QueueFull);
            let lost = u64::try_from(lost).unwrap_or(u64::MAX);
            self.counters.records_lost(reason, lost);
        }
    }
}
