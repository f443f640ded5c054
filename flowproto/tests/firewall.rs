//! Firewall connections of Cisco ASA (NSEL): octets and connections count once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{Exporter, Header, exporter, header, numbers, template, template_set};

/// 233 `firewallEvent`.
const CREATED: u64 = 1;
const DELETED: u64 = 2;
const DENIED: u64 = 3;
const UPDATED: u64 = 5;

const BEGAN: u64 = 1_700_000_000_000;

/// An event: flow ID, source port, event, start, octets of both directions.
#[derive(Clone, Copy)]
struct Event(u64, u64, u64, u64, [u64; 2]);

/// Sends an event in a datagram. `event`: the element, 233 or 40005.
fn send(e: &mut Exporter, (version, event_element): (u16, u16), sequence: u32, event: Event) {
    let Event(flow, port, kind, start, [forward, reverse]) = event;
    let fields = [
        (148, 4),
        (8, 4),
        (7, 2),
        (12, 4),
        (11, 2),
        (4, 1),
        (event_element, 1),
        (152, 8),
        (231, 4),
        (232, 4),
    ];
    let values = [
        (flow, 4),
        (0x0a00_0001, 4),
        (port, 2),
        (0xc000_0202, 4),
        (443, 2),
        (6, 1),
        (kind, 1),
        (start, 8),
        (forward, 4),
        (reverse, 4),
    ];
    let templates = (template_set(version), template(300, &fields));
    let sets = [templates, (300, numbers(&values))];
    e.send_at("192.0.2.1:1", 0, &header(version, sequence).with(&sets));
}

/// What events count: octets of both directions, and connections.
fn counted(of: (u16, u16), events: &[Event]) -> (u64, u64, usize) {
    let mut e = exporter();
    for (sequence, event) in events.iter().enumerate() {
        send(&mut e, of, sequence as u32, *event);
    }
    let records = &e.taken.records;
    (
        records.iter().map(|record| record.octet_delta_count).sum(),
        records
            .iter()
            .map(|record| record.reverse_octet_delta_count)
            .sum(),
        records
            .iter()
            .filter(|record| !record.is_continuation)
            .count(),
    )
}

const KINDS: [(u16, u16); 3] = [(9, 233), (10, 233), (9, 40_005)];

#[test]
fn a_teardown_adds_what_the_updates_have_not_counted() {
    for of in KINDS {
        let events = [
            Event(1, 1000, CREATED, BEGAN, [0, 0]),
            Event(1, 1000, UPDATED, BEGAN, [100, 1000]),
            Event(1, 1000, UPDATED, BEGAN, [50, 500]),
            Event(1, 1000, DELETED, BEGAN, [170, 1600]),
        ];
        assert_eq!(counted(of, &events), (170, 1600, 1), "{of:?}");
        // The creation was lost, or the updates were.
        assert_eq!(counted(of, &events[1..]), (170, 1600, 1));
        assert_eq!(counted(of, &[events[0], events[3]]), (170, 1600, 1));
        assert_eq!(counted(of, &events[3..]), (170, 1600, 1));
        // The teardown is still to come.
        assert_eq!(counted(of, &events[..3]), (150, 1500, 1));
        // An update after the teardown, and a repeated teardown.
        let late = [events[0], events[1], events[3], events[2], events[3]];
        assert_eq!(counted(of, &late), (170, 1600, 1));
    }
}

#[test]
fn ids_and_ports_used_again_are_another_connection() {
    for of in KINDS {
        let connection = |flow, port, start, octets| {
            [
                Event(flow, port, CREATED, start, [0, 0]),
                Event(flow, port, UPDATED, start, [octets, 0]),
                Event(flow, port, DELETED, start, [octets, 0]),
            ]
        };
        let one = connection(1, 1000, BEGAN, 10);
        for other in [
            connection(2, 1000, BEGAN + 5000, 20),
            connection(1, 2000, BEGAN + 5000, 20),
            connection(1, 1000, BEGAN + 5000, 20),
            // The same start, and no start at all: the first has ended.
            connection(1, 1000, BEGAN, 20),
        ] {
            assert_eq!(counted(of, &[one, other].concat()), (30, 0, 2), "{of:?}");
        }
        // Side by side.
        let other = connection(2, 2000, BEGAN, 20);
        let mixed = [one[0], other[0], one[1], other[1], other[2], one[2]];
        assert_eq!(counted(of, &mixed), (30, 0, 2));
    }
}

#[test]
fn a_denied_connection_does_not_count() {
    for of in KINDS {
        let events = [
            Event(1, 1000, DENIED, BEGAN, [0, 0]),
            Event(1, 1000, DENIED, BEGAN, [0, 0]),
        ];
        assert_eq!(counted(of, &events), (0, 0, 0));
    }
}

#[test]
fn other_records_of_a_set_are_connections_of_their_own() {
    // An update, and two records of events that are none of a connection.
    let mut e = exporter();
    let fields = [(148, 4), (8, 4), (233, 1), (231, 8)];
    let record =
        |flow, event, octets| numbers(&[(flow, 4), (0x0a00_0001, 4), (event, 1), (octets, 8)]);
    let records = [
        record(1, UPDATED, 10),
        record(1, UPDATED, 20),
        record(2, 9, 30),
        record(3, 0, 40),
        record(4, CREATED, 0),
        record(4, UPDATED, 50),
    ];
    let sets = [(0, template(300, &fields)), (300, records.concat())];
    e.send(&Header::netflow9(1).with(&sets));
    let records = e.taken.records.iter();
    let counted: Vec<_> = records
        .filter(|record| !record.is_continuation)
        .map(|record| record.octet_delta_count)
        .collect();
    assert_eq!(counted, [10, 30, 40, 50]);
}

#[test]
fn two_firewalls_have_ids_of_their_own() {
    let mut e = exporter();
    for from in ["192.0.2.1:1", "192.0.2.2:1"] {
        for (sequence, event, octets) in [(0, UPDATED, 10), (1, DELETED, 25)] {
            let fields = [(148, 4), (8, 4), (233, 1), (231, 8)];
            let values = [(9, 4), (0x0a00_0001, 4), (event, 1), (octets, 8)];
            let sets = [(0, template(300, &fields)), (300, numbers(&values))];
            e.send_at(from, 0, &Header::netflow9(sequence).with(&sets));
        }
    }
    assert_eq!(e.octets(), [10, 15, 10, 15]);
}

/// What each record of one connection counts, by its event and counter.
fn counts(element: u16, events: &[(u64, u64)]) -> (Vec<u64>, usize) {
    let mut e = exporter();
    let fields = [(148, 4), (8, 4), (233, 1), (element, 8)];
    for (sequence, (event, octets)) in events.iter().enumerate() {
        let values = [(3, 4), (0x0a00_0001, 4), (*event, 1), (*octets, 8)];
        let sets = [(2, template(300, &fields)), (300, numbers(&values))];
        e.send(&Header::ipfix(sequence as u32).with(&sets));
    }
    let records = e.taken.records.iter();
    let connections = records.filter(|record| !record.is_continuation).count();
    (e.octets(), connections)
}

#[test]
fn deltas_and_running_totals_mean_the_same_in_every_event() {
    let events = [(CREATED, 0), (UPDATED, 40), (UPDATED, 90), (DELETED, 100)];
    for element in [1, 23, 352] {
        assert_eq!(counts(element, &events), (vec![0, 40, 90, 100], 1));
    }
    for element in [85, 171] {
        assert_eq!(counts(element, &events), (vec![0, 40, 50, 10], 1));
    }
    // The last record is repeated.
    let events = [(UPDATED, 40), (DELETED, 100), (DELETED, 100)];
    assert_eq!(counts(85, &events), (vec![40, 60, 0], 1));
    assert_eq!(counts(231, &events), (vec![40, 60, 0], 1));
}
