//! What becomes of the records of a chunk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flowproto::exporter::Weight;
use kipfix_export::counters::{ConnectionFailure, LossReason, TargetCounters, to_u64};
use kipfix_export::shutdown::ShutdownDeadline;

use crate::clock::monotonic;

/// Records from a savefile wait this long for an engine that does not accept them.
const OFFLINE_TIMEOUT: Duration = Duration::from_secs(10);
/// First pause after a failure; it is doubled up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The reasons that the engine does not accept records, as an index of 1 and above; 0 if it accepts
/// them.
const CAUSES: [LossReason; 5] = [
    LossReason::Unreachable,
    LossReason::NotFound,
    LossReason::Unauthorized,
    LossReason::Rejected,
    LossReason::Failed,
];

/// Why an engine does not accept records, for those that the queue has no room for.
#[derive(Clone, Debug, Default)]
pub(super) struct Obstacle(Arc<AtomicUsize>);

impl Obstacle {
    fn set(&self, cause: Option<LossReason>) {
        let at = cause.and_then(|cause| CAUSES.iter().position(|known| *known == cause));
        let index = at.map_or(0, |at| at.saturating_add(1));
        self.0.store(index, Ordering::Release);
    }

    /// The reason, if there is one.
    pub(super) fn cause(&self) -> Option<LossReason> {
        let index = self.0.load(Ordering::Acquire);
        index.checked_sub(1).and_then(|at| CAUSES.get(at)).copied()
    }
}

/// Reports the outcome of records, and paces attempts after failures.
#[derive(Debug)]
pub struct Progress {
    target: String,
    counters: TargetCounters,
    deadline: ShutdownDeadline,
    obstacle: Obstacle,
    is_offline: bool,
    /// Records of the chunk without an outcome.
    pending: usize,
    failing_since: Option<Instant>,
    pause: Duration,
    /// The last message, which is logged once until a delivery succeeds.
    logged: String,
}

impl Progress {
    pub(super) fn new(
        target: String,
        counters: TargetCounters,
        deadline: ShutdownDeadline,
        obstacle: Obstacle,
        is_offline: bool,
    ) -> Self {
        Self {
            target,
            counters,
            deadline,
            obstacle,
            is_offline,
            pending: 0,
            failing_since: None,
            pause: MIN_PAUSE,
            logged: String::new(),
        }
    }

    pub(super) const fn begin(&mut self, records: usize) {
        self.pending = records;
    }

    /// The rest of the chunk is lost.
    pub(super) fn end(&mut self) {
        let cause = self.obstacle.cause().unwrap_or(LossReason::Failed);
        self.lost(cause, self.pending);
    }

    /// The engine has accepted `records` in one request of `octets`.
    pub fn delivered(&mut self, records: usize, octets: usize) {
        if self.failing_since.take().is_some() {
            tracing::info!(target = %self.target, "forward: records are delivered again");
        }
        self.logged.clear();
        self.pause = MIN_PAUSE;
        self.obstacle.set(None);
        self.settle(records);
        let weight = Weight {
            records: to_u64(records),
            ..Weight::default()
        };
        self.counters.message_sent(weight, to_u64(octets));
    }

    /// `records` are lost.
    pub fn lost(&mut self, reason: LossReason, records: usize) {
        if records > 0 {
            self.settle(records);
            self.counters.records_lost(reason, to_u64(records));
        }
    }

    fn settle(&mut self, records: usize) {
        self.pending = self.pending.saturating_sub(records);
        self.counters
            .waiting(-i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// An attempt failed. Logs the reason once and waits before the next attempt.
    pub fn failed(&mut self, cause: LossReason, message: &str) {
        self.failing_since.get_or_insert_with(monotonic);
        self.obstacle.set(Some(cause));
        self.warn(message);
        self.deadline.sleep(self.pause);
        self.pause = self.pause.saturating_mul(2).min(MAX_PAUSE);
    }

    /// Logs a message once until a delivery succeeds.
    pub fn warn(&mut self, message: &str) {
        if self.logged != message {
            message.clone_into(&mut self.logged);
            tracing::warn!(target = %self.target, "forward: {message}");
        }
    }

    /// Counts a connection attempt that failed, or a connection that broke.
    pub fn connection_failed(&self, reason: ConnectionFailure) {
        self.counters.connection_failed(reason);
    }

    /// Counts an open connection.
    pub fn connected(&self) {
        self.counters.connected();
    }

    /// Counts a closed connection.
    pub fn disconnected(&self) {
        self.counters.disconnected();
    }

    /// True if the remaining records are lost: the time to stop is over, or records of a savefile
    /// have waited too long.
    #[must_use]
    pub fn must_stop(&self) -> bool {
        let since = self.failing_since.filter(|_| self.is_offline);
        self.deadline.is_over() || since.is_some_and(|since| since.elapsed() > OFFLINE_TIMEOUT)
    }

    /// Time that a request may take.
    #[must_use]
    pub fn time_left(&self, maximum: Duration) -> Duration {
        let left = self.deadline.left().unwrap_or(maximum).min(maximum);
        left.max(Duration::from_millis(1))
    }
}
