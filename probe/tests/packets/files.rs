//! Builders of savefiles, and their reading.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code, of which each test uses a part"
)]

use std::io::{Cursor, Read};

use kipfix_probe::capture::frame::{LinkType, ObservationPoint};
use kipfix_probe::capture::savefile::{Savefile, SavefileError};

use super::*;

/// A frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) octets: Vec<u8>,
    pub(crate) wire_octets: u32,
    pub(crate) is_wire_length_lost: bool,
    pub(crate) link_type: LinkType,
    pub(crate) time_ns: u64,
    pub(crate) point: ObservationPoint,
}

/// Reads a file to its end, or to an error.
pub(crate) fn read(
    file: impl Read + Send + 'static,
    filter: Option<&str>,
) -> (Vec<Seen>, Result<(), SavefileError>) {
    let mut frames = Vec::new();
    let mut savefile = match Savefile::from_reader(file, filter) {
        Ok(savefile) => savefile,
        Err(error) => return (frames, Err(error)),
    };
    loop {
        let outcome = savefile.dispatch(|frame, point| {
            frames.push(Seen {
                octets: frame.captured.to_vec(),
                wire_octets: frame.wire_octets,
                is_wire_length_lost: frame.is_wire_length_lost,
                link_type: frame.link_type,
                time_ns: frame.time_ns,
                point,
            });
        });
        match outcome {
            Ok(true) => {}
            Ok(false) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

pub(crate) fn read_whole(file: &[u8]) -> Vec<Seen> {
    let (frames, outcome) = read(Cursor::new(file.to_vec()), None);
    outcome.unwrap();
    frames
}

/// The error that ends the reading, and the number of frames before it.
pub(crate) fn failure(file: &[u8]) -> (String, usize) {
    let (frames, outcome) = read(Cursor::new(file.to_vec()), None);
    (outcome.unwrap_err().to_string(), frames.len())
}

/// The order of octets in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Big,
    Little,
}

impl Order {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Big => value.to_be_bytes(),
            Self::Little => value.to_le_bytes(),
        }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Big => value.to_be_bytes(),
            Self::Little => value.to_le_bytes(),
        }
    }

    pub(crate) fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.u32(*value)).collect()
    }
}

pub(crate) fn len32(octets: &[u8]) -> u32 {
    u32::try_from(octets.len()).unwrap()
}

/// A pcap file header.
pub(crate) fn pcap_header(order: Order, magic: u32, snaplen: u32, link_type: u32) -> Vec<u8> {
    let mut out = order.u32(magic).to_vec();
    out.extend(order.u16(2));
    out.extend(order.u16(4));
    out.extend(order.words(&[0, 0, snaplen, link_type]));
    out
}

/// A frame of a pcap file.
pub(crate) fn pcap_frame(
    order: Order,
    time: (u32, u32),
    wire_octets: u32,
    captured: &[u8],
) -> Vec<u8> {
    let mut out = order.words(&[time.0, time.1, len32(captured), wire_octets]);
    out.extend(captured);
    out
}

pub(crate) const MICROSECONDS: u32 = 0xa1b2_c3d4;
pub(crate) const NANOSECONDS: u32 = 0xa1b2_3c4d;

pub(crate) fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let order = Order::Little;
    let mut out = pcap_header(order, MICROSECONDS, 262_144, 1);
    for frame in frames {
        out.extend(pcap_frame(order, (100, 5), len32(frame), frame));
    }
    out
}

/// A block of a pcapng file.
pub(crate) fn block(order: Order, kind: u32, mut body: Vec<u8>) -> Vec<u8> {
    body.resize(body.len().next_multiple_of(4), 0);
    let total = len32(&body) + 12;
    let mut out = order.words(&[kind, total]);
    out.extend(body);
    out.extend(order.u32(total));
    out
}

pub(crate) fn section(order: Order) -> Vec<u8> {
    let mut body = order.u32(0x1a2b_3c4d).to_vec();
    body.extend(order.u16(1));
    body.extend(order.u16(0));
    body.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, body)
}

pub(crate) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut out = order.u16(code).to_vec();
    out.extend(order.u16(u16::try_from(value.len()).unwrap()));
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

pub(crate) fn interface(order: Order, link_type: u16, snaplen: u32, options: &[u8]) -> Vec<u8> {
    let mut body = order.u16(link_type).to_vec();
    body.extend([0, 0]);
    body.extend(order.u32(snaplen));
    body.extend(options);
    block(order, 1, body)
}

/// An enhanced packet block.
pub(crate) fn packet(
    order: Order,
    interface: u32,
    time: u64,
    wire_octets: u32,
    captured: &[u8],
) -> Vec<u8> {
    let [high, low] = [time >> 32, time & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
    let mut body = order.words(&[interface, high, low, len32(captured), wire_octets]);
    body.extend(captured);
    block(order, 6, body)
}

/// A distinct frame with an Ethernet header.
pub(crate) fn numbered(number: u8) -> Vec<u8> {
    ethernet(
        0x0800,
        &ipv4(
            17,
            [10, 0, 0, number],
            [10, 0, 1, 1],
            &udp(9, 10, &[number; 30]),
        ),
    )
}
