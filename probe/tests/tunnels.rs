//! Packets inside packets: tunnels, their ports, and what they cannot carry.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use std::net::Ipv6Addr;

use flowproto::record::{Tunnel, TunnelType};
use kipfix_probe::decode::tunnel_ports::{TunnelPort, TunnelPorts};
use kipfix_probe::decode::{Decoder, PacketInfo, Undecodable};
use packets::*;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const IP: u16 = 0x0800;
const IP6: u16 = 0x86dd;

fn datagram() -> Vec<u8> {
    ipv4(17, A, B, &udp(5000, 53, b"hello"))
}

fn is_the_datagram(info: &PacketInfo) {
    assert_eq!(info.key.source_address, v4(A));
    assert_eq!(info.key.destination_address, v4(B));
    assert_eq!(
        (info.key.source_port, info.key.destination_port),
        (5000, 53)
    );
    assert_eq!((info.key.protocol_identifier, info.octets), (17, 33));
    assert_eq!(info.inner_fault, None);
}

#[test]
fn the_innermost_packet_is_the_flow_and_the_next_header_is_its_tunnel() {
    let outer = |protocol, payload: &[u8]| {
        ethernet(
            0x8100,
            &tag(
                9,
                IP,
                &ipv4(protocol, [192, 0, 2, 1], [192, 0, 2, 2], payload),
            ),
        )
    };
    let tunnel = |tunnel_type, tunnel_key, protocol, ports: (u16, u16)| Tunnel {
        tunnel_type,
        tunnel_key,
        tunnel_source_address: v4([192, 0, 2, 1]),
        tunnel_destination_address: v4([192, 0, 2, 2]),
        tunnel_protocol_identifier: protocol,
        tunnel_source_port: ports.0,
        tunnel_destination_port: ports.1,
    };
    let inner = ethernet(IP, &datagram());
    for (frame, wanted, vlan_id) in [
        (
            outer(17, &udp(50000, 4789, &vxlan(77, &inner))),
            tunnel(TunnelType::Vxlan, 77, 17, (50000, 4789)),
            0,
        ),
        (
            outer(
                17,
                &udp(
                    50000,
                    8472,
                    &vxlan(1, &ethernet(0x8100, &tag(5, IP, &datagram()))),
                ),
            ),
            tunnel(TunnelType::Vxlan, 1, 17, (50000, 8472)),
            5,
        ),
        (
            outer(
                17,
                &udp(1, 6081, &geneve(0x00ab_cdef, 0x6558, &[0; 16], &inner)),
            ),
            tunnel(TunnelType::Geneve, 0x00ab_cdef, 17, (1, 6081)),
            0,
        ),
        (
            outer(17, &udp(1, 6081, &geneve(3, IP, &[], &datagram()))),
            tunnel(TunnelType::Geneve, 3, 17, (1, 6081)),
            9,
        ),
        (
            outer(47, &gre(None, IP, &datagram())),
            tunnel(TunnelType::Gre, 0, 47, (0, 0)),
            9,
        ),
        (
            outer(47, &gre(Some(4242), 0x6558, &inner)),
            tunnel(TunnelType::Gre, 4242, 47, (0, 0)),
            0,
        ),
        (
            outer(4, &datagram()),
            tunnel(TunnelType::IpInIp, 0, 4, (0, 0)),
            9,
        ),
    ] {
        let info = decoded(&frame).unwrap();
        is_the_datagram(&info);
        assert_eq!(info.tunnel, Some(wanted));
        assert_eq!(info.vlan_id, vlan_id, "{wanted:?}");
        assert_eq!(info.inner_fault, None);
    }
}

#[test]
fn address_families_can_be_nested() {
    let four_in_six = ipv6(4, "2001:db8::1", "2001:db8::2", &datagram());
    let info = decoded(&ethernet(IP6, &four_in_six)).unwrap();
    is_the_datagram(&info);
    let six = ipv6(17, "fd00::1", "fd00::2", &udp(1, 2, &[]));
    let info = decoded(&ethernet(IP, &ipv4(41, A, B, &six))).unwrap();
    assert_eq!(info.key.source_address, v6("fd00::1"));
    assert_eq!(info.octets, 48);
    assert_eq!(info.encapsulation_octets, 20);
    assert_eq!(info.tunnel.unwrap().tunnel_source_address, v4(A));
}

#[test]
fn an_outer_packet_is_metered_if_its_inner_one_cannot_be() {
    let outer = |payload: &[u8]| ethernet(IP, &ipv4(17, A, B, &udp(9, 4789, payload)));
    for (payload, fault) in [
        (vxlan(1, &ethernet(0x0806, &[0; 28])), Undecodable::Arp),
        (
            vxlan(1, &ethernet(IP, &[0x45, 0])),
            Undecodable::TruncatedIp,
        ),
        (
            vxlan(1, &ethernet(IP, &[0x65; 40])),
            Undecodable::MalformedIp,
        ),
        (vxlan(1, &[0; 5]), Undecodable::TruncatedLink),
        (vec![0; 20], Undecodable::MalformedTunnel),
    ] {
        let info = decoded(&outer(&payload)).unwrap();
        assert_eq!(
            (info.key.destination_port, info.inner_fault),
            (4789, Some(fault))
        );
        assert_eq!(info.tunnel, None);
    }
}

#[test]
fn nested_tunnels_are_limited() {
    let mut packet = datagram();
    for _ in 0..20 {
        packet = ipv4(4, A, B, &packet);
    }
    let info = decoded(&ethernet(IP, &packet)).unwrap();
    assert_eq!(info.inner_fault, Some(Undecodable::TooDeep));
    let mut tags = tag(1, IP, &datagram());
    for _ in 0..20 {
        tags = tag(1, 0x8100, &tags);
    }
    assert_eq!(decoded(&ethernet(0x8100, &tags)), Err(Undecodable::TooDeep));
}

#[test]
fn a_fragmented_tunnel_packet_is_metered_once_by_its_inner_packet() {
    let inner = ipv4(17, [10, 1, 0, 1], [10, 1, 0, 2], &udp(7, 8, &[0; 100]));
    let outer = udp(40000, 4789, &vxlan(5, &ethernet(IP, &inner)));
    let (head, rest) = outer.split_at(80);
    let first = ethernet(IP, &ipv4_fragment(17, A, B, 9, 0x2000, head));
    let later = ethernet(IP, &ipv4_fragment(17, A, B, 9, 10, rest));
    let mut decoder = decoder();
    let mut outcome = |bytes: &[u8]| {
        decoder
            .decode(&frame(bytes, SECOND), false)
            .map(|i| (i.key.source_port, i.octets))
    };
    assert_eq!(outcome(&first), Ok((7, 128)));
    assert_eq!(outcome(&later), Err(Undecodable::TunnelFragment));
    assert_eq!(outcome(&later), Err(Undecodable::TunnelFragment));
    assert_eq!(
        (decoder.fragments().len(), decoder.fragments().orphans()),
        (1, 0)
    );
}

#[test]
fn later_fragments_that_are_observed_first_are_not_metered_again_with_the_inner_packet() {
    let inner = ipv4(17, [10, 1, 0, 1], [10, 1, 0, 2], &udp(7, 8, &[0; 400]));
    let outer = udp(40000, 4789, &vxlan(5, &ethernet(IP, &inner)));
    let parts = [
        (0x2000, &outer[..160]),
        (0x2014, &outer[160..320]),
        (40, &outer[320..]),
    ];
    let fragment = |(flags_offset, part): (u16, &[u8])| {
        ethernet(IP, &ipv4_fragment(17, A, B, 9, flags_offset, part))
    };
    let mut decoder = decoder();
    let mut outcome = |at: usize| {
        let octets = fragment(parts[at]);
        decoder
            .decode(&frame(&octets, SECOND), false)
            .map(|info| (info.key.source_port, info.octets))
    };
    // The last, the first, the one in the middle.
    assert_eq!(outcome(2), Ok((0, 158)));
    assert_eq!(outcome(0), Ok((7, 428 - 138)));
    assert_eq!(outcome(1), Err(Undecodable::TunnelFragment));
    assert_eq!(decoder.fragments().orphans(), 1);
}

fn generic(payload: &[u8]) -> Result<PacketInfo, Undecodable> {
    decoded(&ethernet(IP, &ipv4(47, A, B, payload)))
}

#[test]
fn ppp_in_gre_is_looked_through_in_both_versions() {
    for ppp in [&[0xff, 3, 0, 0x21][..], &[0, 0x21], &[0x21]] {
        let frame = [ppp, &datagram()].concat();
        let info = generic(&gre(Some(9), 0x880b, &frame)).unwrap();
        is_the_datagram(&info);
        let tunnel = info.tunnel.unwrap();
        assert_eq!(
            (tunnel.tunnel_type, tunnel.tunnel_key),
            (TunnelType::Gre, 9)
        );
        // Version 1 has the payload length and the call ID in place of the key.
        let mut pptp = vec![0x30, 0x81, 0x88, 0x0b];
        pptp.extend(u16::try_from(frame.len()).unwrap().to_be_bytes());
        pptp.extend([0, 9, 0, 0, 0, 1, 0, 0, 0, 2]);
        let info = generic(&[pptp, frame].concat()).unwrap();
        is_the_datagram(&info);
        assert_eq!(info.tunnel.unwrap().tunnel_key, 9);
    }
    // There is no IP packet in link control, so the outer one counts.
    let info = generic(&gre(None, 0x880b, &[0xff, 3, 0xc0, 0x21, 1, 1, 0, 4])).unwrap();
    assert_eq!(info.inner_fault, Some(Undecodable::NotIp));
}

#[test]
fn tags_inside_a_pseudowire_are_looked_through() {
    let wire = |ethertype, payload: &[u8]| {
        let labels = mpls(
            &[16, 17],
            &[&[0, 0, 0, 0][..], &ethernet(ethertype, payload)].concat(),
        );
        decoded(&ethernet(0x8100, &tag(3, 0x8847, &labels)))
    };
    let untagged = wire(IP, &datagram()).unwrap();
    is_the_datagram(&untagged);
    assert_eq!(untagged.vlan_id, 3);
    for outermost in [0x8100, 0x88a8, 0x9100] {
        let tags = tag(0xe0c8, 0x8100, &tag(9, IP, &datagram()));
        let info = wire(outermost, &tags).unwrap();
        is_the_datagram(&info);
        assert_eq!(info.vlan_id, 200);
    }
    assert_eq!(
        wire(0x8100, &tag(200, 0x0806, &[0; 28])),
        Err(Undecodable::Arp)
    );
    assert_eq!(
        wire(0x8100, &tag(200, 0x88cc, &[0; 28])),
        Err(Undecodable::NotIp)
    );
    assert_eq!(wire(0x8100, &[0, 200]), Err(Undecodable::TruncatedLink));
}

#[test]
fn a_pseudowire_may_have_no_control_word() {
    let wire = |octets: &[u8]| decoded(&ethernet(0x8847, &mpls(&[40], octets)));
    for first in [0x00, 0x02, 0x3c, 0xa8] {
        let mut plain = ethernet(IP, &datagram());
        plain[..3].copy_from_slice(&[first, 0x1b, 0x21]);
        is_the_datagram(&wire(&plain).unwrap());
        let mut tagged = ethernet(0x8100, &tag(77, IP, &datagram()));
        tagged[..3].copy_from_slice(&[first, 0x1b, 0x21]);
        let info = wire(&tagged).unwrap();
        is_the_datagram(&info);
        assert_eq!(info.vlan_id, 77);
    }
    let arp = [&[0; 4][..], &ethernet(0x0806, &[0; 28])].concat();
    assert_eq!(wire(&arp), Err(Undecodable::Arp));
    assert_eq!(wire(&[0x30; 40]), Err(Undecodable::NotIp));
    assert_eq!(wire(&[0x30; 8]), Err(Undecodable::TruncatedLink));
}

#[test]
fn a_mac_address_can_begin_like_ipv6() {
    let wire = |octets: &[u8]| decoded(&ethernet(0x8847, &mpls(&[40], octets)));
    // The last octets of the address are the length in the header of an IPv6 packet: less than
    // there is, and more.
    for length in [[0, 9], [0x21, 0x04]] {
        for tagged in [false, true] {
            // As with checksums that the network card inserts.
            let mut packet = datagram();
            packet[10..12].copy_from_slice(&[0, 0]);
            let mut frame = match tagged {
                false => ethernet(IP, &packet),
                true => ethernet(0x8100, &tag(77, IP, &packet)),
            };
            frame[..4].copy_from_slice(&[0x6c, 0x1b, 0x21, 0x0a]);
            frame[4..6].copy_from_slice(&length);
            let info = wire(&frame).unwrap();
            is_the_datagram(&info);
            assert_eq!(info.vlan_id, if tagged { 77 } else { 0 });
        }
    }
}

#[test]
fn an_ipv6_address_can_look_like_a_frame_with_ip() {
    // The octets of the source after 2001:db8 are read as an EtherType and the beginning of an IP
    // header.
    for source in [
        "2001:db8:800:4500:18::1",
        "2001:db8:86dd:6000::1",
        "2001:db8:800:45ff:1c::1",
    ] {
        let source: Ipv6Addr = source.parse().unwrap();
        let mut packet = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        packet.extend(source.octets());
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
        let info = decoded(&ethernet(0x8847, &mpls(&[40], &packet))).unwrap();
        assert_eq!(info.key.source_address.to_ip(), source);
        assert_eq!(info.key.source_port, 12_345);
    }
}

#[test]
fn labels_of_sessions_inside_a_pseudowire_are_not_read() {
    let session = |protocol: [u8; 2], payload: &[u8]| {
        let packet = [&[0x11, 0, 0, 1, 0, 0][..], &protocol, payload].concat();
        [&[0; 4][..], &ethernet(0x8864, &packet)].concat()
    };
    let wire = |octets: &[u8]| decoded(&ethernet(0x8847, &mpls(&[40], octets)));
    is_the_datagram(&wire(&session([0, 0x21], &datagram())).unwrap());
    let labels = mpls(&[41], &datagram());
    assert_eq!(wire(&session([2, 0x81], &labels)), Err(Undecodable::NotIp));
    // With and without a control word, this is a session with labels, and then the same again.
    let mut level = [0; 30];
    for at in [12, 16] {
        level[at..at + 4].copy_from_slice(&[0x88, 0x64, 0x11, 0]);
    }
    for at in [20, 24] {
        level[at..at + 2].copy_from_slice(&[2, 0x81]);
    }
    level[28] = 1;
    assert_eq!(wire(&level.repeat(48)), Err(Undecodable::NotIp));
}

#[test]
fn tunnel_ports_can_be_set() {
    let decode = |settings: &[&str], port, payload: &[u8]| {
        let settings: Vec<TunnelPort> = settings.iter().map(|text| text.parse().unwrap()).collect();
        let mut decoder = Decoder::new(kipfix_probe::decode::DecoderSettings {
            tunnel_ports: TunnelPorts::new(&settings).unwrap(),
            ..decoder_settings()
        });
        let frame_octets = ethernet(IP, &ipv4(17, A, B, &udp(40000, port, payload)));
        decoder
            .decode(&frame(&frame_octets, SECOND), false)
            .unwrap()
    };
    let inner = ethernet(IP, &datagram());
    let network = |info: PacketInfo| info.tunnel.map(|t| (t.tunnel_type, t.tunnel_key));
    let vxlan = vxlan(5, &inner);
    let geneve = geneve(6, IP, &[], &datagram());
    let gpe = [&[0x0c, 0, 0, 1, 0, 0, 7, 0][..], &datagram()].concat();
    for (settings, port, payload, expected) in [
        (&[][..], 8473, &vxlan, None),
        (&["vxlan=8473"], 8473, &vxlan, Some((TunnelType::Vxlan, 5))),
        (&["vxlan=8473"], 8472, &vxlan, Some((TunnelType::Vxlan, 5))),
        (&["geneve=53"], 53, &geneve, Some((TunnelType::Geneve, 6))),
        (&["vxlan-gpe=9"], 9, &gpe, Some((TunnelType::Vxlan, 7))),
        (
            &["vxlan=1", "vxlan=2"],
            2,
            &vxlan,
            Some((TunnelType::Vxlan, 5)),
        ),
        (&["vxlan=none"], 4789, &vxlan, None),
        (
            &["vxlan=none", "geneve=4789"],
            4789,
            &geneve,
            Some((TunnelType::Geneve, 6)),
        ),
    ] {
        let info = decode(settings, port, payload);
        assert_eq!(network(info), expected, "{settings:?} {port}");
    }
}

#[test]
fn the_source_port_of_a_tunnel_does_not_matter() {
    let payload = vxlan(5, &ethernet(IP, &datagram()));
    // An answer from the port is not a tunnel packet.
    let info = decoded(&ethernet(IP, &ipv4(17, A, B, &udp(4789, 40000, &payload)))).unwrap();
    assert_eq!((info.tunnel, info.key.source_port), (None, 4789));
}

/// A packet of GRE with a sequence number.
fn mirrored(protocol: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = protocol.to_be_bytes();
    let gre = [&[0x10, 0, high, low, 0, 0, 0, 9][..], payload].concat();
    ethernet(IP, &ipv4(47, [192, 0, 2, 1], [192, 0, 2, 2], &gre))
}

#[test]
fn a_mirrored_frame_that_was_cut_has_the_octets_of_its_packet() {
    let packet = ipv4(17, A, B, &udp(5000, 53, &[7; 400]));
    let cut = &ethernet(IP, &packet)[..100];
    for (flags, is_read) in [(0x04, true), (0, false)] {
        let type_2 = [&[0x10, 5, flags, 3, 0, 0, 0, 1][..], cut].concat();
        let type_3 = [&[0x20, 5, flags, 3, 0, 0, 0, 1, 0, 0, 0, 0][..], cut].concat();
        for frame_octets in [mirrored(0x88be, &type_2), mirrored(0x22eb, &type_3)] {
            let info = decoded(&frame_octets).unwrap();
            if is_read {
                assert_eq!(info.inner_fault, None);
                assert_eq!(info.key.source_address, v4(A));
                assert_eq!(info.octets, 428);
            } else {
                // Nothing states that the packet was longer.
                assert_eq!(info.inner_fault, Some(Undecodable::MalformedIp));
                assert_eq!(info.key.source_address, v4([192, 0, 2, 1]));
            }
        }
    }
}

#[test]
fn mirrored_packets_without_a_frame_are_read() {
    for (packet, octets) in [
        (datagram(), 33),
        (ipv6(17, "fd00::1", "fd00::2", &udp(5000, 53, b"hello")), 53),
    ] {
        for (kind, optional, is_read) in [(2, false, true), (2, true, true), (3, false, false)] {
            let header = [0x20, 5, 0, 3, 0, 0, 0, 1, 0, 0, kind << 2, optional.into()];
            let subheader = if optional { &[0; 8][..] } else { &[] };
            let payload = [&header[..], subheader, &packet].concat();
            let info = decoded(&mirrored(0x22eb, &payload)).unwrap();
            if is_read {
                assert_eq!((info.octets, info.key.source_port), (octets, 5000));
                assert_eq!(info.tunnel.unwrap().tunnel_type, TunnelType::Gre);
            } else {
                assert_eq!(info.inner_fault, Some(Undecodable::NotIp), "{kind}");
            }
        }
    }
}

#[test]
fn frames_of_eoip_are_looked_into() {
    let packet = |length: u16, frame_octets: &[u8]| {
        let [high, low] = length.to_be_bytes();
        let header = [0x20, 0x01, 0x64, 0, high, low, 0x39, 0x05];
        let gre = [&header[..], frame_octets].concat();
        decoded(&ethernet(IP, &ipv4(47, A, [192, 0, 2, 2], &gre))).unwrap()
    };
    let inner = ethernet(0x8100, &tag(9, IP, &datagram()));
    let info = packet(u16::try_from(inner.len()).unwrap(), &inner);
    assert_eq!((info.octets, info.vlan_id), (33, 9));
    let tunnel = info.tunnel.unwrap();
    assert_eq!(
        (tunnel.tunnel_type, tunnel.tunnel_key),
        (TunnelType::Gre, 1337)
    );
    // A message between the ends.
    let info = packet(0, &[]);
    assert_eq!((info.tunnel, info.inner_fault), (None, None));
    assert_eq!(info.key.protocol_identifier, 47);
}

#[test]
fn the_payload_of_vxlan_gpe_is_that_of_its_next_protocol() {
    let inner = ethernet(IP, &datagram());
    let ip6 = ipv6(17, "fd00::1", "fd00::2", &udp(5000, 53, b"hello"));
    let labels = mpls(&[16, 17], &datagram());
    for (flags, next_protocol, payload, octets) in [
        (0x0c, 1, &datagram(), 33),
        (0x0c, 2, &ip6, 53),
        (0x0c, 3, &inner, 33),
        (0x0c, 5, &labels, 33),
        // Without the flag it is VXLAN.
        (0x08, 0, &inner, 33),
        (0x08, 1, &inner, 33),
    ] {
        let data = [&[flags, 0, 0, next_protocol, 0, 0, 7, 0][..], payload].concat();
        let outer = ipv4(17, [192, 0, 2, 1], [192, 0, 2, 2], &udp(9, 4790, &data));
        let info = decoded(&ethernet(IP, &outer)).unwrap();
        let wanted = (octets, 5000, None);
        let seen = (info.octets, info.key.source_port, info.inner_fault);
        assert_eq!(seen, wanted, "{flags} {next_protocol}");
        assert_eq!(info.tunnel.unwrap().tunnel_key, 7);
    }
}
