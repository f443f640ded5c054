//! What becomes of the datagrams for one target.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Lost, ReplicaCounts};

/// Counters of one target.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: AtomicU64,
    sent_octets: AtomicU64,
    lost: [AtomicU64; 4],
    pub(super) queued: AtomicU64,
    queued_octets: AtomicU64,
    readdressed: AtomicU64,
}

impl Counts {
    /// So many datagrams are about to be taken out of the queue.
    pub(super) fn queue(&self, datagrams: usize, octets: usize) {
        add(&self.queued, datagrams);
        add(&self.queued_octets, octets);
    }

    /// So many datagrams left the queue, sent.
    pub(super) fn sent(&self, datagrams: usize, octets: usize, readdressed: bool) {
        add(&self.sent, datagrams);
        add(&self.sent_octets, octets);
        if readdressed {
            add(&self.readdressed, datagrams);
        }
        self.left(datagrams, octets);
    }

    /// So many datagrams left the queue, lost.
    pub(super) fn lost(&self, reason: Lost, datagrams: usize, octets: usize) {
        self.lose(reason, datagrams);
        self.left(datagrams, octets);
    }

    fn left(&self, datagrams: usize, octets: usize) {
        self.queued.fetch_sub(wide(datagrams), Ordering::AcqRel);
        self.queued_octets.fetch_sub(wide(octets), Ordering::AcqRel);
    }

    /// So many datagrams never came into the queue.
    pub(super) fn lose(&self, reason: Lost, datagrams: usize) {
        let at = Lost::ALL.iter().position(|known| *known == reason);
        if let Some(counter) = at.and_then(|at| self.lost.get(at)) {
            add(counter, datagrams);
        }
    }

    pub(super) fn read(&self, target: String) -> ReplicaCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        ReplicaCounts {
            target,
            sent: read(&self.sent),
            sent_octets: read(&self.sent_octets),
            lost: std::array::from_fn(|at| self.lost.get(at).map(read).unwrap_or_default()),
            queued: read(&self.queued),
            queued_octets: read(&self.queued_octets),
            readdressed: read(&self.readdressed),
        }
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(wide(count), Ordering::AcqRel);
}
