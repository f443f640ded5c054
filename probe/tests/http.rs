//! HTTP messages: from packets to records.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use std::process::Command;

use flowproto::host_name::NameSource;
use flowproto::http::{HttpHealth, HttpMethod, HttpVersion};
use kipfix_probe::inspect::http::{HttpConnections, HttpCounters, UnreadHttp};
use packets::files::pcap;
use packets::http_probe::{CLIENT, Probe, SERVER};
use packets::*;
use proptest::prelude::*;

const GET: &str = "GET /orders/17?token=secret HTTP/1.1\r\nHost: shop.example.org\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_request_and_its_response_are_in_the_record_of_the_client() {
    let mut probe = Probe::connected();
    probe.request(GET);
    probe.wait(20);
    probe.response("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n");
    probe.response("sorry");
    assert!(probe.has_read_all());
    let counters = probe.counters();
    assert_eq!((counters.requests, counters.responses), (1, 1));
    let record = probe.record();
    assert_eq!(record.key.destination_port, 80);
    let mut wanted = HttpHealth {
        requests: 1,
        responses: [0, 0, 0, 1, 0],
        ..HttpHealth::default()
    };
    wanted.response_time.add(20_000);
    assert_eq!(record.http, wanted);
    let request = record.http_request.unwrap();
    assert_eq!(request.method, HttpMethod::Get);
    assert_eq!(request.target.as_deref(), Some("/orders/{id}"));
    assert_eq!(
        (request.status_code, request.version),
        (404, HttpVersion::Http11)
    );
    let name = record.responder_name.unwrap();
    assert_eq!(
        (name.name.as_str(), name.source),
        ("shop.example.org", NameSource::Http)
    );
}

/// A connection with every kind of framing: what the client sends, what the server answers, and the
/// responses by class.
const CLIENT_STREAM: &[&str] = &[
    GET,
    "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\n1\n",
    "PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n1A;x=y\r\n",
    "abcdefghijklmnopqrstuvwxyz\r\n0\r\nTrailer: 1\r\n\r\n",
    "HEAD /c HTTP/1.1\r\n\r\n",
    "\r\nDELETE /d HTTP/1.1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n\r\n",
    "GET /e HTTP/1.0\r\n\r\n",
];
const SERVER_STREAM: &[&str] = &[
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\nHTTP/1.1 500 No\r\n\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 201 Created\r\ncontent-length: 3\r\n\r\nabc",
    "HTTP/1.1 500 Oops\r\nContent-Length: 19\r\n\r\nHTTP/1.1 404 No\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n",
    "HTTP/1.1 302 Found\r\nConnection: close\r\n\r\nuntil the end HTTP/1.1 200 OK\r\n\r\n",
];
const REQUESTS: u32 = 7;
const RESPONSES: [u32; 5] = [0, 4, 2, 0, 1];

#[test]
fn messages_of_every_framing_are_counted_and_bodies_are_not() {
    let mut probe = Probe::connected();
    for part in CLIENT_STREAM {
        probe.request(part);
    }
    probe.wait(3);
    for part in SERVER_STREAM {
        probe.response(part);
    }
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    let record = probe.record();
    assert_eq!(record.http.requests, REQUESTS);
    assert_eq!(record.http.responses, RESPONSES);
    assert_eq!(record.http.unanswered_requests, 0);
    assert_eq!(record.http.response_time.samples, REQUESTS);
    assert_eq!(record.http_request.unwrap().status_code, 302);
}

proptest! {
    #[test]
    fn segments_of_any_length_make_no_difference(
        cuts in prop::collection::vec(1_usize..60, 1..40),
        repeats in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let mut probe = Probe::connected();
        let mut cuts = cuts.iter().cycle();
        let mut repeats = repeats.iter().cycle();
        for (is_client, stream) in [(true, CLIENT_STREAM), (false, SERVER_STREAM)] {
            let stream = stream.concat();
            let mut rest = stream.as_bytes();
            while !rest.is_empty() {
                let length = rest.len().min(*cuts.next().unwrap());
                if *repeats.next().unwrap() {
                    // A part of it is sent again with what follows.
                    probe.segment(is_client, ACK, &rest[..length.div_ceil(2)]);
                }
                probe.send(is_client, &rest[..length]);
                rest = &rest[length..];
            }
        }
        prop_assert!(probe.has_read_all(), "{:?}", probe.counters());
        let record = probe.record();
        prop_assert_eq!(record.http.requests, REQUESTS);
        prop_assert_eq!(record.http.responses, RESPONSES);
    }

    #[test]
    fn any_octets_are_survived(
        parts in prop::collection::vec(
            (any::<bool>(), 0_usize..8, any::<prop::sample::Index>(), any::<u8>(), 0_usize..3),
            1..30,
        ),
    ) {
        let mut probe = Probe::connected();
        probe.request(GET);
        for (is_client, number, at, octet, lost) in parts {
            let stream = if is_client { CLIENT_STREAM } else { SERVER_STREAM };
            let mut part = stream[number].as_bytes().to_vec();
            let at = at.index(part.len());
            part[at] = octet;
            probe.lose(is_client, lost);
            probe.send(is_client, &part);
        }
        let records = probe.finish();
        let sum = |f: fn(&HttpHealth) -> u32| records.iter().map(|r| f(&r.http)).sum::<u32>();
        prop_assert!(sum(|http| http.unanswered_requests) <= sum(|http| http.requests));
    }
}

#[test]
fn pipelined_requests_have_their_own_response_times() {
    let mut probe = Probe::connected();
    probe.request(&GET.repeat(3));
    probe.wait(10);
    probe.response(EMPTY);
    probe.wait(10);
    probe.response(&EMPTY.repeat(2));
    let times = probe.record().http.response_time;
    assert_eq!((times.samples, times.sum_microseconds), (3, 50_000));
    assert_eq!(times.minimum_microseconds, 10_000);
}

#[test]
fn the_response_time_ends_with_the_first_octet_of_the_response() {
    let mut probe = Probe::connected();
    probe.request("GET /slow HTTP/1.1\r\n");
    probe.wait(7);
    probe.request("Host: a.test\r\n\r\n");
    probe.wait(5);
    probe.response("HTTP/1.1 100 Continue\r\n\r\n");
    probe.wait(5);
    probe.response("HTTP/1.1 200");
    probe.wait(90);
    probe.response(" OK\r\n\r\n");
    assert_eq!(probe.record().http.response_time.sum_microseconds, 17_000);
}

#[test]
fn a_request_without_a_response_is_unanswered_when_the_conversation_ends() {
    let mut probe = Probe::connected();
    probe.request(GET);
    probe.response(EMPTY);
    probe.request(GET);
    probe.segment(false, RST, &[]);
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (2, 1));
}

#[test]
fn lost_and_cut_segments_of_a_body_do_no_harm() {
    let mut probe = Probe::connected();
    probe.snaplen = 200;
    for _ in 0..3 {
        probe.request(GET);
        probe.response("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n");
        probe.send(false, &[b'x'; 1400]);
        probe.lose(false, 4000);
        probe.send(false, &[b'x'; 1400]);
        // The end of the body is lost, too.
        probe.lose(false, 2200);
    }
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    let http = probe.record().http;
    assert_eq!((http.requests, http.responses[1]), (3, 3));
    assert_eq!(http.response_time.samples, 3);
}

#[test]
fn reading_begins_again_after_a_lost_head() {
    let mut probe = Probe::connected();
    probe.request(GET);
    probe.response(EMPTY);
    // The request is lost, the response is observed.
    probe.lose(true, GET.len());
    probe.response(EMPTY);
    probe.request(GET);
    assert_eq!(probe.unread(UnreadHttp::SegmentLost), 1);
    probe.response(EMPTY);
    // The response is lost.
    probe.request(GET);
    probe.lose(false, EMPTY.len());
    probe.wait(50);
    probe.request(GET);
    probe.wait(5);
    probe.response(EMPTY);
    probe.request(GET);
    probe.wait(5);
    probe.response(EMPTY);
    assert_eq!(probe.unread(UnreadHttp::SegmentLost), 2);
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (5, 0));
    assert_eq!(http.responses[1], 5);
    // Of the response to a lost request and of the lost response, no times are known.
    let times = http.response_time;
    assert_eq!((times.samples, times.sum_microseconds), (4, 10_002));
}

#[test]
fn a_lost_response_at_the_end_of_a_connection_is_not_awaited() {
    let mut probe = Probe::connected();
    probe.request(GET);
    probe.lose(false, EMPTY.len());
    probe.segment(false, FIN | ACK, &[]);
    probe.segment(true, FIN | ACK, &[]);
    assert_eq!(probe.unread(UnreadHttp::SegmentLost), 1);
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (1, 0));
}

#[test]
fn an_acknowledged_fin_is_not_a_lost_segment() {
    let mut probe = Probe::connected();
    probe.request(GET);
    probe.response(EMPTY);
    probe.segment(false, FIN | ACK, &[]);
    probe.lose(false, 1);
    probe.request(GET);
    probe.segment(false, RST, &[]);
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (2, 1));
}

#[test]
fn heads_that_are_not_captured_or_too_long_are_counted() {
    let mut probe = Probe::connected();
    probe.request(GET);
    probe.response(EMPTY);
    probe.snaplen = 100;
    let long = format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(200));
    probe.request(&long);
    assert_eq!(probe.unread(UnreadHttp::NotCaptured), 1);
    probe.snaplen = usize::MAX;
    probe.request(GET);
    probe.request("GET /long HTTP/1.1\r\n");
    for _ in 0..20 {
        probe.request(&format!("A: {}\r\n", "x".repeat(1000)));
    }
    assert_eq!(probe.unread(UnreadHttp::HeadTooLong), 1);
    probe.request("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n");
    assert_eq!(probe.unread(UnreadHttp::Invalid), 1);
    assert_eq!(probe.counters().requests, 2);
}

#[test]
fn heads_that_do_not_end_keep_their_room_for_ten_seconds() {
    let mut probe = Probe::new();
    for port in 1..=256 {
        probe.port = port;
        probe.connect();
        probe.request("GET /endless HTTP/1.1\r\n");
    }
    for (seconds, port) in [(0, 1001), (9, 1002), (2, 1003)] {
        probe.wait(seconds * 1000);
        probe.port = port;
        probe.connect();
        probe.request("GET /a HTTP/1.1\r\n");
        probe.request("Host: a.test\r\n\r\n");
    }
    assert_eq!(probe.counters().requests, 1);
    assert_eq!(probe.unread(UnreadHttp::NoRoom), 256);
}

#[test]
fn a_body_that_the_client_leaves_out_is_not_awaited() {
    let expect = "PUT /a HTTP/1.1\r\nContent-Length: 900\r\nExpect: 100-continue\r\n\r\n";
    for has_body in [false, true] {
        let mut probe = Probe::connected();
        probe.request(expect);
        probe.response("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        if has_body {
            probe.send(true, &[b'x'; 900]);
        }
        probe.request(GET);
        probe.response(EMPTY);
        assert!(probe.has_read_all(), "{:?}", probe.counters());
        let http = probe.record().http;
        assert_eq!((http.requests, http.unanswered_requests), (2, 0));
        assert_eq!(http.responses, [0, 1, 0, 1, 0]);
    }
}

#[test]
fn messages_behind_a_header_of_the_proxy_protocol_are_counted() {
    let line = b"PROXY TCP4 198.51.100.1 192.0.2.7 40000 80\r\n".to_vec();
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([7; 12]);
    for header in [line, binary] {
        for is_joined in [true, false] {
            let mut probe = Probe::connected();
            if is_joined {
                probe.send(true, &[&header[..], GET.as_bytes()].concat());
            } else {
                // The header is sent again.
                probe.segment(true, ACK, &header);
                probe.send(true, &header);
                probe.request(GET);
            }
            probe.response(EMPTY);
            probe.request(GET);
            probe.response(EMPTY);
            assert!(probe.has_read_all(), "{:?}", probe.counters());
            let record = probe.record();
            assert_eq!((record.http.requests, record.http.responses[1]), (2, 2));
            let name = record.responder_name.unwrap();
            assert_eq!(name.name.as_str(), "shop.example.org");
        }
    }
}

#[test]
fn connections_that_are_not_read_are_counted_once_by_reason() {
    let mut probe = Probe::new();
    for _ in 0..3 {
        probe.request(GET);
        probe.response(EMPTY);
    }
    assert_eq!(probe.unread(UnreadHttp::StartNotObserved), 1);
    for (request, response, reason) in [
        (
            "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            UnreadHttp::Upgraded,
        ),
        (
            "CONNECT a.test:443 HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            UnreadHttp::Upgraded,
        ),
    ] {
        let before = probe.unread(reason);
        probe.port += 1;
        probe.connect();
        probe.request(request);
        probe.response(response);
        for _ in 0..3 {
            probe.request(GET);
            probe.response(EMPTY);
        }
        assert_eq!(probe.unread(reason), before + 1, "{reason:?}");
    }
    probe.port += 1;
    probe.connect();
    probe.request(&GET.repeat(20));
    assert_eq!(probe.unread(UnreadHttp::TooManyRequests), 1);
    assert_eq!(probe.counters().unread.values().sum::<u64>(), 4);
}

#[test]
fn other_protocols_are_not_followed() {
    let mut probe = Probe::new();
    for (is_client, first) in [
        (true, &b"\x16\x03\x01\x02\0\x01"[..]),
        (true, b"EHLO a.test\r\n"),
        (false, b"220 mail.test ESMTP\r\n"),
    ] {
        probe.port += 1;
        probe.connect();
        assert_eq!(probe.counters().connections, 1);
        probe.send(is_client, first);
        probe.request("MAIL FROM:<a@b.test>\r\n");
        probe.response("250 OK\r\n");
        assert_eq!(probe.counters().connections, 0, "{first:?}");
    }
    assert!(probe.has_read_all());
    assert!(probe.finish().iter().all(|record| record.http.is_empty()));
}

#[test]
fn a_connection_is_removed_when_both_ends_have_closed_it() {
    let mut probe = Probe::connected();
    probe.request(GET);
    probe.segment(false, FIN | ACK, EMPTY.as_bytes());
    assert_eq!(probe.counters().connections, 1);
    probe.segment(true, FIN | ACK, &[]);
    assert_eq!(probe.counters().connections, 0);
    let http = probe.record().http;
    assert_eq!((http.requests, http.responses[1]), (1, 1));
}

#[test]
fn the_table_of_connections_is_bounded() {
    const CONNECTIONS: u16 = 30_000;
    let mut probe = Probe::new();
    for port in 1..=CONNECTIONS {
        probe.port = port;
        probe.connect();
        probe.request(GET);
    }
    let counters = probe.counters();
    assert!(counters.connections <= HttpConnections::CAPACITY);
    let evicted = u64::from(CONNECTIONS) - u64::try_from(counters.connections).unwrap();
    assert_eq!(counters.unread[UnreadHttp::Evicted], evicted);
    assert_eq!(counters.requests, u64::from(CONNECTIONS));
    assert!(evicted > 10_000, "{evicted}");
}

#[test]
fn a_repeated_handshake_changes_nothing() {
    let mut probe = Probe::new();
    let next = probe.next;
    probe.connect();
    probe.next = next;
    probe.connect();
    probe.request(GET);
    probe.response(EMPTY);
    assert!(probe.has_read_all());
    assert_eq!(probe.record().http.responses[1], 1);
}

#[test]
fn without_the_setting_nothing_is_read() {
    let mut probe = Probe::with(false);
    probe.connect();
    probe.request(GET);
    probe.response(EMPTY);
    assert_eq!(probe.counters(), HttpCounters::default());
    assert!(probe.finish().iter().all(|record| record.http.is_empty()));
}

#[test]
fn messages_are_metered_without_names() {
    let mut probe = Probe::with_names(true, None);
    probe.connect();
    probe.request(GET);
    probe.response(EMPTY);
    let record = probe.record();
    assert_eq!((record.http.requests, record.responder_name), (1, None));
}

#[test]
fn a_capture_file_is_metered_as_json() {
    let segment = |is_client: bool, numbers, flags, payload: &str| {
        let (ports, ends) = if is_client {
            ((5000, 80), (CLIENT, SERVER))
        } else {
            ((80, 5000), (SERVER, CLIENT))
        };
        let segment = tcp(ports, numbers, flags, payload.as_bytes());
        ethernet(0x0800, &ipv4(6, ends.0, ends.1, &segment))
    };
    let frames = [
        segment(true, (0, 0), SYN, ""),
        segment(false, (0, 1), SYN | ACK, ""),
        segment(true, (1, 1), ACK, GET),
        segment(false, (1, 100), ACK, EMPTY),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pcap(&frames)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kipfix-probe"))
        .arg("--read")
        .arg(file.path())
        .args(["--export", "stdout:", "--http-metering"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for member in [
        "\"httpRequestMethod\":\"GET\"",
        "\"httpRequestTarget\":\"/orders/{id}\"",
        "\"httpRequestHost\":\"shop.example.org\"",
        "\"httpStatusCode\":200",
        "\"httpRequestDeltaCount\":1",
        "\"httpSuccessfulResponseDeltaCount\":1",
    ] {
        assert!(text.contains(member), "{member} {text}");
    }
}
