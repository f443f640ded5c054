//! A captured frame → the UDP datagram in it: link header, IP, tunnels, reassembly of fragments.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use enum_map::Enum;
use etherparse::defrag::IpDefragBuf;
use etherparse::{
    EtherType, IpFragOffset, Ipv6ExtensionSlice, LaxIpv4Slice, LaxIpv6Slice, LaxNetSlice,
    LaxSlicedPacket, ip_number,
};
use strum::IntoStaticStr;

use super::SavefileCounts;
use super::copies::Interface;
use super::link::{LINUX_SLL, LINUX_SLL2, ip_packet};
use super::tunnel;

/// Maximum number of incomplete datagrams. One more replaces the oldest.
const MAX_PARTIAL: usize = 256;
/// Maximum number of separate parts of an incomplete datagram.
const MAX_SCATTERED: usize = 64;
/// Maximum number of tunnels inside each other.
const MAX_TUNNELS: usize = 4;

const UDP_HEADER_OCTETS: usize = 8;

/// Why a frame has no datagram of flow export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SkipReason {
    /// The link type is unknown.
    LinkType,
    /// It is not UDP.
    NotUdp,
    /// It is truncated by the snap length.
    Truncated,
    /// A fragment of a datagram that is not complete.
    Fragment,
    /// A copy of a datagram that another interface of the capture has.
    Duplicate,
    /// The UDP payload does not begin with a version number of flow export.
    NotFlowExport,
}

/// A captured frame, without its octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) link_type: u32,
    /// It was longer on the wire.
    pub(super) truncated: bool,
    pub(super) time_milliseconds: u64,
    pub(super) interface: Interface,
}

/// The position of a datagram in its frame; [`Frames::payload`] returns its octets.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) exporter: SocketAddr,
    pub(super) interface: Interface,
    /// It was reassembled from several frames.
    fragmented: bool,
    range: Range<usize>,
}

/// A datagram of which some fragments were read.
#[derive(Debug)]
struct Partial {
    /// Number of its first fragment.
    began: u64,
    fragments: u64,
    buffer: IpDefragBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FragmentId {
    /// Each interface of a capture has its own copy.
    interface: Interface,
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
}

/// The header of a fragment.
#[derive(Clone, Copy, Debug)]
struct Fragment {
    id: FragmentId,
    offset: IpFragOffset,
    /// More fragments follow.
    more: bool,
}

impl Frame {
    /// The interface that observed it. A capture of all interfaces names it in the link header.
    fn observed_on(&self, frame: &[u8]) -> Interface {
        match (self.interface, self.link_type) {
            (Interface::Only | Interface::Number(_), LINUX_SLL) => Interface::Unknown,
            (Interface::Only, LINUX_SLL2) => Interface::Number(sll2_interface(frame).into()),
            (Interface::Number(number), LINUX_SLL2) => {
                Interface::Number(number << 32 | u64::from(sll2_interface(frame)))
            }
            (interface, _) => interface,
        }
    }
}

impl Fragment {
    /// `None` for a packet that is not a fragment.
    fn of_v4(packet: &LaxIpv4Slice<'_>, interface: Interface) -> Option<Self> {
        let header = packet.header();
        header.is_fragmenting_payload().then(|| Self {
            id: FragmentId {
                interface,
                source: header.source_addr().into(),
                destination: header.destination_addr().into(),
                identification: header.identification().into(),
            },
            offset: header.fragments_offset(),
            more: header.more_fragments(),
        })
    }

    /// `None` for a packet that is not a fragment.
    fn of_v6(packet: &LaxIpv6Slice<'_>, interface: Interface) -> Option<Self> {
        let header = packet.header();
        packet
            .extensions()
            .clone()
            .into_iter()
            .find_map(|extension| {
                let Ipv6ExtensionSlice::Fragment(fragment) = extension else {
                    return None;
                };
                fragment.is_fragmenting_payload().then(|| Self {
                    id: FragmentId {
                        interface,
                        source: header.source_addr().into(),
                        destination: header.destination_addr().into(),
                        identification: fragment.identification(),
                    },
                    offset: fragment.fragment_offset(),
                    more: fragment.more_fragments(),
                })
            })
    }
}

/// Finds datagrams in frames, and keeps fragments.
#[derive(Debug, Default)]
pub(super) struct Frames {
    partial: HashMap<FragmentId, Partial>,
    /// Number of fragments so far, by which the oldest datagram is known.
    sequence: u64,
    /// The datagram that was reassembled last.
    reassembled: Vec<u8>,
    /// A frame had a supported link type.
    any_supported: bool,
    /// A link type that is not supported.
    unsupported: Option<u32>,
}

impl Frames {
    /// Finds the datagram that a frame has or completes. Others are counted; a fragment is, when
    /// its datagram is complete or discarded.
    pub(super) fn locate(
        &mut self,
        frame: &Frame,
        octets: &[u8],
        counts: &mut SavefileCounts,
    ) -> Option<Located> {
        match self.find(frame, octets, counts) {
            Ok(located) => located,
            Err(reason) => {
                counts.skipped[reason] += 1;
                None
            }
        }
    }

    /// Counts the fragments of datagrams that are not complete at the end of a file. Returns a link
    /// type that is not supported if no frame had one that is.
    pub(super) fn finish(&mut self, counts: &mut SavefileCounts) -> Option<u32> {
        for (_, partial) in self.partial.drain() {
            counts.skipped[SkipReason::Fragment] += partial.fragments;
        }
        self.unsupported.filter(|_| !self.any_supported)
    }

    fn find(
        &mut self,
        captured: &Frame,
        frame: &[u8],
        counts: &mut SavefileCounts,
    ) -> Result<Option<Located>, SkipReason> {
        let link_type = captured.link_type;
        let Some(packet) = ip_packet(link_type, frame) else {
            self.unsupported = Some(link_type);
            return Err(SkipReason::LinkType);
        };
        self.any_supported = true;
        let ip = innermost(packet);
        let net = ip.net.as_ref().ok_or(if captured.truncated {
            SkipReason::Truncated
        } else {
            SkipReason::NotUdp
        })?;
        // This comes first: extension headers of IPv6 are all checked only if UDP follows them.
        // Their iterator relies on that, and reads beyond the frame if one is truncated.
        let payload = net.ip_payload_ref().ok_or(SkipReason::NotUdp)?;
        if payload.ip_number != ip_number::UDP {
            return Err(SkipReason::NotUdp);
        }
        if payload.incomplete {
            return Err(SkipReason::Truncated);
        }
        let interface = captured.observed_on(frame);
        let (source, fragment) = match net {
            LaxNetSlice::Ipv4(v4) => {
                let source = v4.header().source_addr().into();
                (source, Fragment::of_v4(v4, interface))
            }
            LaxNetSlice::Ipv6(v6) => {
                let source = v6.header().source_addr().into();
                (source, Fragment::of_v6(v6, interface))
            }
            LaxNetSlice::Arp(_) => return Err(SkipReason::NotUdp),
        };
        let (octets, base) = match &fragment {
            None => (payload.payload, frame),
            Some(fragment) => {
                let Some(reassembled) = self.reassemble(fragment, payload.payload, counts) else {
                    return Ok(None);
                };
                self.reassembled = reassembled;
                (self.reassembled.as_slice(), self.reassembled.as_slice())
            }
        };
        let (exporter, datagram) = udp_payload(source, octets)?;
        let start = datagram
            .as_ptr()
            .addr()
            .saturating_sub(base.as_ptr().addr());
        Ok(Some(Located {
            exporter,
            interface,
            fragmented: fragment.is_some(),
            range: start..start.saturating_add(datagram.len()),
        }))
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
        fragment: &Fragment,
        payload: &[u8],
        counts: &mut SavefileCounts,
    ) -> Option<Vec<u8>> {
        let Fragment { id, offset, more } = *fragment;
        if !self.partial.contains_key(&id) && self.partial.len() >= MAX_PARTIAL {
            let oldest = self.partial.iter().min_by_key(|(_, partial)| partial.began);
            let oldest = oldest.map(|(id, _)| *id)?;
            self.discard(&oldest, counts);
        }
        self.sequence += 1;
        let partial = self.partial.entry(id).or_insert_with(|| Partial {
            began: self.sequence,
            fragments: 0,
            buffer: IpDefragBuf::new(ip_number::UDP, Vec::new(), Vec::new()),
        });
        partial.fragments += 1;
        let added = partial.buffer.add(offset, more, payload);
        if added.is_err() || partial.buffer.sections().len() > MAX_SCATTERED {
            self.discard(&id, counts);
            return None;
        }
        if !partial.buffer.is_complete() {
            return None;
        }
        let Partial {
            fragments, buffer, ..
        } = self.partial.remove(&id)?;
        // The last one is the frame of the datagram.
        counts.joined += fragments.saturating_sub(1);
        Some(buffer.take_bufs().0)
    }

    fn discard(&mut self, id: &FragmentId, counts: &mut SavefileCounts) {
        if let Some(partial) = self.partial.remove(id) {
            counts.skipped[SkipReason::Fragment] += partial.fragments;
        }
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
    if !flowproto::is_flow_export(payload) {
        return Err(SkipReason::NotFlowExport);
    }
    let exporter = SocketAddr::new(source.to_canonical(), u16::from_be_bytes([s0, s1]));
    Ok((exporter, payload))
}

/// The packet behind an EtherType, up to IP. In a tunnel it is the inner one.
fn innermost((ether_type, packet): (u16, &[u8])) -> LaxSlicedPacket<'_> {
    let mut ip = LaxSlicedPacket::from_ether_type(EtherType(ether_type), packet);
    for _ in 0..MAX_TUNNELS {
        let payload = ip.net.as_ref().and_then(LaxNetSlice::ip_payload_ref);
        let Some((ether_type, packet)) = payload.and_then(tunnel::inside) else {
            break;
        };
        ip = LaxSlicedPacket::from_ether_type(EtherType(ether_type), packet);
    }
    ip
}

/// The number of the interface in a header of `LINUX_SLL2`.
fn sll2_interface(frame: &[u8]) -> u32 {
    let number = frame.get(4..).and_then(<[u8]>::first_chunk);
    number.map_or(0, |octets| u32::from_be_bytes(*octets))
}
