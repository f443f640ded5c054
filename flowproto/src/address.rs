//! IP addresses of either family in one word, so that keys hash and compare as integers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address. IPv4 is stored in its v4-mapped IPv6 form (`::ffff:a.b.c.d`, RFC 4291
/// §2.5.5.2) and displayed as IPv4, so that an address has one spelling in whichever form it
/// arrived.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u128);

const V4_MAPPED: u128 = 0xffff_0000_0000;

impl Address {
    /// `::`, the value of an address that a record does not carry.
    pub const UNSPECIFIED: Self = Self(0);

    /// The IPv4 address with these bits, most significant octet first.
    #[inline]
    #[must_use]
    #[allow(
        clippy::as_conversions,
        reason = "`From` is not const; the cast widens"
    )]
    pub const fn from_v4_bits(bits: u32) -> Self {
        Self(V4_MAPPED | bits as u128)
    }

    /// The IPv6 address with these bits; a v4-mapped one becomes plain IPv4.
    #[inline]
    #[must_use]
    pub const fn from_v6_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits of the (v4-mapped) IPv6 form.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Whether it is IPv4, plain or v4-mapped.
    #[inline]
    #[must_use]
    pub const fn is_ipv4(self) -> bool {
        self.0 >> 32 == 0xffff
    }

    /// Whether it is the unspecified address: no address was carried.
    #[must_use]
    pub const fn is_unspecified(self) -> bool {
        self.0 == 0
    }

    /// A length of a prefix of this address; 0 (unknown) if its family has no prefix of this
    /// length.
    #[inline]
    pub(crate) const fn prefix_length(self, length: u8) -> u8 {
        let longest = if self.is_ipv4() { 32 } else { 128 };
        if length <= longest { length } else { 0 }
    }

    /// The low 32 bits: the IPv4 address where [`Self::is_ipv4`].
    #[inline]
    #[must_use]
    #[allow(clippy::as_conversions, reason = "the truncation is what is asked for")]
    pub const fn v4_bits(self) -> u32 {
        self.0 as u32
    }

    /// The address as a standard library type.
    #[must_use]
    pub const fn to_ip(self) -> IpAddr {
        if self.is_ipv4() {
            IpAddr::V4(Ipv4Addr::from_bits(self.v4_bits()))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(self.0))
        }
    }
}

impl Default for Address {
    fn default() -> Self {
        Self::UNSPECIFIED
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4_bits(v4.to_bits()),
            IpAddr::V6(v6) => Self::from_v6_bits(v6.to_bits()),
        }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(ip: Ipv4Addr) -> Self {
        Self::from_v4_bits(ip.to_bits())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(ip: Ipv6Addr) -> Self {
        Self::from_v6_bits(ip.to_bits())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v4_mapped_address_is_the_same_as_the_plain_one() {
        let plain: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(Address::from(plain), Address::from(mapped));
        assert_eq!(Address::from(mapped).to_string(), "192.0.2.1");
    }

    #[test]
    fn both_families_come_back_as_they_went_in() {
        for text in ["10.1.2.3", "2001:db8::1", "255.255.255.255", "fe80::1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::from(ip).to_ip(), ip);
        }
    }
}
