//! Frames that take the short cut of the decoder give the same packets as by the way of all others,
//! which a decoder with contents takes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use kipfix_probe::decode::PacketContents;
use packets::*;
use proptest::prelude::*;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const IP: u16 = 0x0800;

fn frames() -> Vec<Vec<u8>> {
    let segment = tcp((5000, 443), (1, 2), ACK, b"hello");
    let inner = ethernet(IP, &ipv4(6, A, B, &segment));
    let vxlan_of = |packet: &[u8]| {
        let inner = vxlan(7, &ethernet(IP, packet));
        ipv4(17, A, B, &udp(5000, 4789, &inner))
    };
    let inner_vxlan = udp(5000, 4789, &vxlan(8, &inner));
    let packets = [
        ipv4(6, A, B, &segment),
        ipv4(6, A, B, &tcp_syn((5000, 443), (1, 0), SYN, 1460)),
        ipv4(17, A, B, &udp(5000, 53, b"hello")),
        vxlan_of(&ipv4(6, A, B, &segment)),
        vxlan_of(&ipv4(6, A, B, &tcp_syn((5000, 443), (1, 0), SYN, 1460))),
        vxlan_of(&ipv4(17, A, B, &udp(5000, 53, b"hello"))),
        vxlan_of(&ipv4(17, A, B, &inner_vxlan)),
        vxlan_of(&[ipv4(6, A, B, &segment), vec![0; 9]].concat()),
        ipv4(17, A, B, &udp(5000, 4790, &vxlan(7, &inner))),
        ipv4(17, A, B, &udp(51_820, 5000, &[4; 64])),
        ipv4(17, A, B, &udp(3544, 5000, &[0; 64])),
        ipv4(47, A, B, &gre(None, IP, &ipv4(6, A, B, &segment))),
        ipv4(1, A, B, &[8, 0, 0, 0]),
    ];
    packets.iter().map(|packet| ethernet(IP, packet)).collect()
}

fn check(captured: &[u8], wire_octets: u32, is_wire_length_lost: bool) {
    let mut frame = frame(captured, SECOND);
    frame.wire_octets = wire_octets;
    frame.is_wire_length_lost = is_wire_length_lost;
    let by_others = decoder().decode(&frame, true).map(|mut packet| {
        packet.contents = PacketContents::default();
        packet
    });
    assert_eq!(decoder().decode(&frame, false), by_others, "{frame:02x?}");
}

#[test]
fn a_frame_is_the_same_packet_at_every_snap_length() {
    for whole in frames() {
        let octets = u32::try_from(whole.len()).unwrap();
        for end in 0..=whole.len() {
            for (wire_octets, is_lost) in [
                (octets, false),
                (octets - 1, false),
                (u32::try_from(end).unwrap(), true),
                (100_000, false),
            ] {
                check(&whole[..end], wire_octets, is_lost);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_frame_with_any_octets_is_the_same_packet(
        number in 0..13_usize,
        changes in proptest::collection::vec((12..110_usize, any::<u8>()), 1..4),
    ) {
        let mut whole = frames()[number].clone();
        for (place, value) in changes {
            if let Some(octet) = whole.get_mut(place) {
                *octet = value;
            }
        }
        check(&whole, u32::try_from(whole.len()).unwrap(), false);
    }
}
