//! Files made by these tests, in every format: complete, truncated and corrupt.

mod tunnels;

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, PacketBuilder};

use super::*;

// Block types of pcapng.
const SECTION_HEADER: u32 = u32::from_le_bytes(SECTION_MAGIC);
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const EXPORT: &[u8] = &[0, 10, 0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn ethernet(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4([192, 0, 2, 10], [192, 0, 2, 1], 64)
        .udp(50_000, 2055)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

fn word(big_endian: bool, number: u32) -> [u8; 4] {
    if big_endian {
        number.to_be_bytes()
    } else {
        number.to_le_bytes()
    }
}

/// A capture of frames, one a millisecond after 1 s; each frame with its length on the wire.
fn pcap(magic: u32, big_endian: bool, link_type: u32, frames: &[(Vec<u8>, usize)]) -> Vec<u8> {
    let unit = if magic == 0xa1b2_3c4d {
        1_000_000
    } else {
        1000
    };
    let mut out = Vec::new();
    let version = if big_endian { 0x0002_0004 } else { 0x0004_0002 };
    for number in [magic, version, 0, 0, 65_535, link_type] {
        out.extend(word(big_endian, number));
    }
    for (at, (frame, length)) in frames.iter().enumerate() {
        let fraction = u32::try_from(at).unwrap() * unit;
        let kept = u32::try_from(frame.len()).unwrap();
        for number in [1, fraction, kept, u32::try_from(*length).unwrap()] {
            out.extend(word(big_endian, number));
        }
        if magic == 0xa1b2_cd34 {
            // Interface, protocol and type of the packet, in the variant of a patch of libpcap.
            out.extend([0xee; 8]);
        }
        out.extend(frame);
    }
    out
}

fn whole(frames: &[Vec<u8>]) -> Vec<(Vec<u8>, usize)> {
    frames.iter().map(|f| (f.clone(), f.len())).collect()
}

fn simple(link_type: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    pcap(0xa1b2_c3d4, false, link_type, &whole(frames))
}

type Read = (
    Vec<(SocketAddr, Vec<u8>, u64)>,
    SavefileCounts,
    Option<SavefileError>,
);

fn read(file: Vec<u8>) -> Read {
    let mut counts = SavefileCounts::default();
    let mut datagrams = Vec::new();
    let mut savefile = match Savefile::from_reader(Box::new(io::Cursor::new(file))) {
        Ok(savefile) => savefile,
        Err(error) => return (datagrams, counts, Some(error)),
    };
    let error = loop {
        match savefile.next(&mut counts) {
            Ok(None) => break None,
            Ok(Some(d)) => datagrams.push((d.exporter, d.payload.to_vec(), d.time_milliseconds)),
            Err(error) => break Some(error),
        }
    };
    let skipped: u64 = counts.skipped.values().sum();
    if counts.frames > 0 {
        assert_eq!(counts.frames, counts.datagrams + counts.joined + skipped);
    }
    (datagrams, counts, error)
}

fn skipped(file: Vec<u8>) -> Vec<SkipReason> {
    let (_, counts, _) = read(file);
    let reasons = counts.skipped.into_iter().filter(|(_, count)| *count > 0);
    reasons.map(|(reason, _)| reason).collect()
}

#[test]
fn a_pcap_of_either_byte_order_and_resolution_gives_datagrams_with_their_time() {
    for (magic, big_endian) in [
        (0xa1b2_c3d4, false),
        (0xa1b2_c3d4, true),
        (0xa1b2_3c4d, false),
        (0xa1b2_3c4d, true),
        (0xa1b2_cd34, false),
        (0xa1b2_cd34, true),
    ] {
        let frames = whole(&[ethernet(EXPORT), ethernet(EXPORT)]);
        let (datagrams, _, error) = read(pcap(magic, big_endian, 1, &frames));
        assert!(error.is_none());
        let exporter = "192.0.2.10:50000".parse().unwrap();
        let expected = [
            (exporter, EXPORT.to_vec(), 1000),
            (exporter, EXPORT.to_vec(), 1001),
        ];
        assert_eq!(datagrams, expected);
    }
}

#[test]
fn a_frame_check_sequence_is_not_part_of_the_link_type() {
    let mut frame = ethernet(EXPORT);
    frame.extend([0xaa; 4]);
    let (datagrams, ..) = read(simple(0x4400_0001, &[frame]));
    assert_eq!(datagrams[0].1, EXPORT);
}

#[test]
fn a_file_without_a_supported_link_type_is_an_error() {
    let (_, counts, error) = read(simple(127, &[ethernet(EXPORT), ethernet(EXPORT)]));
    assert!(matches!(error, Some(SavefileError::LinkType(127))));
    assert_eq!(counts.skipped[SkipReason::LinkType], 2);
    // Another interface of the capture has one.
    let description =
        |link_type: u8| block(INTERFACE_DESCRIPTION, &[link_type, 0, 0, 0, 0, 0, 0, 0]);
    let file = pcapng(&[
        description(127),
        description(1),
        enhanced(0, 1_000_000, &ethernet(EXPORT)),
        enhanced(1, 2_000_000, &ethernet(EXPORT)),
    ]);
    let (datagrams, counts, error) = read(file);
    assert!(error.is_none());
    assert_eq!(
        (datagrams.len(), counts.skipped[SkipReason::LinkType]),
        (1, 1)
    );
}

#[test]
fn a_packet_without_a_time_has_that_of_the_packet_before() {
    let frame = ethernet(EXPORT);
    let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
    let other = {
        let mut other = EXPORT.to_vec();
        other[11] ^= 1;
        ethernet(&other)
    };
    let file = pcapng(&[
        block(INTERFACE_DESCRIPTION, &[1, 0, 0, 0, 0, 0, 0, 0]),
        enhanced(0, 7_000_000, &frame),
        block(3, &[&length[..], &other].concat()),
    ]);
    let times: Vec<_> = read(file).0.iter().map(|(.., time)| *time).collect();
    assert_eq!(times, [7000, 7000]);
}

#[test]
fn every_link_type_is_read() {
    let frame = ethernet(EXPORT);
    let ip = &frame[14..];
    let cooked = [vec![0; 14], vec![8, 0], ip.to_vec()].concat();
    let cooked2 = [vec![8, 0], vec![0; 18], ip.to_vec()].concat();
    let null = [vec![2, 0, 0, 0], ip.to_vec()].concat();
    let ppp = [vec![0xff, 3, 0, 0x21], ip.to_vec()].concat();
    let labelled = [&frame[..12], &[0x88, 0x47, 0, 1, 1, 64], ip].concat();
    let mut tagged = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6])
        .single_vlan(7.try_into().unwrap())
        .ipv6([1; 16], [2; 16], 64)
        .udp(50_000, 4739)
        .write(&mut tagged, EXPORT)
        .unwrap();
    for (link_type, frame) in [
        (1, tagged),
        (1, labelled),
        (9, ppp),
        (113, cooked),
        (276, cooked2),
        (101, ip.to_vec()),
        (0, null),
    ] {
        let (datagrams, ..) = read(simple(link_type, &[frame]));
        assert_eq!(datagrams.len(), 1, "link type {link_type}");
        assert_eq!(datagrams[0].1, EXPORT);
    }
}

#[test]
fn a_frame_without_flow_export_is_skipped_and_counted() {
    let mut tcp = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4([1; 4], [2; 4], 64)
        .tcp(1, 2, 3, 4)
        .write(&mut tcp, b"x")
        .unwrap();
    assert_eq!(skipped(simple(1, &[tcp])), [SkipReason::NotUdp]);
    assert_eq!(skipped(simple(1, &[vec![]])), [SkipReason::NotUdp]);
    assert_eq!(
        skipped(simple(1, &[ethernet(b"hello")])),
        [SkipReason::NotFlowExport]
    );
    // STUN begins as NetFlow v1 does, but has no such records.
    let stun = b"\0\x01\0\x08\x21\x12\xa4\x42transaction-\x80\x22\0\x04test";
    assert_eq!(
        skipped(simple(1, &[ethernet(stun)])),
        [SkipReason::NotFlowExport]
    );
    assert_eq!(
        skipped(simple(147, &[ethernet(EXPORT)])),
        [SkipReason::LinkType]
    );
    let mut cut = ethernet(EXPORT);
    let length = cut.len();
    cut.truncate(length - 4);
    let file = pcap(0xa1b2_c3d4, false, 1, &[(cut, length)]);
    assert_eq!(skipped(file), [SkipReason::Truncated]);
}

#[test]
fn fragments_are_reassembled_in_any_order() {
    let payload: Vec<u8> = EXPORT.iter().copied().chain(vec![7; 4000]).collect();
    let datagram = ethernet(&payload);
    let octets = &datagram[34..];
    let part = |begin: usize, end: usize| {
        let part = octets.get(begin..end).unwrap();
        let length = u16::try_from(part.len()).unwrap();
        let mut header =
            Ipv4Header::new(length, 64, IpNumber::UDP, [192, 0, 2, 10], [192, 0, 2, 1]).unwrap();
        header.identification = 9;
        header.fragment_offset = IpFragOffset::try_new(u16::try_from(begin / 8).unwrap()).unwrap();
        header.more_fragments = end < octets.len();
        let mut packet = Vec::new();
        header.write(&mut packet).unwrap();
        packet.extend(part);
        packet
    };
    let parts = [part(1480, 2960), part(2960, octets.len()), part(0, 1480)];
    let (datagrams, counts, _) = read(simple(101, &parts));
    assert_eq!(datagrams.len(), 1);
    assert_eq!(datagrams[0].1, payload);
    let not_joined = counts.skipped[SkipReason::Fragment];
    assert_eq!((counts.frames, counts.joined, not_joined), (3, 2, 0));
    // Without its end, it is not used.
    let (datagrams, counts, _) = read(simple(101, &parts[..2]));
    assert_eq!(datagrams.len(), 0);
    assert_eq!(counts.skipped[SkipReason::Fragment], 2);
}

/// A frame of a capture of all interfaces, from the interface with this number.
fn cooked(interface: u8, payload: &[u8]) -> Vec<u8> {
    let header = [8, 0, 0, 0, 0, 0, 0, interface];
    let rest = [0; 12];
    [&header[..], &rest, &ethernet(payload)[14..]].concat()
}

#[test]
fn a_datagram_that_several_interfaces_of_a_capture_have_is_read_once() {
    let other = [EXPORT, &[1]].concat();
    let frames = [
        cooked(2, EXPORT),
        cooked(5, EXPORT),
        cooked(2, &other),
        cooked(9, EXPORT),
        cooked(5, &other),
    ];
    let (datagrams, counts, _) = read(simple(276, &frames));
    assert_eq!(datagrams.len(), 2);
    assert_eq!(counts.skipped[SkipReason::Duplicate], 3);

    let frame = ethernet(EXPORT);
    let interface = block(INTERFACE_DESCRIPTION, &[1, 0, 0, 0, 0, 0, 0, 0]);
    let file = pcapng(&[
        interface.clone(),
        interface,
        enhanced(0, 5_000_000, &frame),
        enhanced(1, 5_000_010, &frame),
        // An exporter that sends the same again.
        enhanced(0, 5_000_020, &frame),
        enhanced(1, 8_000_000, &frame),
    ]);
    let (datagrams, counts, _) = read(file);
    assert_eq!(datagrams.len(), 3);
    assert_eq!(counts.skipped[SkipReason::Duplicate], 1);
    // One interface has no copies.
    let (datagrams, ..) = read(simple(1, &[frame.clone(), frame]));
    assert_eq!(datagrams.len(), 2);
}

#[test]
fn the_fragments_of_each_interface_are_reassembled_on_their_own() {
    let payload: Vec<u8> = EXPORT.iter().copied().chain(vec![7; 2000]).collect();
    let datagram = ethernet(&payload);
    let octets = &datagram[34..];
    let part = |interface: u8, begin: usize, end: usize| {
        let part = octets.get(begin..end).unwrap();
        let length = u16::try_from(part.len()).unwrap();
        let addresses = [[192, 0, 2, 10], [192, 0, 2, 1]];
        let mut header =
            Ipv4Header::new(length, 64, IpNumber::UDP, addresses[0], addresses[1]).unwrap();
        header.identification = 9;
        header.fragment_offset = IpFragOffset::try_new(u16::try_from(begin / 8).unwrap()).unwrap();
        header.more_fragments = end < octets.len();
        let mut frame = vec![8, 0, 0, 0, 0, 0, 0, interface];
        frame.extend([0; 12]);
        header.write(&mut frame).unwrap();
        frame.extend(part);
        frame
    };
    let frames = [
        part(2, 0, 1480),
        part(7, 0, 1480),
        part(2, 1480, octets.len()),
        part(7, 1480, octets.len()),
    ];
    let (datagrams, counts, _) = read(simple(276, &frames));
    assert_eq!((datagrams.len(), &datagrams[0].1), (1, &payload));
    let duplicates = counts.skipped[SkipReason::Duplicate];
    assert_eq!((counts.joined, duplicates), (2, 1));
    assert_eq!(counts.skipped[SkipReason::Fragment], 0);
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let total = u32::try_from(padded + 12).unwrap().to_le_bytes();
    let padding = vec![0; padded - body.len()];
    [&kind.to_le_bytes()[..], &total, body, &padding, &total].concat()
}

fn pcapng(blocks: &[Vec<u8>]) -> Vec<u8> {
    let section = [
        0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
    ];
    [block(SECTION_HEADER, &section), blocks.concat()].concat()
}

fn enhanced(interface: u32, time: u64, frame: &[u8]) -> Vec<u8> {
    let [high, low] = [time >> 32, time & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
    let length = u32::try_from(frame.len()).unwrap();
    let words = [interface, high, low, length, length].map(u32::to_le_bytes);
    block(ENHANCED_PACKET, &[&words.concat()[..], frame].concat())
}

#[test]
fn a_pcapng_of_several_interfaces_and_resolutions_gives_datagrams_with_their_time() {
    let frame = ethernet(EXPORT);
    let microseconds = block(INTERFACE_DESCRIPTION, &[1, 0, 0, 0, 0, 0, 0, 0]);
    let nanoseconds = block(
        INTERFACE_DESCRIPTION,
        &[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0],
    );
    let file = pcapng(&[
        microseconds,
        nanoseconds,
        block(0x0bad, b"unknown"),
        enhanced(0, 5_000_000, &frame),
        enhanced(1, 7_000_000_000, &frame[14..]),
    ]);
    let (datagrams, _, error) = read(file);
    assert!(error.is_none());
    let times: Vec<u64> = datagrams.iter().map(|(.., time)| *time).collect();
    assert_eq!(times, [5000, 7000]);
    assert!(datagrams.iter().all(|(_, payload, _)| payload == EXPORT));
}

#[test]
fn the_messages_of_an_ipfix_file_come_with_their_export_time() {
    let (datagrams, counts, error) = read([EXPORT, EXPORT].concat());
    assert!(error.is_none());
    assert_eq!((counts.datagrams, counts.frames), (2, 0));
    let time = u64::from(u32::from_be_bytes([1, 2, 3, 4])) * 1000;
    assert_eq!(
        datagrams[1],
        ("0.0.0.0:0".parse().unwrap(), EXPORT.to_vec(), time)
    );
}

#[test]
fn a_truncated_or_corrupt_file_is_used_up_to_the_error() {
    let frame = ethernet(EXPORT);
    let interface = block(INTERFACE_DESCRIPTION, &[1, 0, 0, 0, 0, 0, 0, 0]);
    let files = [
        simple(1, &[frame.clone(), frame.clone()]),
        pcapng(&[interface, enhanced(0, 1, &frame), enhanced(0, 2, &frame)]),
        [EXPORT, EXPORT].concat(),
    ];
    for mut file in files {
        file.truncate(file.len() - 3);
        let (datagrams, _, error) = read(file);
        assert_eq!(datagrams.len(), 1);
        assert!(
            matches!(error, Some(SavefileError::Truncated(_))),
            "{error:?}"
        );
    }
    let huge = [simple(1, std::slice::from_ref(&frame)), vec![255; 16]].concat();
    let (datagrams, _, error) = read(huge);
    assert_eq!(datagrams.len(), 1);
    assert!(
        matches!(error, Some(SavefileError::Corrupt(_))),
        "{error:?}"
    );
}

#[test]
fn an_unknown_format_is_refused() {
    for file in [&b"\0\x0a"[..], b"root:x:0:0:root"] {
        let (_, _, error) = read(file.to_vec());
        assert!(
            matches!(error, Some(SavefileError::UnknownFormat)),
            "{error:?}"
        );
    }
    let (_, _, error) = read(Vec::new());
    assert!(matches!(error, Some(SavefileError::Empty)), "{error:?}");
}

#[test]
fn a_version_that_libpcap_does_not_read_is_refused() {
    let datagram = simple(1, &[ethernet(&[0, 9])]);
    // Major and minor version, little endian.
    for (version, is_read) in [
        ([2, 0, 4, 0], true),
        ([2, 0, 2, 0], true),
        ([2, 0, 5, 0], false),
        ([1, 0, 4, 0], false),
        ([3, 0, 0, 0], false),
    ] {
        let mut file = datagram.clone();
        file[4..8].copy_from_slice(&version);
        let (datagrams, _, error) = read(file);
        assert_eq!(datagrams.len(), usize::from(is_read), "{version:?}");
        let expected = (!is_read).then_some((version[0].into(), version[2].into()));
        let refused = error.map(|error| match error {
            SavefileError::UnsupportedVersion(major, minor) => (major, minor),
            other => panic!("{other}"),
        });
        assert_eq!(refused, expected);
    }
}

#[test]
fn a_truncated_ipv6_extension_header_is_not_read_beyond_its_frame() {
    // Hop-by-hop options, destination options and a fragment of which the frame has a part or nothing.
    for (next_header, rest) in [
        (0, &[60, 0, 1, 4, 0, 0, 0, 0][..]),
        (60, &[17, 255, 0, 0, 0, 0, 0, 0]),
        (44, &[17, 0, 0]),
        (43, &[]),
    ] {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        packet.extend([next_header, 64]);
        packet.extend([0xfd; 32]);
        packet.extend(rest);
        assert_eq!(skipped(simple(229, &[packet])), [SkipReason::NotUdp]);
    }
}

#[test]
fn any_octets_are_read_without_a_panic() {
    let frame = ethernet(EXPORT);
    let interface = block(
        INTERFACE_DESCRIPTION,
        &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 6, 0, 0, 0],
    );
    let files = [
        simple(1, &[frame.clone(), frame.clone()]),
        pcapng(&[interface, enhanced(0, 1, &frame), enhanced(0, 2, &frame)]),
        [EXPORT, EXPORT].concat(),
    ];
    for file in files {
        for at in 0..file.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut broken = file.clone();
                broken[at] = value;
                read(broken);
            }
        }
    }
}
