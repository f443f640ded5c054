//! A captured frame → the UDP datagram in it: link header, IP, fragments of one datagram put together.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use etherparse::defrag::IpDefragBuf;
use etherparse::{
    EtherType, IpFragOffset, Ipv6ExtensionSlice, LaxNetSlice, LaxSlicedPacket, ip_number,
};

/// Datagrams being put together at once; one more pushes out the oldest.
const MAX_PARTIAL: usize = 256;
/// Ranges of one datagram that may be scattered at once.
const MAX_SCATTERED: usize = 64;
const UDP_HEADER_OCTETS: usize = 8;

/// Why a frame gave no datagram; a metric's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotUsed {
    /// The link type is none that is known here.
    LinkType,
    /// No UDP in it.
    NotUdp,
    /// The capture cut it off (snaplen).
    CutOff,
    /// A part of a datagram; the part that completes it is used.
    Fragment,
    /// A UDP payload that begins with no version number of flow export.
    NotFlowExport,
}

impl NotUsed {
    /// All reasons, in the order of the counters.
    pub const ALL: [Self; 5] = [
        Self::LinkType,
        Self::NotUdp,
        Self::CutOff,
        Self::Fragment,
        Self::NotFlowExport,
    ];

    /// The reason as a metric's label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkType => "link_type",
            Self::NotUdp => "not_udp",
            Self::CutOff => "cut_off",
            Self::Fragment => "fragment",
            Self::NotFlowExport => "not_flow_export",
        }
    }
}

/// Where the datagram of a frame is; [`Frames::payload`] has its octets.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) exporter: SocketAddr,
    /// It was put together from several frames.
    fragmented: bool,
    range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FragmentId {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
}

/// Takes frames apart, remembering fragments.
#[derive(Debug, Default)]
pub(super) struct Frames {
    partial: HashMap<FragmentId, (u64, IpDefragBuf)>,
    /// Counts partial datagrams, so that the oldest is known.
    sequence: u64,
    /// The datagram last put together.
    whole: Vec<u8>,
}

impl Frames {
    /// Finds the datagram that `frame` carries or completes. `cut`: the frame was longer on the wire.
    pub(super) fn locate(
        &mut self,
        link_type: u32,
        frame: &[u8],
        cut: bool,
    ) -> Result<Located, NotUsed> {
        let ip = slice(link_type, frame).ok_or(NotUsed::LinkType)?;
        let net = ip.net.as_ref().ok_or(if cut {
            NotUsed::CutOff
        } else {
            NotUsed::NotUdp
        })?;
        // First of all: only where UDP stands behind IPv6's extension headers were all of them looked at. The
        // iterator below takes them for checked, and reads beyond the frame where one is cut off.
        let payload = net.ip_payload_ref().ok_or(NotUsed::NotUdp)?;
        if payload.ip_number != ip_number::UDP {
            return Err(NotUsed::NotUdp);
        }
        if payload.incomplete {
            return Err(NotUsed::CutOff);
        }
        let (source, fragment) = match net {
            LaxNetSlice::Ipv4(v4) => {
                let header = v4.header();
                let fragment = header.is_fragmenting_payload().then(|| {
                    (
                        FragmentId {
                            source: header.source_addr().into(),
                            destination: header.destination_addr().into(),
                            identification: header.identification().into(),
                        },
                        header.fragments_offset(),
                        header.more_fragments(),
                    )
                });
                (IpAddr::from(header.source_addr()), fragment)
            }
            LaxNetSlice::Ipv6(v6) => {
                let header = v6.header();
                let fragment = v6.extensions().clone().into_iter().find_map(|extension| {
                    let Ipv6ExtensionSlice::Fragment(fragment) = extension else {
                        return None;
                    };
                    let identified = FragmentId {
                        source: header.source_addr().into(),
                        destination: header.destination_addr().into(),
                        identification: fragment.identification(),
                    };
                    fragment.is_fragmenting_payload().then(|| {
                        (
                            identified,
                            fragment.fragment_offset(),
                            fragment.more_fragments(),
                        )
                    })
                });
                (IpAddr::from(header.source_addr()), fragment)
            }
            LaxNetSlice::Arp(_) => return Err(NotUsed::NotUdp),
        };
        let (octets, base) = match fragment {
            None => (payload.payload, frame),
            Some((id, offset, more)) => {
                self.whole = self
                    .put_together(id, offset, more, payload.payload)
                    .ok_or(NotUsed::Fragment)?;
                (self.whole.as_slice(), self.whole.as_slice())
            }
        };
        let (exporter, datagram) = udp_payload(source, octets)?;
        let start = datagram
            .as_ptr()
            .addr()
            .saturating_sub(base.as_ptr().addr());
        Ok(Located {
            exporter,
            fragmented: fragment.is_some(),
            range: start..start.saturating_add(datagram.len()),
        })
    }

    /// The octets of the datagram that was just located in `frame`.
    pub(super) fn payload<'a>(&'a self, frame: &'a [u8], located: &Located) -> &'a [u8] {
        let base = if located.fragmented {
            &self.whole
        } else {
            frame
        };
        base.get(located.range.clone()).unwrap_or_default()
    }

    /// Adds a fragment; the whole payload, if this was the last that lacked.
    fn put_together(
        &mut self,
        id: FragmentId,
        offset: IpFragOffset,
        more: bool,
        payload: &[u8],
    ) -> Option<Vec<u8>> {
        if !self.partial.contains_key(&id) && self.partial.len() >= MAX_PARTIAL {
            let oldest = self.partial.iter().min_by_key(|(_, (began, _))| *began);
            let oldest = oldest.map(|(id, _)| *id)?;
            self.partial.remove(&oldest);
        }
        self.sequence += 1;
        let (_, buffer) = self.partial.entry(id).or_insert_with(|| {
            (
                self.sequence,
                IpDefragBuf::new(ip_number::UDP, Vec::new(), Vec::new()),
            )
        });
        let added = buffer.add(offset, more, payload);
        if added.is_err() || buffer.sections().len() > MAX_SCATTERED {
            self.partial.remove(&id);
            return None;
        }
        if !buffer.is_complete() {
            return None;
        }
        let (_, buffer) = self.partial.remove(&id)?;
        Some(buffer.take_bufs().0)
    }
}

fn udp_payload(source: IpAddr, octets: &[u8]) -> Result<(SocketAddr, &[u8]), NotUsed> {
    let (header, rest) = octets
        .split_first_chunk::<UDP_HEADER_OCTETS>()
        .ok_or(NotUsed::NotUdp)?;
    let [s0, s1, _, _, l0, l1, _, _] = *header;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let payload = match length.checked_sub(UDP_HEADER_OCTETS) {
        // 0 is a jumbogram (RFC 2675 §4), or offloading that left the length to the card.
        None => rest,
        Some(length) => rest.get(..length).ok_or(NotUsed::CutOff)?,
    };
    match payload {
        [0, 5 | 7 | 9 | 10, ..] => Ok((
            SocketAddr::new(source.to_canonical(), u16::from_be_bytes([s0, s1])),
            payload,
        )),
        _ => Err(NotUsed::NotFlowExport),
    }
}

/// Down to IP, by the link types of <https://www.tcpdump.org/linktypes.html>.
fn slice(link_type: u32, frame: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    let after = |octets: usize| frame.get(octets..).unwrap_or_default();
    Some(match link_type {
        1 => match LaxSlicedPacket::from_ethernet(frame) {
            Ok(packet) => packet,
            Err(_) => LaxSlicedPacket::from_ether_type(EtherType(0), &[]),
        },
        // Linux cooked v1 and v2.
        113 => LaxSlicedPacket::from_ether_type(ether_type(after(14)), after(16)),
        276 => LaxSlicedPacket::from_ether_type(ether_type(frame), after(20)),
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ether_type(ip_version(frame), frame),
        // Four octets of address family, whose values differ by system: the packet tells as well.
        0 | 108 => LaxSlicedPacket::from_ether_type(ip_version(after(4)), after(4)),
        _ => return None,
    })
}

fn ether_type(octets: &[u8]) -> EtherType {
    EtherType(
        octets
            .first_chunk()
            .map_or(0, |octets| u16::from_be_bytes(*octets)),
    )
}

fn ip_version(packet: &[u8]) -> EtherType {
    match packet.first().map(|octet| octet >> 4) {
        Some(4) => EtherType::IPV4,
        Some(6) => EtherType::IPV6,
        _ => EtherType(0),
    }
}
