//! Kubernetes: who holds an address, told by the watches, into the writer.
//!
//! `kinds` is what is read of an object, `watch` brings it, `owners` knows whose pod it is, and
//! `State` puts it into the writer. One thread with a runtime of its own does all that; every
//! 25 ms at the most it publishes a snapshot of what changed, which workers take without a lock. Nothing
//! of it is on the way of a record.

mod access;
mod fields;
mod health;
mod owners;
mod state;
mod watch;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use access::{Access, AccessError};
pub use fields::LabelSelectors;
pub use health::{Health, ResourceKind, WatchCounts};
use kipfix_service::signals::Stop;
use state::State;

use super::snapshot::{IndexSnapshot, NodeId};
use super::writer::IndexWriter;

/// What the watches say waits in a queue of so many for the writer; then the watches wait.
const QUEUE: usize = 512;
/// Changes of so long are published together.
const TOGETHER: Duration = Duration::from_millis(25);
/// ... and until all nodes and pods are known, of so long: what is published is copied when it changes, and
/// then everything does.
const TOGETHER_AT_FIRST: Duration = Duration::from_secs(10);
/// How often it is looked for who has been gone for long enough.
const EXPIRY: Duration = Duration::from_secs(1);

/// Where snapshots go, and what else is told.
pub trait Publish: Send + 'static {
    /// A newer snapshot.
    fn index(&self, index: IndexSnapshot);
    /// Whether a probe on this node is Ready.
    fn probe(&self, node: NodeId, ready: bool);
    /// Wall clock, milliseconds since the epoch.
    fn now_milliseconds(&self) -> u64;
}

/// A number for a uid: its digits, which are 128 bits, or a hash of what is none.
fn uid(text: &str) -> u128 {
    let digits = || text.bytes().filter(|octet| *octet != b'-');
    let mut number: u128 = 0;
    for octet in digits() {
        let digit = char::from(octet).to_digit(16);
        number = number.rotate_left(4) ^ u128::from(digit.unwrap_or(u32::from(octet)));
    }
    number
}

/// Watches until the stop, into a writer that knows it ([`IndexWriter::start_watch`]). `stop` is dropped when the
/// watching ends, however it ends.
///
/// # Errors
/// No thread.
pub fn start(
    access: Access,
    writer: IndexWriter,
    selectors: LabelSelectors,
    health: Arc<Health>,
    publish: impl Publish,
    stop: impl AsRef<Stop> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("kubernetes".into())
        .spawn(move || {
            let mut state = State::new(writer, health);
            let (runtime, client) = access.into_parts();
            runtime.block_on(work(client, &mut state, selectors, &publish, stop.as_ref()));
            // Connections are not waited for.
            runtime.shutdown_background();
        })
}

async fn work(
    client: kube::Client,
    state: &mut State,
    selectors: LabelSelectors,
    publish: &impl Publish,
    stop: &Stop,
) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(QUEUE);
    watch::start(&client, &selectors.kinds(), &Arc::new(selectors), &sender);
    let mut batch = Vec::with_capacity(QUEUE);
    let mut changed = false;
    let mut published = tokio::time::Instant::now();
    let mut expired = published;
    publish.index(state.writer().current());
    while !stop.is_set() {
        let together = if state.is_complete() {
            TOGETHER
        } else {
            TOGETHER_AT_FIRST
        };
        let wait = if changed {
            together.saturating_sub(published.elapsed())
        } else {
            EXPIRY.saturating_sub(expired.elapsed())
        };
        let received = tokio::time::timeout(wait, receiver.recv_many(&mut batch, QUEUE)).await;
        let now = publish.now_milliseconds();
        if received.is_ok() {
            for updates in batch.drain(..) {
                state.take(updates, now, &mut |node, ready| publish.probe(node, ready));
            }
            changed = true;
        }
        if expired.elapsed() >= EXPIRY {
            expired = tokio::time::Instant::now();
            state.writer().expire(now);
            changed = true;
        }
        if changed && published.elapsed() >= together {
            changed = false;
            published = tokio::time::Instant::now();
            if let Some(index) = state.writer().snapshot() {
                publish.index(index);
            }
        }
    }
}
