//! The link layer of a captured frame: from its first octet to the IP packet, by the link types of
//! <https://www.tcpdump.org/linktypes.html>.

/// Link types of captures of all interfaces of a Linux host.
pub(super) const LINUX_SLL: u32 = 113;
pub(super) const LINUX_SLL2: u32 = 276;

/// Maximum number of tags, labels or headers in a row.
const MAX_HEADERS: usize = 16;

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
const MPLS: u16 = 0x8847;
/// LLC, as cooked captures name it. Ethernet has the length of the frame in this place.
const LLC: u16 = 4;

/// The octets from the IP header on, with its EtherType. Those of a frame without an IP packet have
/// another one. `None` if the link type is unknown.
pub(super) fn ip_packet(link_type: u32, frame: &[u8]) -> Option<(u16, &[u8])> {
    let after = |octets: usize| frame.get(octets..).unwrap_or_default();
    Some(match link_type {
        1 => ethernet(frame),
        LINUX_SLL => behind(after(14)),
        LINUX_SLL2 => network(number(frame), after(20)),
        12 | 14 | 101 | 228 | 229 => by_version(frame),
        // Four octets of address family, whose values differ by operating system. The packet has
        // the version as well.
        0 | 108 => by_version(after(4)),
        // PPP, in which some systems capture Cisco HDLC as well.
        9 | 50 if !matches!(frame, [0x0f | 0x8f, ..]) => ppp(frame),
        9 | 50 | 104 => behind(after(2)),
        51 => ppp(after(6)),
        _ => return None,
    })
}

/// The packet of an Ethernet frame.
pub(super) fn ethernet(frame: &[u8]) -> (u16, &[u8]) {
    behind(frame.get(12..).unwrap_or_default())
}

/// The packet behind an EtherType.
fn behind(octets: &[u8]) -> (u16, &[u8]) {
    network(number(octets), octets.get(2..).unwrap_or_default())
}

/// The packet behind tags and labels.
fn network(mut kind: u16, mut data: &[u8]) -> (u16, &[u8]) {
    for _ in 0..MAX_HEADERS {
        let (next, header) = match (kind, data) {
            (0x8100 | 0x88a8 | 0x9100 | 0x9200, _) => {
                (number(data.get(2..).unwrap_or_default()), 4)
            }
            // SNAP with an EtherType.
            (LLC..=1500, [0xaa, 0xaa, 3, 0, 0, 0, kind @ ..]) => (number(kind), 8),
            (0x8864, _) => return ppp(data.get(6..).unwrap_or_default()),
            (0x8847 | 0x8848, [_, _, flags, _, packet @ ..]) => {
                if flags & 1 == 1 {
                    return labelled(packet);
                }
                (MPLS, 4)
            }
            _ => break,
        };
        kind = next;
        data = data.get(header..).unwrap_or_default();
    }
    (kind, data)
}

/// The packet behind the last label: IP, or the frame of a pseudowire behind its control word (RFC
/// 4385).
fn labelled(data: &[u8]) -> (u16, &[u8]) {
    match data {
        [0, 0, _, _, frame @ ..] => {
            let mut kind = number(frame.get(12..).unwrap_or_default());
            let mut packet = frame.get(14..).unwrap_or_default();
            while matches!(kind, 0x8100 | 0x88a8) && packet.len() >= 4 {
                kind = number(packet.get(2..).unwrap_or_default());
                packet = packet.get(4..).unwrap_or_default();
            }
            (kind, packet)
        }
        _ => by_version(data),
    }
}

/// The packet of PPP. Address and control may be left out, and the protocol may be one octet.
fn ppp(frame: &[u8]) -> (u16, &[u8]) {
    match frame.strip_prefix(&[0xff, 3]).unwrap_or(frame) {
        [0x21, packet @ ..] | [0, 0x21, packet @ ..] => (IPV4, packet),
        [0x57, packet @ ..] | [0, 0x57, packet @ ..] => (IPV6, packet),
        _ => (0, &[]),
    }
}

fn by_version(packet: &[u8]) -> (u16, &[u8]) {
    let kind = match packet.first().map(|octet| octet >> 4) {
        Some(4) => IPV4,
        Some(6) => IPV6,
        _ => 0,
    };
    (kind, packet)
}

/// The number in the first two octets, 0 if there are none.
fn number(octets: &[u8]) -> u16 {
    let octets = octets.first_chunk().copied();
    octets.map_or(0, u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: [u8; 12] = [2; 12];
    const PACKET: [u8; 4] = [0x45, 0, 0, 20];
    const PACKET6: [u8; 4] = [0x60, 0, 0, 0];
    /// A label that is not the last one, and the last one.
    const LABELS: [u8; 8] = [0, 1, 0, 64, 0, 1, 1, 64];

    fn joined(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    fn ethernet(parts: &[&[u8]]) -> Vec<u8> {
        [&ADDRESSES[..], &parts.concat()].concat()
    }

    #[test]
    fn tags_labels_and_link_headers_lead_to_the_packet() {
        let tagged = ethernet(&[&[0x81, 0, 0, 7, 8, 0], &PACKET]);
        let cases = [
            (1, ethernet(&[&[8, 0], &PACKET])),
            // Four tags.
            (
                1,
                ethernet(&[
                    &[
                        0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x91, 0, 0, 3, 0x81, 0, 0, 4, 8, 0,
                    ],
                    &PACKET,
                ]),
            ),
            (1, ethernet(&[&[0x88, 0x47], &LABELS, &PACKET])),
            (
                1,
                ethernet(&[&[0x81, 0, 0, 7, 0x88, 0x48], &LABELS[4..], &PACKET]),
            ),
            // A pseudowire with a control word, and a tag of its own.
            (1, ethernet(&[&[0x88, 0x47], &LABELS, &[0; 4], &tagged])),
            (
                1,
                ethernet(&[&[0x88, 0x64, 0x11, 0, 0, 5, 0, 6, 0, 0x21], &PACKET]),
            ),
            (
                1,
                ethernet(&[&[0, 12, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &PACKET]),
            ),
            (
                LINUX_SLL,
                joined(&[&[0; 14], &[0x81, 0, 0, 7, 8, 0], &PACKET]),
            ),
            (
                LINUX_SLL,
                joined(&[&[0; 14], &[0, 4, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &PACKET]),
            ),
            (LINUX_SLL2, joined(&[&[8, 0], &[0; 18], &PACKET])),
            (
                LINUX_SLL2,
                joined(&[&[0x81, 0], &[0; 18], &[0, 7, 8, 0], &PACKET]),
            ),
            (101, PACKET.to_vec()),
            (0, joined(&[&[2, 0, 0, 0], &PACKET])),
            (9, joined(&[&[0xff, 3, 0, 0x21], &PACKET])),
            (9, joined(&[&[0x21], &PACKET])),
            (50, joined(&[&[0x0f, 0, 8, 0], &PACKET])),
            (104, joined(&[&[0x8f, 0, 0x88, 0x47], &LABELS, &PACKET])),
            (51, joined(&[&[0x11, 0, 0, 5, 0, 6, 0, 0x21], &PACKET])),
        ];
        for (link_type, frame) in cases {
            let found = ip_packet(link_type, &frame);
            assert_eq!(found, Some((IPV4, &PACKET[..])), "{link_type} {frame:02x?}");
        }
        for (link_type, frame) in [
            (1, ethernet(&[&[0x86, 0xdd], &PACKET6])),
            (1, ethernet(&[&[0x88, 0x47], &LABELS, &PACKET6])),
            (9, joined(&[&[0, 0x57], &PACKET6])),
            (108, joined(&[&[0, 0, 0, 30], &PACKET6])),
        ] {
            let found = ip_packet(link_type, &frame);
            assert_eq!(
                found,
                Some((IPV6, &PACKET6[..])),
                "{link_type} {frame:02x?}"
            );
        }
    }

    #[test]
    fn other_frames_have_no_packet_at_any_length() {
        for (link_type, frame) in [
            (1, ethernet(&[&[8, 6], &[0; 28]])),
            // A length, and no SNAP.
            (1, ethernet(&[&[0, 38, 0x42, 0x42, 3], &[0; 35]])),
            (1, ethernet(&[&[0x88, 0x47], &[0; 80]])),
            (
                1,
                ethernet(&[&[0x88, 0x64, 0x11, 0, 0, 5, 0, 6, 0xc0, 0x21], &[1; 4]]),
            ),
            (1, ethernet(&[&[0x81, 0].repeat(60)])),
            (9, joined(&[&[0xff, 3, 0x80, 0x21], &[1; 4]])),
            (0, joined(&[&[2, 0, 0, 0], &[0x70; 8]])),
        ] {
            for length in 0..=frame.len() {
                let found = ip_packet(link_type, &frame[..length]);
                let kind = found.map(|(kind, _)| kind);
                assert!(
                    !matches!(kind, None | Some(IPV4 | IPV6)),
                    "{link_type} {length} {frame:02x?}"
                );
            }
        }
        assert_eq!(ip_packet(127, &[0; 60]), None);
    }
}
