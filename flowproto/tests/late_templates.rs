//! Messages that arrive after a template has changed, but were sent before that.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{Exporter, Header, exporter, template};
use flowproto::collector::{Limits, Unusable};

/// Octets first, and packets first.
const OCTETS_PACKETS: [(u16, u16); 2] = [(1, 1), (2, 1)];
const PACKETS_OCTETS: [(u16, u16); 2] = [(2, 1), (1, 1)];
/// Another one of two octets.
const OCTETS_ONLY: [(u16, u16); 1] = [(1, 2)];

/// A Message with a record, behind a template if one is given.
fn message(header: Header, fields: Option<&[(u16, u16)]>, record: [u8; 2]) -> Vec<u8> {
    let set = if header.version == 9 { 0 } else { 2 };
    let template = fields.map(|fields| (set, template(300, fields)));
    let sets: Vec<_> = template
        .into_iter()
        .chain([(300, record.to_vec())])
        .collect();
    header.with(&sets)
}

fn of(version: u16, sequence: u32) -> Header {
    match version {
        9 => Header::netflow9(sequence),
        _ => Header::ipfix(sequence),
    }
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
