//! The connections that a listener serves at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::sync::lock;

/// Slots for connections. When none is free, the oldest connection without a request is displaced
/// by a new one, so clients that send nothing cannot keep others out.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    new: Arc<Mutex<NewConnections>>,
}

/// Connections without a request, by their number.
#[derive(Debug, Default)]
struct NewConnections {
    next: u64,
    displaced: BTreeMap<u64, Arc<Notify>>,
}

impl Slots {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections)),
            new: Arc::default(),
        }
    }

    /// Waits for a slot. The second value is true if a connection was displaced.
    pub(super) async fn acquire(&self) -> (Slot, bool) {
        let mut permit = Arc::clone(&self.free).try_acquire_owned().ok();
        let is_full = permit.is_none();
        let has_displaced = is_full && self.displace_oldest();
        if is_full {
            permit = Arc::clone(&self.free).acquire_owned().await.ok();
        }
        let displaced = Arc::new(Notify::new());
        let mut new = lock(&self.new);
        let number = new.next;
        new.next += 1;
        new.displaced.insert(number, Arc::clone(&displaced));
        let first_request = FirstRequest {
            new: Arc::clone(&self.new),
            number,
        };
        let slot = Slot {
            first_request: Arc::new(first_request),
            displaced,
            _permit: permit,
        };
        (slot, has_displaced)
    }

    /// Waits until all slots are free.
    pub(super) async fn all_free(&self, connections: usize) {
        let all = u32::try_from(connections).unwrap_or(u32::MAX);
        self.free.acquire_many(all).await.ok();
    }

    fn displace_oldest(&self) -> bool {
        let oldest = lock(&self.new).displaced.pop_first();
        if let Some((_, displaced)) = &oldest {
            displaced.notify_one();
        }
        oldest.is_some()
    }
}

/// The slot of a connection. It is free again when this value is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    first_request: Arc<FirstRequest>,
    displaced: Arc<Notify>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Slot {
    /// Waits until the connection is displaced.
    pub(super) async fn displaced(&self) {
        self.displaced.notified().await;
    }

    /// What the first request of the connection notifies.
    pub(super) fn first_request(&self) -> Arc<FirstRequest> {
        Arc::clone(&self.first_request)
    }
}

/// Notified by the first request of a connection.
#[derive(Debug)]
pub(super) struct FirstRequest {
    new: Arc<Mutex<NewConnections>>,
    number: u64,
}

impl FirstRequest {
    /// The connection has sent a request: it is not displaced any more.
    pub(super) fn arrived(&self) {
        lock(&self.new).displaced.remove(&self.number);
    }
}

impl Drop for FirstRequest {
    fn drop(&mut self) {
        self.arrived();
    }
}
