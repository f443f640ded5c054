//! The part of the packets that a metering thread captures.

use std::fmt::Write as _;

use super::frame::LinkType;

/// One of several parts of the packets, which have no packet in common and leave none out.
///
/// The part of a packet depends on its addresses, outer ones in a tunnel, and is the same for both
/// directions, for all fragments, and with the VLAN tags in the frame or next to it. The kernel
/// filter of each capture passes one part, so threads share neither packets nor state. Other
/// frames, e.g. with a label, are in the first part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: usize,
    count: usize,
}

/// Tags of a frame that are looked through: a service tag and a customer tag.
const MAX_TAGS: usize = 2;

impl Share {
    /// All packets.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// The parts for a number of threads, at least 1.
    pub fn split(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { index, count })
    }

    /// True for the part that exists with any number of threads.
    pub(super) const fn is_first(self) -> bool {
        self.index == 0
    }

    /// Writes the pcap-filter(7) expression of this part with ` and ` behind it, or nothing if it
    /// is all packets.
    pub(super) fn write_expression(self, link_type: LinkType, out: &mut String) {
        let Self { index, count } = self;
        if count <= 1 {
            return;
        }
        let mut headers = Vec::new();
        match link_type {
            // The kernel takes the tag from a frame that it receives, and leaves it in one that it
            // sends. So EtherTypes are compared, at every place they can have.
            LinkType::Ethernet => {
                for tags in 0..=MAX_TAGS {
                    headers.extend(ethernet(tags));
                }
            }
            _ => {
                headers.push(("ip".to_owned(), v4("ip", 0)));
                headers.push(("ip6".to_owned(), v6("ip6", 0)));
            }
        }
        let (not, wanted) = match index {
            // What is in no other part.
            0 => ("not ", "!= 0".to_owned()),
            _ => ("", format!("= {index}")),
        };
        let part = |(condition, sum): (String, String)| {
            // A multiplication moves what distinguishes the sum to the upper bits.
            let part = format!("((((({sum}) * 0x9e3779b1) & 0xffffffff) >> 16) % {count})");
            format!("({condition} and {part} {wanted})")
        };
        let parts: Vec<String> = headers.into_iter().map(part).collect();
        // Writing to a String cannot fail.
        write!(out, "{not}({}) and ", parts.join(" or ")).ok();
    }
}

/// The condition for an IP header behind a number of tags, and the sum of its addresses, for both
/// versions. The sum is the same in both directions.
fn ethernet(tags: usize) -> [(String, String); 2] {
    let mut condition = String::new();
    for place in (12..).step_by(4).take(tags) {
        let tag = format!("ether[{place}:2]");
        condition += &format!("({tag} = 0x8100 or {tag} = 0x88a8 or {tag} = 0x9100) and ");
    }
    let place = tags * 4 + 12;
    let header = place + 2;
    [
        (
            format!("{condition}ether[{place}:2] = 0x0800"),
            v4("ether", header),
        ),
        (
            format!("{condition}ether[{place}:2] = 0x86dd"),
            v6("ether", header),
        ),
    ]
}

fn v4(layer: &str, header: usize) -> String {
    words(layer, [12, 16].map(|offset| header + offset))
}

/// Of each address, the half that identifies the interface.
fn v6(layer: &str, header: usize) -> String {
    words(layer, [16, 20, 32, 36].map(|offset| header + offset))
}

fn words<const N: usize>(layer: &str, offsets: [usize; N]) -> String {
    offsets
        .map(|offset| format!("{layer}[{offset}:4]"))
        .join(" + ")
}

#[cfg(test)]
mod tests {
    use pcap::{BpfProgram, Capture, Linktype};

    use super::*;

    fn programs(count: usize) -> Vec<BpfProgram> {
        let dead = Capture::dead(Linktype::ETHERNET).unwrap();
        let program = |share: Share| {
            let mut expression = String::new();
            share.write_expression(LinkType::Ethernet, &mut expression);
            expression.push_str("greater 0");
            dead.compile(&expression, true).unwrap()
        };
        Share::split(count).map(program).collect()
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

    fn tagged(frame: &[u8], tags: &[u16]) -> Vec<u8> {
        let tags = tags.iter().flat_map(|tag| {
            let [high, low] = tag.to_be_bytes();
            [high, low, 0, 7]
        });
        let (addresses, rest) = frame.split_at(12);
        let head = addresses.iter().copied().chain(tags);
        head.chain(rest.iter().copied()).collect()
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
                    let answer = v4(b, a, fragment);
                    assert_eq!(part(&programs, &answer), at);
                    // The kernel has taken none, the outer one or all tags from the frame.
                    for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x9100, 0x8100]] {
                        assert_eq!(part(&programs, &tagged(&answer, tags)), at);
                    }
                }
                let at = part(&programs, &v6(number, 1));
                packets[at][1] += 1;
                assert_eq!(part(&programs, &v6(1, number)), at);
                assert_eq!(part(&programs, &tagged(&v6(1, number), &[0x8100])), at);
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
        for ethertype in [0x0806, 0x8847, 0x8864] {
            assert_eq!(part(&programs, &frame(ethertype, &[0x45; 60])), 0);
        }
    }
}
