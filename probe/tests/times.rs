//! Packets with wrong times: no record is stretched, no conversation is broken up.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::record::BiflowDirection::{Initiator, ReverseInitiator};
use flowproto::record::FlowEndReason::IdleTimeout;
use packets::meter::*;
use packets::*;

const MS: u64 = 1_000_000;
const DAY: u64 = 86_400_000;

/// Meters datagrams at times since the epoch, milliseconds. Returns start, end and packets of each
/// record, and checks that none is lost.
fn spans(times: &[u64]) -> Vec<(u64, u64, u64)> {
    let mut meter = Meter::just_started(cache_settings());
    let packet = ethernet(0x0800, &ipv4(17, CLIENT, SERVER, &datagram(FORWARD)));
    for time in times {
        meter.frame_at(time * MS, &packet);
    }
    let records = meter.finish();
    let packets: u64 = records.iter().map(|r| r.packet_delta_count).sum();
    assert_eq!(usize::try_from(packets).unwrap(), times.len());
    records
        .iter()
        .map(|r| {
            let (start, end) = (r.flow_start_milliseconds, r.flow_end_milliseconds);
            (start, end, r.packet_delta_count)
        })
        .collect()
}

#[test]
fn one_wrong_time_is_in_no_record() {
    for wrong in [0, 1, BASE - 90 * DAY, BASE + 400 * DAY, u64::MAX / MS] {
        let times: Vec<u64> = (0..20)
            .map(|n| if n == 7 { wrong } else { BASE + n * 1000 })
            .collect();
        assert_eq!(spans(&times), [(BASE, BASE + 19_000, 20)], "{wrong}");
    }
}

#[test]
fn a_wrong_time_of_the_first_packet_is_corrected() {
    for wrong in [0, BASE - 90 * DAY] {
        let times: Vec<u64> = (0..40)
            .map(|n| if n == 0 { wrong } else { BASE + n * 1000 })
            .collect();
        let spans = spans(&times);
        let longest = spans.iter().map(|(start, end, _)| end - start).max();
        assert!(longest.unwrap() <= 61_000, "{spans:?}");
        let last = spans.last().unwrap();
        assert_eq!(last.1, BASE + 39_000, "{spans:?}");
    }
}

#[test]
fn packets_that_are_earlier_than_the_first_one_of_the_capture_have_their_own_times() {
    for late in [900, 1_000, 1_100, 5_000, 9_999] {
        let times = [BASE + late, BASE, BASE + 1, BASE + late + 3_000];
        assert_eq!(spans(&times), [(BASE, BASE + late + 3_000, 4)], "{late}");
        assert_eq!(spans(&times[..2]), [(BASE, BASE + late, 2)], "{late}");
    }
}

#[test]
fn a_clock_that_is_set_on_or_back_stretches_no_record() {
    for offset in [365 * DAY, 2 * DAY, 3_600_000] {
        for is_set_on in [true, false] {
            let (before, after) = if is_set_on {
                (BASE, BASE + offset)
            } else {
                (BASE + offset, BASE)
            };
            let times: Vec<u64> = (0..40)
                .map(|n| if n < 20 { before } else { after } + n * 1000)
                .collect();
            let spans = spans(&times);
            for (start, end, _) in &spans {
                assert!(start <= end && end - start <= 61_000, "{offset} {spans:?}");
            }
        }
    }
}

#[test]
fn a_single_packet_ahead_within_a_day_stretches_no_record() {
    for ahead in [20_000, 3_600_000, DAY - 1000] {
        let times: Vec<u64> = (0..40)
            .map(|n| BASE + n * 1000 + if n == 10 { ahead } else { 0 })
            .collect();
        let spans = spans(&times);
        for (start, end, _) in &spans {
            assert!(start <= end && end - start <= 61_000, "{ahead} {spans:?}");
        }
    }
}

#[test]
fn one_packet_with_a_wrong_time_ends_nothing() {
    let mut meter = Meter::new(cache_settings());
    let wrong = [0, 4_102_444_800_000, u64::MAX / MS];
    let reverse = ethernet(0x0800, &ipv4(17, SERVER, CLIENT, &datagram(REVERSE)));
    for second in 0..40 {
        meter.udp(second * 1000, FORWARD);
        meter.frame_at(wrong[usize::try_from(second).unwrap() % 3] * MS, &reverse);
    }
    assert_eq!(meter.take(), []);
    // Timeouts still apply.
    meter.tick(60_000);
    assert_eq!(
        meter.take(),
        [
            (40000, 40, IdleTimeout, Initiator, 1, 39),
            (80, 40, IdleTimeout, ReverseInitiator, 0, 0),
        ]
    );
}

#[test]
fn jumps_of_time_do_not_break_conversations_up() {
    let mut meter = Meter::just_started(cache_settings());
    let forward = ethernet(0x0800, &ipv4(17, CLIENT, SERVER, &datagram(FORWARD)));
    let reverse = ethernet(0x0800, &ipv4(17, SERVER, CLIENT, &datagram(REVERSE)));
    for (ms, packet) in [
        (1_000_000, &forward),
        (1, &forward),
        (500, &forward),
        (1_000, &reverse),
    ] {
        meter.frame_at(ms * MS, packet);
    }
    let records = meter.finish();
    let mut packets: Vec<_> = records.iter().map(|r| r.packet_delta_count).collect();
    packets.sort_unstable();
    assert_eq!(packets, [1, 3]);
}
