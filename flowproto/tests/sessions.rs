//! Transport Sessions: the state of a connection ends with it, idle domains are forgotten.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod exporter;

use std::net::SocketAddr;

use exporter::{Exporter, Taken, exporter, ipfix, netflow9, numbers, template};
use flowproto::collector::{CollectingProcess, Limits, Unusable};

const TEMPLATE: u16 = 2;

fn from(port: u16) -> SocketAddr {
    SocketAddr::new("192.0.2.1".parse().unwrap(), port)
}

/// A process and what it gave, fed by connections.
struct Collector {
    process: CollectingProcess,
    taken: Taken,
}

impl Collector {
    fn new() -> Self {
        Self {
            process: CollectingProcess::new(Limits::default()),
            taken: Taken::default(),
        }
    }

    fn receive(&mut self, connection: u64, message: &[u8]) -> Result<(), Unusable> {
        self.process
            .receive_over(connection, from(4000), message, 0, &mut self.taken)
    }

    fn octets(&self) -> Vec<u64> {
        let records = self.taken.records.iter();
        records.map(|record| record.octet_delta_count).collect()
    }
}

#[test]
fn each_connection_has_templates_of_its_own() {
    let mut c = Collector::new();
    c.receive(1, &ipfix(0, &[(TEMPLATE, template(300, &[(1, 1)]))]))
        .unwrap();
    c.receive(
        2,
        &ipfix(0, &[(TEMPLATE, template(300, &[(2, 1), (1, 1)]))]),
    )
    .unwrap();
    c.receive(1, &ipfix(0, &[(300, vec![5, 6])])).unwrap();
    c.receive(2, &ipfix(0, &[(300, vec![5, 6])])).unwrap();
    // A third one uses neither, nor do datagrams.
    c.receive(3, &ipfix(0, &[(300, vec![7, 8])])).unwrap();
    let datagram = ipfix(0, &[(300, vec![9])]);
    c.process.receive(from(4000), &datagram, 0, &mut c.taken);
    assert_eq!(c.octets(), [5, 6, 6]);
    assert_eq!(c.process.occupancy().pending_sets, 2);
}

#[test]
fn templates_and_pending_sets_of_a_connection_end_with_it() {
    let mut c = Collector::new();
    let sets = [(TEMPLATE, template(300, &[(1, 1)])), (301, vec![1, 2])];
    c.receive(1, &ipfix(0, &sets)).unwrap();
    assert_eq!(c.process.occupancy().templates, 1);
    c.process.close(1);
    let occupancy = c.process.occupancy();
    assert_eq!(
        (
            occupancy.templates,
            occupancy.domains,
            occupancy.pending_sets
        ),
        (0, 0, 0)
    );
    let counters = c.process.counters();
    assert_eq!(counters.templates_withdrawn, 1);
    assert_eq!(counters.unusable.get(Unusable::UnknownTemplate), 1);
    // Its place is another's, whose templates are its own.
    c.receive(2, &ipfix(0, &[(300, vec![5])])).unwrap();
    assert_eq!(c.octets(), [0_u64; 0]);
}

#[test]
fn a_connection_may_carry_many_domains_and_closes_them_all() {
    let mut c = Collector::new();
    for domain in 0..50_u32 {
        let mut message = ipfix(0, &[(TEMPLATE, template(300, &[(1, 1)]))]);
        message[12..16].copy_from_slice(&domain.to_be_bytes());
        c.receive(1, &message).unwrap();
    }
    assert_eq!(c.process.occupancy().domains, 50);
    c.process.close(1);
    assert_eq!(c.process.occupancy().domains, 0);
    c.process.close(1);
}

#[test]
fn withdrawals_are_obeyed_one_and_all() {
    let mut c = Collector::new();
    let two = [
        (TEMPLATE, template(300, &[(1, 1)])),
        (TEMPLATE, template(301, &[(1, 1)])),
        (3, numbers(&[(400, 2), (1, 2), (1, 2), (149, 2), (4, 2)])),
    ];
    c.receive(1, &ipfix(0, &two)).unwrap();
    assert_eq!(c.process.occupancy().templates, 3);
    c.receive(1, &ipfix(0, &[(TEMPLATE, template(300, &[]))]))
        .unwrap();
    assert_eq!(c.process.occupancy().templates, 2);
    // 2 is all templates, 3 all options templates.
    c.receive(1, &ipfix(0, &[(TEMPLATE, template(2, &[]))]))
        .unwrap();
    assert_eq!(c.process.occupancy().templates, 1);
    c.receive(1, &ipfix(0, &[(3, template(3, &[]))])).unwrap();
    assert_eq!(c.process.occupancy().templates, 0);
    assert_eq!(c.process.counters().templates_withdrawn, 3);
    // Of one that is not known, nothing is to be done (RFC 7011 §8.1).
    c.receive(1, &ipfix(0, &[(TEMPLATE, template(999, &[]))]))
        .unwrap();
}

#[test]
fn a_malformed_message_is_an_error_of_its_connection() {
    let mut set_past_the_end = ipfix(0, &[(300, vec![0; 8])]);
    set_past_the_end[19] = 200;
    let cases = [
        (set_past_the_end, Unusable::SetLength),
        (
            ipfix(0, &[(TEMPLATE, template(255, &[(1, 1)]))]),
            Unusable::InvalidTemplate,
        ),
        (
            ipfix(0, &[(TEMPLATE, vec![1, 44, 0, 9, 0, 1])]),
            Unusable::InvalidTemplate,
        ),
        (
            ipfix(
                0,
                &[
                    (TEMPLATE, template(300, &[(82, 65_535)])),
                    (300, vec![9, b'x']),
                ],
            ),
            Unusable::FieldLength,
        ),
    ];
    for (message, reason) in cases {
        assert_eq!(Collector::new().receive(1, &message), Err(reason));
    }
    // A set that waits for its template breaks nothing, nor do numbers that are reserved.
    let mut c = Collector::new();
    assert_eq!(
        c.receive(1, &ipfix(0, &[(300, vec![1]), (9, vec![1, 2, 3])])),
        Ok(())
    );
}

#[test]
fn idle_domains_are_forgotten_and_their_templates_stay_while_another_port_uses_them() {
    let limits = Limits {
        idle_milliseconds: 1000,
        ..Limits::default()
    };
    let mut e = Exporter::new(limits);
    let data = netflow9(&[(300, vec![5])]);
    e.send_from(1, &netflow9(&[(0, template(300, &[(1, 1)]))]));
    for now in [500, 1000, 1500, 2000, 2500] {
        e.process.receive(from(2), &data, now, &mut e.taken);
        e.process.expire(now);
    }
    assert_eq!(e.octets(), [5; 5]);
    assert_eq!(e.process.occupancy().domains, 1);
    assert_eq!(e.process.counters().domains_idle, 1);
    e.process.expire(4000);
    assert_eq!(e.process.occupancy().domains, 0);
    assert_eq!(e.process.counters().domains_idle, 2);
    assert_eq!(e.process.occupancy().template_fields, 0);
}

#[test]
fn a_template_that_is_neither_sent_nor_used_is_forgotten() {
    let limits = Limits {
        idle_milliseconds: 1000,
        ..Limits::default()
    };
    let mut e = Exporter::new(limits);
    let templates = [300, 301, 302].map(|id| (TEMPLATE, template(id, &[(1, 1)])));
    e.send(&ipfix(0, &templates));
    // 300 is sent again, 301 used, 302 neither.
    let again = [(TEMPLATE, template(300, &[(1, 1)])), (301, vec![5])];
    e.process
        .receive(from(4000), &ipfix(0, &again), 900, &mut e.taken);
    e.process.expire(1500);
    assert_eq!(e.process.occupancy().templates, 2);
    assert_eq!(e.process.counters().templates_idle, 1);
}

#[test]
fn many_connections_that_come_and_go_leave_nothing() {
    let mut c = Collector::new();
    for connection in 1..5000 {
        c.receive(
            connection,
            &ipfix(0, &[(TEMPLATE, template(300, &[(1, 1)])), (301, vec![1])]),
        )
        .unwrap();
        c.process.close(connection);
    }
    assert_eq!(c.process.occupancy(), Collector::new().process.occupancy());
    assert_eq!(c.process.counters().domains_evicted, 0);
}

#[test]
fn a_gap_that_a_reordered_datagram_fills_does_not_count_as_lost() {
    let mut e = exporter();
    e.send(&ipfix(0, &[(TEMPLATE, template(300, &[(1, 1)]))]));
    for sequence in [0, 2, 6, 4, 8] {
        e.send(&ipfix(sequence, &[(300, vec![1, 1])]));
    }
    e.send(&ipfix(20, &[(300, vec![1, 1])]));
    e.process.expire(u64::MAX);
    let sequence = e.process.counters().sequence;
    assert_eq!((sequence.lost, sequence.gaps, sequence.late), (10, 1, 1));
    let domain = e.process.domains().next().unwrap();
    assert_eq!(
        (domain.sequence, <&str>::from(domain.convention)),
        (sequence, "records")
    );
}
