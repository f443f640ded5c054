//! Messages of HTTP/2 and gRPC: from packets to records.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::host_name::NameSource;
use flowproto::http::{GrpcStatus, HttpMethod, HttpVersion};
use kipfix_probe::inspect::http::UnreadHttp;
use packets::http_probe::Probe;
use packets::http2::*;
use packets::{ACK, FIN, RST};
use proptest::prelude::*;

#[test]
fn requests_and_responses_are_in_the_record_of_the_client() {
    let mut probe = begun();
    let acknowledged = frame(SETTINGS, 1, 0, &[]);
    probe.send(
        true,
        &[acknowledged.clone(), get(1, "/orders/17?token=secret")].concat(),
    );
    probe.wait(20);
    probe.send(false, &[acknowledged, response(1, "404")].concat());
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    let counters = probe.counters();
    assert_eq!((counters.requests, counters.responses), (1, 1));
    assert_eq!(counters.http2_connections, 1);
    assert!((1..20_000).contains(&counters.http2_octets), "{counters:?}");
    let record = probe.record();
    assert_eq!(record.key.destination_port, 80);
    assert_eq!(record.http.responses, [0, 0, 0, 1, 0]);
    let times = record.http.response_time;
    assert_eq!((times.samples, times.sum_microseconds), (1, 20_000));
    assert!(record.http.grpc.is_empty());
    let request = record.http_request.unwrap();
    assert_eq!(
        (request.method, request.version),
        (HttpMethod::Get, HttpVersion::Http2)
    );
    assert_eq!(request.target.as_deref(), Some("/orders/{id}"));
    assert_eq!(request.status_code, 404);
    let name = record.responder_name.unwrap();
    let found = (name.name.as_str(), name.source);
    assert_eq!(found, ("shop.example.org", NameSource::Http));
}

#[test]
fn responses_belong_to_the_requests_of_their_streams() {
    let mut probe = begun();
    probe.send(true, &get(1, "/slow"));
    probe.wait(10);
    probe.send(true, &get(3, "/fast"));
    probe.wait(10);
    probe.send(false, &response(3, "204"));
    probe.wait(10);
    probe.send(false, &headers(1, 0, &[(":status", "200")]));
    probe.send(false, &frame(DATA, END_STREAM, 1, &[b'x'; 500]));
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (2, 0));
    assert_eq!(http.responses[1], 2);
    let times = http.response_time;
    assert_eq!(
        (times.minimum_microseconds, times.sum_microseconds),
        (10_000, 40_000)
    );
}

#[test]
fn responses_of_grpc_are_counted_by_status() {
    let mut probe = begun();
    for (number, status) in ["0", "5", "0", "14", "99"].iter().enumerate() {
        let stream = 2 * u32::try_from(number).unwrap() + 1;
        probe.send(true, &call(stream));
        probe.send(false, &reply(stream, status));
    }
    // A response of trailers only, and one without a status.
    probe.send(true, &[call(11), call(13)].concat());
    let only = [(":status", "200"), ("grpc-status", "12")];
    probe.send(false, &headers(11, END_STREAM, &only));
    probe.send(false, &response(13, "503"));
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    let record = probe.record();
    let (http, grpc) = (record.http, record.http.grpc.0);
    assert_eq!((http.requests, http.responses), (7, [0, 6, 0, 0, 1]));
    for (status, count) in grpc {
        let wanted = match status {
            GrpcStatus::Ok => 2,
            GrpcStatus::NotFound
            | GrpcStatus::Unavailable
            | GrpcStatus::Unknown
            | GrpcStatus::Unimplemented => 1,
            _ => 0,
        };
        assert_eq!(count, wanted, "{status:?}");
    }
    let target = record.http_request.unwrap().target;
    assert_eq!(target.as_deref(), Some("/shop.Orders/Get"));
}

#[test]
fn the_status_of_another_protocol_is_not_one_of_grpc() {
    let mut probe = begun();
    probe.send(true, &get(1, "/"));
    let fields = [(":status", "200"), ("grpc-status", "0")];
    probe.send(false, &headers(1, END_STREAM, &fields));
    assert!(probe.record().http.grpc.is_empty());
}

#[test]
fn a_call_that_is_open_over_several_records_is_counted_by_its_end() {
    let mut probe = begun();
    probe.send(true, &call(1));
    probe.send(false, &headers(1, 0, &[(":status", "200")]));
    for _ in 0..200 {
        probe.wait(1000);
        probe.send(false, &frame(DATA, 0, 1, &[7; 100]));
    }
    probe.send(false, &headers(1, END_STREAM, &[("grpc-status", "4")]));
    let records = probe.finish();
    let counts = records.iter().map(|record| record.http.grpc.0);
    let counts: Vec<u32> = counts
        .map(|grpc| grpc[GrpcStatus::DeadlineExceeded])
        .collect();
    assert!(
        counts.len() > 1 && counts.iter().sum::<u32>() == 1,
        "{counts:?}"
    );
}

#[test]
fn a_server_may_send_its_settings_first() {
    let mut probe = Probe::connected();
    probe.send(false, &settings());
    // The preface in three segments.
    for part in [&PREFACE[..10], &PREFACE[10..20], &PREFACE[20..]] {
        probe.send(true, part);
    }
    probe.send(true, &[settings(), get(1, "/")].concat());
    probe.send(false, &response(1, "200"));
    assert!(probe.has_read_all());
    assert_eq!(probe.record().http.responses[1], 1);
}

#[test]
fn another_protocol_that_begins_like_settings_is_not_http() {
    let mut probe = Probe::connected();
    probe.send(false, &settings());
    probe.send(true, b"\x00\x01binary");
    let counters = probe.counters();
    assert_eq!((counters.connections, counters.http2_connections), (0, 0));
    assert_eq!(counters.http2_octets, 0);
    assert!(probe.has_read_all());
}

#[test]
fn an_upgrade_of_a_request_continues_with_its_response_on_stream_1() {
    let mut probe = Probe::connected();
    probe.request(
        "OPTIONS /a HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    );
    probe.wait(7);
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    probe.send(
        false,
        &[&switch[..], &settings(), &response(1, "204")].concat(),
    );
    probe.send(true, &[PREFACE, &settings(), &get(3, "/b")].concat());
    probe.wait(3);
    probe.send(false, &response(3, "500"));
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    let record = probe.record();
    assert_eq!(record.http.requests, 2);
    assert_eq!(record.http.responses, [0, 1, 0, 0, 1]);
    assert_eq!(record.http.response_time.sum_microseconds, 10_000);
    assert_eq!(record.http_request.unwrap().version, HttpVersion::Http2);
}

/// What a client and a server send on a connection with every kind of frame.
fn streams() -> [Vec<u8>; 2] {
    let big = "x".repeat(100);
    let fields = [(":method", "PUT"), (":path", "/upload"), ("cookie", &*big)];
    let parts = block(&fields);
    let (first, rest) = parts.split_at(9);
    let (second, third) = rest.split_at(40);
    let mut padded = vec![3, 0, 0, 0, 0, 16];
    padded.extend(first);
    padded.extend([0; 3]);
    let client = [
        PREFACE.to_vec(),
        settings(),
        frame(SETTINGS, 1, 0, &[]),
        frame(PRIORITY, 0, 5, &[0, 0, 0, 0, 7]),
        frame(HEADERS, PADDED | HAS_PRIORITY, 1, &padded),
        frame(CONTINUATION, 0, 1, second),
        frame(CONTINUATION, END_HEADERS, 1, third),
        get(3, "/index.html"),
        frame(DATA, 0, 1, &[b'x'; 5000]),
        frame(PING, 0, 0, &[7; 8]),
        call(5),
        frame(DATA, PADDED, 1, &[9; 100]),
        headers(1, END_STREAM, &[("digest", "abc")]),
        get(7, "/cancelled"),
        frame(RST_STREAM, 0, 7, &[0, 0, 0, 8]),
        frame(GOAWAY, 0, 0, &[0; 20]),
    ];
    let promise = [
        &[0, 0, 0, 2][..],
        &block(&[(":method", "GET"), (":path", "/pushed")]),
    ]
    .concat();
    let server = [
        settings(),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]),
        frame(SETTINGS, 1, 0, &[]),
        headers(1, 0, &[(":status", "100")]),
        frame(PUSH_PROMISE, END_HEADERS, 3, &promise),
        headers(2, 0, &[(":status", "200")]),
        headers(3, 0, &[(":status", "304"), ("etag", &*big)]),
        frame(DATA, END_STREAM, 3, &[]),
        frame(DATA, END_STREAM, 2, &get(9, "/no")),
        frame(77, 0xff, 0, b"extension"),
        headers(1, 0, &[(":status", "201")]),
        frame(DATA, 0, 1, &[0; 3000]),
        // Both fields are in the dynamic table.
        headers(1, END_STREAM, &[("digest", "abc")]),
        reply(5, "7"),
    ];
    [client.concat(), server.concat()]
}

/// The record of [`streams`].
fn check(probe: Probe) {
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (4, 1));
    assert_eq!(http.responses, [0, 2, 1, 0, 0]);
    assert_eq!(http.response_time.samples, 3);
    assert_eq!(http.grpc.0[GrpcStatus::PermissionDenied], 1);
    assert_eq!(http.grpc.used().iter().sum::<u32>(), 1);
}

#[test]
fn every_kind_of_frame_is_understood() {
    let mut probe = Probe::connected();
    let [client, server] = streams();
    probe.send(true, &client);
    probe.send(false, &server);
    check(probe);
}

proptest! {
    #[test]
    fn segments_of_any_length_and_order_make_no_difference(
        cuts in prop::collection::vec(1_usize..400, 1..40),
        order in prop::collection::vec(0_usize..4, 1..40),
    ) {
        let mut probe = Probe::connected();
        let mut cuts = cuts.iter().cycle();
        let mut order = order.iter().cycle();
        for (side, stream) in streams().iter().enumerate() {
            let mut rest = &stream[..];
            if side == 0 {
                // It shows what the connection has.
                let (preface, after) = rest.split_at(PREFACE.len());
                probe.send(true, preface);
                rest = after;
            }
            while !rest.is_empty() {
                // Up to four segments in another order, some of them twice.
                let mut segments = Vec::new();
                let mut next = probe.next;
                for _ in 0..4 {
                    let length = rest.len().min(*cuts.next().unwrap());
                    let (segment, after) = rest.split_at(length);
                    rest = after;
                    segments.push((next, segment));
                    next[side] = next[side].wrapping_add(u32::try_from(length).unwrap());
                }
                for _ in 0..4 {
                    let (numbers, segment) = segments[*order.next().unwrap()];
                    probe.segment_at(side == 0, numbers, ACK, segment);
                }
                for (numbers, segment) in segments {
                    probe.segment_at(side == 0, numbers, ACK, segment);
                }
                probe.next = next;
            }
        }
        check(probe);
    }

    #[test]
    fn any_octets_are_survived(
        changes in prop::collection::vec(
            (any::<bool>(), any::<prop::sample::Index>(), any::<u8>()), 0..8,
        ),
        lost in prop::collection::vec((0_usize..40, 1_usize..30), 0..3),
        cut in 1_usize..500,
    ) {
        let mut probe = Probe::connected();
        let mut both = streams();
        for (is_client, at, octet) in changes {
            let stream = &mut both[usize::from(!is_client)];
            let at = at.index(stream.len());
            stream[at] = octet;
        }
        for (number, (client, server)) in
            both[0].chunks(cut).zip(both[1].chunks(cut).chain(std::iter::repeat(&[][..]))).enumerate()
        {
            if let Some((_, octets)) = lost.iter().find(|(at, _)| *at == number) {
                probe.lose(true, *octets);
            }
            probe.send(true, client);
            if !server.is_empty() {
                probe.send(false, server);
            }
        }
        probe.segment(true, FIN | ACK, &[]);
        probe.segment(false, FIN | ACK, &[]);
        let counters = probe.counters();
        prop_assert_eq!((counters.http2_connections, counters.http2_octets), (0, 0));
        let records = probe.finish();
        let requests = records.iter().map(|record| record.http.requests).sum::<u32>();
        let unanswered = records.iter().map(|record| record.http.unanswered_requests);
        prop_assert!(unanswered.sum::<u32>() <= requests);
        let grpc = records.iter().flat_map(|record| record.http.grpc.used());
        prop_assert!(grpc.sum::<u32>() <= requests);
    }
}

#[test]
fn a_request_whose_stream_is_reset_is_unanswered() {
    let mut probe = begun();
    probe.send(
        true,
        &[get(1, "/a"), get(3, "/b"), call(5), get(7, "/c")].concat(),
    );
    probe.send(false, &frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]));
    probe.send(true, &frame(RST_STREAM, 0, 3, &[0, 0, 0, 8]));
    // Its response was on the way.
    probe.send(false, &response(3, "200"));
    probe.send(false, &headers(5, 0, &[(":status", "200")]));
    probe.send(true, &frame(RST_STREAM, 0, 5, &[0, 0, 0, 8]));
    probe.segment(false, RST, &[]);
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (4, 3));
    assert_eq!(http.responses[1], 1);
    assert!(http.grpc.is_empty());
}

#[test]
fn a_request_whose_stream_is_reset_after_the_idle_timeout_is_unanswered_once() {
    let mut probe = begun();
    probe.send(true, &[get(1, "/a"), get(3, "/b")].concat());
    probe.wait(60_000);
    probe.send(true, &frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    probe.send(true, &get(5, "/c"));
    probe.send(true, &frame(RST_STREAM, 0, 5, &[0, 0, 0, 8]));
    let records = probe.finish();
    let counts = records.iter().map(|record| &record.http);
    let counts = counts.map(|http| [http.requests, http.unanswered_requests]);
    let counts: Vec<[u32; 2]> = counts.filter(|counts| *counts != [0, 0]).collect();
    assert_eq!(counts, [[2, 2], [1, 1]]);
}

#[test]
fn connections_whose_start_was_not_observed_are_counted_once() {
    for (is_client, octets) in [
        (true, [PREFACE, &settings()].concat()),
        (
            true,
            frame(HEADERS, END_HEADERS | END_STREAM, 9, &[0x82, 0x84]),
        ),
        (false, frame(HEADERS, END_HEADERS, 9, &[0x88])),
    ] {
        let mut probe = Probe::new();
        for _ in 0..3 {
            probe.send(is_client, &octets);
            probe.send(true, &get(11, "/"));
        }
        assert_eq!(probe.unread(UnreadHttp::StartNotObserved), 1);
        assert_eq!(probe.counters().requests, 0);
    }
}
