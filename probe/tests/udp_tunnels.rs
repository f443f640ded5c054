//! Tunnels over UDP and IP besides those of overlays, and packets that are encrypted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use flowproto::record::{SecurityProtocol, TunnelType};
use kipfix_probe::decode::tunnel_ports::{TunnelPort, TunnelPorts};
use kipfix_probe::decode::{Decoder, DecoderSettings, PacketInfo, Undecodable};
use packets::*;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const IP: u16 = 0x0800;
const IP6: u16 = 0x86dd;

/// The packet that is expected inside.
fn inner() -> Vec<u8> {
    ipv4(17, A, B, &udp(5000, 53, b"hello"))
}

fn is_inner(info: &PacketInfo) {
    assert_eq!(info.inner_fault, None);
    assert_eq!(info.key.source_address, v4(A));
    assert_eq!(
        (info.key.source_port, info.key.destination_port, info.octets),
        (5000, 53, 33)
    );
}

fn over_ip(protocol: u8, payload: &[u8]) -> PacketInfo {
    let outer = ipv4(protocol, [192, 0, 2, 1], [192, 0, 2, 2], payload);
    decoded(&ethernet(IP, &outer)).unwrap()
}

/// A datagram for a decoder that also knows the port of GTP-U.
fn over_udp(port: u16, payload: &[u8]) -> PacketInfo {
    let settings = DecoderSettings {
        tunnel_ports: TunnelPorts::new(&["gtp-u=2152".parse().unwrap()]).unwrap(),
        ..decoder_settings()
    };
    let datagram = udp(40_000, port, payload);
    let outer = ipv4(17, [192, 0, 2, 1], [192, 0, 2, 2], &datagram);
    let captured = ethernet(IP, &outer);
    let decoded = Decoder::new(settings).decode(&frame(&captured, SECOND), false);
    decoded.unwrap()
}

/// GTP-U with this type, key and optional part, and the length of the rest.
fn gtp(flags: u8, message_type: u8, optional: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(optional.len() + payload.len()).unwrap();
    let mut out = vec![0x30 | flags, message_type];
    out.extend(length.to_be_bytes());
    out.extend(0x0a0b_0c0d_u32.to_be_bytes());
    out.extend(optional);
    out.extend(payload);
    out
}

#[test]
fn every_kind_of_tunnel_has_its_inner_packet_as_the_flow() {
    let (frame, packet) = (ethernet(IP, &inner()), inner());
    let labels = mpls(&[16, 17], &packet);
    let session = |extras: &[u8], data: &[u8]| [&[0, 0, 0, 9][..], extras, data].concat();
    let v3 = |data: Vec<u8>| [&[0, 3, 0, 0][..], &data].concat();
    let v2 = [
        &[
            0x4a, 2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 1, 9, 0xff, 3, 0, 0x21,
        ][..],
        &packet,
    ]
    .concat();
    for (name, info, kind, key) in [
        ("IP in IP", over_ip(94, &packet), TunnelType::IpInIp, 0),
        (
            "EtherIP",
            over_ip(97, &[&[0x30, 0][..], &frame].concat()),
            TunnelType::Ethernet,
            0,
        ),
        ("Ethernet", over_ip(143, &frame), TunnelType::Ethernet, 0),
        ("MPLS", over_ip(137, &labels), TunnelType::Mpls, 0),
        ("MPLS in UDP", over_udp(6635, &labels), TunnelType::Mpls, 0),
        (
            "GRE in UDP",
            over_udp(4754, &gre(Some(7), IP, &packet)),
            TunnelType::Gre,
            7,
        ),
        (
            "GTP-U",
            over_udp(2152, &gtp(0, 255, &[], &packet)),
            TunnelType::GtpU,
            0x0a0b_0c0d,
        ),
        (
            "GTP-U with a sequence number",
            over_udp(2152, &gtp(2, 255, &[0, 1, 0, 0], &packet)),
            TunnelType::GtpU,
            0x0a0b_0c0d,
        ),
        (
            "GTP-U with two extension headers",
            over_udp(
                2152,
                &gtp(
                    4,
                    255,
                    &[0, 0, 0, 0x85, 1, 0, 9, 0x40, 2, 0, 0, 0, 0, 0, 0, 0],
                    &packet,
                ),
            ),
            TunnelType::GtpU,
            0x0a0b_0c0d,
        ),
        ("Teredo", teredo(&[]), TunnelType::Teredo, 0),
        (
            "Teredo with an origin",
            teredo(&[0, 0, 1, 2, 3, 4, 5, 6]),
            TunnelType::Teredo,
            0,
        ),
        (
            "Teredo with authentication",
            teredo(&[0, 1, 2, 1, 7, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0]),
            TunnelType::Teredo,
            0,
        ),
        (
            "L2TPv3 over IP",
            over_ip(115, &session(&[0; 4], &frame)),
            TunnelType::L2tp,
            9,
        ),
        (
            "L2TPv3 without extras",
            over_ip(115, &session(&[], &frame)),
            TunnelType::L2tp,
            9,
        ),
        (
            "L2TPv3 with a cookie",
            over_ip(
                115,
                &session(&[0x45, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0], &frame),
            ),
            TunnelType::L2tp,
            9,
        ),
        (
            "L2TPv3 with IP",
            over_ip(115, &session(&[], &packet)),
            TunnelType::L2tp,
            9,
        ),
        (
            "L2TPv3 over UDP",
            over_udp(1701, &v3(session(&[0; 4], &frame))),
            TunnelType::L2tp,
            9,
        ),
        ("L2TPv2", over_udp(1701, &v2), TunnelType::L2tp, 0x0001_0002),
        (
            "GUE",
            over_udp(6080, &[&[0, 4, 0, 0][..], &packet].concat()),
            TunnelType::Gue,
            0,
        ),
        (
            "GUE with private data",
            over_udp(6080, &[&[1, 4, 0, 0, 1, 2, 3, 4][..], &packet].concat()),
            TunnelType::Gue,
            0,
        ),
        ("GUE version 1", over_udp(6080, &packet), TunnelType::Gue, 0),
    ] {
        if !name.starts_with("Teredo") {
            is_inner(&info);
        }
        assert_eq!(info.inner_fault, None, "{name}");
        let tunnel = info.tunnel.unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            (tunnel.tunnel_type, tunnel.tunnel_key),
            (kind, key),
            "{name}"
        );
        let is_udp = tunnel.tunnel_protocol_identifier == 17;
        assert_eq!(
            tunnel.tunnel_source_port,
            if is_udp { 40_000 } else { 0 },
            "{name}"
        );
        assert_eq!(tunnel.tunnel_source_address, v4([192, 0, 2, 1]));
    }
}

fn teredo(before: &[u8]) -> PacketInfo {
    let six = ipv6(17, "2001::1", "2001:db8::2", &udp(1, 2, &[]));
    let info = over_udp(3544, &[before, &six].concat());
    assert_eq!(info.key.source_address, v6("2001::1"));
    info
}

#[test]
fn packets_within_gtp_u_are_metered_only_with_its_port_set() {
    let info = over_ip(17, &udp(2152, 2152, &gtp(0, 255, &[], &inner())));
    assert_eq!((info.tunnel, info.inner_fault), (None, None));
    assert_eq!(info.key.destination_port, 2152);
}

#[test]
fn a_server_of_teredo_is_known_by_its_source_port() {
    let six = ipv6(17, "2001:db8::2", "2001::1", &udp(2, 1, &[]));
    let info = over_ip(17, &udp(3544, 40_000, &six));
    assert_eq!(info.key.source_address, v6("2001:db8::2"));
    // A VXLAN port as the source port is chance.
    let info = over_ip(17, &udp(4789, 40_000, &six));
    assert_eq!(info.key.source_port, 4789);
}

#[test]
fn a_bubble_of_teredo_may_have_trailers() {
    let mut bubble = ipv6(59, "2001::1", "2001:db8::2", &[]);
    bubble.extend([1, 4, 9, 9, 9, 9, 5, 0, 5, 2, 0, 1]);
    let info = over_udp(3544, &bubble);
    assert_eq!(info.key.source_address, v6("2001::1"));
    assert_eq!(info.octets, 40);
    // With a payload it must end where the datagram does.
    let mut packet = ipv6(17, "2001::1", "2001:db8::2", &udp(1, 2, &[]));
    packet.push(0);
    assert_eq!(over_udp(3544, &packet).key.destination_port, 3544);
}

#[test]
fn a_padded_frame_in_l2tp_is_looked_through() {
    let short = ipv4(17, A, B, &udp(5000, 53, b"hello"));
    let mut frame = ethernet(IP, &short);
    frame.resize(60, 0);
    let info = over_ip(115, &[&[0, 0, 0, 9, 0, 0, 0, 0][..], &frame].concat());
    is_inner(&info);
    frame.resize(61, 0);
    let info = over_ip(115, &[&[0, 0, 0, 9, 0, 0, 0, 0][..], &frame].concat());
    assert_eq!(info.inner_fault, Some(Undecodable::NotIp));
}

#[test]
fn messages_between_the_ends_of_a_tunnel_are_flows_of_their_own() {
    for (port, payload) in [
        (2152, gtp(2, 1, &[0, 1, 0, 0], &[])),
        (2152, gtp(0, 254, &[], &[])),
        (1701, vec![0xc8, 2, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]),
        (1701, vec![0xc8, 3, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]),
        (6080, vec![0x20, 1, 0, 0]),
        (3544, vec![0; 40]),
    ] {
        let info = over_udp(port, &payload);
        assert_eq!((info.tunnel, info.inner_fault), (None, None), "{port}");
        assert_eq!(info.key.destination_port, port);
    }
    let control = over_ip(115, &[0, 0, 0, 0, 0xc8, 3]);
    assert_eq!((control.tunnel, control.inner_fault), (None, None));
}

#[test]
fn an_invalid_tunnel_header_leaves_the_outer_packet() {
    let packet = inner();
    let mut long = gtp(0, 255, &[], &packet);
    long.push(0);
    for (port, payload) in [
        // The length is not that of the rest.
        (2152, long),
        // GTP version 2, and GTP prime.
        (
            2152,
            [&[0x40, 255, 0, 33, 0, 0, 0, 1][..], &packet].concat(),
        ),
        (
            2152,
            [&[0x20, 255, 0, 33, 0, 0, 0, 1][..], &packet].concat(),
        ),
        // An extension header without a length, and one behind the end.
        (2152, gtp(4, 255, &[0, 0, 0, 0x85, 0, 0, 0, 0], &packet)),
        (2152, gtp(4, 255, &[0, 0, 0, 0x85, 200, 0, 0, 0], &packet)),
        (4754, [&[0x40, 0, 8, 0][..], &packet].concat()),
        (6080, [&[0x80, 4, 0, 0][..], &packet].concat()),
        (1701, [&[0, 5][..], &packet].concat()),
    ] {
        let info = over_udp(port, &payload);
        assert_eq!(info.tunnel, None, "{port} {payload:02x?}");
        assert_eq!(
            info.inner_fault,
            Some(Undecodable::MalformedTunnel),
            "{port}"
        );
    }
    // There is no IP packet.
    for (port, payload) in [
        (6635, mpls(&[16], &[0x50; 40])),
        (6080, [&[0, 6, 0, 0][..], &packet].concat()),
        (1701, [&[0, 3, 0, 0, 0, 0, 0, 9][..], &[0x45; 60]].concat()),
    ] {
        let info = over_udp(port, &payload);
        assert_eq!(info.inner_fault, Some(Undecodable::NotIp), "{port}");
    }
}

fn with_ports(settings: &[&str], frame_octets: &[u8]) -> PacketInfo {
    let settings: Vec<TunnelPort> = settings.iter().map(|text| text.parse().unwrap()).collect();
    let settings = DecoderSettings {
        tunnel_ports: TunnelPorts::new(&settings).unwrap(),
        ..decoder_settings()
    };
    let mut decoder = Decoder::new(settings);
    decoder.decode(&frame(frame_octets, SECOND), false).unwrap()
}

#[test]
fn foo_over_udp_needs_a_port() {
    let to_port = |payload: &[u8]| ethernet(IP, &ipv4(17, A, B, &udp(9, 5555, payload)));
    let direct = to_port(&inner());
    assert_eq!(with_ports(&[], &direct).tunnel, None);
    let info = with_ports(&["fou=5555"], &direct);
    is_inner(&info);
    assert_eq!(info.tunnel.unwrap().tunnel_type, TunnelType::Fou);
    let info = with_ports(&["fou=5555"], &to_port(&gre(None, IP, &inner())));
    is_inner(&info);
    assert_eq!(info.tunnel.unwrap().tunnel_type, TunnelType::Gre);
}

/// A segment routing header with these segments, last first.
fn segment_routing(next_header: u8, left: u8, segments: &[&str]) -> Vec<u8> {
    let count = u8::try_from(segments.len()).unwrap();
    let mut out = vec![next_header, 2 * count, 4, left, count - 1, 0, 0, 0];
    for segment in segments {
        out.extend(segment.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    out
}

#[test]
fn the_destination_behind_a_segment_routing_header_is_the_last_segment() {
    let packet = |left, kind: u8| {
        let mut header = segment_routing(17, left, &["fd00::9", "fd00::5"]);
        header[2] = kind;
        let payload = [&header[..], &udp(1, 2, &[])].concat();
        decoded(&ethernet(IP6, &ipv6(43, "fd00::1", "fd00::5", &payload))).unwrap()
    };
    for (left, kind, wanted) in [
        (1, 4, "fd00::9"),
        // The last segment is reached, and the field has it.
        (0, 4, "fd00::5"),
        // More segments than there are.
        (3, 4, "fd00::5"),
        // Another type.
        (1, 2, "fd00::5"),
    ] {
        let info = packet(left, kind);
        assert_eq!(info.key.destination_address, v6(wanted), "{left} {kind}");
        assert_eq!(info.key.destination_port, 2);
    }
    let mut long = segment_routing(17, 1, &["fd00::9", "fd00::5"]);
    long[4] = 7;
    let payload = [&long[..], &udp(1, 2, &[])].concat();
    let info = decoded(&ethernet(IP6, &ipv6(43, "fd00::1", "fd00::5", &payload))).unwrap();
    assert_eq!(info.key.destination_address, v6("fd00::5"));
}

#[test]
fn a_packet_behind_a_segment_routing_header_has_a_tunnel_of_its_own_type() {
    for (next_header, packet) in [(4, inner()), (143, ethernet(IP, &inner()))] {
        let header = segment_routing(next_header, 1, &["fd00::9", "fd00::5"]);
        let payload = [&header[..], &packet].concat();
        let info = decoded(&ethernet(IP6, &ipv6(43, "fd00::1", "fd00::5", &payload))).unwrap();
        is_inner(&info);
        let tunnel = info.tunnel.unwrap();
        assert_eq!(tunnel.tunnel_type, TunnelType::Srv6);
        assert_eq!(tunnel.tunnel_destination_address, v6("fd00::9"));
        assert_eq!(
            info.encapsulation_octets,
            u32::try_from(40 + 40 + packet.len() - 33).unwrap()
        );
    }
}

#[test]
fn wireguard_is_recognized_by_type_length_and_port() {
    let datagram = |ports: (u16, u16), kind: [u8; 4], octets: usize| {
        let mut payload = kind.to_vec();
        payload.resize(octets, 0xa5);
        let packet = ipv4(17, A, B, &udp(ports.0, ports.1, &payload));
        ethernet(IP, &packet)
    };
    let found = |ports, kind, octets| {
        decoded(&datagram(ports, kind, octets))
            .unwrap()
            .security_protocol
    };
    for (kind, octets, is_found) in [
        ([1, 0, 0, 0], 148, true),
        ([2, 0, 0, 0], 92, true),
        ([3, 0, 0, 0], 64, true),
        ([4, 0, 0, 0], 32, true),
        ([4, 0, 0, 0], 1440, true),
        ([1, 0, 0, 0], 149, false),
        ([2, 0, 0, 0], 148, false),
        ([3, 0, 0, 0], 65, false),
        ([4, 0, 0, 0], 16, false),
        ([4, 0, 0, 0], 40, false),
        ([4, 0, 0, 1], 32, false),
        ([5, 0, 0, 0], 32, false),
    ] {
        for ports in [(51_820, 9), (9, 51_871)] {
            let is_wireguard = found(ports, kind, octets) == SecurityProtocol::WireGuard;
            assert_eq!(is_wireguard, is_found, "{kind:?} {octets}");
        }
        assert_eq!(found((9, 8), kind, octets), SecurityProtocol::None);
    }
    let other = datagram((9, 8), [4, 0, 0, 0], 64);
    let info = with_ports(&["wireguard=8"], &other);
    assert_eq!(info.security_protocol, SecurityProtocol::WireGuard);
    // Of a packet that was cut, the length on the wire counts.
    let whole = datagram((51_820, 9), [4, 0, 0, 0], 96);
    let mut cut = frame(&whole, SECOND);
    cut.captured = &whole[..60];
    let info = decoder().decode(&cut, false).unwrap();
    assert_eq!(info.security_protocol, SecurityProtocol::WireGuard);
}

#[test]
fn esp_in_udp_is_distinguished_from_key_exchange_by_its_index() {
    let datagram = |payload: &[u8]| over_ip(17, &udp(4500, 40_000, payload)).security_protocol;
    assert_eq!(
        datagram(&[[0, 0, 1, 2], [7; 4], [7; 4]].concat()),
        SecurityProtocol::Esp
    );
    for payload in [&[0; 28][..], &[0xff], &[1, 2, 3, 4, 5, 6, 7, 8]] {
        assert_eq!(datagram(payload), SecurityProtocol::None, "{payload:?}");
    }
}

#[test]
fn packets_with_an_authentication_header_are_flows_of_their_transport() {
    let over = |next: u8, payload: &[u8]| {
        let payload = [&[next, 4][..], &[0; 22], payload].concat();
        [
            ethernet(IP6, &ipv6(51, "fd00::1", "fd00::2", &payload)),
            ethernet(IP, &ipv4(51, A, B, &payload)),
        ]
        .map(|frame| (decoded(&frame).unwrap(), frame.len() - 14))
    };
    for (info, octets) in over(17, &udp(1, 2, b"four")) {
        assert_eq!((info.key.source_port, info.key.destination_port), (1, 2));
        assert_eq!(info.key.protocol_identifier, 17);
        assert_eq!(info.security_protocol, SecurityProtocol::Ah);
        assert_eq!(u32::try_from(octets).unwrap(), info.octets);
        assert_eq!(info.payload_octets, 4);
    }
    // Tunnel mode: the inner packet is protected as well.
    for (info, _) in over(4, &inner()) {
        is_inner(&info);
        assert_eq!(info.security_protocol, SecurityProtocol::Ah);
    }
    // The header is cut, and later fragments have none.
    for payload in [&[17][..], &[17, 4, 0, 0]] {
        let info = decoded(&ethernet(IP, &ipv4(51, A, B, payload))).unwrap();
        assert_eq!((info.key.source_port, info.key.destination_port), (0, 0));
    }
    let later = ipv4_fragment(51, A, B, 9, 0x0003, &[17; 40]);
    let info = decoded(&ethernet(IP, &later)).unwrap();
    assert_eq!(info.key.protocol_identifier, 51);
}
