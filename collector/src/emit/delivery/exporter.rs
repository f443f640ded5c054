//! The two ends of a target's queue: the forward thread encodes records, the thread of the target delivers them.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use kipfix_export::counters::{LossReason, TargetCounters};
use kipfix_export::shutdown::ShutdownDeadline;
use kipfix_export::{Exporter, FLUSH_INTERVAL};
use kipfix_service::signals::Stop;

use super::progress::Obstacle;
use super::{Chunk, Client, Progress};
use crate::emit::OverflowPolicy;
use crate::emit::double_buffer::{Batch, ConsumerGuard, DoubleBuffer};
use crate::emit::enriched::{Encoder, EnrichedRecord, RecordFormat};
use crate::emit::record::ForwardedRecord;
use crate::snapshots::{SnapshotStore, Snapshots};

/// Octets that the forward thread collects before it hands them over.
const STAGE_OCTETS: usize = 256 << 10;

/// How records are delivered.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// The target, for log messages.
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

/// The end of the queue that records are put in.
#[derive(Debug)]
struct DeliveryExporter {
    settings: DeliverySettings,
    store: Arc<SnapshotStore>,
    snapshots: Snapshots,
    encoder: Encoder,
    stage: Chunk,
    queue: Arc<DoubleBuffer<Chunk>>,
    obstacle: Obstacle,
    counters: TargetCounters,
    deadline: ShutdownDeadline,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread that delivers through `client`.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    settings: DeliverySettings,
    client: impl Client,
    store: &Arc<SnapshotStore>,
    counters: TargetCounters,
    stop: &Stop,
) -> std::io::Result<Box<dyn Exporter<ForwardedRecord>>> {
    // Of the two buffers one is filled while the other is delivered.
    let queue = Arc::new(DoubleBuffer::new(settings.queue_octets / 2));
    let (deadline, obstacle) = (ShutdownDeadline::default(), Obstacle::default());
    let progress = Progress::new(
        settings.target.clone(),
        counters.clone(),
        deadline.clone(),
        obstacle.clone(),
        settings.policy == OverflowPolicy::Block,
    );
    let thread = std::thread::Builder::new().name("deliver".into()).spawn({
        let (queue, stop) = (Arc::clone(&queue), stop.clone());
        let (octets, interval) = (settings.batch_octets, settings.interval);
        move || {
            let guard = ConsumerGuard(&queue, stop);
            run(guard.0, client, progress, octets, interval);
        }
    })?;
    Ok(Box::new(DeliveryExporter {
        snapshots: store.load(),
        encoder: Encoder::new(settings.format),
        store: Arc::clone(store),
        stage: Chunk::default(),
        thread: Some(thread),
        settings,
        queue,
        obstacle,
        counters,
        deadline,
    }))
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

impl DeliveryExporter {
    fn hand_over(&mut self) {
        if self.stage.is_empty() {
            return;
        }
        let staged = self.stage.len();
        let mut lost = 0;
        self.queue.push(&self.stage, self.settings.policy, |added| {
            self.counters
                .waiting(i64::try_from(added).unwrap_or(i64::MAX));
            lost = staged.saturating_sub(added);
        });
        if lost > 0 {
            // Records are lost because the queue is full. The cause of that is more specific.
            let reason = self.obstacle.cause().unwrap_or(LossReason::QueueFull);
            let lost = u64::try_from(lost).unwrap_or(u64::MAX);
            self.counters.records_lost(reason, lost);
        }
        self.stage.clear();
    }
}

impl Exporter<ForwardedRecord> for DeliveryExporter {
    fn export(&mut self, records: &[ForwardedRecord], now_milliseconds: u64) {
        if self.store.refresh(&mut self.snapshots) {
            self.encoder.forget_endpoints();
        }
        for record in records {
            let enriched = EnrichedRecord::new(record, &self.snapshots, now_milliseconds);
            self.encoder.encode(&enriched, &mut self.stage.octets);
            let hash = kipfix_export::spread::hash_of_flow(&record.record.key);
            self.stage.end_record(hash);
            if self.stage.size() >= STAGE_OCTETS {
                self.hand_over();
            }
        }
    }

    fn flush(&mut self, _now_milliseconds: u64) {
        self.hand_over();
    }

    fn settle(&mut self) {
        self.hand_over();
    }

    fn finish(&mut self, _now_milliseconds: u64) {
        self.hand_over();
        self.queue.close();
        if self.settings.policy == OverflowPolicy::Drop {
            self.deadline.begin();
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(target = %self.settings.target, "forward: the thread of a target died");
        }
    }
}
