//! Savefiles of every format, whole and damaged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use std::collections::BTreeSet;

use kipfix_probe::capture::frame::{CopyDetection, LinkType, ObservationPoint};
use packets::files::*;
use packets::*;

#[test]
fn pcap_files_of_both_orders_and_precisions_are_read() {
    for order in [Order::Big, Order::Little] {
        for (magic, time_ns) in [(MICROSECONDS, 7_000_123_000), (NANOSECONDS, 7_000_000_123)] {
            let mut file = pcap_header(order, magic, 96, 1);
            file.extend(pcap_frame(order, (7, 123), 1000, &numbered(1)));
            file.extend(pcap_frame(order, (8, 0), 72, &numbered(2)));
            let frames = read_whole(&file);
            assert_eq!(frames.len(), 2);
            assert_eq!((frames[0].time_ns, frames[0].wire_octets), (time_ns, 1000));
            assert_eq!(
                (&frames[1].octets, frames[1].wire_octets),
                (&numbered(2), 72)
            );
            assert_eq!(frames[1].link_type, LinkType::Ethernet);
            assert_eq!(frames[1].point, ObservationPoint::default());
        }
    }
}

#[test]
fn pcap_files_of_older_variants_are_read() {
    // Kuznetzov's patch has eight more octets before each frame.
    let order = Order::Little;
    let mut file = pcap_header(order, 0xa1b2_cd34, 96, 1);
    for number in 1..=2 {
        let frame = numbered(number);
        file.extend(order.words(&[7, 0, len32(&frame), len32(&frame), 3, 0]));
        file.extend(frame);
    }
    assert_eq!(read_whole(&file)[1].octets, numbered(2));
    // Versions before 2.4 may have the lengths in the other order.
    let mut file = pcap_header(order, MICROSECONDS, 96, 1);
    file[6] = 3;
    let frame = numbered(1);
    file.extend(order.words(&[7, 0, 500, len32(&frame)]));
    file.extend(&frame);
    let frames = read_whole(&file);
    assert_eq!((&frames[0].octets, frames[0].wire_octets), (&frame, 500));
    // The upper half of the link type has the length of the frame check sequence.
    let mut file = pcap_header(order, MICROSECONDS, 96, 0x2400_0001);
    file.extend(pcap_frame(order, (1, 0), 72, &numbered(1)));
    assert_eq!(read_whole(&file)[0].link_type, LinkType::Ethernet);
}

#[test]
fn pcapng_interfaces_have_link_types_snap_lengths_and_resolutions_of_their_own() {
    for order in [Order::Big, Order::Little] {
        let ip = ipv4(17, [10, 0, 0, 3], [10, 0, 0, 4], &udp(1, 2, &[0; 50]));
        let offset = match order {
            Order::Big => 100_i64.to_be_bytes(),
            Order::Little => 100_i64.to_le_bytes(),
        };
        let nanoseconds = [
            option(order, 2, b"eth0"),
            option(order, 9, &[9]),
            option(order, 14, &offset),
            option(order, 0, &[]),
        ];
        let mut file = section(order);
        file.extend(interface(order, 1, 96, &[]));
        file.extend(interface(order, 101, 0, &nanoseconds.concat()));
        file.extend(packet(order, 0, 5_000_001, 1000, &numbered(1)));
        file.extend(packet(order, 1, 5_000_000_001, len32(&ip), &ip));
        // A third interface in the middle, with units of 1/1024 s.
        file.extend(interface(order, 113, 65_535, &option(order, 9, &[0x8a])));
        let cooked = [&[0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0][..], &ip].concat();
        file.extend(packet(order, 2, 5 * 1024 + 512, len32(&cooked), &cooked));
        let frames = read_whole(&file);
        let seen: Vec<_> = frames
            .iter()
            .map(|frame| (frame.link_type, frame.time_ns, frame.wire_octets))
            .collect();
        assert_eq!(
            seen,
            [
                (LinkType::Ethernet, 5_000_001_000, 1000),
                (LinkType::Raw, 105_000_000_001, 78),
                (LinkType::LinuxSll, 5_500_000_000, 94),
            ]
        );
        assert_eq!(frames[1].octets, ip);
        assert_eq!(
            (frames[1].point.interface, frames[1].point.copies),
            (1, CopyDetection::ByInterface)
        );
    }
}

#[test]
fn pcapng_sections_have_orders_and_interfaces_of_their_own() {
    let mut file = Vec::new();
    for (order, number) in [(Order::Little, 1), (Order::Big, 2), (Order::Little, 3)] {
        file.extend(section(order));
        file.extend(interface(order, 1, 0, &[]));
        file.extend(packet(order, 0, 1_000_000, 72, &numbered(number)));
    }
    let frames = read_whole(&file);
    let octets: Vec<_> = frames.iter().map(|frame| frame.octets.clone()).collect();
    assert_eq!(octets, [numbered(1), numbered(2), numbered(3)]);
}

#[test]
fn all_packet_blocks_are_read_and_other_blocks_are_skipped() {
    let order = Order::Big;
    let mut file = section(order);
    // Name resolution, statistics, decryption secrets, a custom block: larger than one read.
    file.extend(block(order, 4, vec![1; 20]));
    file.extend(block(order, 10, vec![2; 1_000_003]));
    file.extend(interface(order, 1, 60, &[]));
    file.extend(packet(order, 0, 3_000_000, 72, &numbered(1)[..60]));
    // A simple packet has neither interface nor time.
    file.extend(block(
        order,
        3,
        [&order.u32(72)[..], &numbered(2)[..60]].concat(),
    ));
    // The obsolete packet block has a drop count.
    let mut old = order.u16(0).to_vec();
    old.extend(order.u16(7));
    old.extend(order.words(&[0, 4_000_000, 60, 72]));
    old.extend(&numbered(3)[..60]);
    file.extend(block(order, 2, old));
    file.extend(block(order, 0x0000_0bad, vec![3; 5]));
    file.extend(block(order, 5, vec![4; 8]));
    let frames = read_whole(&file);
    let seen: Vec<_> = frames
        .iter()
        .map(|frame| {
            (
                frame.octets[29],
                frame.octets.len(),
                frame.time_ns,
                frame.wire_octets,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, 60, 3_000_000_000, 72),
            (2, 60, 3_000_000_000, 72),
            (3, 60, 4_000_000_000, 72),
        ]
    );
}

#[test]
fn frames_may_be_larger_than_one_read() {
    let large = vec![7; 200_000];
    let file = pcap(&[numbered(1), large.clone(), large.clone(), numbered(2)]);
    let frames = read_whole(&file);
    assert_eq!(frames.len(), 4);
    assert_eq!(
        (&frames[2].octets, &frames[3].octets),
        (&large, &numbered(2))
    );
    let order = Order::Little;
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[]));
    let jumbo = vec![9; 3_000_000];
    file.extend(packet(order, 0, 1, len32(&jumbo), &jumbo));
    file.extend(packet(order, 0, 1, 72, &numbered(1)));
    assert_eq!(read_whole(&file)[1].octets, numbered(1));
}

#[test]
fn a_truncated_file_is_an_error_after_its_frames() {
    let pcap = pcap(&[numbered(1), numbered(2)]);
    let order = Order::Little;
    let mut pcapng = section(order);
    pcapng.extend(interface(order, 1, 0, &[]));
    pcapng.extend(packet(order, 0, 1, 72, &numbered(1)));
    pcapng.extend(packet(order, 0, 1, 72, &numbered(2)));
    for (file, last) in [(pcap, 16 + 72), (pcapng, 32 + 72)] {
        for cut in 1..last {
            let (message, frames) = failure(&file[..file.len() - cut]);
            assert_eq!(
                (message.as_str(), frames),
                ("truncated: the file ends within a frame", 1),
                "{cut}"
            );
        }
        assert_eq!(read_whole(&file[..file.len() - last]).len(), 1);
    }
    // Within a block that is skipped.
    let mut file = section(order);
    file.extend(block(order, 10, vec![2; 1_000_000]));
    file.truncate(500_000);
    assert!(failure(&file).0.starts_with("truncated"));
}

#[test]
fn a_corrupt_file_is_an_error_after_its_frames() {
    let order = Order::Little;
    let mut file = pcap(&[numbered(1)]);
    file.extend(order.words(&[1, 2, 262_145, 262_145]));
    file.extend([0; 100]);
    assert_eq!(
        failure(&file),
        ("corrupt: a frame of more than 262144 octets".to_owned(), 1)
    );
    let start = [section(order), interface(order, 1, 0, &[])].concat();
    let valid = packet(order, 0, 1, 72, &numbered(1));
    let with = |block: Vec<u8>| [start.clone(), valid.clone(), block, valid.clone()].concat();
    let mut claims_more = packet(order, 0, 1, 72, &numbered(2));
    claims_more[20..24].copy_from_slice(&order.u32(73));
    for (file, message) in [
        (
            with(order.words(&[6, 8, 8])),
            "corrupt: a block that is too short",
        ),
        (
            with(block(order, 6, vec![0; 16])),
            "corrupt: a packet that is too short",
        ),
        (with(claims_more), "corrupt: a packet that is too short"),
        (
            with(packet(order, 1, 1, 72, &numbered(1))),
            "corrupt: a packet of an unknown interface",
        ),
        (
            with(order.words(&[6, 1 << 25])),
            "corrupt: a block of more than 16 MiB",
        ),
        (
            with(interface(order, 1, 0, &option(order, 9, &[99]))),
            "corrupt: an invalid time resolution",
        ),
        (
            with(block(order, 1, vec![1, 0])),
            "corrupt: an interface description that is too short",
        ),
        (
            with(block(order, 0x0a0d_0d0a, vec![7; 16])),
            "corrupt: a section without a byte order",
        ),
    ] {
        assert_eq!(failure(&file), (message.to_owned(), 1));
    }
}

#[test]
fn other_versions_are_refused() {
    let message = |file: &[u8]| failure(file).0;
    for (major, minor) in [(1, 0), (2, 5), (3, 4)] {
        let mut file = pcap(&[numbered(1)]);
        file[4..8].copy_from_slice(&[major, 0, minor, 0]);
        let expected = format!("unsupported version {major}.{minor} of the file format");
        assert_eq!(message(&file), expected);
    }
    for (major, minor) in [(0, 1), (1, 1), (2, 0)] {
        let mut file = section(Order::Little);
        file[12..16].copy_from_slice(&[major, 0, minor, 0]);
        let expected = format!("unsupported version {major}.{minor} of the file format");
        assert_eq!(message(&file), expected);
    }
    let mut file = section(Order::Little);
    file[14] = 2;
    assert_eq!(read_whole(&file), []);
}

#[test]
fn other_files_are_refused() {
    for file in [&b"hello"[..], &[0xa1; 10], &[0xa1; 100]] {
        assert_eq!(failure(file), ("not a pcap or pcapng file".to_owned(), 0));
    }
    // tcpdump writes the header of the file with the first packets.
    assert_eq!(failure(b""), ("is empty".to_owned(), 0));
    // A file without frames is one.
    assert_eq!(read_whole(&pcap(&[])), []);
    assert_eq!(read_whole(&section(Order::Big)), []);
}

#[test]
fn a_file_without_a_supported_link_type_is_refused() {
    let order = Order::Little;
    let mut file = pcap_header(order, MICROSECONDS, 96, 189);
    file.extend(pcap_frame(order, (7, 123), 72, &numbered(1)));
    let (message, frames) = failure(&file);
    assert!(
        message.starts_with("unsupported link type USB_LINUX"),
        "{message}"
    );
    assert_eq!(frames, 0);
    let mut file = section(order);
    file.extend(interface(order, 189, 0, &[]));
    file.extend(packet(order, 0, 1, 72, &numbered(1)));
    assert!(failure(&file).0.starts_with("unsupported link type"));
    // Next to frames of a supported one, they are counted.
    file.extend(interface(order, 1, 0, &[]));
    file.extend(packet(order, 1, 1, 72, &numbered(2)));
    let types: Vec<_> = read_whole(&file).iter().map(|f| f.link_type).collect();
    assert_eq!(types, [LinkType::Unsupported, LinkType::Ethernet]);
}

#[test]
fn a_wire_length_that_equals_the_snap_length_may_be_lost() {
    let order = Order::Big;
    let mut pcap = pcap_header(order, MICROSECONDS, 60, 1);
    let mut pcapng = section(order);
    pcapng.extend(interface(order, 1, 60, &[]));
    for (captured, wire) in [(60, 60), (60, 72), (59, 59)] {
        pcap.extend(pcap_frame(order, (1, 0), wire, &numbered(1)[..captured]));
        pcapng.extend(packet(order, 0, 1, wire, &numbered(1)[..captured]));
    }
    for file in [pcap, pcapng] {
        let lost: Vec<_> = read_whole(&file)
            .iter()
            .map(|frame| frame.is_wire_length_lost)
            .collect();
        assert_eq!(lost, [true, false, false]);
    }
}

#[test]
fn a_frame_has_at_least_the_octets_that_were_captured() {
    let order = Order::Big;
    let mut file = pcap_header(order, MICROSECONDS, 65_535, 1);
    file.extend(pcap_frame(order, (1, 0), 0, &numbered(1)));
    assert_eq!(read_whole(&file)[0].wire_octets, 72);
}

#[test]
fn cooked_frames_have_their_interface_in_the_header() {
    let order = Order::Big;
    let ip = ipv4(17, [10, 0, 0, 3], [10, 0, 0, 4], &udp(1, 2, &[0; 50]));
    let mut file = pcap_header(order, MICROSECONDS, 65_535, 276);
    for (interface, kind) in [(3, 0), (7, 4)] {
        let header = [
            8, 0, 0, 0, 0, 0, 0, interface, 0, 1, kind, 6, 1, 2, 3, 4, 5, 6, 0, 0,
        ];
        let frame = [&header[..], &ip].concat();
        file.extend(pcap_frame(order, (1, 0), len32(&frame), &frame));
    }
    let points: Vec<_> = read_whole(&file).iter().map(|frame| frame.point).collect();
    let point = |interface, egress| ObservationPoint {
        interface,
        egress,
        copies: CopyDetection::ByInterface,
        ..ObservationPoint::default()
    };
    assert_eq!(points, [point(3, false), point(7, true)]);
    let mut file = pcap_header(order, MICROSECONDS, 65_535, 113);
    // Their predecessor has none: the type of the packet and its sender stand for it.
    for (kind, sender) in [(4, 6), (0, 6), (0, 7), (3, 7)] {
        let header = [0, kind, 0, 1, 0, 6, 1, 2, 3, 4, 5, sender, 0, 0, 8, 0];
        let frame = [&header[..], &ip].concat();
        file.extend(pcap_frame(order, (1, 0), len32(&frame), &frame));
    }
    let points: Vec<_> = read_whole(&file).iter().map(|frame| frame.point).collect();
    assert!(
        points
            .iter()
            .all(|point| point.copies == CopyDetection::ByTime)
    );
    let egress: Vec<_> = points.iter().map(|point| point.egress).collect();
    assert_eq!(egress, [true, false, false, false]);
    let interfaces: BTreeSet<_> = points.iter().map(|point| point.interface).collect();
    assert_eq!(interfaces.len(), 4);
}
