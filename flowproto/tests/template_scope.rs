//! Which template a Data Set is read with: never a wrong one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{
    Exporter, Header, exporter, header, ipfix, options_template, template, template_set,
};
use flowproto::collector::{Limits, Unusable};

/// Set of templates, of options templates, by version.
const SETS: [(u16, u16, u16); 2] = [(10, 2, 3), (9, 0, 1)];

const A: &str = "192.0.2.1:5001";
const B: &str = "192.0.2.1:5002";
const C: &str = "192.0.2.1:5003";

/// Octets in four octets, and the same after two octets of packets: the same length, other values.
fn layouts() -> [Vec<u8>; 2] {
    [template(300, &[(1, 4)]), template(300, &[(2, 2), (1, 2)])]
}

//------------ Redefinitions ---------------------------------------------------------------------

#[test]
fn a_refused_redefinition_ends_the_old_template() {
    for (version, templates, _) in SETS {
        // Too many fields, records without octets, more fields than the Set has.
        let long: Vec<_> = (0..1025).map(|n| (1 + n % 400, 1)).collect();
        let refused = [
            template(300, &long),
            template(300, &[(1, 0)]),
            [template(300, &[(1, 4)]), vec![0; 4]].concat()[..6].to_vec(),
            vec![1, 44, 0, 9, 0, 1, 0, 4],
        ];
        for refused in refused {
            let mut e = exporter();
            let [first, _] = layouts();
            e.send(&header(version, 1).with(&[(templates, first)]));
            e.send(&header(version, 2).with(&[(templates, refused), (300, vec![0, 0, 0, 9])]));
            assert_eq!(e.octets(), [] as [u64; 0], "{version}");
            assert_eq!(e.unusable(Unusable::InvalidTemplate), 1, "{version}");
            assert_eq!(e.process.occupancy().pending_sets, 1);
            // A definition that can be read is used at once.
            let [_, second] = layouts();
            e.send(&header(version, 3).with(&[(templates, second)]));
            assert_eq!(e.octets(), [9]);
        }
    }
}

#[test]
fn a_definition_for_which_there_is_no_room_ends_the_old_template() {
    let limits = Limits {
        template_fields: 4,
        ..Limits::default()
    };
    for (version, templates, _) in SETS {
        let mut e = Exporter::new(limits);
        let [first, _] = layouts();
        e.send(&header(version, 1).with(&[(templates, first)]));
        let long = template(300, &[(1, 1), (2, 1), (4, 1), (5, 1)]);
        e.send(&header(version, 2).with(&[(templates, long), (300, vec![0, 0, 0, 9])]));
        assert_eq!(e.octets(), [] as [u64; 0]);
        assert_eq!(e.unusable(Unusable::TooManyTemplates), 1);
    }
}

#[test]
fn an_options_template_ends_a_template_of_its_id_and_the_reverse() {
    for (version, templates, options) in SETS {
        let mut e = exporter();
        let [first, _] = layouts();
        e.send(&header(version, 1).with(&[(templates, first.clone())]));
        let other = match version {
            9 => vec![1, 44, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4],
            _ => options_template(300, 1, &[(0, 149, 4), (0, 34, 4)]),
        };
        let record = (300, vec![0, 0, 0, 7, 0, 0, 0, 10]);
        e.send(&header(version, 2).with(&[(options, other), record]));
        assert_eq!(e.octets(), [] as [u64; 0]);
        assert_eq!(e.process.counters().options_records, 1);
        e.send(&header(version, 3).with(&[(templates, first), (300, vec![0, 0, 0, 9])]));
        assert_eq!(e.octets(), [9]);
    }
}

//------------ Restarts --------------------------------------------------------------------------

#[test]
fn after_a_restart_no_earlier_template_is_used() {
    // v9 by its up time; IPFIX by its sequence number, which the next Message confirms.
    for (version, templates, _) in SETS {
        let mut e = exporter();
        let [first, second] = layouts();
        let sent = |sequence, seconds, up_time, sets: &[(u16, Vec<u8>)]| {
            let header = Header {
                sequence,
                seconds,
                up_time: if version == 9 { up_time } else { 0 },
                ..header(version, 0)
            };
            header.with(sets)
        };
        let record = || (300, vec![0, 5, 0, 9]);
        e.send_at(A, 0, &sent(70_000, 0, 900_000, &[(templates, first)]));
        e.send_at(
            A,
            1000,
            &sent(70_001 - u32::from(version == 10), 1, 901_000, &[record()]),
        );
        assert_eq!(e.take_octets(), [5 << 16 | 9]);
        // The restarted exporter sends records first.
        e.send_at(A, 60_000, &sent(0, 60, 2000, &[record()]));
        e.send_at(A, 61_000, &sent(1, 61, 3000, &[record()]));
        assert_eq!(e.take_octets(), [] as [u64; 0], "{version}");
        e.send_at(A, 62_000, &sent(2, 62, 4000, &[(templates, second)]));
        assert_eq!(e.take_octets(), [9, 9], "{version}");
        assert_eq!(e.process.counters().sequence.restarts, 1);
        assert_eq!(e.process.counters().sequence.lost, 0);
    }
}

#[test]
fn a_restart_is_seen_although_the_exporter_is_up_for_longer_now() {
    let mut e = exporter();
    let [first, _] = layouts();
    for second in 0..5_u32 {
        let header = Header {
            up_time: 3000 + 1000 * second,
            ..Header::netflow9(second).after(0)
        };
        let header = Header {
            seconds: second,
            ..header
        };
        e.send_at(
            A,
            u64::from(second) * 1000,
            &header.with(&[(0, first.clone())]),
        );
    }
    // It restarted 80 s ago, 20 s after its last Message.
    let header = Header {
        up_time: 80_000,
        seconds: 104,
        ..Header::netflow9(400)
    };
    e.send_at(A, 104_000, &header.with(&[(300, vec![0, 0, 0, 9])]));
    assert_eq!(e.octets(), [] as [u64; 0]);
    assert_eq!(e.process.occupancy().pending_sets, 1);
}

#[test]
fn a_late_message_is_not_a_restart() {
    for (version, templates, _) in SETS {
        let mut e = exporter();
        let [first, _] = layouts();
        let record = || (300, vec![0, 0, 0, 9]);
        e.send_at(A, 0, &header(version, 9).with(&[(templates, first)]));
        e.send_at(A, 10, &header(version, 11).with(&[record()]));
        e.send_at(A, 20, &header(version, 10).with(&[record()]));
        assert_eq!(e.octets(), [9, 9], "{version}");
        assert_eq!(e.process.counters().sequence.restarts, 0);
    }
}

#[test]
fn messages_late_by_their_clocks_do_not_show_a_restart() {
    for (version, has_up_time) in [(9, true), (9, false), (10, false)] {
        let mut e = exporter();
        let [first, _] = layouts();
        let sent = |sequence, seconds, sets: &[(u16, Vec<u8>)]| {
            let header = Header {
                sequence,
                seconds,
                up_time: u32::from(has_up_time) * seconds * 1000,
                ..header(version, 0)
            };
            header.with(sets)
        };
        let record = |octets| (300, vec![0, 0, 0, octets]);
        let templates = template_set(version);
        e.send_at(A, 0, &sent(80_000, 40, &[(templates, first)]));
        // The file has 20 seconds of Messages behind later ones.
        e.send_at(A, 100, &sent(80_020, 60, &[record(1)]));
        for (sequence, seconds) in [(80_005, 45), (80_006, 53), (80_009, 54), (80_010, 55)] {
            e.send_at(A, 200, &sent(sequence, seconds, &[record(2)]));
        }
        e.send_at(A, 300, &sent(80_021, 61, &[record(3)]));
        assert_eq!(e.take_octets(), [1, 2, 2, 2, 2, 3], "{version}");
        assert_eq!(e.process.counters().sequence.restarts, 0, "{version}");
    }
}

#[test]
fn a_late_message_from_before_a_restart_does_not_deny_it() {
    for (version, templates, _) in SETS {
        let mut e = exporter();
        let [first, second] = layouts();
        let sent = |sequence, seconds, sets: &[(u16, Vec<u8>)]| {
            let header = Header {
                sequence,
                seconds,
                up_time: 0,
                ..header(version, 0)
            };
            header.with(sets)
        };
        let record = || (300, vec![0, 5, 0, 9]);
        e.send_at(A, 0, &sent(80_000, 40, &[(templates, first)]));
        e.send_at(A, 1000, &sent(80_002, 42, &[record()]));
        assert_eq!(e.take_octets(), [5 << 16 | 9]);
        e.send_at(A, 9000, &sent(0, 50, &[record()]));
        e.send_at(A, 9001, &sent(80_001, 41, &[record()]));
        assert_eq!(e.take_octets(), [5 << 16 | 9], "{version}");
        e.send_at(A, 9002, &sent(1, 51, &[record()]));
        assert_eq!(e.take_octets(), [] as [u64; 0], "{version}");
        e.send_at(A, 9003, &sent(2, 52, &[(templates, second)]));
        assert_eq!(e.take_octets(), [9, 9], "{version}");
        assert_eq!(e.process.counters().sequence.restarts, 1, "{version}");
    }
}

#[test]
fn one_stray_number_makes_its_sets_wait_and_nothing_else() {
    let mut e = exporter();
    let [first, _] = layouts();
    let record = || (300, vec![0, 0, 0, 9]);
    e.send_at(A, 0, &ipfix(50_000, &[(2, first)]));
    e.send_at(A, 1000, &Header::ipfix(50_000).after(1).with(&[record()]));
    e.send_at(A, 9000, &Header::ipfix(3).after(9).with(&[record()]));
    assert_eq!(e.take_octets(), [9]);
    e.send_at(
        A,
        10_000,
        &Header::ipfix(50_001).after(10).with(&[record()]),
    );
    assert_eq!(e.take_octets(), [9, 9]);
    assert_eq!(e.process.counters().sequence.lost, 0);
}

//------------ Ports -----------------------------------------------------------------------------

#[test]
fn a_port_of_ipfix_has_no_templates_but_its_own() {
    let mut e = exporter();
    let [first, second] = layouts();
    e.send_at(A, 0, &ipfix(0, &[(2, first)]));
    e.send_at(B, 0, &ipfix(0, &[(300, vec![0, 0, 0, 9])]));
    assert_eq!(e.octets(), [] as [u64; 0]);
    assert_eq!(e.process.occupancy().pending_sets, 1);
    e.send_at(B, 0, &ipfix(1, &[(2, second)]));
    assert_eq!(e.octets(), [9]);
    assert_eq!(e.process.counters().sets_of_shared_templates, 0);
}

#[test]
fn a_port_of_v9_uses_the_template_of_its_source_id() {
    let mut e = exporter();
    let [first, _] = layouts();
    let record = || (300, vec![0, 0, 0, 9]);
    e.send_at(A, 0, &Header::netflow9(1).with(&[(0, first)]));
    e.send_at(B, 0, &Header::netflow9(2).with(&[record()]));
    e.send_at(C, 0, &Header::netflow9(3).with(&[record(), record()]));
    assert_eq!(e.octets(), [9, 9, 9]);
    let counters = e.process.counters();
    assert_eq!(counters.sets_of_shared_templates, 3);
    assert_eq!(counters.sequence.lost, 0);
    assert_eq!(e.process.domains().count(), 1);
    assert_eq!(
        e.process.domains().next().unwrap().sets_of_shared_templates,
        3
    );
    // Another Source ID is another stream, another address too.
    let other = Header {
        domain: 8,
        ..Header::netflow9(1)
    };
    e.send_at(A, 0, &other.with(&[record()]));
    e.send_at("192.0.2.9:5001", 0, &Header::netflow9(1).with(&[record()]));
    assert_eq!(e.octets(), [9, 9, 9]);
}

#[test]
fn a_set_of_v9_waits_for_the_template_of_another_port() {
    for from in ["192.0.2.1", "[2001:db8::1]"] {
        let mut e = exporter();
        let at = |port| format!("{from}:{port}");
        let [first, _] = layouts();
        let record = (300, vec![0, 0, 0, 9]);
        e.send_at(&at(1), 0, &Header::netflow9(1).with(&[record]));
        assert_eq!(e.octets(), [] as [u64; 0]);
        e.send_at(&at(2), 0, &Header::netflow9(2).with(&[(0, first)]));
        assert_eq!(e.octets(), [9]);
        assert_eq!(e.process.occupancy().pending_octets, 0);
    }
}

#[test]
fn sharing_can_be_switched_off() {
    let mut e = Exporter::new(Limits {
        template_sharing: false,
        ..Limits::default()
    });
    let [first, _] = layouts();
    e.send_at(A, 0, &Header::netflow9(1).with(&[(0, first)]));
    e.send_at(B, 0, &Header::netflow9(2).with(&[(300, vec![0, 0, 0, 9])]));
    assert_eq!(e.octets(), [] as [u64; 0]);
    assert_eq!(e.process.counters().sets_of_shared_templates, 0);
}

#[test]
fn two_processes_of_v9_at_one_address_keep_their_own_layouts() {
    let mut e = exporter();
    let [first, second] = layouts();
    let record = || (300, vec![0, 5, 0, 9]);
    // Their own numbers, far apart.
    e.send_at(A, 0, &Header::netflow9(1000).with(&[(0, first)]));
    e.send_at(B, 0, &Header::netflow9(900_000).with(&[(0, second)]));
    for n in 1..40 {
        e.send_at(
            A,
            n * 20,
            &Header::netflow9(1000 + n as u32).with(&[record()]),
        );
        e.send_at(
            B,
            n * 20,
            &Header::netflow9(900_000 + n as u32).with(&[record()]),
        );
    }
    let expected: Vec<u64> = (1..40).flat_map(|_| [5 << 16 | 9, 9]).collect();
    assert_eq!(e.take_octets(), expected);
    // A third port that has no template takes neither.
    e.send_at(C, 900, &Header::netflow9(5).with(&[record()]));
    assert_eq!(e.octets(), [] as [u64; 0]);
    assert_eq!(e.process.counters().sequence.lost, 0);
}

#[test]
fn a_new_port_that_continues_the_numbers_uses_the_templates_of_the_port_before() {
    // A NAT gives an IPFIX exporter a new port in the middle of its numbers.
    let mut e = exporter();
    let [first, second] = layouts();
    let record = || (300, vec![0, 5, 0, 9]);
    e.send_at(A, 0, &ipfix(5000, &[(2, first)]));
    e.send_at(A, 1000, &ipfix(5000, &[record(), record()]));
    e.send_at(B, 2000, &ipfix(5002, &[record()]));
    e.send_at(B, 3000, &ipfix(5003, &[record()]));
    assert_eq!(e.take_octets(), [5 << 16 | 9; 4]);
    // The new port redefines it; the old one comes back and continues.
    e.send_at(B, 4000, &ipfix(5004, &[(2, second), record()]));
    e.send_at(A, 5000, &ipfix(5005, &[record()]));
    assert_eq!(e.take_octets(), [9, 9]);
    assert_eq!(e.process.counters().sequence.lost, 0);
}

#[test]
fn a_template_stays_for_other_ports_when_its_session_ends() {
    let limits = Limits {
        domains: 2,
        ..Limits::default()
    };
    let mut e = Exporter::new(limits);
    let [first, _] = layouts();
    e.send_at(A, 0, &Header::netflow9(1).with(&[(0, first)]));
    for port in 6000..6050 {
        let header = Header::netflow9(port - 5998);
        let from = format!("192.0.2.1:{port}");
        e.send_at(&from, 0, &header.with(&[(300, vec![0, 0, 0, 9])]));
    }
    assert_eq!(e.octets(), [9; 50]);
    assert_eq!(e.process.occupancy().domains, 2);
    assert_eq!(e.process.counters().sequence.lost, 0);
    assert_eq!(e.process.domains().count(), 1);
    assert_eq!(e.process.domains().next().unwrap().records, 50);
}
