//! Frames of the kinds that a node sees.

use super::Dice;
use crate::input::write_chunk;
use crate::packets::LINK_TYPES;

#[path = "../../../probe/tests/packets/mod.rs"]
pub(super) mod packets;

use packets::payloads::{dns_response, hello};
use packets::quic::{Initial, crypto};
use packets::{
    ACK, FIN, RST, SYN, ethernet, geneve, gre, ipv4, ipv4_fragment, ipv6, mpls, tag, tcp, tcp_syn,
    udp, vxlan,
};
use rustls::quic::Version;

const A: [u8; 4] = [10, 1, 1, 10];
const B: [u8; 4] = [10, 1, 2, 10];

/// The target's two octets, and frames behind them.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for modes in [0, 3, 4, 9, 22, 0x82, 0xc0, 0xd2] {
        all.push(capture(0, modes, &connection(), &[0, 0x20, 0x44]));
        all.push(capture(0, modes, &fragments(), &[0, 4]));
        all.push(capture(0, modes, &tunnels(), &[0x10, 8]));
        all.push(capture(0, modes, &tags(), &[0]));
        all.push(capture(0, modes, &others(), &[0x0c, 0x80]));
        all.push(capture(0, modes, &names(), &[0]));
    }
    for (at, link_type) in LINK_TYPES.iter().enumerate().skip(1) {
        let frames: Vec<Vec<u8>> = packets_of_both_families()
            .iter()
            .map(|packet| [front(*link_type, packet), packet.clone()].concat())
            .collect();
        all.push(capture(at.try_into().unwrap(), 0, &frames, &[0, 4]));
    }
    all
}

/// Ethernet frames of all kinds.
pub(crate) fn of_all_kinds() -> Vec<Vec<u8>> {
    [
        connection(),
        fragments(),
        tunnels(),
        tags(),
        others(),
        names(),
    ]
    .concat()
}

/// Payloads with names: a DNS answer, a hello in two segments and in QUIC, a request.
fn names() -> Vec<Vec<u8>> {
    let answer = udp(53, 4000, &dns_response("api.example.org", B));
    let mut frames = vec![ethernet(0x0800, &ipv4(17, B, A, &answer))];
    let segment = |port: u16, number: u32, flags: u8, payload: &[u8]| {
        let segment = tcp((port, 443), (number, 1), flags, payload);
        ethernet(0x0800, &ipv4(6, A, B, &segment))
    };
    let hello = hello("www.example.org", 300, true);
    for version in [Version::V1, Version::V2] {
        // Without the header of the TLS record.
        let message = &hello[5..];
        let initial = Initial::first(version, &[8; 8]);
        for (start, end) in [(200, message.len()), (0, 200)] {
            let payload = initial.packet(&crypto(message, start, end));
            let datagram = udp(4000, 443, &payload);
            frames.push(ethernet(0x0800, &ipv4(17, A, B, &datagram)));
        }
    }
    let (first, second) = hello.split_at(200);
    frames.push(segment(4000, 9, SYN, &[]));
    frames.push(segment(4000, 10, ACK, first));
    frames.push(segment(4000, 210, ACK, second));
    frames.push(segment(4001, 9, SYN, &[]));
    let request = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
    frames.push(segment(4001, 10, ACK, request));
    frames
}

/// A datagram in a frame.
pub(crate) fn datagram(payload: &[u8], cut_in: Option<usize>) -> Vec<Vec<u8>> {
    let whole = udp(4000, 4739, payload);
    let Some(octets) = cut_in else {
        return vec![ethernet(0x0800, &ipv4(17, A, B, &whole))];
    };
    let parts = whole.chunks(octets).enumerate();
    let last = whole.len().div_ceil(octets) - 1;
    parts
        .map(|(at, part)| {
            let more = if at < last { 0x2000 } else { 0 };
            let offset = u16::try_from(at * octets / 8).unwrap();
            ethernet(0x0800, &ipv4_fragment(17, A, B, 77, more | offset, part))
        })
        .collect()
}

fn capture(link_type: u8, modes: u8, frames: &[Vec<u8>], controls: &[u8]) -> Vec<u8> {
    let mut out = vec![link_type, modes];
    for (frame, control) in frames.iter().zip(controls.iter().cycle()) {
        write_chunk(*control, frame, &mut out);
    }
    out
}

/// What stands in front of an IP packet.
fn front(link_type: i32, packet: &[u8]) -> Vec<u8> {
    let is_v4 = packet[0] >> 4 == 4;
    let kind: [u8; 2] = if is_v4 { [8, 0] } else { [0x86, 0xdd] };
    match link_type {
        113 => [&[0; 14][..], &kind].concat(),
        276 => [&kind[..], &[0; 18]].concat(),
        0 => vec![if is_v4 { 2 } else { 10 }, 0, 0, 0],
        9 => vec![0xff, 3, 0, if is_v4 { 0x21 } else { 0x57 }],
        51 => vec![0x11, 0, 0, 1, 0, 60, 0, if is_v4 { 0x21 } else { 0x57 }],
        _ => Vec::new(),
    }
}

fn packets_of_both_families() -> Vec<Vec<u8>> {
    let segment = tcp((40_000, 443), (1, 1), ACK, &[7; 40]);
    vec![
        ipv4(17, A, B, &udp(1234, 53, &[1; 30])),
        ipv6(6, "fd00::1", "fd00::2", &segment),
        ipv4(1, A, B, &[8, 0, 0, 0, 0, 1, 0, 1]),
    ]
}

/// From SYN to RST, in both directions.
fn connection() -> Vec<Vec<u8>> {
    let (up, down) = ((40_000, 443), (443, 40_000));
    let there = |packet: Vec<u8>| ethernet(0x0800, &ipv4(6, A, B, &packet));
    let back = |packet: Vec<u8>| ethernet(0x0800, &ipv4(6, B, A, &packet));
    vec![
        there(tcp_syn(up, (1, 0), SYN, 1460)),
        back(tcp_syn(down, (9, 2), SYN | ACK, 1400)),
        there(tcp(up, (2, 10), ACK, &[1; 4000])),
        back(tcp(down, (10, 4002), ACK, &[])),
        there(tcp(up, (4002, 10), FIN | ACK, &[])),
        back(tcp(down, (10, 4003), FIN | ACK, &[])),
        there(tcp(up, (4003, 11), ACK, &[])),
        there(tcp(up, (77, 0), SYN, &[])),
        back(tcp(down, (0, 78), RST | ACK, &[])),
    ]
}

fn fragments() -> Vec<Vec<u8>> {
    let mut frames = datagram(&[3; 2000], Some(800));
    let extension = |more: u16, offset: u16, next: u8, part: &[u8]| {
        let mut out = vec![next, 0];
        out.extend((offset << 3 | more).to_be_bytes());
        out.extend([0, 0, 0, 9]);
        out.extend(part);
        out
    };
    let whole = udp(4000, 5000, &[4; 100]);
    for (more, offset, part) in [(1, 0, &whole[..56]), (0, 7, &whole[56..])] {
        let packet = ipv6(44, "fd00::1", "fd00::2", &extension(more, offset, 17, part));
        frames.push(ethernet(0x86dd, &packet));
    }
    // A tunnel's packet in two.
    let inner = ethernet(0x0800, &ipv4(17, A, B, &udp(1, 2, &[5; 600])));
    let outer = udp(50_000, 4789, &vxlan(7, &inner));
    for (flags, part) in [(0x2000, &outer[..400]), (50, &outer[400..])] {
        let packet = ipv4_fragment(17, [192, 0, 2, 1], [192, 0, 2, 2], 5, flags, part);
        frames.push(ethernet(0x0800, &packet));
    }
    frames
}

fn tunnels() -> Vec<Vec<u8>> {
    let (one, two) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let inner = ipv4(6, A, B, &tcp((1, 2), (1, 1), ACK, &[1; 60]));
    let frame = ethernet(0x0800, &inner);
    let tagged = ethernet(0x8100, &tag(42, 0x0800, &inner));
    let in_udp = |port: u16, payload: &[u8]| {
        ethernet(0x0800, &ipv4(17, one, two, &udp(50_000, port, payload)))
    };
    let options = [1, 2, 3, 1, 9, 9, 9, 9];
    let erspan = [
        &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 0, 0, 0, 0, 0][..],
        &frame,
    ]
    .concat();
    let nested = ethernet(
        0x0800,
        &ipv4(17, one, two, &udp(1, 4789, &vxlan(1, &frame))),
    );
    vec![
        in_udp(4789, &vxlan(7, &frame)),
        in_udp(8472, &vxlan(7, &tagged)),
        in_udp(4790, &[&[0x0c, 0, 0, 1, 0, 0, 7, 0][..], &inner].concat()),
        in_udp(6081, &geneve(9, 0x6558, &options, &frame)),
        in_udp(6081, &geneve(9, 0x0800, &[], &inner)),
        in_udp(4789, &vxlan(2, &nested)),
        ethernet(0x0800, &ipv4(47, one, two, &gre(Some(5), 0x0800, &inner))),
        ethernet(0x0800, &ipv4(47, one, two, &gre(None, 0x6558, &frame))),
        ethernet(0x0800, &ipv4(47, one, two, &erspan)),
        ethernet(0x0800, &ipv4(4, one, two, &inner)),
        ethernet(0x86dd, &ipv6(4, "fd00::1", "fd00::2", &inner)),
        ethernet(0x86dd, &ipv6(143, "fd00::1", "fd00::2", &frame)),
    ]
}

fn tags() -> Vec<Vec<u8>> {
    let packet = ipv4(17, A, B, &udp(1, 2, &[1; 20]));
    let pppoe = [&[0x11, 0, 0, 1, 0, 50, 0, 0x21][..], &packet].concat();
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &packet].concat();
    let pseudowire = [&[0; 4][..], &ethernet(0x0800, &packet)].concat();
    vec![
        ethernet(0x8100, &tag(42, 0x0800, &packet)),
        ethernet(0x88a8, &tag(7, 0x8100, &tag(42, 0x0800, &packet))),
        ethernet(0x8847, &mpls(&[16, 17], &packet)),
        ethernet(0x8847, &mpls(&[18], &pseudowire)),
        ethernet(0x8864, &pppoe),
        ethernet(u16::try_from(snap.len()).unwrap(), &snap),
    ]
}

fn others() -> Vec<Vec<u8>> {
    let sctp = [
        &[0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, 0, 0, 0, 5][..],
        &[0; 12],
    ]
    .concat();
    let hop = |next: u8, rest: &[u8]| [&[next, 0, 1, 4, 0, 0, 0, 0][..], rest].concat();
    let routed = hop(
        43,
        &hop(
            60,
            &hop(
                51,
                &[&[6, 4][..], &[0; 22], &tcp((3, 4), (1, 1), SYN, &[])].concat(),
            ),
        ),
    );
    let mut cut = ethernet(0x0800, &ipv4(6, A, B, &tcp((1, 2), (1, 1), ACK, &[1; 90])));
    cut.truncate(50);
    // What segmentation offload leaves: a length of 0.
    let mut jumbo = ipv4(6, A, B, &tcp((1, 2), (1, 1), ACK, &[1; 3000]));
    jumbo[2..4].fill(0);
    vec![
        ethernet(0x0800, &ipv4(132, A, B, &sctp)),
        ethernet(0x86dd, &ipv6(0, "fd00::1", "fd00::2", &routed)),
        ethernet(0x86dd, &ipv6(58, "fd00::1", "fd00::2", &[128, 0, 0, 0])),
        ethernet(0x0806, &[0; 28]),
        cut,
        ethernet(0x0800, &jumbo),
        ethernet(0x0800, &Dice::new(1).octets(60)),
    ]
}
