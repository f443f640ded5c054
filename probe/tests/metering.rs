//! Packets in, flow records out: timeouts, ends, bounds, and sums.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::FlowRecord;
use flowproto::record::BiflowDirection::{Initiator, ReverseInitiator};
use flowproto::record::FlowEndReason::{
    ActiveTimeout, EndOfFlowDetected, ForcedEnd, IdleTimeout, LackOfResources,
};
use flowproto::record::{BiflowDirection, Sampling};
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::pipeline::Pipeline;
use packets::meter::*;
use packets::*;
use proptest::prelude::*;

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
    let forward = &records[0];
    assert_eq!(forward.octet_delta_count, 4 * 40);
    assert_eq!(
        (
            forward.flow_start_milliseconds,
            forward.flow_end_milliseconds
        ),
        (BASE + 1000, BASE + 2002)
    );
    assert_eq!(forward.tcp_control_bits, u16::from(SYN | ACK | FIN));
    assert_eq!(forward.ip_class_of_service, 0xb8);
}

#[test]
fn records_have_interfaces_only_if_the_capture_is_one_of_this_node() {
    for has_interfaces in [true, false] {
        let mut meter = Meter::new(CacheSettings {
            has_interfaces,
            ..cache_settings()
        });
        meter.point = ObservationPoint {
            interface: 3,
            egress: true,
            ..ObservationPoint::default()
        };
        meter.udp(0, FORWARD);
        let interfaces = meter.finish()[0].interfaces;
        let seen = interfaces.map(|i| (i.ingress_interface, i.egress_interface, i.flow_direction));
        assert_eq!(seen, has_interfaces.then_some((0, 3, Some(1))));
    }
}

#[test]
fn a_long_connection_is_counted_once_in_its_life() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    for second in 1..=130 {
        meter.tcp(second * 1000, FORWARD, 500, ACK);
    }
    assert_eq!(
        meter.take(),
        [
            (40000, 61, ActiveTimeout, Initiator, 1, 0),
            (80, 1, ActiveTimeout, ReverseInitiator, 0, 0),
            (40000, 60, ActiveTimeout, Initiator, 0, 0),
        ]
    );
}

#[test]
fn a_quiet_connection_continues_without_being_counted_again() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tick(16_000);
    assert_eq!(meter.take().len(), 2);
    assert_eq!((meter.cache.conversations(), meter.cache.dormant()), (0, 1));
    meter.tcp(600_000, REVERSE, 9001, ACK);
    meter.tcp(600_001, FORWARD, 101, ACK);
    meter.tick(620_000);
    assert_eq!(
        meter.take(),
        [
            (40000, 1, IdleTimeout, Initiator, 0, 600),
            (80, 1, IdleTimeout, ReverseInitiator, 0, 0),
        ]
    );
}

#[test]
fn a_connection_past_the_connection_timeout_is_removed() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tick(16_000);
    meter.take();
    meter.tick(3_601_000);
    assert_eq!(meter.cache.dormant(), 0);
    meter.tcp(3_602_000, FORWARD, 101, ACK);
    assert_eq!(meter.cache.counters().conversations_start_not_observed, 1);
}

#[test]
fn idle_does_not_depend_on_when_the_lists_are_checked() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(0, FORWARD);
    meter.udp(15_000, FORWARD);
    assert_eq!(meter.take(), [(40000, 1, IdleTimeout, Initiator, 1, 0)]);
    meter.udp(29_999, FORWARD);
    assert_eq!(meter.take(), []);
}

#[test]
fn an_idle_conversation_is_reported_at_most_a_second_late() {
    let mut meter = Meter::new(cache_settings());
    meter.udp(0, FORWARD);
    meter.udp(900, REVERSE);
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
fn a_retransmitted_syn_is_one_connection_and_a_new_one_another() {
    let mut meter = Meter::new(cache_settings());
    meter.tcp(0, FORWARD, 100, SYN);
    meter.tcp(1000, FORWARD, 100, SYN);
    assert_eq!(meter.take(), []);
    meter.tcp(2000, FORWARD, 200, SYN);
    assert_eq!(
        meter.take(),
        [(40000, 2, EndOfFlowDetected, Initiator, 1, 1)]
    );
    let records = meter.finish();
    assert_eq!(summary(&records[0]), (40000, 1, ForcedEnd, Initiator, 1, 0));
}

#[test]
fn ports_reused_right_after_the_end_begin_another_conversation() {
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
fn packets_after_the_end_belong_to_the_connection() {
    let mut meter = Meter::new(cache_settings());
    meter.handshake(0, 100);
    meter.tcp(100, REVERSE, 9001, RST);
    meter.tcp(4000, FORWARD, 101, ACK);
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
fn a_full_cache_reports_the_least_recently_used_conversation_early() {
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
    // A dormant one has nothing to report and is evicted first.
    meter.tick(30_000);
    assert_eq!(meter.take().len(), 2);
    meter.ip(30_000, &from(4));
    assert_eq!(meter.take(), []);
    assert_eq!(meter.cache.counters().dormant_evicted, 1);
}

#[test]
fn segments_merged_by_offloads_are_counted_and_octets_do_not_change() {
    let merged = |mss: Option<u16>, mtu: u32, correct: bool| {
        let mut meter = Meter::new(CacheSettings {
            packet_correction: correct,
            ..cache_settings()
        });
        meter.point.mtu = mtu;
        if let Some(mss) = mss {
            let answer = tcp_syn((80, 40000), (9000, 101), SYN | ACK, mss);
            meter.packet(0, REVERSE, 6, &answer);
        }
        meter.packet(1, FORWARD, 6, &tcp(PORTS, (1, 1), ACK, &[0; 14_000]));
        let record = meter
            .finish()
            .into_iter()
            .find(|r| r.key.source_port == 40000)
            .unwrap();
        assert_eq!(record.octet_delta_count, 14_040);
        record.packet_delta_count
    };
    assert_eq!(merged(Some(1400), 0, true), 10);
    assert_eq!(merged(Some(1000), 1500, true), 14);
    assert_eq!(merged(Some(9000), 1500, true), 10); // 1460 by the MTU
    assert_eq!(merged(Some(1), 1500, true), 292); // 48, the minimum
    assert_eq!(merged(None, 9000, true), 2);
    assert_eq!(merged(None, 0, true), 10);
    assert_eq!(merged(None, 0, false), 1);
}

#[test]
fn datagrams_and_other_packets_that_offloads_can_merge_are_several_beyond_the_mtu() {
    let counted = |protocol: u8, transport: &[u8], mtu: u32| {
        let mut meter = Meter::new(cache_settings());
        meter.point.mtu = mtu;
        meter.packet(0, FORWARD, protocol, transport);
        let record = meter.finish().remove(0);
        assert_eq!(
            record.octet_delta_count,
            20 + u64::try_from(transport.len()).unwrap()
        );
        record.packet_delta_count
    };
    let datagram = udp(443, 50_000, &[0; 12_000]);
    assert_eq!(counted(17, &datagram, 1500), 9); // 1472 octets each
    assert_eq!(counted(17, &datagram, 9000), 2);
    assert_eq!(counted(17, &datagram, 0), 9);
    assert_eq!(counted(17, &udp(443, 50_000, &[0; 1472]), 1500), 1);
    assert_eq!(counted(17, &udp(443, 50_000, &[0; 1473]), 1500), 2);
    let sctp = [&[0, 80, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 3][..], &[0; 4398]].concat();
    assert_eq!(counted(132, &sctp, 1500), 3); // 1468 octets each
    assert_eq!(counted(50, &[0; 4440], 1500), 3); // ESP: 1480 octets each
    // No offload merges ICMP or OSPF messages.
    assert_eq!(counted(1, &[8; 4440], 1500), 1);
    assert_eq!(counted(89, &[8; 4440], 1500), 1);
}

#[test]
fn the_encapsulation_of_a_tunnel_takes_room_in_every_segment() {
    let mut meter = Meter::new(cache_settings());
    let inner = ipv4(17, CLIENT, SERVER, &udp(443, 50_000, &[0; 12_000]));
    let carried = vxlan(7, &ethernet(0x0800, &inner));
    let outer = ipv4(17, [192, 0, 2, 1], [192, 0, 2, 2], &udp(5, 4789, &carried));
    meter.ip(0, &outer);
    // 1500 less 50 of the encapsulation and 28 of the inner headers.
    assert_eq!(meter.finish()[0].packet_delta_count, 9);
}

#[test]
fn a_hostile_encapsulation_does_not_multiply_packets() {
    let mut meter = Meter::new(cache_settings());
    // Hop-by-hop options of 1408 octets leave almost no room for a payload in 1500.
    let mut payload = vec![17, 175];
    payload.resize(1408, 0);
    payload.extend(udp(1, 2, &[0; 4800]));
    meter.frame(
        0,
        &ethernet(0x86dd, &ipv6(0, "fd00::1", "fd00::2", &payload)),
    );
    assert_eq!(meter.finish()[0].packet_delta_count, 100); // 48 octets each
}

#[test]
fn a_biflow_has_both_directions_in_the_record_of_the_initiator() {
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
    assert_eq!(record.connection_sum_duration_milliseconds, 1002);
    assert_eq!(
        (record.packet_delta_count, record.reverse_packet_delta_count),
        (4, 2)
    );
    assert_eq!(record.flow_start_milliseconds, BASE + 1000);
    assert_eq!(
        (
            record.reverse_flow_start_milliseconds,
            record.reverse_flow_end_milliseconds
        ),
        (BASE + 1001, BASE + 2001)
    );
    assert_eq!(record.reverse_tcp_control_bits, u16::from(SYN | ACK | FIN));
    let counted = meter.cache.counters();
    assert_eq!((counted.packets, counted.record_packets), (6, 6));
    assert_eq!(counted.records.values().sum::<u64>(), 1);
    // If one direction has packets, its record is a uniflow.
    meter.udp(30_000, REVERSE);
    meter.tick(60_000);
    assert!(!meter.records.0[0].is_biflow());
}

#[test]
fn in_a_sample_every_nth_packet_is_metered_and_every_record_has_the_ratio() {
    let mut pipeline = Pipeline::new(pipeline_settings(CacheSettings {
        sampling: "1:4".parse().unwrap(),
        ..cache_settings()
    }));
    let mut records = Records::default();
    let datagram = ethernet(0x0800, &ipv4(17, CLIENT, SERVER, &udp(1, 53, b"data")));
    pipeline.tick(SECOND, &mut records);
    for n in 0..10 {
        let frame = frame(&datagram, 100 * SECOND + n);
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
    // Earlier packets may not have been selected, so the initiator is unknown.
    assert_eq!(
        (record.biflow_direction, record.new_connection_delta_count),
        (Some(BiflowDirection::Arbitrary), Some(0))
    );
}

/// Packets of few ends, so that they interact in every way.
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

fn replay(traffic: &[(u64, bool, u8, u8, u8, u32)], max: u32) -> (Vec<FlowRecord>, u64) {
    let mut meter = Meter::new(CacheSettings {
        max_conversations: max,
        ..cache_settings()
    });
    let mut now = 0;
    for (step, forward, port, flags, interface, sequence) in traffic {
        now += step;
        let (a, b) = (40_000 + u16::from(*port), 80);
        let ports = if *forward { (a, b) } else { (b, a) };
        meter.point.interface = u32::from(*interface) + 1;
        let segment = tcp(ports, (*sequence, 0), *flags, &[0; 10]);
        meter.packet(now, *forward, 6, &segment);
    }
    let metered = meter.cache.counters().packets;
    (meter.finish(), metered)
}

proptest! {
    #[test]
    fn every_packet_is_in_one_record(traffic in traffic(), max in 1..5_u32) {
        let (records, metered) = replay(&traffic, max);
        let packets: u64 = records.iter().map(|r| r.packet_delta_count).sum();
        let octets: u64 = records.iter().map(|r| r.octet_delta_count).sum();
        prop_assert_eq!(packets, metered);
        prop_assert_eq!(octets, 50 * metered);
        prop_assert_eq!(usize::try_from(metered).unwrap(), traffic.len());
    }

    #[test]
    fn packets_slightly_out_of_order_give_the_same_sums(
        times in prop::collection::vec(0..10_000_u64, 1..200),
        orders in prop::collection::vec(any::<u32>(), 200),
    ) {
        // Datagrams of three flows, in order and shuffled.
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
        let (first, second) = (replay(&traffic, 2).0, replay(&traffic, 2).0);
        prop_assert_eq!(first, second);
    }
}
