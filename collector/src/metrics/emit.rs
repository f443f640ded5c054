//! Self-metrics of the flow log, replicated datagrams and forwarded records.
//!
//! For each target, `datagrams_total` = `replicate_sent_total` + Σ `replicate_lost_total{reason}` +
//! `replicate_queue_datagrams` + those of the batch in progress.
//!
//! `flow_log_lines_total` = `flow_log_written_total` + Σ `flow_log_dropped_total` + `flow_log_queue_lines`,
//! and with Σ `flow_log_left_out_total{reason}` it is the number of records (kubezonnet: directions).
//!
//! `forward_records_total` = `forward_dropped_total` + `forward_queue_records` + `target_records_received_total`
//! of each target; the equations after that are those of [`kipfix_export::counters`].

use enum_map::EnumMap;
use kipfix_export::counters::TargetFamilies;
use kipfix_service::metric_maker::{MetricMaker, level, raise, raise_by_reason};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::emit::flow_log::{FlowLogCounts, LeftOut};
use crate::emit::forward::ForwardCounts;
use crate::emit::replicate::ReplicaCounts;

/// The families of replicated datagrams.
#[derive(Debug)]
pub(super) struct Replicated {
    sent: IntCounterVec,
    sent_bytes: IntCounterVec,
    lost: IntCounterVec,
    source_address_replaced: IntCounterVec,
    queue: IntGaugeVec,
    queue_bytes: IntGaugeVec,
}

impl Replicated {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        let target = ["target"];
        Ok(Self {
            sent: make.counters("replicate_sent_total", "Datagrams replicated.", &target)?,
            sent_bytes: make.counters(
                "replicate_sent_bytes_total",
                "Octets of those datagrams.",
                &target,
            )?,
            lost: make.counters(
                "replicate_lost_total",
                "Datagrams that were not replicated: the queue was full, a Message received over TCP is too \
                 long for a datagram, the target has no address, or the operating system refused to send.",
                &["target", "reason"],
            )?,
            source_address_replaced: make.counters(
                "replicate_source_address_replaced_total",
                "Datagrams replicated with the collector's source address although the exporter's was \
                 to be kept.",
                &target,
            )?,
            queue: make.gauges(
                "replicate_queue_datagrams",
                "Datagrams in the queue.",
                &target,
            )?,
            queue_bytes: make.gauges(
                "replicate_queue_bytes",
                "Octets of those datagrams.",
                &target,
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
                &self.source_address_replaced.with_label_values(&target),
                replica.source_address_replaced,
            );
            self.queue
                .with_label_values(&target)
                .set(level(replica.queued));
            self.queue_bytes
                .with_label_values(&target)
                .set(level(replica.queued_octets));
            for (reason, count) in replica.lost {
                let labels = [replica.target.as_str(), reason.into()];
                raise(&self.lost.with_label_values(&labels), count);
            }
        }
    }
}

/// The families of forwarded records.
#[derive(Debug)]
pub(super) struct Forwarded {
    records: IntCounter,
    dropped: IntCounter,
    queue: IntGauge,
    targets: TargetFamilies,
}

impl Forwarded {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
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
                "Records in the queue of the forward thread.",
            )?,
            targets: TargetFamilies::register(make.registry(), "kipfix_collector")?,
        })
    }

    pub(super) const fn targets(&self) -> &TargetFamilies {
        &self.targets
    }

    pub(super) fn publish(&self, forward: &ForwardCounts) {
        raise(&self.records, forward.records);
        raise(&self.dropped, forward.queue_full);
        self.queue.set(level(forward.queued));
    }
}

/// The families of the flow log.
#[derive(Debug)]
pub(super) struct FlowLog {
    lines: IntCounter,
    written: IntCounter,
    queue_full: IntCounter,
    write_failed: IntCounter,
    truncated: IntCounter,
    queue: IntGauge,
    queue_bytes: IntGauge,
    left_out: EnumMap<LeftOut, IntCounter>,
    rotated: IntCounter,
    reopened: IntCounter,
    rotation_failed: IntCounter,
}

impl FlowLog {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        let dropped = make.counters(
            "flow_log_dropped_total",
            "Lines of the flow log that were lost.",
            &["reason"],
        )?;
        Ok(Self {
            left_out: make.by_reason(
                "flow_log_left_out_total",
                "Records without a line: not counted, not in the sample, not selected by the filter, \
                 or not between two zones (format kubezonnet).",
            )?,
            rotated: make.counter(
                "flow_log_rotated_total",
                "Files of the flow log that were complete and renamed.",
            )?,
            reopened: make.counter(
                "flow_log_reopened_total",
                "Times that the file of the flow log was opened again, because of SIGHUP.",
            )?,
            rotation_failed: make.counter(
                "flow_log_rotation_failed_total",
                "Times that the file of the flow log could not be renamed or opened again. Lines are \
                 still written to the open file.",
            )?,
            lines: make.counter("flow_log_lines_total", "Lines handed to the flow log.")?,
            written: make.counter("flow_log_written_total", "Lines written.")?,
            queue_full: dropped.with_label_values(&["queue_full"]),
            write_failed: dropped.with_label_values(&["write_failed"]),
            truncated: make.counter(
                "flow_log_truncated_total",
                "Lines in which fields are missing, because all of them would take more than 64 KiB.",
            )?,
            queue: make.gauge(
                "flow_log_queue_lines",
                "Lines in the queue, or being written.",
            )?,
            queue_bytes: make.gauge("flow_log_queue_bytes", "Octets of those lines.")?,
        })
    }

    pub(super) fn publish(&self, counts: &FlowLogCounts) {
        raise(&self.lines, counts.lines);
        raise(&self.written, counts.written);
        raise(&self.queue_full, counts.queue_full);
        raise(&self.write_failed, counts.write_failed);
        raise(&self.truncated, counts.truncated);
        self.queue.set(level(counts.queued));
        self.queue_bytes.set(level(counts.queued_octets));
        raise_by_reason(&self.left_out, &counts.left_out);
        raise(&self.rotated, counts.rotated);
        raise(&self.reopened, counts.reopened);
        raise(&self.rotation_failed, counts.rotation_failed);
    }
}
