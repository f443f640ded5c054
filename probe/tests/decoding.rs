//! Decoding of frames: link layers, IP headers, fragments, transport headers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use kipfix_probe::capture::frame::LinkType;
use kipfix_probe::decode::{PacketInfo, Signal, Undecodable};
use packets::*;
use proptest::prelude::*;

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
    assert_eq!(info.key.protocol_identifier, 17);
    assert_eq!(info.octets, 33);
}

#[test]
fn a_plain_datagram_is_read_and_its_padding_is_not_counted() {
    let mut frame = ethernet(IP, &datagram());
    frame.resize(60, 0xff);
    let info = decoded(&frame).unwrap();
    is_the_datagram(&info);
    assert_eq!((info.vlan_id, info.ip_class_of_service), (0, 0xb8));
    assert_eq!(info.tunnel, None);
}

#[test]
fn tags_of_every_kind_are_looked_through_and_the_outermost_is_kept() {
    for outer in [0x8100, 0x88a8, 0x9100] {
        let inner = tag(0x2007, IP, &datagram());
        let info = decoded(&ethernet(outer, &tag(0xe064, 0x8100, &inner))).unwrap();
        is_the_datagram(&info);
        assert_eq!(info.vlan_id, 0x064);
    }
}

#[test]
fn tags_of_bridges_and_fabrics_are_looked_through() {
    let vlan = tag;
    let next = [8, 0];
    let tagged =
        |kind: u16, tag: &[u8]| decoded(&ethernet(kind, &[tag, &next, &datagram()].concat()));
    for (kind, tag) in [
        // Cisco metadata; MACsec without and with a channel identifier, not encrypted.
        (0x8909, vec![1, 1, 0, 1, 0, 20]),
        (0x88e5, vec![0x02, 0, 0, 0, 0, 9]),
        (0x88e5, [&[0x22, 0, 0, 0, 0, 9][..], &[4; 8]].concat()),
        // Provider backbone, VN-Tag, HSR, E-Tag, R-Tag.
        (0x88e7, [&[0x20, 0, 0, 5][..], &[6; 12]].concat()),
        (0x8926, vec![0x80, 1, 0, 2]),
        (0x892f, vec![0x10, 52, 0, 1]),
        (0x893f, vec![0, 0, 0x10, 1, 0, 0]),
        (0xf1c1, vec![0, 0, 0, 9]),
        // TRILL without and with 8 octets of options, FabricPath.
        (0x22f3, [&[0, 0x3f, 0, 1, 0, 2][..], &[6; 12]].concat()),
        (
            0x22f3,
            [&[0, 0x80, 0, 1, 0, 2][..], &[9; 8], &[6; 12]].concat(),
        ),
        (0x8903, [&[0x40, 0x20][..], &[6; 12]].concat()),
        // A timestamp of 64 and of 48 bits.
        (0xd28b, vec![0, 1, 0, 0x11, 1, 2, 3, 4, 5, 6, 7, 8]),
        (0xd28b, vec![0, 1, 1, 0x20, 1, 2, 3, 4, 5, 6]),
    ] {
        is_the_datagram(&tagged(kind, &tag).unwrap());
        // Behind and before a VLAN tag.
        let inner = [&tag[..], &[0x81, 0, 0, 7, 8, 0], &datagram()].concat();
        let info = decoded(&ethernet(0x8100, &vlan(3, kind, &inner))).unwrap();
        is_the_datagram(&info);
        assert_eq!(info.vlan_id, 3);
        assert_eq!(
            decoded(&ethernet(kind, &tag[..tag.len() - 1])),
            Err(Undecodable::TruncatedLink),
            "{kind:x}"
        );
    }
    // Encrypted, and a metadata version that is not known.
    for (kind, tag, reason) in [
        (0x88e5, [0x0e, 0, 0, 0, 0, 9], Undecodable::Encrypted),
        (0x88e5, [0x0a, 0, 0, 0, 0, 9], Undecodable::Encrypted),
        (0x8909, [2, 1, 0, 1, 0, 20], Undecodable::NotIp),
        (0xd28b, [0, 1, 0, 0x30, 0, 20], Undecodable::NotIp),
    ] {
        assert_eq!(tagged(kind, &tag), Err(reason));
    }
}

#[test]
fn a_network_service_header_is_looked_through() {
    let header = |words: u8, next: u8, payload: &[u8]| {
        let mut out = vec![0x0f, 0xc0 | words, 1, next];
        out.resize(usize::from(words) * 4, 7);
        out.extend(payload);
        out
    };
    let frame = ethernet(IP, &datagram());
    for service in [
        header(6, 1, &datagram()),
        header(2, 1, &datagram()),
        header(6, 3, &frame),
        header(2, 5, &mpls(&[16], &datagram())),
    ] {
        is_the_datagram(&decoded(&ethernet(0x894f, &service)).unwrap());
        let vxlan = [&[0x0c, 0, 0, 4, 0, 0, 9, 0][..], &service].concat();
        let outer = ipv4(17, B, A, &udp(4000, 4790, &vxlan));
        let info = decoded(&ethernet(IP, &outer)).unwrap();
        is_the_datagram(&info);
        assert_eq!(info.tunnel.unwrap().tunnel_key, 9);
    }
    let v6 = ipv6(17, "2001:db8::1", "2001:db8::2", &udp(1, 2, b""));
    let info = decoded(&ethernet(0x894f, &header(6, 2, &v6))).unwrap();
    assert_eq!(info.octets, 48);
    let unknown = ethernet(0x894f, &header(6, 6, &datagram()));
    assert_eq!(decoded(&unknown), Err(Undecodable::NotIp));
    let truncated = ethernet(0x894f, &header(6, 1, &[])[..20]);
    assert_eq!(decoded(&truncated), Err(Undecodable::TruncatedLink));
}

#[test]
fn mpls_pppoe_llc_and_pseudowires_are_looked_through() {
    let pppoe = |protocol: &[u8]| {
        let payload = [protocol, &datagram()].concat();
        let mut out = vec![0x11, 0, 0, 1];
        out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        out.extend(payload);
        out
    };
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &datagram()].concat();
    let length = u16::try_from(snap.len()).unwrap();
    let pseudowire = [&[0, 0, 0, 0][..], &ethernet(IP, &datagram())].concat();
    for frame in [
        ethernet(0x8847, &mpls(&[100], &datagram())),
        ethernet(0x8847, &mpls(&[100, 200, 300], &datagram())),
        ethernet(0x8848, &mpls(&[5], &pseudowire)),
        ethernet(0x8864, &pppoe(&[0x00, 0x21])),
        ethernet(0x8864, &pppoe(&[0x21])),
        ethernet(length, &snap),
        ethernet(0x8100, &tag(7, 0x8847, &mpls(&[1], &datagram()))),
    ] {
        is_the_datagram(&decoded(&frame).unwrap());
    }
}

#[test]
fn a_mac_address_behind_labels_can_begin_like_an_ip_header() {
    let mut packet = datagram();
    let words = packet[..20].chunks(2);
    let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
    let v6 = ipv6(17, "2001:db8::1", "2001:db8::2", &udp(1, 2, b""));
    let behind = |mac: [u8; 6], kind, packet: &[u8]| {
        let mut frame = ethernet(kind, packet);
        frame[..6].copy_from_slice(&mac);
        decoded(&ethernet(0x8847, &mpls(&[3], &frame)))
    };
    for mac in [
        [0x45, 0xaa, 0xbb, 0xcc, 0xdd, 0xee],
        [0x48, 0x8f, 0x5a, 1, 2, 3],
        [0x44, 0xd9, 0xe7, 1, 2, 3],
        [0x60, 0x32, 0xb1, 1, 2, 3],
    ] {
        is_the_datagram(&behind(mac, IP, &packet).unwrap());
        assert_eq!(behind(mac, IP6, &v6).unwrap().octets, 48, "{mac:x?}");
        let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[0; 38]].concat();
        assert_eq!(behind(mac, 0x0806, &arp), Err(Undecodable::Arp));
    }
    // Addresses with the EtherTypes of IPv4 and ARP at their place.
    for part in ["800:4500:21:", "806:1:"] {
        let source = format!("2001:db8:{part}:1");
        let packet = ipv6(17, &source, "2001:db8::2", &udp(1, 2, b""));
        let info = decoded(&ethernet(0x8847, &mpls(&[3], &packet))).unwrap();
        assert_eq!((info.octets, info.key.source_port), (48, 1), "{source}");
    }
}

#[test]
fn other_link_types_lead_to_the_same_packet() {
    let with = |header: &[u8]| [header, &datagram()].concat();
    for (link_type, octets) in [
        (LinkType::Raw, with(&[])),
        (LinkType::Ipv4, with(&[])),
        (LinkType::Loopback, with(&[2, 0, 0, 0])),
        (LinkType::Loopback, with(&[0, 0, 0, 2])),
        (LinkType::Ppp, with(&[0xff, 3, 0, 0x21])),
        (LinkType::Ppp, with(&[0x8f, 0, 8, 0])),
        (LinkType::CiscoHdlc, with(&[0x0f, 0, 8, 0])),
        (
            LinkType::LinuxSll,
            with(&[0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0]),
        ),
        (
            LinkType::LinuxSll2,
            with(&[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0]),
        ),
    ] {
        let mut frame = frame(&octets, SECOND);
        frame.link_type = link_type;
        is_the_datagram(&decoder().decode(&frame, false).unwrap());
    }
}

#[test]
fn frames_without_an_ip_packet_have_a_reason() {
    for (frame, reason) in [
        (ethernet(0x0806, &[0; 28]), Undecodable::Arp),
        (ethernet(0x88cc, &[0; 50]), Undecodable::NotIp),
        (vec![0; 13], Undecodable::TruncatedLink),
        (ethernet(0x8100, &[0; 3]), Undecodable::TruncatedLink),
        (ethernet(IP, &[0x45; 19]), Undecodable::TruncatedIp),
        (ethernet(IP6, &[0x60; 39]), Undecodable::TruncatedIp),
        (ethernet(IP, &[0x41; 40]), Undecodable::MalformedIp),
        (
            ethernet(IP, &ipv6(17, "::1", "::1", &[])),
            Undecodable::MalformedIp,
        ),
    ] {
        assert_eq!(decoded(&frame), Err(reason), "{frame:x?}");
    }
}

#[test]
fn extension_headers_lead_to_the_transport() {
    let mut options = vec![43, 1];
    options.extend([0; 14]);
    options.extend([51, 0, 0, 0, 0, 0, 0, 0]); // routing, then authentication of 4 + 2 words
    options.extend([60, 4]);
    options.extend([0; 22]);
    options.extend([17, 0, 0, 0, 0, 0, 0, 0]); // destination options
    options.extend(udp(7, 8, b"x"));
    let info = decoded(&ethernet(IP6, &ipv6(0, "fd00::1", "fd00::2", &options))).unwrap();
    assert_eq!((info.key.source_port, info.key.destination_port), (7, 8));
    assert_eq!(info.key.protocol_identifier, 17);
    assert_eq!(info.octets, 40 + u32::try_from(options.len()).unwrap());
}

#[test]
fn tcp_flags_have_a_meaning_for_the_connection() {
    let signal = |flags| {
        let segment = tcp((1, 2), (3, 4), flags, &[]);
        decoded(&ethernet(IP, &ipv4(6, A, B, &segment)))
            .unwrap()
            .signal
    };
    assert_eq!(signal(SYN), Signal::Open);
    assert_eq!(signal(SYN | ACK), Signal::Accept);
    assert_eq!(signal(ACK), Signal::None);
    assert_eq!(signal(FIN | ACK), Signal::Finish);
    assert_eq!(signal(RST), Signal::Abort);
    let syn = tcp_syn((1, 2), (77, 0), SYN, 1380);
    let info = decoded(&ethernet(IP, &ipv4(6, A, B, &syn))).unwrap();
    assert_eq!(
        (info.maximum_segment_octets, info.sequence_number),
        (1380, 77)
    );
    assert_eq!((info.tcp_option_octets, info.payload_octets), (8, 0));
}

#[test]
fn sctp_chunks_open_and_end_an_association() {
    let signal = |kind: u8| {
        let mut packet = vec![0, 80, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, kind, 0, 0, 20];
        packet.extend([0, 0, 0, 9, 0, 0, 0, 0]);
        decoded(&ethernet(IP, &ipv4(132, A, B, &packet))).unwrap()
    };
    assert_eq!(
        (signal(1).signal, signal(1).sequence_number),
        (Signal::Open, 9)
    );
    assert_eq!(signal(2).signal, Signal::Accept);
    assert_eq!(signal(6).signal, Signal::Abort);
    assert_eq!(signal(0).signal, Signal::None);
    assert_eq!(signal(0).key.source_port, 80);
}

#[test]
fn without_its_transport_header_a_packet_has_no_ports() {
    let whole = ethernet(IP, &datagram());
    let mut cut = frame(&whole[..36], SECOND);
    cut.wire_octets = u32::try_from(whole.len()).unwrap();
    let info = decoder().decode(&cut, false).unwrap();
    assert_eq!((info.key.source_port, info.key.destination_port), (0, 0));
    assert_eq!((info.key.protocol_identifier, info.octets), (17, 33));
}

#[test]
fn later_fragments_have_the_ports_of_the_first_for_30_seconds() {
    let mut decoder = decoder();
    let datagram = udp(5000, 53, &[0; 24]);
    let first = ethernet(IP, &ipv4_fragment(17, A, B, 7, 0x2000, &datagram[..16]));
    let later = ethernet(IP, &ipv4_fragment(17, A, B, 7, 2, &datagram[16..]));
    let other = ethernet(IP, &ipv4_fragment(17, A, B, 8, 2, &datagram[16..]));
    let mut ports = |octets: &[u8], time| {
        let info = decoder.decode(&frame(octets, time), false).unwrap();
        (info.key.source_port, info.key.destination_port)
    };
    assert_eq!(ports(&later, SECOND), (0, 0));
    assert_eq!(ports(&first, SECOND), (5000, 53));
    assert_eq!(ports(&later, 2 * SECOND), (5000, 53));
    assert_eq!(ports(&other, 2 * SECOND), (0, 0));
    assert_eq!(ports(&later, 40 * SECOND), (0, 0));
    assert_eq!(
        (decoder.fragments().len(), decoder.fragments().orphans()),
        (2, 3)
    );
}

#[test]
fn fragments_of_two_networks_do_not_share_ports() {
    let part = |vlan, source_port, offset_flags: u16| {
        let datagram = udp(source_port, 53, &[0; 24]);
        let payload = if offset_flags == 0x2000 {
            &datagram[..16]
        } else {
            &datagram[16..]
        };
        let packet = ipv4_fragment(17, A, B, 7, offset_flags, payload);
        ethernet(0x8100, &tag(vlan, IP, &packet))
    };
    let mut decoder = decoder();
    let parts = [
        (21, 5001, 0x2000),
        (22, 5002, 0x2000),
        (21, 5001, 2),
        (22, 5002, 2),
    ];
    for (vlan, source_port, offset_flags) in parts {
        let octets = part(vlan, source_port, offset_flags);
        let info = decoder.decode(&frame(&octets, SECOND), false).unwrap();
        assert_eq!((info.vlan_id, info.key.source_port), (vlan, source_port));
    }
    assert_eq!(decoder.fragments().len(), 2);
}

#[test]
fn ipv6_fragments_have_the_ports_of_the_first_and_atomic_ones_are_whole_packets() {
    let part = |offset_flags: u16, payload: &[u8]| {
        let mut header = vec![17, 0];
        header.extend(offset_flags.to_be_bytes());
        header.extend([0, 0, 0, 42]);
        header.extend(payload);
        ethernet(IP6, &ipv6(44, "fd00::1", "fd00::2", &header))
    };
    let mut decoder = decoder();
    let mut source_port = |octets: &[u8]| {
        let info = decoder.decode(&frame(octets, SECOND), false).unwrap();
        info.key.source_port
    };
    assert_eq!(source_port(&part(1, &udp(9, 10, &[]))), 9);
    assert_eq!(source_port(&part(8, &[0; 8])), 9);
    assert_eq!(source_port(&part(0, &udp(11, 12, &[]))), 11);
    assert_eq!(decoder.fragments().len(), 1);
}

#[test]
fn a_first_ipv6_fragment_may_have_more_extension_headers() {
    let part = |next: u8, offset_flags: u16, payload: &[u8]| {
        let mut header = vec![next, 0];
        header.extend(offset_flags.to_be_bytes());
        header.extend([0, 0, 0, 42]);
        header.extend(payload);
        ethernet(IP6, &ipv6(44, "fd00::1", "fd00::2", &header))
    };
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp(9, 10, &[])].concat();
    let mut decoder = decoder();
    for octets in [part(60, 1, &options), part(60, 16, &[0; 8])] {
        let info = decoder.decode(&frame(&octets, SECOND), false).unwrap();
        assert_eq!(
            (info.key.protocol_identifier, info.key.source_port),
            (17, 9)
        );
    }
    assert_eq!(decoder.fragments().orphans(), 0);
}

#[test]
fn a_full_fragment_table_evicts_the_oldest_packet() {
    let mut decoder = decoder();
    for identification in 0..20 {
        let first = ipv4_fragment(17, A, B, identification, 0x2000, &udp(1, 2, &[]));
        decoder
            .decode(&frame(&ethernet(IP, &first), SECOND), false)
            .unwrap();
    }
    assert_eq!(
        (decoder.fragments().len(), decoder.fragments().evicted()),
        (16, 4)
    );
}

fn any_valid_packet() -> impl Strategy<Value = Vec<u8>> {
    let transport = prop_oneof![
        (
            any::<(u16, u16)>(),
            prop::collection::vec(any::<u8>(), 0..60)
        )
            .prop_map(|((a, b), data)| (17, udp(a, b, &data))),
        (any::<(u16, u16)>(), any::<(u32, u32)>(), any::<u8>())
            .prop_map(|(ports, numbers, flags)| (6, tcp(ports, numbers, flags & 0x3f, b"data"))),
        any::<(u8, u8)>().prop_map(|(kind, code)| (1, vec![kind, code, 0, 0, 0, 1, 0, 2])),
    ];
    let plain = (transport, any::<bool>()).prop_map(|((protocol, data), four)| {
        if four {
            (IP, ipv4(protocol, A, B, &data))
        } else {
            (IP6, ipv6(protocol, "fd00::1", "fd00::2", &data))
        }
    });
    (plain, 0..6_u8).prop_map(|((kind, packet), wrap)| match wrap {
        0 => ethernet(0x8100, &tag(5, kind, &packet)),
        1 => ethernet(
            IP,
            &ipv4(17, A, B, &udp(1, 4789, &vxlan(1, &ethernet(kind, &packet)))),
        ),
        2 => ethernet(IP, &ipv4(47, A, B, &gre(Some(1), kind, &packet))),
        3 => ethernet(
            IP,
            &ipv4(17, A, B, &udp(1, 6081, &geneve(1, kind, &[0; 8], &packet))),
        ),
        4 => ethernet(0x8847, &mpls(&[1, 2], &packet)),
        _ => ethernet(kind, &packet),
    })
}

proptest! {
    #[test]
    fn any_octets_are_decoded_without_a_panic(
        octets in prop::collection::vec(any::<u8>(), 0..300),
        wire in any::<u32>(),
        dlt in prop::sample::select(vec![0, 1, 9, 12, 51, 113, 228, 229, 276]),
    ) {
        let mut frame = frame(&octets, SECOND);
        frame.wire_octets = wire;
        frame.link_type = LinkType::from_dlt(dlt);
        decoder().decode(&frame, false).ok();
    }

    #[test]
    fn truncated_and_changed_packets_are_decoded_without_a_panic(
        packet in any_valid_packet(),
        at in any::<prop::sample::Index>(),
        flip in any::<u8>(),
    ) {
        let whole = decoded(&packet).unwrap();
        for length in 0..packet.len() {
            let mut cut = frame(&packet[..length], SECOND);
            cut.wire_octets = u32::try_from(packet.len()).unwrap();
            if let Ok(info) = decoder().decode(&cut, false)
                && info.tunnel == whole.tunnel
            {
                prop_assert_eq!(info.octets, whole.octets);
            }
        }
        let mut flipped = packet.clone();
        flipped[at.index(packet.len())] ^= flip;
        decoded(&flipped).ok();
    }

    #[test]
    fn plain_packets_are_read_as_etherparse_reads_them(
        four in any::<bool>(),
        ports in any::<(u16, u16)>(),
        data in prop::collection::vec(any::<u8>(), 0..80),
        cut in 54..200_usize,
    ) {
        // Tunnels are looked into here and not there.
        prop_assume!(![4789, 4790, 6081, 8472].contains(&ports.1));
        let transport = udp(ports.0, ports.1, &data);
        let packet = if four {
            ethernet(0x88a8, &tag(3, IP, &ipv4(17, A, B, &transport)))
        } else {
            ethernet(IP6, &ipv6(17, "fd00::1", "fd00::2", &transport))
        };
        let captured = &packet[..cut.min(packet.len())];
        let mut cut = frame(captured, SECOND);
        cut.wire_octets = u32::try_from(packet.len()).unwrap();
        let ours = decoder().decode(&cut, false).unwrap();
        let theirs = etherparse::LaxSlicedPacket::from_ethernet(captured).unwrap();
        let (source, protocol): (std::net::IpAddr, u8) = match theirs.net.unwrap() {
            etherparse::LaxNetSlice::Ipv4(ip) => {
                (ip.header().source_addr().into(), ip.payload_ip_number().0)
            }
            etherparse::LaxNetSlice::Ipv6(ip) => {
                (ip.header().source_addr().into(), ip.payload().ip_number.0)
            }
            etherparse::LaxNetSlice::Arp(_) => unreachable!(),
        };
        prop_assert_eq!(ours.key.source_address.to_ip(), source);
        prop_assert_eq!(ours.key.protocol_identifier, protocol);
        if let Some(etherparse::TransportSlice::Udp(udp)) = theirs.transport {
            prop_assert_eq!(ours.key.source_port, udp.source_port());
            prop_assert_eq!(ours.key.destination_port, udp.destination_port());
        }
    }
}
