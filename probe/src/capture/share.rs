//! The part of the packets that a metering thread captures.

use std::fmt::Write as _;

/// One of several parts of the packets, which have no packet in common and leave none out.
///
/// The part of a packet depends on its addresses, outer ones in a tunnel, and is the same for both
/// directions and for all fragments. The kernel filter of each capture passes one part, so threads
/// share neither packets nor state. Frames that begin with anything else than IP, e.g. with a tag,
/// are in the first part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: usize,
    count: usize,
}

impl Share {
    /// All packets.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// The parts for a number of threads, at least 1.
    pub fn each(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { index, count })
    }

    /// True for the part that exists with any number of threads.
    pub(super) const fn is_first(self) -> bool {
        self.index == 0
    }

    /// Writes the pcap-filter(7) expression of this part with ` and ` behind it, or nothing if it is
    /// all packets.
    pub(super) fn write_expression(self, out: &mut String) {
        let Self { index, count } = self;
        if count <= 1 {
            return;
        }
        // The sum of the addresses is the same in both directions. A multiplication moves what
        // distinguishes it to the upper bits.
        let part = |sum: &str| format!("((((({sum}) * 0x9e3779b1) & 0xffffffff) >> 16) % {count})");
        let v4 = part("ip[12:4] + ip[16:4]");
        let v6 = part("ip6[16:4] + ip6[20:4] + ip6[32:4] + ip6[36:4]");
        // Writing to a String cannot fail.
        match index {
            0 => write!(out, "not ((ip and {v4} != 0) or (ip6 and {v6} != 0)) and "),
            _ => write!(
                out,
                "((ip and {v4} = {index}) or (ip6 and {v6} = {index})) and "
            ),
        }
        .ok();
    }
}

#[cfg(test)]
mod tests {
    use pcap::{BpfProgram, Capture, Linktype};

    use super::*;

    fn programs(count: usize) -> Vec<BpfProgram> {
        let dead = Capture::dead(Linktype::ETHERNET).unwrap();
        let program = |share: Share| {
            let mut expression = String::new();
            share.write_expression(&mut expression);
            expression.push_str("greater 0");
            dead.compile(&expression, true).unwrap()
        };
        Share::each(count).map(program).collect()
    }

    /// The part whose program passes a frame.
    fn part(programs: &[BpfProgram], frame: &[u8]) -> usize {
        let passing = programs.iter().map(|program| program.filter(frame));
        let parts: Vec<usize> = passing
            .enumerate()
            .filter_map(|(part, passes)| passes.then_some(part))
            .collect();
        assert_eq!(parts.len(), 1, "{frame:02x?} is in {parts:?}");
        parts[0]
    }

    fn frame(ethertype: u16, header: &[u8]) -> Vec<u8> {
        let mut frame = vec![2; 12];
        frame.extend(ethertype.to_be_bytes());
        frame.extend(header);
        frame.resize(100, 0);
        frame
    }

    fn v4(source: [u8; 4], destination: [u8; 4], fragment: u16) -> Vec<u8> {
        let mut header = vec![0x45, 0, 0, 60, 0, 1];
        header.extend(fragment.to_be_bytes());
        header.extend([64, 17, 0, 0]);
        header.extend(source);
        header.extend(destination);
        frame(0x0800, &header)
    }

    fn v6(source: u8, destination: u8) -> Vec<u8> {
        let mut header = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
        for last in [source, destination] {
            header.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        frame(0x86dd, &header)
    }

    #[test]
    fn every_frame_is_in_one_part_and_both_directions_are_in_the_same() {
        for count in 1..=5 {
            let programs = programs(count);
            let mut packets = vec![[0; 2]; count];
            for number in 0..=255 {
                let (a, b) = ([10, 1, number / 16, number], [10, 1, 7, number % 16]);
                let at = part(&programs, &v4(a, b, 0));
                packets[at][0] += 1;
                for fragment in [0x2000, 0x2001, 0x00b9] {
                    assert_eq!(part(&programs, &v4(b, a, fragment)), at);
                }
                let at = part(&programs, &v6(number, 1));
                packets[at][1] += 1;
                assert_eq!(part(&programs, &v6(1, number)), at);
            }
            // No part is empty or has most of the packets.
            let fair = 256 / count..=256 / count;
            for of_part in packets.iter().flatten() {
                assert!(
                    (fair.start() / 2..=fair.end() * 2).contains(of_part),
                    "{packets:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_ip_is_in_the_first_part() {
        let programs = programs(3);
        for ethertype in [0x0806, 0x8100, 0x8847, 0x8864] {
            assert_eq!(part(&programs, &frame(ethertype, &[0x45; 60])), 0);
        }
    }
}
