//! DNS messages: from packets to records.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::FlowRecord;
use flowproto::dns::{DnsHealth, DnsQuery};
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::pipeline::Pipeline;
use packets::*;

const CLIENT: [u8; 4] = [10, 0, 0, 9];
const SERVER: [u8; 4] = [10, 0, 0, 53];
const MILLISECOND: u64 = 1_000_000;

struct Probe {
    pipeline: Pipeline,
    records: Records,
    time_ns: u64,
}

impl Probe {
    fn new(is_metered: bool) -> Self {
        Self::with(is_metered, cache_settings())
    }

    fn with(is_metered: bool, settings: CacheSettings) -> Self {
        let mut settings = pipeline_settings(CacheSettings {
            max_names: 16.try_into().ok(),
            ..settings
        });
        settings.inspector.dns = is_metered;
        Self {
            pipeline: Pipeline::new(settings),
            records: Records::default(),
            time_ns: 1_700_000_000 * SECOND,
        }
    }

    fn packet(&mut self, packet: &[u8]) {
        let octets = ethernet(0x0800, packet);
        let frame = frame(&octets, self.time_ns);
        self.pipeline
            .frame(&frame, ObservationPoint::default(), &mut self.records);
    }

    fn wait(&mut self, milliseconds: u64) {
        self.time_ns += milliseconds * MILLISECOND;
    }

    fn query(&mut self, id: u16, name: &[u8], kind: u8) {
        let message = query(id, name, kind);
        self.packet(&ipv4(17, CLIENT, SERVER, &udp(40_000, 53, &message)));
    }

    fn response(&mut self, id: u16, code: u8) {
        let message = response(id, code);
        self.packet(&ipv4(17, SERVER, CLIENT, &udp(53, 40_000, &message)));
    }

    fn finish(mut self) -> Vec<FlowRecord> {
        self.pipeline.finish(&mut self.records);
        self.records.0
    }
}

const NAME: &[u8] = b"\x03API\x07example\x03org\x00";

fn query(id: u16, name: &[u8], kind: u8) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend(name);
    message.extend([0, kind, 0, 1]);
    message
}

fn response(id: u16, code: u8) -> Vec<u8> {
    let mut message = query(id, NAME, 1);
    message[2] = 0x81;
    message[3] = 0x80 | code;
    message
}

#[test]
fn the_record_to_the_server_counts_queries_and_what_became_of_them() {
    let mut probe = Probe::new(true);
    // Both queries of a lookup, as resolvers send them.
    probe.query(7, NAME, 1);
    probe.query(8, NAME, 28);
    probe.wait(2);
    probe.response(8, 3);
    probe.wait(1);
    probe.response(7, 0);
    probe.query(9, NAME, 1);
    probe.wait(20);
    probe.response(9, 2);
    probe.query(10, b"\x04what\x04test\x00", 16);
    let records = probe.finish();
    assert_eq!(records.len(), 2);
    let [to_server, to_client] = &records[..] else {
        panic!()
    };
    assert_eq!(to_server.key.destination_port, 53);
    let mut expected = DnsHealth {
        queries: 4,
        unanswered_queries: 1,
        no_error_responses: 1,
        name_error_responses: 1,
        server_failure_responses: 1,
        ..DnsHealth::default()
    };
    for time in [2000, 3000, 20_000] {
        expected.response_time.add(time);
    }
    assert_eq!(to_server.dns, expected);
    let latest = to_server.dns_query.as_ref().unwrap();
    assert_eq!(latest.name.as_ref().unwrap().as_str(), "what.test");
    assert_eq!(
        (latest.query_type, latest.response_code),
        (16, DnsQuery::NO_RESPONSE)
    );
    assert!(to_client.dns.is_empty());
    assert_eq!(to_client.dns_query, None);
}

/// A message of a stream, with octets after its end.
fn framed(message: &[u8], more: usize) -> Vec<u8> {
    let length = u16::try_from(message.len() + more).unwrap();
    [&length.to_be_bytes()[..], message, &vec![0; more]].concat()
}

/// The stream of a client with two queries.
fn two_queries() -> Vec<u8> {
    [query(5, NAME, 1), query(6, NAME, 28)]
        .map(|query| framed(&query, 0))
        .concat()
}

/// A client that connects to the server with TCP, sends two queries and gets an answer to each, in
/// segments. What is counted of queries, of answers, and of names that do not exist.
fn counted_of_streams<'a>(
    queries: impl IntoIterator<Item = &'a [u8]>,
    answers: impl IntoIterator<Item = &'a [u8]>,
) -> (u32, u32, u32, u32) {
    let mut probe = Probe::new(true);
    let client_sends = |numbers, flags, segment: &[u8]| {
        let segment = tcp((40_000, 53), numbers, flags, segment);
        ipv4(6, CLIENT, SERVER, &segment)
    };
    probe.packet(&client_sends((1, 0), SYN, &[]));
    let mut number = 2;
    for segment in queries {
        probe.packet(&client_sends((number, 10), ACK, segment));
        number += u32::try_from(segment.len()).unwrap();
    }
    let mut number = 2;
    for segment in answers {
        let segment_octets = u32::try_from(segment.len()).unwrap();
        let segment = tcp((53, 40_000), (number, 60), ACK, segment);
        probe.packet(&ipv4(6, SERVER, CLIENT, &segment));
        number += segment_octets;
    }
    let records = probe.finish();
    let mut to_server = records.iter().filter(|r| r.key.destination_port == 53);
    let dns = &to_server.next().unwrap().dns;
    (
        dns.queries,
        dns.no_error_responses,
        dns.name_error_responses,
        dns.unanswered_queries,
    )
}

#[test]
fn messages_in_several_segments_are_counted_once() {
    let queries = two_queries();
    let answers = [framed(&response(5, 0), 0), framed(&response(6, 3), 0)].concat();
    // The length on its own, a part of it, a part of the first message, parts of both.
    for size in [1, 2, 13, 20, 40, 100] {
        let counted = counted_of_streams(queries.chunks(size), answers.chunks(size));
        assert_eq!(counted, (2, 1, 1, 0), "{size}");
    }
}

#[test]
fn a_long_segment_that_completes_a_message_is_read_to_its_end() {
    let queries = two_queries();
    let answers = [framed(&response(5, 0), 3000), framed(&response(6, 3), 3000)].concat();
    // The segment has more octets than a message that is kept can have, with the second message or
    // a part of it.
    for at in [answers.len(), 5000, 3200] {
        let (segments, last) = answers.split_at(at);
        let (first, second) = segments.split_at(100);
        let answers = [first, second, last].into_iter().filter(|s| !s.is_empty());
        let counted = counted_of_streams([&queries[..]], answers);
        assert_eq!(counted, (2, 1, 1, 0), "{at}");
    }
}

#[test]
fn messages_over_tcp_are_counted() {
    let mut probe = Probe::new(true);
    let framed = |message: Vec<u8>| {
        let length = u16::try_from(message.len()).unwrap();
        [&length.to_be_bytes()[..], &message].concat()
    };
    probe.packet(&ipv4(
        6,
        CLIENT,
        SERVER,
        &tcp((40_000, 53), (1, 0), SYN, &[]),
    ));
    let question = framed(query(5, NAME, 1));
    probe.packet(&ipv4(
        6,
        CLIENT,
        SERVER,
        &tcp((40_000, 53), (2, 10), ACK, &question),
    ));
    probe.wait(4);
    let answer = framed(response(5, 5));
    probe.packet(&ipv4(
        6,
        SERVER,
        CLIENT,
        &tcp((53, 40_000), (10, 60), ACK, &answer),
    ));
    let records = probe.finish();
    let record = records
        .iter()
        .find(|record| !record.dns.is_empty())
        .unwrap();
    assert_eq!(record.key.destination_port, 53);
    let dns = record.dns;
    assert_eq!(
        (
            dns.queries,
            dns.other_error_responses,
            dns.unanswered_queries
        ),
        (1, 1, 0)
    );
    assert_eq!(dns.response_time.sum_microseconds, 4000);
    let latest = record.dns_query.as_ref().unwrap();
    assert_eq!(
        (latest.name.as_ref().unwrap().as_str(), latest.response_code),
        ("api.example.org", 5)
    );
}

#[test]
fn all_messages_of_a_segment_are_counted() {
    let mut probe = Probe::new(true);
    let framed = |message: Vec<u8>| {
        let length = u16::try_from(message.len()).unwrap();
        [&length.to_be_bytes()[..], &message].concat()
    };
    let mut send = |ports: (u16, u16), number, flags, messages: &[Vec<u8>]| {
        let (from, to) = if ports.1 == 53 {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        let segment = tcp(ports, (number, 1), flags, &messages.concat());
        probe.packet(&ipv4(6, from, to, &segment));
        probe.wait(4);
    };
    send((40_000, 53), 1, SYN, &[]);
    // Both queries of a lookup in one segment, and the answers in another order.
    let queries = [framed(query(5, NAME, 1)), framed(query(6, NAME, 28))];
    send((40_000, 53), 2, ACK, &queries);
    send((53, 40_000), 10, ACK, &[framed(response(6, 3))]);
    let answers = [framed(response(5, 0)), framed(response(9, 0))[..7].to_vec()];
    send((53, 40_000), 99, ACK, &answers);
    let records = probe.finish();
    let record = records.iter().find(|record| !record.dns.is_empty());
    let dns = record.unwrap().dns;
    assert_eq!((dns.queries, dns.unanswered_queries), (2, 0));
    assert_eq!((dns.no_error_responses, dns.name_error_responses), (1, 1));
    assert_eq!(dns.response_time.sum_microseconds, 12_000);
}

#[test]
fn messages_at_port_5353_are_counted_unless_they_are_multicast() {
    for (destination, port, queries) in [
        (SERVER, 40_000, 1),
        ([224, 0, 0, 251], 40_000, 0),
        ([224, 0, 0, 251], 5353, 0),
    ] {
        let mut probe = Probe::new(true);
        let message = query(5, NAME, 1);
        probe.packet(&ipv4(17, CLIENT, destination, &udp(port, 5353, &message)));
        let records = probe.finish();
        assert_eq!(records[0].dns.queries, queries, "{destination:?}");
    }
}

#[test]
fn answers_of_multicast_dns_to_the_port_of_the_query_are_not_counted() {
    for name in [NAME, b"\x07printer\x05local\x00"] {
        let mut probe = Probe::new(true);
        let (question, mut answer) = (query(5, name, 1), query(5, name, 1));
        answer[2] = 0x84;
        let to = |destination| ipv4(17, CLIENT, destination, &udp(40_000, 5353, &question));
        probe.packet(&to([224, 0, 0, 251]));
        probe.packet(&ipv4(17, SERVER, CLIENT, &udp(5353, 40_000, &answer)));
        for record in probe.finish() {
            assert!(record.dns.is_empty());
        }
    }
}

#[test]
fn names_of_multicast_dns_at_port_5353_are_not_counted_and_those_of_clusters_are() {
    for (name, count) in [
        (&b"\x07printer\x05local\x00"[..], 0),
        (b"\x04_ipp\x04_tcp\x05local\x00", 0),
        (b"\x02db\x03svc\x07cluster\x05local\x00", 1),
    ] {
        let mut probe = Probe::new(true);
        let (question, mut answer) = (query(5, name, 1), query(5, name, 1));
        answer[2] = 0x84;
        probe.packet(&ipv4(17, CLIENT, SERVER, &udp(40_000, 5353, &question)));
        // The response is observed twice.
        for _ in 0..2 {
            probe.packet(&ipv4(17, SERVER, CLIENT, &udp(5353, 40_000, &answer)));
        }
        let records = probe.finish();
        let dns = &records[0].dns;
        assert_eq!((dns.queries, dns.no_error_responses), (count, count));
    }
}

#[test]
fn many_messages_of_a_segment_are_counted() {
    let mut probe = Probe::new(true);
    let framed = |message: Vec<u8>| {
        let length = u16::try_from(message.len()).unwrap();
        [&length.to_be_bytes()[..], &message].concat()
    };
    let questions: Vec<u8> = (0..40).flat_map(|id| framed(query(id, NAME, 1))).collect();
    let answers: Vec<u8> = (0..40).flat_map(|id| framed(response(id, 3))).collect();
    let question = tcp((40_000, 53), (2, 10), ACK, &questions);
    probe.packet(&ipv4(6, CLIENT, SERVER, &question));
    let answer = tcp((53, 40_000), (10, 2), ACK, &answers);
    probe.packet(&ipv4(6, SERVER, CLIENT, &answer));
    let records = probe.finish();
    let dns = &records[0].dns;
    assert_eq!((dns.queries, dns.name_error_responses), (40, 40));
    assert_eq!(dns.unanswered_queries, 0);
}

#[test]
fn without_the_setting_nothing_is_counted() {
    let mut probe = Probe::new(false);
    probe.query(7, NAME, 1);
    probe.response(7, 0);
    assert!(probe.finish().iter().all(|record| record.dns.is_empty()));
}

#[test]
fn a_response_without_its_query_belongs_to_the_record_of_the_server() {
    let mut probe = Probe::new(true);
    probe.response(7, 3);
    let records = probe.finish();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].key.source_port, 53);
    let dns = records[0].dns;
    assert_eq!(
        (
            dns.queries,
            dns.name_error_responses,
            dns.response_time.samples
        ),
        (0, 1, 0)
    );
}

#[test]
fn a_biflow_record_has_the_messages_of_both_directions() {
    let settings = CacheSettings {
        biflow: true,
        ..cache_settings()
    };
    let mut probe = Probe::with(true, settings);
    probe.query(7, NAME, 1);
    probe.wait(1);
    probe.response(7, 0);
    let records = probe.finish();
    assert_eq!(records.len(), 1);
    assert_eq!(
        (records[0].dns.queries, records[0].dns.no_error_responses),
        (1, 1)
    );
}

#[test]
fn other_traffic_of_the_port_is_not_counted() {
    let mut probe = Probe::new(true);
    for message in [&b"hello"[..], &[0; 12], &query(1, b"\x41", 1)] {
        probe.packet(&ipv4(17, CLIENT, SERVER, &udp(40_000, 53, message)));
    }
    assert!(probe.finish().iter().all(|record| record.dns.is_empty()));
}
