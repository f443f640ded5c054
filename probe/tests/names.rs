//! Names of responders: from packets to records.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use std::process::Command;

use flowproto::FlowRecord;
use flowproto::host_name::NameSource;
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::pipeline::Pipeline;
use kipfix_probe::translation::TranslationSource;
use packets::files::pcap;
use packets::payloads::{dns_response, hello, part16};
use packets::*;

const CLIENT: [u8; 4] = [10, 0, 0, 9];
const OTHER: [u8; 4] = [10, 0, 0, 8];
const RESOLVER: [u8; 4] = [10, 0, 0, 53];
const PEER: [u8; 4] = [192, 0, 2, 7];

/// A pipeline that learns names, and the records that it makes.
struct Probe {
    pipeline: Pipeline,
    records: Records,
    time_ns: u64,
    point: ObservationPoint,
}

impl Probe {
    fn new() -> Self {
        Self::with(16)
    }

    fn with(max_names: usize) -> Self {
        let settings = CacheSettings {
            max_names: max_names.try_into().ok(),
            translations: TranslationSource::FirstPackets,
            ..cache_settings()
        };
        Self {
            pipeline: Pipeline::new(pipeline_settings(settings)),
            records: Records::default(),
            time_ns: 1_700_000_000 * SECOND,
            point: ObservationPoint::default(),
        }
    }

    fn frame(&mut self, captured: &[u8]) {
        self.time_ns += 1_000_000;
        let frame = frame(captured, self.time_ns);
        self.pipeline.enqueue(&frame, self.point, &mut self.records);
    }

    fn ip(&mut self, packet: &[u8]) {
        self.frame(&ethernet(0x0800, packet));
    }

    fn resolve(&mut self, client: [u8; 4], name: &str, address: [u8; 4]) {
        let answer = udp(53, 40_000, &dns_response(name, address));
        self.ip(&ipv4(17, RESOLVER, client, &answer));
    }

    fn syn(&mut self, client: [u8; 4], port: u16, number: u32) {
        self.ip(&ipv4(
            6,
            client,
            PEER,
            &tcp((port, 443), (number, 0), SYN, &[]),
        ));
        let answer = tcp((443, port), (9, number + 1), SYN | ACK, &[]);
        self.ip(&ipv4(6, PEER, client, &answer));
    }

    fn send(&mut self, client: [u8; 4], port: u16, number: u32, payload: &[u8]) {
        let segment = tcp((port, 443), (number, 10), ACK, payload);
        self.ip(&ipv4(6, client, PEER, &segment));
    }

    /// The records of a conversation with the peer, by the port of the client.
    fn finish(mut self, port: u16) -> Vec<FlowRecord> {
        self.pipeline.finish(&mut self.records);
        let is_of = |r: &FlowRecord| [r.key.source_port, r.key.destination_port].contains(&port);
        self.records.0.into_iter().filter(is_of).collect()
    }

    /// The name and its source, which all records of the conversation have.
    fn name(self, port: u16) -> Option<(String, NameSource)> {
        let records = self.finish(port);
        let mut names = records.iter().map(|record| {
            let name = record.responder_name.as_ref()?;
            Some((name.name.as_str().to_owned(), name.source))
        });
        let first = names.next().unwrap();
        assert!(names.all(|other| other == first), "{records:?}");
        first
    }
}

fn named(name: &str, source: NameSource) -> Option<(String, NameSource)> {
    Some((name.to_owned(), source))
}

#[test]
fn a_connection_has_the_name_that_its_client_resolved() {
    let mut probe = Probe::new();
    probe.resolve(CLIENT, "API.example.org", PEER);
    probe.resolve(OTHER, "www.example.org", PEER);
    probe.syn(CLIENT, 5000, 1);
    assert_eq!(probe.name(5000), named("api.example.org", NameSource::Dns));
}

#[test]
fn a_client_that_resolved_nothing_gets_the_latest_name_of_the_address() {
    let mut probe = Probe::new();
    probe.resolve(OTHER, "www.example.org", PEER);
    probe.syn(CLIENT, 5000, 1);
    assert_eq!(probe.name(5000), named("www.example.org", NameSource::Dns));
}

#[test]
fn a_name_that_is_resolved_after_the_start_is_not_used() {
    let mut probe = Probe::new();
    probe.syn(CLIENT, 5000, 1);
    // Packets of one group share what any of them shows.
    probe.pipeline.flush(&mut probe.records);
    probe.resolve(CLIENT, "api.example.org", PEER);
    probe.send(CLIENT, 5000, 2, b"data");
    assert_eq!(probe.name(5000), None);
}

#[test]
fn a_conversation_without_a_known_initiator_has_no_name() {
    let mut probe = Probe::new();
    probe.resolve(CLIENT, "api.example.org", PEER);
    probe.send(CLIENT, 5000, 2, b"data");
    probe.send(CLIENT, 5000, 6, &hello("api.example.org", 10, false));
    assert_eq!(probe.name(5000), None);
}

#[test]
fn the_server_name_of_tls_replaces_the_resolved_one() {
    let mut probe = Probe::new();
    probe.resolve(CLIENT, "cdn.example.net", PEER);
    probe.syn(CLIENT, 5000, 1);
    probe.send(CLIENT, 5000, 2, &hello("api.example.org", 10, false));
    assert_eq!(probe.pipeline.counters().inspected.tls, 1);
    assert_eq!(probe.name(5000), named("api.example.org", NameSource::Tls));
}

#[test]
fn a_hello_in_several_segments_is_put_together() {
    let hello = hello("api.example.org", 2400, false);
    let mut probe = Probe::new();
    probe.syn(CLIENT, 5000, 1);
    probe.syn(OTHER, 6000, 100);
    let mut number = 2;
    for segment in hello.chunks(1000) {
        probe.send(CLIENT, 5000, number, segment);
        probe.send(OTHER, 6000, 101 + number, segment);
        number += u32::try_from(segment.len()).unwrap();
    }
    let counters = probe.pipeline.counters().inspected;
    assert_eq!((counters.tls, counters.incomplete_hellos), (2, 0));
    assert_eq!(probe.name(5000), named("api.example.org", NameSource::Tls));
}

#[test]
fn a_hello_in_several_records_and_segments_is_put_together() {
    let hello = hello("api.example.org", 2400, false);
    let records: Vec<_> = hello[5..]
        .chunks(700)
        .flat_map(|part| [&[22, 3, 3][..], &part16(part)].concat())
        .collect();
    for size in [300, 705, 1200, 4000] {
        let mut probe = Probe::new();
        probe.syn(CLIENT, 5000, 1);
        let mut number = 2;
        for segment in records.chunks(size) {
            probe.send(CLIENT, 5000, number, segment);
            number += u32::try_from(segment.len()).unwrap();
        }
        let counters = probe.pipeline.counters().inspected;
        assert_eq!((counters.tls, counters.incomplete_hellos), (1, 0), "{size}");
        assert_eq!(probe.name(5000), named("api.example.org", NameSource::Tls));
    }
}

#[test]
fn a_hello_whose_middle_is_missing_or_that_is_too_long_has_no_name() {
    let long = hello("api.example.org", 5000, false);
    let mut probe = Probe::new();
    probe.syn(CLIENT, 5000, 1);
    probe.send(CLIENT, 5000, 2, &long[..1000]);
    probe.send(CLIENT, 5000, 1002, &long[1000..]);
    assert_eq!(probe.pipeline.counters().inspected.incomplete_hellos, 1);
    assert_eq!(probe.name(5000), None);

    let hello = hello("api.example.org", 2400, false);
    let mut probe = Probe::new();
    probe.syn(CLIENT, 5000, 1);
    probe.send(CLIENT, 5000, 2, &hello[..1000]);
    probe.send(CLIENT, 5000, 2002, &hello[2000..]);
    assert_eq!(probe.name(5000), None);
}

#[test]
fn the_resolved_name_is_kept_where_the_hello_is_encrypted() {
    let mut probe = Probe::new();
    probe.resolve(CLIENT, "api.example.org", PEER);
    for (client, port) in [(CLIENT, 5000), ([10, 0, 0, 7], 6000)] {
        probe.syn(client, port, 1);
        probe.send(client, port, 2, &hello("public.test", 10, true));
    }
    assert_eq!(probe.pipeline.counters().inspected.tls_encrypted, 2);
    assert_eq!(probe.name(5000), named("api.example.org", NameSource::Dns));

    let mut probe = Probe::new();
    probe.syn(CLIENT, 5000, 1);
    probe.send(CLIENT, 5000, 2, &hello("public.test", 10, true));
    assert_eq!(probe.name(5000), named("public.test", NameSource::Tls));
}

#[test]
fn the_host_of_the_first_request_is_the_name() {
    let mut probe = Probe::new();
    probe.resolve(CLIENT, "cdn.example.net", PEER);
    probe.syn(CLIENT, 5000, 1);
    let request = b"GET / HTTP/1.1\r\nHost: api.example.org\r\n\r\n";
    probe.send(CLIENT, 5000, 2, request);
    probe.send(CLIENT, 5000, 50, b"GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
    assert_eq!(probe.pipeline.counters().inspected.http, 2);
    assert_eq!(probe.name(5000), named("api.example.org", NameSource::Http));
}

#[test]
fn the_head_of_a_request_in_several_segments_is_put_together() {
    let long = format!(
        "PROPFIND /{} HTTP/1.1\r\nCookie: {}\r\nHost: api.example.org\r\n\r\n",
        "p".repeat(1000),
        "c".repeat(2000),
    );
    let short = "POST / HTTP/1.1\r\nHost: api.example.org\r\nContent-Length: 0\r\n\r\n";
    for (head, size) in [(short, 17), (short, 20), (&long, 1000)] {
        let mut probe = Probe::new();
        probe.syn(CLIENT, 5000, 1);
        let mut number = 2;
        for segment in head.as_bytes().chunks(size) {
            probe.send(CLIENT, 5000, number, segment);
            number += u32::try_from(segment.len()).unwrap();
        }
        let counters = probe.pipeline.counters().inspected;
        assert_eq!((counters.http, counters.incomplete_hellos), (1, 0));
        assert_eq!(probe.name(5000), named("api.example.org", NameSource::Http));
    }
    // The host is beyond the octets that are kept, or a segment is missing.
    let far = long.replace("Cookie", &"x".repeat(2000));
    for (head, skipped) in [(&far, usize::MAX), (&long, 1)] {
        let mut probe = Probe::new();
        probe.syn(CLIENT, 5000, 1);
        let mut number = 2;
        for (at, segment) in head.as_bytes().chunks(1000).enumerate() {
            if at != skipped {
                probe.send(CLIENT, 5000, number, segment);
            }
            number += u32::try_from(segment.len()).unwrap();
        }
        assert_eq!(probe.pipeline.counters().inspected.incomplete_hellos, 0);
        assert_eq!(probe.name(5000), None);
    }
}

#[test]
fn a_name_behind_a_header_of_the_proxy_protocol_is_read() {
    let line = b"PROXY TCP4 198.51.100.1 192.0.2.7 40000 443\r\n".to_vec();
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([7; 12]);
    for header in [line, binary] {
        let length = u32::try_from(header.len()).unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: api.example.org\r\n\r\n";
        let hello = hello("api.example.org", 2400, false);
        // In one segment, and in segments of their own.
        for is_joined in [true, false] {
            for (payload, source) in [
                (&request[..], NameSource::Http),
                (&hello[..], NameSource::Tls),
            ] {
                let mut probe = Probe::new();
                probe.syn(CLIENT, 5000, 1);
                let (first, rest) = payload.split_at(payload.len().min(1000));
                if is_joined {
                    probe.send(CLIENT, 5000, 2, &[&header[..], first].concat());
                } else {
                    probe.send(CLIENT, 5000, 2, &header);
                    probe.send(CLIENT, 5000, 2 + length, first);
                }
                if !rest.is_empty() {
                    probe.send(CLIENT, 5000, 1002 + length, rest);
                }
                assert_eq!(probe.name(5000), named("api.example.org", source));
            }
        }
    }
}

#[test]
fn answers_of_a_resolver_at_port_5353_are_read_and_multicast_dns_is_not() {
    for (ports, asked, is_learned) in [
        ((5353, 40_000), "api.example.org", true),
        ((5353, 5353), "api.example.org", false),
        ((5353, 40_000), "printer.local", false),
        ((53, 40_000), "printer.local", true),
    ] {
        let name = is_learned.then(|| named(asked, NameSource::Dns)).flatten();
        let mut probe = Probe::new();
        let response = dns_response(asked, PEER);
        let query = udp(ports.1, ports.0, &query_of(&response));
        probe.ip(&ipv4(17, CLIENT, RESOLVER, &query));
        probe.ip(&ipv4(
            17,
            RESOLVER,
            CLIENT,
            &udp(ports.0, ports.1, &response),
        ));
        probe.syn(CLIENT, 5000, 1);
        assert_eq!(probe.name(5000), name);
    }
}

/// The query that a response answers.
fn query_of(response: &[u8]) -> Vec<u8> {
    let mut query = response.to_vec();
    // The bit of responses, and the number of answers.
    query[2] &= 0x7f;
    query[6..8].fill(0);
    query
}

#[test]
fn a_response_from_port_5353_names_addresses_only_if_its_query_was_observed() {
    const OTHER: [u8; 4] = [10, 0, 0, 66];
    let response = dns_response("api.example.org", PEER);
    let query = query_of(&response);
    let mut other_query = query.clone();
    other_query[1] ^= 1;
    let mut upper_case = query.clone();
    upper_case[13..16].make_ascii_uppercase();
    let other_name = query_of(&dns_response("www.example.org", PEER));
    let cut = query[..20].to_vec();
    for (asked, server, client_port, after_seconds, is_learned) in [
        (Some(&query), RESOLVER, 40_000, 0, true),
        (Some(&upper_case), RESOLVER, 40_000, 0, true),
        (Some(&query), RESOLVER, 40_000, 11, false),
        (Some(&query), OTHER, 40_000, 0, false),
        (Some(&other_query), RESOLVER, 40_000, 0, false),
        (Some(&other_name), RESOLVER, 40_000, 0, false),
        (Some(&cut), RESOLVER, 40_000, 0, false),
        (None, RESOLVER, 40_000, 0, false),
        // To a resolver.
        (None, RESOLVER, 53, 0, false),
    ] {
        for is_tcp in [false, true] {
            let packet = |ports: (u16, u16), message: &[u8]| {
                if is_tcp {
                    tcp(ports, (1, 1), ACK, &part16(message))
                } else {
                    udp(ports.0, ports.1, message)
                }
            };
            let protocol = if is_tcp { 6 } else { 17 };
            let mut probe = Probe::new();
            if let Some(asked) = asked {
                let query = packet((client_port, 5353), asked);
                probe.ip(&ipv4(protocol, CLIENT, RESOLVER, &query));
            }
            probe.time_ns += after_seconds * SECOND;
            let answer = packet((5353, client_port), &response);
            probe.ip(&ipv4(protocol, server, CLIENT, &answer));
            probe.syn(CLIENT, 5000, 1);
            let name = is_learned.then(|| named("api.example.org", NameSource::Dns));
            let refused = probe.pipeline.counters().names.without_query;
            assert_eq!(refused, u64::from(!is_learned));
            assert_eq!(probe.name(5000), name.flatten(), "{server:?} {is_tcp}");
        }
    }
}

#[test]
fn another_server_than_one_of_dns_at_port_5353_is_named() {
    let mut probe = Probe::new();
    let hello = hello("api.example.org", 10, false);
    for segment in [
        tcp((5000, 5353), (1, 0), SYN, &[]),
        tcp((5000, 5353), (2, 10), ACK, &hello),
    ] {
        probe.ip(&ipv4(6, CLIENT, PEER, &segment));
    }
    assert_eq!(probe.name(5000), named("api.example.org", NameSource::Tls));
}

#[test]
fn answers_over_tcp_and_of_the_capture_for_dns_are_read() {
    let mut probe = Probe::new();
    let message = dns_response("tcp.example.org", PEER);
    let segment = tcp((53, 40_000), (1, 1), ACK, &part16(&message));
    probe.ip(&ipv4(6, RESOLVER, CLIENT, &segment));
    probe.syn(CLIENT, 5000, 1);
    assert_eq!(probe.name(5000), named("tcp.example.org", NameSource::Dns));

    let mut probe = Probe::new();
    let answer = udp(53, 40_000, &dns_response("pod.example.org", PEER));
    let captured = ethernet(0x0800, &ipv4(17, RESOLVER, CLIENT, &answer));
    probe.pipeline.dns_answer(&frame(&captured, probe.time_ns));
    assert_eq!(probe.pipeline.counters().cache.packets, 0);
    probe.syn(CLIENT, 5000, 1);
    assert_eq!(probe.name(5000), named("pod.example.org", NameSource::Dns));
}

#[test]
fn a_translated_connection_has_the_name_that_its_pod_resolved() {
    const NODE: [u8; 4] = [198, 51, 100, 1];
    let mut probe = Probe::new();
    probe.resolve(CLIENT, "api.example.org", PEER);
    probe.resolve(OTHER, "www.example.org", PEER);
    for (source, interface) in [(CLIENT, 2), (NODE, 7)] {
        let syn = tcp((5000, 443), (77, 0), SYN, &[]);
        let captured = ethernet(0x0800, &ipv4(6, source, PEER, &syn));
        probe.time_ns += 1000;
        let first = frame(&captured, probe.time_ns);
        let point = ObservationPoint {
            interface,
            ..ObservationPoint::default()
        };
        probe.pipeline.first_packet(&first, point);
    }
    probe.syn(NODE, 5000, 77);
    assert_eq!(probe.pipeline.counters().translations.learned, 1);
    assert_eq!(probe.name(5000), named("api.example.org", NameSource::Dns));
}

#[test]
fn without_a_table_nothing_is_learned() {
    let mut probe = Probe::with(0);
    probe.resolve(CLIENT, "api.example.org", PEER);
    probe.syn(CLIENT, 5000, 1);
    probe.send(CLIENT, 5000, 2, &hello("api.example.org", 10, false));
    assert_eq!(probe.pipeline.counters().names.learned, 0);
    assert_eq!(probe.name(5000), None);
}

#[test]
fn a_request_of_the_responder_does_not_name_the_initiator() {
    let mut probe = Probe::new();
    probe.syn(CLIENT, 5000, 1);
    let request = tcp(
        (443, 5000),
        (10, 2),
        ACK,
        b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    );
    probe.ip(&ipv4(6, PEER, CLIENT, &request));
    assert_eq!(probe.name(5000), None);
}

#[test]
fn a_name_stays_with_a_connection_until_its_end() {
    let mut probe = Probe::new();
    probe.resolve(CLIENT, "api.example.org", PEER);
    probe.syn(CLIENT, 5000, 1);
    // Beyond the idle timeout, and beyond the lifetime of the resolved name.
    for step in 0..3 {
        probe.time_ns += 1000 * SECOND;
        probe.send(CLIENT, 5000, 2 + step, b"x");
    }
    let records = probe.finish(5000);
    assert!(records.len() >= 4, "{records:?}");
    assert!(records.iter().all(|record| record.responder_name.is_some()));

    // Another connection with the same addresses and ports.
    let mut probe = Probe::new();
    probe.resolve(CLIENT, "api.example.org", PEER);
    probe.syn(CLIENT, 5000, 1);
    let reset = tcp((5000, 443), (2, 0), RST, &[]);
    probe.ip(&ipv4(6, CLIENT, PEER, &reset));
    probe.time_ns += 1000 * SECOND;
    probe.syn(CLIENT, 5000, 500);
    let named: Vec<bool> = probe
        .finish(5000)
        .iter()
        .map(|record| record.responder_name.is_some())
        .collect();
    assert_eq!(named, [true, true, false, false]);
}

#[test]
fn a_capture_file_is_metered_with_names_unless_they_are_off() {
    let syn = |port: u16| tcp((port, 443), (1, 0), SYN, &[]);
    let request = tcp(
        (5001, 443),
        (2, 10),
        ACK,
        &hello("www.example.org", 10, false),
    );
    let frames = [
        ipv4(
            17,
            RESOLVER,
            CLIENT,
            &udp(53, 40_000, &dns_response("api.example.org", PEER)),
        ),
        ipv4(6, CLIENT, PEER, &syn(5000)),
        ipv4(6, CLIENT, PEER, &syn(5001)),
        ipv4(6, CLIENT, PEER, &request),
    ]
    .map(|packet| ethernet(0x0800, &packet));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pcap(&frames)).unwrap();
    for (names, count) in [("auto", [1, 1]), ("off", [0, 0])] {
        let output = Command::new(env!("CARGO_BIN_EXE_kipfix-probe"))
            .arg("--read")
            .arg(file.path())
            .args(["--export", "stdout:", "--names", names])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let members = [
            "\"responderDnsName\":\"api.example.org\"",
            "\"SSL_SERVER_NAME\":\"www.example.org\"",
        ];
        assert_eq!(members.map(|m| text.matches(m).count()), count, "{text}");
    }
}
