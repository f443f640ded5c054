//! Packets in, flow records out: timeouts, ends, connections, duplicates, bounds, and the sums.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::FlowRecord;
use flowproto::record::{BiflowDirection, FlowEndReason, Interfaces, Sampling};
use kipfix_probe::cache::{CacheSettings, FlowCache};
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::pipeline::Pipeline;
use kipfix_probe::sampling::SamplingRatio;
use packets::*;
use proptest::prelude::*;

const CLIENT: [u8; 4] = [10, 0, 0, 9];
const SERVER: [u8; 4] = [10, 0, 0, 1];
const PORTS: (u16, u16) = (40000, 80);
const FORTH: bool = true;
const BACK: bool = false;

/// A cache, its records, and packets of one conversation between a client and a server.
struct Meter {
    cache: FlowCache,
    records: Records,
    seen: ObservationPoint,
}

impl Meter {
    fn new(settings: CacheSettings) -> Self {
        Self {
            cache: FlowCache::new(settings),
            records: Records::default(),
            seen: ObservationPoint::default(),
        }
    }

    /// A packet with this transport at so many milliseconds.
    fn packet(&mut self, ms: u64, forth: bool, protocol: u8, transport: &[u8]) {
        let (source, destination) = if forth {
            (CLIENT, SERVER)
        } else {
            (SERVER, CLIENT)
        };
        self.ip(ms, &ipv4(protocol, source, destination, transport));
    }

    fn ip(&mut self, ms: u64, packet: &[u8]) {
        let info = decoded(&ethernet(0x0800, packet)).unwrap();
        self.cache
            .meter(&info, self.seen, ms * 1_000_000, &mut self.records);
    }

    fn tcp(&mut self, ms: u64, forth: bool, sequence: u32, flags: u8) {
        let ports = if forth { PORTS } else { (PORTS.1, PORTS.0) };
        self.packet(ms, forth, 6, &tcp(ports, (sequence, 0), flags, &[]));
    }

    fn udp(&mut self, ms: u64, forth: bool) {
        let ports = if forth { PORTS } else { (PORTS.1, PORTS.0) };
        self.packet(ms, forth, 17, &udp(ports.0, ports.1, b"data"));
    }

    fn handshake(&mut self, ms: u64, sequence: u32) {
        self.tcp(ms, FORTH, sequence, SYN);
        let answer = tcp((PORTS.1, PORTS.0), (9000, sequence + 1), SYN | ACK, &[]);
        self.packet(ms + 1, BACK, 6, &answer);
        self.tcp(ms + 2, FORTH, sequence + 1, ACK);
    }

    fn close(&mut self, ms: u64) {
        self.tcp(ms, FORTH, 5, FIN | ACK);
        self.tcp(ms + 1, BACK, 6, FIN | ACK);
        self.tcp(ms + 2, FORTH, 7, ACK);
    }

    fn tick(&mut self, ms: u64) {
        self.cache.tick(ms * 1_000_000, &mut self.records);
    }

    /// The records so far: source port, packets, reason, initiator, new connections, duration.
    fn take(&mut self) -> Vec<(u16, u64, FlowEndReason, BiflowDirection, u32, u64)> {
        self.records.0.drain(..).map(|r| summary(&r)).collect()
    }

    fn finish(mut self) -> Vec<FlowRecord> {
        self.cache.finish(&mut self.records);
        self.records.0
    }
}

fn summary(record: &FlowRecord) -> (u16, u64, FlowEndReason, BiflowDirection, u32, u64) {
    (
        record.key.source_port,
        record.packet_delta_count,
        record.flow_end_reason,
        record.biflow_direction.unwrap(),
        record.new_connection_delta_count.unwrap(),
        record.connection_sum_duration_seconds.unwrap(),
    )
}

use BiflowDirection::{Arbitrary, Initiator, ReverseInitiator};
use FlowEndReason::{ActiveTimeout, EndOfFlowDetected, ForcedEnd, IdleTimeout, LackOfResources};

#[test]
fn a_whole_connection_is_two_records_with_one_connection_and_its_duration() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(1000, 100);
    meter.close(4000);
    meter.tick(8000);
    assert_eq!(meter.take(), []);
    meter.tick(9100);
    assert_eq!(
        meter.take(),
        [
            (40000, 4, EndOfFlowDetected, Initiator, 1, 3),
            (80, 2, EndOfFlowDetected, ReverseInitiator, 0, 0),
        ]
    );
    assert_eq!(meter.cache.conversations() + meter.cache.dormant(), 0);
}

#[test]
fn octets_times_and_flags_are_those_of_the_packets() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(1000, 100);
    meter.close(2000);
    let records = meter.finish();
    let forth = &records[0];
    assert_eq!(forth.octet_delta_count, 4 * 40);
    assert_eq!(
        (forth.flow_start_milliseconds, forth.flow_end_milliseconds),
        (1000, 2002)
    );
    assert_eq!(forth.tcp_control_bits, u16::from(SYN | ACK | FIN));
    assert_eq!(forth.ip_class_of_service, 0xb8);
    assert_eq!(forth.interfaces, None);
}

#[test]
fn a_conversation_joined_half_way_has_no_initiator_and_no_connection() {
    let mut meter = Meter::new(cache_settings());
    meter.tcp(1000, BACK, 5, ACK);
    meter.tcp(1001, FORTH, 5, ACK);
    meter.tick(20_000);
    assert_eq!(
        meter.take(),
        [
            (80, 1, IdleTimeout, Arbitrary, 0, 0),
            (40000, 1, IdleTimeout, Arbitrary, 0, 0),
        ]
    );
    assert_eq!(meter.cache.counters().conversations_start_not_observed, 1);
    assert_eq!(meter.cache.counters().conversations_started, 0);
}

#[test]
fn a_long_connection_is_counted_once_in_its_life() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    for second in 1..=130 {
        meter.tcp(second * 1000, FORTH, 500, ACK);
    }
    let records = meter.take();
    assert_eq!(
        records,
        [
            (40000, 61, ActiveTimeout, Initiator, 1, 0),
            (80, 1, ActiveTimeout, ReverseInitiator, 0, 0),
            (40000, 60, ActiveTimeout, Initiator, 0, 0),
        ]
    );
}

#[test]
fn the_connection_waits_for_the_initiators_first_record() {
    // Only the answers are seen: the connection's beginning is known, its initiator not heard yet.
    let mut meter = Meter::new(cache_settings());
    let answer = tcp((PORTS.1, PORTS.0), (9000, 101), SYN | ACK, &[]);
    meter.packet(1000, BACK, 6, &answer);
    meter.tick(20_000);
    assert_eq!(meter.take(), [(80, 1, IdleTimeout, ReverseInitiator, 0, 0)]);
    meter.tcp(21_000, FORTH, 101, ACK);
    meter.tick(40_000);
    assert_eq!(meter.take(), [(40000, 1, IdleTimeout, Initiator, 1, 0)]);
}

#[test]
fn a_quiet_connection_comes_back_without_being_counted_again() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tick(16_000);
    assert_eq!(meter.take().len(), 2);
    assert_eq!((meter.cache.conversations(), meter.cache.dormant()), (0, 1));
    meter.tcp(600_000, BACK, 9001, ACK);
    meter.tcp(600_001, FORTH, 101, ACK);
    meter.tick(620_000);
    assert_eq!(
        meter.take(),
        [
            (40000, 1, IdleTimeout, Initiator, 0, 0),
            (80, 1, IdleTimeout, ReverseInitiator, 0, 0),
        ]
    );
}

#[test]
fn a_connection_silent_for_too_long_is_forgotten() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tick(16_000);
    meter.take();
    meter.tick(3_601_000);
    assert_eq!(meter.cache.dormant(), 0);
    meter.tcp(3_602_000, FORTH, 101, ACK);
    assert_eq!(meter.cache.counters().conversations_start_not_observed, 1);
}

#[test]
fn idle_does_not_depend_on_when_the_lists_are_looked_at() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(0, FORTH);
    meter.udp(15_000, FORTH);
    assert_eq!(meter.take(), [(40000, 1, IdleTimeout, Initiator, 1, 0)]);
    meter.udp(29_999, FORTH);
    assert_eq!(meter.take(), []);
}

#[test]
fn a_retransmitted_syn_is_one_connection_and_a_new_one_another() {
    let mut meter = Meter::new(cache_settings());
    meter.tcp(0, FORTH, 100, SYN);
    meter.tcp(1000, FORTH, 100, SYN);
    assert_eq!(meter.take(), []);
    meter.tcp(2000, FORTH, 200, SYN);
    assert_eq!(
        meter.take(),
        [(40000, 2, EndOfFlowDetected, Initiator, 1, 1)]
    );
    let records = meter.finish();
    assert_eq!(summary(&records[0]), (40000, 1, ForcedEnd, Initiator, 1, 0));
}

#[test]
fn ports_used_again_right_after_the_end_begin_another_conversation() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.close(1000);
    meter.handshake(2000, 900);
    assert_eq!(meter.take().len(), 2);
    meter.close(3000);
    let records = meter.finish();
    let connections: Vec<_> = records
        .iter()
        .map(|r| r.new_connection_delta_count.unwrap())
        .collect();
    assert_eq!(connections, [1, 0]);
}

#[test]
fn packets_behind_the_end_belong_to_it() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tcp(100, BACK, 9001, RST);
    meter.tcp(4000, FORTH, 101, ACK);
    meter.tick(6000);
    assert_eq!(
        meter.take(),
        [
            (40000, 3, EndOfFlowDetected, Initiator, 1, 4),
            (80, 2, EndOfFlowDetected, ReverseInitiator, 0, 0),
        ]
    );
    assert_eq!(meter.cache.counters().conversations_start_not_observed, 0);
}

#[test]
fn the_first_datagram_tells_the_initiator() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(0, BACK);
    meter.udp(2000, FORTH);
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
fn an_echo_and_its_reply_are_one_conversation_without_connections() {
    let mut meter = Meter::new(cache_settings());
    meter.packet(0, FORTH, 1, &[8, 0, 0, 0, 0, 1, 0, 1]);
    meter.packet(1, BACK, 1, &[0, 0, 0, 0, 0, 1, 0, 1]);
    let records = meter.finish();
    let said: Vec<_> = records
        .iter()
        .map(|r| {
            (
                r.icmp_type_code,
                r.biflow_direction.unwrap(),
                r.new_connection_delta_count,
            )
        })
        .collect();
    assert_eq!(
        said,
        [(0x0800, Initiator, Some(0)), (0, ReverseInitiator, Some(0))]
    );
}

#[test]
fn a_full_cache_reports_the_least_recently_used_before_its_time() {
    let mut meter = Meter::new(CacheSettings {
        max_conversations: 2,
        ..cache_settings()
    });
    let from = |port| ipv4(17, CLIENT, SERVER, &udp(port, 53, &[]));
    meter.ip(0, &from(1));
    meter.ip(1000, &from(2));
    meter.ip(2500, &from(1));
    meter.ip(2600, &from(3));
    assert_eq!(meter.take(), [(2, 1, LackOfResources, Initiator, 1, 0)]);
    // A dormant one has nothing to report and goes first.
    meter.tick(30_000);
    assert_eq!(meter.take().len(), 2);
    meter.ip(30_000, &from(4));
    assert_eq!(meter.take(), []);
    assert_eq!(meter.cache.counters().dormant_evicted, 1);
}

#[test]
fn a_packet_seen_on_two_interfaces_is_metered_once() {
    let mut meter = Meter::new(cache_settings());
    let on = |interface, egress| ObservationPoint {
        interface,
        egress,
        mtu: 1500,
    };
    for ms in [1000, 2000, 3000] {
        meter.seen = on(2, false);
        meter.udp(ms, FORTH);
        meter.seen = on(3, true);
        meter.udp(ms, FORTH);
    }
    // The answer comes in on the other interface and belongs there.
    meter.seen = on(3, false);
    meter.udp(3100, BACK);
    let counters = *meter.cache.counters();
    assert_eq!((counters.packets, counters.duplicate_packets), (4, 3));
    // After a silence of its owner the direction may move.
    meter.seen = on(3, true);
    meter.udp(9000, FORTH);
    assert_eq!(meter.cache.counters().packets, 5);
    let records = meter.finish();
    let interfaces: Vec<_> = records.iter().map(|r| r.interfaces.unwrap()).collect();
    let said = |i: &Interfaces| (i.ingress_interface, i.egress_interface, i.flow_direction);
    assert_eq!(said(&interfaces[0]), (0, 3, Some(1)));
    assert_eq!(said(&interfaces[1]), (3, 0, Some(0)));
}

#[test]
fn traffic_that_moves_to_another_interface_is_counted_there_on() {
    let mut meter = Meter::new(cache_settings());
    let on = |interface| ObservationPoint {
        interface,
        egress: false,
        mtu: 1500,
    };
    meter.seen = on(2);
    meter.udp(0, FORTH);
    // Silent for longer than the ownership lasts, shorter than the idle timeout: the same record
    // goes on.
    meter.seen = on(3);
    for ms in 0..100 {
        meter.udp(6000 + ms, FORTH);
        meter.seen = on(2);
        meter.udp(6000 + ms, FORTH);
        meter.seen = on(3);
    }
    let counters = *meter.cache.counters();
    assert_eq!((counters.packets, counters.duplicate_packets), (101, 100));
    let records = meter.finish();
    assert_eq!(records[0].interfaces.unwrap().ingress_interface, 3);
}

#[test]
fn an_idle_conversation_is_reported_at_most_a_second_late() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(0, FORTH);
    meter.udp(900, BACK);
    meter.tick(15_000);
    assert_eq!(meter.take(), []);
    meter.tick(16_000);
    assert_eq!(
        meter.take(),
        [
            (40000, 1, IdleTimeout, Initiator, 1, 0),
            (80, 1, IdleTimeout, ReverseInitiator, 0, 0),
        ]
    );
}

#[test]
fn one_packet_with_a_wrong_time_ends_nothing() {
    let mut meter = Meter::new(cache_settings());
    let wrong = [0, 4_102_444_800_000, u64::MAX / 1_000_000];
    for second in 0..40 {
        let ms = 1_700_000_000_000 + second * 1000;
        meter.udp(ms, FORTH);
        meter.udp(wrong[usize::try_from(second).unwrap() % 3], BACK);
    }
    assert_eq!(meter.take(), []);
    // Timeouts go on.
    meter.tick(1_700_000_060_000);
    assert_eq!(
        meter.take(),
        [
            (40000, 40, IdleTimeout, Initiator, 1, 39),
            (80, 40, IdleTimeout, ReverseInitiator, 0, 0),
        ]
    );
}

#[test]
fn segments_merged_by_offloads_are_counted_and_octets_stay() {
    let big = |mss: Option<u16>, mtu: u32, correct: bool| {
        let mut meter = Meter::new(CacheSettings {
            packet_correction: correct,
            ..cache_settings()
        });
        meter.seen.mtu = mtu;
        if let Some(mss) = mss {
            let answer = tcp_syn((80, 40000), (9000, 101), SYN | ACK, mss);
            meter.packet(0, BACK, 6, &answer);
        }
        meter.packet(1, FORTH, 6, &tcp(PORTS, (1, 1), ACK, &[0; 14_000]));
        let record = meter
            .finish()
            .into_iter()
            .find(|r| r.key.source_port == 40000)
            .unwrap();
        assert_eq!(record.octet_delta_count, 14_040);
        record.packet_delta_count
    };
    assert_eq!(big(Some(1400), 0, true), 10);
    assert_eq!(big(Some(1000), 1500, true), 14);
    assert_eq!(big(Some(9000), 1500, true), 10); // 1460 by the MTU
    assert_eq!(big(Some(1), 1500, true), 292); // 48, as nobody sends less
    assert_eq!(big(None, 9000, true), 2);
    assert_eq!(big(None, 0, true), 10);
    assert_eq!(big(None, 0, false), 1);
}

#[test]
fn time_that_jumps_does_not_break_conversations_up() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(1_000_000, FORTH);
    meter.udp(1, FORTH);
    meter.udp(500, FORTH);
    meter.udp(1_000, BACK);
    let records = meter.finish();
    assert_eq!(
        records
            .iter()
            .map(|r| r.packet_delta_count)
            .collect::<Vec<_>>(),
        [3, 1]
    );
}

/// Packets of few ends, so that they meet in every way.
fn traffic() -> impl Strategy<Value = Vec<(u64, bool, u8, u8, u8, u32)>> {
    let packet = (
        0..4000_u64,
        any::<bool>(),
        0..3_u8,
        prop::sample::select(vec![SYN, SYN | ACK, ACK, FIN | ACK, RST]),
        0..2_u8,
        0..3_u32,
    );
    prop::collection::vec(packet, 0..200)
}

fn replay(traffic: &[(u64, bool, u8, u8, u8, u32)], max: u32) -> (Vec<FlowRecord>, u64, u64) {
    let mut meter = Meter::new(CacheSettings {
        max_conversations: max,
        ..cache_settings()
    });
    let mut now = 0;
    for (step, forth, port, flags, interface, sequence) in traffic {
        now += step;
        let (a, b) = (40_000 + u16::from(*port), 80);
        let ports = if *forth { (a, b) } else { (b, a) };
        meter.seen.interface = u32::from(*interface) + 1;
        meter.packet(
            now,
            *forth,
            6,
            &tcp(ports, (*sequence, 0), *flags, &[0; 10]),
        );
    }
    let seen = meter.cache.counters().duplicate_packets;
    let metered = meter.cache.counters().packets;
    (meter.finish(), metered, seen)
}

proptest! {
    #[test]
    fn every_packet_is_in_a_record_or_a_duplicate(traffic in traffic(), max in 1..5_u32) {
        let (records, metered, seen_again) = replay(&traffic, max);
        let packets: u64 = records.iter().map(|r| r.packet_delta_count).sum();
        let octets: u64 = records.iter().map(|r| r.octet_delta_count).sum();
        prop_assert_eq!(packets, metered);
        prop_assert_eq!(octets, 50 * metered);
        prop_assert_eq!(usize::try_from(metered + seen_again).unwrap(), traffic.len());
    }

    #[test]
    fn packets_out_of_order_give_the_same_sums(
        times in prop::collection::vec(0..100_000_u64, 1..200),
        orders in prop::collection::vec(any::<u32>(), 200),
    ) {
        // Datagrams of three flows; the second time shuffled.
        let sums = |shuffled: bool| {
            let mut packets: Vec<_> = times.iter().zip(&orders).enumerate().collect();
            packets.sort_by_key(|(at, (time, order))| {
                if shuffled { (u64::from(**order), *at) } else { (**time, *at) }
            });
            let mut meter = Meter::new(cache_settings());
            for (at, (time, _)) in packets {
                let port = 1 + u16::try_from(at % 3).unwrap();
                meter.ip(*time, &ipv4(17, CLIENT, SERVER, &udp(port, 53, &vec![0; at])));
            }
            let mut sums = std::collections::BTreeMap::new();
            for record in meter.finish() {
                let sum = sums.entry(record.key.source_port).or_insert((0, 0, u64::MAX, 0));
                sum.0 += record.octet_delta_count;
                sum.1 += record.packet_delta_count;
                sum.2 = record.flow_start_milliseconds.min(sum.2);
                sum.3 = record.flow_end_milliseconds.max(sum.3);
            }
            sums
        };
        prop_assert_eq!(sums(false), sums(true));
    }

    #[test]
    fn the_same_packets_give_the_same_records_in_the_same_order(traffic in traffic()) {
        let (once, again) = (replay(&traffic, 2).0, replay(&traffic, 2).0);
        prop_assert_eq!(once, again);
    }
}

#[test]
fn a_biflow_tells_both_directions_in_the_record_of_who_began() {
    let mut meter = Meter::new(CacheSettings {
        biflow: true,
        ..cache_settings()
    });
    meter.handshake(1000, 100);
    meter.close(2000);
    meter.tick(20_000);
    let records: Vec<FlowRecord> = meter.records.0.drain(..).collect();
    let [record] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(record.biflow_direction, Some(Initiator));
    assert_eq!(record.new_connection_delta_count, Some(1));
    assert_eq!(
        (record.packet_delta_count, record.reverse_packet_delta_count),
        (4, 2)
    );
    assert_eq!(record.flow_start_milliseconds, 1000);
    assert_eq!(
        (
            record.reverse_flow_start_milliseconds,
            record.reverse_flow_end_milliseconds
        ),
        (1001, 2001)
    );
    assert_eq!(record.reverse_tcp_control_bits, u16::from(SYN | ACK | FIN));
    let counted = meter.cache.counters();
    assert_eq!((counted.packets, counted.record_packets), (6, 6));
    assert_eq!(counted.records.iter().sum::<u64>(), 1);
    // Only one direction has anything to tell: a record like any other.
    meter.udp(30_000, BACK);
    meter.tick(60_000);
    assert!(!meter.records.0[0].is_biflow());
}

#[test]
fn of_a_sample_every_nth_packet_is_metered_and_every_record_says_so() {
    let ratio: SamplingRatio = "1:4".parse().unwrap();
    let mut pipeline = Pipeline::new(cache_settings(), 16.try_into().unwrap(), ratio);
    let mut records = Records::default();
    let datagram = ethernet(0x0800, &ipv4(17, CLIENT, SERVER, &udp(1, 53, b"data")));
    for n in 0..10 {
        let frame = frame(&datagram, SECOND + n);
        pipeline.frame(&frame, ObservationPoint::default(), &mut records);
    }
    pipeline.finish(&mut records);
    let counters = pipeline.counters();
    assert_eq!((counters.frames, counters.not_selected), (10, 7));
    let [record] = &records.0[..] else {
        panic!("{:?}", records.0);
    };
    assert_eq!(record.packet_delta_count, 3);
    assert_eq!(record.sampling, Sampling::one_in(4));
    // Whether packets before it were left out, nobody knows: no connection, and nobody began it.
    assert_eq!(
        (record.biflow_direction, record.new_connection_delta_count),
        (Some(Arbitrary), Some(0))
    );
}
