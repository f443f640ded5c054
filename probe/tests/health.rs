//! States of TCP connections, and losses and round-trip times in records.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::FlowRecord;
use flowproto::record::FlowEndReason;
use flowproto::tcp::ConnectionState::{self, *};
use flowproto::tcp::{Handshake, RoundTripTime, TcpHealth};
use kipfix_probe::cache::CacheSettings;
use packets::meter::*;
use packets::*;

/// The states that the records report, in their order.
fn states(records: &[FlowRecord]) -> Vec<ConnectionState> {
    let states = records.iter().map(|record| record.tcp_connection_state);
    states.filter(|state| *state != Unknown).collect()
}

fn segment(meter: &mut Meter, ms: u64, forward: bool, numbers: (u32, u32), octets: &[u8]) {
    let ports = if forward { PORTS } else { (PORTS.1, PORTS.0) };
    meter.packet(ms, forward, 6, &tcp(ports, numbers, ACK, octets));
}

/// The states of one connection, by its packets: time, direction, sequence number and flags.
fn connection(packets: &[(u64, bool, u32, u8)]) -> Vec<ConnectionState> {
    let mut meter = Meter::new(cache_settings());
    for (ms, forward, sequence, flags) in packets {
        meter.tcp(*ms, *forward, *sequence, *flags);
    }
    states(&meter.finish())
}

#[test]
fn each_way_to_begin_and_end_is_a_state_of_its_own() {
    let syn = (0, FORWARD, 1, SYN);
    let accepted = (10, REVERSE, 9, SYN | ACK);
    assert_eq!(connection(&[syn]), [Unanswered]);
    assert_eq!(connection(&[syn, (1, REVERSE, 0, RST | ACK)]), [Refused]);
    assert_eq!(connection(&[syn, accepted]), [Open]);
    // Only the direction of the initiator is observed.
    assert_eq!(connection(&[syn, (20, FORWARD, 2, ACK)]), [Open]);
    let ends = [(30, FORWARD, 2, FIN | ACK), (40, REVERSE, 10, FIN | ACK)];
    assert_eq!(connection(&[syn, accepted, ends[0]]), [Open]);
    assert_eq!(connection(&[syn, accepted, ends[0], ends[1]]), [Closed]);
    // A reset after the end changes nothing.
    let late = (50, FORWARD, 3, RST);
    assert_eq!(
        connection(&[syn, accepted, ends[0], ends[1], late]),
        [Closed]
    );
    assert_eq!(
        connection(&[syn, accepted, (30, FORWARD, 2, RST)]),
        [ResetByInitiator]
    );
    assert_eq!(
        connection(&[syn, accepted, (30, REVERSE, 10, RST)]),
        [ResetByResponder]
    );
    // The start was not observed.
    assert_eq!(
        connection(&[(0, FORWARD, 2, ACK), (1, REVERSE, 9, RST)]),
        []
    );
}

#[test]
fn every_record_of_an_open_connection_reports_it_and_the_end_is_reported_once() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tick(20_000);
    meter.tcp(21_000, FORWARD, 101, ACK);
    meter.tick(50_000);
    meter.close(51_000);
    meter.tick(70_000);
    meter.tcp(71_000, FORWARD, 103, RST);
    assert_eq!(states(&meter.finish()), [Open, Open, Closed]);
}

#[test]
fn a_record_by_the_active_timeout_reports_an_open_connection_but_no_missing_answer() {
    let mut meter = Meter::new(CacheSettings {
        active_timeout_ns: 10_000_000_000,
        ..cache_settings()
    });
    meter.tcp(0, FORWARD, 1, SYN);
    for second in 1..=25 {
        meter.tcp(second * 1000, FORWARD, 1, SYN);
    }
    meter.tcp(25_500, REVERSE, 9, SYN | ACK);
    for second in 26..=45 {
        meter.tcp(second * 1000, FORWARD, 2, ACK);
    }
    let records = meter.finish();
    let at_the_active_timeout = |state| {
        let records = records.iter();
        let records = records.filter(|r| r.flow_end_reason == FlowEndReason::ActiveTimeout);
        records.filter(|r| r.tcp_connection_state == state).count()
    };
    assert_eq!(at_the_active_timeout(Unanswered), 0);
    assert_eq!(at_the_active_timeout(Open), 2);
    assert_eq!(states(&records), [Open, Open, Open]);
}

#[test]
fn a_record_has_the_losses_and_round_trips_of_its_direction() {
    let mut meter = Meter::new(cache_settings());
    segment(&mut meter, 0, FORWARD, (1000, 1), &[7; 100]);
    segment(&mut meter, 30, REVERSE, (1, 1100), &[]);
    segment(&mut meter, 40, FORWARD, (1100, 1), &[7; 100]);
    segment(&mut meter, 300, FORWARD, (1100, 1), &[7; 100]);
    let records = meter.finish();
    let forward = records
        .iter()
        .find(|r| r.key.source_port == PORTS.0)
        .unwrap();
    let expected = TcpHealth {
        retransmitted_packets: 1,
        retransmitted_octets: 100,
        timeout_retransmitted_packets: 1,
        ..TcpHealth::default()
    };
    assert_eq!(forward.tcp_health, expected);
    let times = RoundTripTime {
        sum_microseconds: 30_000,
        minimum_microseconds: 30_000,
        samples: 1,
    };
    assert_eq!(forward.tcp_round_trip_time, times);
    let reverse = records
        .iter()
        .find(|r| r.key.source_port == PORTS.1)
        .unwrap();
    assert_eq!(reverse.tcp_health, TcpHealth::default());
    assert_eq!(reverse.tcp_round_trip_time, RoundTripTime::default());
}

#[test]
fn a_biflow_record_has_both_directions() {
    let mut meter = Meter::new(CacheSettings {
        biflow: true,
        ..cache_settings()
    });
    segment(&mut meter, 0, FORWARD, (1000, 1), &[7; 100]);
    segment(&mut meter, 30, REVERSE, (1, 1100), &[8; 50]);
    segment(&mut meter, 35, FORWARD, (1100, 51), &[]);
    segment(&mut meter, 300, REVERSE, (1, 1100), &[8; 50]);
    let records = meter.finish();
    assert_eq!(records.len(), 1);
    let both = [&records[0].tcp_health, &records[0].reverse_tcp_health];
    let octets: u64 = both.iter().map(|health| health.retransmitted_octets).sum();
    assert_eq!(octets, 50);
    let times = [
        records[0].tcp_round_trip_time,
        records[0].reverse_tcp_round_trip_time,
    ];
    let mut sums = times.map(|times| times.sum_microseconds);
    sums.sort_unstable();
    assert_eq!(sums, [5000, 30_000]);
}

#[test]
fn nothing_is_metered_of_sampled_packets_or_when_it_is_off() {
    let off = CacheSettings {
        tcp_health: false,
        ..cache_settings()
    };
    let sampled = CacheSettings {
        sampling: "1:10".parse().unwrap(),
        ..cache_settings()
    };
    for settings in [off, sampled] {
        let mut meter = Meter::new(settings);
        meter.handshake(0, 100);
        segment(&mut meter, 40, FORWARD, (101, 1), &[7; 100]);
        segment(&mut meter, 300, FORWARD, (101, 1), &[7; 100]);
        for record in meter.finish() {
            assert_eq!(record.tcp_connection_state, Unknown);
            assert_eq!(record.tcp_handshake, Handshake::default());
            assert_eq!(record.tcp_health, TcpHealth::default());
            assert_eq!(record.tcp_round_trip_time, RoundTripTime::default());
        }
    }
}

#[test]
fn selective_acknowledgments_report_what_was_received_twice() {
    let mut options = tcp(PORTS, (1, 5000), ACK, &[]);
    options[12] = 8 << 4;
    // Two NOPs and a SACK of one block below the acknowledgment number.
    options.extend([1, 1, 5, 10]);
    options.extend([4000_u32.to_be_bytes(), 4500_u32.to_be_bytes()].concat());
    let packet = decoded(&ethernet(
        0x800,
        &ipv4(6, [10, 0, 0, 1], [10, 0, 0, 2], &options),
    ));
    let sack = packet.unwrap().tcp_options;
    assert!(sack.has_duplicate_sack() && !sack.has_sack());
    options[24..28].copy_from_slice(&6000_u32.to_be_bytes());
    options[28..32].copy_from_slice(&6500_u32.to_be_bytes());
    let packet = decoded(&ethernet(
        0x800,
        &ipv4(6, [10, 0, 0, 1], [10, 0, 0, 2], &options),
    ));
    let sack = packet.unwrap().tcp_options;
    assert!(sack.has_sack() && !sack.has_duplicate_sack());
    // The answer to a keep-alive.
    options[24..28].copy_from_slice(&4999_u32.to_be_bytes());
    options[28..32].copy_from_slice(&5000_u32.to_be_bytes());
    let packet = decoded(&ethernet(
        0x800,
        &ipv4(6, [10, 0, 0, 1], [10, 0, 0, 2], &options),
    ));
    let sack = packet.unwrap().tcp_options;
    assert!(!sack.has_sack() && !sack.has_duplicate_sack());
}
