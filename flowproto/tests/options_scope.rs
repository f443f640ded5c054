//! What options data apply to: their scope, other ports, other Source IDs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{
    Exporter, Header, exporter, header, numbers, options_template, template, template_set,
};
use flowproto::FlowRecord;
use flowproto::record::Sampling;

/// Fields of a record: element, value, length.
type Fields = &'static [(u16, u64, u16)];

const A: &str = "192.0.2.1:5001";
const B: &str = "192.0.2.1:5002";

/// Sets of an options record of IPFIX: fields with values and lengths, the first `scope` of them
/// scope.
fn options(scope: u16, fields: &[(u16, u64, u16)]) -> Vec<(u16, Vec<u8>)> {
    let specifiers: Vec<_> = fields
        .iter()
        .map(|(id, _, length)| (0, *id, *length))
        .collect();
    let values: Vec<_> = fields
        .iter()
        .map(|(_, value, length)| (*value, (*length).into()))
        .collect();
    vec![
        (3, options_template(400, scope, &specifiers)),
        (400, numbers(&values)),
    ]
}

/// The same of v9. Scope types: 1 System, 2 Interface, 3 Line Card, 4 Cache, 5 Template.
fn options9(scope: &[(u16, u64, u16)], fields: &[(u16, u64, u16)]) -> Vec<(u16, Vec<u8>)> {
    let octets =
        |fields: &[(u16, u64, u16)]| u16::try_from(fields.len() * 4).unwrap().to_be_bytes();
    let mut definition = [400_u16.to_be_bytes(), octets(scope), octets(fields)].concat();
    let mut values = Vec::new();
    for (id, value, length) in scope.iter().chain(fields) {
        definition.extend(id.to_be_bytes());
        definition.extend(length.to_be_bytes());
        values.push((*value, (*length).into()));
    }
    vec![(1, definition), (400, numbers(&values))]
}

/// Sets of a record with one octet, and further fields.
fn record(version: u16, fields: &[(u16, u64, u16)]) -> Vec<(u16, Vec<u8>)> {
    let mut specifiers = vec![(1, 1)];
    let mut values = vec![(1, 1)];
    for (id, value, length) in fields {
        specifiers.push((*id, *length));
        values.push((*value, (*length).into()));
    }
    let id = 300 + u16::try_from(fields.len()).unwrap();
    vec![
        (template_set(version), template(id, &specifiers)),
        (id, numbers(&values)),
    ]
}

fn of(version: u16, domain: u32, sequence: u32) -> Header {
    Header {
        domain,
        ..header(version, sequence)
    }
}

fn latest(e: &Exporter) -> &FlowRecord {
    e.taken.records.last().unwrap()
}

fn sampling(e: &Exporter) -> Sampling {
    latest(e).sampling
}

const ONE: Sampling = Sampling::NONE;

fn one_in(population: u32) -> Sampling {
    Sampling::one_in(population)
}

//------------ Scope -----------------------------------------------------------------------------

#[test]
fn sampling_applies_to_its_scope() {
    // Scope and options; a record that it applies to; one that it does not apply to.
    let cases: [(Fields, Fields, Fields, Option<Fields>); 8] = [
        (&[(149, 7, 4)], &[(34, 50, 4)], &[], None),
        (&[(144, 1, 4)], &[(34, 50, 4)], &[], None),
        (
            &[(10, 3, 4)],
            &[(34, 50, 4)],
            &[(10, 3, 2)],
            Some(&[(10, 4, 2)]),
        ),
        (
            &[(14, 3, 2)],
            &[(50, 50, 4)],
            &[(14, 3, 4), (61, 1, 1)],
            Some(&[]),
        ),
        (
            &[(141, 2, 4)],
            &[(34, 50, 4)],
            &[(141, 2, 4)],
            Some(&[(141, 3, 4)]),
        ),
        (
            &[(138, 9, 8)],
            &[(34, 50, 4)],
            &[(138, 9, 8)],
            Some(&[(138, 8, 8)]),
        ),
        (&[(145, 301, 2)], &[(34, 50, 4)], &[(2, 1, 1)], Some(&[])),
        (
            &[(302, 5, 8)],
            &[(305, 1, 4), (306, 49, 4)],
            &[(302, 5, 8)],
            Some(&[(302, 0, 8)]),
        ),
    ];
    for (scope, fields, applies, other) in cases {
        let mut e = exporter();
        let all = [scope, fields].concat();
        e.send(&of(10, 7, 0).with(&options(1, &all)));
        e.send(&of(10, 7, 1).with(&record(10, applies)));
        assert_eq!(sampling(&e), one_in(50), "{scope:?}");
        if let Some(other) = other {
            e.send(&of(10, 7, 2).with(&record(10, other)));
            assert_eq!(sampling(&e), ONE, "{scope:?}");
        }
        let counters = e.process.counters();
        assert_eq!(counters.records_of_unknown_sampling, 0, "{scope:?}");
        assert_eq!(counters.announcements_ignored, 0, "{scope:?}");
    }
}

#[test]
fn v9_sampling_applies_to_its_scope() {
    let at = |scope: (u16, u64, u16), fields: &[(u16, u64, u16)], other: &[(u16, u64, u16)]| {
        let mut e = exporter();
        e.send(&of(9, 7, 1).with(&options9(&[scope], &[(34, 50, 4), (35, 1, 1)])));
        e.send(&of(9, 7, 2).with(&record(9, fields)));
        let applies = sampling(&e);
        e.send(&of(9, 7, 3).with(&record(9, other)));
        (applies, sampling(&e))
    };
    assert_eq!(at((1, 0, 4), &[], &[(10, 2, 2)]), (one_in(50), one_in(50)));
    assert_eq!(
        at((2, 8, 2), &[(10, 8, 4)], &[(10, 9, 4)]),
        (one_in(50), ONE)
    );
    assert_eq!(
        at((3, 1, 4), &[(141, 1, 4)], &[(141, 2, 4)]),
        (one_in(50), ONE)
    );
    assert_eq!(
        at((5, 302, 2), &[(10, 1, 2), (14, 1, 2)], &[]),
        (one_in(50), ONE)
    );
}

#[test]
fn a_scope_without_a_value_is_the_only_one_of_its_kind() {
    let sampled = [(34, 50, 4), (35, 2, 1)];
    let with = |scope: &[(u16, u64, u16)]| [scope, &sampled].concat();
    let cases = [
        // System; the exporting process; the domain.
        (9, options9(&[(1, 0, 0)], &sampled), one_in(50)),
        (10, options(1, &with(&[(144, 0, 0)])), one_in(50)),
        (10, options(1, &with(&[(149, 0, 0)])), one_in(50)),
        // Which interface it is about is not known.
        (9, options9(&[(2, 0, 0)], &sampled), ONE),
        (10, options(1, &with(&[(10, 0, 0)])), ONE),
    ];
    for (version, sets, expected) in cases {
        let mut e = exporter();
        e.send(&of(version, 7, 0).with(&sets));
        e.send(&of(version, 7, 1).with(&record(version, &[])));
        assert_eq!(sampling(&e), expected, "{version}: {sets:?}");
    }
}

#[test]
fn the_most_specific_announcement_holds() {
    let mut e = exporter();
    for (at, (scope, population)) in [((149, 7), 10), ((10, 3), 20), ((145, 302), 30)]
        .into_iter()
        .enumerate()
    {
        let (id, value) = scope;
        let fields = [(id, value, 4), (34, population, 4)];
        e.send(&of(10, 7, at as u32).with(&options(1, &fields)));
    }
    let cases: [(Fields, u32); 4] = [
        (&[], 10),
        (&[(10, 3, 4)], 20),
        (&[(10, 4, 4)], 10),
        (&[(10, 4, 4), (14, 4, 4)], 30),
    ];
    for (fields, population) in cases {
        e.send(&of(10, 7, 9).with(&record(10, fields)));
        assert_eq!(sampling(&e), one_in(population), "{fields:?}");
    }
    // A record that has it itself.
    e.send(&of(10, 7, 9).with(&record(10, &[(34, 70, 4)])));
    assert_eq!(sampling(&e), one_in(70));
}

//------------ Domains and ports -----------------------------------------------------------------

#[test]
fn sampling_of_domain_7_is_announced_in_domain_0_too() {
    for in_domain in [0, 7] {
        let mut e = exporter();
        let fields = [(149, 7, 4), (34, 50, 4)];
        e.send(&of(10, in_domain, 0).with(&options(1, &fields)));
        e.send(&of(10, 7, 0).with(&record(10, &[])));
        assert_eq!(sampling(&e), one_in(50));
        e.send(&of(10, 8, 0).with(&record(10, &[])));
        assert_eq!(sampling(&e), ONE);
    }
}

#[test]
fn what_domain_0_announces_of_itself_is_the_devices() {
    let mut e = exporter();
    e.send(&of(10, 0, 0).with(&options(1, &[(149, 0, 4), (34, 50, 4)])));
    e.send(&of(10, 8, 0).with(&record(10, &[])));
    // 149 = 0 in domain 0 is that domain; a device has 144.
    assert_eq!(sampling(&e), ONE);
    e.send(&of(10, 0, 1).with(&options(1, &[(144, 1, 4), (34, 50, 4)])));
    e.send(&of(10, 8, 1).with(&record(10, &[])));
    assert_eq!(sampling(&e), one_in(50));
}

#[test]
fn samplers_and_names_of_another_source_id_and_port_hold() {
    for version in [9, 10] {
        for (from, domain) in [(A, 6), (B, 7), (B, 6)] {
            let mut e = exporter();
            let sampler = match version {
                9 => options9(&[(1, 0, 4)], &[(48, 2, 1), (49, 2, 1), (50, 100, 4)]),
                _ => options(1, &[(302, 2, 8), (305, 1, 4), (306, 99, 4)]),
            };
            let interface = match version {
                9 => options9(&[(2, 5, 4)], &[(82, u64::from_be_bytes(*b"port-one"), 8)]),
                _ => options(1, &[(10, 5, 4), (82, u64::from_be_bytes(*b"port-one"), 8)]),
            };
            e.send_at(from, 0, &of(version, domain, 1).with(&sampler));
            e.send_at(from, 0, &of(version, domain, 2).with(&interface));
            let selector = if version == 9 { 48 } else { 302 };
            let fields = [(10, 5, 4), (selector, 2, 1)];
            e.send_at(A, 0, &of(version, 7, 1).with(&record(version, &fields)));
            assert_eq!(sampling(&e), one_in(100), "v{version} {from} {domain}");
            let json = e.taken.json.last().unwrap();
            assert!(
                json.contains("\"ingressInterfaceName\":\"port-one\""),
                "{json}"
            );
            assert_eq!(e.process.counters().records_of_unknown_sampling, 0);
        }
    }
}

#[test]
fn two_exporters_at_one_address_keep_their_own_samplers() {
    let mut e = exporter();
    for (from, population) in [(A, 10_u64), (B, 20)] {
        let fields = options(1, &[(302, 1, 8), (305, 1, 4), (306, population - 1, 4)]);
        for _ in 0..2 {
            e.send_at(from, 0, &of(10, 7, 0).with(&fields));
        }
    }
    for (from, population) in [(A, 10), (B, 20), (A, 10)] {
        e.send_at(from, 0, &of(10, 7, 1).with(&record(10, &[(302, 1, 8)])));
        assert_eq!(sampling(&e), one_in(population));
    }
}

#[test]
fn options_data_of_another_address_do_not_hold() {
    let mut e = exporter();
    let fields = options(1, &[(149, 7, 4), (34, 50, 4)]);
    e.send_at("192.0.2.2:5001", 0, &of(10, 7, 0).with(&fields));
    e.send_at(A, 0, &of(10, 7, 0).with(&record(10, &[])));
    assert_eq!(sampling(&e), ONE);
}

#[test]
fn after_a_restart_options_data_do_not_hold() {
    let mut e = exporter();
    let sampler = options9(&[(1, 0, 4)], &[(34, 50, 4), (35, 1, 1)]);
    let header = |sequence, up_time, seconds| Header {
        up_time,
        seconds,
        ..of(9, 7, sequence)
    };
    e.send_at(A, 0, &header(100, 900_000, 0).with(&sampler));
    e.send_at(A, 1000, &header(101, 901_000, 1).with(&record(9, &[])));
    assert_eq!(sampling(&e), one_in(50));
    e.send_at(A, 90_000, &header(0, 5000, 90).with(&record(9, &[])));
    assert_eq!(sampling(&e), ONE);
}

//------------ Selectors -------------------------------------------------------------------------

#[test]
fn a_record_without_selector_takes_that_in_which_all_agree() {
    let selector =
        |id, population: u64| options(1, &[(302, id, 8), (305, 1, 4), (306, population - 1, 4)]);
    for order in [[1, 2], [2, 1]] {
        let mut e = exporter();
        for id in order {
            e.send(&of(10, 7, 0).with(&selector(id, 10)));
        }
        e.send(&of(10, 7, 1).with(&record(10, &[])));
        assert_eq!(sampling(&e), one_in(10));
        assert_eq!(e.process.counters().records_of_unknown_sampling, 0);
        // They disagree from here on.
        e.send(&of(10, 7, 2).with(&selector(order[1], 20)));
        e.send(&of(10, 7, 3).with(&record(10, &[])));
        assert_eq!(sampling(&e), ONE);
        assert_eq!(e.process.counters().records_of_unknown_sampling, 1);
        // A domain-wide announcement decides it.
        e.send(&of(10, 7, 4).with(&options(1, &[(149, 7, 4), (34, 30, 4)])));
        e.send(&of(10, 7, 5).with(&record(10, &[])));
        assert_eq!(sampling(&e), one_in(30));
        assert_eq!(e.process.counters().records_of_unknown_sampling, 1);
    }
}

#[test]
fn a_record_of_an_unknown_selector_is_counted() {
    for version in [9, 10] {
        let mut e = exporter();
        let selector = if version == 9 { 48 } else { 302 };
        e.send(&of(version, 7, 1).with(&record(version, &[(selector, 3, 1)])));
        e.send(&of(version, 7, 2).with(&record(version, &[(selector, 0, 1)])));
        assert_eq!(sampling(&e), ONE);
        assert_eq!(e.process.counters().records_of_unknown_sampling, 1);
        let report = e.process.domains().next().unwrap();
        assert_eq!(report.records_of_unknown_sampling, 1);
        assert_eq!(report.sampling, ONE);
    }
}

#[test]
fn a_selection_sequence_multiplies_its_selectors() {
    let mut e = exporter();
    for (id, population) in [(1, 10), (2, 5)] {
        let fields = [
            (302, id, 8),
            (304, 1, 2),
            (305, 1, 4),
            (306, population - 1, 4),
        ];
        e.send(&of(10, 7, 0).with(&options(1, &fields)));
    }
    let fields = [(301, 9, 8), (138, 1, 8), (302, 1, 8), (302, 2, 8)];
    e.send(&of(10, 7, 0).with(&options(1, &fields)));
    e.send(&of(10, 7, 3).with(&record(10, &[(301, 9, 8)])));
    assert_eq!(sampling(&e).factor(), 50.0);
}

//------------ What is announced -----------------------------------------------------------------

#[test]
fn flow_selection_counts_for_flows_and_packets() {
    let cases: [&[(u16, u64, u16)]; 4] = [
        &[(390, 1, 2), (396, 1, 4), (397, 9, 4)],
        &[(390, 2, 2), (398, 100, 8), (399, 900, 8)],
        &[(390, 3, 2), (309, 1, 4), (310, 10, 4)],
        &[(396, 1, 4), (397, 9, 4)],
    ];
    for fields in cases {
        let mut e = exporter();
        let fields = [&[(149, 7, 4)], fields].concat();
        e.send(&of(10, 7, 0).with(&options(1, &fields)));
        e.send(&of(10, 7, 1).with(&record(10, &[])));
        assert_eq!(sampling(&e).factor(), 10.0, "{fields:?}");
        assert_eq!(latest(&e).flow_sampling.factor(), 10.0, "{fields:?}");
    }
    // Packets and flows.
    let mut e = exporter();
    let fields = [(149, 7, 4), (34, 4, 4), (396, 1, 4), (397, 9, 4)];
    e.send(&of(10, 7, 0).with(&options(1, &fields)));
    e.send(&of(10, 7, 1).with(&record(10, &[])));
    assert_eq!(sampling(&e).factor(), 40.0);
    assert_eq!(latest(&e).flow_sampling.factor(), 10.0);
}

#[test]
fn announcements_that_are_not_understood_are_counted() {
    let cases: [&[(u16, u64, u16)]; 5] = [
        // Undefined algorithms.
        &[(149, 7, 4), (34, 50, 4), (35, 9, 1)],
        &[(149, 7, 4), (304, 200, 2), (305, 1, 4), (306, 9, 4)],
        &[(149, 7, 4), (390, 99, 2), (396, 1, 4), (397, 9, 4)],
        // A scope by which no record can be found.
        &[(56, 1, 6), (34, 50, 4)],
        &[(149, 7, 4), (304, 6, 2)],
    ];
    for fields in cases {
        let mut e = exporter();
        e.send(&of(10, 7, 0).with(&options(1, fields)));
        e.send(&of(10, 7, 1).with(&record(10, &[])));
        assert_eq!(sampling(&e), ONE, "{fields:?}");
        assert_eq!(e.process.counters().announcements_ignored, 1, "{fields:?}");
        let report = e.process.domains().next().unwrap();
        assert_eq!(report.announcements_ignored, 1);
    }
    // Filters select without a rate.
    let mut e = exporter();
    e.send(&of(10, 7, 0).with(&options(1, &[(302, 4, 8), (304, 5, 2)])));
    assert_eq!(e.process.counters().announcements_ignored, 1);
}

#[test]
fn an_interval_that_no_sampler_has_is_unknown() {
    // 1, 500 and 10,000 with their octets in reverse order; "all bits set".
    for interval in [0x0100_0000, 0xf401_0000, 0x1027_0000, 0xffff_ffff] {
        let mut e = exporter();
        e.send(&of(10, 7, 0).with(&record(10, &[(34, interval, 4)])));
        assert_eq!(sampling(&e), ONE, "{interval:x}");
        assert_eq!(e.process.counters().records_of_unknown_sampling, 1);
        let mut e = exporter();
        e.send(&of(10, 7, 0).with(&options(1, &[(149, 7, 4), (50, interval, 4)])));
        e.send(&of(10, 7, 1).with(&record(10, &[])));
        assert_eq!(sampling(&e), ONE, "{interval:x}");
        assert_eq!(e.process.counters().announcements_ignored, 1);
    }
    // The largest of them.
    let mut e = exporter();
    e.send(&of(10, 7, 0).with(&record(10, &[(34, 16_777_215, 4)])));
    assert_eq!(sampling(&e), one_in(16_777_215));
    assert_eq!(e.process.counters().records_of_unknown_sampling, 0);
    // The operator knows it.
    use flowproto::collector::{SamplingPolicy, SamplingRule};
    let mut e = exporter();
    e.process
        .set_sampling_policy(SamplingPolicy::new(|_| SamplingRule {
            override_with: Some(Sampling::one_in(500)),
            default: None,
        }));
    e.send(&of(10, 7, 0).with(&record(10, &[(34, 0xf401_0000, 4)])));
    assert_eq!(sampling(&e), one_in(500));
    assert_eq!(e.process.counters().records_of_unknown_sampling, 0);
}

#[test]
fn options_data_that_waited_hold_for_the_flow_records_that_waited() {
    let sampled = options(1, &[(149, 7, 4), (34, 50, 4)]);
    let flow = record(10, &[]);
    let data = [flow[1].clone(), sampled[1].clone()];
    let mut templates = [flow[0].clone(), sampled[0].clone()];
    for order in ["flows first", "options first"] {
        // In the Message of their templates.
        let mut e = exporter();
        e.send(&of(10, 7, 0).with(&[&data[..], &templates].concat()));
        assert_eq!(sampling(&e), one_in(50), "{order}");
        // In a Message before it.
        let mut e = exporter();
        e.send(&of(10, 7, 0).with(&data));
        e.send(&of(10, 7, 2).with(&templates));
        assert_eq!(sampling(&e), one_in(50), "{order}");
        templates.reverse();
    }
}

#[test]
fn interface_0_does_not_narrow_an_announcement() {
    let mut e = exporter();
    e.send(&of(10, 7, 0).with(&options(1, &[(149, 7, 4), (10, 0, 4), (34, 50, 4)])));
    e.send(&of(10, 7, 1).with(&record(10, &[(10, 3, 4)])));
    assert_eq!(sampling(&e), one_in(50));
}

#[test]
fn a_gap_without_an_interval_is_counted_as_not_understood() {
    let mut e = exporter();
    e.send(&of(10, 7, 0).with(&options(1, &[(149, 7, 4), (306, 99, 4)])));
    e.send(&of(10, 7, 1).with(&record(10, &[])));
    assert_eq!(sampling(&e), ONE);
    assert_eq!(e.process.counters().announcements_ignored, 1);
}

#[test]
fn physical_interfaces_stand_for_interfaces_that_a_record_does_not_have() {
    let about = [(10, 3, 4), (34, 50, 4)];
    for (fields, expected) in [
        (&[(252, 3, 4), (253, 9, 4)][..], one_in(50)),
        (&[(252, 3, 4), (10, 4, 4)], ONE),
        (&[(10, 3, 4), (252, 4, 4)], one_in(50)),
    ] {
        let mut e = exporter();
        e.send(&of(10, 7, 0).with(&options(1, &about)));
        e.send(&of(10, 7, 1).with(&record(10, fields)));
        assert_eq!(sampling(&e), expected, "{fields:?}");
    }
}
