//! Exporters as they are: templates late, lost, changed, withdrawn or wrong; elements twice; names
//! empty.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{Exporter, exporter, ipfix, netflow9, template};
use flowproto::collector::{Counters, Limits, Unusable};
use flowproto::record::Sampling;

#[test]
fn records_before_their_template_wait_for_it() {
    let mut e = exporter();
    e.send(&ipfix(0, &[(300, vec![0, 0, 0, 5, 0, 0, 0, 6])]));
    assert!(e.taken.records.is_empty());
    assert_eq!(e.process.occupancy().pending_sets, 1);
    e.send(&ipfix(2, &[(2, template(300, &[(1, 4)]))]));
    assert_eq!(e.octets(), [5, 6]);
    assert_eq!(e.process.occupancy().pending_sets, 0);
    let Counters {
        sets_held,
        sets_released,
        ..
    } = *e.process.counters();
    assert_eq!((sets_held, sets_released), (1, 1));
}

#[test]
fn records_whose_template_never_comes_are_given_up_and_counted() {
    let mut e = exporter();
    e.send(&ipfix(0, &[(300, vec![0; 8])]));
    e.process.expire(Limits::default().pending_milliseconds);
    assert_eq!(e.unusable(Unusable::UnknownTemplate), 0);
    e.process.expire(Limits::default().pending_milliseconds + 1);
    assert_eq!(e.unusable(Unusable::UnknownTemplate), 1);
    assert_eq!(e.process.occupancy().pending_octets, 0);
}

#[test]
fn pending_sets_are_bounded() {
    let mut e = Exporter::new(Limits {
        pending_octets: 1000,
        ..Limits::default()
    });
    for _ in 0..100 {
        e.send(&ipfix(0, &[(300, vec![0; 100])]));
    }
    assert!(e.process.occupancy().pending_octets <= 1000);
    assert_eq!(
        e.process.occupancy().pending_sets as u64 + e.unusable(Unusable::UnknownTemplate),
        100
    );
}

#[test]
fn a_source_port_with_templates_of_its_own_uses_those() {
    let mut e = exporter();
    e.send_from(1, &ipfix(0, &[(2, template(300, &[(1, 4)]))]));
    e.send_from(2, &ipfix(0, &[(2, template(300, &[(2, 2), (1, 2)]))]));
    e.send_from(1, &ipfix(0, &[(300, vec![0, 0, 1, 0])]));
    e.send_from(2, &ipfix(0, &[(300, vec![0, 9, 0, 3])]));
    assert_eq!(e.octets(), [256, 3]);
    assert_eq!(e.taken.records[1].packet_delta_count, 9);
}

#[test]
fn a_changed_template_replaces_the_old_one() {
    let mut e = exporter();
    e.send(&ipfix(
        0,
        &[(2, template(300, &[(1, 4)])), (300, vec![0, 0, 0, 1])],
    ));
    e.send(&ipfix(
        1,
        &[(2, template(300, &[(1, 2)])), (300, vec![0, 2, 0, 3])],
    ));
    assert_eq!(e.octets(), [1, 2, 3]);
    assert_eq!(e.process.occupancy().templates, 1);
}

#[test]
fn a_withdrawn_template_is_forgotten() {
    let mut e = exporter();
    e.send(&ipfix(
        0,
        &[(2, template(300, &[(1, 4)])), (2, template(301, &[(1, 4)]))],
    ));
    e.send(&ipfix(0, &[(2, template(300, &[]))]));
    assert_eq!(e.process.occupancy().templates, 1);
    e.send(&ipfix(0, &[(2, template(2, &[]))]));
    assert_eq!(e.process.occupancy().templates, 0);
}

#[test]
fn templates_and_domains_are_bounded() {
    let limits = Limits {
        domains: 2,
        templates_per_domain: 3,
        ..Limits::default()
    };
    let mut e = Exporter::new(limits);
    for port in 1..10 {
        for id in 256..266 {
            e.send_from(port, &ipfix(0, &[(2, template(id, &[(1, 4)]))]));
        }
    }
    assert_eq!(e.process.occupancy().domains, 2);
    assert_eq!(e.process.occupancy().templates, 6);
    assert_eq!(e.unusable(Unusable::TooManyTemplates), 9 * 7);
}

#[test]
fn an_invalid_template_hides_nothing_that_follows_its_set() {
    let mut e = exporter();
    let zero_length = template(300, &[(1, 0)]);
    let mut too_many_fields = template(301, &[(1, 4)]);
    too_many_fields[3] = 200;
    e.send(&ipfix(
        0,
        &[
            (2, zero_length),
            (2, too_many_fields),
            (2, template(302, &[(1, 4)])),
            (302, vec![0, 0, 0, 8]),
        ],
    ));
    assert_eq!(e.octets(), [8]);
    assert_eq!(e.unusable(Unusable::InvalidTemplate), 2);
}

#[test]
fn a_set_that_runs_past_its_message_is_counted_and_ends_it() {
    let mut e = exporter();
    let mut message = ipfix(0, &[(2, template(300, &[(1, 4)])), (300, vec![0, 0, 0, 8])]);
    let length_of_last_set = message.len() - 5;
    message[length_of_last_set] = 200;
    e.send(&message);
    assert_eq!(e.octets(), [0; 0]);
    assert_eq!(e.unusable(Unusable::SetLength), 1);
}

#[test]
fn a_message_with_too_short_a_length_is_read_to_the_end_of_its_sets() {
    let mut e = exporter();
    let mut message = ipfix(0, &[(2, template(300, &[(1, 4)])), (300, vec![0, 0, 0, 8])]);
    message[3] -= 2;
    e.send(&message);
    // Also where the octets behind that length are zeros, as padding would be.
    let zeros = ipfix(1, &[(300, vec![0, 0, 0, 9, 0, 0, 0, 0])]);
    let mut message = zeros.clone();
    message[3] -= 2;
    e.send(&message);
    assert_eq!(e.octets(), [8, 9, 0]);
    assert_eq!(e.process.counters().unusable.total(), 0);
}

#[test]
fn an_empty_variable_length_value_does_not_end_the_set() {
    let mut e = exporter();
    let fields = template(300, &[(82, 65_535), (1, 1)]);
    let records = vec![0, 5, 3, b'a', b'b', b'c', 6, 255, 0, 2, b'x', b'y', 7];
    e.send(&ipfix(0, &[(2, fields), (300, records)]));
    assert_eq!(e.octets(), [5, 6, 7]);
    assert_eq!(e.taken.json[0], r#""interfaceName":"","octetDeltaCount":5"#);
    assert_eq!(
        e.taken.json[2],
        r#""interfaceName":"xy","octetDeltaCount":7"#
    );
}

#[test]
fn a_variable_length_value_past_its_set_is_counted() {
    let mut e = exporter();
    e.send(&ipfix(
        0,
        &[
            (2, template(300, &[(1, 1), (82, 65_535)])),
            (300, vec![5, 200, b'a']),
        ],
    ));
    assert_eq!(e.octets(), [0; 0]);
    assert_eq!(e.unusable(Unusable::FieldLength), 1);
}

#[test]
fn numbers_of_every_width_are_read() {
    let mut e = exporter();
    for (at, width) in [1_u16, 3, 5, 6, 7, 8].into_iter().enumerate() {
        let id = 300 + at as u16;
        let mut value = vec![0; usize::from(width)];
        value[0] = 1;
        e.send(&ipfix(
            0,
            &[
                (2, template(id, &[(1, width), (2, 1)])),
                (id, [value, vec![1]].concat()),
            ],
        ));
    }
    assert_eq!(e.octets(), [1, 1 << 16, 1 << 32, 1 << 40, 1 << 48, 1 << 56]);
}

#[test]
fn deltas_are_preferred_to_totals_and_never_added_to_them() {
    let mut e = exporter();
    let fields = template(300, &[(85, 4), (23, 4), (1, 4)]);
    e.send(&ipfix(
        0,
        &[
            (2, fields),
            (300, vec![0, 0, 0, 100, 0, 0, 0, 7, 0, 0, 0, 5]),
        ],
    ));
    e.send(&ipfix(
        1,
        &[(2, template(301, &[(85, 4)])), (301, vec![0, 0, 0, 100])],
    ));
    assert_eq!(e.octets(), [5, 100]);
}

#[test]
fn an_element_that_occurs_twice_becomes_a_list() {
    let mut e = exporter();
    e.send(&ipfix(
        0,
        &[
            (2, template(300, &[(1, 1), (2, 1), (1, 1)])),
            (300, vec![5, 1, 6]),
        ],
    ));
    assert_eq!(
        e.taken.json,
        [r#""octetDeltaCount":[5,6],"packetDeltaCount":1"#]
    );
    assert_eq!(e.octets(), [5]);
}

#[test]
fn a_template_with_both_families_gives_the_one_that_is_set() {
    let mut e = exporter();
    let fields = template(300, &[(8, 4), (27, 16)]);
    let v4 = [vec![10, 0, 0, 1], vec![0; 16]].concat();
    let v6 = [vec![0; 4], vec![0x20; 16]].concat();
    e.send(&ipfix(0, &[(2, fields), (300, [v4, v6].concat())]));
    let sources: Vec<String> = e
        .taken
        .records
        .iter()
        .map(|r| r.key.source_address.to_string())
        .collect();
    assert_eq!(
        sources,
        ["10.0.0.1", "2020:2020:2020:2020:2020:2020:2020:2020"]
    );
}

#[test]
fn announced_sampling_holds_for_the_records_that_follow_and_a_record_may_overrule_it() {
    let mut e = exporter();
    let options = {
        let mut out = 400_u16.to_be_bytes().to_vec();
        for word in [2_u16, 1, 149, 4, 305, 4] {
            out.extend(word.to_be_bytes());
        }
        out.extend([1, 50, 0, 4]);
        out[3] = 3;
        out
    };
    // 305 = 1, 306 = 99: one packet in a hundred.
    let announcement = [
        7_u32.to_be_bytes(),
        1_u32.to_be_bytes(),
        99_u32.to_be_bytes(),
    ]
    .concat();
    e.send(&ipfix(0, &[(3, options), (400, announcement)]));
    e.send(&ipfix(1, &[(2, template(300, &[(1, 1)])), (300, vec![5])]));
    e.send(&ipfix(
        2,
        &[(2, template(301, &[(1, 1), (34, 1)])), (301, vec![5, 10])],
    ));
    let sampling: Vec<Sampling> = e.taken.records.iter().map(|r| r.sampling).collect();
    assert_eq!(sampling, [Sampling::one_in(100), Sampling::one_in(10)]);
    assert_eq!(e.process.counters().options_records, 1);
}

#[test]
fn v9_times_count_from_the_exporters_start() {
    let mut e = exporter();
    let record = [40_000_u32.to_be_bytes(), 90_000_u32.to_be_bytes()].concat();
    e.send(&netflow9(&[
        (0, template(300, &[(22, 4), (21, 4)])),
        (300, record),
    ]));
    let record = &e.taken.records[0];
    assert_eq!(record.flow_start_milliseconds, 1_700_000_000_000 - 60_000);
    assert_eq!(record.flow_end_milliseconds, 1_700_000_000_000 - 10_000);
}

#[test]
fn of_several_start_times_the_finest_that_means_something_counts() {
    let fields = [(152, 8), (150, 4), (22, 4), (153, 8), (21, 4), (151, 4)];
    let mut record = 1_700_000_000_123_u64.to_be_bytes().to_vec();
    record.extend(1_700_000_000_u32.to_be_bytes());
    record.extend(5_u32.to_be_bytes());
    record.extend(1_700_000_001_456_u64.to_be_bytes());
    record.extend(6_u32.to_be_bytes());
    record.extend(1_700_000_001_u32.to_be_bytes());
    let mut e = exporter();
    e.send(&ipfix(0, &[(2, template(300, &fields)), (300, record)]));
    let record = &e.taken.records[0];
    assert_eq!(
        (record.flow_start_milliseconds, record.flow_end_milliseconds),
        (1_700_000_000_123, 1_700_000_001_456)
    );
}

#[test]
fn the_observation_domain_of_a_record_is_left_to_who_writes_the_line() {
    let mut e = exporter();
    let fields = [(149, 4), (1, 4), (149, 4)];
    e.send(&ipfix(
        0,
        &[(2, template(300, &fields)), (300, vec![7; 12])],
    ));
    assert_eq!(e.taken.json, ["\"octetDeltaCount\":117901063"]);
}

#[test]
fn templates_longer_than_any_exporters_are_refused_and_cost_little() {
    let mut e = exporter();
    let long: Vec<_> = (0..1025).map(|n| (1 + n % 400, 1)).collect();
    let empty = [[(1, 4)].as_slice(), &[(2, 0); 17]].concat();
    e.send(&ipfix(
        0,
        &[(2, template(300, &long)), (2, template(301, &empty))],
    ));
    assert_eq!(e.unusable(Unusable::InvalidTemplate), 2);
    // The longest that are allowed, in many domains, fill the room that there is and no more.
    let long = |n: u16| -> Vec<_> {
        let ids = [1 + n % 400, 401 + n / 400];
        let ids = ids.into_iter().chain((0..1022).map(|n| 1 + n % 400));
        ids.map(|id| (id, 1)).collect()
    };
    // An address has a quarter of the room: 524,288 fields, and one for each template.
    for n in 0..600 {
        e.send_from(n, &ipfix(0, &[(2, template(300, &long(n)))]));
    }
    assert_eq!(e.process.occupancy().templates, 511);
    assert_eq!(e.process.occupancy().template_fields, 511 * 1025);
    assert_eq!(e.unusable(Unusable::TooManyTemplates), 89);
    // A withdrawn one makes room.
    e.send_from(0, &ipfix(0, &[(2, vec![1, 44, 0, 0])]));
    e.send_from(599, &ipfix(0, &[(2, template(300, &long(599)))]));
    assert_eq!(e.process.occupancy().templates, 511);
    assert_eq!(e.unusable(Unusable::TooManyTemplates), 89);
}

#[test]
fn many_waiting_sets_cost_nothing_when_other_templates_come() {
    let mut e = Exporter::new(Limits {
        pending_octets: 64 << 20,
        address_share: 100,
        ..Limits::default()
    });
    let sets: Vec<_> = (0..1000).map(|n| (400 + n, vec![0; 4])).collect();
    for _ in 0..200 {
        e.send(&ipfix(0, &sets));
    }
    assert_eq!(e.process.occupancy().pending_sets, 200_000);
    // With a look at each that waits this would take minutes.
    for n in 0..1000 {
        // Every one is new, and so is every source port.
        let new = template(300, &[(1 + n % 2, 4)]);
        e.send_from(5000 + n, &ipfix(0, &[(2, new)]));
    }
    assert_eq!(e.process.occupancy().pending_sets, 200_000);
}

#[test]
fn pending_sets_of_a_forgotten_session_are_not_read_by_its_successor() {
    let mut e = Exporter::new(Limits {
        domains: 2,
        ..Limits::default()
    });
    let own = |field| (2, template(300, &[(field, 4)]));
    let data = || (301, vec![0, 0, 0, 5]);
    // The first session has one template, and a Set that waits for another.
    e.send_from(1, &ipfix(0, &[own(1), data()]));
    e.send_from(2, &ipfix(0, &[own(1)]));
    assert_eq!(e.process.occupancy().pending_sets, 1);
    // The third session takes the place of the first. Its template is not for the Sets of that one.
    e.send_from(3, &ipfix(0, &[(2, template(301, &[(1, 4)]))]));
    assert_eq!(e.process.occupancy().pending_sets, 0);
    assert_eq!(e.octets(), [] as [u64; 0]);
    assert_eq!(e.unusable(Unusable::UnknownTemplate), 1);
}

#[test]
fn ntops_v9_numbers_are_named() {
    let mut e = exporter();
    e.send(&netflow9(&[
        (0, template(300, &[(57_550, 1)])),
        (300, vec![2]),
    ]));
    assert_eq!(e.taken.json, [r#""CLIENT_TCP_FLAGS":2"#]);
}

#[test]
fn padding_after_the_last_record_is_not_a_record() {
    let mut e = exporter();
    e.send(&netflow9(&[
        (0, template(300, &[(1, 4), (2, 1)])),
        (300, vec![0, 0, 0, 1, 1, 0, 0, 0]),
    ]));
    assert_eq!(e.octets(), [1]);
}

#[test]
fn short_unknown_and_empty_datagrams_are_counted() {
    let mut e = exporter();
    for datagram in [
        &[][..],
        &[0],
        &[0, 10, 0],
        &[0, 10, 0, 200, 1],
        &[0, 5, 0, 1],
        &[0, 1, 0, 0],
        &[0, 2, 2, 3],
    ] {
        e.send(datagram);
    }
    assert_eq!(e.unusable(Unusable::Truncated), 6);
    assert_eq!(e.unusable(Unusable::UnknownVersion), 1);
    assert_eq!(e.process.counters().datagrams, 7);
}

#[test]
fn a_template_number_may_be_an_options_templates_next_and_back() {
    let mut e = exporter();
    let flows = || (2, template(300, &[(1, 4)]));
    // One scope field, 149, and 41.
    let options = (3, vec![1, 44, 0, 2, 0, 1, 0, 149, 0, 4, 0, 41, 0, 4]);
    e.send(&ipfix(0, &[flows(), (300, vec![0, 0, 0, 5])]));
    e.send(&ipfix(1, &[options, (300, vec![0, 0, 0, 7, 0, 0, 0, 9])]));
    e.send(&ipfix(2, &[flows(), (300, vec![0, 0, 0, 6])]));
    assert_eq!(e.octets(), [5, 6]);
    assert_eq!(e.process.counters().options_records, 1);
    assert_eq!(e.process.occupancy().templates, 1);
}

#[test]
fn the_count_of_a_v9_header_decides_nothing() {
    for count in [0, 1, 2, 65_535_u16] {
        let mut e = exporter();
        let sets = [
            (0, template(300, &[(1, 1)])),
            (0, template(301, &[(2, 1)])),
            (300, vec![5, 6, 7]),
            (301, vec![1]),
        ];
        let mut datagram = netflow9(&sets);
        datagram[2..4].copy_from_slice(&count.to_be_bytes());
        e.send(&datagram);
        assert_eq!(e.octets(), [5, 6, 7, 0], "count {count}");
    }
}

#[test]
fn padding_after_templates_and_options_is_not_a_template() {
    let mut e = exporter();
    let padded = |mut content: Vec<u8>| {
        content.extend([0; 2]);
        content
    };
    // v9: options template of scope 1 (System) and 41; lengths in octets.
    let options = vec![1, 144, 0, 4, 0, 4, 0, 1, 0, 4, 0, 41, 0, 4];
    let sets = [
        (0, padded(template(300, &[(1, 1)]))),
        (1, padded(options)),
        (400, padded(vec![0, 0, 0, 1, 0, 0, 0, 9])),
        (300, vec![5]),
    ];
    e.send(&netflow9(&sets));
    assert_eq!(e.octets(), [5]);
    assert_eq!(e.process.counters().options_records, 1);
    assert_eq!(e.process.counters().unusable.total(), 0);
}

#[test]
fn reduced_sizes_of_every_kind_of_field_are_read() {
    let mut e = exporter();
    // Ports, protocol, flags, interfaces and times in fewer or more octets than their type has.
    let fields = [
        (7, 1),
        (11, 4),
        (4, 2),
        (6, 1),
        (10, 2),
        (14, 8),
        (150, 8),
        (153, 6),
        (1, 3),
    ];
    let mut record = vec![80];
    record.extend(443_u32.to_be_bytes());
    record.extend([0, 6, 0x1b, 0, 9]);
    record.extend(7_u64.to_be_bytes());
    record.extend(1_700_000_000_u64.to_be_bytes());
    record.extend(&1_700_000_000_500_u64.to_be_bytes()[2..]);
    record.extend([1, 0, 0]);
    e.send(&ipfix(0, &[(2, template(300, &fields)), (300, record)]));
    let record = &e.taken.records[0];
    let (key, interfaces) = (record.key, record.interfaces.unwrap());
    assert_eq!(
        (
            key.source_port,
            key.destination_port,
            key.protocol_identifier
        ),
        (80, 443, 6)
    );
    assert_eq!(
        (interfaces.ingress_interface, interfaces.egress_interface),
        (9, 7)
    );
    assert_eq!(record.tcp_control_bits, 0x1b);
    assert_eq!(record.flow_start_milliseconds, 1_700_000_000_000);
    assert_eq!(record.flow_end_milliseconds, 1_700_000_000_500);
    assert_eq!(record.octet_delta_count, 65_536);
}
