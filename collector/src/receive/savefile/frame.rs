//! A captured frame → the UDP datagram in it: link header, IP, reassembly of fragments.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use etherparse::defrag::IpDefragBuf;
use etherparse::{
    EtherType, IpFragOffset, Ipv6ExtensionSlice, LaxNetSlice, LaxSlicedPacket, ip_number,
};

/// Maximum number of incomplete datagrams. One more replaces the oldest.
const MAX_PARTIAL: usize = 256;
/// Maximum number of separate parts of an incomplete datagram.
const MAX_SCATTERED: usize = 64;
const UDP_HEADER_OCTETS: usize = 8;

/// Why a frame has no datagram of flow export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The link type is unknown.
    LinkType,
    /// It is not UDP.
    NotUdp,
    /// It is truncated by the snap length.
    Truncated,
    /// A fragment that does not complete its datagram.
    Fragment,
    /// The UDP payload does not begin with a version number of flow export.
    NotFlowExport,
}

impl SkipReason {
    /// All reasons, in the order of the counters.
    pub const ALL: [Self; 5] = [
        Self::LinkType,
        Self::NotUdp,
        Self::Truncated,
        Self::Fragment,
        Self::NotFlowExport,
    ];

    /// The reason as a metric's label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkType => "link_type",
            Self::NotUdp => "not_udp",
            Self::Truncated => "truncated",
            Self::Fragment => "fragment",
            Self::NotFlowExport => "not_flow_export",
        }
    }
}

/// The position of a datagram in its frame; [`Frames::payload`] returns its octets.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) exporter: SocketAddr,
    /// It was reassembled from several frames.
    fragmented: bool,
    range: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FragmentId {
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
}

/// Finds datagrams in frames, and keeps fragments.
#[derive(Debug, Default)]
pub(super) struct Frames {
    partial: HashMap<FragmentId, (u64, IpDefragBuf)>,
    /// Number of fragments so far, by which the oldest datagram is known.
    sequence: u64,
    /// The datagram that was reassembled last.
    reassembled: Vec<u8>,
}

impl Frames {
    /// Finds the datagram that `frame` has or completes. `truncated`: the frame was longer on the wire.
    pub(super) fn locate(
        &mut self,
        link_type: u32,
        frame: &[u8],
        truncated: bool,
    ) -> Result<Located, SkipReason> {
        let ip = slice(link_type, frame).ok_or(SkipReason::LinkType)?;
        let net = ip.net.as_ref().ok_or(if truncated {
            SkipReason::Truncated
        } else {
            SkipReason::NotUdp
        })?;
        // This comes first: extension headers of IPv6 are all checked only if UDP follows them. The iterator below
        // relies on that, and reads beyond the frame if one is truncated.
        let payload = net.ip_payload_ref().ok_or(SkipReason::NotUdp)?;
        if payload.ip_number != ip_number::UDP {
            return Err(SkipReason::NotUdp);
        }
        if payload.incomplete {
            return Err(SkipReason::Truncated);
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
            LaxNetSlice::Arp(_) => return Err(SkipReason::NotUdp),
        };
        let (octets, base) = match fragment {
            None => (payload.payload, frame),
            Some((id, offset, more)) => {
                self.reassembled = self
                    .reassemble(id, offset, more, payload.payload)
                    .ok_or(SkipReason::Fragment)?;
                (self.reassembled.as_slice(), self.reassembled.as_slice())
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
            &self.reassembled
        } else {
            frame
        };
        base.get(located.range.clone()).unwrap_or_default()
    }

    /// Adds a fragment. Returns the payload if that completes it.
    fn reassemble(
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

fn udp_payload(source: IpAddr, octets: &[u8]) -> Result<(SocketAddr, &[u8]), SkipReason> {
    let (header, rest) = octets
        .split_first_chunk::<UDP_HEADER_OCTETS>()
        .ok_or(SkipReason::NotUdp)?;
    let [s0, s1, _, _, l0, l1, _, _] = *header;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let payload = match length.checked_sub(UDP_HEADER_OCTETS) {
        // 0 is a jumbogram (RFC 2675 §4), or the length is filled in by the network card.
        None => rest,
        Some(length) => rest.get(..length).ok_or(SkipReason::Truncated)?,
    };
    match payload {
        [0, 5 | 7 | 9 | 10, ..] => Ok((
            SocketAddr::new(source.to_canonical(), u16::from_be_bytes([s0, s1])),
            payload,
        )),
        _ => Err(SkipReason::NotFlowExport),
    }
}

/// The packet up to IP, by the link types of <https://www.tcpdump.org/linktypes.html>.
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
        // Four octets of address family, whose values differ by operating system. The packet has the version as well.
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
