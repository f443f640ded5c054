//! The decoder: calls the parts of this stage in order.

use std::num::NonZeroUsize;

use super::fragment::FragmentTable;
use super::packet::{PacketInfo, Undecodable, octets};
use super::{ip, link, transport, tunnel};
use crate::capture::frame::Frame;

/// Maximum number of IP headers in one frame, the outermost included.
const MAX_IP_HEADERS: usize = 8;

/// Decodes frames. Keeps the ports of fragmented packets.
#[derive(Debug)]
pub struct Decoder {
    fragments: FragmentTable,
}

impl Decoder {
    /// Creates a decoder that keeps at most `max_fragments` fragmented packets.
    #[must_use]
    pub fn new(max_fragments: NonZeroUsize) -> Self {
        Self {
            fragments: FragmentTable::new(max_fragments),
        }
    }

    /// The fragmented packets that are kept.
    #[must_use]
    pub const fn fragments(&self) -> &FragmentTable {
        &self.fragments
    }

    /// Decodes one frame.
    ///
    /// # Errors
    /// The reason why the frame has no IP packet.
    #[inline]
    pub fn decode(&mut self, frame: &Frame<'_>) -> Result<PacketInfo, Undecodable> {
        let first = link::network_layer(frame.link_type, frame.captured)?;
        let missing = frame
            .wire_octets
            .saturating_sub(octets(frame.captured.len()));
        let mut header = ip::header(first.packet, missing, first.version)?;
        let mut info = PacketInfo {
            vlan_id: first.vlan_id,
            ..PacketInfo::default()
        };
        let mut packet = first.packet;
        for depth in 1.. {
            let inner = match tunnel::inside(&header) {
                Ok(None) => break,
                Ok(Some(_)) if depth == MAX_IP_HEADERS => Err(Undecodable::TooDeep),
                Ok(Some(inner)) => ip::header(inner.network.packet, missing, inner.network.version)
                    .map(|inner_header| (inner, inner_header)),
                Err(fault) => Err(fault),
            };
            match inner {
                Ok((inner, inner_header)) => {
                    info.tunnel = Some(inner.tunnel(&header));
                    if inner.framed {
                        info.vlan_id = inner.network.vlan_id;
                    }
                    packet = inner.network.packet;
                    if let Some(part) = header.fragment {
                        self.fragments.tunnel(header, part, frame.time_ns);
                    }
                    header = inner_header;
                }
                Err(fault) => {
                    info.inner_fault = Some(fault);
                    break;
                }
            }
        }
        info.encapsulation_octets = octets(first.packet.len().saturating_sub(packet.len()));
        info.octets = header.octets;
        info.ip_class_of_service = header.class_of_service;
        info.key.source_address = header.source;
        info.key.destination_address = header.destination;
        info.key.protocol_identifier = header.protocol;
        match header.fragment {
            None => transport::read(&header, &mut info),
            Some(part) => {
                if part.first {
                    transport::read(&header, &mut info);
                    info.payload_octets = 0;
                }
                info = self.fragments.follow(header, part, info, frame.time_ns)?;
            }
        }
        Ok(info)
    }
}
