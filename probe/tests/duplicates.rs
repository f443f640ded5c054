//! Packets that several interfaces of a node observe are metered once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::{CopyDetection, ObservationPoint};
use kipfix_probe::pipeline::{Pipeline, PipelineCounters};
use packets::*;
use proptest::prelude::*;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const IP: u16 = 0x0800;

const RECEIVED: bool = false;
const SENT: bool = true;

/// A node with several interfaces.
struct Node {
    pipeline: Pipeline,
    records: Records,
    time_us: u64,
    copies: CopyDetection,
}

impl Node {
    fn new() -> Self {
        Self {
            pipeline: Pipeline::new(pipeline_settings(cache_settings())),
            records: Records::default(),
            time_us: 1_700_000_000_000_000,
            copies: CopyDetection::ByInterface,
        }
    }

    /// A node that has listed its interfaces: those of each pair are stacked.
    fn with_stacked(pairs: &[(u32, u32)]) -> Self {
        let mut node = Self::new();
        node.pipeline.set_stacked(pairs);
        node
    }

    /// An interface observes an Ethernet frame, 20 µs after the frame before.
    fn observes(&mut self, interface: u32, egress: bool, octets: &[u8]) {
        self.time_us += 20;
        let point = ObservationPoint {
            interface,
            egress,
            copies: self.copies,
            ..ObservationPoint::default()
        };
        let frame = frame(octets, self.time_us * 1000);
        self.pipeline.frame(&frame, point, &mut self.records);
    }

    fn wait_us(&mut self, microseconds: u64) {
        self.time_us += microseconds;
    }

    fn counters(&self) -> PipelineCounters {
        self.pipeline.counters()
    }

    /// Metered packets, and copies of them.
    fn packets(&self) -> (u64, u64) {
        let counters = self.counters();
        (counters.cache.packets, counters.duplicate_packets)
    }
}

/// A datagram with an IPv4 identification; 0 is the value of senders that set none.
fn numbered(identification: u16) -> Vec<u8> {
    ethernet(
        IP,
        &ipv4_fragment(17, A, B, identification, 0, &udp(5000, 53, b"hello")),
    )
}

/// A TCP segment without an IPv4 identification.
fn segment(sequence_number: u32) -> Vec<u8> {
    let data = tcp((40000, 443), (sequence_number, 7), ACK, b"some data");
    ethernet(IP, &ipv4(6, A, B, &data))
}

#[test]
fn a_forwarded_packet_is_metered_once() {
    let mut node = Node::with_stacked(&[]);
    for number in 1..=100 {
        node.observes(1, RECEIVED, &numbered(number));
        node.observes(2, SENT, &numbered(number));
    }
    assert_eq!(node.packets(), (100, 100));
    assert_eq!(node.counters().duplicate_octets, 100 * 33);
}

#[test]
fn members_of_a_bond_and_multipath_routes_lose_no_packet() {
    for number in [|n| n, |_| 0_u16] {
        for interfaces in 2..=4 {
            let mut node = Node::with_stacked(&[]);
            for n in 0..1000_u16 {
                node.observes(1 + u32::from(n) % interfaces, SENT, &numbered(number(n)));
            }
            assert_eq!(node.packets(), (1000, 0), "{interfaces}");
        }
    }
}

#[test]
fn senders_that_use_one_identification_for_all_packets_lose_none() {
    for stacked in [None, Some([])] {
        let mut node = Node::new();
        if let Some(pairs) = stacked {
            node = Node::with_stacked(&pairs);
        }
        for n in 0..100 {
            node.wait_us(1000);
            node.observes(1 + n % 2, SENT, &numbered(1));
        }
        assert_eq!(node.packets(), (100, 0));
        // Forwarded ones are copies all the same.
        for _ in 0..100 {
            node.wait_us(1000);
            node.observes(1, RECEIVED, &numbered(2));
            node.observes(2, SENT, &numbered(2));
        }
        assert_eq!(node.packets(), (200, 100));
    }
}

#[test]
fn interfaces_of_a_virtual_switch_observe_copies_in_one_direction() {
    let mut node = Node::with_stacked(&[]);
    for number in 1..=100 {
        node.observes(1, RECEIVED, &numbered(number));
        node.observes(2, RECEIVED, &numbered(number));
        node.observes(1, RECEIVED, &segment(number.into()));
        node.observes(2, RECEIVED, &segment(number.into()));
    }
    assert_eq!(node.packets(), (200, 200));
}

#[test]
fn fragments_with_equal_payload_are_different_packets() {
    let part =
        |offset: u16, more: u16| ethernet(IP, &ipv4_fragment(17, A, B, 7, more | offset, &[7; 80]));
    for copies in [CopyDetection::ByTime, CopyDetection::ByInterface] {
        let mut node = Node::new();
        node.copies = copies;
        for (interface, egress) in [(0, RECEIVED), (1, SENT)] {
            for offset in [0, 10, 20, 30] {
                let more = if offset == 30 { 0 } else { 0x2000 };
                node.observes(interface, egress, &part(offset, more));
            }
        }
        assert_eq!(node.packets(), (4, 4));
    }
}

#[test]
fn a_route_that_moves_loses_no_packet() {
    let mut node = Node::with_stacked(&[]);
    for interface in [1, 2, 1] {
        for _ in 0..50 {
            node.observes(interface, SENT, &numbered(0));
        }
    }
    assert_eq!(node.packets(), (150, 0));
}

#[test]
fn packets_of_a_pod_over_a_multipath_route_are_metered_once() {
    // Received on 1, sent on 2 and 3 in turn.
    for number in [|n| n, |_| 0_u16] {
        let mut node = Node::with_stacked(&[]);
        for n in 0..200_u16 {
            node.observes(1, RECEIVED, &numbered(number(n)));
            node.observes(2 + u32::from(n) % 2, SENT, &numbered(number(n)));
        }
        assert_eq!(node.packets(), (200, 200));
    }
}

#[test]
fn a_packet_below_and_above_a_tunnel_is_metered_once() {
    // The VXLAN device and the interface below it send the same packet.
    let mut node = Node::with_stacked(&[]);
    for n in 0..100 {
        let inner = segment(n);
        let outer = udp(40000, 4789, &vxlan(5, &inner));
        let outer = ethernet(IP, &ipv4(17, [192, 0, 2, 1], [192, 0, 2, 2], &outer));
        node.observes(7, SENT, &inner);
        node.observes(2, SENT, &outer);
    }
    assert_eq!(node.packets(), (100, 100));
}

#[test]
fn stacked_interfaces_observe_copies() {
    // A bond and its member, or a VLAN and its parent, in the same direction.
    let mut node = Node::with_stacked(&[(9, 3)]);
    for _ in 0..100 {
        node.observes(9, SENT, &numbered(0));
        node.observes(3, SENT, &numbered(0));
    }
    assert_eq!(node.packets(), (100, 100));
    let mut node = Node::with_stacked(&[(9, 3)]);
    for _ in 0..100 {
        node.observes(9, SENT, &numbered(0));
        node.observes(4, SENT, &numbered(0));
    }
    assert_eq!(node.packets(), (200, 0));
}

#[test]
fn packets_that_cannot_be_distinguished_count_as_often_as_one_interface_observes_them() {
    // The order of the interfaces does not matter, as buffers of interfaces are read in turn.
    let mut node = Node::with_stacked(&[]);
    for _ in 0..10 {
        node.observes(1, RECEIVED, &numbered(0));
    }
    for _ in 0..12 {
        node.observes(2, SENT, &numbered(0));
    }
    assert_eq!(node.packets(), (12, 10));
}

#[test]
fn a_retransmission_is_another_packet_also_with_the_same_identification() {
    let mut node = Node::with_stacked(&[]);
    for _ in 0..2 {
        node.observes(1, RECEIVED, &numbered(77));
        node.observes(2, SENT, &numbered(77));
    }
    assert_eq!(node.packets(), (2, 2));
}

#[test]
fn numbers_and_contents_distinguish_packets() {
    let mut node = Node::with_stacked(&[(1, 2)]);
    node.observes(1, SENT, &segment(1));
    node.observes(2, SENT, &segment(2));
    assert_eq!(node.packets(), (2, 0));
    let query = |content: &[u8]| ethernet(IP, &ipv4(17, A, B, &udp(5000, 53, content)));
    node.observes(1, SENT, &query(b"one"));
    node.observes(2, SENT, &query(b"two"));
    assert_eq!(node.packets(), (4, 0));
}

#[test]
fn what_changes_on_the_way_does_not_distinguish_copies() {
    // Time to live, class of service and both checksums.
    let mut node = Node::with_stacked(&[]);
    let before = segment(5);
    let mut after = before.clone();
    after[15] = 0x28;
    after[22] -= 1;
    after[24] = 0x55;
    after[50] = 0x77;
    node.observes(1, RECEIVED, &before);
    node.observes(2, SENT, &after);
    assert_eq!(node.packets(), (1, 1));
    // Another sender, receiver, port or length is another packet.
    for at in [29, 33, 35, 37] {
        let mut other = before.clone();
        other[at] += 1;
        node.observes(3, SENT, &other);
    }
    assert_eq!(node.packets(), (5, 1));
}

#[test]
fn two_virtual_networks_have_no_packets_in_common() {
    let mut node = Node::with_stacked(&[]);
    let tunneled = |network| {
        let outer = udp(40000, 4789, &vxlan(network, &numbered(9)));
        ethernet(IP, &ipv4(17, [192, 0, 2, 1], [192, 0, 2, 2], &outer))
    };
    node.observes(1, RECEIVED, &tunneled(5));
    node.observes(2, SENT, &tunneled(6));
    assert_eq!(node.packets(), (2, 0));
    let tagged = |id| ethernet(0x8100, &tag(id, IP, &numbered(10)[14..]));
    node.observes(1, RECEIVED, &tagged(5));
    node.observes(2, SENT, &tagged(6));
    assert_eq!(node.packets(), (4, 0));
}

#[test]
fn copies_are_observed_within_a_second() {
    let mut node = Node::with_stacked(&[]);
    node.observes(1, RECEIVED, &numbered(1));
    node.wait_us(900_000);
    node.observes(2, SENT, &numbered(1));
    node.wait_us(1_100_000);
    node.observes(3, SENT, &numbered(1));
    assert_eq!(node.packets(), (2, 1));
}

#[test]
fn interfaces_of_a_file_are_recognized_by_time() {
    // Nothing is known of the stacking. A bond and its member observe a packet at nearly the same
    // time.
    let mut node = Node::new();
    for _ in 0..10 {
        node.observes(1, SENT, &numbered(0));
        node.observes(2, SENT, &numbered(0));
        node.wait_us(10_000);
    }
    assert_eq!(node.packets(), (10, 10));
    let mut node = Node::new();
    for _ in 0..10 {
        node.observes(1, SENT, &numbered(0));
        node.wait_us(10_000);
        node.observes(2, SENT, &numbered(0));
        node.wait_us(10_000);
    }
    assert_eq!(node.packets(), (20, 0));
}

#[test]
fn a_capture_that_does_not_identify_interfaces_counts_once() {
    let mut node = Node::new();
    node.copies = CopyDetection::ByTime;
    for number in 1..=50 {
        node.observes(0, RECEIVED, &numbered(number));
        node.observes(0, SENT, &numbered(number));
        node.observes(0, RECEIVED, &segment(number.into()));
        node.observes(0, SENT, &segment(number.into()));
        node.wait_us(10_000);
    }
    assert_eq!(node.packets(), (100, 100));
    // A repetition of the sender.
    node.observes(0, RECEIVED, &segment(1000));
    node.wait_us(200_000);
    node.observes(0, RECEIVED, &segment(1000));
    assert_eq!(node.packets(), (102, 100));
    // A packet that waited before it was sent.
    node.observes(0, RECEIVED, &segment(2000));
    node.wait_us(5000);
    node.observes(1, SENT, &segment(2000));
    assert_eq!(node.packets(), (103, 101));
}

#[test]
fn acknowledgments_that_advance_with_the_identification_are_different_packets() {
    let acknowledgment = |number: u16| {
        let header = tcp((40000, 22), (7, 1000 + u32::from(number)), ACK, b"");
        ethernet(IP, &ipv4_fragment(6, A, B, number, 0, &header))
    };
    let mut node = Node::new();
    node.copies = CopyDetection::ByTime;
    for number in 1..=1000 {
        node.observes(1, RECEIVED, &acknowledgment(number));
    }
    assert_eq!(node.packets(), (1000, 0));
}

#[test]
fn a_slow_hop_of_a_capture_without_interfaces_is_recognized_by_its_sender() {
    // A bridge: received on a port, received on the bridge, sent, and received again behind it.
    let mut node = Node::new();
    node.copies = CopyDetection::ByTime;
    for number in 1..=50 {
        for (sender, egress) in [(3, RECEIVED), (4, RECEIVED), (5, SENT)] {
            node.observes(sender, egress, &numbered(number));
            node.wait_us(30);
        }
        node.wait_us(400);
        node.observes(6, RECEIVED, &numbered(number));
        node.wait_us(10_000);
    }
    assert_eq!(node.packets(), (50, 150));
    // Acknowledgments that are equal come from one sender, and each has its copy.
    let mut node = Node::new();
    node.copies = CopyDetection::ByTime;
    for _ in 0..20 {
        node.observes(3, RECEIVED, &numbered(0));
        node.wait_us(300);
        node.observes(5, SENT, &numbered(0));
        node.wait_us(3000);
    }
    assert_eq!(node.packets(), (20, 20));
}

#[test]
fn a_capture_of_one_interface_keeps_all_packets() {
    let mut node = Node::new();
    node.copies = CopyDetection::Off;
    for _ in 0..10 {
        node.observes(1, SENT, &numbered(7));
    }
    assert_eq!(node.packets(), (10, 0));
}

#[test]
fn identities_that_are_evicted_too_early_are_counted() {
    let mut node = Node::with_stacked(&[]);
    for number in 0..100_000 {
        node.wait_us(1);
        node.observes(1, RECEIVED, &segment(number));
    }
    let counters = node.counters();
    // 100,000 packets in 2.1 s, of which the table has room for 32,768.
    assert_eq!(counters.cache.packets, 100_000);
    assert!(
        (10_000..100_000).contains(&counters.duplicates_evicted),
        "{}",
        counters.duplicates_evicted
    );
    // None of a slow capture.
    let mut node = Node::with_stacked(&[]);
    for number in 0..1000 {
        node.wait_us(2000);
        node.observes(1, RECEIVED, &segment(number));
    }
    assert_eq!(node.counters().duplicates_evicted, 0);
}

#[test]
fn copies_are_removed_before_the_sampling() {
    let sampling = "1:10".parse().unwrap();
    let mut node = Node::with_stacked(&[]);
    node.pipeline = Pipeline::new(pipeline_settings(CacheSettings {
        sampling,
        ..cache_settings()
    }));
    node.pipeline.set_stacked(&[]);
    for number in 1..=1000 {
        node.observes(1, RECEIVED, &numbered(number));
        node.observes(2, SENT, &numbered(number));
    }
    assert_eq!(node.packets(), (100, 1000));
    assert_eq!(node.counters().not_selected, 900);
}

proptest! {
    /// A node forwards packets from one interface to another, and its buffers lose some: each
    /// packet that any interface observed is metered once.
    #[test]
    fn every_observed_packet_is_metered_once(
        observed in prop::collection::vec((any::<bool>(), any::<bool>()), 1..300),
    ) {
        let mut node = Node::with_stacked(&[]);
        let mut expected = 0;
        for (number, (first, second)) in (1..).zip(observed) {
            let packet = if number % 2 == 0 { numbered(number) } else { segment(number.into()) };
            if first {
                node.observes(1, RECEIVED, &packet);
            }
            if second {
                node.observes(2, SENT, &packet);
            }
            expected += u64::from(first || second);
        }
        prop_assert_eq!(node.packets().0, expected);
    }

    /// Packets leave by any of several interfaces: all of them are metered.
    #[test]
    fn packets_that_leave_by_several_interfaces_are_all_metered(
        interfaces in prop::collection::vec(1..4_u32, 1..300),
    ) {
        let mut node = Node::with_stacked(&[]);
        for interface in &interfaces {
            node.observes(*interface, SENT, &numbered(0));
        }
        prop_assert_eq!(node.packets().0, u64::try_from(interfaces.len()).unwrap());
    }
}
