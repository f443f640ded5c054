//! Counters of initiator and responder, and addresses of client and server (Cisco AVC).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{Header, exporter, ipfix, numbers, template, template_of};
use flowproto::FlowRecord;

const CISCO: u32 = 9;

fn record(fields: &[(u32, u16, u16)], values: &[(u64, usize)]) -> FlowRecord {
    let mut e = exporter();
    let sets = [(2, template_of(300, fields)), (300, numbers(values))];
    e.send(&ipfix(0, &sets));
    assert_eq!(e.taken.records.len(), 1);
    e.taken.records.remove(0)
}

/// Octets and packets of both directions.
fn counts(record: &FlowRecord) -> [u64; 4] {
    [
        record.octet_delta_count,
        record.packet_delta_count,
        record.reverse_octet_delta_count,
        record.reverse_packet_delta_count,
    ]
}

fn ends(record: &FlowRecord) -> String {
    let key = record.key;
    let (source, destination) = (key.source_address.to_ip(), key.destination_address.to_ip());
    format!(
        "{source} {} {destination} {}",
        key.source_port, key.destination_port
    )
}

#[test]
fn counters_of_the_initiator_are_those_of_the_side_that_has_begun() {
    let fields = [
        (0, 8, 4),
        (0, 12, 4),
        (0, 239, 1),
        (0, 231, 4),
        (0, 232, 4),
        (0, 298, 4),
        (0, 299, 4),
    ];
    let values = |direction| {
        let counters = [(900, 4), (70_000, 4), (9, 4), (60, 4)];
        [&[(1, 4), (2, 4), (direction, 1)][..], &counters].concat()
    };
    for (direction, expected) in [
        (0, [900, 9, 70_000, 60]),
        (1, [900, 9, 70_000, 60]),
        (2, [70_000, 60, 900, 9]),
        (3, [900, 9, 70_000, 60]),
    ] {
        let record = record(&fields, &values(direction));
        assert_eq!(counts(&record), expected, "{direction}");
        assert_eq!(ends(&record), "0.0.0.1 0 0.0.0.2 0");
    }
}

#[test]
fn other_counters_stay_with_the_source() {
    // Deltas with their reverse, and packets of the initiator.
    let fields = [
        (0, 8, 4),
        (0, 239, 1),
        (0, 1, 4),
        (29_305, 1, 4),
        (0, 298, 4),
        (0, 299, 4),
    ];
    let values = [(1, 4), (2, 1), (500, 4), (300, 4), (5, 4), (3, 4)];
    assert_eq!(counts(&record(&fields, &values)), [500, 3, 300, 5]);
}

#[test]
fn client_and_server_stand_for_source_and_destination() {
    let fields = [
        (CISCO, 12_236, 4),
        (CISCO, 12_237, 4),
        (CISCO, 12_240, 2),
        (CISCO, 12_241, 2),
        (0, 239, 1),
        (0, 4, 1),
        (CISCO, 8337, 8),
        (CISCO, 8338, 8),
        (0, 299, 8),
        (0, 298, 8),
    ];
    let ports = [(50_000, 2), (443, 2), (2, 1), (6, 1)];
    let counters = [(81_000, 8), (1200, 8), (70, 8), (11, 8)];
    let values = [&[(0x0a00_0001, 4), (0x0a00_0002, 4)][..], &ports, &counters].concat();
    let record = record(&fields, &values);
    assert_eq!(ends(&record), "10.0.0.1 50000 10.0.0.2 443");
    assert_eq!(counts(&record), [1200, 11, 81_000, 70]);
}

#[test]
fn client_and_server_of_both_families_are_read_in_version_9() {
    let mut e = exporter();
    let fields = [
        (45_006, 16),
        (45_007, 16),
        (45_008, 2),
        (45_009, 2),
        (41_106, 4),
        (41_105, 4),
        (45_004, 4),
        (45_005, 4),
    ];
    let mut data = vec![0xfd; 16];
    data.extend([0xfc; 16]);
    data.extend(numbers(&[(1, 2), (2, 2), (10, 4), (20, 4), (0, 8)]));
    let sets = [(0, template(300, &fields)), (300, data)];
    e.send(&Header::netflow9(1).with(&sets));
    let record = &e.taken.records[0];
    assert!(record.key.source_address.to_ip().is_ipv6());
    assert_eq!(record.key.source_address.to_ip().to_string()[..4], *"fdfd");
    assert_eq!(
        record.key.destination_address.to_ip().to_string()[..4],
        *"fcfc"
    );
    assert_eq!(counts(record), [10, 0, 20, 0]);
}

#[test]
fn source_and_destination_count_before_client_and_server() {
    let fields = [
        (CISCO, 12_237, 4),
        (CISCO, 12_236, 4),
        (CISCO, 12_240, 2),
        (0, 12, 4),
        (0, 8, 4),
        (0, 7, 2),
        (0, 11, 2),
        (0, 239, 1),
        (CISCO, 8338, 4),
        (CISCO, 8337, 4),
    ];
    let addresses = [
        (1, 4),
        (2, 4),
        (50_000, 2),
        (2, 4),
        (1, 4),
        (443, 2),
        (50_000, 2),
    ];
    let values = [&addresses[..], &[(2, 1), (100, 4), (900, 4)]].concat();
    // The server's direction: the client is the destination, which has begun.
    let record = record(&fields, &values);
    assert_eq!(ends(&record), "0.0.0.1 443 0.0.0.2 50000");
    assert_eq!(counts(&record), [900, 0, 100, 0]);
}
