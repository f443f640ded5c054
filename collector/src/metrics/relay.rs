//! Self-metrics of what is passed on, one label value `target` for each target.
//!
//! For each target, `datagrams_total` = `replicate_sent_total` + Σ `replicate_lost_total{reason}` +
//! `replicate_queue_datagrams` + those of the batch at hand.
//!
//! `forward_records_total` = `forward_dropped_total` + `forward_queue_records` + `target_records_received_total`
//! of each target; from there on as [`kipfix_export::counters`] says.

use kipfix_export::counters::TargetFamilies;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{Maker, level, raise};
use crate::emit::forward::ForwardCounts;
use crate::emit::replicate::{Lost, ReplicaCounts};

/// The families of datagrams that are replicated.
#[derive(Debug)]
pub(super) struct Replicated {
    sent: IntCounterVec,
    sent_bytes: IntCounterVec,
    lost: IntCounterVec,
    readdressed: IntCounterVec,
    queue: IntGaugeVec,
    queue_bytes: IntGaugeVec,
}

impl Replicated {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let lost = Opts::new(
            "kipfix_collector_replicate_lost_total",
            "Datagrams that were not passed on: the queue was full, a Message from TCP is longer than a \
             datagram may be, the target has no address, or the system refused to send.",
        );
        Ok(Self {
            sent: make.counters(
                "replicate_sent_total",
                "Datagrams passed on as they came.",
                "target",
            )?,
            sent_bytes: make.counters(
                "replicate_sent_bytes_total",
                "Octets of those datagrams.",
                "target",
            )?,
            lost: make.add(IntCounterVec::new(lost, &["target", "reason"]))?,
            readdressed: make.counters(
                "replicate_readdressed_total",
                "Of the datagrams passed on, those that went out from an address of ours though the \
                 exporter's was to be kept.",
                "target",
            )?,
            queue: make.gauges(
                "replicate_queue_datagrams",
                "Datagrams that wait to be passed on.",
                "target",
            )?,
            queue_bytes: make.gauges(
                "replicate_queue_bytes",
                "Octets of those datagrams.",
                "target",
            )?,
        })
    }

    pub(super) fn publish(&self, replicas: &[ReplicaCounts]) {
        for replica in replicas {
            let target = [replica.target.as_str()];
            raise(&self.sent.with_label_values(&target), replica.sent);
            raise(
                &self.sent_bytes.with_label_values(&target),
                replica.sent_octets,
            );
            raise(
                &self.readdressed.with_label_values(&target),
                replica.readdressed,
            );
            self.queue
                .with_label_values(&target)
                .set(level(replica.queued));
            self.queue_bytes
                .with_label_values(&target)
                .set(level(replica.queued_octets));
            for (reason, count) in Lost::ALL.iter().zip(replica.lost) {
                let labels = [replica.target.as_str(), reason.as_str()];
                raise(&self.lost.with_label_values(&labels), count);
            }
        }
    }
}

/// The families of records that are forwarded.
#[derive(Debug)]
pub(super) struct Forwarded {
    records: IntCounter,
    dropped: IntCounter,
    queue: IntGauge,
    targets: TargetFamilies,
}

impl Forwarded {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            records: make.counter(
                "forward_records_total",
                "Records (each direction of a biflow) to be forwarded.",
            )?,
            dropped: make.counter(
                "forward_dropped_total",
                "Of these, dropped because the queue was full.",
            )?,
            queue: make.gauge(
                "forward_queue_records",
                "Records that wait for the thread that forwards.",
            )?,
            targets: TargetFamilies::register(&make.0, "kipfix_collector")?,
        })
    }

    pub(super) const fn targets(&self) -> &TargetFamilies {
        &self.targets
    }

    pub(super) fn publish(&self, forward: &ForwardCounts) {
        raise(&self.records, forward.staged);
        raise(&self.dropped, forward.queue_full);
        self.queue.set(level(forward.queued));
    }
}
