//! Conversions from the types of the `pcap` crate, for live capture and filters.

use super::frame::{Frame, LinkType};

/// A frame as libpcap hands it out with nanosecond precision.
#[inline]
pub(super) fn frame<'a>(packet: &pcap::Packet<'a>, link_type: LinkType) -> Frame<'a> {
    let header = packet.header;
    let seconds = u64::try_from(header.ts.tv_sec).unwrap_or_default();
    // The field is named for microseconds. The requested precision is nanoseconds.
    let nanoseconds = u64::try_from(header.ts.tv_usec).unwrap_or_default();
    Frame {
        captured: packet.data,
        wire_octets: header.len.max(header.caplen),
        is_wire_length_lost: false,
        link_type,
        time_ns: seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds),
    }
}

/// The message of libpcap itself, without the wrapping of the `pcap` crate.
pub(super) fn error_message(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.clone(),
        other => other.to_string(),
    }
}

/// The name of a link type, or its number.
pub(super) fn link_type_name(datalink: pcap::Linktype) -> String {
    datalink
        .get_name()
        .unwrap_or_else(|_| datalink.0.to_string())
}
