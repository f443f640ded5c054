//! Messages that arrive after a template has changed, but were sent before that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use std::sync::Arc;

use exporter::{Exporter, Header, exporter, header, template, template_set};
use flowproto::FlowRecord;
use flowproto::collector::{Fields, Limits, Message, RecordSink, Unusable};
use flowproto::template::Template;

/// Octets first, and packets first.
const OCTETS_PACKETS: [(u16, u16); 2] = [(1, 1), (2, 1)];
const PACKETS_OCTETS: [(u16, u16); 2] = [(2, 1), (1, 1)];
/// Another one of two octets.
const OCTETS_ONLY: [(u16, u16); 1] = [(1, 2)];

/// A Message with a record, behind a template if one is given.
fn message(header: Header, fields: Option<&[(u16, u16)]>, record: [u8; 2]) -> Vec<u8> {
    let set = template_set(header.version);
    let template = fields.map(|fields| (set, template(300, fields)));
    let sets: Vec<_> = template
        .into_iter()
        .chain([(300, record.to_vec())])
        .collect();
    header.with(&sets)
}

fn of(version: u16, sequence: u32) -> Header {
    header(version, sequence)
}

/// Octets and packets of the records since the last call.
fn taken(e: &mut Exporter) -> Vec<(u64, u64)> {
    let records = e.taken.records.drain(..);
    records
        .map(|record| (record.octet_delta_count, record.packet_delta_count))
        .collect()
}

#[test]
fn a_late_definition_is_for_its_own_message_only() {
    for version in [9, 10] {
        for seconds in [0, 5] {
            let mut e = exporter();
            e.send(&message(of(version, 100), Some(&OCTETS_PACKETS), [50, 1]));
            let changed = of(version, 103).after(seconds);
            e.send(&message(changed, Some(&PACKETS_OCTETS), [1, 60]));
            // They were sent in between.
            e.send(&message(of(version, 101), Some(&OCTETS_PACKETS), [70, 1]));
            e.send(&message(of(version, 102), None, [80, 1]));
            e.send(&message(of(version, 104).after(seconds), None, [1, 90]));
            let expected = [50, 60, 70, 80, 90].map(|octets| (octets, 1));
            assert_eq!(taken(&mut e), expected, "v{version}, {seconds} s");
        }
    }
}

#[test]
fn a_late_definition_that_was_not_known_is_read_too() {
    let mut e = exporter();
    e.send(&message(of(10, 100), Some(&OCTETS_ONLY), [1, 4]));
    e.send(&message(of(10, 103), Some(&PACKETS_OCTETS), [1, 60]));
    e.send(&message(of(10, 102), Some(&OCTETS_PACKETS), [70, 1]));
    e.send(&message(of(10, 104), None, [1, 90]));
    assert_eq!(taken(&mut e), [(260, 0), (60, 1), (70, 1), (90, 1)]);
}

#[test]
fn a_late_message_before_the_first_template_is_read_with_it() {
    let mut e = exporter();
    e.send(&message(of(10, 101), Some(&OCTETS_PACKETS), [50, 1]));
    e.send(&message(of(10, 100), None, [40, 1]));
    assert_eq!(taken(&mut e), [(50, 1), (40, 1)]);
}

#[test]
fn a_definition_of_a_restarted_exporter_is_not_late() {
    let mut e = exporter();
    e.send(&message(of(10, 5000), Some(&OCTETS_ONLY), [0, 9]));
    e.send(&message(of(10, 5001), Some(&OCTETS_PACKETS), [50, 1]));
    e.send(&message(of(10, 0).after(9), Some(&PACKETS_OCTETS), [1, 60]));
    e.send(&message(of(10, 1).after(9), None, [1, 70]));
    assert_eq!(taken(&mut e), [(9, 0), (50, 1), (60, 1), (70, 1)]);
}

#[test]
fn without_room_for_the_earlier_template_late_records_are_not_read_with_the_later_one() {
    let mut e = Exporter::new(Limits {
        template_fields: 4,
        ..Limits::default()
    });
    e.send(&message(of(10, 100), Some(&OCTETS_PACKETS), [50, 1]));
    e.send(&message(of(10, 103), Some(&PACKETS_OCTETS), [1, 60]));
    e.send(&message(of(10, 102), None, [80, 1]));
    e.process.expire(u64::MAX);
    assert_eq!(taken(&mut e), [(50, 1), (60, 1)]);
    assert_eq!(e.unusable(Unusable::UnknownTemplate), 1);
}

#[test]
fn the_fields_of_both_templates_are_accounted_for_until_the_session_ends() {
    let mut e = exporter();
    let fields = |e: &Exporter| e.process.occupancy().template_fields;
    e.send(&message(of(10, 100), Some(&OCTETS_PACKETS), [50, 1]));
    let one = fields(&e);
    for round in 1..5 {
        let sequence = 100 + round * 10;
        let fields_of = |at| match at % 2 {
            0 => &OCTETS_PACKETS,
            _ => &PACKETS_OCTETS,
        };
        e.send(&message(of(10, sequence), Some(fields_of(round)), [1, 1]));
        e.send(&message(
            of(10, sequence - 1),
            Some(fields_of(round + 1)),
            [1, 1],
        ));
        e.send(&message(of(10, sequence - 2), Some(&OCTETS_ONLY), [1, 1]));
        assert!(fields(&e) > one && fields(&e) <= one + 2, "{}", fields(&e));
    }
    e.process.expire(exporter::EXPORTED * 2);
    assert_eq!(e.process.occupancy().domains, 0);
    assert_eq!(fields(&e), 0);
}

#[test]
fn a_change_is_as_early_as_the_earliest_message_with_the_later_template() {
    for version in [9, 10] {
        let mut e = exporter();
        e.send(&message(of(version, 100), Some(&OCTETS_PACKETS), [50, 1]));
        e.send(&message(of(version, 103), Some(&PACKETS_OCTETS), [1, 60]));
        // It was sent first, and changes the template already.
        e.send(&message(of(version, 102), Some(&PACKETS_OCTETS), [1, 70]));
        e.send(&message(of(version, 101), None, [80, 1]));
        let expected = [50, 60, 70, 80].map(|octets| (octets, 1));
        assert_eq!(taken(&mut e), expected, "v{version}");
    }
}

#[test]
fn a_change_before_a_restart_does_not_apply_to_messages_after_it() {
    let mut e = exporter();
    let fields = |e: &Exporter| e.process.occupancy().template_fields;
    e.send(&message(of(10, 5000), Some(&OCTETS_PACKETS), [50, 1]));
    let one = fields(&e);
    e.send(&message(of(10, 5001), Some(&PACKETS_OCTETS), [1, 60]));
    assert!(fields(&e) > one);
    let restarted = |sequence| of(10, sequence).after(9);
    e.send(&message(restarted(0), Some(&PACKETS_OCTETS), [1, 70]));
    e.send(&message(restarted(1), None, [1, 80]));
    assert_eq!(fields(&e), one, "the earlier template is forgotten");
    e.send(&message(restarted(3), None, [1, 90]));
    e.send(&message(restarted(2), None, [1, 95]));
    let expected = [50, 60, 70, 80, 90, 95].map(|octets| (octets, 1));
    assert_eq!(taken(&mut e), expected);
}

#[test]
fn a_change_is_forgotten_after_a_minute() {
    let from = "192.0.2.1:4000";
    let mut e = exporter();
    let fields = |e: &Exporter| e.process.occupancy().template_fields;
    e.send_at(
        from,
        0,
        &message(of(10, 100), Some(&OCTETS_PACKETS), [50, 1]),
    );
    let one = fields(&e);
    e.send_at(
        from,
        0,
        &message(of(10, 103), Some(&PACKETS_OCTETS), [1, 60]),
    );
    e.send_at(from, 60_000, &message(of(10, 101), None, [70, 1]));
    e.send_at(from, 60_001, &message(of(10, 102), None, [1, 80]));
    let expected = [50, 60, 70, 80].map(|octets| (octets, 1));
    assert_eq!(taken(&mut e), expected);
    assert!(fields(&e) > one);
    e.process.expire(exporter::EXPORTED + 60_001);
    assert_eq!(fields(&e), one);
}

/// The templates of records.
#[derive(Default)]
struct UsedTemplates(Vec<Arc<Template>>);

impl RecordSink for UsedTemplates {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, _: &FlowRecord, fields: Fields<'_>) {
        let (template, _) = fields.octets().unwrap();
        self.0.push(Arc::clone(template));
    }
}

#[test]
fn a_late_definition_of_the_earlier_template_repeats_it() {
    let mut e = exporter();
    let mut used = UsedTemplates::default();
    let from = "192.0.2.1:4000".parse().unwrap();
    for (sequence, fields) in [
        (100, &OCTETS_PACKETS),
        (103, &PACKETS_OCTETS),
        (102, &OCTETS_PACKETS),
        (101, &OCTETS_PACKETS),
    ] {
        let message = message(of(10, sequence), Some(fields), [1, 1]);
        e.process.receive(from, &message, 0, &mut used);
    }
    let is_first: Vec<_> = used.0.iter().map(|t| Arc::ptr_eq(t, &used.0[0])).collect();
    assert_eq!(is_first, [true, false, true, true], "it is not made again");
}

#[test]
fn a_message_of_templates_that_was_exported_before_the_change_is_late() {
    let mut e = exporter();
    let definition = |seconds, fields: &[(u16, u16)]| {
        of(10, 100)
            .after(seconds)
            .with(&[(2, template(300, fields))])
    };
    e.send(&message(of(10, 99), Some(&OCTETS_PACKETS), [50, 1]));
    // Templates do not advance the number (RFC 7011 §3.1).
    e.send(&definition(2, &PACKETS_OCTETS));
    e.send(&definition(1, &OCTETS_PACKETS));
    e.send(&message(of(10, 100).after(2), None, [1, 60]));
    assert_eq!(taken(&mut e), [(50, 1), (60, 1)]);
}
