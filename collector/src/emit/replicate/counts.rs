//! Counters of the datagrams for one target.

use std::sync::atomic::{AtomicU64, Ordering};

use enum_map::EnumMap;
use kipfix_export::counters::to_u64;

use super::{LossReason, ReplicaCounts};

/// Counters of one target.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: AtomicU64,
    sent_octets: AtomicU64,
    lost: EnumMap<LossReason, AtomicU64>,
    pub(super) queued: AtomicU64,
    queued_octets: AtomicU64,
    source_address_replaced: AtomicU64,
}

impl Counts {
    /// Counts datagrams that were added to the queue.
    pub(super) fn on_queued(&self, datagrams: usize, octets: usize) {
        add(&self.queued, datagrams);
        add(&self.queued_octets, octets);
    }

    /// Counts datagrams that left the queue and were sent.
    pub(super) fn on_sent(&self, datagrams: usize, octets: usize, source_replaced: bool) {
        add(&self.sent, datagrams);
        add(&self.sent_octets, octets);
        if source_replaced {
            add(&self.source_address_replaced, datagrams);
        }
        self.on_left(datagrams, octets);
    }

    /// Counts datagrams that left the queue and were lost.
    pub(super) fn on_lost(&self, reason: LossReason, datagrams: usize, octets: usize) {
        self.on_refused(reason, datagrams);
        self.on_left(datagrams, octets);
    }

    fn on_left(&self, datagrams: usize, octets: usize) {
        self.queued.fetch_sub(to_u64(datagrams), Ordering::AcqRel);
        self.queued_octets
            .fetch_sub(to_u64(octets), Ordering::AcqRel);
    }

    /// Counts datagrams that were not added to the queue.
    pub(super) fn on_refused(&self, reason: LossReason, datagrams: usize) {
        add(&self.lost[reason], datagrams);
    }

    pub(super) fn read(&self, target: String) -> ReplicaCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        ReplicaCounts {
            target,
            sent: read(&self.sent),
            sent_octets: read(&self.sent_octets),
            lost: EnumMap::from_fn(|reason| read(&self.lost[reason])),
            queued: read(&self.queued),
            queued_octets: read(&self.queued_octets),
            source_address_replaced: read(&self.source_address_replaced),
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(to_u64(count), Ordering::AcqRel);
}
