//! State that is kept over a restart of the collector.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{
    EXPORTED, Exporter, Header, exporter, header, numbers, options_template, template, template_set,
};
use flowproto::collector::{Limits, State, StateError};
use flowproto::record::Sampling;

const A: &str = "192.0.2.1:4000";
const B: &str = "192.0.2.1:4001";
const HOUR: u64 = 3_600_000;

fn of(version: u16, sequence: u32, seconds: u32) -> Header {
    header(version, sequence).after(seconds)
}

fn templates(version: u16, fields: &[(u16, u16)]) -> (u16, Vec<u8>) {
    (template_set(version), template(300, fields))
}

/// When a collector stops.
const STOPPED: u64 = EXPORTED + 20_000;

/// Stops a collector, and starts another one after `downtime` milliseconds.
fn restart(e: &Exporter, limits: Limits, downtime: u64) -> Exporter {
    // The clock of the process and that of the file differ.
    let octets = e.process.state(STOPPED).to_octets(77_000);
    let state = State::from_octets(&octets, 77_000 + downtime, u64::MAX).unwrap();
    let mut restarted = Exporter::new(limits);
    restarted.process.restore(&state, STOPPED + downtime);
    restarted
}

#[test]
fn templates_options_data_and_sequence_numbers_go_on() {
    for version in [9, 10] {
        for from in [A, "[2001:db8::1]:4000"] {
            let mut e = exporter();
            let sampler = match version {
                9 => vec![
                    (
                        1,
                        vec![1, 144, 0, 4, 0, 8, 0, 1, 0, 4, 0, 34, 0, 4, 0, 35, 0, 1],
                    ),
                    (400, numbers(&[(0, 4), (50, 4), (1, 1)])),
                ],
                _ => vec![
                    (
                        3,
                        options_template(400, 1, &[(0, 149, 4), (0, 34, 4), (0, 35, 1)]),
                    ),
                    (400, numbers(&[(7, 4), (50, 4), (1, 1)])),
                ],
            };
            let record = || (300, vec![0, 9]);
            e.send_at(
                from,
                0,
                &of(version, 100, 0).with(&[templates(version, &[(1, 2)])]),
            );
            e.send_at(
                from,
                0,
                &of(version, if version == 9 { 101 } else { 100 }, 0).with(&sampler),
            );
            for n in 0..8 {
                let sequence = if version == 9 { 102 + n } else { 101 + n };
                e.send_at(from, 0, &of(version, sequence, 0).with(&[record()]));
            }
            let last = if version == 9 { 109 } else { 108 };
            let mut e = restart(&e, Limits::default(), 40_000);
            assert_eq!(e.process.occupancy().templates, 2);
            assert_eq!(e.process.occupancy().metadata_entries, 1);
            // Three are missing.
            e.send_at(from, 60_000, &of(version, last + 4, 60).with(&[record()]));
            e.send_at(from, 60_001, &of(version, last + 5, 60).with(&[record()]));
            e.process.expire(EXPORTED + 70_000);
            assert_eq!(e.octets(), [9, 9], "v{version}");
            assert_eq!(e.taken.records[0].sampling, Sampling::one_in(50));
            assert_eq!(e.process.counters().sequence.lost, 3, "v{version}");
            let report = e.process.domains().next().unwrap();
            assert_eq!((report.records, report.sequence.lost), (2, 3));
        }
    }
}

#[test]
fn an_exporter_that_has_restarted_meanwhile_has_no_templates() {
    let mut e = exporter();
    let record = || (300, vec![0, 9]);
    e.send_at(A, 0, &of(9, 70_000, 900).with(&[templates(9, &[(1, 2)])]));
    e.send_at(B, 0, &of(10, 70_000, 0).with(&[templates(10, &[(1, 2)])]));
    e.send_at(B, 0, &of(10, 70_000, 0).with(&[record()]));
    let mut e = restart(&e, Limits::default(), 0);
    let header = Header {
        up_time: 5000,
        ..of(9, 3, 960)
    };
    e.send_at(A, 960_000, &header.with(&[record()]));
    e.send_at(B, 960_000, &of(10, 3, 960).with(&[record()]));
    e.send_at(B, 961_000, &of(10, 4, 961).with(&[record()]));
    assert_eq!(e.octets(), [] as [u64; 0]);
    assert_eq!(e.process.occupancy().pending_sets, 3);
    assert_eq!(e.process.counters().sequence.lost, 0);
}

#[test]
fn ports_of_v9_share_templates_of_sessions_that_have_ended() {
    let limits = Limits {
        domains: 2,
        ..Limits::default()
    };
    let mut e = Exporter::new(limits);
    e.send_at(
        "192.0.2.1:1",
        0,
        &of(9, 1, 0).with(&[templates(9, &[(1, 2)])]),
    );
    for port in 2..9_u32 {
        let header = of(9, port, 0);
        e.send_at(
            &format!("192.0.2.1:{port}"),
            0,
            &header.with(&[(300, vec![0, 9])]),
        );
    }
    let mut e = restart(&e, limits, 0);
    assert_eq!(e.process.occupancy().template_fields, 1);
    e.send_at("192.0.2.1:50", 0, &of(9, 9, 0).with(&[(300, vec![0, 9])]));
    assert_eq!(e.octets(), [9]);
    assert_eq!(e.process.counters().sequence.lost, 0);
}

#[test]
fn two_exporters_at_one_address_stay_apart() {
    let mut e = exporter();
    let sampler = |population: u64| {
        vec![
            (
                3,
                options_template(400, 1, &[(0, 302, 8), (0, 305, 4), (0, 306, 4)]),
            ),
            (400, numbers(&[(1, 8), (1, 4), (population - 1, 4)])),
        ]
    };
    for (from, fields, population) in [(A, [(1, 2), (302, 1)], 10), (B, [(302, 1), (1, 2)], 20)] {
        for _ in 0..2 {
            e.send_at(from, 0, &of(10, 0, 0).with(&[templates(10, &fields)]));
            e.send_at(from, 0, &of(10, 0, 0).with(&sampler(population)));
        }
    }
    let mut e = restart(&e, Limits::default(), 0);
    e.send_at(A, 0, &of(10, 2, 0).with(&[(300, vec![0, 9, 1])]));
    e.send_at(B, 0, &of(10, 2, 0).with(&[(300, vec![1, 0, 8])]));
    assert_eq!(e.octets(), [9, 8]);
    let sampling: Vec<_> = e
        .taken
        .records
        .iter()
        .map(|record| record.sampling)
        .collect();
    assert_eq!(sampling, [Sampling::one_in(10), Sampling::one_in(20)]);
}

#[test]
fn names_and_types_go_on() {
    let mut e = exporter();
    let sets = [
        (
            3,
            options_template(400, 1, &[(0, 10, 4), (0, 82, 4), (0, 300, 3)]),
        ),
        (400, [&numbers(&[(5, 4)])[..], b"eth0edg"].concat()),
        (
            3,
            options_template(
                401,
                2,
                &[(0, 346, 4), (0, 303, 2), (0, 339, 1), (0, 341, 4)],
            ),
        ),
        (
            401,
            [&numbers(&[(99_999, 4), (5, 2), (2, 1)])[..], b"mine"].concat(),
        ),
        (3, options_template(402, 1, &[(0, 95, 4), (0, 96, 4)])),
        (402, [&numbers(&[(77, 4)])[..], b"http"].concat()),
    ];
    e.send_at(A, 0, &of(10, 0, 0).with(&sets));
    let mut e = restart(&e, Limits::default(), 0);
    let fields = [(0, 10, 4), (99_999, 5, 1), (0, 95, 4)];
    let sets = [
        (2, exporter::template_of(300, &fields)),
        (300, numbers(&[(5, 4), (7, 1), (77, 4)])),
    ];
    e.send_at(A, 0, &of(10, 3, 0).with(&sets));
    let json = &e.taken.json[0];
    for member in [
        "\"ingressInterfaceName\":\"eth0\"",
        "\"mine\":7",
        "\"applicationName\":\"http\"",
    ] {
        assert!(json.contains(member), "{json}");
    }
    assert_eq!(e.process.domains().next().unwrap().name, Some("edg"));
}

#[test]
fn sessions_of_connections_are_not_kept_in_the_state() {
    let mut e = exporter();
    let message = of(10, 0, 0).with(&[templates(10, &[(1, 2)])]);
    let peer = A.parse().unwrap();
    e.process
        .receive_over(1, peer, &message, EXPORTED, &mut e.taken)
        .unwrap();
    assert_eq!(e.process.state(STOPPED).sessions(), 0);
}

#[test]
fn idle_sessions_and_those_without_room_are_left_out() {
    let mut e = exporter();
    for port in 1..=20_u64 {
        let from = format!("192.0.2.1:{port}");
        e.send_at(
            &from,
            port * 1000,
            &of(10, 0, 0).with(&[templates(10, &[(1, 2)])]),
        );
    }
    let limits = Limits {
        idle_milliseconds: HOUR,
        ..Limits::default()
    };
    let restarted = restart(&e, limits, HOUR - 10_000);
    assert_eq!(restarted.process.occupancy().domains, 11);
    let limits = Limits {
        domains: 5,
        ..Limits::default()
    };
    assert_eq!(restart(&e, limits, 0).process.occupancy().domains, 5);
    let limits = Limits {
        template_fields: 3,
        ..Limits::default()
    };
    assert!(restart(&e, limits, 0).process.occupancy().template_fields <= 3);
}

#[test]
fn states_of_several_processes_are_merged() {
    let mut one = exporter();
    let mut other = exporter();
    one.send_at(A, 0, &of(10, 0, 0).with(&[templates(10, &[(1, 2)])]));
    other.send_at(B, 0, &of(10, 0, 0).with(&[templates(10, &[(2, 2)])]));
    // Both have state of a session; that of the later Message is taken.
    one.send_at(
        "192.0.2.9:1",
        0,
        &of(10, 0, 0).with(&[templates(10, &[(2, 2)]), (300, vec![0, 1])]),
    );
    other.send_at(
        "192.0.2.9:1",
        1000,
        &of(10, 1, 1).with(&[templates(10, &[(1, 2)]), (300, vec![0, 1])]),
    );
    for order in [[&one, &other], [&other, &one]] {
        let mut state = order[0].process.state(STOPPED);
        state.merge(order[1].process.state(STOPPED));
        assert_eq!(state.sessions(), 3);
        let mut e = exporter();
        e.process.restore(&state, STOPPED);
        for from in [A, B, "192.0.2.9:1"] {
            e.send_at(from, 2000, &of(10, 2, 2).with(&[(300, vec![0, 9])]));
        }
        assert_eq!(e.octets(), [9, 0, 9]);
        // What was restored twice is there once.
        e.process.restore(&state, STOPPED);
        assert_eq!(e.process.occupancy().domains, 3);
        let mut twice = e.process.state(STOPPED);
        twice.merge(e.process.state(STOPPED));
        assert_eq!(twice.sessions(), 3);
    }
}

#[test]
fn octets_that_cannot_be_used_are_refused_with_a_reason() {
    let mut e = exporter();
    e.send_at(A, 0, &of(10, 0, 0).with(&[templates(10, &[(1, 2)])]));
    let octets = e.process.state(STOPPED).to_octets(EXPORTED);
    assert!(State::from_octets(&octets, EXPORTED + HOUR, HOUR).is_ok());
    let old = State::from_octets(&octets, EXPORTED + HOUR + 1, HOUR);
    assert_eq!(old.unwrap_err(), StateError::TooOld(HOUR + 1));
    assert_eq!(StateError::TooOld(HOUR + 1).to_string(), "too old: 3600 s");
    for length in 0..octets.len() {
        assert!(State::from_octets(&octets[..length], EXPORTED, HOUR).is_err());
    }
    for at in 0..octets.len() {
        let mut changed = octets.clone();
        changed[at] ^= 4;
        let error = State::from_octets(&changed, EXPORTED, HOUR).unwrap_err();
        let expected = if at < 16 {
            StateError::Format
        } else {
            StateError::Corrupt
        };
        assert_eq!(error, expected);
    }
    let mut longer = octets;
    longer.push(0);
    assert!(State::from_octets(&longer, EXPORTED, HOUR).is_err());
}
