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

/// A probe that has observed the beginning of a connection of HTTP/2.
fn begun() -> Probe {
    let mut probe = Probe::connected();
    probe.send(true, PREFACE);
    probe.send(true, &settings());
    probe.send(false, &settings());
    probe
}

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
        for record in probe.finish() {
            let http = record.http;
            prop_assert!(http.unanswered_requests <= http.requests + 8);
            prop_assert!(http.grpc.used().iter().sum::<u32>() <= http.requests);
        }
    }
}

#[test]
fn lost_octets_of_a_body_do_no_harm() {
    let mut probe = begun();
    probe.send(true, &get(1, "/"));
    probe.send(false, &headers(1, 0, &[(":status", "200")]));
    let body = frame(DATA, END_STREAM, 1, &[b'x'; 9000]);
    probe.send(false, &body[..1400]);
    probe.lose(false, 3000);
    probe.send(false, &body[4400..5800]);
    // The end is lost, too.
    probe.lose(false, body.len() - 5800);
    probe.send(true, &get(3, "/"));
    probe.send(false, &response(3, "200"));
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    assert_eq!(probe.record().http.responses[1], 2);
}

#[test]
fn octets_that_are_not_captured_do_no_harm_in_a_body() {
    let mut probe = begun();
    probe.send(true, &get(1, "/"));
    probe.snaplen = 200;
    let body = frame(DATA, END_STREAM, 1, &[b'x'; 9000]);
    probe.send(
        false,
        &[headers(1, 0, &[(":status", "200")]), body].concat(),
    );
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    // The header of the second frame is not captured.
    probe.send(true, &get(3, "/"));
    let body = frame(DATA, 0, 3, &[b'x'; 300]);
    let end = frame(DATA, END_STREAM, 3, b"x");
    probe.send(
        false,
        &[headers(3, 0, &[(":status", "200")]), body, end].concat(),
    );
    assert_eq!(probe.unread(UnreadHttp::NotCaptured), 1);
    let http = probe.record().http;
    assert_eq!((http.requests, http.responses[1]), (2, 2));
}

#[test]
fn after_a_lost_field_block_the_rest_of_the_connection_is_not_read() {
    for is_acknowledged in [true, false] {
        let mut probe = begun();
        probe.send(true, &[get(1, "/a"), get(3, "/b")].concat());
        probe.send(false, &response(1, "200"));
        probe.lose(false, response(3, "200").len());
        probe.send(true, &frame(PING, 0, 0, &[7; 8]));
        if !is_acknowledged {
            // The probe has not observed that the client has received it.
            probe = begun();
            probe.send(true, &[get(1, "/a"), get(3, "/b")].concat());
            probe.send(false, &response(1, "200"));
            probe.lose(false, 20);
            for _ in 0..=64 {
                probe.send(false, &frame(PING, 0, 0, &[7; 8]));
            }
        }
        assert_eq!(probe.unread(UnreadHttp::SegmentLost), 1);
        assert_eq!(probe.counters().http2_octets, 0);
        // Counted once, and never guessed.
        probe.send(true, &get(5, "/c"));
        probe.send(false, &response(5, "200"));
        assert_eq!(probe.counters().unread.values().sum::<u64>(), 1);
        let http = probe.record().http;
        assert_eq!((http.requests, http.unanswered_requests), (2, 0));
        assert_eq!(http.responses[1], 1);
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

#[test]
fn field_blocks_beyond_the_limits_are_refused() {
    let padded = |flags| frame(HEADERS, flags, 1, &[0; 300]);
    let long = [
        frame(HEADERS, 0, 1, &[0; 9000]),
        frame(CONTINUATION, 0, 1, &[0; 9000]),
    ];
    let table = frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xff, 0xff, 0x7f]);
    let size = [block(&[("a", &"x".repeat(120))]), vec![0xbe; 600]].concat();
    let size = frame(HEADERS, END_HEADERS, 1, &size);
    for (octets, reason) in [
        (long.concat(), UnreadHttp::HeadTooLong),
        (
            frame(HEADERS, END_HEADERS, 1, &[0; 20_000]),
            UnreadHttp::HeadTooLong,
        ),
        (size, UnreadHttp::HeadTooLong),
        (table, UnreadHttp::TableTooLarge),
        // A table entry that does not exist, and another frame inside a block.
        (
            frame(HEADERS, END_HEADERS, 1, &[0xff, 0x10]),
            UnreadHttp::Invalid,
        ),
        ([padded(0), settings()].concat(), UnreadHttp::Invalid),
        (
            frame(CONTINUATION, END_HEADERS, 1, &[]),
            UnreadHttp::Invalid,
        ),
        (
            frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 1]),
            UnreadHttp::Invalid,
        ),
        (frame(RST_STREAM, 0, 1, &[1]), UnreadHttp::Invalid),
        ([get(5, "/"), get(3, "/")].concat(), UnreadHttp::Invalid),
        (get(2, "/"), UnreadHttp::Invalid),
    ] {
        let mut probe = begun();
        probe.send(true, &octets);
        assert_eq!(probe.unread(reason), 1, "{reason:?} {:?}", probe.counters());
        assert_eq!(probe.counters().http2_octets, 0);
    }
}

#[test]
fn the_open_requests_of_a_connection_are_bounded() {
    let mut probe = begun();
    for number in 0..3000 {
        probe.send(true, &get(2 * number + 1, "/"));
    }
    assert_eq!(probe.unread(UnreadHttp::TooManyRequests), 3000 - 1024);
    assert!(probe.counters().http2_octets < 100_000);
    for number in 0..3000 {
        probe.send(false, &response(2 * number + 1, "200"));
    }
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (3000, 0));
    // Of the requests that were not kept, no times are known.
    assert_eq!(
        (http.responses[1], http.response_time.samples),
        (3000, 1024)
    );
}

#[test]
fn the_memory_of_all_connections_is_bounded() {
    let mut probe = Probe::new();
    let value = "x".repeat(126);
    let mut begin = [PREFACE.to_vec(), settings()].concat();
    // A table of 64 KiB.
    begin.extend(frame(
        HEADERS,
        END_HEADERS,
        1,
        &[0x3f, 0xe1, 0xff, 0x03, 0x82],
    ));
    let path = block(&[(":path", &*value)]).repeat(60);
    for port in 1..2000_u16 {
        probe.port = port;
        probe.connect();
        probe.send(true, &begin);
        for number in 1..8 {
            probe.send(true, &frame(HEADERS, END_HEADERS, 2 * number + 1, &path));
        }
    }
    let counters = probe.counters();
    assert!(counters.http2_octets <= 33 << 20, "{counters:?}");
    assert!(counters.unread[UnreadHttp::NoRoom] > 500, "{counters:?}");
}
