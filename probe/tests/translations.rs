//! Connections whose addresses the node translates are attributed to their original endpoints, and
//! are metered once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::record::BiflowDirection::{Initiator, ReverseInitiator};
use flowproto::{Address, FlowRecord};
use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::{CopyDetection, Frame, LinkType, ObservationPoint};
use kipfix_probe::pipeline::{Pipeline, PipelineCounters};
use kipfix_probe::translation::TranslationSource;
use packets::passages::{Ends, Ring, tcp_passages, udp_passages};
use packets::*;
use proptest::prelude::*;

const POD: [u8; 4] = [10, 1, 1, 10];
const OTHER_POD: [u8; 4] = [10, 1, 1, 11];
const NODE: [u8; 4] = [198, 51, 100, 1];
const REMOTE: [u8; 4] = [203, 0, 113, 80];
const SERVICE: [u8; 4] = [10, 96, 0, 10];
const BACKEND: [u8; 4] = [10, 1, 2, 10];

const UPLINK: u32 = 2;
const TUNNEL: u32 = 4;
const BRIDGE: u32 = 5;
const VETH: u32 = 7;

/// Start of the packets. The observation starts 100 s before.
const START: u64 = 1_700_000_000 * SECOND;
const MILLISECOND: u64 = 1_000_000;

/// A node with a pipeline.
struct Node {
    pipeline: Pipeline,
    records: Records,
    now: u64,
    /// Several interfaces are captured.
    copies: CopyDetection,
}

impl Node {
    fn new(translations: TranslationSource) -> Self {
        Self::with(CacheSettings {
            translations,
            ..cache_settings()
        })
    }

    fn with(settings: CacheSettings) -> Self {
        let mut pipeline = Pipeline::new(pipeline_settings(settings));
        let mut records = Records::default();
        pipeline.set_outside(&[UPLINK, TUNNEL]);
        pipeline.tick(START - 100 * SECOND, &mut records);
        Self {
            pipeline,
            records,
            now: START,
            copies: CopyDetection::Off,
        }
    }

    fn point(&self, interface: u32, egress: bool) -> ObservationPoint {
        ObservationPoint {
            interface,
            egress,
            copies: self.copies,
            ..ObservationPoint::default()
        }
    }

    /// A packet that an interface of the node observes, as the capture of first packets has it.
    fn first(&mut self, interface: u32, egress: bool, packet: &[u8]) {
        self.now += 10_000;
        let point = self.point(interface, egress);
        let cooked = [&packet[12..14], &[0; 18], &packet[14..]].concat();
        let frame = Frame {
            link_type: LinkType::LinuxSll2,
            ..frame(&cooked, self.now)
        };
        self.pipeline.first_packet(&frame, point);
    }

    /// A packet that is metered.
    fn meter(&mut self, interface: u32, egress: bool, packet: &[u8]) {
        self.now += 10_000;
        let point = self.point(interface, egress);
        let frame = frame(packet, self.now);
        self.pipeline.frame(&frame, point, &mut self.records);
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds * MILLISECOND;
    }

    fn finish(mut self) -> (Vec<FlowRecord>, PipelineCounters) {
        self.pipeline.finish(&mut self.records);
        let counters = self.pipeline.counters();
        let cache = &counters.cache;
        assert_eq!(
            cache.packets + cache.packets_corrected,
            cache.record_packets + cache.withdrawn_packets
        );
        assert_eq!(cache.octets, cache.record_octets + cache.withdrawn_octets);
        assert_eq!(counters.frames, cache.packets + counters.duplicate_packets);
        (self.records.0, counters)
    }
}

type End = (Address, u16);

/// Source and destination in the Flow Key, then after the translation.
fn ends(record: &FlowRecord) -> [End; 4] {
    let (key, nat) = (&record.key, record.translation.unwrap_or_default());
    [
        (key.source_address, key.source_port),
        (key.destination_address, key.destination_port),
        (nat.post_nat_source_address, nat.post_napt_source_port),
        (
            nat.post_nat_destination_address,
            nat.post_napt_destination_port,
        ),
    ]
}

fn expected(before: Ends, after: Ends) -> [End; 4] {
    [
        (v4(before.0), before.1),
        (v4(before.2), before.3),
        (v4(after.0), after.1),
        (v4(after.2), after.3),
    ]
}

const BEFORE: Ends = Ends(POD, 40000, REMOTE, 443);
const AFTER: Ends = Ends(NODE, 51234, REMOTE, 443);

/// A connection whose packets are metered on the uplink.
fn connection(node: &mut Node, wire: Ends, sequence_number: u32) {
    let reverse = wire.reversed();
    let accept = (9000, sequence_number + 1);
    node.meter(UPLINK, true, &wire.tcp((sequence_number, 0), SYN, &[]));
    node.meter(UPLINK, false, &reverse.tcp(accept, SYN | ACK, &[]));
    node.meter(
        UPLINK,
        true,
        &wire.tcp((sequence_number + 1, 9001), ACK, b"hello"),
    );
}

fn assert_pair(records: &[FlowRecord], before: Ends, after: Ends) {
    // Directions that were metered on different sides are reported in any order.
    let mut records: Vec<_> = records.iter().collect();
    records.sort_by_key(|record| record.biflow_direction.unwrap().octet());
    let found: Vec<_> = records.iter().map(|record| ends(record)).collect();
    let reverse = expected(before.reversed(), after.reversed());
    assert_eq!(found, [expected(before, after), reverse]);
    let directions: Vec<_> = records
        .iter()
        .map(|r| r.biflow_direction.unwrap())
        .collect();
    assert_eq!(directions, [Initiator, ReverseInitiator]);
    assert_eq!(records[0].new_connection_delta_count, Some(1));
}

#[test]
fn a_masqueraded_connection_has_the_pod_in_its_flow_key_and_the_wire_after_it() {
    let mut node = Node::new(TranslationSource::FirstPackets);
    let syn = |ends: Ends| ends.tcp((100, 0), SYN, &[]);
    node.first(VETH, false, &syn(BEFORE));
    node.first(BRIDGE, false, &syn(BEFORE));
    node.first(UPLINK, true, &syn(AFTER));
    connection(&mut node, AFTER, 100);
    let (records, counters) = node.finish();
    assert_pair(&records, BEFORE, AFTER);
    assert_eq!(counters.translations.learned, 1);
}

#[test]
fn a_translation_that_is_learned_after_the_first_packet_was_metered_is_in_the_record() {
    let mut node = Node::new(TranslationSource::FirstPackets);
    connection(&mut node, AFTER, 100);
    for (interface, egress, ends) in [(VETH, false, BEFORE), (UPLINK, true, AFTER)] {
        node.first(interface, egress, &ends.tcp((100, 0), SYN, &[]));
    }
    assert_pair(&node.finish().0, BEFORE, AFTER);
}

#[test]
fn a_connection_to_a_service_has_the_service_in_its_flow_key_and_the_pod_after_it() {
    let before = Ends(POD, 40000, SERVICE, 80);
    let after = Ends(POD, 40000, BACKEND, 8080);
    let mut node = Node::new(TranslationSource::FirstPackets);
    node.first(VETH, false, &before.tcp((7, 0), SYN, &[]));
    // With the filter of bridges, the destination is translated before the bridge.
    node.first(BRIDGE, false, &after.tcp((7, 0), SYN, &[]));
    node.first(UPLINK, true, &after.tcp((7, 0), SYN, &[]));
    connection(&mut node, after, 7);
    assert_pair(&node.finish().0, before, after);
}

#[test]
fn both_ends_may_be_translated_at_different_interfaces() {
    let before = Ends(POD, 40000, SERVICE, 443);
    let between = Ends(POD, 40000, REMOTE, 6443);
    let after = Ends(NODE, 40000, REMOTE, 6443);
    let mut node = Node::new(TranslationSource::FirstPackets);
    for (interface, egress, ends) in [
        (VETH, false, before),
        (BRIDGE, false, between),
        (UPLINK, true, after),
    ] {
        node.first(interface, egress, &ends.tcp((7, 0), SYN, &[]));
    }
    connection(&mut node, after, 7);
    assert_pair(&node.finish().0, before, after);
}

#[test]
fn a_connection_to_a_node_port_names_the_pod_after_translation() {
    let before = Ends(REMOTE, 40000, NODE, 30080);
    for after in [
        Ends(REMOTE, 40000, POD, 8080),
        Ends([10, 1, 1, 1], 61000, POD, 8080),
    ] {
        let mut node = Node::new(TranslationSource::FirstPackets);
        node.first(UPLINK, false, &before.tcp((7, 0), SYN, &[]));
        node.first(BRIDGE, true, &after.tcp((7, 0), SYN, &[]));
        node.first(VETH, true, &after.tcp((7, 0), SYN, &[]));
        connection(&mut node, before, 7);
        assert_pair(&node.finish().0, before, after);
    }
}

#[test]
fn both_legs_of_a_relayed_connection_are_metered_as_they_are() {
    let before = Ends(REMOTE, 40000, NODE, 30080);
    let after = Ends(NODE, 61000, BACKEND, 8080);
    for second in [UPLINK, TUNNEL] {
        let mut node = Node::new(TranslationSource::FirstPackets);
        node.first(UPLINK, false, &before.tcp((7, 0), SYN, &[]));
        node.first(second, true, &after.tcp((7, 0), SYN, &[]));
        connection(&mut node, before, 7);
        connection(&mut node, after, 7);
        let (records, counters) = node.finish();
        assert_eq!(records.len(), 4);
        assert!(records.iter().all(|record| record.translation.is_none()));
        assert_eq!(counters.translations.learned, 0);
    }
}

#[test]
fn a_connection_that_is_captured_on_both_sides_is_metered_once() {
    // Which side is read first, and when the translation is learned, makes no difference.
    for order in 0..6 {
        let mut node = Node::new(TranslationSource::FirstPackets);
        node.copies = CopyDetection::ByInterface;
        let learn = |node: &mut Node| {
            node.first(VETH, false, &BEFORE.tcp((100, 0), SYN, &[]));
            node.first(UPLINK, true, &AFTER.tcp((100, 0), SYN, &[]));
        };
        let mut sides = [(BRIDGE, false, BEFORE), (UPLINK, true, AFTER)];
        if order % 2 == 1 {
            sides.reverse();
        }
        for packet in 0..4 {
            if packet == order / 2 {
                learn(&mut node);
            }
            for (interface, egress, ends) in sides {
                let packet = match packet {
                    0 => ends.tcp((100, 0), SYN, &[]),
                    1 => ends.reversed().tcp((9000, 101), SYN | ACK, &[]),
                    2 => ends.tcp((101, 9001), ACK, b"hello"),
                    _ => ends.reversed().tcp((9001, 106), ACK, b"world"),
                };
                node.meter(interface, egress, &packet);
            }
        }
        let (records, counters) = node.finish();
        assert_pair(&records, BEFORE, AFTER);
        let packets: Vec<_> = records.iter().map(|r| r.packet_delta_count).collect();
        assert_eq!(packets, [2, 2], "order {order}");
        let copies = counters.duplicate_packets + counters.cache.withdrawn_packets;
        assert_eq!(copies, 4);
    }
}

#[test]
fn an_interface_may_show_the_directions_on_different_sides() {
    // A bridge with a filter of its own: requests after the translation, answers before it.
    let before = Ends(POD, 40000, SERVICE, 80);
    let after = Ends(POD, 40000, BACKEND, 8080);
    for is_uplink_first in [true, false] {
        let mut node = Node::new(TranslationSource::FirstPackets);
        node.copies = CopyDetection::ByInterface;
        node.first(VETH, false, &before.tcp((7, 0), SYN, &[]));
        node.first(BRIDGE, false, &after.tcp((7, 0), SYN, &[]));
        for round in 0..3 {
            let request =
                |ends: Ends| ends.tcp((7 + round, 0), if round == 0 { SYN } else { ACK }, b"");
            let flags = if round == 0 { SYN | ACK } else { ACK };
            let answer = |ends: Ends| ends.reversed().tcp((90 + round, 8), flags, b"");
            for interface in if is_uplink_first {
                [UPLINK, BRIDGE]
            } else {
                [BRIDGE, UPLINK]
            } {
                let is_uplink = interface == UPLINK;
                node.meter(interface, is_uplink, &request(after));
                let ends = if is_uplink { after } else { before };
                node.meter(interface, !is_uplink, &answer(ends));
            }
            node.wait(10);
        }
        let (records, _) = node.finish();
        assert_pair(&records, before, after);
        let packets: Vec<_> = records.iter().map(|r| r.packet_delta_count).collect();
        assert_eq!(packets, [3, 3]);
        // The duration is that of one connection.
        let has_duration = |r: &&FlowRecord| r.connection_sum_duration_milliseconds > 0;
        assert_eq!(records.iter().filter(has_duration).count(), 1);
    }
}

#[test]
fn an_answer_that_is_metered_on_the_other_side_does_not_count_as_a_request() {
    let before = Ends(POD, 40000, SERVICE, 53);
    let after = Ends(POD, 40000, BACKEND, 53);
    for is_learned_late in [false, true] {
        let mut node = Node::new(TranslationSource::FirstPackets);
        node.copies = CopyDetection::ByInterface;
        let learn = |node: &mut Node| {
            node.first(VETH, false, &before.udp(b"query"));
            node.first(UPLINK, true, &after.udp(b"query"));
        };
        if is_learned_late {
            node.now += 1_000_000;
        } else {
            learn(&mut node);
        }
        node.meter(UPLINK, true, &after.udp(b"query"));
        node.meter(BRIDGE, true, &before.reversed().udp(b"answer"));
        if is_learned_late {
            // Read late, but captured before.
            let now = std::mem::replace(&mut node.now, START);
            learn(&mut node);
            node.now = now;
        }
        node.meter(UPLINK, false, &after.reversed().udp(b"answer"));
        let (records, counters) = node.finish();
        assert_pair(&records, before, after);
        assert_eq!(counters.duplicate_packets, 1);
    }
}

#[test]
fn frames_of_several_interfaces_are_compared_without_a_capture_of_their_own() {
    let mut node = Node::new(TranslationSource::Frames);
    node.copies = CopyDetection::ByInterface;
    for (interface, egress, ends) in [(VETH, false, BEFORE), (UPLINK, true, AFTER)] {
        node.meter(interface, egress, &ends.tcp((100, 0), SYN, &[]));
    }
    let (records, counters) = node.finish();
    assert_eq!(
        records.iter().map(ends).collect::<Vec<_>>(),
        [expected(BEFORE, AFTER)]
    );
    assert_eq!(counters.duplicate_packets, 1);
}

#[test]
fn equal_datagrams_to_two_destinations_are_two_conversations() {
    let servers = [REMOTE, [203, 0, 113, 81]];
    let sides = [(POD, 40000), (NODE, 50000)]
        .map(|(address, port)| servers.map(|server| Ends(address, port, server, 53)));
    let mut node = Node::new(TranslationSource::FirstPackets);
    for before in sides[0] {
        node.first(VETH, false, &before.udp(b"query"));
    }
    for after in sides[1] {
        node.first(UPLINK, true, &after.udp(b"query"));
        node.meter(UPLINK, true, &after.udp(b"query"));
    }
    let (records, _) = node.finish();
    let found: Vec<_> = records.iter().map(ends).collect();
    assert_eq!(found, [0, 1].map(|at| expected(sides[0][at], sides[1][at])));
}

#[test]
fn equal_datagrams_on_interfaces_without_a_direction_are_all_metered() {
    let mut node = Node::new(TranslationSource::Frames);
    node.copies = CopyDetection::ByInterface;
    for (interface, pod) in [(VETH, POD), (BRIDGE, OTHER_POD)] {
        node.meter(
            interface,
            false,
            &Ends(pod, 40000, REMOTE, 8125).udp(b"metric:1|c"),
        );
    }
    let (records, _) = node.finish();
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record.translation.is_none()));
}

#[test]
fn a_retransmitted_syn_is_the_same_connection() {
    let mut node = Node::new(TranslationSource::FirstPackets);
    for _ in 0..3 {
        for (interface, egress, ends) in [(VETH, false, BEFORE), (UPLINK, true, AFTER)] {
            node.first(interface, egress, &ends.tcp((100, 0), SYN, &[]));
        }
        node.meter(UPLINK, true, &AFTER.tcp((100, 0), SYN, &[]));
        node.wait(1000);
    }
    let (records, counters) = node.finish();
    assert_eq!(
        records.iter().map(ends).collect::<Vec<_>>(),
        [expected(BEFORE, AFTER)]
    );
    assert_eq!(counters.translations.learned, 1);
}

#[test]
fn a_port_that_another_pod_uses_next_belongs_to_that_pod() {
    let mut node = Node::new(TranslationSource::FirstPackets);
    let mut all = Vec::new();
    for (pod, number) in [(POD, 100), (OTHER_POD, 5_000_000)] {
        let before = Ends(pod, 40000, REMOTE, 443);
        node.first(VETH, false, &before.tcp((number, 0), SYN, &[]));
        node.first(UPLINK, true, &AFTER.tcp((number, 0), SYN, &[]));
        connection(&mut node, AFTER, number);
        node.meter(UPLINK, true, &AFTER.tcp((number + 6, 9001), RST, &[]));
        all.extend([
            expected(before, AFTER),
            expected(before.reversed(), AFTER.reversed()),
        ]);
        node.wait(1000);
    }
    // Then the node itself.
    connection(&mut node, AFTER, 77);
    all.extend([AFTER, AFTER.reversed()].map(|ends| {
        let none = (Address::UNSPECIFIED, 0);
        [(v4(ends.0), ends.1), (v4(ends.2), ends.3), none, none]
    }));
    let (records, _) = node.finish();
    assert_eq!(records.iter().map(ends).collect::<Vec<_>>(), all);
}

#[test]
fn datagrams_are_recognized_by_their_contents() {
    let before = Ends(POD, 40000, REMOTE, 53);
    let after = Ends(NODE, 40000, REMOTE, 53);
    let mut node = Node::new(TranslationSource::FirstPackets);
    node.first(VETH, false, &before.udp(b"query 1"));
    node.first(UPLINK, true, &after.udp(b"query 1"));
    node.meter(UPLINK, true, &after.udp(b"query 1"));
    node.first(UPLINK, false, &after.reversed().udp(b"answer 1"));
    node.first(VETH, true, &before.reversed().udp(b"answer 1"));
    node.meter(UPLINK, false, &after.reversed().udp(b"answer 1"));
    let (records, counters) = node.finish();
    assert_pair(&records, before, after);
    assert_eq!(counters.translations.learned, 1);
}

#[test]
fn a_conversation_whose_answer_alone_was_compared_has_the_same_record() {
    let before = Ends(POD, 40000, REMOTE, 53);
    let after = Ends(NODE, 50000, REMOTE, 53);
    let mut node = Node::new(TranslationSource::FirstPackets);
    node.meter(UPLINK, true, &after.udp(b"query 1"));
    node.first(UPLINK, false, &after.reversed().udp(b"answer 1"));
    node.first(VETH, true, &before.reversed().udp(b"answer 1"));
    node.meter(UPLINK, false, &after.reversed().udp(b"answer 1"));
    assert_pair(&node.finish().0, before, after);
}

#[test]
fn equal_datagrams_of_two_pods_are_distinguished_by_order_and_port_or_not_at_all() {
    let pods = [
        Ends(POD, 40000, REMOTE, 514),
        Ends(OTHER_POD, 40001, REMOTE, 514),
    ];
    // One after the other.
    let mut node = Node::new(TranslationSource::FirstPackets);
    let after = [
        Ends(NODE, 50000, REMOTE, 514),
        Ends(NODE, 50001, REMOTE, 514),
    ];
    for (before, after) in pods.into_iter().zip(after) {
        node.first(VETH, false, &before.udp(b"x"));
        node.first(UPLINK, true, &after.udp(b"x"));
        node.meter(UPLINK, true, &after.udp(b"x"));
    }
    let (records, _) = node.finish();
    let found: Vec<_> = records.iter().map(ends).collect();
    assert_eq!(
        found,
        [expected(pods[0], after[0]), expected(pods[1], after[1])]
    );

    // At the same time, with ports that are kept or not.
    for (ports, ambiguous) in [([40000, 40001], 0), ([50000, 50001], 2)] {
        let mut node = Node::new(TranslationSource::FirstPackets);
        for before in pods {
            node.first(VETH, false, &before.udp(b"x"));
        }
        for port in ports {
            let after = Ends(NODE, port, REMOTE, 514);
            node.first(UPLINK, true, &after.udp(b"x"));
            node.meter(UPLINK, true, &after.udp(b"x"));
        }
        let (records, counters) = node.finish();
        assert_eq!(counters.translations.ambiguous, ambiguous);
        let sources: Vec<_> = records.iter().map(|r| ends(r)[0].0).collect();
        let expected = if ambiguous == 0 {
            [POD, OTHER_POD]
        } else {
            [NODE, NODE]
        };
        assert_eq!(sources, expected.map(v4));
    }
}

#[test]
fn a_datagram_that_a_program_of_the_node_passes_on_is_not_a_translation() {
    let mut node = Node::new(TranslationSource::FirstPackets);
    node.first(VETH, false, &Ends(POD, 40000, NODE, 514).udp(b"line"));
    let sent = Ends(NODE, 50000, REMOTE, 514).udp(b"line");
    node.first(UPLINK, true, &sent);
    node.meter(UPLINK, true, &sent);
    let (records, _) = node.finish();
    assert!(records[0].translation.is_none());
}

#[test]
fn both_ends_of_a_datagram_with_an_identification_may_be_translated() {
    let before = Ends(POD, 40000, SERVICE, 53);
    let after = Ends(NODE, 50000, REMOTE, 5300);
    let datagram = |ends: Ends| {
        let mut frame = ends.udp(b"query");
        // The identification, in the IP header.
        frame[18..20].copy_from_slice(&77_u16.to_be_bytes());
        frame
    };
    let mut node = Node::new(TranslationSource::FirstPackets);
    node.first(VETH, false, &datagram(before));
    node.first(UPLINK, true, &datagram(after));
    node.meter(UPLINK, true, &datagram(after));
    let (records, _) = node.finish();
    assert_eq!(
        records.iter().map(ends).collect::<Vec<_>>(),
        [expected(before, after)]
    );
}

#[test]
fn a_udp_port_that_was_silent_may_belong_to_another_host() {
    let before = Ends(POD, 40000, REMOTE, 53);
    let after = Ends(NODE, 50000, REMOTE, 53);
    let mut node = Node::new(TranslationSource::FirstPackets);
    node.first(VETH, false, &before.udp(b"query 1"));
    node.first(UPLINK, true, &after.udp(b"query 1"));
    node.meter(UPLINK, true, &after.udp(b"query 1"));
    for seconds in 1..60 {
        let now = node.now + seconds * SECOND;
        node.pipeline.tick(now, &mut node.records);
    }
    node.wait(60_000);
    node.meter(UPLINK, true, &after.udp(b"query 2"));
    let (records, _) = node.finish();
    let sources: Vec<_> = records.iter().map(|r| ends(r)[0].0).collect();
    assert_eq!(sources, [v4(POD), v4(NODE)]);
}

#[test]
fn connections_over_ipv6_are_translated_as_well() {
    let (pod, node_address, remote) = ("fd00:1::10", "2001:db8::1", "2001:db8::80");
    let syn = |source: &str| {
        let segment = tcp((40000, 443), (5, 0), SYN, &[]);
        ethernet(0x86dd, &ipv6(6, source, remote, &segment))
    };
    let mut node = Node::new(TranslationSource::FirstPackets);
    node.first(VETH, false, &syn(pod));
    node.first(UPLINK, true, &syn(node_address));
    node.meter(UPLINK, true, &syn(node_address));
    let (records, _) = node.finish();
    let [source, _, translated, _] = ends(&records[0]);
    assert_eq!((source.0, translated.0), (v6(pod), v6(node_address)));
}

#[test]
fn one_record_of_both_directions_has_the_translation() {
    let mut node = Node::with(CacheSettings {
        translations: TranslationSource::FirstPackets,
        biflow: true,
        ..cache_settings()
    });
    node.first(VETH, false, &BEFORE.tcp((100, 0), SYN, &[]));
    node.first(UPLINK, true, &AFTER.tcp((100, 0), SYN, &[]));
    connection(&mut node, AFTER, 100);
    let (records, _) = node.finish();
    assert_eq!(
        records.iter().map(ends).collect::<Vec<_>>(),
        [expected(BEFORE, AFTER)]
    );
    assert_eq!(records[0].reverse_packet_delta_count, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The rings are read one after the other, so packets of both sides are metered before the
    /// first ones have shown the translation.
    #[test]
    fn a_conversation_on_both_sides_is_counted_once_whenever_its_translation_is_learned(
        is_udp in any::<bool>(),
        gaps_us in prop::array::uniform8(0..12_000_u64),
        // Until the first ring is read, until the second one is, and until the next round.
        rounds in prop::collection::vec((0..30_000_u64, 0..30_000_u64, 100..60_000_u64), 1..12),
        is_uplink_first in any::<bool>(),
        delay_us in 0..200_000_u64,
    ) {
        let (mut first, mut bridge, mut uplink) = <(Ring, Ring, Ring)>::default();
        let passages = if is_udp { udp_passages() } else { tcp_passages() };
        let mut time = START;
        for (packet, gap_us) in passages.iter().zip(gaps_us) {
            time += gap_us * 1000 + 60_000;
            let frame = |ends: Ends| {
                (packet.frame)(if packet.is_answer { ends.reversed() } else { ends })
            };
            let (inside, outside) = if packet.is_answer { (20_000, 0) } else { (0, 20_000) };
            let on_bridge = (time + inside, BRIDGE, packet.is_answer, frame(BEFORE));
            let on_uplink = (time + outside, UPLINK, !packet.is_answer, frame(AFTER));
            if packet.is_first {
                first.0.extend([on_bridge.clone(), on_uplink.clone()]);
            }
            bridge.0.push_back(on_bridge);
            uplink.0.push_back(on_uplink);
        }
        let mut node = Node::new(TranslationSource::FirstPackets);
        node.copies = CopyDetection::ByInterface;
        let mut now = START;
        for (after_us, between_us, pause_us) in rounds.into_iter().chain([(0, 0, 10_000_000)]) {
            now += pause_us * 1000;
            // The kernel hands over the first packets later than it captured them.
            first.read(now - delay_us * 1000, |time, interface, egress, packet| {
                node.now = time - 10_000;
                node.first(interface, egress, packet);
            });
            now += after_us * 1000;
            let mut rings = [&mut bridge, &mut uplink];
            rings.rotate_left(usize::from(is_uplink_first));
            for ring in rings {
                ring.read(now, |time, interface, egress, packet| {
                    node.now = time - 10_000;
                    node.meter(interface, egress, packet);
                });
                now += between_us * 1000;
            }
        }
        let (records, counters) = node.finish();
        let sum = |key: Ends, of: fn(&FlowRecord) -> u64| -> u64 {
            let key = [(v4(key.0), key.1), (v4(key.2), key.3)];
            let of_key = records.iter().filter(|record| ends(record)[..2] == key);
            of_key.map(of).sum()
        };
        let packets = |key: Ends| sum(key, |record| record.packet_delta_count);
        prop_assert_eq!((packets(BEFORE), packets(BEFORE.reversed())), (4, 4), "{:?}", records);
        prop_assert_eq!((packets(AFTER), packets(AFTER.reversed())), (0, 0));
        let connections = |record: &FlowRecord| {
            u64::from(record.new_connection_delta_count.unwrap_or(0))
        };
        prop_assert_eq!(sum(BEFORE, connections), 1);
        prop_assert_eq!(sum(BEFORE.reversed(), connections), 0);
        prop_assert_eq!(counters.translations.learned, 1);
    }
}
