//! Self-metrics of the flow log, replicated datagrams and forwarded records.

use kipfix_service::metric_table::Declarations;

use super::Totals;
use crate::emit::replicate::ReplicaCounts;

pub(super) fn declare(table: &mut Declarations<'_, Totals>) {
    replicated(table);
    forwarded(table);
    flow_log(table);
}

fn replicated(table: &mut Declarations<'_, Totals>) {
    let target = ["target"];
    table.counters(
        "replicate_sent_total",
        "Datagrams replicated.",
        &target,
        |t, add| of_each(t, add, |replica| replica.sent),
    );
    table.counters(
        "replicate_sent_bytes_total",
        "Octets of those datagrams.",
        &target,
        |t, add| of_each(t, add, |replica| replica.sent_octets),
    );
    table.counters(
        "replicate_lost_total",
        "Datagrams that were not replicated: the queue was full, a Message received over TCP is too \
         long for a datagram, the target has no address, or the operating system refused to send.",
        &["target", "reason"],
        |t, add| {
            for replica in &t.replicas {
                for (reason, lost) in replica.lost {
                    add(&[&replica.target, reason.into()], lost);
                }
            }
        },
    );
    table.counters(
        "replicate_source_address_replaced_total",
        "Datagrams replicated with the collector's source address although the exporter's was \
         to be kept.",
        &target,
        |t, add| of_each(t, add, |replica| replica.source_address_replaced),
    );
    table.gauges(
        "replicate_queue_datagrams",
        "Datagrams in the queue.",
        &target,
        |t, add| of_each(t, add, |replica| replica.queued),
    );
    table.gauges(
        "replicate_queue_bytes",
        "Octets of those datagrams.",
        &target,
        |t, add| of_each(t, add, |replica| replica.queued_octets),
    );
}

/// The series of all targets of replicated datagrams.
fn of_each<V>(totals: &Totals, add: &mut dyn FnMut(&[&str], V), read: fn(&ReplicaCounts) -> V) {
    for replica in &totals.replicas {
        add(&[&replica.target], read(replica));
    }
}

fn forwarded(table: &mut Declarations<'_, Totals>) {
    table.counter(
        "forward_records_total",
        "Records (each direction of a biflow) to be forwarded.",
        |t| t.forward.records,
    );
    table.counter(
        "forward_dropped_total",
        "Of these, dropped because the queue of the forward thread was full. Kafka and ClickHouse do not use it.",
        |t| t.forward.queue_full,
    );
    table.gauge(
        "forward_queue_records",
        "Records in the queue of the forward thread.",
        |t| t.forward.queued,
    );
}

fn flow_log(table: &mut Declarations<'_, Totals>) {
    table.counter_by(
        "flow_log_left_out_total",
        "Records without a line: not counted, not in the sample, not selected by the filter, \
         or not between two zones (format kubezonnet).",
        "reason",
        |t| &t.flow_log.left_out,
    );
    table.counter(
        "flow_log_lines_total",
        "Lines handed to the flow log.",
        |t| t.flow_log.lines,
    );
    table.counter("flow_log_written_total", "Lines written.", |t| {
        t.flow_log.written
    });
    table.counter_of(
        "flow_log_dropped_total",
        "Lines of the flow log that were lost.",
        "reason",
        [
            ("queue_full", |t| t.flow_log.queue_full),
            ("write_failed", |t| t.flow_log.write_failed),
        ],
    );
    table.counter(
        "flow_log_truncated_total",
        "Lines in which fields are missing, because all of them would take more than 64 KiB.",
        |t| t.flow_log.truncated,
    );
    table.gauge(
        "flow_log_queue_lines",
        "Lines in the queue, or being written.",
        |t| t.flow_log.queued,
    );
    table.gauge("flow_log_queue_bytes", "Octets of those lines.", |t| {
        t.flow_log.queued_octets
    });
    table.counter(
        "flow_log_rotated_total",
        "Files of the flow log that were complete and renamed.",
        |t| t.flow_log.rotated,
    );
    table.counter(
        "flow_log_reopened_total",
        "Times that the file of the flow log was opened again, because of SIGHUP.",
        |t| t.flow_log.reopened,
    );
    table.counter(
        "flow_log_rotation_failed_total",
        "Times that the file of the flow log could not be renamed or opened again. Lines are \
         still written to the open file.",
        |t| t.flow_log.rotation_failed,
    );
}
