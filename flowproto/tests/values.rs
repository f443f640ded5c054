//! Values outside their registry, unknown times, padding, and the limit of JSON.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{
    EXPORTED, Header, exporter, ipfix, numbers, options_template, record, template, template_of,
    template_set,
};
use flowproto::FlowRecord;
use flowproto::collector::{CollectingProcess, Fields, Limits, Message, RecordSink, Unusable};
use flowproto::record::Sampling;

#[test]
fn a_direction_outside_the_registry_is_not_reported() {
    for version in [9, 10] {
        for (value, expected) in [
            (0, Some(0)),
            (1, Some(1)),
            (2, None),
            (127, None),
            (255, None),
        ] {
            let record = record(version, &[(10, 3, 2), (14, 4, 2), (61, value, 1)]);
            let interfaces = record.interfaces.unwrap();
            assert_eq!(interfaces.flow_direction, expected, "{value}");
            assert_eq!(
                (interfaces.ingress_interface, interfaces.egress_interface),
                (3, 4)
            );
        }
    }
}

#[test]
fn other_values_outside_their_registries_are_not_reported() {
    assert_eq!(record(10, &[(239, 9, 1)]).biflow_direction, None);
    assert_eq!(record(10, &[(58, 0xffff, 2)]).vlan_id, 0);
    for version in [9, 10] {
        for algorithm in [0, 3, 255] {
            let fields = [(34, 100, 4), (35, algorithm, 1)];
            assert_eq!(
                record(version, &fields).sampling,
                Sampling::NONE,
                "{algorithm}"
            );
        }
        for algorithm in [1, 2] {
            let fields = [(35, algorithm, 1), (34, 100, 4)];
            assert_eq!(record(version, &fields).sampling, Sampling::one_in(100));
        }
    }
    assert_eq!(record(10, &[(34, 0, 4)]).sampling, Sampling::NONE);
}

#[test]
fn lengths_of_prefixes_beyond_the_family_are_not_reported() {
    let lengths = |record: &FlowRecord| {
        let (source, destination) = (
            record.source_prefix_length,
            record.destination_prefix_length,
        );
        [source, destination]
    };
    for (values, expected) in [([24, 32], [24, 32]), ([33, 255], [0, 0])] {
        let [source, destination] = values;
        let fields = [(8, 1, 4), (12, 2, 4), (9, source, 1), (13, destination, 1)];
        for version in [9, 10] {
            assert_eq!(lengths(&record(version, &fields)), expected);
        }
        let mut v5 = vec![0; 24 + 48];
        (v5[1], v5[3]) = (5, 1);
        v5[24 + 44..24 + 46].copy_from_slice(&[source as u8, destination as u8]);
        let mut e = exporter();
        e.send(&v5);
        assert_eq!(lengths(&e.taken.records[0]), expected);
    }
    let fields = [(27, 16), (28, 16), (29, 1), (30, 1)];
    let data = [&[0xfd; 32][..], &[128, 129]].concat();
    let mut e = exporter();
    e.send(&ipfix(0, &[(2, template(300, &fields)), (300, data)]));
    assert_eq!(lengths(&e.taken.records[0]), [128, 0]);
}

#[test]
fn times_that_are_not_known_are_absent() {
    let times = |record: FlowRecord| (record.flow_start_milliseconds, record.flow_end_milliseconds);
    // Up times without a boot time: IPFIX has none in its header, and v9 may leave it 0.
    assert_eq!(
        times(record(10, &[(22, 3_600_000, 4), (21, 3_605_000, 4)])),
        (0, 0)
    );
    let mut e = exporter();
    let header = Header {
        up_time: 0,
        ..Header::netflow9(1)
    };
    let sets = [
        (0, template(300, &[(22, 4), (21, 4)])),
        (300, numbers(&[(3_600_000, 4), (3_605_000, 4)])),
    ];
    e.send(&header.with(&sets));
    assert_eq!(times(e.taken.records.remove(0)), (0, 0));
    // A boot time of 0 is unknown, too; NetFlow v9 then has the clocks of its header.
    let fields = [(22, 90_000, 4), (21, 95_000, 4), (160, 0, 8)];
    assert_eq!(times(record(10, &fields)), (0, 0));
    assert_eq!(
        times(record(9, &fields)),
        (EXPORTED - 10_000, EXPORTED - 5000)
    );
    // One of a pair.
    assert_eq!(
        times(record(10, &[(150, 1_700_000_000, 4)])),
        (1_700_000_000_000, 0)
    );
    assert_eq!(
        times(record(10, &[(153, 1_700_000_000_000, 8)])),
        (0, 1_700_000_000_000)
    );
    // Zero is not a time.
    assert_eq!(times(record(10, &[(152, 0, 8), (153, 0, 8)])), (0, 0));
    assert_eq!(times(record(10, &[(154, 0, 8), (155, 0, 8)])), (0, 0));
}

#[test]
fn zeros_in_fields_of_translations_tunnels_and_routes_are_not_addresses() {
    let specifiers = [
        (0, 8, 4),
        (0, 15, 4),
        (0, 130, 4),
        (0, 225, 4),
        (0, 226, 4),
        (0, 227, 2),
        (6876, 891, 1),
        (6876, 892, 4),
        (6876, 893, 4),
        (6876, 894, 4),
    ];
    let read = |values: [u64; 10]| {
        let fields = specifiers.iter().zip(values);
        let octets = fields.map(|((_, _, length), value)| (value, usize::from(*length)));
        let mut e = exporter();
        let sets = [
            (2, template_of(300, &specifiers)),
            (300, numbers(&octets.collect::<Vec<_>>())),
        ];
        e.send(&ipfix(0, &sets));
        e.taken.records.remove(0)
    };
    let plain = read([0x0a00_0001, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((plain.translation, plain.tunnel), (None, None));
    assert!(plain.ip_next_hop_address.is_unspecified());
    assert!(plain.exporter_address.is_unspecified());
    let source = |record: &FlowRecord| {
        let translation = record.translation.unwrap();
        (
            translation.post_nat_source_address.is_unspecified(),
            translation.post_napt_source_port,
        )
    };
    let translated = read([0x0a00_0001, 0, 0, 0xc000_0201, 0, 4000, 0, 0, 0, 0]);
    assert_eq!(source(&translated), (false, 4000));
    let other = translated.translation.unwrap();
    assert!(other.post_nat_destination_address.is_unspecified());
    assert_eq!(
        source(&read([1, 0, 0, 0, 0, 4000, 0, 0, 0, 0])),
        (true, 4000)
    );
    for tunnel in [[1, 77, 0, 0], [2, 0, 0xc000_0201, 0]] {
        let [kind, key, from, to] = tunnel;
        assert!(
            read([1, 0, 0, 0, 0, 0, kind, key, from, to])
                .tunnel
                .is_some()
        );
    }
    // The source of a flow may be 0.0.0.0.
    assert!(read([0; 10]).key.source_address.is_ipv4());
}

#[test]
fn a_set_with_a_reserved_id_is_counted_and_the_others_are_read() {
    for (header, ids) in [
        (Header::ipfix(0), [0, 1, 4, 255]),
        (Header::netflow9(1), [2, 3, 77, 255]),
    ] {
        for id in ids {
            let mut e = exporter();
            let templates = template_set(header.version);
            let sets = [
                (templates, template(300, &[(1, 4)])),
                (id, vec![1, 2, 3, 4]),
                (300, vec![0, 0, 0, 5]),
            ];
            e.send(&header.with(&sets));
            assert_eq!(e.octets(), [5]);
            assert_eq!(e.unusable(Unusable::ReservedSet), 1, "{id}");
            // The connection goes on.
            if header.version == 10 {
                let from = "192.0.2.1:4000".parse().unwrap();
                let message = header.with(&sets);
                let read = e.process.receive_over(1, from, &message, 0, &mut e.taken);
                assert_eq!((read, e.octets()), (Ok(()), vec![5, 5]));
            }
        }
    }
}

#[test]
fn zeros_behind_the_last_set_are_padding() {
    for (version, templates) in [(9, 0), (10, 2)] {
        for zeros in [1, 2, 3, 4, 5, 60, 1000] {
            let mut e = exporter();
            let header = match version {
                9 => Header::netflow9(1),
                _ => Header::ipfix(1),
            };
            let mut datagram = header.with(&[
                (templates, template(300, &[(1, 4)])),
                (300, vec![0, 0, 0, 9]),
            ]);
            datagram.extend(vec![0; zeros]);
            e.send(&datagram);
            assert_eq!(e.octets(), [9]);
            assert_eq!(
                e.process.counters().unusable.total(),
                0,
                "v{version}, {zeros}"
            );
        }
    }
}

//------------ JSON ------------------------------------------------------------------------------

/// Lines of records within a limit.
struct Lines(usize, Vec<(String, bool)>);

impl RecordSink for Lines {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, _: &FlowRecord, fields: Fields<'_>) {
        let mut text = vec![b'{'];
        let is_truncated = fields.write_json(self.0, &mut text);
        text.push(b'}');
        self.1
            .push((String::from_utf8(text).unwrap(), is_truncated));
    }
}

/// A Message with a record whose lists contain lists: a few octets become many.
fn nested() -> Vec<Vec<u8>> {
    // 301: sixteen empty fields of long names, and one octet.
    let mut fields = vec![(0, 4, 1)];
    fields.extend((0..16).map(|n| (0, 380 + n, 0)));
    let inner = template_of(301, &fields);
    // 302: a list of 301; 300: two lists of 302, a number.
    let middle = template_of(302, &[(0, 292, 65_535)]);
    let outer = template_of(300, &[(0, 292, 65_535), (0, 292, 65_535), (0, 1, 1)]);
    let variable = |octets: &[u8]| {
        let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
        [&[255], &length[..], octets].concat()
    };
    let list = |template: u16, records: &[u8]| {
        variable(&[&[3][..], &template.to_be_bytes(), records].concat())
    };
    let of_inner = list(301, &[6; 10_000]);
    let of_middle = list(
        302,
        &[of_inner.clone(), of_inner.clone(), of_inner].concat(),
    );
    let record = [of_middle.clone(), of_middle, vec![9]].concat();
    vec![
        ipfix(0, &[(2, [inner, middle, outer].concat())]),
        ipfix(0, &[(300, record)]),
    ]
}

#[test]
fn json_stops_at_its_limit_and_is_complete() {
    for limit in [100, 1000, 4096, 65_536, 1_000_000] {
        let mut process = CollectingProcess::new(Limits::default());
        let mut lines = Lines(limit, Vec::new());
        for message in nested() {
            process.receive("192.0.2.1:1".parse().unwrap(), &message, 0, &mut lines);
        }
        let (line, is_truncated) = &lines.1[0];
        assert!(is_truncated);
        assert!(line.len() <= limit + 2, "{} > {limit}", line.len());
        // It uses the room that it has.
        assert!(
            limit < 1000 || line.len() > limit / 2,
            "{} of {limit}",
            line.len()
        );
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value.is_object());
    }
}

#[test]
fn a_line_within_the_limit_is_not_truncated() {
    let mut process = CollectingProcess::new(Limits::default());
    let mut lines = Lines(200, Vec::new());
    let sets = [
        (2, template(300, &[(1, 4), (2, 4), (1, 4)])),
        (300, numbers(&[(1, 4), (2, 4), (3, 4)])),
    ];
    process.receive(
        "192.0.2.1:1".parse().unwrap(),
        &ipfix(0, &sets),
        0,
        &mut lines,
    );
    let expected = r#"{"octetDeltaCount":[1,3],"packetDeltaCount":2}"#;
    assert_eq!(lines.1, [(expected.to_owned(), false)]);
}

#[test]
fn values_of_one_element_stop_at_the_limit_too() {
    let mut process = CollectingProcess::new(Limits::default());
    let mut lines = Lines(1000, Vec::new());
    let fields: Vec<_> = (0..900).map(|_| (1, 4)).collect();
    let sets = [(2, template(300, &fields)), (300, vec![255; 3600])];
    process.receive(
        "192.0.2.1:1".parse().unwrap(),
        &ipfix(0, &sets),
        0,
        &mut lines,
    );
    let (line, is_truncated) = &lines.1[0];
    assert!(is_truncated);
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let values = value["octetDeltaCount"].as_array().unwrap().len();
    assert!((50..100).contains(&values), "{values}");
}

#[test]
fn an_announced_name_counts_towards_the_limit() {
    let mut e = exporter();
    let name = "n".repeat(250);
    let sets = [
        (3, options_template(400, 1, &[(0, 10, 4), (0, 82, 250)])),
        (400, [&numbers(&[(5, 4)])[..], name.as_bytes()].concat()),
        (2, template(300, &[(1, 1), (10, 4)])),
    ];
    e.send(&ipfix(0, &sets));
    let mut lines = Lines(200, Vec::new());
    let from = "192.0.2.1:4000".parse().unwrap();
    let record = ipfix(1, &[(300, numbers(&[(1, 1), (5, 4)]))]);
    e.process.receive(from, &record, 0, &mut lines);
    assert_eq!(lines.1, [(r#"{"octetDeltaCount":1}"#.to_owned(), true)]);
}

/// Whether a template of these elements has the health of a connection.
fn has_health(elements: &[(u32, u16)]) -> bool {
    struct Sink(Option<bool>);
    impl RecordSink for Sink {
        fn message(&mut self, _: &Message<'_>) {}
        fn record(&mut self, _: &Message<'_>, _: &FlowRecord, fields: Fields<'_>) {
            self.0 = Some(fields.have_health());
        }
    }
    let mut definition = 300_u16.to_be_bytes().to_vec();
    definition.extend((elements.len() as u16).to_be_bytes());
    let mut record = Vec::new();
    for (enterprise, id) in elements {
        let bit = if *enterprise == 0 { 0 } else { 0x8000 };
        definition.extend((id | bit).to_be_bytes());
        definition.extend(4_u16.to_be_bytes());
        if *enterprise != 0 {
            definition.extend(enterprise.to_be_bytes());
        }
        record.extend(1_u32.to_be_bytes());
    }
    let message = Header::ipfix(1).with(&[(2, definition), (300, record)]);
    let mut sink = Sink(None);
    let mut process = CollectingProcess::new(Limits::default());
    let exporter = std::net::SocketAddr::from(([192, 0, 2, 9], 4739));
    process.receive(exporter, &message, 0, &mut sink);
    sink.0.unwrap()
}

#[test]
fn the_template_shows_whether_records_can_have_health() {
    // Octets, packets, times and the sum of durations in seconds are in most templates.
    assert!(!has_health(&[
        (0, 8),
        (0, 12),
        (0, 1),
        (0, 2),
        (0, 150),
        (0, 279)
    ]));
    for element in [
        // Own elements: duration, state, handshake, round-trip times, losses, DNS; both directions.
        (32_473, 15),
        (32_473, 23),
        (32_473, 24),
        (32_473, 21),
        (32_473, 38),
        (32_473, 26),
        (32_473, 48),
        (32_473, 56),
        // ntop: retransmissions, and latencies.
        (35_632, 109),
        (35_632, 112),
        (35_632, 123),
    ] {
        assert!(has_health(&[(0, 8), element]), "{element:?}");
    }
}
