//! What a capture hands to the decoder: a frame, and where it was observed.

use super::offline_link::OfflineLink;

/// Packet type of frames that the node sent, in a cooked header.
const PACKET_OUTGOING: u8 = 4;

/// A captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The captured octets: the beginning of the frame, up to the snap length.
    pub captured: &'a [u8],
    /// Octets of the frame on the wire, at least as many as were captured.
    pub wire_octets: u32,
    /// The writer of the savefile has probably lost the length on the wire: the frame was cut at
    /// the snap length, and `wire_octets` equals it.
    pub is_wire_length_lost: bool,
    /// Format of the first octets.
    pub link_type: LinkType,
    /// Capture time, nanoseconds since the epoch.
    pub time_ns: u64,
}

/// Where a frame was observed (RFC 7011 §2, "Observation Point").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObservationPoint {
    /// Identity of the interface: ifIndex, or the number of the interface in a savefile.
    pub interface: u32,
    /// True if the node sent the frame out of that interface.
    pub egress: bool,
    /// MTU of the interface, octets; 0 if unknown.
    pub mtu: u32,
    /// Start of the observation, nanoseconds since the epoch; 0 if it is that of the capture.
    pub start_ns: u64,
    /// How copies of a packet that other interfaces observe are recognized.
    pub copies: CopyDetection,
}

/// How a capture recognizes the copies of a packet that several of its interfaces observe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyDetection {
    /// There is one interface, so there are no copies.
    #[default]
    Off,
    /// A packet that another interface has observed is a copy.
    ByInterface,
    /// The capture has several interfaces and identifies only the direction and the sender on the
    /// link. A packet that was observed a moment ago, in the other direction, or from another
    /// sender, is a copy.
    ByTime,
}

/// Link-layer format of a capture (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// `LINKTYPE_ETHERNET`.
    Ethernet,
    /// `LINKTYPE_LINUX_SLL`: frames of the pseudo-interface "any".
    LinuxSll,
    /// `LINKTYPE_LINUX_SLL2`: the same with the index of the interface.
    LinuxSll2,
    /// `LINKTYPE_RAW`: starts with an IP header of either version.
    Raw,
    /// `LINKTYPE_IPV4`: starts with an IPv4 header.
    Ipv4,
    /// `LINKTYPE_IPV6`: starts with an IPv6 header.
    Ipv6,
    /// `LINKTYPE_NULL` and `LINKTYPE_LOOP`: an address family before the IP header.
    Loopback,
    /// `LINKTYPE_PPP` and `LINKTYPE_PPP_HDLC`. The latter may have frames of Cisco HDLC.
    Ppp,
    /// `LINKTYPE_C_HDLC`.
    CiscoHdlc,
    /// `LINKTYPE_PPP_ETHER`: starts with a PPPoE header.
    PppEther,
    /// One that only savefiles have.
    Offline(OfflineLink),
    /// Any other link type.
    Unsupported,
}

impl LinkType {
    /// The link type of a `DLT_…` number of libpcap. On Linux it equals the `LINKTYPE_…` number of
    /// a savefile, except that raw IP is 12 as well as 101.
    #[must_use]
    pub const fn from_dlt(dlt: i32) -> Self {
        match dlt {
            0 | 108 => Self::Loopback,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            // The number of `DLT_RAW` on OpenBSD is 14.
            12 | 14 | 101 => Self::Raw,
            51 => Self::PppEther,
            104 => Self::CiscoHdlc,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            _ => match OfflineLink::of(dlt) {
                Some(link) => Self::Offline(link),
                None => Self::Unsupported,
            },
        }
    }

    /// True for a frame with a cooked header that marks it as sent by the node.
    #[inline]
    pub(super) fn is_outgoing(self, captured: &[u8]) -> bool {
        let packet_type = match self {
            Self::LinuxSll => captured.get(1),
            Self::LinuxSll2 => captured.get(10),
            _ => None,
        };
        packet_type == Some(&PACKET_OUTGOING)
    }
}

/// The interface of a frame of [`LinkType::LinuxSll2`].
#[inline]
pub(crate) fn cooked_interface(captured: &[u8]) -> Option<u32> {
    let index = captured.get(4..)?.first_chunk()?;
    Some(u32::from_be_bytes(*index))
}

/// Stands for the interface of a frame of [`LinkType::LinuxSll`], which has none: the type of the
/// packet and the link-layer address of its sender. Each hop through a node changes one of them.
#[inline]
pub(super) fn cooked_sender(captured: &[u8]) -> Option<u32> {
    let [_, packet_type, _, _, _, _, a, b, c, d, e, f] = *captured.first_chunk()?;
    let vendor = u32::from_be_bytes([packet_type, a, b, 0]);
    Some(vendor ^ u32::from_be_bytes([c, d, e, f]))
}

#[cfg(test)]
mod tests {
    use pcap::Linktype;

    use super::*;
    use crate::capture::offline_link::InnerLink::{self, *};
    use crate::capture::offline_link::WirelessHeader;

    const fn behind(octets: u8, link: InnerLink) -> LinkType {
        LinkType::Offline(OfflineLink::Behind(octets, link))
    }

    #[test]
    fn link_types_have_the_numbers_of_their_names_in_libpcap() {
        use {LinkType::Offline, OfflineLink as Link};
        let named = [
            ("NULL", LinkType::Loopback),
            ("LOOP", LinkType::Loopback),
            ("EN10MB", LinkType::Ethernet),
            ("PPP", LinkType::Ppp),
            ("PPP_SERIAL", LinkType::Ppp),
            ("PPP_ETHER", LinkType::PppEther),
            ("RAW", LinkType::Raw),
            ("IPV4", LinkType::Ipv4),
            ("IPV6", LinkType::Ipv6),
            ("C_HDLC", LinkType::CiscoHdlc),
            ("LINUX_SLL", LinkType::LinuxSll),
            ("LINUX_SLL2", LinkType::LinuxSll2),
            ("IEEE802", Offline(Link::TokenRing)),
            ("SLIP", behind(16, Ip)),
            ("FDDI", behind(13, Llc)),
            ("ATM_RFC1483", behind(0, Llc)),
            ("FRELAY", behind(0, FrameRelay)),
            ("ENC", behind(12, Ip)),
            ("PFLOG", Offline(Link::Pflog)),
            ("IP_OVER_FC", behind(16, Llc)),
            ("SUNATM", behind(4, Llc)),
            ("APPLE_IP_OVER_IEEE1394", behind(16, EtherType)),
            ("IEEE802_11", Offline(Link::Wireless(WirelessHeader::None))),
            (
                "PRISM_HEADER",
                Offline(Link::Wireless(WirelessHeader::Prism)),
            ),
            (
                "IEEE802_11_RADIO_AVS",
                Offline(Link::Wireless(WirelessHeader::Avs)),
            ),
            (
                "IEEE802_11_RADIO",
                Offline(Link::Wireless(WirelessHeader::Radiotap)),
            ),
            ("JUNIPER_ETHER", Offline(Link::Juniper(Ethernet))),
            ("JUNIPER_PPP", Offline(Link::Juniper(Ppp))),
            ("JUNIPER_FRELAY", Offline(Link::Juniper(FrameRelay))),
            ("JUNIPER_CHDLC", Offline(Link::Juniper(CiscoHdlc))),
            ("PPI", Offline(Link::Ppi)),
            ("ERF", Offline(Link::Erf)),
            ("MPLS", Offline(Link::Mpls)),
            ("NFLOG", Offline(Link::Nflog)),
            ("NETANALYZER", behind(4, Ethernet)),
            ("NETANALYZER_TRANSPARENT", behind(12, Ethernet)),
            ("IPOIB", Offline(Link::InfiniBand)),
            ("PKTAP", Offline(Link::Pktap)),
            ("ETHERNET_MPACKET", Offline(Link::Mpacket)),
        ];
        // Numbers without a name: of savefiles only, of OpenBSD, and with a direction.
        let unnamed = [
            (14, LinkType::Raw),
            (100, behind(0, Llc)),
            (101, LinkType::Raw),
            (106, Offline(Link::ClassicalAtm)),
            (204, behind(1, Ppp)),
            (205, behind(1, CiscoHdlc)),
            (206, behind(1, FrameRelay)),
        ];
        let mut supported = 0;
        for number in 0..1000 {
            let wanted = match Linktype(number).get_name() {
                Ok(name) => named
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, link)| *link),
                Err(_) => unnamed
                    .iter()
                    .find(|(n, _)| *n == number)
                    .map(|(_, link)| *link),
            };
            let found = LinkType::from_dlt(number);
            assert_eq!(found, wanted.unwrap_or(LinkType::Unsupported), "{number}");
            supported += usize::from(wanted.is_some());
        }
        assert_eq!(supported, named.len() + unnamed.len());
    }
}
