//! One rule for the octets and packets that a record counts, in whatever elements it has them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{Exporter, Header, exporter, ipfix, numbers, template, template_of};
use flowproto::collector::{CollectingProcess, Fields, Limits, Message, RecordSink, Version};
use flowproto::{FlowRecord, TrafficRecord};

const REVERSE: u32 = 29305;
const IN_PACKETS: [(u32, u16); 2] = [(0, 1), (0, 2)];

/// What a record counts: octets, packets, reverse octets, reverse packets.
type Counts = [u64; 4];

fn counts(exporter: &Exporter) -> Vec<Counts> {
    let records = exporter.taken.records.iter();
    let counts = records.map(|r| {
        [
            r.octet_delta_count,
            r.packet_delta_count,
            r.reverse_octet_delta_count,
            r.reverse_packet_delta_count,
        ]
    });
    counts.collect()
}

/// What one record with these counters counts.
fn counted(counters: &[(u32, u16, u64)]) -> Counts {
    let mut e = exporter();
    let fields: Vec<_> = counters.iter().map(|(pen, id, _)| (*pen, *id, 8)).collect();
    let values: Vec<_> = counters.iter().map(|(_, _, value)| (*value, 8)).collect();
    let sets = [(2, template_of(300, &fields)), (300, numbers(&values))];
    e.send(&ipfix(0, &sets));
    counts(&e)[0]
}

#[test]
fn the_first_family_that_a_record_has_is_counted() {
    let families = [
        [(0, 1, 1), (0, 2, 2), (REVERSE, 1, 3), (REVERSE, 2, 4)],
        [(0, 231, 11), (0, 298, 12), (0, 232, 13), (0, 299, 14)],
        [
            (0, 85, 21),
            (0, 86, 22),
            (REVERSE, 85, 23),
            (REVERSE, 86, 24),
        ],
        [
            (0, 23, 31),
            (0, 24, 32),
            (REVERSE, 23, 33),
            (REVERSE, 24, 34),
        ],
        [
            (0, 171, 41),
            (0, 172, 42),
            (REVERSE, 171, 43),
            (REVERSE, 172, 44),
        ],
    ];
    for first in 0..families.len() {
        // The others stand in front of it: order in the template decides nothing.
        let mut all: Vec<_> = families[first..].to_vec();
        all.reverse();
        let expected = families[first].map(|(_, _, value)| value);
        assert_eq!(counted(&all.concat()), expected, "family {first}");
    }
}

#[test]
fn layer_2_octets_count_where_there_are_no_others() {
    assert_eq!(counted(&[(0, 352, 9), (0, 2, 1)]), [9, 1, 0, 0]);
    assert_eq!(counted(&[(0, 352, 9), (0, 1, 5)]), [5, 0, 0, 0]);
}

#[test]
fn totals_of_layer_2_count_where_there_is_nothing_else() {
    assert_eq!(counted(&[(0, 353, 900), (0, 86, 3)]), [900, 3, 0, 0]);
    assert_eq!(counted(&[(0, 353, 900), (0, 352, 5)]), [5, 0, 0, 0]);
}

#[test]
fn counters_of_ixia_are_those_of_the_reverse_direction() {
    let record = [(0, 1, 0), (0, 2, 0), (3054, 176, 625), (3054, 177, 6)];
    assert_eq!(counted(&record), [0, 0, 625, 6]);
}

#[test]
fn packets_that_leave_count_with_the_outgoing_counters_if_the_others_are_zero() {
    let egress = |incoming: u64, outgoing: u64, direction: u64| {
        counted(&[
            (0, 1, incoming),
            (0, 2, incoming / 100),
            (0, 23, outgoing),
            (0, 24, outgoing / 100),
            (0, 61, direction),
        ])
    };
    assert_eq!(egress(0, 900, 1), [900, 9, 0, 0]);
    assert_eq!(egress(800, 0, 0), [800, 8, 0, 0]);
    // They are never added, and say nothing of packets that enter.
    assert_eq!(egress(800, 900, 1), [800, 8, 0, 0]);
    assert_eq!(egress(0, 900, 0), [0; 4]);
    assert_eq!(egress(0, 900, 255), [0; 4]);
    // Without a direction they are those of any packets behind a middlebox.
    assert_eq!(counted(&[(0, 1, 0), (0, 23, 900)]), [0; 4]);
    // Behind a field of variable length.
    let mut e = exporter();
    let fields = [(0, 96, 65_535), (0, 61, 1), (0, 1, 4), (0, 23, 4)];
    let mut values = vec![2, b'a', b'b'];
    values.extend(numbers(&[(1, 1), (0, 4), (70_000, 4)]));
    e.send(&ipfix(0, &[(2, template_of(300, &fields)), (300, values)]));
    assert_eq!(counts(&e), [[70_000, 0, 0, 0]]);
}

#[test]
fn outgoing_counters_are_not_read_where_totals_count() {
    let fields = [(0, 1, 4), (0, 86, 4), (0, 23, 4), (0, 24, 4), (0, 61, 1)];
    let mut e = exporter();
    e.send(&ipfix(0, &[(2, template_of(300, &fields))]));
    for (total, octets, packets) in [(10, 500, 5), (15, 700, 5), (21, 900, 6)] {
        let values = [(0, 4), (total, 4), (octets, 4), (packets, 4), (1, 1)];
        e.send(&ipfix(0, &[(300, numbers(&values))]));
    }
    let expected = [[500, 10, 0, 0], [700, 5, 0, 0], [900, 6, 0, 0]];
    assert_eq!(counts(&e), expected);
    // Without 2, packets are in 24 in any direction.
    let record = [(0, 1, 0), (0, 23, 900), (0, 24, 9), (0, 61, 1)];
    assert_eq!(counted(&record), [900, 9, 0, 0]);
}

/// Counts octets of records read by their traffic alone, and of records read as a whole.
#[derive(Default)]
struct ByReading {
    traffic: Vec<u64>,
    whole: Vec<u64>,
}

impl RecordSink for ByReading {
    fn message(&mut self, _: &Message<'_>) {}

    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.whole.push(record.octet_delta_count);
    }

    fn takes_traffic(&self, _: bool) -> bool {
        true
    }

    fn traffic(&mut self, record: &TrafficRecord) -> bool {
        self.traffic.push(record.octet_delta_count);
        true
    }
}

#[test]
fn only_records_that_may_have_outgoing_counters_are_read_as_a_whole() {
    let elements = [(8, 4), (12, 4), (1, 4), (2, 4), (23, 4), (24, 4), (61, 1)];
    let fields = elements.map(|(id, length)| (0, id, length));
    let mut records = Vec::new();
    for [incoming, outgoing, direction] in [
        [700, 0, 0],
        [0, 900, 1],
        [800, 950, 1],
        [0, 1000, 0],
        [0, 0, 1],
    ] {
        let packets = |octets: u64| (octets / 100, 4);
        records.extend(numbers(&[
            (1, 4),
            (2, 4),
            (incoming, 4),
            packets(incoming),
            (outgoing, 4),
            packets(outgoing),
            (direction, 1),
        ]));
    }
    let message = ipfix(0, &[(2, template_of(300, &fields)), (300, records)]);
    let (mut process, mut sink) = (
        CollectingProcess::new(Limits::default()),
        ByReading::default(),
    );
    let exporter = std::net::SocketAddr::from(([192, 0, 2, 1], 9));
    process.receive(exporter, &message, 1_700_000_000_000, &mut sink);
    assert_eq!(sink.traffic, [700, 800, 0]);
    assert_eq!(sink.whole, [900, 0]);
}

#[test]
fn octets_and_packets_choose_for_themselves() {
    assert_eq!(
        counted(&[(0, 231, 9), (0, 2, 3), (0, 298, 4)]),
        [9, 3, 0, 0]
    );
}

#[test]
fn the_opposite_direction_is_of_the_same_family() {
    // 1 with the responder's: 231 would be the initiator's, so 232 is not the opposite of 1.
    let both = [(0, 1, 5), (0, 231, 6), (0, 232, 7)];
    assert_eq!(counted(&both), [5, 0, 0, 0]);
    // Without 231 it is in no other field.
    assert_eq!(counted(&[(0, 1, 5), (0, 232, 7)]), [5, 0, 7, 0]);
    // Only the responder sent.
    assert_eq!(counted(&[(0, 232, 7), (0, 299, 1)]), [0, 0, 7, 1]);
}

#[test]
fn middleboxes_and_drops_are_never_added() {
    let record = [
        (0, 1, 5),
        (0, 23, 4),
        (0, 132, 1),
        (0, 2, 2),
        (0, 24, 1),
        (0, 133, 1),
    ];
    assert_eq!(counted(&record), [5, 2, 0, 0]);
}

/// An exporter of running totals: source port, start, octets, packets.
fn totals(limits: Limits, records: &[(u64, u64, u64, u64)]) -> Exporter {
    let mut e = Exporter::new(limits);
    let fields = [(0, 7, 2), (0, 152, 8), (0, 85, 8), (0, 86, 8)];
    e.send(&ipfix(0, &[(2, template_of(300, &fields))]));
    for (port, start, octets, packets) in records {
        let record = numbers(&[(*port, 2), (*start, 8), (*octets, 8), (*packets, 8)]);
        e.send(&ipfix(0, &[(300, record)]));
    }
    e
}

#[test]
fn running_totals_count_by_how_far_they_ran() {
    let records = [
        (7, 1000, 100, 1),
        (8, 1000, 50, 1),
        (7, 1000, 250, 3),
        (7, 1000, 250, 3),
    ];
    let e = totals(Limits::default(), &records);
    let expected = [[100, 1, 0, 0], [50, 1, 0, 0], [150, 2, 0, 0], [0; 4]];
    assert_eq!(counts(&e), expected);
    assert_eq!(e.process.occupancy().totals, 2);
    // The line shows the record as received.
    assert!(e.taken.json[2].contains("\"octetTotalCount\":250"));
}

#[test]
fn a_flow_that_restarted_counts_as_a_whole_and_a_late_record_does_not_count() {
    let records = [
        (7, 1000, 100, 1),
        (7, 2000, 300, 4),
        (7, 2000, 200, 2),
        (7, 2000, 310, 5),
    ];
    let e = totals(Limits::default(), &records);
    let expected = [[100, 1, 0, 0], [300, 4, 0, 0], [0; 4], [10, 1, 0, 0]];
    assert_eq!(counts(&e), expected);
    // Without a start, a lower total is that of a new flow.
    let records = [(7, 0, 100, 1), (7, 0, 40, 1)];
    let e = totals(Limits::default(), &records);
    assert_eq!(counts(&e), [[100, 1, 0, 0], [40, 1, 0, 0]]);
}

#[test]
fn a_start_as_up_time_is_the_same_whatever_the_clock_of_the_header() {
    // The header has whole seconds, so the same start is another time of the day in each Message.
    let fields = [(7, 2), (22, 4), (85, 8), (86, 8)];
    let mut e = exporter();
    let mut send = |up_time, seconds, started, octets| {
        let header = Header {
            up_time,
            seconds,
            ..Header::netflow9(1)
        };
        let record = numbers(&[(7, 2), (started, 4), (octets, 8), (1, 8)]);
        e.send(&header.with(&[(0, template(300, &fields)), (300, record)]));
    };
    let wrap = u32::MAX;
    send(wrap - 20_900, 0, u64::from(wrap) - 90_000, 100);
    send(wrap - 10_100, 10, u64::from(wrap) - 90_000, 130);
    send(400, 21, u64::from(wrap) - 90_000, 190);
    send(900, 21, 500, 7);
    assert_eq!(e.octets(), [100, 30, 60, 7]);
}

#[test]
fn totals_of_four_octets_continue_at_0() {
    let counted = |length, start, octets: &[u64]| {
        let fields = [(152, 8), (85, length)];
        let mut e = exporter();
        e.send(&ipfix(0, &[(2, template(300, &fields))]));
        for octets in octets {
            let record = numbers(&[(start, 8), (*octets, length.into())]);
            e.send(&ipfix(0, &[(300, record)]));
        }
        e.octets()
    };
    let most = u64::from(u32::MAX);
    assert_eq!(
        counted(4, 1000, &[most - 9, 20, 25]),
        [most - 9, 30, 5],
        "a wrap"
    );
    let late = [most - 9, 20, most - 99, 21];
    assert_eq!(counted(4, 1000, &late), [most - 9, 30, 0, 1]);
    assert_eq!(counted(4, 1000, &[5000, 4000, 5001]), [5000, 0, 1]);
    // Other lengths do not wrap there, and without a start it is another flow.
    assert_eq!(counted(8, 1000, &[most - 9, 20, most]), [most - 9, 0, 9]);
    assert_eq!(counted(4, 0, &[most - 9, 20]), [most - 9, 20]);
}

#[test]
fn flows_of_one_key_have_totals_of_their_own() {
    // They differ in a field that is not part of the key, and their records alternate.
    let records = [
        (7, 1000, 100, 1),
        (7, 2000, 10, 1),
        (7, 1000, 150, 2),
        (7, 2000, 15, 2),
    ];
    let e = totals(Limits::default(), &records);
    let expected = [[100, 1, 0, 0], [10, 1, 0, 0], [50, 1, 0, 0], [5, 1, 0, 0]];
    assert_eq!(counts(&e), expected);
    // By `flowId`, without a start.
    let mut e = exporter();
    e.send(&ipfix(
        0,
        &[(2, template_of(300, &[(0, 148, 4), (0, 85, 8)]))],
    ));
    for (flow, octets) in [(1, 500), (2, 60), (1, 510), (2, 64)] {
        e.send(&ipfix(0, &[(300, numbers(&[(flow, 4), (octets, 8)]))]));
    }
    assert_eq!(e.octets(), [500, 60, 10, 4]);
}

#[test]
fn flows_with_running_totals_are_bounded_and_what_is_forgotten_is_counted() {
    let limits = Limits {
        totals: 2,
        ..Limits::default()
    };
    let e = totals(
        limits,
        &[(1, 9, 1, 1), (2, 9, 1, 1), (3, 9, 1, 1), (1, 9, 5, 2)],
    );
    assert_eq!(counts(&e)[3], [5, 2, 0, 0]);
    assert_eq!(e.process.occupancy().totals, 2);
    assert_eq!(e.process.counters().totals_evicted, 2);
}

#[test]
fn deltas_next_to_totals_use_no_memory() {
    // As Open vSwitch sends them.
    let mut e = exporter();
    let fields = [(0, 1, 8), (0, 85, 8), (0, 2, 8), (0, 86, 8)];
    e.send(&ipfix(0, &[(2, template_of(300, &fields))]));
    for (delta, total) in [(10, 10), (5, 15), (7, 22)] {
        let record = numbers(&[(delta, 8), (total, 8), (1, 8), (9, 8)]);
        e.send(&ipfix(0, &[(300, record)]));
    }
    assert_eq!(e.octets(), [10, 5, 7]);
    assert_eq!(e.process.occupancy().totals, 0);
}

#[test]
fn counters_of_every_width_add_up() {
    for width in 1..=8_u16 {
        let mut e = exporter();
        let fields = IN_PACKETS.map(|(pen, id)| (pen, id, width));
        let most = u64::MAX >> (64 - 8 * u32::from(width));
        let record = numbers(&[(most, width.into()), (1, width.into())]);
        e.send(&ipfix(0, &[(2, template_of(300, &fields)), (300, record)]));
        assert_eq!(counts(&e), [[most, 1, 0, 0]], "width {width}");
    }
}

#[test]
fn each_domain_is_reported_with_its_records() {
    let mut e = exporter();
    e.send(&ipfix(
        0,
        &[(2, template_of(300, &[(0, 1, 1)])), (300, vec![1, 2, 3])],
    ));
    let domains: Vec<_> = e.process.domains().collect();
    assert_eq!(domains.len(), 1);
    assert_eq!(
        (domains[0].records, domains[0].observation_domain_id),
        (3, 7)
    );
    assert_eq!(domains[0].version, Version::Ipfix);
}
