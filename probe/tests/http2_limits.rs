//! Messages of HTTP/2 whose segments are lost or late, and the limits of what is kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use kipfix_probe::inspect::http::UnreadHttp;
use packets::http_probe::Probe;
use packets::http2::*;
use packets::{ACK, FIN, RST};

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
fn responses_behind_a_gap_when_a_connection_ends_are_not_awaited() {
    for ends in [&[(true, FIN | ACK), (false, FIN | ACK)][..], &[(true, RST)]] {
        for lost_is_of_client in [false, true] {
            let mut probe = begun();
            probe.send(true, &[get(1, "/a"), get(3, "/b")].concat());
            probe.lose(lost_is_of_client, 20);
            let held = if lost_is_of_client {
                get(7, "/c")
            } else {
                response(3, "200")
            };
            probe.send(lost_is_of_client, &held);
            probe.segment(true, ACK, &[]);
            for (is_client, flags) in ends {
                probe.segment(*is_client, *flags, &[]);
            }
            assert_eq!(probe.unread(UnreadHttp::SegmentLost), 1);
            assert_eq!(probe.counters().connections, 0);
            let http = probe.record().http;
            assert_eq!((http.requests, http.unanswered_requests), (2, 0));
            assert_eq!(http.responses, [0; 5]);
        }
    }
}

#[test]
fn a_lost_response_at_the_end_of_a_connection_is_not_awaited() {
    let mut probe = begun();
    probe.send(true, &[get(1, "/a"), get(3, "/b")].concat());
    probe.send(false, &response(1, "200"));
    probe.lose(false, response(3, "200").len());
    probe.segment(false, FIN | ACK, &[]);
    probe.segment(true, FIN | ACK, &[]);
    assert_eq!(probe.unread(UnreadHttp::SegmentLost), 1);
    let http = probe.record().http;
    assert_eq!((http.requests, http.unanswered_requests), (2, 0));
    assert_eq!(http.responses[1], 1);
}

#[test]
fn an_acknowledged_fin_is_not_a_lost_segment() {
    let mut probe = begun();
    probe.send(true, &get(1, "/a"));
    probe.send(false, &response(1, "200"));
    probe.segment(false, FIN | ACK, &[]);
    probe.lose(false, 1);
    probe.send(true, &frame(GOAWAY, 0, 0, &[0; 8]));
    probe.segment(true, FIN | ACK, &[]);
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    assert_eq!(probe.counters().connections, 0);
}

#[test]
fn a_segment_that_waits_for_another_one_has_its_own_time() {
    let mut probe = begun();
    probe.send(true, &[get(1, "/a"), get(3, "/b")].concat());
    let (first, second) = (response(1, "200"), response(3, "200"));
    let [client, server] = probe.next;
    let behind = server.wrapping_add(u32::try_from(first.len()).unwrap());
    probe.wait(10);
    probe.segment_at(false, [client, behind], ACK, &second);
    probe.wait(20);
    probe.segment_at(false, [client, server], ACK, &first);
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    let times = probe.record().http.response_time;
    assert_eq!((times.samples, times.sum_microseconds), (2, 40_000));
    assert_eq!(times.minimum_microseconds, 10_000);
}

#[test]
fn a_missing_segment_is_awaited_for_ten_seconds() {
    for (seconds, lost) in [(9, 0), (11, 1)] {
        let mut probe = begun();
        probe.send(true, &get(1, "/a"));
        probe.lose(false, 20);
        probe.send(false, &response(1, "200"));
        probe.wait(seconds * 1000);
        probe.send(false, &frame(PING, 0, 0, &[7; 8]));
        assert_eq!(probe.unread(UnreadHttp::SegmentLost), lost, "{seconds}");
        probe.segment(true, RST, &[]);
        assert_eq!(probe.unread(UnreadHttp::SegmentLost), 1, "{seconds}");
        assert_eq!(probe.record().http.unanswered_requests, 0, "{seconds}");
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
fn pushed_responses_do_not_count_after_a_request_was_removed() {
    let mut probe = begun();
    for number in 0..1026 {
        probe.send(true, &get(2 * number + 1, "/"));
    }
    assert_eq!(probe.unread(UnreadHttp::TooManyRequests), 2);
    probe.send(false, &response(2, "200"));
    probe.send(false, &response(1, "200"));
    let http = probe.record().http;
    assert_eq!((http.requests, http.responses[1]), (1026, 1));
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
        probe.set_client(port / 25, port);
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

/// Connections of 10 clients with more octets behind a gap than all may keep together.
fn hold_much(probe: &mut Probe) {
    for port in 1..=200 {
        probe.set_client(port % 10, port);
        probe.connect();
        probe.send(true, &[PREFACE, &settings(), &get(1, "/")].concat());
        probe.send(false, &settings());
        probe.lose(false, 20);
        for _ in 0..60 {
            probe.send(false, &frame(DATA, 0, 1, &[b'x'; 4000]));
        }
    }
}

#[test]
fn a_connection_that_keeps_little_has_room_next_to_those_that_keep_much() {
    let mut probe = Probe::new();
    hold_much(&mut probe);
    let before = probe.counters();
    assert!(before.unread[UnreadHttp::NoRoom] > 50, "{before:?}");
    assert!(before.http2_octets < 18 << 20, "{before:?}");
    for port in 1001..1101 {
        probe.set_client(port % 10, port);
        probe.connect();
        probe.send(true, &[PREFACE, &settings(), &get(1, "/")].concat());
        probe.send(false, &[settings(), response(1, "200")].concat());
    }
    let counters = probe.counters();
    assert_eq!(counters.unread, before.unread);
    assert_eq!(counters.responses, 100);
}

#[test]
fn one_client_does_not_take_the_room_of_the_others() {
    let mut probe = Probe::new();
    let value = "x".repeat(126);
    let table = frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xe1, 0xff, 0x03, 0x82]);
    let path = block(&[(":path", &*value)]).repeat(60);
    let fill = |probe: &mut Probe, client, port| {
        probe.set_client(client, port);
        probe.connect();
        probe.send(true, &[PREFACE, &settings(), &table].concat());
        for number in 1..5 {
            let octets = frame(HEADERS, END_HEADERS, 2 * number + 1, &path);
            probe.send(true, &octets);
        }
    };
    // Alone, it has half of the room.
    for port in 1..=300 {
        fill(&mut probe, 0, port);
    }
    let before = probe.counters();
    assert!(before.http2_octets > 8 << 20, "{before:?}");
    assert!(probe.has_read_all(), "{before:?}");
    for port in 301..=700 {
        fill(&mut probe, 0, port);
    }
    let before = probe.counters();
    assert!(
        (15 << 20..=17 << 20).contains(&before.http2_octets),
        "{before:?}"
    );
    let refused = before.unread[UnreadHttp::NoRoomForClient];
    assert!(refused > 200, "{before:?}");
    assert_eq!(before.unread.values().sum::<u64>(), refused);
    // Another client has 4 MiB then.
    for port in 1..=50 {
        fill(&mut probe, 1, port);
    }
    assert_eq!(probe.counters().unread, before.unread);
    // Room that a connection frees can be used again.
    for port in 1..=700 {
        probe.set_client(0, port);
        probe.segment(true, RST, &[]);
    }
    fill(&mut probe, 0, 1001);
    assert_eq!(probe.counters().unread, before.unread);
}

#[test]
fn room_behind_gaps_is_free_after_ten_seconds() {
    let mut probe = Probe::new();
    hold_much(&mut probe);
    let before = probe.counters();
    probe.wait(11_000);
    probe.port = 1001;
    probe.connect();
    probe.send(true, PREFACE);
    let counters = probe.counters();
    let lost = counters.unread[UnreadHttp::SegmentLost];
    let ended = before.http2_connections + 1 - counters.http2_connections;
    assert!(ended > 50, "{counters:?}");
    assert_eq!(lost, u64::try_from(ended).unwrap());
    assert!(counters.http2_octets < 1 << 20, "{counters:?}");
    // The requests were abandoned, which their next packets report.
    for port in 1..=200 {
        probe.set_client(port % 10, port);
        probe.segment(true, ACK, b"x");
    }
    let records = probe.finish();
    let unanswered = records.iter().map(|record| record.http.unanswered_requests);
    assert_eq!(unanswered.sum::<u32>(), 0);
}

#[test]
fn a_head_of_http1_waits_while_memory_of_http2_is_scarce() {
    let mut probe = Probe::new();
    probe.set_client(0, 2000);
    probe.connect();
    probe.send(true, b"GET /slow HTTP/1.1\r\n");
    let next = probe.next;
    hold_much(&mut probe);
    let before = probe.counters();
    probe.wait(11_000);
    // Frees what is behind gaps.
    probe.set_client(0, 2001);
    probe.connect();
    probe.send(true, PREFACE);
    assert!(probe.counters().http2_octets < 1 << 20);
    probe.set_client(0, 2000);
    probe.next = next;
    probe.send(true, b"Host: a.test\r\n\r\n");
    assert_eq!(probe.counters().requests, before.requests + 1);
}

#[test]
fn the_room_of_a_block_that_was_put_together_is_free() {
    let mut probe = Probe::new();
    let fields = block(&[(":method", "GET"), (":path", "/")]);
    for port in 1..=300 {
        probe.port = port;
        probe.connect();
        probe.send(true, &[PREFACE, &settings()].concat());
        // A frame of padding only.
        probe.send(true, &frame(HEADERS, PADDED, 1, &[3, 0, 0, 0]));
        probe.send(true, &frame(CONTINUATION, END_HEADERS, 1, &fields));
    }
    assert!(probe.has_read_all(), "{:?}", probe.counters());
    assert_eq!(probe.counters().requests, 300);
}
