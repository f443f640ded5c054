//! Kubernetes: watches the objects that own addresses, and writes them into the index.
//!
//! `fields` are read of each object, `watch` receives the objects, and `state` writes them into the
//! index. This runs on one thread with its own runtime. It publishes a snapshot at most every
//! 25 ms. Workers take it without a lock.

mod access;
mod fields;
mod health;
mod owners;
mod resource_kind;
mod selectors;
mod state;
mod uid;
mod update;
mod watch;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use kipfix_service::signals::Stop;
use tokio::time::Instant;

pub use access::{Access, AccessError};
pub use health::{WatchCounts, WatchHealth};
pub use resource_kind::ResourceKind;
pub use selectors::LabelSelectors;
use state::ClusterState;
pub use state::ProbeStatus;

use super::clock_reading::ClockReading;
use super::endpoint::NodeId;
use super::snapshot::IndexSnapshot;
use super::writer::IndexWriter;
use crate::clock;

/// Capacity of the channel from the watches. A full channel blocks them.
const CHANNEL_CAPACITY: usize = 512;
/// Changes within this time are published together.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(25);
/// As above, until the initial lists are loaded: each snapshot makes the following changes copy
/// their shards, and the initial lists change all of them.
const INITIAL_PUBLISH_INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which assignments that have ended are removed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// Receives what the watches find out.
pub trait Publish: Send + 'static {
    /// Publishes a newer snapshot.
    fn index(&self, index: IndexSnapshot);
    /// Publishes that a node has got an id, which may have been that of a node that is gone.
    fn new_node(&self, node: NodeId);
    /// Publishes the status of the probe on a node.
    fn probe(&self, node: NodeId, status: ProbeStatus);
}

/// Watches Kubernetes until the stop and changes `writer`, after
/// [`start_watch`](IndexWriter::start_watch). `stop` is dropped when the thread ends, for whatever
/// reason.
///
/// # Errors
/// The thread cannot be created.
pub fn start(
    access: Access,
    writer: IndexWriter,
    selectors: LabelSelectors,
    health: Arc<WatchHealth>,
    publish: impl Publish,
    stop: impl AsRef<Stop> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("kubernetes".into())
        .spawn(move || {
            let mut state = ClusterState::new(writer, health);
            let (runtime, client) = access.into_parts();
            runtime.block_on(run(client, &mut state, selectors, &publish, stop.as_ref()));
            // Open connections are not awaited.
            runtime.shutdown_background();
        })
}

async fn run(
    client: kube::Client,
    state: &mut ClusterState,
    selectors: LabelSelectors,
    publish: &impl Publish,
    stop: &Stop,
) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(CHANNEL_CAPACITY);
    watch::start(&client, &selectors.kinds(), &Arc::new(selectors), &sender);
    let mut batch = Vec::with_capacity(CHANNEL_CAPACITY);
    let mut changed = false;
    let started = Instant::now();
    let (mut published, mut expired) = (started, started);
    publish.index(state.writer().current());
    while !stop.is_set() {
        let interval = if state.is_complete() {
            PUBLISH_INTERVAL
        } else {
            INITIAL_PUBLISH_INTERVAL
        };
        let wait = if changed {
            interval.saturating_sub(published.elapsed())
        } else {
            EXPIRY_INTERVAL.saturating_sub(expired.elapsed())
        };
        let received =
            tokio::time::timeout(wait, receiver.recv_many(&mut batch, CHANNEL_CAPACITY)).await;
        let monotonic = u64::try_from(started.elapsed().as_millis());
        state.set_now(ClockReading {
            wall_milliseconds: clock::wall_milliseconds(),
            monotonic_milliseconds: monotonic.unwrap_or(u64::MAX),
        });
        if received.is_ok() {
            for update in batch.drain(..) {
                let probes = state.apply(update);
                for node in state.writer().take_new_nodes() {
                    publish.new_node(node);
                }
                for (node, status) in probes {
                    publish.probe(node, status);
                }
            }
            changed = true;
        }
        if expired.elapsed() >= EXPIRY_INTERVAL {
            expired = Instant::now();
            state.writer().expire();
            changed = true;
        }
        if changed && published.elapsed() >= interval {
            changed = false;
            published = Instant::now();
            if let Some(index) = state.writer().snapshot() {
                publish.index(index);
            }
        }
    }
}
