//! Link types of savefiles from routers, firewalls, wireless cards and other systems. A node does
//! not capture frames of these types itself.

/// A link type that only savefiles have (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfflineLink {
    /// A header of this number of octets, which is skipped.
    Behind(u8, InnerLink),
    /// `LINKTYPE_IEEE802_5`: Token Ring.
    TokenRing,
    /// `LINKTYPE_LINUX_ATM_CLIP`: IP over ATM, with LLC or without.
    ClassicalAtm,
    /// `LINKTYPE_ETHERNET_MPACKET`: Ethernet frames and their fragments, with the preamble.
    Mpacket,
    /// `LINKTYPE_MPLS`: starts with a label.
    Mpls,
    /// `LINKTYPE_IPOIB`: IP over InfiniBand.
    InfiniBand,
    /// `LINKTYPE_IEEE802_11` and its variants.
    Wireless(WirelessHeader),
    /// `LINKTYPE_PPI`: names the link type of the frame behind it.
    Ppi,
    /// `LINKTYPE_PKTAP` of macOS: names the link type of the frame behind it.
    Pktap,
    /// `LINKTYPE_NFLOG`: packets of a rule of iptables or nftables.
    Nflog,
    /// `LINKTYPE_PFLOG`: packets of a rule of the firewall pf.
    Pflog,
    /// `LINKTYPE_ERF`: records of Endace cards.
    Erf,
    /// `LINKTYPE_JUNIPER_ETHER`, `_PPP`, `_FRELAY` and `_CHDLC`.
    Juniper(InnerLink),
}

/// Payload of a skipped header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InnerLink {
    /// An IP header.
    Ip,
    /// An EtherType.
    EtherType,
    /// LLC (IEEE 802.2).
    Llc,
    /// An Ethernet frame.
    Ethernet,
    /// PPP.
    Ppp,
    /// Cisco HDLC.
    CiscoHdlc,
    /// Frame Relay.
    FrameRelay,
}

/// Capture header before an 802.11 frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WirelessHeader {
    /// Nothing.
    None,
    /// A header of Prism cards, or of AVS.
    Prism,
    /// A header of AVS.
    Avs,
    /// Radiotap.
    Radiotap,
}

impl OfflineLink {
    /// The payload of a wireless data frame, without the header of the frame.
    pub(crate) const LLC: Self = Self::Behind(0, InnerLink::Llc);

    /// The link type with this number. `None` if it is not supported.
    #[must_use]
    pub(super) const fn of(number: i32) -> Option<Self> {
        Some(match number {
            6 => Self::TokenRing,
            // SLIP, with a compressed header in front of the whole one.
            8 => Self::Behind(16, InnerLink::Ip),
            // FDDI: frame control and addresses.
            10 => Self::Behind(13, InnerLink::Llc),
            // ATM (RFC 2684), as a `DLT_…` and as a `LINKTYPE_…` number.
            11 | 100 => Self::LLC,
            105 => Self::Wireless(WirelessHeader::None),
            106 => Self::ClassicalAtm,
            107 => Self::Behind(0, InnerLink::FrameRelay),
            // Decrypted packets of IPsec on OpenBSD.
            109 => Self::Behind(12, InnerLink::Ip),
            117 => Self::Pflog,
            119 => Self::Wireless(WirelessHeader::Prism),
            // IP over Fibre Channel (RFC 4338).
            122 => Self::Behind(16, InnerLink::Llc),
            // ATM on SunOS.
            123 => Self::Behind(4, InnerLink::Llc),
            127 => Self::Wireless(WirelessHeader::Radiotap),
            // IP over FireWire.
            138 => Self::Behind(16, InnerLink::EtherType),
            163 => Self::Wireless(WirelessHeader::Avs),
            178 => Self::Juniper(InnerLink::Ethernet),
            179 => Self::Juniper(InnerLink::Ppp),
            180 => Self::Juniper(InnerLink::FrameRelay),
            181 => Self::Juniper(InnerLink::CiscoHdlc),
            192 => Self::Ppi,
            197 => Self::Erf,
            // The direction in front.
            204 => Self::Behind(1, InnerLink::Ppp),
            205 => Self::Behind(1, InnerLink::CiscoHdlc),
            206 => Self::Behind(1, InnerLink::FrameRelay),
            219 => Self::Mpls,
            239 => Self::Nflog,
            // netANALYZER, and its transparent mode with the preamble.
            240 => Self::Behind(4, InnerLink::Ethernet),
            241 => Self::Behind(12, InnerLink::Ethernet),
            242 => Self::InfiniBand,
            258 => Self::Pktap,
            274 => Self::Mpacket,
            _ => return None,
        })
    }
}
