//! Numbers and names of IP protocols: 4 `protocolIdentifier`, the IANA registry of protocol
//! numbers.

/// ICMP for IPv4.
pub const ICMP: u8 = 1;
/// IPv4 in IP.
pub const IPV4: u8 = 4;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// DCCP.
pub const DCCP: u8 = 33;
/// IPv6 in IP.
pub const IPV6: u8 = 41;
/// GRE.
pub const GRE: u8 = 47;
/// ESP.
pub const ESP: u8 = 50;
/// The Authentication Header.
pub const AH: u8 = 51;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// L2TP version 3.
pub const L2TP: u8 = 115;
/// SCTP.
pub const SCTP: u8 = 132;
/// UDP-Lite.
pub const UDP_LITE: u8 = 136;
/// MPLS in IP.
pub const MPLS: u8 = 137;

/// Protocols that are written by name. The names are those of the registry in lower case, except
/// for `ipip`, which is `ipv4` there, and `icmpv6`, which is `ipv6-icmp`.
const NAMES: [(&str, u8); 14] = [
    ("icmp", ICMP),
    ("igmp", 2),
    ("ipip", IPV4),
    ("tcp", TCP),
    ("udp", UDP),
    ("ipv6", IPV6),
    ("gre", GRE),
    ("esp", ESP),
    ("ah", AH),
    ("icmpv6", ICMPV6),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("sctp", SCTP),
];

/// The name of a protocol. `None` for those that are written as a number.
#[must_use]
pub fn name(number: u8) -> Option<&'static str> {
    let mut names = NAMES.iter();
    names
        .find(|(_, known)| *known == number)
        .map(|(name, _)| *name)
}

/// The number of a protocol, given its name in any case.
#[must_use]
pub fn number(name: &str) -> Option<u8> {
    let mut names = NAMES.iter();
    names
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, number)| *number)
}

/// True if its packets have ports in the first four octets.
#[must_use]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | DCCP | SCTP | UDP_LITE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_correspond() {
        for (text, protocol) in NAMES {
            assert_eq!(name(protocol), Some(text));
            assert_eq!(number(&text.to_uppercase()), Some(protocol));
        }
        assert_eq!((name(254), number("no-such")), (None, None));
    }
}
