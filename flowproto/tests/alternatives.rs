//! Templates with the elements of several protocols, address families or kinds of tags, of which a
//! record fills those of its flow.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use exporter::{Header, exporter, ipfix, numbers, template};
use flowproto::FlowRecord;

/// The records of a template with these elements and lengths.
fn records(version: u16, fields: &[(u16, u16)], values: &[&[u64]]) -> Vec<FlowRecord> {
    let data: Vec<u8> = values
        .iter()
        .flat_map(|values| {
            let lengths = fields.iter().map(|(_, length)| usize::from(*length));
            let values: Vec<_> = values.iter().copied().zip(lengths).collect();
            numbers(&values)
        })
        .collect();
    let mut e = exporter();
    let (header, templates) = match version {
        9 => (Header::netflow9(1), 0),
        _ => (Header::ipfix(0), 2),
    };
    e.send(&header.with(&[(templates, template(300, fields)), (300, data)]));
    e.taken.records
}

fn ports(record: &FlowRecord) -> [u16; 2] {
    [record.key.source_port, record.key.destination_port]
}

#[test]
fn ports_are_those_of_the_protocol_of_the_flow() {
    // UDP and TCP, in either order, and the ports of any protocol next to them.
    for fields in [
        [(180, 2), (181, 2), (182, 2), (183, 2)],
        [(182, 2), (183, 2), (180, 2), (181, 2)],
        [(7, 2), (11, 2), (180, 2), (181, 2)],
        [(182, 2), (11, 2), (7, 2), (183, 2)],
    ] {
        let place = |wanted: [u16; 2]| {
            let mut values = [0; 4];
            for (value, (id, _)) in values.iter_mut().zip(fields) {
                if id == wanted[0] {
                    *value = 50_000;
                } else if id == wanted[1] {
                    *value = 443;
                }
            }
            values
        };
        for pair in [[180, 181], [182, 183], [7, 11]] {
            if pair
                .iter()
                .all(|id| fields.iter().any(|(field, _)| field == id))
            {
                let records = records(10, &fields, &[&place(pair)]);
                assert_eq!(ports(&records[0]), [50_000, 443], "{fields:?} {pair:?}");
            }
        }
    }
}

#[test]
fn the_ports_of_a_record_are_not_those_of_the_one_before() {
    let fields = [(180, 2), (181, 2), (182, 2), (183, 2)];
    let values: [&[u64]; 3] = [&[0, 0, 50_000, 443], &[0; 4], &[53, 50_001, 0, 0]];
    let all: Vec<_> = records(10, &fields, &values).iter().map(ports).collect();
    assert_eq!(all, [[50_000, 443], [0, 0], [53, 50_001]]);
}

#[test]
fn flows_that_differ_in_such_a_port_have_running_totals_of_their_own() {
    let fields = [
        (8, 4),
        (12, 4),
        (180, 2),
        (181, 2),
        (182, 2),
        (183, 2),
        (85, 4),
    ];
    let values: [&[u64]; 3] = [
        &[1, 2, 0, 0, 50_000, 443, 1000],
        &[1, 2, 0, 0, 50_001, 443, 1600],
        &[1, 2, 0, 0, 50_000, 443, 1250],
    ];
    let octets: Vec<u64> = records(10, &fields, &values)
        .iter()
        .map(|record| record.octet_delta_count)
        .collect();
    assert_eq!(octets, [1000, 1600, 250]);
}

#[test]
fn icmp_types_prefix_lengths_and_vlans_are_those_of_the_flow() {
    for version in [9, 10] {
        for (fields, values, expected) in [
            ([(32, 2), (139, 2)], [0, 0x8000], 0x8000),
            ([(139, 2), (32, 2)], [0, 0x0800], 0x0800),
            ([(32, 2), (139, 2)], [0x0301, 0], 0x0301),
        ] {
            let records = records(version, &fields, &[&values]);
            assert_eq!(records[0].icmp_type_code, expected, "{fields:?}");
        }
        for (fields, values, expected) in [
            (
                [(176, 1), (177, 1), (178, 1), (179, 1)],
                [0, 0, 1, 4],
                0x0104,
            ),
            (
                [(176, 1), (177, 1), (178, 1), (179, 1)],
                [3, 1, 0, 0],
                0x0301,
            ),
        ] {
            let records = records(version, &fields, &[&values]);
            assert_eq!(records[0].icmp_type_code, expected, "{values:?}");
        }
        let fields = [(9, 1), (29, 1), (13, 1), (30, 1), (58, 2), (243, 2)];
        for values in [[0, 64, 0, 48, 0, 100], [64, 0, 48, 0, 100, 0]] {
            let record = &records(version, &fields, &[&values])[0];
            let lengths = [
                record.source_prefix_length,
                record.destination_prefix_length,
            ];
            assert_eq!((lengths, record.vlan_id), ([64, 48], 100), "{values:?}");
        }
    }
}

#[test]
fn an_element_that_is_not_0_stands_before_the_others_and_the_first_of_two_equal_ones_counts() {
    let fields = [(7, 2), (180, 2), (11, 2), (11, 2)];
    let values: [&[u64]; 2] = [&[1, 2, 3, 4], &[0, 2, 0, 4]];
    let all: Vec<_> = records(10, &fields, &values).iter().map(ports).collect();
    assert_eq!(all, [[1, 3], [2, 0]]);
}

#[test]
fn alternatives_behind_a_field_of_variable_length_are_read() {
    let mut e = exporter();
    let fields = [(82, u16::MAX), (180, 2), (182, 2)];
    let record = |name: &[u8], ports: &[(u64, usize)]| {
        let length = u8::try_from(name.len()).unwrap();
        [&[length][..], name, &numbers(ports)].concat()
    };
    let data = [
        record(b"eth0", &[(0, 2), (443, 2)]),
        record(b"", &[(53, 2), (0, 2)]),
    ]
    .concat();
    e.send(&ipfix(0, &[(2, template(300, &fields)), (300, data)]));
    let all: Vec<_> = e.taken.records.iter().map(ports).collect();
    assert_eq!(all, [[443, 0], [53, 0]]);
}

#[test]
fn zeros_in_both_families_are_an_address_of_the_family_of_the_other_end() {
    let fields = [(8, 4), (12, 4), (27, 16), (28, 16)];
    let end = |first: u8, length: usize| [&[first][..], &vec![0; length - 1]].concat();
    for (source_v4, destination_v4, source_v6, destination_v6, expected) in [
        (0, 0, 0, 0xff, ["::", "ff00::"]),
        (0, 0, 0xfe, 0, ["fe00::", "::"]),
        (0, 10, 0, 0, ["0.0.0.0", "10.0.0.0"]),
        (0, 0, 0, 0, ["0.0.0.0", "0.0.0.0"]),
        // Of different families, as a translator reports them.
        (0, 10, 0xfd, 0, ["fd00::", "10.0.0.0"]),
    ] {
        let data = [
            end(source_v4, 4),
            end(destination_v4, 4),
            end(source_v6, 16),
            end(destination_v6, 16),
        ]
        .concat();
        let mut e = exporter();
        e.send(&ipfix(0, &[(2, template(300, &fields)), (300, data)]));
        let key = e.taken.records[0].key;
        let ends = [key.source_address, key.destination_address];
        let ends = ends.map(|address| address.to_ip().to_string());
        assert_eq!(ends, expected);
    }
}
