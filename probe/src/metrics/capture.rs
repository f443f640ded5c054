//! Metrics of the captured interfaces.

use kipfix_service::metric_table::Declarations;

use crate::capture::counters::CaptureCounters;

pub(super) fn declare(table: &mut Declarations<'_, CaptureCounters>) {
    table.counters(
        "packets_captured_total",
        "Frames captured, by interface.",
        &["interface"],
        |counters, add| {
            for interface in &counters.interfaces {
                add(&[&interface.name], interface.frames);
            }
        },
    );
    table.counters(
        "captured_bytes_total",
        "Bytes of the captured frames on the wire, by interface.",
        &["interface"],
        |counters, add| {
            for interface in &counters.interfaces {
                add(&[&interface.name], interface.octets);
            }
        },
    );
    table.counter(
        "interface_failures_total",
        "Captures that ended because the interface was removed or went down, or that could \
         not be opened.",
        |counters| counters.failures,
    );
    table.counter(
        "first_packets_total",
        "First packets (SYNs, datagrams) captured on all interfaces to learn address \
         translations, while these can be observed. They are not metered.",
        |counters| counters.first_packets.frames,
    );
    table.counter(
        "conntrack_overruns_total",
        "Times that the kernel discarded events of its connection table, because the buffer \
         was full. The table is read again.",
        |counters| counters.conntrack.overruns,
    );
    table.counter(
        "conntrack_dumps_total",
        "Times that the connection table of the kernel was read.",
        |counters| counters.conntrack.dumps,
    );
    table.counter(
        "dns_answers_total",
        "Packets of DNS servers, and to those at port 5353, captured on all interfaces to learn names. They \
         are not metered.",
        |counters| counters.dns_answers.frames,
    );
    table.counter(
        "dns_answers_dropped_total",
        "Packets as in dns_answers_total that the kernel dropped because the buffer was full.",
        |counters| counters.dns_answers.dropped,
    );
}
