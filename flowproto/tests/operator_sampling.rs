//! Sampling that the operator sets for exporters.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{Exporter, Header, exporter, numbers, options_template, template};
use flowproto::Address;
use flowproto::collector::{SamplingPolicy, SamplingRule};
use flowproto::record::Sampling;

const ONE: Sampling = Sampling::NONE;

/// Sets of an options record of IPFIX, whose first field is scope: elements of four octets.
fn options(fields: &[(u16, u64)]) -> Vec<(u16, Vec<u8>)> {
    let specifiers: Vec<_> = fields.iter().map(|(id, _)| (0, *id, 4)).collect();
    let values: Vec<_> = fields.iter().map(|(_, value)| (*value, 4)).collect();
    vec![
        (3, options_template(400, 1, &specifiers)),
        (400, numbers(&values)),
    ]
}

/// Sets of a record with one octet, and further elements of four octets.
fn record(fields: &[(u16, u64)]) -> Vec<(u16, Vec<u8>)> {
    let all = [&[(1, 1)], fields].concat();
    let specifiers: Vec<_> = all.iter().map(|(id, _)| (*id, 4)).collect();
    let values: Vec<_> = all.iter().map(|(_, value)| (*value, 4)).collect();
    let id = 300 + fields.len() as u16;
    vec![(2, template(id, &specifiers)), (id, numbers(&values))]
}

fn header(sequence: u32) -> Header {
    Header {
        domain: 7,
        ..Header::ipfix(sequence)
    }
}

fn sampling(e: &Exporter) -> Sampling {
    e.taken.records.last().unwrap().sampling
}

fn one_in(population: u32) -> Sampling {
    Sampling::one_in(population)
}

#[test]
fn the_operator_overrides_and_supplements_what_is_announced() {
    let mut e = exporter();
    e.process
        .set_sampling_policy(SamplingPolicy::new(|exporter| {
            let last = exporter.source.v4_bits() & 0xff;
            SamplingRule {
                override_with: (last == 1).then_some(Sampling::one_in(8)),
                default: Some(Sampling::one_in(16)),
            }
        }));
    let sampled = options(&[(149, 7), (34, 67)]);
    for (from, before, after) in [("192.0.2.1:9", 8, 8), ("192.0.2.2:9", 16, 67)] {
        e.send_at(from, 0, &header(0).with(&record(&[])));
        assert_eq!(sampling(&e), one_in(before), "{from}");
        e.send_at(from, 0, &header(1).with(&sampled));
        e.send_at(from, 0, &header(2).with(&record(&[])));
        assert_eq!(sampling(&e), one_in(after), "{from}");
        e.send_at(from, 0, &header(3).with(&record(&[(34, 5)])));
        assert_eq!(sampling(&e), one_in(if before == 8 { 8 } else { 5 }));
    }
}

#[test]
fn a_default_of_the_operator_does_not_replace_an_announced_1_to_1() {
    let rule = SamplingRule {
        override_with: None,
        default: Some(Sampling::one_in(100)),
    };
    let of_all = SamplingPolicy::new(move |_| rule);
    let mut e = exporter();
    e.process.set_sampling_policy(of_all.clone());
    e.send(&header(0).with(&record(&[(34, 1)])));
    assert_eq!(sampling(&e), ONE);
    e.send(&header(1).with(&record(&[])));
    assert_eq!(sampling(&e), one_in(100));
    // In options data of the domain, or of one interface.
    let mut e = exporter();
    e.process.set_sampling_policy(of_all.clone());
    e.send(&header(0).with(&options(&[(149, 7), (34, 1)])));
    e.send(&header(1).with(&record(&[])));
    assert_eq!(sampling(&e), ONE);
    let mut e = exporter();
    e.process.set_sampling_policy(of_all);
    e.send(&header(0).with(&options(&[(10, 3), (34, 1)])));
    e.send(&header(1).with(&record(&[(10, 3)])));
    assert_eq!(sampling(&e), ONE);
    e.send(&header(2).with(&record(&[(10, 4)])));
    assert_eq!(sampling(&e), one_in(100));
}

#[test]
fn the_operator_sets_sampling_by_the_address_that_an_exporter_reports() {
    let reported = 0xc633_6407_u32;
    let mut e = exporter();
    e.process
        .set_sampling_policy(SamplingPolicy::new(move |exporter| SamplingRule {
            override_with: (exporter.reported == Address::from_v4_bits(reported))
                .then_some(Sampling::one_in(8)),
            default: None,
        }));
    e.send(&header(0).with(&record(&[])));
    assert_eq!(sampling(&e), ONE);
    // The Message that reports it has flow records, too.
    let address = options(&[(149, 7), (130, u64::from(reported))]);
    e.send(&header(1).with(&[&address[..], &record(&[])].concat()));
    assert_eq!(sampling(&e), one_in(8));
    e.send(&header(3).with(&record(&[])));
    assert_eq!(sampling(&e), one_in(8));
}
