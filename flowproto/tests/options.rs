//! Options data, biflows, withdrawals and changing paths of IPFIX: octet for octet, and read back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "test code"
)]

use std::net::SocketAddr;

use flowproto::collector::Fields;
use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink};
use flowproto::exporter::{
    ExportSession, ExportSettings, Facts, InterfaceName, OutgoingMessage, Statistics,
};
use flowproto::record::{BiflowDirection, FlowKey, Sampling, Tunnel, TunnelType};
use flowproto::{Address, FlowRecord};

const NOW: u64 = 1_700_000_000_000;

fn settings() -> ExportSettings {
    ExportSettings {
        observation_domain_id: 77,
        observation_domain_name: "node-a".to_owned(),
        exporter_address: Address::from_v4_bits(0xc000_0201),
        ..ExportSettings::default()
    }
}

fn facts() -> Facts {
    Facts {
        sampling: Sampling::one_in(10),
        flow_selection: None,
        interfaces: [InterfaceName {
            index: 2,
            name: "eth0".to_owned(),
            description: "device".to_owned(),
        }]
        .into(),
        statistics: Statistics {
            observed_flows: 1,
            ignored_packets: 2,
            ignored_octets: 3,
            not_sent_flows: 4,
            not_sent_packets: 5,
            not_sent_octets: 6,
        },
    }
}

fn flush(session: &mut ExportSession, now: u64) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    session.flush(now, &mut |m| sent.push(m.octets.to_vec()));
    sent
}

fn add(session: &mut ExportSession, record: &FlowRecord, now: u64) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    let mut send = |m: OutgoingMessage<'_>| sent.push(m.octets.to_vec());
    session.add(record, now, &mut send).unwrap();
    session.flush(now, &mut send);
    sent
}

#[derive(Default)]
struct Taken(Vec<FlowRecord>);

impl RecordSink for Taken {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, record: &FlowRecord, _: Fields<'_>) {
        self.0.push(record.clone());
    }
}

fn receive(process: &mut CollectingProcess, datagrams: &[Vec<u8>]) -> Vec<FlowRecord> {
    let exporter: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    let mut taken = Taken::default();
    for datagram in datagrams {
        process.receive(exporter, datagram, NOW, &mut taken);
    }
    assert_eq!(process.counters().unusable.total(), 0);
    process.expire(u64::MAX);
    assert_eq!(process.counters().sequence.gaps, 0);
    taken.0
}

fn biflow() -> FlowRecord {
    FlowRecord {
        key: FlowKey {
            source_address: Address::from_v4_bits(0x0a01_010a),
            destination_address: Address::from_v4_bits(0x0a01_020b),
            source_port: 0xc000,
            destination_port: 443,
            protocol_identifier: 6,
        },
        octet_delta_count: 1,
        packet_delta_count: 2,
        reverse_octet_delta_count: 3,
        reverse_packet_delta_count: 4,
        reverse_flow_start_milliseconds: NOW - 6,
        reverse_flow_end_milliseconds: NOW - 5,
        reverse_tcp_control_bits: 0x12,
        biflow_direction: Some(BiflowDirection::Initiator),
        new_connection_delta_count: Some(1),
        connection_sum_duration_seconds: Some(0),
        ..FlowRecord::default()
    }
}

/// A Set: its number, its content.
fn set(id: u16, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len() + 4).unwrap();
    [&id.to_be_bytes()[..], &length.to_be_bytes(), &content].concat()
}

#[test]
fn the_description_of_an_exporter_has_these_octets() {
    let mut session = ExportSession::new(settings());
    session.renew(facts());
    let sent = flush(&mut session, NOW);
    // The templates of IPv4 and IPv6 have a Message of their own, before any options data.
    let [templates, options, more @ ..] = &sent[..] else {
        panic!("{} Messages", sent.len());
    };
    let sets = |message: &[u8]| {
        let mut numbers = Vec::new();
        let mut rest = &message[16..];
        while let [high, low, length @ ..] = rest {
            numbers.push(u16::from_be_bytes([*high, *low]));
            rest = &rest[usize::from(u16::from_be_bytes([length[0], length[1]]))..];
        }
        numbers
    };
    assert!(sets(templates).iter().all(|number| *number == 2));
    assert_eq!(templates[16..24][..2], [0, 2]);
    assert_eq!(templates[20..24], [4, 0, 0, 17]);
    assert!(!sets(options).contains(&2));
    let length = u64::try_from(templates.len()).unwrap();
    #[rustfmt::skip]
    let expected = [
        // Who exports: 256, three fields, one of scope; domain, name, address.
        set(3, &[&[1, 0, 0, 3, 0, 1], &[0, 149, 0, 4, 1, 44, 255, 255, 0, 130, 0, 4]]),
        set(256, &[&[0, 0, 0, 77], b"\x06node-a", &[192, 0, 2, 1]]),
        // Sampling: 522, four fields; selector; algorithm 1, interval 1, space 9.
        set(3, &[&[2, 10, 0, 4, 0, 1], &[1, 46, 0, 8, 1, 48, 0, 2, 1, 49, 0, 4, 1, 50, 0, 4]]),
        set(522, &[&1_u64.to_be_bytes(), &[0, 1], &[0, 0, 0, 1], &[0, 0, 0, 9]]),
        // Statistics: 520, seven fields; domain; octets, Messages, records exported; observed,
        // ignored.
        set(3, &[&[2, 8, 0, 7, 0, 1], &[0, 149, 0, 4], &[0, 40, 0, 8, 0, 41, 0, 8, 0, 42, 0, 8],
                 &[0, 163, 0, 8, 0, 164, 0, 8, 0, 165, 0, 8]]),
        set(520, &[&[0, 0, 0, 77], &length.to_be_bytes(), &1_u64.to_be_bytes(), &[0; 8], &1_u64.to_be_bytes(), &2_u64.to_be_bytes(), &3_u64.to_be_bytes()]),
        // Reliability: 521, four fields; domain; flows, packets, octets not sent.
        set(3, &[&[2, 9, 0, 4, 0, 1], &[0, 149, 0, 4, 0, 166, 0, 8, 0, 167, 0, 8, 0, 168, 0, 8]]),
        set(521, &[&[0, 0, 0, 77], &4_u64.to_be_bytes(), &5_u64.to_be_bytes(), &6_u64.to_be_bytes()]),
        // Interfaces: 523, three fields; number, name, description.
        set(3, &[&[2, 11, 0, 3, 0, 1], &[0, 10, 0, 4, 0, 82, 255, 255, 0, 83, 255, 255]]),
        set(523, &[&[0, 0, 0, 2], b"\x04eth0", b"\x06device"]),
    ].concat();
    assert_eq!(options[16..16 + expected.len()], expected);
    // At the end the Flow Keys: the first five fields of both templates.
    let rest = more.concat();
    let has = |expected: &[u8]| {
        rest.windows(expected.len())
            .any(|octets| octets == expected)
    };
    assert!(has(&set(
        3,
        &[&[2, 13, 0, 2, 0, 1], &[0, 145, 0, 2, 0, 173, 0, 8]]
    )));
    for template in 0..2 {
        assert!(has(&[4, template, 0, 0, 0, 0, 0, 0, 0, 0b1_1111]));
    }
    // Between them the types of all enterprise elements.
    let types = &options[16 + expected.len()..];
    #[rustfmt::skip]
    let template = set(3, &[
        &[2, 12, 0, 9, 0, 2], &[1, 90, 0, 4, 1, 47, 0, 2, 1, 83, 0, 1, 1, 88, 0, 1, 1, 89, 0, 2],
        &[1, 86, 0, 8, 1, 87, 0, 8, 1, 85, 255, 255, 1, 84, 255, 255],
    ]);
    assert!(types.starts_with(&template));
    // PEN, element, type unsigned64, semantics deltaCounter, units milliseconds, no range, name.
    #[rustfmt::skip]
    let duration = [
        &[0, 0, 126, 217, 0, 15, 4, 3, 0, 6][..], &[0; 16], b"\x21connectionSumDurationMilliseconds\0",
    ].concat();
    assert!(
        types
            .windows(duration.len())
            .any(|octets| octets == duration)
    );
}

#[test]
fn a_biflow_is_one_record_with_reverse_elements_and_their_types() {
    let mut session = ExportSession::new(settings());
    let mut process = CollectingProcess::new(Limits::default());
    let first = flush(&mut session, NOW);
    receive(&mut process, &first);
    let sent = add(&mut session, &biflow(), NOW).concat();
    // The fields of the reverse direction: 1, 2, 152, 153, 6 under PEN 29305.
    #[rustfmt::skip]
    let fields = [
        0x80, 1, 0, 8, 0, 0, 0x72, 0x79,  0x80, 2, 0, 8, 0, 0, 0x72, 0x79,
        0x80, 152, 0, 8, 0, 0, 0x72, 0x79,  0x80, 153, 0, 8, 0, 0, 0x72, 0x79,
        0x80, 6, 0, 1, 0, 0, 0x72, 0x79,
    ];
    assert!(sent.windows(fields.len()).any(|octets| octets == fields));
    // RFC 5610: PEN, element, type unsigned64, semantics deltaCounter, units octets, no range,
    // name, no description.
    #[rustfmt::skip]
    let described = [
        &[0, 0, 0x72, 0x79, 0, 1, 4, 3, 0, 2][..], &[0; 16], b"\x16reverseOctetDeltaCount\0",
    ].concat();
    let first = first.concat();
    assert!(
        first
            .windows(described.len())
            .any(|octets| octets == described)
    );
    let numbers = [3, 4, NOW - 6, NOW - 5].map(u64::to_be_bytes);
    let values = [&numbers.concat()[..], &[0x12]].concat();
    assert_eq!(sent[sent.len() - values.len()..], values);
    assert_eq!(receive(&mut process, &[sent]), [biflow()]);
}

#[test]
fn a_sampled_record_is_read_with_its_sampling_by_the_collecting_process() {
    let mut session = ExportSession::new(settings());
    session.renew(facts());
    let sent = add(
        &mut session,
        &FlowRecord {
            octet_delta_count: 1,
            ..FlowRecord::default()
        },
        NOW,
    );
    let records = receive(&mut CollectingProcess::new(Limits::default()), &sent);
    assert_eq!(records[0].sampling, Sampling::one_in(10));
}

#[test]
fn enterprise_elements_are_described_at_the_start_and_at_every_refresh() {
    let tunnelled = FlowRecord {
        tunnel: Some(Tunnel {
            tunnel_type: TunnelType::Vxlan,
            tunnel_key: 7,
            tunnel_source_address: Address::from_v4_bits(1),
            tunnel_destination_address: Address::from_v4_bits(2),
            tunnel_protocol_identifier: 17,
            tunnel_source_port: 4,
            tunnel_destination_port: 4789,
        }),
        ..FlowRecord::default()
    };
    let mut session = ExportSession::new(settings());
    let count = |sent: &[Vec<u8>]| {
        let sent = sent.concat();
        let name = b"\x17tunnelSourceIPv4Address";
        sent.windows(name.len())
            .filter(|octets| octets == name)
            .count()
    };
    assert_eq!(count(&flush(&mut session, NOW)), 1);
    assert_eq!(count(&add(&mut session, &tunnelled, NOW)), 0);
    assert_eq!(count(&add(&mut session, &tunnelled, NOW)), 0);
    assert_eq!(count(&add(&mut session, &tunnelled, NOW + 60_000)), 1);
}

#[test]
fn on_a_reliable_transport_templates_go_out_once_and_idle_ones_are_withdrawn() {
    let mut session = ExportSession::new(ExportSettings {
        reliable: true,
        template_idle_milliseconds: 100_000,
        ..settings()
    });
    let mut process = CollectingProcess::new(Limits::default());
    let mut sets = |sent: Vec<Vec<u8>>| {
        receive(&mut process, &sent);
        let mut numbers = Vec::new();
        for message in &sent {
            let mut at = 16;
            while at < message.len() {
                numbers.push(u16::from_be_bytes([message[at], message[at + 1]]));
                at += usize::from(u16::from_be_bytes([message[at + 2], message[at + 3]]));
            }
        }
        numbers
    };
    let mut now = NOW;
    assert!(sets(add(&mut session, &biflow(), now)).contains(&2));
    // A minute later: options data, no template.
    now += 60_000;
    assert_eq!(sets(flush(&mut session, now)), [256, 520, 521]);
    // For two minutes no record has needed the template of the biflow: it is withdrawn (its number,
    // no fields).
    now += 120_000;
    let sent = flush(&mut session, now);
    let end = sent.last().unwrap();
    assert_eq!(end[end.len() - 8..], [0, 2, 0, 8, 4, 8, 0, 0]);
    assert_eq!(sets(sent), [256, 520, 521, 2]);
    // And is back with the next record.
    now += 1000;
    assert_eq!(sets(add(&mut session, &biflow(), now)), [2, 525, 1032]);
    let mut closing = Vec::new();
    session.close(now, &mut |m| closing.push(m.octets.to_vec()));
    assert_eq!(closing.len(), 1);
    assert_eq!(sets(closing), [520, 521, 2, 3]);
    assert_eq!(process.occupancy().templates, 0);
}

#[test]
fn over_udp_nothing_is_withdrawn() {
    let mut session = ExportSession::new(settings());
    flush(&mut session, NOW);
    let mut closing = 0;
    session.close(NOW + 1, &mut |_| closing += 1);
    assert_eq!(closing, 0);
}

#[test]
fn a_path_that_became_narrow_gets_shorter_messages_from_the_next_record_on() {
    let mut session = ExportSession::new(settings());
    flush(&mut session, NOW);
    let mut lengths = Vec::new();
    for round in 0..2 {
        for _ in 0..60 {
            let mut send = |m: OutgoingMessage<'_>| lengths.push((round, m.octets.len()));
            session.add(&biflow(), NOW, &mut send).unwrap();
        }
        session.limit_message_octets(600);
    }
    assert!(
        lengths
            .iter()
            .any(|(round, length)| *round == 0 && *length > 600)
    );
    let narrow: Vec<_> = lengths
        .iter()
        .filter(|(round, _)| *round == 1)
        .skip(1)
        .collect();
    assert!(!narrow.is_empty() && narrow.iter().all(|(_, length)| *length <= 600));
}

#[test]
fn the_longest_names_of_an_interface_fit_the_shortest_message() {
    let mut session = ExportSession::new(ExportSettings {
        max_message_octets: 512,
        ..settings()
    });
    session.renew(Facts {
        interfaces: [InterfaceName {
            index: 2,
            name: "n".repeat(300),
            description: "d".repeat(300),
        }]
        .into(),
        ..facts()
    });
    let sent = flush(&mut session, NOW);
    assert!(sent.iter().all(|message| message.len() <= 512));
    receive(&mut CollectingProcess::new(Limits::default()), &sent);
}
