use flowproto::tcp::TcpHealth;

use super::losses::LossStore;
use super::segment::Segment;
use super::*;

const ACK: u16 = 0x10;
const SYN: u16 = 0x02;
const FIN: u16 = 0x01;
const MILLISECOND: u64 = 1_000_000;

/// A connection whose low side is the client, with 10 ms to the server and 2 ms to the client.
#[derive(Default)]
struct Run {
    state: TcpState,
    store: LossStore,
    now: u64,
}

impl Run {
    fn established(client: u32, server: u32) -> Self {
        let mut run = Self::default();
        run.at(1).send(Side::Low, SYN, client, 0, 0);
        run.at(11)
            .send(Side::High, SYN | ACK, server, client.wrapping_add(1), 0);
        run.at(13).send(
            Side::Low,
            ACK,
            client.wrapping_add(1),
            server.wrapping_add(1),
            0,
        );
        run
    }

    fn at(&mut self, milliseconds: u64) -> &mut Self {
        self.now = milliseconds * MILLISECOND;
        self
    }

    fn send(&mut self, side: Side, bits: u16, seq: u32, ack: u32, octets: u32) -> &mut Self {
        let segment = Segment {
            time_ns: self.now,
            sequence_number: seq,
            acknowledgment_number: ack,
            payload_octets: octets,
            packets: octets.div_ceil(1000).max(1),
            control_bits: bits,
            window: 500,
            ..Segment::default()
        };
        self.state.track(&segment, side, &mut self.store);
        self
    }

    fn data(&mut self, seq: u32, octets: u32) -> &mut Self {
        self.send(Side::Low, ACK, seq, 1, octets)
    }

    fn acknowledge(&mut self, number: u32) -> &mut Self {
        self.send(Side::High, ACK, 1, number, 0)
    }

    fn health(&mut self, side: Side) -> TcpHealth {
        self.state.losses_mut(&mut self.store).take(side)
    }
}

#[test]
fn the_handshake_has_the_round_trips_to_both_ends() {
    let mut run = Run::established(100, 900);
    let handshake = run.state.take_handshake(Side::Low);
    let times = (handshake.client_microseconds, handshake.server_microseconds);
    assert_eq!(times, (2000, 10_000));
    assert_eq!(run.state.take_handshake(Side::Low), Handshake::default());
    assert!(run.store.is_empty());
}

#[test]
fn a_simultaneous_open_is_not_a_retransmission_until_it_is_repeated() {
    let mut run = Run::default();
    run.at(1).send(Side::Low, SYN, 100, 0, 0);
    run.at(2).send(Side::High, SYN, 900, 0, 0);
    run.at(11).send(Side::Low, SYN | ACK, 100, 901, 0);
    run.at(12).send(Side::High, SYN | ACK, 900, 101, 0);
    for side in [Side::Low, Side::High] {
        assert_eq!(run.health(side).retransmitted_packets, 0);
    }
    run.at(900).send(Side::High, SYN | ACK, 900, 101, 0);
    let health = run.health(Side::High);
    assert_eq!(health.syn_retransmitted_packets, 1);
}

#[test]
fn a_repeated_syn_is_a_retransmission_and_no_round_trip() {
    let mut run = Run::default();
    run.at(1).send(Side::Low, SYN, 100, 0, 0);
    run.at(1001).send(Side::Low, SYN, 100, 0, 0);
    run.at(1011).send(Side::High, SYN | ACK, 900, 101, 0);
    assert_eq!(run.state.take_handshake(Side::Low), Handshake::default());
    let health = run.health(Side::Low);
    assert_eq!(health.syn_retransmitted_packets, 1);
    assert_eq!(
        (health.retransmitted_packets, health.retransmitted_octets),
        (1, 0)
    );
}

#[test]
fn octets_seen_before_are_retransmissions_over_the_wrap_too() {
    let isn = u32::MAX - 1500;
    let mut run = Run::established(isn, 0);
    let start = isn.wrapping_add(1);
    run.at(20)
        .data(start, 1000)
        .data(start.wrapping_add(1000), 1000);
    run.at(300).data(start.wrapping_add(1000), 1000);
    let health = run.health(Side::Low);
    assert_eq!(
        (health.retransmitted_packets, health.retransmitted_octets),
        (1, 1000)
    );
    assert_eq!(health.timeout_retransmitted_packets, 1);
    assert_eq!(health.out_of_order_packets, 0);
}

#[test]
fn a_gap_filled_within_a_round_trip_is_reordering_and_later_a_retransmission() {
    let mut run = Run::established(0, 0);
    run.at(20).data(1, 1000).data(2001, 1000);
    run.at(25).data(1001, 1000);
    run.at(26).data(4001, 1000);
    for _ in 0..3 {
        run.at(37).acknowledge(3001);
    }
    run.at(40).data(3001, 1000);
    let health = run.health(Side::Low);
    assert_eq!(health.out_of_order_packets, 1);
    assert_eq!(
        (health.retransmitted_packets, health.retransmitted_octets),
        (1, 1000)
    );
    // Two of them are duplicates: not enough for a fast retransmission.
    assert_eq!(run.health(Side::High).duplicate_acknowledgments, 2);
}

#[test]
fn a_fast_retransmission_does_not_count_as_a_timeout() {
    let mut run = Run::established(0, 0);
    run.at(20).data(1, 5000);
    for _ in 0..4 {
        run.at(30).acknowledge(1001);
    }
    run.at(32).data(1001, 1000);
    let health = run.health(Side::Low);
    assert_eq!(health.retransmitted_packets, 1);
    assert_eq!(health.timeout_retransmitted_packets, 0);
}

#[test]
fn keep_alives_and_zero_window_probes_do_not_count_as_retransmissions() {
    let mut run = Run::established(0, 0);
    run.at(20).data(1, 1000);
    run.at(30).acknowledge(1001);
    // Keep-alive with the octet before, twice.
    run.at(60_000).data(1000, 1);
    run.at(120_000).data(1000, 1);
    // The window closes, and new octets are probes.
    let closed = Segment {
        time_ns: run.now,
        acknowledgment_number: 1001,
        sequence_number: 1,
        packets: 1,
        control_bits: ACK,
        ..Segment::default()
    };
    run.state.track(&closed, Side::High, &mut run.store);
    run.at(120_500).data(1001, 1);
    run.at(121_500).data(1001, 1);
    run.at(122_000).acknowledge(1001);
    run.at(122_001).data(1001, 1000);
    assert_eq!(run.health(Side::Low), TcpHealth::default());
    assert_eq!(run.health(Side::High).zero_window_packets, 1);
}

#[test]
fn keep_alives_do_not_count_if_only_their_direction_is_observed() {
    let mut run = Run::default();
    run.at(1).data(1, 700).at(1000).data(700, 1).at(2000);
    run.data(700, 1);
    assert_eq!(run.health(Side::Low), TcpHealth::default());
    // The capture begins with one of them.
    let mut run = Run::default();
    run.at(1).data(700, 1).at(1000).data(700, 1);
    assert_eq!(run.health(Side::Low), TcpHealth::default());
}

#[test]
fn no_more_retransmissions_are_spurious_than_there_were() {
    let mut run = Run::established(0, 0);
    run.at(20).data(1, 1000).at(300).data(1, 1000);
    let mut report = Segment {
        acknowledgment_number: 1001,
        sequence_number: 1,
        packets: 1,
        control_bits: ACK,
        window: 500,
        ..Segment::default()
    };
    report.options.sack(1001, [[1, 1001]].into_iter());
    for _ in 0..3 {
        run.state.track(&report, Side::High, &mut run.store);
    }
    let health = run.health(Side::Low);
    assert_eq!(health.retransmitted_packets, 1);
    assert_eq!(health.spurious_retransmitted_packets, 1);
}

#[test]
fn merged_segments_count_as_the_segments_that_were_sent_again() {
    let mut run = Run::established(0, 0);
    run.at(20).data(1, 60_000);
    // Half of it was sent before.
    run.at(300).data(50_001, 20_000);
    let health = run.health(Side::Low);
    assert_eq!(
        (health.retransmitted_packets, health.retransmitted_octets),
        (10, 10_000)
    );
}

#[test]
fn a_repeated_fin_has_no_octets() {
    let mut run = Run::established(0, 0);
    run.at(20).send(Side::Low, FIN | ACK, 1, 1, 0);
    run.at(300).send(Side::Low, FIN | ACK, 1, 1, 0);
    let health = run.health(Side::Low);
    assert_eq!(
        (health.retransmitted_packets, health.retransmitted_octets),
        (1, 0)
    );
}

#[test]
fn octets_before_the_first_packet_of_the_capture_are_not_judged() {
    let mut run = Run::default();
    run.at(1).data(5001, 1000);
    run.at(500).data(4001, 1000);
    assert_eq!(run.health(Side::Low), TcpHealth::default());
    run.at(900).data(5001, 1000);
    assert_eq!(run.health(Side::Low).retransmitted_packets, 1);
}

#[test]
fn round_trips_are_measured_up_to_the_first_acknowledgment() {
    let mut run = Run::established(0, 0);
    run.at(20).data(1, 3000);
    run.at(31).acknowledge(1001);
    run.at(32).acknowledge(3001);
    run.at(40).data(3001, 100);
    run.at(49).acknowledge(3101);
    let times = run.state.take_round_trip(Side::Low);
    assert_eq!(
        (
            times.samples,
            times.sum_microseconds,
            times.minimum_microseconds
        ),
        (2, 20_000, 9000)
    );
    assert_eq!(run.state.take_round_trip(Side::Low).samples, 0);
}

#[test]
fn a_slot_of_losses_is_used_again() {
    let mut store = LossStore::default();
    for _ in 0..3 {
        let mut run = Run {
            store: std::mem::take(&mut store),
            ..Run::default()
        };
        run.data(1, 10).data(1, 10);
        assert_eq!(run.health(Side::Low).retransmitted_packets, 1);
        assert_eq!(run.store.len(), 1);
        run.state.losses_mut(&mut run.store).free();
        assert!(run.store.is_empty());
        store = run.store;
    }
}
