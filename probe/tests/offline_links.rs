//! Frames of link types that only savefiles have: from the first octet to the packet.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use kipfix_probe::capture::frame::LinkType;
use kipfix_probe::decode::{PacketInfo, Undecodable};
use packets::files::*;
use packets::*;

const SNAP: [u8; 8] = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn datagram(port: u16) -> Vec<u8> {
    ipv4(17, [10, 0, 0, 1], [10, 0, 0, 2], &udp(port, 53, &[0; 30]))
}

fn decoded_as(link_type: i32, captured: &[u8]) -> Result<PacketInfo, Undecodable> {
    let mut frame = frame(captured, SECOND);
    frame.link_type = LinkType::from_dlt(link_type);
    decoder().decode(&frame, false)
}

/// Checks that a header of this link type leads to the packet, and that no part of it is taken for
/// one.
fn leads_to_the_packet(link_type: i32, header: &[u8]) {
    let packet = [header, &datagram(1000)].concat();
    let info = decoded_as(link_type, &packet).unwrap();
    assert_eq!((info.key.source_port, info.octets), (1000, 58));
    for end in 0..header.len() {
        let outcome = decoded_as(link_type, &packet[..end]);
        assert!(outcome.is_err(), "{link_type} {end} {outcome:?}");
    }
}

fn concat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn link_layers_of_other_networks_lead_to_the_packet() {
    for (link_type, header) in [
        // ATM, Classical IP over ATM with and without LLC, Fibre Channel, SunATM, FDDI.
        (100, SNAP.to_vec()),
        (11, SNAP.to_vec()),
        (106, SNAP.to_vec()),
        (106, vec![]),
        (122, concat(&[&[0; 16], &SNAP])),
        (123, concat(&[&[2, 0, 0, 5], &SNAP])),
        (10, concat(&[&[0x50], &ADDRESSES, &SNAP])),
        // Token Ring, without and with a route of six octets.
        (6, concat(&[&[0x10, 0x40], &ADDRESSES, &SNAP])),
        (
            6,
            concat(&[
                &[0x10, 0x40],
                &ADDRESSES[..6],
                &[0x82, 0, 0, 0, 0, 2],
                &[0xc6, 0, 1, 2, 3, 4],
                &SNAP,
            ]),
        ),
        // Frame Relay with addresses of two and four octets, padding, SNAP, Cisco.
        (107, vec![0x18, 0x41, 3, 0xcc]),
        (107, vec![0x18, 0x40, 0x40, 0x41, 3, 0xcc]),
        (107, vec![0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0]),
        (107, vec![0x18, 0x41, 8, 0]),
        (206, vec![1, 0x18, 0x41, 3, 0xcc]),
        // SLIP, FireWire, IP over InfiniBand, MPLS.
        (8, vec![0; 16]),
        (138, concat(&[&[0; 16], &[8, 0]])),
        (242, concat(&[&[0; 40], &[8, 0, 0, 0]])),
        (219, vec![0, 1, 1, 64]),
        // PPP and Cisco HDLC with the direction in front.
        (204, vec![1, 0xff, 3, 0, 0x21]),
        (205, vec![0, 0x0f, 0, 8, 0]),
    ] {
        leads_to_the_packet(link_type, &header);
    }
}

#[test]
fn headers_of_switches_and_capture_cards_lead_to_the_packet() {
    let ethernet = concat(&[&ADDRESSES, &[8, 0]]);
    let juniper = |flags: u8, more: &[u8]| concat(&[b"MGC", &[flags], more]);
    let erf = |kind: u8, more: &[u8]| concat(&[&[7; 8], &[kind, 4, 0, 90, 0, 0, 0, 60], more]);
    for (link_type, header) in [
        (284, concat(&[&ADDRESSES, &[0x40, 0, 0, 1], &[8, 0]])),
        (
            285,
            concat(&[&ADDRESSES, &[0xda, 0xda, 0, 0, 0x40, 0, 0, 1], &[8, 0]]),
        ),
        (240, concat(&[&[0; 4], &ethernet])),
        (241, concat(&[&[0; 4], &[0x55; 7], &[0xd5], &ethernet])),
        // An express frame, one that can be interrupted, and its first fragment.
        (274, concat(&[&[0x55; 7], &[0xd5], &ethernet])),
        (274, concat(&[&[0x55; 7], &[0xe6], &ethernet])),
        (274, concat(&[&[0x55; 7], &[0xb3], &ethernet])),
        // ERF: Ethernet, with two extension headers, Cisco HDLC, PPP, IPv4.
        (197, erf(2, &concat(&[&[0; 2], &ethernet]))),
        (
            197,
            erf(0x82, &concat(&[&[0x85; 8], &[5; 8], &[0; 2], &ethernet])),
        ),
        (197, erf(1, &[0x0f, 0, 8, 0])),
        (197, erf(15, &[0xff, 3, 0, 0x21])),
        (197, erf(22, &[])),
        // Junos: Ethernet, with extensions, without a link header.
        (178, juniper(1, &ethernet)),
        (178, juniper(0x81, &concat(&[&[0, 6], &[1; 6], &ethernet]))),
        (178, juniper(0x02, &[0, 0, 0, 2])),
        (179, juniper(0, &[0xff, 3, 0, 0x21])),
        (180, juniper(0, &[0x18, 0x41, 3, 0xcc])),
        (181, juniper(0, &[0x0f, 0, 8, 0])),
    ] {
        leads_to_the_packet(link_type, &header);
    }
    let failed = concat(&[&erf(2, &[0; 2]), &ethernet, &datagram(1)]);
    let with_flags = |flags: u8| {
        let mut frame = failed.clone();
        frame[9] = flags;
        decoded_as(197, &frame).err()
    };
    assert_eq!(with_flags(0x04), None);
    assert_eq!(with_flags(0x10), Some(Undecodable::CorruptFrame));
    assert_eq!(
        decoded_as(197, &erf(21, &datagram(1))),
        Err(Undecodable::NotIp)
    );
}

#[test]
fn a_later_fragment_of_an_interrupted_frame_has_no_packet() {
    // The count of a later fragment has the values of the delimiters of first ones. The others are
    // of the verification of a link.
    for preamble in [[0x61, 0xe6], [0x2a, 0xb3], [0x55, 0x19], [0x55, 0x07]] {
        let payload = concat(&[&ADDRESSES, &[8, 0], &datagram(1000)]);
        let frame = concat(&[&[0x55; 6], &preamble, &payload]);
        assert_eq!(decoded_as(274, &frame), Err(Undecodable::NotIp));
    }
}

#[test]
fn headers_of_firewalls_lead_to_the_packet() {
    let attribute = |big: bool, kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len() + 4).unwrap();
        let number = |n: u16| {
            if big {
                n.to_be_bytes()
            } else {
                n.to_le_bytes()
            }
        };
        let mut out = concat(&[&number(length), &number(kind), value]);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    };
    for big in [false, true] {
        let payload = attribute(big, 9, &datagram(1000));
        let header = concat(&[
            &[2, 0, 0, 5],
            &attribute(big, 1, &[8, 0, 1, 0]),
            &attribute(big, 10, b"kept \0"),
            &payload[..4],
        ]);
        leads_to_the_packet(239, &header);
    }
    // The header of pf has its length without padding. Decrypted packets of IPsec have 12 octets.
    let mut pf = vec![61, 2, 0, 0];
    pf.resize(64, b'x');
    leads_to_the_packet(117, &pf);
    leads_to_the_packet(109, &[2, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3]);
    // An attribute of no length, and many of them, end.
    for length in [0, 4] {
        let empty = [length, 0, 1, 0].repeat(1000);
        let header = concat(&[&[2, 0, 0, 5], &empty]);
        assert_eq!(decoded_as(239, &header), Err(Undecodable::TruncatedLink));
    }
}

fn pktap(dlt: u32, more: &[u8]) -> Vec<u8> {
    let mut header = concat(&[&108_u32.to_le_bytes(), &[1, 0, 0, 0], &dlt.to_le_bytes()]);
    header.resize(108, b'e');
    concat(&[&header, more])
}

fn ppi(dlt: u8, more: &[u8]) -> Vec<u8> {
    concat(&[&[0, 0, 12, 0, dlt, 0, 0, 0, 9, 9, 9, 9], more])
}

#[test]
fn headers_that_name_a_link_type_lead_to_the_packet() {
    let ethernet = concat(&[&ADDRESSES, &[8, 0]]);
    leads_to_the_packet(258, &pktap(1, &ethernet));
    leads_to_the_packet(258, &pktap(12, &[]));
    leads_to_the_packet(258, &pktap(0, &[2, 0, 0, 0]));
    leads_to_the_packet(192, &ppi(1, &ethernet));
    leads_to_the_packet(192, &ppi(105, &data_frame(0x08, 0x01, &[], &SNAP)));
    // They are not nested.
    for nested in [ppi(192, &ppi(1, &[])), pktap(258, &pktap(1, &[]))] {
        let link_type = if nested[2] == 12 { 192 } else { 258 };
        assert_eq!(decoded_as(link_type, &nested), Err(Undecodable::NotIp));
    }
    let unknown = decoded_as(258, &pktap(999, &datagram(1)));
    assert_eq!(unknown, Err(Undecodable::UnsupportedLink));
}

/// An 802.11 frame: both octets of its frame control, what follows the three addresses and the
/// sequence, and the payload.
fn data_frame(kind: u8, flags: u8, header: &[u8], payload: &[u8]) -> Vec<u8> {
    concat(&[&[kind, flags, 0, 0], &[2; 18], &[0x70, 0], header, payload])
}

#[test]
fn data_frames_of_wireless_networks_lead_to_the_packet() {
    // To and from an access point, between two of them, QoS with and without HT control.
    let plain = data_frame(0x08, 0x01, &[], &SNAP);
    let frames = [
        plain.clone(),
        data_frame(0x08, 0x02, &[], &SNAP),
        data_frame(0x08, 0x03, &[2; 6], &SNAP),
        data_frame(0x88, 0x02, &[6, 0], &SNAP),
        data_frame(0x88, 0x03, &[2, 2, 2, 2, 2, 2, 6, 0], &SNAP),
        data_frame(0x88, 0x82, &[6, 0, 1, 2, 3, 4], &SNAP),
    ];
    let radiotap = [0, 0, 9, 0, 2, 0, 0, 0, 0x10];
    let mut prism = vec![0x44, 0, 0, 0, 144, 0, 0, 0];
    prism.resize(144, 0);
    let mut avs = vec![0x80, 0x21, 0x10, 1, 0, 0, 0, 64];
    avs.resize(64, 0);
    for frame in &frames {
        leads_to_the_packet(105, frame);
        leads_to_the_packet(127, &concat(&[&radiotap, frame]));
        leads_to_the_packet(119, &concat(&[&prism, frame]));
        leads_to_the_packet(119, &concat(&[&avs, frame]));
        leads_to_the_packet(163, &concat(&[&avs, frame]));
    }
    // The header is padded to a word.
    let padded = [0, 0, 9, 0, 2, 0, 0, 0, 0x20];
    let qos = data_frame(0x88, 0x02, &[6, 0, 0, 0], &SNAP);
    leads_to_the_packet(127, &concat(&[&padded, &qos]));
    // A check sequence behind the packet is not part of it.
    let packet = concat(&[&radiotap, &plain, &datagram(1000), &[7; 4]]);
    assert_eq!(decoded_as(127, &packet).unwrap().octets, 58);
}

#[test]
fn wireless_frames_without_a_readable_packet_have_a_reason() {
    let frame = |kind, flags| concat(&[&data_frame(kind, flags, &[], &SNAP), &datagram(1)]);
    let mut fragment = frame(0x08, 0x01);
    fragment[22] = 0x71;
    for (frame, reason) in [
        // A beacon, an acknowledgment, no data, the first and a later fragment, another version.
        (frame(0x80, 0), Undecodable::NotIp),
        (vec![0xd4, 0, 0, 0, 2, 2, 2, 2, 2, 2], Undecodable::NotIp),
        (frame(0x48, 1), Undecodable::NotIp),
        (frame(0xc8, 1), Undecodable::NotIp),
        (frame(0x08, 0x05), Undecodable::NotIp),
        (fragment, Undecodable::NotIp),
        (frame(0x09, 1), Undecodable::NotIp),
        (frame(0x08, 0x41), Undecodable::Encrypted),
        (frame(0x88, 0x42), Undecodable::Encrypted),
        (vec![0x08], Undecodable::TruncatedLink),
        (vec![], Undecodable::TruncatedLink),
    ] {
        assert_eq!(decoded_as(105, &frame), Err(reason), "{frame:02x?}");
    }
    let failed = concat(&[&[0, 0, 9, 0, 2, 0, 0, 0, 0x50], &frame(0x08, 1)[..]]);
    assert_eq!(decoded_as(127, &failed), Err(Undecodable::CorruptFrame));
}

/// A subframe of an A-MSDU with a datagram.
fn subframe(port: u16) -> Vec<u8> {
    let payload = concat(&[&SNAP, &datagram(port)]);
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = concat(&[&ADDRESSES, &length, &payload]);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// The source ports of the packets of a file, or why there is none.
fn ports(file: &[u8]) -> Vec<Result<u16, Undecodable>> {
    let frames = read_whole(file);
    let decoded = frames.iter().map(|seen| {
        let mut frame = frame(&seen.octets, seen.time_ns);
        frame.wire_octets = seen.wire_octets;
        frame.link_type = seen.link_type;
        let packet = decoder().decode(&frame, false);
        packet.map(|packet| {
            assert_eq!(packet.octets, 58);
            packet.key.source_port
        })
    });
    decoded.collect()
}

#[test]
fn the_packets_of_an_aggregate_are_handed_out_one_by_one() {
    let payload = concat(&[&subframe(1), &subframe(2), &subframe(3), &[7; 4]]);
    let aggregate = data_frame(0x88, 0x02, &[0x86, 0], &payload);
    let radiotap = concat(&[&[0, 0, 9, 0, 2, 0, 0, 0, 0x10], &aggregate]);
    let order = Order::Little;
    for (link_type, octets) in [
        (105, &aggregate),
        (127, &radiotap),
        (192, &ppi(105, &aggregate)),
        (192, &ppi(127, &radiotap)),
        (258, &pktap(105, &aggregate)),
        (258, &pktap(127, &radiotap)),
    ] {
        let mut file = pcap_header(order, MICROSECONDS, 65_535, link_type);
        file.extend(pcap_frame(order, (1, 0), len32(octets), octets));
        // An encrypted one follows.
        let mut other = aggregate.clone();
        other[1] |= 0x40;
        let other = concat(&[&octets[..octets.len() - aggregate.len()], &other]);
        file.extend(pcap_frame(order, (2, 0), len32(&other), &other));
        let wanted = [Ok(1), Ok(2), Ok(3), Err(Undecodable::Encrypted)];
        assert_eq!(ports(&file), wanted, "{link_type}");
    }
}

#[test]
fn the_packets_of_an_aggregate_that_cannot_be_read_are_one_undecodable_frame() {
    const LOST: Result<u16, Undecodable> = Err(Undecodable::TruncatedLink);
    let subframes = concat(&[&subframe(1), &subframe(2), &subframe(3)]);
    let begin = data_frame(0x88, 0x02, &[0x86, 0], &[]).len();
    let read = |octets: &[u8], captured: usize, order: Order| {
        let frame = data_frame(0x88, 0x02, &[0x86, 0], octets);
        let captured = &frame[..frame.len().min(begin + captured)];
        let mut file = pcap_header(order, MICROSECONDS, 65_535, 105);
        file.extend(pcap_frame(order, (1, 0), len32(&frame), captured));
        ports(&file)
    };
    let one = subframe(1).len();
    for order in [Order::Little, Order::Big] {
        // The snap length cuts the aggregate: behind the headers of a packet, between two, within
        // the header of a subframe, and before the first one ends.
        assert_eq!(read(&subframes, one - 20, order), [Ok(1), LOST]);
        assert_eq!(read(&subframes, one, order), [Ok(1), LOST]);
        assert_eq!(read(&subframes, one + 13, order), [Ok(1), LOST]);
        assert_eq!(read(&subframes, 2 * one + 60, order), [Ok(1), Ok(2), Ok(3)]);
        for captured in [0, 10] {
            assert_eq!(read(&subframes, captured, order), [LOST]);
        }
    }
    // No length, and a length beyond the frame. The octets that follow are not taken for a packet.
    for length in [[0, 0], [0xff, 0xff]] {
        for (place, wanted) in [(0, &[LOST][..]), (1, &[Ok(1), LOST])] {
            let mut invalid = subframes.clone();
            invalid[place * one + 12..][..2].copy_from_slice(&length);
            assert_eq!(read(&invalid, 9999, Order::Little), wanted, "{length:?}");
        }
    }
    // A check sequence is not a packet.
    let checked = concat(&[&subframes, &[7; 4]]);
    assert_eq!(read(&checked, 9999, Order::Little), [Ok(1), Ok(2), Ok(3)]);
}

#[test]
fn link_types_without_ip_packets_are_refused() {
    // USB, Bluetooth, InfiniBand, 802.15.4, Netlink, VSOCK, messages of upper layers.
    for link_type in [189, 201, 247, 195, 253, 271, 252, 220] {
        let mut file = pcap_header(Order::Little, MICROSECONDS, 65_535, link_type);
        file.extend(pcap_frame(Order::Little, (1, 0), 72, &numbered(1)));
        let (message, frames) = failure(&file);
        assert!(message.starts_with("unsupported link type "), "{message}");
        assert_eq!(frames, 0);
    }
}
