//! Elements that an operator has read as others.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use std::net::SocketAddr;

use exporter::{
    EXPORTED, Exporter, Header, exporter, ipfix, numbers, options_template, template, template_of,
};
use flowproto::alias::{AliasError, ElementAliases};
use flowproto::collector::{AliasPolicy, Limits};
use flowproto::explain::{Bounds, Captured, Explainer};
use flowproto::field::ElementId;
use flowproto::record::Sampling;

/// The enterprise of a vendor whose elements no registry has.
const VENDOR: u32 = 4_000_000;

fn aliases(pairs: &[(&str, &str)]) -> ElementAliases {
    let pairs = pairs.iter().map(|(own, read_as)| {
        (
            ElementId::parse(own).unwrap(),
            ElementId::parse(read_as).unwrap(),
        )
    });
    ElementAliases::new(pairs).unwrap()
}

/// A policy for 192.0.2.1 alone.
fn policy(pairs: &[(&str, &str)]) -> AliasPolicy {
    let aliases = aliases(pairs);
    AliasPolicy::new(move |address| match address.v4_bits() & 0xff {
        1 => aliases.clone(),
        _ => ElementAliases::default(),
    })
}

fn exporter_with(pairs: &[(&str, &str)]) -> Exporter {
    let mut e = exporter();
    e.process.set_alias_policy(policy(pairs));
    e
}

/// Octets and packets of both directions, of each record.
fn counts(e: &Exporter) -> Vec<[u64; 4]> {
    let counts = e.taken.records.iter().map(|r| {
        [
            r.octet_delta_count,
            r.packet_delta_count,
            r.reverse_octet_delta_count,
            r.reverse_packet_delta_count,
        ]
    });
    counts.collect()
}

const OUT_IS_REVERSE: [(&str, &str); 2] = [
    ("postOctetDeltaCount", "reverseOctetDeltaCount"),
    ("24", "29305:2"),
];

#[test]
fn outgoing_counters_are_those_of_the_reverse_direction_if_the_operator_sets_it() {
    let fields = [(8, 4), (12, 4), (1, 4), (2, 4), (23, 4), (24, 4)];
    let values = [(1, 4), (2, 4), (900, 4), (3, 4), (50_000, 4), (40, 4)];
    for (templates, header) in [(0, Header::netflow9(1)), (2, Header::ipfix(0))] {
        let message = header.with(&[(templates, template(300, &fields)), (300, numbers(&values))]);
        let mut e = exporter_with(&OUT_IS_REVERSE);
        e.send_at("192.0.2.1:9", 0, &message);
        e.send_at("192.0.2.2:9", 0, &message);
        assert_eq!(counts(&e), [[900, 3, 50_000, 40], [900, 3, 0, 0]]);
        // As received.
        assert!(e.taken.json[0].contains(r#""postOctetDeltaCount":50000"#));
    }
}

#[test]
fn counters_of_a_vendor_are_counted() {
    let fields = [
        (0, 8, 4),
        (VENDOR, 5, 65_535),
        (VENDOR, 8, 8),
        (VENDOR, 9, 8),
    ];
    let mut values = numbers(&[(1, 4)]);
    values.extend([3, b'w', b'e', b'b']);
    values.extend(numbers(&[(700, 8), (90, 8)]));
    let message = ipfix(0, &[(2, template_of(300, &fields)), (300, values)]);
    let mut e = exporter_with(&[
        ("4000000:8", "octetDeltaCount"),
        ("4000000:9", "reverseOctetDeltaCount"),
    ]);
    e.send(&message);
    assert_eq!(counts(&e), [[700, 0, 90, 0]]);
    let mut without = exporter();
    without.send(&message);
    assert_eq!(counts(&without), [[0; 4]]);
}

#[test]
fn totals_that_are_in_fact_deltas_are_added_up() {
    let fields = [(8, 4), (152, 8), (85, 4)];
    let send = |e: &mut Exporter| {
        e.send(&ipfix(0, &[(2, template(300, &fields))]));
        for (sequence, octets) in [500, 700, 600].into_iter().enumerate() {
            let values = numbers(&[(1, 4), (EXPORTED, 8), (octets, 4)]);
            e.send(&ipfix(sequence.try_into().unwrap(), &[(300, values)]));
        }
        e.octets()
    };
    assert_eq!(send(&mut exporter()), [500, 200, 0]);
    let mut e = exporter_with(&[("octetTotalCount", "octetDeltaCount")]);
    assert_eq!(send(&mut e), [500, 700, 600]);
}

#[test]
fn options_data_are_read_as_others_too() {
    let fields = [(0, 149, 4), (VENDOR, 1, 4)];
    let mut e = exporter_with(&[("4000000:1", "samplingInterval")]);
    e.send(&ipfix(
        0,
        &[
            (3, options_template(400, 1, &fields)),
            (400, numbers(&[(7, 4), (128, 4)])),
            (2, template(300, &[(8, 4), (1, 4)])),
            (300, numbers(&[(1, 4), (10, 4)])),
        ],
    ));
    assert_eq!(e.taken.records[0].sampling, Sampling::one_in(128));
}

#[test]
fn what_is_read_as_padding_is_not_read() {
    // Totals, next to deltas that do not cover all packets.
    let fields = [(8, 4), (1, 4), (85, 4)];
    let mut e = exporter_with(&[("octetDeltaCount", "paddingOctets")]);
    e.send(&ipfix(
        0,
        &[
            (2, template(300, &fields)),
            (300, numbers(&[(1, 4), (0, 4), (65, 4)])),
        ],
    ));
    assert_eq!(counts(&e), [[65, 0, 0, 0]]);
}

#[test]
fn a_restored_template_is_read_as_before() {
    let fields = [(8, 4), (1, 4), (23, 4)];
    let mut e = exporter_with(&OUT_IS_REVERSE);
    e.send(&ipfix(0, &[(2, template(300, &fields))]));
    let state = e.process.state(0);
    let mut restored = Exporter::new(Limits::default());
    restored.process.set_alias_policy(policy(&OUT_IS_REVERSE));
    restored.process.restore(&state, 0);
    restored.send(&ipfix(0, &[(300, numbers(&[(1, 4), (10, 4), (20, 4)]))]));
    assert_eq!(counts(&restored), [[10, 0, 20, 0]]);
}

#[test]
fn an_alias_without_effect_and_one_of_another_type_are_refused() {
    let one = |own: &str, read_as: &str| {
        let pair = (
            ElementId::parse(own).unwrap(),
            ElementId::parse(read_as).unwrap(),
        );
        ElementAliases::new([pair]).unwrap_err()
    };
    let name = ElementId::iana(96);
    assert_eq!(
        one("4000000:1", "applicationName"),
        AliasError::NotRead(name)
    );
    assert_eq!(
        one("sourceIPv4Address", "octetDeltaCount"),
        AliasError::OtherType(ElementId::iana(8), ElementId::iana(1))
    );
}

#[test]
fn explain_prints_what_an_element_is_read_as() {
    let fields = [(8, 4), (1, 4), (23, 4)];
    let message = ipfix(0, &[(2, template(300, &fields))]);
    let mut explainer = Explainer::new(Bounds::default());
    explainer.set_alias_policy(policy(&OUT_IS_REVERSE));
    let mut text = |host: u8| {
        let mut out = Vec::new();
        let captured = Captured {
            exporter: SocketAddr::from(([192, 0, 2, host], 9)),
            time_milliseconds: Some(EXPORTED),
            octets: &message,
        };
        explainer.explain(&captured, &mut out);
        String::from_utf8(out).unwrap()
    };
    let words = "read as reverseOctetDeltaCount";
    assert_eq!(text(1).matches(words).count(), 1);
    assert_eq!(text(2).matches(words).count(), 0);
}

#[test]
fn explain_marks_a_field_that_another_one_of_the_same_reading_precedes() {
    let pairs = [
        ("postOctetDeltaCount", "octetDeltaCount"),
        ("2", "210"),
        ("24", "210"),
    ];
    let text = |fields: &[(u16, u16)]| {
        let mut explainer = Explainer::new(Bounds::default());
        explainer.set_alias_policy(policy(&pairs));
        let mut out = Vec::new();
        let captured = Captured {
            exporter: SocketAddr::from(([192, 0, 2, 1], 9)),
            time_milliseconds: Some(EXPORTED),
            octets: &ipfix(0, &[(2, template(300, fields))]),
        };
        explainer.explain(&captured, &mut out);
        String::from_utf8(out).unwrap()
    };
    let line = |text: &str, name: &str| {
        let mut lines = text.lines().filter(|line| line.contains(name));
        lines.next().unwrap().to_owned()
    };
    let words = "not read: a field before is read as octetDeltaCount";
    let own_first = text(&[(1, 4), (23, 4), (2, 4), (24, 4)]);
    assert_eq!(own_first.matches(words).count(), 1);
    assert!(line(&own_first, "postOctetDeltaCount").contains(words));
    let own_last = text(&[(23, 4), (1, 4)]);
    assert!(line(&own_last, "postOctetDeltaCount").contains("read as octetDeltaCount"));
    assert_eq!(own_last.matches(words).count(), 1);
    // What the decoder counts.
    for (fields, counted) in [([(1, 4), (23, 4)], 5), ([(23, 4), (1, 4)], 5)] {
        let mut e = exporter_with(&pairs);
        let values = numbers(&[(5, 4), (7, 4)]);
        e.send(&ipfix(0, &[(2, template(300, &fields)), (300, values)]));
        assert_eq!(e.octets(), [counted]);
    }
}

#[test]
fn an_element_is_read_as_one_other_element_only() {
    let elements = [
        "23",
        "octetDeltaCount",
        "postOctetDeltaCount",
        "octetTotalCount",
    ];
    let [a, b, c, d] = elements.map(|text| ElementId::parse(text).unwrap());
    let repeated = ElementAliases::new([(a, b), (d, b), (c, d)]);
    assert_eq!(repeated, Err(AliasError::Repeated(a)));
    assert!(ElementAliases::new([(a, b), (d, b)]).is_ok());
}
