//! Flow export inside tunnels, and other packets in them.

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder};

use super::{EXPORT, SkipReason, ethernet, pcap, read, simple, skipped};

/// An Ethernet frame with an IPv4 packet of another pair of addresses.
fn outer(protocol: IpNumber, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let ip = Ipv4Header::new(length, 64, protocol, [198, 51, 100, 1], [198, 51, 100, 2]);
    let ethernet = Ethernet2Header {
        ether_type: EtherType::IPV4,
        ..Ethernet2Header::default()
    };
    let mut frame = ethernet.to_bytes().to_vec();
    ip.unwrap().write(&mut frame).unwrap();
    frame.extend(payload);
    frame
}

fn over_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4([198, 51, 100, 1], [198, 51, 100, 2], 64)
        .udp(40_000, port)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

fn vxlan(frame: &[u8]) -> Vec<u8> {
    [&[8, 0, 0, 0, 0, 0, 5, 0], frame].concat()
}

#[test]
fn flow_export_inside_a_tunnel_is_read() {
    let frame = ethernet(EXPORT);
    let packet = &frame[14..];
    let geneve = |options: u8, kind: [u8; 2], inner: &[u8]| {
        let header = [options, 0, kind[0], kind[1], 0, 0, 5, 0];
        let options = vec![0xaa; usize::from(options) * 4];
        [&header, &options[..], inner].concat()
    };
    let mut over_v6 = Ipv6Header {
        payload_length: u16::try_from(packet.len()).unwrap(),
        next_header: IpNumber::IPV4,
        ..Ipv6Header::default()
    }
    .to_bytes()
    .to_vec();
    over_v6.extend(packet);
    let tagged = [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat();
    for (link_type, captured) in [
        (1, over_udp(4789, &vxlan(&frame))),
        (1, over_udp(8472, &vxlan(&tagged))),
        (1, over_udp(6081, &geneve(0, [0x65, 0x58], &frame))),
        (1, over_udp(6081, &geneve(3, [0x65, 0x58], &frame))),
        (1, over_udp(6081, &geneve(1, [0x08, 0x00], packet))),
        (1, outer(IpNumber::IPV4, packet)),
        (101, over_v6),
        (1, outer(IpNumber::GRE, &[&[0, 0, 8, 0], packet].concat())),
        (
            1,
            outer(
                IpNumber::GRE,
                &[&[0xb0, 0, 0x65, 0x58], &[9; 12][..], &frame].concat(),
            ),
        ),
        // A tunnel in a tunnel.
        (1, over_udp(4789, &vxlan(&outer(IpNumber::IPV4, packet)))),
    ] {
        let (datagrams, ..) = read(simple(link_type, std::slice::from_ref(&captured)));
        assert_eq!(datagrams.len(), 1, "{captured:02x?}");
        assert_eq!(datagrams[0].0, "192.0.2.10:50000".parse().unwrap());
        assert_eq!(datagrams[0].1, EXPORT);
    }
}

#[test]
fn a_tunnel_packet_without_flow_export_is_skipped_by_what_is_inside() {
    let whole = over_udp(4789, &vxlan(&ethernet(EXPORT)));
    let arp = [&[1; 12][..], &[8, 6], &[0; 28]].concat();
    for (captured, reason) in [
        (over_udp(4789, &vxlan(&arp)), SkipReason::NotUdp),
        (
            over_udp(4789, &vxlan(&ethernet(b"hello"))),
            SkipReason::NotFlowExport,
        ),
        // Not the header of the protocol of this port, and no tunnel at all.
        (over_udp(4789, b"something else"), SkipReason::NotFlowExport),
        (over_udp(6081, &[0xff; 40]), SkipReason::NotFlowExport),
        (
            over_udp(4790, &vxlan(&ethernet(EXPORT))),
            SkipReason::NotFlowExport,
        ),
        (outer(IpNumber::GRE, &[0x40; 40]), SkipReason::NotUdp),
    ] {
        assert_eq!(skipped(simple(1, &[captured])), [reason]);
    }
    // Every length on the way to the last octet.
    for length in 0..whole.len() {
        let cut = pcap(
            0xa1b2_c3d4,
            false,
            1,
            &[(whole[..length].to_vec(), whole.len())],
        );
        assert_eq!(skipped(cut).len(), 1, "{length}");
    }
}
