//! Records with the first octets of a packet instead of counters (RFC 5476).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "test code"
)]

mod exporter;

use exporter::{exporter, ipfix, numbers, options_template, template};
use flowproto::FlowRecord;
use flowproto::record::Sampling;
use proptest::prelude::*;

const FRAME: u16 = 315;
const PACKET: u16 = 313;
const VARIABLE: u16 = 65_535;

/// An IPv4 header of a packet of this length, with four octets of options.
fn ipv4(length: u16, protocol: u8, offset: u16) -> Vec<u8> {
    let [l0, l1] = length.to_be_bytes();
    let [o0, o1] = offset.to_be_bytes();
    let mut header = vec![0x46, 0xb8, l0, l1, 0, 9, o0, o1, 64, protocol, 0, 0];
    header.extend([10, 1, 0, 3, 198, 51, 100, 9, 1, 1, 1, 1]);
    header
}

/// An IPv6 header of a packet with this payload length.
fn ipv6(payload: u16, next: u8) -> Vec<u8> {
    let [l0, l1] = payload.to_be_bytes();
    let mut header = vec![0x62, 0xe0, 0, 0, l0, l1, next, 64];
    header.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    header.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6]);
    header
}

/// The first octets of a TCP header with SYN and ACK.
const TCP: [u8; 14] = [0x01, 0xbb, 0xc0, 0x00, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12];

/// A frame of these tags behind the MAC addresses.
fn frame(tags: &[u8], packet: &[u8]) -> Vec<u8> {
    [&[2; 12], tags, packet].concat()
}

/// The record of a section of variable length between an interface and a frame size.
fn report(element: u16, section: &[u8]) -> FlowRecord {
    report_of(element, section, 1518)
}

/// The same with another frame size.
fn report_of(element: u16, section: &[u8], frame_octets: u64) -> FlowRecord {
    let mut e = exporter();
    let fields = [(10, 4), (element, VARIABLE), (312, 4), (14, 4)];
    let mut record = numbers(&[(17, 4), (section.len() as u64, 1)]);
    record.extend(section);
    record.extend(numbers(&[(frame_octets, 4), (18, 4)]));
    e.send(&ipfix(0, &[(2, template(300, &fields)), (300, record)]));
    assert_eq!(e.taken.records.len(), 1);
    e.taken.records.remove(0)
}

fn ends(record: &FlowRecord) -> (String, String, u8) {
    let key = record.key;
    let end = |address: flowproto::Address, port| format!("{} {port}", address.to_ip());
    (
        end(key.source_address, key.source_port),
        end(key.destination_address, key.destination_port),
        key.protocol_identifier,
    )
}

fn counts(record: &FlowRecord) -> (u64, u64) {
    (record.octet_delta_count, record.packet_delta_count)
}

#[test]
fn a_frame_is_one_packet_with_the_length_in_its_ip_header() {
    let record = report(
        FRAME,
        &frame(&[8, 0], &[ipv4(1400, 6, 0), TCP.to_vec()].concat()),
    );
    let expected = ("10.1.0.3 443".into(), "198.51.100.9 49152".into(), 6);
    assert_eq!(ends(&record), expected);
    assert_eq!(counts(&record), (1400, 1));
    assert_eq!(record.ip_class_of_service, 0xb8);
    assert_eq!(record.tcp_control_bits, 0x012);
    let interfaces = record.interfaces.unwrap();
    assert_eq!(
        (interfaces.ingress_interface, interfaces.egress_interface),
        (17, 18)
    );
}

#[test]
fn tags_labels_and_ppp_before_the_packet_are_skipped() {
    let packet = [ipv6(60, 17), vec![0, 53, 4, 0, 0, 0]].concat();
    let tags: [(&[u8], u16); 5] = [
        (&[0x81, 0, 0x20, 7, 0x86, 0xdd], 7),
        (&[0x88, 0xa8, 0, 100, 0x81, 0, 0, 7, 0x86, 0xdd], 100),
        (&[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64], 0),
        (&[0x81, 0, 0, 9, 0x88, 0x47, 0, 2, 1, 64], 9),
        (&[0x88, 0x64, 0x11, 0, 0, 1, 0, 102, 0, 0x57], 0),
    ];
    for (tags, vlan) in tags {
        let record = report(FRAME, &frame(tags, &packet));
        let expected = ("2001:db8::5 53".into(), "2001:db8::6 1024".into(), 17);
        assert_eq!(ends(&record), expected, "{tags:x?}");
        assert_eq!(counts(&record), (100, 1));
        assert_eq!(record.vlan_id, vlan);
        assert_eq!(record.ip_class_of_service, 0x2e);
    }
}

#[test]
fn an_ethernet_pseudowire_is_skipped_with_and_without_a_control_word() {
    let packet = [ipv6(60, 17), vec![0, 53, 4, 0, 0, 0]].concat();
    let inner = frame(&[0x81, 0, 0, 7, 0x86, 0xdd], &packet);
    let untagged = frame(&[0x86, 0xdd], &packet);
    // A MAC address that begins like a control word.
    let mut alike = untagged.clone();
    alike[..6].copy_from_slice(&[0, 0x1b, 0x21, 1, 2, 3]);
    let mut zeros = untagged.clone();
    zeros[..6].copy_from_slice(&[0, 0, 0x5e, 0, 1, 1]);
    let labels = [0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64];
    let tagged = [&[0x81, 0, 0, 9], &labels[..]].concat();
    for (tags, control_word, inner, vlan) in [
        (&labels[..], &[0, 0, 0, 0][..], &inner, 7),
        (&labels, &[0, 0, 2, 1], &inner, 7),
        (&labels, &[0, 1, 2, 1], &inner, 7),
        (&labels, &[], &inner, 7),
        (&tagged, &[0, 0, 0, 0], &untagged, 9),
        (&tagged, &[0, 0, 0, 0], &inner, 7),
        (&labels, &[], &alike, 0),
        (&labels, &[], &zeros, 0),
    ] {
        let record = report(FRAME, &frame(tags, &[control_word, inner].concat()));
        let expected = ("2001:db8::5 53".into(), "2001:db8::6 1024".into(), 17);
        let case = format!("{tags:x?} {control_word:x?} {inner:x?}");
        assert_eq!(ends(&record), expected, "{case}");
        assert_eq!(
            (counts(&record), record.vlan_id),
            ((100, 1), vlan),
            "{case}"
        );
    }
    // Labels in a pseudowire are not read.
    let nested = [&[0, 0, 0, 0][..], &frame(&labels, &packet)].concat();
    assert_eq!(counts(&report(FRAME, &frame(&labels, &nested))), (0, 0));
}

/// Sets the checksum of an IPv4 header with options of four octets.
fn with_checksum(mut packet: Vec<u8>) -> Vec<u8> {
    packet[10..12].copy_from_slice(&[0, 0]);
    let words = packet[..24].chunks(2);
    let sum: u32 = words.map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet
}

#[test]
fn a_mac_address_behind_labels_can_begin_like_an_ip_header() {
    let labels = [0x88, 0x47, 0, 2, 1, 64];
    let v6 = [ipv6(60, 17), vec![0, 53, 4, 0, 0, 0]].concat();
    let v4 = with_checksum([ipv4(600, 6, 0), TCP.to_vec()].concat());
    let behind = |mac: [u8; 6], kind: [u8; 2], packet: &[u8], frame_octets| {
        let inner = [&mac[..], &[2; 6], &kind, packet].concat();
        counts(&report_of(FRAME, &frame(&labels, &inner), frame_octets))
    };
    for mac in [
        [0x45, 0xaa, 0xbb, 0xcc, 0xdd, 0xee],
        [0x48, 0x8f, 0x5a, 0x01, 0x02, 0x03],
        [0x44, 0xd9, 0xe7, 0x01, 0x02, 0x03],
        [0x60, 0x32, 0xb1, 0x01, 0x02, 0x03],
        [0x64, 0xd1, 0x54, 0x01, 0x00, 0x30],
    ] {
        for frame_octets in [0, 1518] {
            let counts = |kind, packet: &[u8]| behind(mac, kind, packet, frame_octets);
            assert_eq!(counts([8, 0], &v4), (600, 1), "{mac:x?}");
            assert_eq!(counts([0x86, 0xdd], &v6), (100, 1), "{mac:x?}");
        }
    }
    // ARP is not read as IP.
    let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2, 10, 0, 0, 1, 0, 0];
    let arp = [&arp[..], &[0; 26]].concat();
    for mac in [
        [0x45, 0xaa, 0xbb, 0xcc, 0xdd, 0xee],
        [0x60, 0x32, 0xb1, 1, 2, 3],
    ] {
        assert_eq!(behind(mac, [8, 6], &arp, 78), (0, 0), "{mac:x?}");
    }
}

#[test]
fn ip_behind_labels_is_read_by_its_checksum_or_length() {
    let labels = [0x88, 0x47, 0, 2, 1, 64];
    let count = |packet: &[u8], octets| counts(&report_of(FRAME, &frame(&labels, packet), octets));
    // From an address that has the EtherType of IPv4 at its place, and the next one of a header.
    let mut packet = with_checksum([ipv4(600, 6, 0), TCP.to_vec()].concat());
    packet[12..20].copy_from_slice(&[8, 0, 0x45, 9, 0, 30, 1, 1]);
    let packet = with_checksum(packet);
    assert_eq!(count(&packet, 618), (600, 1));
    assert_eq!(count(&packet, 0), (600, 1));
    // An exporter that takes packets before their checksum is set.
    let without = [ipv4(600, 6, 0), TCP.to_vec()].concat();
    assert_eq!(count(&without, 618), (600, 1));
    let mut of_v6 = [ipv6(60, 17), vec![0, 53, 4, 0, 0, 0]].concat();
    of_v6[12..18].copy_from_slice(&[8, 0, 0x45, 0, 0, 30]);
    assert_eq!(count(&of_v6, 118), (100, 1));
    assert_eq!(count(&of_v6, 0), (100, 1));
}

#[test]
fn a_section_can_begin_with_the_ip_header() {
    let icmp = report(PACKET, &[ipv4(84, 1, 0), vec![3, 4, 0, 0]].concat());
    assert_eq!(
        ends(&icmp),
        ("10.1.0.3 0".into(), "198.51.100.9 0".into(), 1)
    );
    assert_eq!((icmp.icmp_type_code, counts(&icmp)), (0x0304, (84, 1)));
    // Hop-by-hop options and authentication before UDP.
    let headers = [&[51, 0][..], &[0; 6], &[17, 4], &[0; 22]].concat();
    let packet = [ipv6(200, 0), headers, vec![0, 53, 4, 0]].concat();
    let expected = ("2001:db8::5 53".into(), "2001:db8::6 1024".into(), 17);
    assert_eq!(ends(&report(PACKET, &packet)), expected);
}

#[test]
fn a_fragment_behind_the_first_one_has_no_ports() {
    let later = [ipv4(700, 17, 0x2009), vec![9; 20]].concat();
    let record = report(PACKET, &later);
    assert_eq!(
        ends(&record),
        ("10.1.0.3 0".into(), "198.51.100.9 0".into(), 17)
    );
    assert_eq!(counts(&record), (700, 1));
    let later = [ipv6(700, 44), vec![6, 0, 0, 0x41, 0, 0, 0, 1], vec![9; 20]].concat();
    let record = report(PACKET, &later);
    assert_eq!(
        ends(&record),
        ("2001:db8::5 0".into(), "2001:db8::6 0".into(), 6)
    );
}

#[test]
fn a_header_without_a_length_has_that_of_the_frame() {
    let record = report(FRAME, &frame(&[0x81, 0, 0, 5, 8, 0], &ipv4(0, 6, 0)));
    assert_eq!(counts(&record), (1518 - 18, 1));
}

#[test]
fn the_header_of_a_packet_without_a_frame_has_the_length_of_the_frame_too() {
    let record = report(PACKET, &ipv4(0, 6, 0));
    assert_eq!(counts(&record), (1518, 1));
}

#[test]
fn an_ipv6_header_has_no_length_if_the_packet_is_longer_than_it_can_have() {
    let tcp = [ipv6(0, 6), TCP.to_vec()].concat();
    let frame = frame(&[0x86, 0xdd], &tcp);
    assert_eq!(counts(&report_of(FRAME, &frame, 90_014)), (90_000, 1));
    assert_eq!(counts(&report_of(PACKET, &tcp, 90_000)), (90_000, 1));
    // A packet that has no payload, in a frame of the minimum size.
    assert_eq!(counts(&report_of(FRAME, &frame, 60)), (40, 1));
    assert_eq!(counts(&report_of(PACKET, &ipv6(60, 6), 90_000)), (100, 1));
}

#[test]
fn a_section_can_end_in_a_fragment_header() {
    let fragment = [6, 0, 0, 1, 0, 0, 0, 1];
    for end in 0..fragment.len() {
        let record = report(PACKET, &[&ipv6(700, 44), &fragment[..end]].concat());
        assert_eq!(counts(&record), (740, 1), "{end}");
    }
}

#[test]
fn the_padding_of_a_section_is_not_part_of_the_packet() {
    // The section ends before an extension header of which the padding makes one of options.
    let padded = [ipv6(700, 60), vec![0; 24]].concat();
    assert_eq!(report(PACKET, &padded).key.protocol_identifier, 60);
    // It ends in one, and 410 `sectionExportedOctets` has its length.
    let destination_options = [[6, 1].as_slice(), &[0; 6]].concat();
    let section = [ipv6(700, 60), destination_options].concat();
    let padded = [&section[..], &[9; 30]].concat();
    let with_length = |octets: u64| {
        let mut e = exporter();
        let fields = [(PACKET, padded.len() as u16), (410, 2)];
        let record = [padded.clone(), numbers(&[(octets, 2)])].concat();
        e.send(&ipfix(0, &[(2, template(300, &fields)), (300, record)]));
        let key = e.taken.records[0].key;
        (key.protocol_identifier, key.source_port)
    };
    assert_eq!(with_length(section.len() as u64), (6, 0));
    assert_eq!(with_length(padded.len() as u64), (6, 0x0909));
    assert_eq!(with_length(9999), (6, 0x0909));
}

#[test]
fn a_reported_packet_is_not_a_connection() {
    let packet = frame(&[8, 0], &ipv4(100, 6, 0));
    assert!(report(FRAME, &packet).is_continuation);
    assert!(report(FRAME, &[]).is_continuation);
    // 233 `firewallEvent`: created.
    let mut e = exporter();
    let fields = [(233, 1), (FRAME, packet.len() as u16)];
    let record = [vec![1], packet].concat();
    let records = [record.clone(), record].concat();
    e.send(&ipfix(0, &[(2, template(300, &fields)), (300, records)]));
    for record in &e.taken.records {
        assert_eq!(counts(record), (100, 1));
        assert!(record.is_continuation);
    }
}

#[test]
fn what_is_not_an_ip_packet_counts_nothing() {
    let arp = frame(&[8, 6], &[0; 28]);
    let truncated = frame(&[8, 0], &ipv4(1400, 6, 0)[..19]);
    let short_header = [&[0x44][..], &ipv4(1400, 6, 0)[1..]].concat();
    let shorter_than_its_header = ipv4(23, 6, 0);
    let other_version = [&[0x56][..], &[1; 60]].concat();
    for (element, section) in [
        (FRAME, &arp),
        (FRAME, &truncated),
        (FRAME, &vec![]),
        (PACKET, &short_header),
        (PACKET, &shorter_than_its_header),
        (PACKET, &other_version),
    ] {
        let record = report(element, section);
        assert_eq!(counts(&record), (0, 0), "{section:x?}");
        assert!(record.key.source_address.is_unspecified());
    }
}

#[test]
fn a_section_from_the_middle_of_a_packet_or_of_another_link_is_not_read() {
    let packet = frame(&[8, 0], &ipv4(100, 6, 0));
    for (element, value, expected) in [(409, 0, 1), (409, 14, 0), (408, 1, 1), (408, 2, 0)] {
        let mut e = exporter();
        let fields = [(element, 2), (FRAME, packet.len() as u16)];
        let record = [numbers(&[(value, 2)]), packet.clone()].concat();
        e.send(&ipfix(0, &[(2, template(300, &fields)), (300, record)]));
        assert_eq!(counts(&e.taken.records[0]).1, expected, "{element} {value}");
    }
}

#[test]
fn a_record_with_counters_is_a_flow() {
    let mut e = exporter();
    let packet = ipv4(100, 6, 0);
    let fields = [(8, 4), (1, 4), (2, 4), (PACKET, packet.len() as u16)];
    let record = [numbers(&[(1, 4), (5000, 4), (4, 4)]), packet].concat();
    e.send(&ipfix(0, &[(2, template(300, &fields)), (300, record)]));
    assert_eq!(counts(&e.taken.records[0]), (5000, 4));
    assert_eq!(ends(&e.taken.records[0]).0, "0.0.0.1 0");
}

#[test]
fn announced_sampling_applies_to_reported_packets() {
    let mut e = exporter();
    let announcement = options_template(400, 1, &[(0, 149, 4), (0, 305, 4), (0, 306, 4)]);
    let packet = frame(&[8, 0], &ipv4(100, 6, 0));
    e.send(&ipfix(
        0,
        &[
            (3, announcement),
            (400, numbers(&[(7, 4), (1, 4), (999, 4)])),
            (2, template(300, &[(FRAME, packet.len() as u16)])),
            (300, packet),
        ],
    ));
    let expected = Sampling {
        interval: 1,
        space: 999,
    };
    assert_eq!(e.taken.records[0].sampling, expected);
}

proptest! {
    #[test]
    fn any_octets_are_at_most_one_packet(
        begin in prop::sample::select(vec![
            vec![],
            frame(&[8, 0], &[]),
            frame(&[0x86, 0xdd], &[]),
            frame(&[0x81, 0, 0, 7], &[0x88, 0x47]),
            frame(&[0x88, 0x64], &[]),
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..120),
        element in prop::sample::select(vec![FRAME, PACKET]),
        version in prop::sample::select(vec![0x45, 0x4f, 0x60, 0]),
    ) {
        let mut section = begin;
        section.push(version);
        section.extend(rest);
        let record = report(element, &section);
        prop_assert!(record.packet_delta_count <= 1);
        if record.packet_delta_count == 1 {
            prop_assert!((20..=65_575).contains(&record.octet_delta_count));
        } else {
            prop_assert_eq!(record.octet_delta_count, 0);
        }
    }
}
