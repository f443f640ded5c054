//! The initiator of a conversation, and the duration of a connection.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::record::BiflowDirection::{self, Arbitrary, Initiator, ReverseInitiator};
use flowproto::record::FlowEndReason::{
    EndOfFlowDetected, ForcedEnd, IdleTimeout, LackOfResources,
};
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use packets::meter::*;
use packets::*;

/// Source port and initiator of all records.
fn initiators(meter: Meter) -> Vec<(u16, BiflowDirection)> {
    let records = meter.finish();
    let each = records.iter();
    each.map(|r| (r.key.source_port, r.biflow_direction.unwrap()))
        .collect()
}

#[test]
fn the_first_datagram_identifies_the_initiator() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(0, REVERSE);
    meter.udp(2000, FORWARD);
    meter.tick(20_000);
    assert_eq!(
        meter.take(),
        [
            (80, 1, IdleTimeout, Initiator, 1, 2),
            (40000, 1, IdleTimeout, ReverseInitiator, 0, 0),
        ]
    );
}

#[test]
fn within_an_idle_timeout_of_the_start_no_datagram_identifies_the_initiator() {
    let mut meter = Meter::just_started(cache_settings());
    meter.udp(0, REVERSE);
    meter.udp(100, FORWARD);
    // A SYN needs no observation of what was before it.
    meter.handshake(200, 100);
    assert_eq!(meter.cache.counters().conversations_start_not_observed, 1);
    assert_eq!(
        initiators(meter),
        [
            (80, Arbitrary),
            (40000, Arbitrary),
            (40000, Initiator),
            (80, ReverseInitiator)
        ]
    );

    for (ms, initiator) in [(14_999, Arbitrary), (15_000, Initiator)] {
        let mut meter = Meter::just_started(cache_settings());
        meter.packet(0, FORWARD, 6, &tcp(PORTS, (1, 1), ACK, &[]));
        meter.udp(ms, FORWARD);
        let records = meter.finish();
        let of_udp = records.iter().find(|r| r.key.protocol_identifier == 17);
        assert_eq!(of_udp.unwrap().biflow_direction, Some(initiator), "{ms}");
    }
}

#[test]
fn the_start_of_an_interface_counts_like_that_of_the_probe() {
    let mut meter = Meter::new(cache_settings());
    meter.point = ObservationPoint {
        interface: 2,
        start_ns: BASE * 1_000_000,
        ..ObservationPoint::default()
    };
    meter.udp(14_999, FORWARD);
    assert_eq!(initiators(meter), [(40000, Arbitrary)]);

    let mut meter = Meter::new(cache_settings());
    meter.point.start_ns = BASE * 1_000_000;
    meter.tick(15_000);
    meter.udp(15_000, FORWARD);
    assert_eq!(initiators(meter), [(40000, Initiator)]);
}

#[test]
fn while_conversations_are_evicted_no_datagram_identifies_the_initiator() {
    let mut meter = Meter::new(CacheSettings {
        max_conversations: 2,
        ..cache_settings()
    });
    // A session of two hosts, which others evict again and again.
    for step in 0..10 {
        meter.udp(step * 1000, step % 2 == 0);
        for port in 1..=2 {
            let syn = tcp((port, 443), (u32::try_from(step).unwrap(), 0), SYN, &[]);
            meter.ip(step * 1000 + 500, &ipv4(6, [10, 9, 9, 9], SERVER, &syn));
        }
    }
    let sessions: Vec<_> = meter
        .take()
        .into_iter()
        .filter(|(port, ..)| [40000, 80].contains(port))
        .collect();
    assert_eq!(sessions.len(), 10);
    assert_eq!(sessions[0], (40000, 1, LackOfResources, Initiator, 1, 0));
    for (_, _, _, initiator, connections, _) in &sessions[1..] {
        assert_eq!((*initiator, *connections), (Arbitrary, 0));
    }
    // An idle timeout after the last eviction, starts are observed again.
    meter.tick(40_000);
    meter.take();
    meter.udp(60_000, FORWARD);
    assert_eq!(initiators(meter), [(40000, Initiator)]);
}

#[test]
fn the_earlier_first_packet_decides_whatever_the_order_of_reading() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(3, REVERSE);
    meter.udp(1, FORWARD);
    assert_eq!(
        initiators(meter),
        [(40000, Initiator), (80, ReverseInitiator)]
    );
    // Also if a later packet is the earliest.
    let mut meter = Meter::new(cache_settings());
    meter.udp(3, REVERSE);
    meter.udp(4, FORWARD);
    meter.udp(2, FORWARD);
    assert_eq!(
        initiators(meter),
        [(40000, Initiator), (80, ReverseInitiator)]
    );
}

#[test]
fn a_reported_initiator_does_not_change() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(5000, REVERSE);
    meter.tick(21_000);
    assert_eq!(meter.take(), [(80, 1, IdleTimeout, Initiator, 1, 0)]);
    // Late by 9 s, and earlier than the packet in the record.
    meter.tick(13_000);
    meter.udp(12_500, FORWARD);
    let records = meter.finish();
    assert_eq!(records[0].biflow_direction, Some(ReverseInitiator));
    assert_eq!(records[0].new_connection_delta_count, Some(0));
}

#[test]
fn an_echo_and_its_reply_are_one_conversation_without_connections() {
    // The request identifies the initiator even right after the start.
    let mut meter = Meter::just_started(cache_settings());
    meter.packet(0, FORWARD, 1, &[8, 0, 0, 0, 0, 1, 0, 1]);
    meter.packet(1, REVERSE, 1, &[0, 0, 0, 0, 0, 1, 0, 1]);
    let records = meter.finish();
    let seen: Vec<_> = records
        .iter()
        .map(|r| {
            (
                r.icmp_type_code,
                r.biflow_direction.unwrap(),
                r.new_connection_delta_count,
                r.connection_sum_duration_milliseconds,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (0x0800, Initiator, Some(0), 0),
            (0, ReverseInitiator, Some(0), 0)
        ]
    );
}

#[test]
fn icmp_answers_and_errors_begin_nothing() {
    for (protocol, kind) in [
        (1, 0),    // echo reply
        (1, 3),    // destination unreachable
        (1, 11),   // time exceeded
        (1, 14),   // timestamp reply
        (58, 1),   // destination unreachable
        (58, 2),   // packet too big
        (58, 129), // echo reply
        (58, 136), // neighbor advertisement
    ] {
        let mut meter = Meter::new(cache_settings());
        meter.packet(0, REVERSE, protocol, &[kind, 0, 0, 0, 0, 1, 0, 1]);
        let record = meter.finish().remove(0);
        assert_eq!(
            record.biflow_direction,
            Some(Arbitrary),
            "{protocol} {kind}"
        );
    }
    // A message that is neither asks for nothing, and is the first of its conversation.
    let mut meter = Meter::new(cache_settings());
    meter.packet(0, REVERSE, 58, &[143, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(
        meter.finish()[0].biflow_direction,
        Some(Initiator),
        "multicast listener report"
    );
}

#[test]
fn a_datagram_that_is_an_answer_begins_nothing() {
    const ANSWER: [u8; 12] = [0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    const QUESTION: [u8; 12] = [0, 7, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for (port, answer, question) in [
        (53, ANSWER, QUESTION),
        (67, [2; 12], [1; 12]),
        (123, [0x24; 12], [0x23; 12]),
    ] {
        let answer = udp(port, 40000, &answer);
        let question = udp(40000, port, &question);
        let mut meter = Meter::new(cache_settings());
        meter.packet(0, REVERSE, 17, &answer);
        let first = (port, ReverseInitiator);
        assert_eq!(initiators(meter), [first]);
        // Both were read in the wrong order.
        let mut meter = Meter::new(cache_settings());
        meter.packet(1, REVERSE, 17, &answer);
        meter.packet(0, FORWARD, 17, &question);
        let records = meter.finish();
        let connections = records.iter().map(|r| r.new_connection_delta_count);
        assert!(connections.eq([Some(1), Some(0)]), "{port}");
        // The question may have been sent before the capture.
        let mut meter = Meter::just_started(cache_settings());
        meter.packet(0, REVERSE, 17, &answer);
        meter.packet(100, FORWARD, 17, &question);
        assert_eq!(
            initiators(meter),
            [(port, Arbitrary), (40000, Arbitrary)],
            "{port}"
        );
    }
    // A server that asks another one.
    let mut meter = Meter::new(cache_settings());
    meter.packet(0, REVERSE, 17, &udp(53, 53, &QUESTION));
    assert_eq!(initiators(meter), [(53, Initiator)]);
}

#[test]
fn later_fragments_begin_nothing() {
    let mut meter = Meter::new(cache_settings());
    let later = ipv4_fragment(17, SERVER, CLIENT, 77, 185, &[0; 800]);
    meter.ip(0, &later);
    let record = meter.finish().remove(0);
    assert_eq!(
        (record.biflow_direction, record.new_connection_delta_count),
        (Some(Arbitrary), Some(0))
    );
    // The first fragment does, if it comes first.
    let mut meter = Meter::new(cache_settings());
    let first = ipv4_fragment(17, CLIENT, SERVER, 78, 0x2000, &udp(40000, 80, &[0; 1472]));
    meter.ip(0, &first);
    assert_eq!(meter.finish()[0].biflow_direction, Some(Initiator));
}

#[test]
fn a_conversation_whose_start_was_not_observed_has_no_initiator_and_no_connection() {
    let mut meter = Meter::new(cache_settings());
    meter.tcp(1000, REVERSE, 5, ACK);
    meter.tcp(1001, FORWARD, 5, ACK);
    meter.tick(20_000);
    assert_eq!(
        meter.take(),
        [
            (80, 1, IdleTimeout, Arbitrary, 0, 0),
            (40000, 1, IdleTimeout, Arbitrary, 0, 0),
        ]
    );
    let counters = meter.cache.counters();
    assert_eq!(counters.conversations_start_not_observed, 1);
    assert_eq!(counters.conversations_started, 0);
}

#[test]
fn the_connection_is_counted_in_the_first_record_of_the_initiator() {
    // Only the answer was captured: it proves the start.
    let mut meter = Meter::new(cache_settings());
    let answer = tcp((PORTS.1, PORTS.0), (9000, 101), SYN | ACK, &[]);
    meter.packet(1000, REVERSE, 6, &answer);
    meter.tick(20_000);
    assert_eq!(meter.take(), [(80, 1, IdleTimeout, ReverseInitiator, 0, 0)]);
    meter.tcp(21_000, FORWARD, 101, ACK);
    meter.tick(40_000);
    assert_eq!(meter.take(), [(40000, 1, IdleTimeout, Initiator, 1, 20)]);
}

/// Durations of all records, milliseconds and seconds.
fn durations(meter: Meter) -> (u64, u64) {
    let records = meter.finish();
    let milliseconds = records
        .iter()
        .map(|r| r.connection_sum_duration_milliseconds);
    let seconds = records
        .iter()
        .map(|r| r.connection_sum_duration_seconds.unwrap());
    (milliseconds.sum(), seconds.sum())
}

#[test]
fn the_duration_is_in_whichever_record_ends_the_connection() {
    // The client is silent at the end.
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    for second in 1..=100 {
        meter.tcp(second * 1000, REVERSE, 9001, ACK);
    }
    meter.tcp(100_500, REVERSE, 9001, RST);
    meter.tick(110_000);
    let last = meter.take().pop().unwrap();
    assert_eq!(last, (80, 42, EndOfFlowDetected, ReverseInitiator, 0, 100));

    // Evicted, idle, and at the end of the file.
    let mut meter = Meter::new(CacheSettings {
        max_conversations: 1,
        ..cache_settings()
    });
    meter.handshake(0, 100);
    meter.tcp(2500, REVERSE, 9001, ACK);
    meter.udp(3000, FORWARD);
    assert_eq!(
        meter.take(),
        [
            (40000, 2, LackOfResources, Initiator, 1, 2),
            (80, 2, LackOfResources, ReverseInitiator, 0, 0)
        ]
    );
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tcp(1900, FORWARD, 101, ACK);
    assert_eq!(durations(meter), (1900, 1));
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tcp(1500, REVERSE, 9001, ACK);
    let records = meter.finish();
    assert_eq!(records[0].flow_end_reason, ForcedEnd);
    assert_eq!(records[0].connection_sum_duration_milliseconds, 1500);
}

#[test]
fn the_durations_of_a_connection_that_pauses_add_up() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    // Pauses that are longer than the idle timeout, and parts of a second.
    for part in 1..=5 {
        meter.tcp(part * 20_700, FORWARD, 101, ACK);
    }
    let mut total = (0, 0);
    for record in meter.records.0.drain(..) {
        total.0 += record.connection_sum_duration_milliseconds;
        total.1 += record.connection_sum_duration_seconds.unwrap();
    }
    let last = durations(meter);
    assert_eq!((total.0 + last.0, total.1 + last.1), (103_500, 103));
}

#[test]
fn a_connection_whose_start_was_not_observed_has_no_duration() {
    let mut meter = Meter::new(cache_settings());
    meter.tcp(0, FORWARD, 1, ACK);
    meter.tcp(5000, FORWARD, 1, RST);
    assert_eq!(durations(meter), (0, 0));
}
