//! One sender cannot take what others need.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{
    Exporter, Header, exporter, header, ipfix, numbers, options_template, template, template_set,
};
use flowproto::collector::{Limits, Unusable};

const GOOD: &str = "192.0.2.1:4000";
/// A datagram of another protocol version of the same kind.
const VERSIONS: [u16; 2] = [9, 10];

fn templates(version: u16, fields: &[(u16, u16)]) -> (u16, Vec<u8>) {
    (template_set(version), template(300, fields))
}

/// Sends templates of an exporter that is to be hurt.
fn begin(e: &mut Exporter, version: u16) {
    let sets = [templates(version, &[(1, 1)]), (300, vec![1])];
    e.send_at(GOOD, 0, &header(version, 1).with(&sets));
    assert_eq!(e.take_octets(), [1]);
}

/// Sends a record, which needs the template.
fn is_unhurt(e: &mut Exporter, version: u16) -> bool {
    e.send_at(GOOD, 1000, &header(version, 2).with(&[(300, vec![7])]));
    e.take_octets().last() == Some(&7)
}

#[test]
fn many_ports_and_domains_of_one_address_evict_only_their_own() {
    for version in VERSIONS {
        for (bad, has_records) in [
            ("192.0.2.66", false),
            ("192.0.2.66", true),
            ("2001:db8::66", true),
        ] {
            let mut e = exporter();
            begin(&mut e, version);
            for n in 0..9000_u32 {
                let header = Header {
                    domain: n % 3,
                    ..header(version, n)
                };
                let mut sets = vec![templates(version, &[(1, 1)])];
                if has_records {
                    sets.push((300, vec![2]));
                }
                let from = std::net::SocketAddr::new(bad.parse().unwrap(), n as u16);
                e.send_at(&from.to_string(), 0, &header.with(&sets));
            }
            e.take_octets();
            assert!(is_unhurt(&mut e, version), "v{version} {bad}");
            assert_eq!(e.process.occupancy().domains, 1 + 1024);
        }
    }
}

#[test]
fn addresses_without_a_decoded_record_do_not_evict_those_with_one() {
    for version in VERSIONS {
        let mut e = Exporter::new(Limits {
            domains: 100,
            ..Limits::default()
        });
        begin(&mut e, version);
        for n in 0..5000_u32 {
            let from = format!("10.{}.{}.1:1", n / 250, n % 250);
            e.send_at(&from, 0, &header(version, n).with(&[(256, vec![1; 8])]));
        }
        assert!(is_unhurt(&mut e, version));
        assert!(e.process.occupancy().domains <= 100);
    }
}

#[test]
fn new_addresses_do_not_evict_those_active_within_a_minute() {
    let mut e = Exporter::new(Limits {
        domains: 100,
        ..Limits::default()
    });
    begin(&mut e, 10);
    for n in 0..500_u32 {
        let from = format!("10.{}.{}.1:1", n / 250, n % 250);
        let sets = [templates(10, &[(1, 1)]), (300, vec![1])];
        e.send_at(&from, 0, &ipfix(0, &sets));
    }
    assert_eq!(e.unusable(Unusable::TooManyDomains), 500 - 99);
    e.take_octets();
    assert!(is_unhurt(&mut e, 10));
    // Those that have been silent for a minute have to go.
    let sets = [templates(10, &[(1, 1)]), (300, vec![9])];
    e.send_at("10.9.9.9:1", 61_000, &ipfix(0, &sets));
    assert_eq!(e.take_octets(), [9]);
}

#[test]
fn template_fields_of_one_address_leave_room_for_others() {
    for version in VERSIONS {
        let mut e = Exporter::new(Limits {
            template_fields: 4000,
            ..Limits::default()
        });
        for port in 1..100_u16 {
            let from = format!("192.0.2.66:{port}");
            let fields: Vec<_> = (0..50).map(|n| (port * 60 % 400 + n, 1)).collect();
            e.send_at(
                &from,
                0,
                &header(version, 1).with(&[templates(version, &fields)]),
            );
        }
        let used = e.process.occupancy().template_fields;
        assert!((900..=1000).contains(&used), "{used}");
        begin(&mut e, version);
        assert!(is_unhurt(&mut e, version));
    }
}

#[test]
fn a_template_is_stored_once_for_all_ports_of_its_exporter() {
    let mut e = exporter();
    for port in 1..1000_u32 {
        let from = format!("192.0.2.1:{port}");
        let fields: Vec<_> = (0..100).map(|n| (1 + n, 1)).collect();
        e.send_at(&from, 0, &header(9, port).with(&[templates(9, &fields)]));
    }
    assert_eq!(e.process.occupancy().template_fields, 100 + 999);
}

#[test]
fn pending_sets_of_one_address_leave_room_for_others() {
    for version in VERSIONS {
        let mut e = Exporter::new(Limits {
            pending_octets: 100_000,
            ..Limits::default()
        });
        for n in 0..5000 {
            let from = format!("192.0.2.66:{}", n % 50 + 1);
            e.send_at(&from, 0, &header(version, n).with(&[(256, vec![1; 1000])]));
        }
        assert!(e.process.occupancy().pending_octets <= 25_000);
        e.send_at(GOOD, 0, &header(version, 1).with(&[(300, vec![1])]));
        e.send_at(
            GOOD,
            0,
            &header(version, 2).with(&[templates(version, &[(1, 1)])]),
        );
        assert_eq!(e.take_octets(), [1]);
    }
}

#[test]
fn metadata_of_one_address_leaves_room_for_others() {
    let mut e = Exporter::new(Limits {
        metadata_entries: 1000,
        ..Limits::default()
    });
    let name = |e: &mut Exporter, from: &str, id: u64| {
        let sets = [
            (3, options_template(400, 1, &[(0, 10, 4), (0, 82, 4)])),
            (
                400,
                numbers(&[(id, 4), (u64::from(u32::from_be_bytes(*b"eth0")), 4)]),
            ),
        ];
        e.send_at(from, 0, &ipfix(0, &sets));
    };
    for id in 0..5000 {
        name(&mut e, &format!("192.0.2.66:{}", id % 100 + 1), id);
    }
    assert_eq!(e.process.occupancy().metadata_entries, 250);
    assert_eq!(e.process.counters().metadata_refused, 4750);
    name(&mut e, GOOD, 5);
    let sets = [
        (2, template(300, &[(10, 4), (1, 1)])),
        (300, numbers(&[(5, 4), (1, 1)])),
    ];
    e.send_at(GOOD, 0, &ipfix(1, &sets));
    assert!(e.taken.json[0].contains("\"ingressInterfaceName\":\"eth0\""));
}

#[test]
fn running_totals_of_one_address_leave_those_of_others() {
    let mut e = Exporter::new(Limits {
        totals: 1000,
        ..Limits::default()
    });
    let fields = [(8, 4), (85, 8)];
    let total = |e: &mut Exporter, from: &str, source: u64, octets: u64| {
        let sets = [
            (2, template(300, &fields)),
            (300, numbers(&[(source, 4), (octets, 8)])),
        ];
        e.send_at(from, 0, &ipfix(0, &sets));
    };
    total(&mut e, GOOD, 1, 100);
    for source in 0..5000 {
        total(&mut e, "192.0.2.66:1", source, 1);
    }
    assert_eq!(e.process.occupancy().totals, 251);
    e.take_octets();
    total(&mut e, GOOD, 1, 130);
    assert_eq!(e.take_octets(), [30]);
}

#[test]
fn no_datagram_costs_more_than_its_size() {
    // With quadratic work, each of these would take minutes.
    let mut e = exporter();
    // Templates of the same ID in one Message, each replacing the other.
    let many: Vec<u8> = (0..3000_u16)
        .flat_map(|n| template(300, &[(1 + n % 2, 4)]))
        .collect();
    for sequence in 0..30 {
        e.send(&ipfix(sequence, &[(2, many.clone())]));
    }
    // Sets that wait, and templates that come for none of them.
    let waiting: Vec<_> = (0..3000).map(|n| (1000 + n, vec![0; 4])).collect();
    for sequence in 0..30 {
        e.send(&ipfix(sequence, &waiting));
        e.send(&ipfix(
            sequence,
            &[(2, template(301 + sequence as u16, &[(1, 4)]))],
        ));
    }
    // Withdrawals of all templates.
    let withdrawals: Vec<u8> = (0..10_000).flat_map(|_| [0, 2, 0, 0]).collect();
    e.send(&ipfix(0, &[(2, withdrawals)]));
    // Late Messages that cut a gap in pieces.
    e.send(&ipfix(0, &[(2, template(300, &[(1, 1)]))]));
    for n in 0..2 {
        e.send(&ipfix(n, &[(300, vec![1])]));
    }
    e.send(&ipfix(1000, &[(300, vec![1])]));
    for n in 0..30_000 {
        e.send(&ipfix(2 + n * 2 % 900, &[(300, vec![1])]));
    }
    assert!(e.process.occupancy().pending_sets > 0);
}
