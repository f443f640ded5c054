//! Packets that are metered in groups make the same records as packets that are metered one by one.
#![allow(clippy::unwrap_used, reason = "test code")]

mod packets;

use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::ObservationPoint;
use kipfix_probe::pipeline::Pipeline;
use packets::*;
use proptest::prelude::*;

/// A frame and the time since the one before, milliseconds.
fn steps() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
    let milliseconds = prop_oneof![
        9 => 0..3_u64,
        1 => Just(2_000),
        1 => Just(20_000),
        1 => Just(90_000),
    ];
    let step = (0..12_u8, 0..10_u8, any::<bool>(), milliseconds);
    let frame = |(host, kind, forward, milliseconds)| (frame_of(host, kind, forward), milliseconds);
    proptest::collection::vec(step.prop_map(frame), 1..400)
}

/// One of a few frames of one of a few conversations, so that conversations end, begin again and
/// are evicted within a group.
fn frame_of(host: u8, kind: u8, forward: bool) -> Vec<u8> {
    let (client, server) = ([10, 0, 0, host], [10, 1, 0, 1]);
    let (source, destination, ports) = if forward {
        (client, server, (40_000, 80))
    } else {
        (server, client, (80, 40_000))
    };
    let sequence = u32::from(kind) * 1000;
    let packet = match kind {
        0 | 1 => ipv4(
            6,
            source,
            destination,
            &tcp_syn(ports, (sequence, 0), SYN, 1460),
        ),
        2 => ipv4(6, source, destination, &tcp(ports, (7, 7), ACK, b"data")),
        3 => ipv4(6, source, destination, &tcp(ports, (7, 7), FIN | ACK, &[])),
        4 => ipv4(6, source, destination, &tcp(ports, (7, 0), RST, &[])),
        5 => return ethernet(0x0806, &[0; 28]),
        6 => {
            let inner = ipv4(17, source, destination, &udp(ports.0, ports.1, b"name"));
            let carried = vxlan(u32::from(host & 1), &ethernet(0x0800, &inner));
            ipv4(17, [192, 0, 2, 1], [192, 0, 2, 2], &udp(5, 4789, &carried))
        }
        _ => ipv4(17, source, destination, &udp(ports.0, ports.1, b"name")),
    };
    ethernet(0x0800, &packet)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn groups_of_packets_make_the_same_records(steps in steps(), rest in 1..100_usize) {
        let settings = CacheSettings { max_conversations: 8, ..cache_settings() };
        let pipeline = || Pipeline::new(pipeline_settings(settings));
        let (mut single, mut grouped) = (pipeline(), pipeline());
        let (mut expected, mut records) = (Records::default(), Records::default());
        let mut time_ns = 1_700_000_000 * SECOND;
        for (number, (captured, milliseconds)) in steps.iter().enumerate() {
            time_ns += milliseconds * 1_000_000;
            let frame = frame(captured, time_ns);
            single.frame(&frame, ObservationPoint::default(), &mut expected);
            grouped.enqueue(&frame, ObservationPoint::default(), &mut records);
            if number % rest == 0 {
                grouped.flush(&mut records);
                prop_assert_eq!(grouped.counters(), single.counters());
            }
        }
        single.finish(&mut expected);
        grouped.finish(&mut records);
        prop_assert_eq!(grouped.counters(), single.counters());
        prop_assert_eq!(records.0, expected.0);
    }
}
