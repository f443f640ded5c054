//! Files: captures of flow export, IPFIX files, inventories, databases and cloud ranges; and the
//! kernel's messages.

use mmdb_writer::{Value, Writer};

use super::{datagrams, frames};
use crate::pipeline::INVENTORY;

/// How many octets come at a time, and a file.
pub(crate) fn captures() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for datagrams in datagrams::all().into_iter().step_by(2) {
        let is_ipfix = datagrams
            .iter()
            .all(|datagram| datagram.starts_with(&[0, 10]));
        if is_ipfix {
            files.push(datagrams.concat());
        }
        let frames: Vec<Vec<u8>> = datagrams
            .iter()
            .enumerate()
            .flat_map(|(at, datagram)| frames::datagram(datagram, Some(64).filter(|_| at % 3 == 1)))
            .collect();
        files.push(pcap(0xa1b2_c3d4, &frames, u32::to_le_bytes));
        files.push(pcap(0xa1b2_3c4d, &frames, u32::to_be_bytes));
        files.push(pcapng(&frames, u32::to_le_bytes, u16::to_le_bytes));
        files.push(pcapng(&frames, u32::to_be_bytes, u16::to_be_bytes));
    }
    let pieces = [1, 7, 255].into_iter().cycle();
    let files = files.into_iter().zip(pieces);
    files
        .map(|(file, pieces)| [vec![pieces], file].concat())
        .collect()
}

/// Octets at a time, and a savefile of frames of all kinds.
pub(crate) fn savefiles() -> Vec<Vec<u8>> {
    let frames = frames::of_all_kinds();
    let files = [
        pcap(0xa1b2_c3d4, &frames, u32::to_le_bytes),
        pcap(0xa1b2_3c4d, &frames, u32::to_be_bytes),
        pcap(0xa1b2_cd34, &frames, u32::to_be_bytes),
        pcapng(&frames, u32::to_le_bytes, u16::to_le_bytes),
        pcapng(&frames, u32::to_be_bytes, u16::to_be_bytes),
    ];
    let at_once = [1, 8, 255, 64].into_iter().cycle();
    files
        .into_iter()
        .zip(at_once)
        .map(|(file, at_once)| [vec![at_once], file].concat())
        .collect()
}

fn length(octets: &[u8]) -> u32 {
    octets.len().try_into().unwrap()
}

fn pcap(magic: u32, frames: &[Vec<u8>], word: fn(u32) -> [u8; 4]) -> Vec<u8> {
    // Version 2.4 in two halves.
    let is_big_endian = word(1) == 1_u32.to_be_bytes();
    let version = if is_big_endian {
        0x0002_0004
    } else {
        0x0004_0002
    };
    let header = [magic, version, 0, 0, 65_535, 1];
    let mut out: Vec<u8> = header.into_iter().flat_map(word).collect();
    for frame in frames {
        let header = [1_700_000_000, 5, length(frame), length(frame)];
        out.extend(header.into_iter().flat_map(word));
        out.extend(frame);
    }
    out
}

fn pcapng(frames: &[Vec<u8>], word: fn(u32) -> [u8; 4], short: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let block = |kind: u32, mut body: Vec<u8>| {
        body.resize(body.len().next_multiple_of(4), 0);
        let total = word(length(&body) + 12);
        [&word(kind)[..], &total, &body, &total].concat()
    };
    let section = [&word(0x1a2b_3c4d)[..], &short(1), &short(0), &[0xff; 8]].concat();
    let resolution = [&short(9)[..], &short(1), &[9, 0, 0, 0], &[0; 4]].concat();
    let interface = [&short(1)[..], &short(0), &word(0), &resolution].concat();
    let mut out = block(0x0a0d_0d0a, section);
    out.extend(block(1, interface));
    for (at, frame) in frames.iter().enumerate() {
        let octets = word(length(frame));
        if at % 4 == 3 {
            out.extend(block(3, [&octets[..], frame].concat()));
        } else {
            let time = [word(0), word(0x1797_9cfe), word(7)].concat();
            out.extend(block(6, [&time[..], &octets, &octets, frame].concat()));
        }
    }
    out
}

pub(crate) fn inventories() -> Vec<Vec<u8>> {
    let texts = [
        INVENTORY,
        "",
        "nodes: []",
        "pods:\n- name: web-1\n  namespace: shop\n  addresses: ['10.1.1.10', 'fd00::1']\n",
        "nodes: [{name: a, podCIDRs: [10.1.1.0/24, 'fd00::/64']}]\nservices: [{name: a, namespace: b, addresses: [10.1.1.1]}]",
    ];
    texts
        .into_iter()
        .map(|text| text.as_bytes().to_vec())
        .collect()
}

/// The kind, and a file.
pub(crate) fn external() -> Vec<Vec<u8>> {
    let map = |entries: &[(&str, Value)]| {
        Value::map(entries.iter().map(|(key, value)| (*key, value.clone())))
    };
    let text = |text: &str| Value::from(text);
    let values = [
        map(&[
            ("autonomous_system_number", Value::from(64_500_u32)),
            ("autonomous_system_organization", text("Some system")),
        ]),
        map(&[("country", map(&[("iso_code", text("DE"))]))]),
        map(&[
            ("asn", text("AS64500")),
            ("as_name", text("Some")),
            ("country_code", text("DE")),
        ]),
        map(&[("country", text("DE"))]),
    ];
    let mut files = Vec::new();
    for value in values {
        let mut writer = Writer::new("Test");
        for net in ["192.0.2.0/24", "1.2.0.0/16", "2001:db8::/32"] {
            let net: ipnet::IpNet = net.parse().unwrap();
            writer.insert_value(net, value.clone()).unwrap();
        }
        files.push([vec![0], writer.to_bytes().unwrap()].concat());
    }
    for json in [
        r#"{"prefixes": [{"ip_prefix": "192.0.2.0/24", "region": "eu-west-1", "service": "EC2"}],
            "ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/40", "region": "x", "service": "AMAZON"}]}"#,
        r#"{"prefixes": [{"ipv4Prefix": "192.0.2.0/24", "service": "Google Cloud", "scope": "us-east1"},
            {"ipv6Prefix": "2001:db8::/32"}]}"#,
        r#"{"values": [{"name": "Storage", "properties": {"region": "westeurope", "systemService":
            "AzureStorage", "addressPrefixes": ["192.0.2.0/24", "2001:db8::/32"]}}]}"#,
    ] {
        files.push([&[1], json.as_bytes()].concat());
    }
    files
}

/// Links and routes, in this machine's byte order.
pub(crate) fn netlink() -> Vec<Vec<u8>> {
    let attribute = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut out = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    };
    let message = |kind: u16, body: &[u8]| {
        let total = length(body) + 16;
        let head = [&total.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        [head, body.to_vec()].concat()
    };
    let mut link = vec![0; 16];
    link[4] = 2;
    link[8] = 1;
    link.extend(attribute(3, b"eth0\0"));
    link.extend(attribute(4, &1500_u32.to_ne_bytes()));
    link.extend(attribute(1, &[2, 0, 0, 0, 0, 1]));
    link.extend(attribute(18, &attribute(1, b"veth\0")));
    let mut route = vec![0; 12];
    route[7] = 1;
    let hops = [[8, 0, 0, 0, 3, 0, 0, 0], [8, 0, 0, 0, 7, 0, 0, 0]].concat();
    let several = [&route[..], &attribute(9, &hops)].concat();
    route.extend(attribute(4, &[2, 0, 0, 0]));
    vec![
        [
            message(16, &link),
            message(24, &route),
            message(24, &several),
        ]
        .concat(),
    ]
}
