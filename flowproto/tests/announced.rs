//! What exporters say of themselves in options data: sampling, names, types, how they fare.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{
    EXPORTED, Exporter, exporter, ipfix, netflow9, numbers, options_template, template, template_of,
};
use flowproto::collector::Limits;
use flowproto::record::Sampling;

/// Sends an options record: fields, and values of their widths.
fn announce(e: &mut Exporter, fields: &[(u16, u64, u16)]) {
    let specifiers: Vec<_> = fields
        .iter()
        .map(|(id, _, width)| (0, *id, *width))
        .collect();
    let values: Vec<_> = fields
        .iter()
        .map(|(_, value, width)| (*value, (*width).into()))
        .collect();
    let sets = [
        (3, options_template(400, 1, &specifiers)),
        (400, numbers(&values)),
    ];
    e.send(&ipfix(0, &sets));
}

/// The sampling of a record that names a selector, or none.
fn sampling(e: &mut Exporter, selector: Option<u64>) -> Sampling {
    let sets = match selector {
        Some(selector) => [
            (2, template(300, &[(1, 1), (302, 8)])),
            (300, numbers(&[(1, 1), (selector, 8)])),
        ],
        None => [(2, template(301, &[(1, 1)])), (301, vec![1])],
    };
    e.send(&ipfix(0, &sets));
    e.taken.records.last().unwrap().sampling
}

#[test]
fn every_way_to_announce_sampling_is_understood() {
    type Way = &'static [(u16, u64, u16)];
    let ways: [(Way, (u32, u32)); 8] = [
        (&[(149, 7, 4), (34, 100, 4), (35, 2, 1)], (1, 99)),
        (
            &[(149, 7, 4), (48, 3, 1), (49, 2, 1), (50, 128, 4)],
            (1, 127),
        ),
        (&[(149, 7, 4), (305, 2, 4), (306, 6, 4)], (2, 6)),
        (
            &[
                (149, 7, 4),
                (302, 5, 8),
                (304, 1, 2),
                (305, 1, 4),
                (306, 9, 4),
            ],
            (1, 9),
        ),
        (
            &[(302, 5, 8), (304, 3, 2), (309, 10, 4), (310, 1000, 4)],
            (10, 990),
        ),
        (
            &[(302, 5, 8), (304, 4, 2), (311, 0x3fc0_0000_0000_0000, 8)],
            (65_536, 458_752),
        ),
        (&[(149, 7, 4), (34, 1, 4)], (1, 0)),
        (&[(149, 7, 4), (34, 0, 4)], (1, 0)),
    ];
    for (way, (interval, space)) in ways {
        let mut e = exporter();
        announce(&mut e, way);
        assert_eq!(
            sampling(&mut e, None),
            Sampling { interval, space },
            "{way:?}"
        );
    }
}

#[test]
fn a_record_is_sampled_as_its_selector_announces() {
    let mut e = exporter();
    announce(
        &mut e,
        &[(302, 1, 8), (304, 1, 2), (305, 1, 4), (306, 9, 4)],
    );
    announce(
        &mut e,
        &[(302, 2, 8), (304, 3, 2), (309, 1, 4), (310, 50, 4)],
    );
    assert_eq!(sampling(&mut e, Some(1)), Sampling::one_in(10));
    assert_eq!(sampling(&mut e, Some(2)), Sampling::one_in(50));
    assert_eq!(sampling(&mut e, Some(3)), Sampling::NONE);
    // The selectors disagree.
    assert_eq!(sampling(&mut e, None), Sampling::NONE);
}

#[test]
fn an_announcement_for_another_domain_does_not_apply() {
    let mut e = exporter();
    announce(&mut e, &[(149, 8, 4), (34, 100, 4), (41, 5, 8)]);
    assert_eq!(sampling(&mut e, None), Sampling::NONE);
    let domain = e.process.domains().next().unwrap();
    assert_eq!(domain.statistics.iter().count(), 0);
}

#[test]
fn how_an_exporter_fares_is_kept() {
    let mut e = exporter();
    announce(
        &mut e,
        &[(149, 7, 4), (40, 1000, 8), (41, 10, 8), (42, 100, 8)],
    );
    announce(
        &mut e,
        &[(149, 7, 4), (42, 120, 8), (164, 3, 8), (166, 2, 8)],
    );
    let domain = e.process.domains().next().unwrap();
    let statistics: Vec<_> = domain.statistics.iter().collect();
    let expected = [
        ("exported_octets", 1000),
        ("exported_messages", 10),
        ("exported_records", 120),
        ("ignored_packets", 3),
        ("records_not_sent", 2),
    ];
    assert_eq!(statistics, expected);
}

/// An options record with text: scope fields first.
fn options(e: &mut Exporter, id: u16, fields: &[(u16, u16)], record: &[u8]) {
    let fields: Vec<_> = fields.iter().map(|(id, width)| (0, *id, *width)).collect();
    let sets = [(3, options_template(id, 1, &fields)), (id, record.to_vec())];
    e.send(&ipfix(0, &sets));
}

#[test]
fn interfaces_and_applications_are_named_in_the_line() {
    let mut e = exporter();
    options(&mut e, 400, &[(10, 4), (82, 65_535)], b"\0\0\0\x03\x04eth0");
    options(&mut e, 401, &[(10, 4), (83, 8)], b"\0\0\0\x04uplink\0\0");
    options(
        &mut e,
        402,
        &[(95, 4), (96, 65_535)],
        b"\x03\0\x01\xbb\x05https",
    );
    let fields = template(300, &[(10, 4), (14, 2), (95, 4)]);
    let record = numbers(&[(3, 4), (4, 2), (0x0300_01bb, 4), (9, 4), (0, 2), (1, 4)]);
    e.send(&ipfix(0, &[(2, fields), (300, record)]));
    let named = "\"ingressInterface\":3,\"ingressInterfaceName\":\"eth0\",\"egressInterface\":4,\
                 \"egressInterfaceName\":\"uplink\",\"applicationId\":\"030001bb\",\"applicationName\":\"https\"";
    let unnamed = "\"ingressInterface\":9,\"egressInterface\":0,\"applicationId\":\"00000001\"";
    assert_eq!(e.taken.json, [named, unnamed]);
    assert_eq!(e.process.occupancy().metadata_entries, 3);
}

#[test]
fn a_name_that_the_record_carries_stands_once() {
    let mut e = exporter();
    options(
        &mut e,
        402,
        &[(95, 4), (96, 65_535)],
        b"\x03\0\x01\xbb\x05https",
    );
    let record = [&[3, 0, 1, 0xbb][..], b"\x03web"].concat();
    let fields = template(300, &[(95, 4), (96, 65_535)]);
    e.send(&ipfix(0, &[(2, fields), (300, record)]));
    let line = "\"applicationId\":\"030001bb\",\"applicationName\":\"web\"";
    assert_eq!(e.taken.json, [line]);
}

#[test]
fn a_v9_scope_is_an_interface_and_no_counter() {
    let mut e = exporter();
    // Scope 2 (Interface) and options 82, 34; lengths in octets.
    let fields = numbers(&[(400, 2), (4, 2), (4, 2), (2, 2), (4, 2), (82, 2), (8, 2)]);
    let record = b"\0\0\0\x07wan0\0\0\0\0".to_vec();
    let flows = template(300, &[(14, 4)]);
    let sets = [
        (1, fields),
        (400, record),
        (0, flows),
        (300, numbers(&[(7, 4)])),
    ];
    e.send(&netflow9(&sets));
    assert_eq!(
        e.taken.json,
        ["\"egressInterface\":7,\"egressInterfaceName\":\"wan0\""]
    );
}

/// A type record (RFC 5610 §4): scope 346 and 303, then 339 and 341.
fn describe(e: &mut Exporter, enterprise: u64, id: u64, data_type: u64, name: &str) {
    let fields = [(0, 346, 4), (0, 303, 2), (0, 339, 1), (0, 341, 65_535)];
    let mut record = numbers(&[
        (enterprise, 4),
        (id, 2),
        (data_type, 1),
        (name.len().try_into().unwrap(), 1),
    ]);
    record.extend(name.bytes());
    let sets = [(3, options_template(500, 2, &fields)), (500, record)];
    e.send(&ipfix(0, &sets));
}

/// The line of a record with one field of an enterprise.
fn line_of(e: &mut Exporter, enterprise: u32, id: u16, value: &[u8]) -> String {
    let template = template_of(
        300,
        &[(enterprise, id, u16::try_from(value.len()).unwrap())],
    );
    e.send(&ipfix(0, &[(2, template), (300, value.to_vec())]));
    e.taken.json.last().unwrap().clone()
}

#[test]
fn an_exporters_own_elements_are_read_as_it_describes_them() {
    let mut e = exporter();
    assert_eq!(line_of(&mut e, 99_999, 5, &[1, 0]), "\"99999:5\":\"0100\"");
    describe(&mut e, 99_999, 5, 2, "queueDepth");
    describe(&mut e, 99_999, 6, 13, "rackName");
    describe(&mut e, 99_999, 7, 18, "peerAddress");
    assert_eq!(line_of(&mut e, 99_999, 5, &[1, 0]), "\"queueDepth\":256");
    assert_eq!(line_of(&mut e, 99_999, 6, b"r7"), "\"rackName\":\"r7\"");
    assert_eq!(
        line_of(&mut e, 99_999, 7, &[10, 0, 0, 1]),
        "\"peerAddress\":\"10.0.0.1\""
    );
}

#[test]
fn options_data_cannot_rename_elements_of_the_registry_or_members_of_the_line() {
    let mut e = exporter();
    describe(&mut e, 0, 1, 13, "x");
    describe(&mut e, 56_506, 101, 1, "x");
    describe(&mut e, 99_999, 5, 2, "exporter");
    describe(&mut e, 99_999, 6, 2, "a\":1,\"b");
    describe(&mut e, 99_999, 7, 99, "x");
    describe(&mut e, 99_999, 8, 2, "octetDeltaCount");
    describe(&mut e, 99_999, 9, 2, "reverseOctetDeltaCount");
    describe(&mut e, 99_999, 10, 2, "ingressInterfaceName");
    assert_eq!(e.process.occupancy().metadata_entries, 0);
    assert_eq!(
        line_of(&mut e, 56_506, 101, b"web"),
        "\"sourcePodName\":\"web\""
    );
}

#[test]
fn no_name_stands_twice_in_a_line() {
    let mut e = exporter();
    describe(&mut e, 99_999, 5, 2, "queueDepth");
    describe(&mut e, 99_999, 6, 2, "queueDepth");
    assert_eq!(e.process.counters().metadata_refused, 1);
    // CERT had an httpUserAgent before IANA did.
    let fields = [(99_999, 5, 1), (99_999, 6, 1), (6_871, 111, 1), (0, 468, 1)];
    let sets = [
        (2, template_of(300, &fields)),
        (300, b"\x01\x02ab".to_vec()),
    ];
    e.send(&ipfix(0, &sets));
    let line = e.taken.json.last().unwrap();
    assert_eq!(
        line,
        "\"queueDepth\":1,\"99999:6\":\"02\",\"httpUserAgent\":\"a\",\"0:468\":\"b\""
    );
    // The name is free again when its element is called otherwise.
    describe(&mut e, 99_999, 5, 2, "depth");
    describe(&mut e, 99_999, 6, 2, "queueDepth");
    assert_eq!(line_of(&mut e, 99_999, 6, &[7]), "\"queueDepth\":7");
}

#[test]
fn announcements_of_an_exporter_apply_only_to_it() {
    let mut e = exporter();
    describe(&mut e, 99_999, 5, 2, "queueDepth");
    let template = template_of(300, &[(99_999, 5, 1)]);
    let other = "192.0.2.2:4000".parse().unwrap();
    let message = ipfix(0, &[(2, template), (300, vec![1])]);
    e.process.receive(other, &message, 0, &mut e.taken);
    assert_eq!(e.taken.json, ["\"99999:5\":\"01\""]);
}

#[test]
fn names_are_bounded_and_go_with_their_domain() {
    let limits = Limits {
        metadata_entries: 10,
        ..Limits::default()
    };
    let mut e = Exporter::new(limits);
    for id in 0..20 {
        describe(&mut e, 99_999, id, 2, &format!("x{id}"));
        describe(&mut e, 99_999, id, 2, &format!("again{id}"));
    }
    assert_eq!(e.process.occupancy().metadata_entries, 10);
    assert_eq!(e.process.counters().metadata_refused, 20);
    e.process.expire(limits.idle_milliseconds + 1);
    assert_eq!(e.process.occupancy().metadata_entries, 0);
}

#[test]
fn an_uptime_that_has_wrapped_gives_the_right_time() {
    let mut e = exporter();
    let wrap = 1_u64 << 32;
    // 160: started 100 days ago; flows 10 s before the export.
    let init = EXPORTED - 100 * 86_400_000;
    announce(&mut e, &[(149, 7, 4), (160, init, 8)]);
    let up_time = (100 * 86_400_000 - 10_000) % wrap;
    let fields = template(300, &[(22, 4), (21, 4)]);
    let record = numbers(&[(up_time, 4), (up_time + 5000, 4)]);
    e.send(&ipfix(0, &[(2, fields), (300, record)]));
    let record = &e.taken.records[0];
    assert_eq!(record.flow_start_milliseconds, EXPORTED - 10_000);
    assert_eq!(record.flow_end_milliseconds, EXPORTED - 5000);
}
