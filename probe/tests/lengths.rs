//! Lengths of packets: the frame on the wire limits what a header claims.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use kipfix_probe::decode::{Decoder, DecoderSettings, PacketInfo, Undecodable};
use packets::*;

const A: [u8; 4] = [10, 0, 0, 1];
const B: [u8; 4] = [10, 0, 0, 2];
const IP: u16 = 0x0800;
const IP6: u16 = 0x86dd;

fn v4_packet(payload: usize) -> Vec<u8> {
    ethernet(IP, &ipv4(17, A, B, &udp(5000, 53, &vec![0; payload])))
}

fn v6_packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(IP6, &ipv6(next_header, "fd00::1", "fd00::2", payload))
}

/// Sets the length in the IP header after an Ethernet header: total length, or payload length.
fn with_length(mut frame: Vec<u8>, length: u16) -> Vec<u8> {
    let at = if frame[14] >> 4 == 4 { 16 } else { 18 };
    frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Decodes a frame that had `wire_octets` on the wire.
fn decoded_as(captured: &[u8], wire_octets: u32) -> Result<PacketInfo, Undecodable> {
    let mut frame = frame(captured, SECOND);
    frame.wire_octets = wire_octets;
    decoder().decode(&frame, false)
}

#[test]
fn a_header_that_claims_more_octets_than_the_frame_is_malformed() {
    let v4 = v4_packet(100);
    let v6 = v6_packet(17, &udp(5000, 53, &[0; 100]));
    for (frame, claimed, expected) in [
        (&v4, 128, Ok(128)),
        (&v4, 129, Err(Undecodable::MalformedIp)),
        (&v4, 65_535, Err(Undecodable::MalformedIp)),
        (&v6, 108, Ok(148)),
        (&v6, 109, Err(Undecodable::MalformedIp)),
        (&v6, 65_535, Err(Undecodable::MalformedIp)),
    ] {
        let info = decoded(&with_length(frame.clone(), claimed));
        assert_eq!(info.map(|info| info.octets), expected, "{claimed}");
    }
}

#[test]
fn a_snap_length_cuts_no_octets() {
    let frame = v4_packet(1000);
    for captured in [34, 42, 64, 500] {
        let info = decoded_as(&frame[..captured], 1042).unwrap();
        assert_eq!((info.octets, info.is_wire_length_lost), (1028, false));
    }
    assert_eq!(
        decoded_as(&frame[..64], 1041).unwrap_err(),
        Undecodable::MalformedIp
    );
}

#[test]
fn link_headers_take_room_in_the_frame() {
    // With two tags, eight octets of the frame are not those of the packet.
    let inner = ipv4(17, A, B, &udp(1, 2, &[0; 50]));
    let tagged = ethernet(0x88a8, &tag(7, 0x8100, &tag(8, IP, &inner)));
    let length = u32::try_from(tagged.len()).unwrap();
    assert_eq!(decoded_as(&tagged, length).unwrap().octets, 78);
    assert_eq!(
        decoded_as(&tagged[..60], length - 1),
        Err(Undecodable::MalformedIp)
    );
}

#[test]
fn an_inner_packet_has_the_room_of_the_outer_one() {
    let inner = ipv4(17, [10, 1, 0, 1], [10, 1, 0, 2], &udp(7, 8, &[0; 40]));
    let claim = |octets: u16| {
        let mut inner = inner.clone();
        inner[2..4].copy_from_slice(&octets.to_be_bytes());
        let outer = udp(40000, 4789, &vxlan(5, &ethernet(IP, &inner)));
        decoded(&ethernet(IP, &ipv4(17, A, B, &outer))).unwrap()
    };
    assert_eq!((claim(68).octets, claim(68).inner_fault), (68, None));
    let beyond = claim(69);
    assert_eq!(beyond.inner_fault, Some(Undecodable::MalformedIp));
    assert_eq!(beyond.key.destination_port, 4789);
    assert_eq!(beyond.octets, 20 + 8 + 8 + 14 + 68);
}

#[test]
fn the_inner_packet_of_a_first_fragment_continues_in_later_ones() {
    let inner = ipv4(17, [10, 1, 0, 1], [10, 1, 0, 2], &udp(7, 8, &[0; 400]));
    let outer = udp(40000, 4789, &vxlan(5, &ethernet(IP, &inner)));
    let first = ethernet(IP, &ipv4_fragment(17, A, B, 9, 0x2000, &outer[..160]));
    let info = decoded(&first).unwrap();
    assert_eq!((info.octets, info.inner_fault), (428, None));
}

#[test]
fn padding_is_not_part_of_the_packet() {
    for (packet, octets, payload_octets) in [
        (v4_packet(1), 29, 1),
        (v6_packet(59, &[]), 40, 0),
        (v6_packet(6, &[]), 40, 0),
    ] {
        let mut padded = packet;
        padded.resize(100, 0xff);
        let info = decoded(&padded).unwrap();
        assert_eq!((info.octets, info.payload_octets), (octets, payload_octets));
    }
}

#[test]
fn a_frame_of_more_than_65535_octets_without_a_length_has_that_of_the_wire() {
    let segment = tcp((1, 2), (3, 4), ACK, &[0; 100]);
    let v4 = with_length(ethernet(IP, &ipv4(6, A, B, &segment)), 0);
    let v6 = with_length(v6_packet(6, &segment), 0);
    for (frame, header) in [(&v4, 40), (&v6, 60)] {
        let info = decoded_as(frame, 100_000).unwrap();
        assert_eq!(info.octets, 100_000 - 14);
        assert_eq!(info.payload_octets, 100_000 - 14 - header);
    }
    // It would have fitted into the length field.
    for octets in [154, 1000, 65_535 + 14] {
        assert_eq!(decoded_as(&v4, octets), Err(Undecodable::MalformedIp));
        // An IPv6 packet may be empty.
        assert_eq!(decoded_as(&v6, octets).unwrap().octets, 40);
    }
    assert_eq!(decoded_as(&v4, 65_536 + 14).unwrap().octets, 65_536);
}

#[test]
fn a_segment_that_was_captured_before_offload_has_the_length_of_its_frame() {
    let mut decoder = Decoder::new(DecoderSettings {
        is_before_offload: true,
        ..decoder_settings()
    });
    let segment = tcp((1, 2), (3, 4), ACK, &[0; 3000]);
    let datagram = udp(1, 2, &[0; 3000]);
    let other = vec![0; 3000];
    for (protocol, payload, header) in [(6, &segment, 20), (17, &datagram, 8), (253, &other, 0)] {
        let v4 = with_length(ethernet(IP, &ipv4(protocol, A, B, payload)), 0);
        let tagged = ethernet(0x8100, &[&[0, 7, 8, 0][..], &v4[14..]].concat());
        let v6 = with_length(v6_packet(protocol, payload), 0);
        for (frame_octets, link, ip) in [(&v4, 14, 20), (&tagged, 18, 20), (&v6, 14, 40)] {
            let info = decoder.decode(&frame(frame_octets, SECOND), false);
            // An IPv6 packet of another protocol may be empty.
            let is_empty = header == 0 && ip == 40;
            let expected = if is_empty {
                ip
            } else {
                frame_octets.len() - link
            };
            assert_eq!(
                usize::try_from(info.unwrap().octets),
                Ok(expected),
                "{protocol} {ip}"
            );
        }
    }
    // Padding of a short frame is not taken for a segment.
    let mut short = ethernet(IP, &ipv4(6, A, B, &tcp((1, 2), (3, 4), ACK, &[])));
    short.resize(60, 0);
    let info = decoder.decode(&frame(&with_length(short, 0), SECOND), false);
    assert_eq!(info, Err(Undecodable::MalformedIp));
}

#[test]
fn a_jumbogram_has_the_length_of_its_option() {
    let jumbo = |length: u32| {
        let option = [&[6, 0, 0xc2, 4][..], &length.to_be_bytes()].concat();
        let payload = [option, tcp((1, 2), (3, 4), ACK, &[])].concat();
        with_length(v6_packet(0, &payload), 0)
    };
    let info = decoded_as(&jumbo(70_000), 70_054).unwrap();
    assert_eq!(info.octets, 70_040);
    assert_eq!(info.payload_octets, 70_000 - 8 - 20);
    // Ethernet padding, or whatever follows, is not counted.
    assert_eq!(decoded_as(&jumbo(70_000), 80_000).unwrap().octets, 70_040);
    assert_eq!(
        decoded_as(&jumbo(70_001), 70_054),
        Err(Undecodable::MalformedIp)
    );
    // Below 65,536 the option is an error of its sender (RFC 2675 §3).
    assert_eq!(decoded_as(&jumbo(28), 82).unwrap().octets, 40);
}

#[test]
fn a_header_has_the_length_if_the_writer_of_the_file_lost_that_of_the_frame() {
    let whole = v4_packet(1000);
    let mut cut = frame(&whole[..96], SECOND);
    cut.is_wire_length_lost = true;
    let info = decoder().decode(&cut, false).unwrap();
    assert_eq!((info.octets, info.is_wire_length_lost), (1028, true));
    // A packet that fits was not cut.
    let short = v4_packet(54);
    let mut exact = frame(&short, SECOND);
    exact.is_wire_length_lost = true;
    let info = decoder().decode(&exact, false).unwrap();
    assert_eq!((info.octets, info.is_wire_length_lost), (82, false));
    // A length of 0 is still none.
    let zero = with_length(v4_packet(54), 0);
    let mut zero = frame(&zero, SECOND);
    zero.is_wire_length_lost = true;
    assert_eq!(
        decoder().decode(&zero, false),
        Err(Undecodable::MalformedIp)
    );
}

#[test]
fn a_header_that_is_longer_than_its_packet_is_malformed() {
    let mut options = v4_packet(10);
    options[14] = 0x4f;
    assert_eq!(decoded(&options), Err(Undecodable::MalformedIp));
    let short = with_length(v4_packet(10), 19);
    assert_eq!(decoded(&short), Err(Undecodable::MalformedIp));
}
