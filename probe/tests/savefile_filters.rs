//! Filters of savefiles, and files that come through a pipe.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod packets;

use std::io::{Cursor, Read, Write};
use std::process::{Command, Stdio};

use kipfix_probe::capture::frame::LinkType;
use kipfix_probe::capture::savefile::Savefile;
use packets::files::*;
use packets::*;
use proptest::prelude::*;

const IP: u16 = 0x0800;

#[test]
fn a_filter_is_compiled_for_every_link_type() {
    let order = Order::Little;
    let to_port = |port| ipv4(17, [10, 0, 0, 3], [10, 0, 0, 4], &udp(1, port, &[0; 50]));
    let mut file = section(order);
    file.extend(interface(order, 1, 0, &[]));
    file.extend(interface(order, 101, 0, &[]));
    for port in [53, 54] {
        let frame = ethernet(IP, &to_port(port));
        file.extend(packet(order, 0, 1, len32(&frame), &frame));
        let frame = to_port(port);
        file.extend(packet(order, 1, 1, len32(&frame), &frame));
    }
    let (frames, outcome) = read(Cursor::new(file.clone()), Some("udp port 53"));
    outcome.unwrap();
    let types: Vec<_> = frames.iter().map(|frame| frame.link_type).collect();
    assert_eq!(types, [LinkType::Ethernet, LinkType::Raw]);
    // The message of libpcap, at the first frame of a pcapng file, and at the start of a pcap file.
    for file in [file, pcap(&[])] {
        let (_, outcome) = read(Cursor::new(file), Some("port of call"));
        let message = outcome.unwrap_err().to_string();
        assert!(
            message.starts_with("invalid filter \"port of call\": "),
            "{message}"
        );
    }
}

#[test]
fn a_filter_is_compiled_for_the_number_that_libpcap_has_for_a_link_type() {
    let order = Order::Little;
    let llc = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let matches = |link_type: u32, header: &[u8], filter| {
        let mut file = pcap_header(order, MICROSECONDS, 0, link_type);
        for port in [53, 54] {
            let data = ipv4(17, [10, 0, 0, 3], [10, 0, 0, 4], &udp(1, port, &[0; 50]));
            let frame = [header, &data].concat();
            file.extend(pcap_frame(order, (1, 0), len32(&frame), &frame));
        }
        let (frames, outcome) = read(Cursor::new(file), Some(filter));
        outcome
            .map(|()| frames.len())
            .map_err(|error| error.to_string())
    };
    // Raw IP, ATM, and Classical IP over ATM with LLC and without.
    for (link_type, header) in [
        (12, &[][..]),
        (14, &[]),
        (101, &[]),
        (100, &llc),
        (106, &llc),
        (106, &[]),
    ] {
        assert_eq!(
            matches(link_type, header, "udp port 53"),
            Ok(1),
            "{link_type}"
        );
    }
    // libpcap compiles only expressions without a protocol.
    for (link_type, name) in [(197, "ERF"), (239, "NFLOG"), (258, "PKTAP"), (204, "204")] {
        assert_eq!(
            matches(link_type, &[0; 20], "udp port 53"),
            Err(format!("link type {name}: filters are not supported"))
        );
        assert_eq!(matches(link_type, &[0; 20], "greater 60"), Ok(2));
    }
}

#[test]
fn a_filter_has_the_length_on_the_wire() {
    let order = Order::Little;
    let mut file = pcap_header(order, MICROSECONDS, 64, 1);
    for wire in [72, 500, 1500] {
        file.extend(pcap_frame(order, (1, 0), wire, &numbered(1)[..64]));
    }
    let lengths = |filter| -> Vec<u32> {
        let (frames, outcome) = read(Cursor::new(file.clone()), Some(filter));
        outcome.unwrap();
        frames.iter().map(|frame| frame.wire_octets).collect()
    };
    assert_eq!(lengths("greater 500"), [500, 1500]);
    assert_eq!(lengths("less 499"), [72]);
    // Beyond the captured octets a filter does not match.
    assert_eq!(lengths("udp[60] = 1"), [0; 0]);
}

#[test]
fn a_filter_matches_tagged_frames_after_the_keyword() {
    let order = Order::Little;
    let tagged = ethernet(0x8100, &tag(7, IP, &numbered(1)[14..]));
    let mut file = pcap_header(order, MICROSECONDS, 0, 1);
    file.extend(pcap_frame(order, (1, 0), len32(&tagged), &tagged));
    for (filter, count) in [
        ("udp", 0),
        ("vlan and udp", 1),
        ("vlan 7 and udp port 10", 1),
    ] {
        let (frames, _) = read(Cursor::new(file.clone()), Some(filter));
        assert_eq!(frames.len(), count, "{filter}");
    }
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let file = pcap(&vec![numbered(5); 10_000]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut pipe = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            // In pieces that end within frames.
            for piece in file.chunks(7777) {
                pipe.write_all(piece).unwrap();
            }
        })
    };
    let stop = kipfix_service::signals::Stop::new().unwrap();
    let mut savefile = Savefile::open(&path, None, &stop).unwrap();
    let mut frames = 0;
    while savefile.dispatch(|_, _| frames += 1).unwrap() {}
    writer.join().unwrap();
    assert_eq!(frames, 10_000);
}

#[test]
fn the_reading_of_a_silent_pipe_ends_at_the_stop() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = writer.stdin.take().unwrap();
    input.write_all(&pcap(&[numbered(1)])).unwrap();
    input.flush().unwrap();
    let stop = kipfix_service::signals::Stop::new().unwrap();
    let mut savefile = Savefile::open(&path, None, &stop).unwrap();
    let mut frames = 0;
    while frames == 0 {
        assert!(savefile.dispatch(|_, _| frames += 1).unwrap());
    }
    stop.set();
    while savefile.dispatch(|_, _| frames += 1).unwrap() {}
    assert_eq!(frames, 1);
    drop(input);
    writer.wait().unwrap();
}

/// Gives a few octets at a time.
struct Dribble(Cursor<Vec<u8>>, usize);

impl Read for Dribble {
    fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
        let end = octets.len().min(self.1);
        self.0.read(&mut octets[..end])
    }
}

/// Filter expressions of every kind of instruction.
const FILTERS: [&str; 16] = [
    "ip",
    "tcp or udp port 53",
    "host 10.0.0.1 and not port 80",
    "ip6",
    "greater 80",
    "less 100 and tcp",
    "ip[0] & 0x0f = 5",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "udp[8] > udp[9] or udp[8:2] * 3 = 9",
    "net 10.0.0.0/24",
    "ip[8] / 2 < 20 or ip[8] % 7 = 1",
    "vlan and ip",
    "portrange 1-1000",
    "ether[6] ^ 2 = 0 and len - 20 < 100",
    "(ip[2:2] >> 2) << 1 > 30",
    "icmp or mpls",
];

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let transport = prop_oneof![
        (
            any::<(u16, u16)>(),
            prop::collection::vec(any::<u8>(), 0..40)
        )
            .prop_map(|(ports, data)| (17, udp(ports.0 % 100, ports.1 % 100, &data))),
        (any::<(u16, u16)>(), any::<u8>())
            .prop_map(|(ports, flags)| (6, tcp((ports.0, 80), (1, 2), flags & 0x3f, b"data"))),
        Just((1, vec![8, 0, 0, 0, 0, 1, 0, 2])),
    ];
    (transport, any::<u8>()).prop_map(|((protocol, data), kind)| {
        let v4 = ipv4(protocol, [10, 0, 0, kind % 3], [10, 0, 1, 1], &data);
        match kind % 4 {
            0 => ethernet(0x8100, &tag(5, IP, &v4)),
            1 => ethernet(0x86dd, &ipv6(protocol, "fd00::1", "fd00::2", &data)),
            2 => ethernet(0x8847, &mpls(&[1], &v4)),
            _ => ethernet(IP, &v4),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_is_read_as_libpcap_reads_it(
        frames in prop::collection::vec((any_frame(), 0..5_u32), 0..40),
        filter in prop::sample::select(&FILTERS[..]),
        at_once in 1..500_usize,
    ) {
        let order = Order::Little;
        let mut file = pcap_header(order, MICROSECONDS, 65_535, 1);
        for (second, (frame, _)) in (1..).zip(&frames) {
            file.extend(pcap_frame(order, (second, 77), len32(frame), frame));
        }
        let path = tempfile::NamedTempFile::new().unwrap();
        path.as_file().write_all(&file).unwrap();
        let mut theirs = pcap::Capture::from_file(path.path()).unwrap();
        theirs.filter(filter, true).unwrap();
        let mut expected = Vec::new();
        while let Ok(packet) = theirs.next_packet() {
            let second = u64::try_from(packet.header.ts.tv_sec).unwrap();
            expected.push((second, packet.header.len, packet.data.to_vec()));
        }
        let (ours, outcome) = read(Dribble(Cursor::new(file), at_once), Some(filter));
        outcome.unwrap();
        let ours: Vec<_> = ours
            .into_iter()
            .map(|frame| (frame.time_ns / SECOND, frame.wire_octets, frame.octets))
            .collect();
        prop_assert_eq!(ours, expected);
    }

    #[test]
    fn damaged_files_are_read_without_a_panic(
        frames in prop::collection::vec(any_frame(), 0..10),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
        modern in any::<bool>(),
    ) {
        let order = Order::Little;
        let mut file = if modern {
            let mut file = section(order);
            file.extend(interface(order, 1, 0, &option(order, 9, &[6])));
            for frame in &frames {
                file.extend(packet(order, 0, 1, len32(frame), frame));
            }
            file
        } else {
            pcap(&frames)
        };
        let at = at.index(file.len());
        file[at] = value;
        let (read, _) = read(Cursor::new(file), Some("tcp or udp"));
        for frame in read {
            prop_assert!(frame.wire_octets >= len32(&frame.octets));
        }
    }
}
