//! How the packets of a flow are carried: the tunnel around them, and the protocol that protects
//! them.

use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::address::Address;

/// Encapsulation of the packets of a flow: VMware 6876:891 `tunnelType`, or 32473:46
/// `tunnelEncapsulation` for what that has no value for. Of the latter, the discriminants are the
/// values plus 128.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromRepr, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[repr(u8)]
pub enum TunnelType {
    /// IP in IP (RFC 2003, 2473, 4213). Neither element is exported for it.
    #[default]
    #[strum(serialize = "ipip")]
    IpInIp = 0,
    /// RFC 7348.
    Vxlan = 1,
    /// RFC 2784, with or without a key; also in UDP (RFC 8086).
    Gre = 2,
    /// RFC 8926.
    Geneve = 7,
    /// MPLS in IP (RFC 4023) or UDP (RFC 7510).
    Mpls = 129,
    /// GTP-U (3GPP TS 29.281). The key is the TEID.
    GtpU = 130,
    /// RFC 4380.
    Teredo = 131,
    /// RFC 2661, RFC 3931. The key is the session ID.
    L2tp = 132,
    /// Generic UDP Encapsulation.
    Gue = 133,
    /// IP directly in UDP: Foo over UDP.
    Fou = 134,
    /// IP or Ethernet behind a segment routing header (RFC 8754).
    Srv6 = 135,
    /// Ethernet in IP (RFC 3378, RFC 8986 §4.9).
    Ethernet = 136,
}

impl TunnelType {
    /// All types.
    pub const ALL: &'static [Self] = Self::VARIANTS;
    const FIRST_OWN: u8 = 128;

    /// A number of its own for each type.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "the discriminant of a fieldless enum"
    )]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The value of 6876:891; 0 if the registry has none.
    #[must_use]
    pub const fn octet(self) -> u8 {
        if self.number() < Self::FIRST_OWN {
            self.number()
        } else {
            0
        }
    }

    /// The value of 32473:46; 0 for IP in IP, and for types of 6876:891.
    #[must_use]
    pub const fn encapsulation(self) -> u8 {
        self.number().saturating_sub(Self::FIRST_OWN)
    }

    /// The type with these values of 6876:891 and 32473:46; IP in IP if there is none.
    pub(crate) fn of(tunnel_type: u8, encapsulation: u8) -> Self {
        let number = match encapsulation {
            0 => tunnel_type,
            own => own.saturating_add(Self::FIRST_OWN),
        };
        Self::from_repr(number).unwrap_or(Self::IpInIp)
    }
}

/// 32473:47 `securityProtocol`: what protects the packets of a flow, as far as their headers prove
/// it and 4 `protocolIdentifier` does not show it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromRepr, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "lowercase")]
#[repr(u8)]
pub enum SecurityProtocol {
    /// Nothing that was recognized.
    #[default]
    #[strum(serialize = "")]
    None = 0,
    /// The Authentication Header (RFC 4302). The packets are not encrypted.
    Ah = 1,
    /// ESP (RFC 4303), also in UDP (RFC 3948). The packets are encrypted.
    Esp = 2,
    /// WireGuard. The packets are encrypted.
    WireGuard = 3,
}

impl SecurityProtocol {
    /// The value on the wire.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        reason = "the discriminants are the wire values"
    )]
    pub const fn octet(self) -> u8 {
        self as u8
    }
}

impl From<u8> for SecurityProtocol {
    fn from(value: u8) -> Self {
        Self::from_repr(value).unwrap_or_default()
    }
}

/// The outer header of the packets of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// 6876:891 or 32473:46.
    pub tunnel_type: TunnelType,
    /// 6876:892: VXLAN or Geneve VNI, GRE key, GTP-U TEID, L2TP session ID; 0 where there is none.
    /// Up to 32 bits.
    pub tunnel_key: u32,
    /// 6876:893 if IPv4, 32473:16 if IPv6.
    pub tunnel_source_address: Address,
    /// 6876:894 if IPv4, 32473:17 if IPv6.
    pub tunnel_destination_address: Address,
    /// 6876:895: protocol of the outer IP header.
    pub tunnel_protocol_identifier: u8,
    /// 6876:896; 0 where the outer protocol has no ports.
    pub tunnel_source_port: u16,
    /// 6876:897; 0 where the outer protocol has no ports.
    pub tunnel_destination_port: u16,
}

impl Tunnel {
    /// 351 `layer2SegmentId` of a VXLAN tunnel: type 1 in the first octet, the VNI in the last
    /// three.
    #[must_use]
    pub fn layer2_segment_id(&self) -> u64 {
        1 << 56 | u64::from(self.tunnel_key & 0x00ff_ffff)
    }
}
