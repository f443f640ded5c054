//! Counts of exporters: they outlive sessions, never fall, and lead to who sent what.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use std::collections::BTreeMap;

use exporter::{EXPORTED, Exporter, Header, exporter, header, ipfix, template, template_set};
use flowproto::Address;
use flowproto::collector::{Limits, Unusable};

/// Records, losses and restarts of each domain.
fn counts(e: &Exporter) -> BTreeMap<(String, u32), [u64; 3]> {
    let domains = e.process.domains();
    domains
        .map(|domain| {
            let key = (domain.exporter.to_string(), domain.observation_domain_id);
            let sequence = domain.sequence;
            (key, [domain.records, sequence.lost, sequence.restarts])
        })
        .collect()
}

#[test]
fn counts_stay_when_a_session_is_idle_or_evicted() {
    for version in [9, 10] {
        let mut e = Exporter::new(Limits {
            domains: 2,
            idle_milliseconds: 10_000,
            ..Limits::default()
        });
        let mut before = 0;
        for port in 0..20_u32 {
            let from = format!("192.0.2.1:{}", 5000 + port);
            let sequence = if version == 9 { port } else { 0 };
            let sets = [
                (template_set(version), template(300, &[(1, 1)])),
                (300, vec![1, 2]),
            ];
            e.send_at(
                &from,
                u64::from(port) * 7000,
                &header(version, sequence).with(&sets),
            );
            e.process.expire(EXPORTED + u64::from(port) * 7000);
            let records: u64 = counts(&e).values().map(|[records, ..]| records).sum();
            assert!(records >= before);
            before = records;
        }
        e.process.expire(EXPORTED + 10_000_000);
        assert_eq!(e.process.occupancy().domains, 0);
        let expected = BTreeMap::from([(("192.0.2.1".to_owned(), 7), [40, 0, 0])]);
        assert_eq!(counts(&e), expected, "v{version}");
        assert_eq!(e.process.counters().records, 40);
    }
}

#[test]
fn a_gap_that_is_open_when_its_session_ends_is_a_loss_of_the_exporter() {
    // By idleness.
    let mut e = Exporter::new(Limits {
        idle_milliseconds: 1000,
        ..Limits::default()
    });
    let from = "[2001:db8::1]:4000";
    e.send_at(from, 0, &ipfix(0, &[(2, template(300, &[(1, 1)]))]));
    e.send_at(from, 1, &ipfix(0, &[(300, vec![1])]));
    e.send_at(from, 2, &ipfix(1, &[(300, vec![1])]));
    e.send_at(from, 3, &ipfix(7, &[(300, vec![1])]));
    e.send_at(from, 4, &ipfix(8, &[(300, vec![1])]));
    assert_eq!(counts(&e).values().next().unwrap()[1], 0);
    e.process.expire(EXPORTED + 2000);
    let key = ("2001:db8::1".to_owned(), 7);
    assert_eq!(counts(&e), BTreeMap::from([(key, [4, 5, 0])]));

    // By the end of a connection, again and again.
    let mut e = exporter();
    let peer = "192.0.2.1:4000".parse().unwrap();
    for connection in 1..4 {
        let mut receive = |sequence, sets: &[(u16, Vec<u8>)]| {
            let message = ipfix(sequence, sets);
            e.process
                .receive_over(connection, peer, &message, EXPORTED, &mut e.taken)
                .unwrap();
        };
        receive(0, &[(2, template(300, &[(1, 1)]))]);
        receive(0, &[(300, vec![1])]);
        receive(1, &[(300, vec![1])]);
        receive(9, &[(300, vec![1])]);
        receive(10, &[(300, vec![1])]);
        e.process.close(connection);
        let expected = [4 * connection, 7 * connection, 0];
        assert_eq!(counts(&e).values().collect::<Vec<_>>(), [&expected]);
    }
    assert_eq!(e.process.counters().sequence.lost, 21);
}

#[test]
fn the_counts_of_domains_are_bounded() {
    let mut e = Exporter::new(Limits {
        exporters: 10,
        ..Limits::default()
    });
    let sets = [(2, template(300, &[(1, 1)])), (300, vec![1])];
    for domain in 0..50 {
        let header = Header {
            domain,
            ..Header::ipfix(0)
        };
        e.send(&header.with(&sets));
    }
    assert_eq!(e.process.domains().count(), 10);
    assert_eq!(e.process.domains().map(|d| d.records).sum::<u64>(), 10);
    assert_eq!(e.process.counters().records, 50);
}

#[test]
fn a_domain_that_sent_no_record_gives_its_counts_to_one_that_does() {
    let mut e = Exporter::new(Limits {
        exporters: 10,
        domains: 20,
        ..Limits::default()
    });
    for domain in 0..200 {
        let header = Header {
            domain,
            ..Header::ipfix(0)
        };
        e.send_at(
            &format!("192.0.2.9:{domain}"),
            0,
            &header.with(&[(300, vec![1])]),
        );
    }
    let sets = [(2, template(300, &[(1, 1)])), (300, vec![1])];
    e.send_at("192.0.2.1:1", 0, &ipfix(0, &sets));
    assert_eq!(counts(&e)[&("192.0.2.1".to_owned(), 7)], [1, 0, 0]);
}

#[test]
fn unusable_octets_are_traced_to_their_exporter() {
    let mut e = exporter();
    let bad = [
        ("192.0.2.10:1", vec![0, 10], Unusable::Truncated),
        ("192.0.2.11:1", vec![0; 40], Unusable::UnknownVersion),
        (
            "192.0.2.12:1",
            ipfix(0, &[(2, template(300, &[(1, 0)]))]),
            Unusable::InvalidTemplate,
        ),
        (
            "[2001:db8::13]:1",
            Header::netflow9(1).with(&[(256, vec![1])]),
            Unusable::UnknownTemplate,
        ),
    ];
    for _ in 0..3 {
        for (from, datagram, _) in &bad {
            e.send_at(from, 0, datagram);
        }
        let good = [(2, template(300, &[(1, 1)])), (300, vec![1])];
        e.send_at("192.0.2.1:1", 0, &ipfix(0, &good));
    }
    e.process.expire(u64::MAX);
    let traced: BTreeMap<_, _> = e
        .process
        .unusable_by_exporter()
        .map(|(address, reason, count)| {
            ((address.unwrap().to_string(), <&str>::from(reason)), count)
        })
        .collect();
    let expected = bad.map(|(from, _, reason)| {
        let address: std::net::SocketAddr = from.parse().unwrap();
        (
            (
                Address::from(address.ip()).to_string(),
                <&str>::from(reason),
            ),
            3,
        )
    });
    assert_eq!(traced, BTreeMap::from(expected));
}

#[test]
fn many_senders_of_rubbish_hide_no_exporter() {
    let mut e = exporter();
    for n in 0..5000_u32 {
        let from = format!("10.0.{}.{}:1", n / 250, n % 250);
        e.send_at(&from, 0, b"rubbish");
    }
    let good = [(2, template(300, &[(1, 1)])), (300, vec![1])];
    e.send_at("192.0.2.1:1", 0, &ipfix(0, &good));
    e.send_at(
        "192.0.2.1:1",
        0,
        &ipfix(1, &[(2, template(301, &[(1, 0)]))]),
    );
    let all: Vec<_> = e.process.unusable_by_exporter().collect();
    assert!(all.len() < 1100, "{}", all.len());
    let exporter = Some(Address::from_v4_bits(0xc000_0201));
    assert!(all.contains(&(exporter, Unusable::InvalidTemplate, 1)));
    let total: u64 = all.iter().map(|(.., count)| count).sum();
    assert_eq!(total, e.process.counters().unusable.total());
}
