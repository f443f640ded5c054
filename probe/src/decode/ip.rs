//! One IP header: IPv4 (RFC 791) with options, IPv6 (RFC 8200) with extension headers up to the
//! transport.

use flowproto::Address;
use flowproto::protocol::{TCP, UDP};

use super::link::Version;
use super::packet::Undecodable;

/// Maximum number of extension headers. RFC 8200 §4.1 lists seven, each at most once or twice.
const MAX_EXTENSION_HEADERS: usize = 16;

/// Maximum value of the length field of either IP header.
const MAX_LENGTH_FIELD: u32 = 65_535;
/// Octets of a frame of Ethernet that may be padding.
const MAX_PADDED: u32 = 46;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
/// Type of a segment routing header.
const SEGMENT_ROUTING: u8 = 4;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// The fragmentation fields of an IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) identification: u32,
    /// The protocol, which all fragments of an IPv4 packet share (RFC 791 §3.2). 0 for IPv6, where
    /// it may differ between them (RFC 8200 §4.5).
    pub(super) protocol: u8,
    /// Offset in units of 8 octets. The first fragment has 0, and contains the transport header.
    pub(super) offset: u16,
}

impl Fragment {
    pub(super) const fn is_first(self) -> bool {
        self.offset == 0
    }
}

/// An IP header, extension headers included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// Protocol of the payload, after all extension headers.
    pub(super) protocol: u8,
    pub(super) class_of_service: u8,
    /// Octets of the whole packet on the wire, header included.
    pub(super) octets: u32,
    /// Octets before the payload.
    pub(super) header_octets: u32,
    pub(super) fragment: Option<Fragment>,
    /// IPv4 identification; 0 for IPv6.
    pub(super) identification: u16,
    /// Has a segment routing header (RFC 8754).
    pub(super) is_segment_routed: bool,
    /// Has an Authentication Header (RFC 4302) among its extension headers.
    pub(super) is_authenticated: bool,
    /// The captured part of the payload, without Ethernet padding.
    pub(super) payload: &'a [u8],
}

impl Header<'_> {
    /// The value before a header is read.
    pub(super) const EMPTY: Self = Self {
        source: Address::UNSPECIFIED,
        destination: Address::UNSPECIFIED,
        protocol: 0,
        class_of_service: 0,
        octets: 0,
        header_octets: 0,
        fragment: None,
        identification: 0,
        is_segment_routed: false,
        is_authenticated: false,
        payload: &[],
    };
}

/// The room that a packet has in its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Octets on the wire from the IP header on, Ethernet padding included.
    pub(super) wire_octets: u32,
    /// The packet may be longer: the length on the wire was lost, or later fragments follow.
    pub(super) is_open: bool,
    /// A packet that was captured before segmentation offload may have no length.
    pub(super) is_before_offload: bool,
}

impl Extent {
    /// The octets of a packet by the length in its header, if it has one.
    ///
    /// # Errors
    /// The header claims more octets than the frame had, or has no length although it needs one.
    #[inline(always)]
    fn octets(self, length: Option<u32>) -> Result<u32, Undecodable> {
        match length {
            Some(length) if length <= self.wire_octets || self.is_open => Ok(length),
            None if self.may_lack_length() => Ok(self.wire_octets),
            _ => Err(Undecodable::MalformedIp),
        }
    }

    /// True if a header may have no length: the packet has more octets than the field can have, or
    /// the NIC sets it in each segment.
    const fn may_lack_length(self) -> bool {
        self.wire_octets > MAX_LENGTH_FIELD
            || (self.is_before_offload && self.wire_octets > MAX_PADDED)
    }
}

/// Reads the IP header at the beginning of `data` into `header`, which an error leaves as it is.
/// Returned by value, it would be moved several times for every packet.
#[inline(always)]
pub(super) fn read<'a>(
    data: &'a [u8],
    extent: Extent,
    version: Version,
    header: &mut Header<'a>,
) -> Result<(), Undecodable> {
    match (data.first().map(|octet| octet >> 4), version) {
        (Some(4), Version::V4 | Version::Either) => v4(data, extent, header),
        (Some(6), Version::V6 | Version::Either) => v6(data, extent, header),
        (Some(_), _) => Err(Undecodable::MalformedIp),
        (None, _) => Err(Undecodable::TruncatedIp),
    }
}

/// Reads an IPv4 header (RFC 791 §3.1). Segmentation offload above 65,535 octets sets the total
/// length to 0, that of Windows always, and some drivers even that of ICMP.
#[inline(always)]
fn v4<'a>(data: &'a [u8], extent: Extent, header: &mut Header<'a>) -> Result<(), Undecodable> {
    let (fixed, rest) = data
        .split_first_chunk::<20>()
        .ok_or(Undecodable::TruncatedIp)?;
    let header_octets = u32::from(fixed[0] & 0x0f).wrapping_mul(4);
    let total_length = match u16::from_be_bytes([fixed[2], fixed[3]]) {
        0 => None,
        length => Some(u32::from(length)),
    };
    let total_length = extent.octets(total_length)?;
    let payload_octets = total_length
        .checked_sub(header_octets)
        .ok_or(Undecodable::MalformedIp)?;
    let options = header_octets
        .checked_sub(20)
        .ok_or(Undecodable::MalformedIp)?;
    let payload = tail(rest, options);
    let identification = u16::from_be_bytes([fixed[4], fixed[5]]);
    let offset = u16::from_be_bytes([fixed[6], fixed[7]]);
    let (more, offset) = (offset & 0x2000 != 0, offset & 0x1fff);
    *header = Header {
        source: Address::from_v4_bits(u32::from_be_bytes([
            fixed[12], fixed[13], fixed[14], fixed[15],
        ])),
        destination: Address::from_v4_bits(u32::from_be_bytes([
            fixed[16], fixed[17], fixed[18], fixed[19],
        ])),
        protocol: fixed[9],
        class_of_service: fixed[1],
        octets: total_length,
        header_octets,
        fragment: (more || offset != 0).then(|| Fragment {
            identification: u32::from(identification),
            protocol: fixed[9],
            offset,
        }),
        identification,
        is_segment_routed: false,
        is_authenticated: false,
        payload: head(payload, payload_octets),
    };
    if fixed[9] == AUTHENTICATION && offset == 0 {
        authentication_header(header);
    }
    Ok(())
}

/// Reads an IPv6 header (RFC 8200 §3, §4). The payload length is 0 in a jumbogram (RFC 2675), in a
/// packet of segmentation offload as in IPv4, and in one without a payload.
#[inline]
fn v6<'a>(data: &'a [u8], extent: Extent, header: &mut Header<'a>) -> Result<(), Undecodable> {
    let (fixed, rest) = data
        .split_first_chunk::<40>()
        .ok_or(Undecodable::TruncatedIp)?;
    let (source, addresses) = fixed[8..]
        .split_first_chunk::<16>()
        .unwrap_or((&[0; 16], &[]));
    let destination = addresses.first_chunk::<16>().unwrap_or(&[0; 16]);
    // Of other protocols, a packet may be empty.
    let may_be_segment = extent.wire_octets > MAX_LENGTH_FIELD || matches!(fixed[6], TCP | UDP);
    let payload_octets = match u16::from_be_bytes([fixed[4], fixed[5]]) {
        0 => match jumbo_payload(fixed[6], rest) {
            Some(length) => Some(length),
            None if may_be_segment && extent.may_lack_length() => None,
            None => Some(0),
        },
        length => Some(u32::from(length)),
    };
    let packet_octets = extent.octets(payload_octets.map(|length| length.saturating_add(40)))?;
    let payload_octets = packet_octets.saturating_sub(40);
    *header = Header {
        source: Address::from_v6_bits(u128::from_be_bytes(*source)),
        destination: Address::from_v6_bits(u128::from_be_bytes(*destination)),
        protocol: fixed[6],
        class_of_service: fixed[0] << 4 | fixed[1] >> 4,
        octets: packet_octets,
        header_octets: 40,
        fragment: None,
        identification: 0,
        is_segment_routed: false,
        is_authenticated: false,
        payload: head(rest, payload_octets),
    };
    extension_headers(header);
    Ok(())
}

/// Skips an Authentication Header (RFC 4302 §2), the only one between an IPv4 header and the
/// transport.
#[cold]
fn authentication_header(header: &mut Header<'_>) {
    let [next, length, ..] = *header.payload else {
        return;
    };
    let size = authentication_octets(length);
    header.is_authenticated = true;
    header.protocol = next;
    header.header_octets = header.header_octets.saturating_add(size);
    header.payload = tail(header.payload, size);
}

/// The octets of an Authentication Header by its length field: words of 32 bits, minus 2 (RFC 4302
/// §2.2).
fn authentication_octets(length: u8) -> u32 {
    u32::from(length).wrapping_add(2).wrapping_mul(4)
}

/// The payload length of a jumbogram, from the option at the beginning of its hop-by-hop options
/// (RFC 2675 §2).
fn jumbo_payload(next_header: u8, options: &[u8]) -> Option<u32> {
    match *options {
        [_, _, 0xc2, 4, a, b, c, d, ..] if next_header == HOP_BY_HOP => {
            Some(u32::from_be_bytes([a, b, c, d])).filter(|length| *length > MAX_LENGTH_FIELD)
        }
        _ => None,
    }
}

/// Skips extension headers up to the transport header. At a truncated header the protocol is that
/// of the header, and the payload is empty.
#[inline]
fn extension_headers(header: &mut Header<'_>) {
    for _ in 0..MAX_EXTENSION_HEADERS {
        let unit = match header.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | HIP | SHIM6 => 8,
            FRAGMENT => 0,
            AUTHENTICATION => 4,
            _ => return,
        };
        let [next, length, ..] = *header.payload else {
            header.payload = &[];
            return;
        };
        if header.protocol == FRAGMENT {
            let Some(fixed) = header.payload.first_chunk::<8>() else {
                header.payload = &[];
                return;
            };
            let offset = u16::from_be_bytes([fixed[2], fixed[3]]);
            // Offset 0 without more fragments is an atomic fragment (RFC 6946): a whole packet.
            if offset & 0xfff9 != 0 {
                header.fragment = Some(Fragment {
                    identification: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                    protocol: 0,
                    offset: offset >> 3,
                });
            }
        }
        match header.protocol {
            ROUTING => segment_routing(header),
            AUTHENTICATION => header.is_authenticated = true,
            _ => {}
        }
        let size = match unit {
            4 => authentication_octets(length),
            // RFC 8200 §4.2: in units of 8 octets, the first not counted.
            8 => u32::from(length).wrapping_add(1).wrapping_mul(8),
            _ => 8,
        };
        header.protocol = next;
        header.header_octets = header.header_octets.saturating_add(size);
        header.payload = tail(header.payload, size);
        if header.fragment.is_some_and(|fragment| !fragment.is_first()) {
            return;
        }
    }
}

/// Reads a routing header of type 4 (RFC 8754 §2). While segments are left, the destination field
/// has the next one, and the first entry of the list is the last one: the destination of the
/// packet.
#[cold]
fn segment_routing(header: &mut Header<'_>) {
    let Some((fixed, segments)) = header.payload.split_first_chunk::<8>() else {
        return;
    };
    let [_, length, kind, segments_left, last_entry, ..] = *fixed;
    // The list is within the header, and the next segment is in the list.
    let is_valid = length / 2 > last_entry && segments_left <= last_entry.saturating_add(1);
    if kind != SEGMENT_ROUTING || !is_valid {
        return;
    }
    header.is_segment_routed = true;
    if segments_left > 0
        && let Some(last) = segments.first_chunk::<16>()
    {
        header.destination = Address::from_v6_bits(u128::from_be_bytes(*last));
    }
}

/// The first `length` octets, or fewer if there are not as many.
#[inline]
fn head(data: &[u8], length: u32) -> &[u8] {
    usize::try_from(length)
        .ok()
        .and_then(|length| data.get(..length))
        .unwrap_or(data)
}

/// The octets after the first `length`, empty if there are not as many.
#[inline]
fn tail(data: &[u8], length: u32) -> &[u8] {
    usize::try_from(length)
        .ok()
        .and_then(|length| data.get(length..))
        .unwrap_or_default()
}
