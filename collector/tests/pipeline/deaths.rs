//! A probe that dies or returns.

use flowproto::FlowRecord;
use kipfix_collector::clock::Now;
use kipfix_collector::pipeline::Reason;
use kipfix_collector::receive::Ingest;

use crate::harness::{DB, Exporter, SILENCE, START, WAIT, WEB, collector, record, settings};

/// A record of packets from `start` to `end`.
fn record_at(octets: u64, start: u64, end: u64) -> FlowRecord {
    FlowRecord {
        flow_start_milliseconds: start,
        flow_end_milliseconds: end,
        ..record(WEB, DB, octets)
    }
}

#[test]
fn when_the_probe_of_the_sources_node_dies_the_other_record_counts_by_the_packets_time() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", "172.16.0.1");
    let mut b = Exporter::new("node-b", "172.16.0.2");
    let pipeline = &mut collector.pipeline;
    // Both report an hour after the start. Then node A is silent.
    let t = START + 3_600_000;
    a.export(pipeline, &[record_at(1000, t - 30_000, t - 1000)], t);
    b.export(pipeline, &[record_at(1000, t - 30_000, t - 1000)], t);
    // Packets that ended before its last Message were observed there, although this record arrives
    // late.
    b.export(pipeline, &[record_at(10, t - 5000, t - 2000)], t + 100);
    // Packets that ended a moment later may have been observed, too.
    b.export(pipeline, &[record_at(20, t - 1000, t + 5000)], t + 5000);
    assert_eq!(pipeline.counts().records.unconfirmed, 1);
    // These were not, but that is known only when a Message of node A would have had to arrive.
    let late = t + WAIT + 1000;
    b.export(pipeline, &[record_at(300, late - 500, late)], late);
    assert_eq!(pipeline.counts().records.pending, 1);
    for second in 0..=SILENCE / 1000 + 1 {
        let now = t + WAIT + second * 1000;
        b.export(pipeline, &[], now);
        pipeline.tick(Now::of_packet(now));
    }
    assert_eq!(pipeline.counts().records.pending, 0);
    assert_eq!(pipeline.counts().records.unconfirmed, 0);
    // From now on the record of node B counts at once.
    let later = t + 300_000;
    b.export(pipeline, &[record_at(5000, later - 60_000, later)], later);
    assert_eq!(pipeline.counts().records.pending, 0);

    let end = collector.end();
    assert_eq!(end.not_counted(Reason::OtherObserver), 2);
    assert_eq!(end.not_counted(Reason::ObserverLost), 1);
    assert_eq!(end.sum("kipfix_bytes_total"), 1000 + 300 + 5000);
}

#[test]
fn when_a_probe_is_back_what_it_missed_counts_by_the_other_record() {
    let mut collector = collector(settings());
    let mut a = Exporter::new("node-a", "172.16.0.1");
    let mut b = Exporter::new("node-b", "172.16.0.2");
    let pipeline = &mut collector.pipeline;
    let t = START + 3_600_000;
    a.export(pipeline, &[record_at(1000, t - 1000, t)], t);
    let back = t + 10 * SILENCE;
    a.export(pipeline, &[record_at(70, back - 100, back)], back);
    // Records of the other observer that arrive after that: of the silence, and of the time since.
    b.export(
        pipeline,
        &[record_at(400, back - 60_000, back - 20_000)],
        back,
    );
    b.export(pipeline, &[record_at(70, back - 100, back - 1)], back);
    let end = collector.end();
    assert_eq!(end.sum("kipfix_bytes_total"), 1000 + 70 + 400);
    assert_eq!(end.not_counted(Reason::OtherObserver), 1);
}

#[test]
fn a_collector_that_starts_while_a_node_is_silent_counts_after_the_observer_wait() {
    let mut collector = collector(settings());
    let mut b = Exporter::new("node-b", "172.16.0.2");
    let pipeline = &mut collector.pipeline;
    b.export(
        pipeline,
        &[record_at(1000, START, START + 1000)],
        START + 1000,
    );
    assert_eq!(pipeline.counts().records.pending, 1);
    pipeline.tick(Now::of_packet(START + 1000 + WAIT));
    assert_eq!(pipeline.counts().records.pending, 0);
    let after = START + SILENCE;
    b.export(pipeline, &[record_at(500, after - 1000, after)], after);
    assert_eq!(pipeline.counts().records.pending, 0);
    assert_eq!(collector.end().sum("kipfix_bytes_total"), 1500);
}
