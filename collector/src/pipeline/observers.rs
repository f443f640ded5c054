//! Which nodes are observed: the time of the last Message from each, and the readiness of its probe.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::inventory::NodeId;

/// How long a node counts as observed after a Message of an exporter on it, milliseconds.
pub const OBSERVED_MILLISECONDS: u64 = 180_000;

/// The observers of all nodes. All pipelines share it; it is written once a Message. Times are of the monotonic clock.
#[derive(Debug)]
pub struct Observers(Box<[Observer]>);

#[derive(Debug, Default)]
struct Observer {
    /// Time of the last Message, milliseconds plus one; 0 if there was none.
    last_message: AtomicU64,
    /// A probe on the node is Ready.
    is_ready: AtomicBool,
}

impl Observers {
    /// Creates the state of `nodes` nodes, of which none is observed.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self((0..nodes).map(|_| Observer::default()).collect())
    }

    /// Sets whether Kubernetes reports a probe on `node` as Ready.
    pub fn set_ready(&self, node: NodeId, is_ready: bool) {
        if let Some(observer) = self.get(node) {
            observer.is_ready.store(is_ready, Ordering::Relaxed);
        }
    }

    /// Records a Message from an exporter on `node`.
    #[inline]
    pub fn on_message(&self, node: NodeId, now_milliseconds: u64) {
        if let Some(observer) = self.get(node) {
            let time = now_milliseconds.saturating_add(1);
            observer.last_message.store(time, Ordering::Relaxed);
        }
    }

    /// Records a Message that arrived before its exporter was found to be on `node`.
    pub fn on_earlier_message(&self, node: NodeId, arrived_milliseconds: u64) {
        if let Some(observer) = self.get(node) {
            let time = arrived_milliseconds.saturating_add(1);
            observer.last_message.fetch_max(time, Ordering::Relaxed);
        }
    }

    /// True if an exporter on `node` has sent a Message, or a probe on it is Ready.
    #[must_use]
    pub fn was_observed(&self, node: NodeId) -> bool {
        self.get(node).is_some_and(|observer| {
            observer.last_message.load(Ordering::Relaxed) != 0
                || observer.is_ready.load(Ordering::Relaxed)
        })
    }

    /// True if `node` is observed now.
    #[inline]
    #[must_use]
    pub fn is_observed(&self, node: NodeId, now_milliseconds: u64) -> bool {
        self.get(node)
            .is_some_and(|observer| observer.is_observed(now_milliseconds))
    }

    /// Number of nodes observed now.
    #[must_use]
    pub fn observed_nodes(&self, now_milliseconds: u64) -> usize {
        let observers = self.0.iter();
        observers
            .filter(|observer| observer.is_observed(now_milliseconds))
            .count()
    }

    #[inline]
    fn get(&self, node: NodeId) -> Option<&Observer> {
        self.0.get(usize::try_from(node.0).ok()?)
    }
}

impl Observer {
    #[inline]
    fn is_observed(&self, now_milliseconds: u64) -> bool {
        let last = self.last_message.load(Ordering::Relaxed);
        last != 0 && now_milliseconds.saturating_sub(last - 1) <= OBSERVED_MILLISECONDS
            || self.is_ready.load(Ordering::Relaxed)
    }
}
