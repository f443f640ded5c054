//! Information Elements by enterprise number and identifier: the IANA registry and the public
//! enterprise registries kept as CSV in `registry/`.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Abstract data type of an Information Element (RFC 7012 §3.1), as far as reading and writing
/// depend on it. Integers of all widths are one type, because a template may always send fewer
/// octets (RFC 7011 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `octetArray`, and all elements of unknown type.
    OctetArray,
    /// `unsigned8` … `unsigned64`.
    Unsigned,
    /// `signed8` … `signed64`.
    Signed,
    /// `float32`, `float64`.
    Float,
    /// 1 true, 2 false (RFC 7011 §6.1.5).
    Boolean,
    /// Six octets.
    MacAddress,
    /// UTF-8.
    String,
    /// Seconds since the epoch.
    DateTimeSeconds,
    /// Milliseconds since the epoch.
    DateTimeMilliseconds,
    /// NTP format, microseconds kept (RFC 7011 §6.1.9).
    DateTimeMicroseconds,
    /// NTP format, nanoseconds kept (RFC 7011 §6.1.10).
    DateTimeNanoseconds,
    /// Four octets.
    Ipv4Address,
    /// Sixteen octets.
    Ipv6Address,
    /// Values of one Information Element (RFC 6313 §4.5.1).
    BasicList,
    /// Records of one template (RFC 6313 §4.5.2).
    SubTemplateList,
    /// Records of several templates (RFC 6313 §4.5.3).
    SubTemplateMultiList,
}

impl DataType {
    /// The type for a value of 339 `informationElementDataType` (RFC 5610 §3.1, RFC 6313 §11.1).
    /// `None` for undefined values.
    #[must_use]
    pub const fn of_number(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::OctetArray,
            1..=4 => Self::Unsigned,
            5..=8 => Self::Signed,
            9 | 10 => Self::Float,
            11 => Self::Boolean,
            12 => Self::MacAddress,
            13 => Self::String,
            14 => Self::DateTimeSeconds,
            15 => Self::DateTimeMilliseconds,
            16 => Self::DateTimeMicroseconds,
            17 => Self::DateTimeNanoseconds,
            18 => Self::Ipv4Address,
            19 => Self::Ipv6Address,
            20 => Self::BasicList,
            21 => Self::SubTemplateList,
            22 => Self::SubTemplateMultiList,
            _ => return None,
        })
    }

    /// A value of 339 `informationElementDataType` for the type: that of the widest one.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::OctetArray => 0,
            Self::Unsigned => 4,
            Self::Signed => 8,
            Self::Float => 10,
            Self::Boolean => 11,
            Self::MacAddress => 12,
            Self::String => 13,
            Self::DateTimeSeconds => 14,
            Self::DateTimeMilliseconds => 15,
            Self::DateTimeMicroseconds => 16,
            Self::DateTimeNanoseconds => 17,
            Self::Ipv4Address => 18,
            Self::Ipv6Address => 19,
            Self::BasicList => 20,
            Self::SubTemplateList => 21,
            Self::SubTemplateMultiList => 22,
        }
    }
}

/// One row of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Private Enterprise Number; 0 for the IANA registry.
    pub enterprise: u32,
    /// Identifier, without the enterprise bit.
    pub id: u16,
    /// Name as the registry spells it.
    pub name: &'static str,
    /// Data type of its values.
    pub data_type: DataType,
    /// Octets of a value that is not reduced in size; 0 for types of any length.
    pub octets: u8,
    /// Units as in the registry (`octets`, `milliseconds`); may be empty.
    pub units: &'static str,
    /// The name as a JSON key, `"name":`. Registry names need no escapes.
    pub(crate) key: &'static str,
}

/// PEN of reverse Information Elements (RFC 5103): same identifiers as the IANA registry, values of
/// the reverse direction.
pub const REVERSE_ENTERPRISE: u32 = 29305;

/// PEN of kipfix's own elements: `registry/kipfix_32473.csv`. 32473 is reserved for documentation
/// (RFC 5612), until a number is assigned. Type records (RFC 5610) describe them.
pub const KIPFIX_ENTERPRISE: u32 = 32_473;

/// PEN of VMware, whose elements describe tunnels.
pub const VMWARE_ENTERPRISE: u32 = 6876;

/// PEN of ntop, whose elements describe TCP losses, DNS queries and TLS server names.
pub const NTOP_ENTERPRISE: u32 = 35_632;

/// Every known element, ordered by enterprise number and identifier.
pub static ELEMENTS: &[Element] = include!(concat!(env!("OUT_DIR"), "/elements.rs"));

/// The registry row of an element. `None` if no public registry has it. Reverse elements (PEN
/// 29305) have the row of their forward element.
#[must_use]
pub fn find(enterprise: u32, id: u16) -> Option<&'static Element> {
    let enterprise = if enterprise == REVERSE_ENTERPRISE {
        0
    } else {
        enterprise
    };
    let at = ELEMENTS
        .binary_search_by_key(&(enterprise, id), |e| (e.enterprise, e.id))
        .ok()?;
    ELEMENTS.get(at)
}

/// `octetDeltaCount` → `reverseOctetDeltaCount` (RFC 5103 §6.1).
pub(crate) fn reverse_name(name: &str) -> String {
    let mut out = String::from("reverse");
    let mut letters = name.chars();
    out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    out.push_str(letters.as_str());
    out
}

/// `OctetDeltaCount` → `octetDeltaCount`: the rest of a reverse name. `None` if it is empty.
pub(crate) fn forward_name(rest: &str) -> Option<String> {
    let mut letters = rest.chars();
    let first = letters.next()?.to_ascii_lowercase();
    Some(format!("{first}{}", letters.as_str()))
}

/// Whether an element of a public registry, or the reverse of one, has this name.
#[must_use]
pub fn is_named(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<&str>> =
        LazyLock::new(|| ELEMENTS.iter().map(|element| element.name).collect());
    let is_reverse =
        |rest: &str| forward_name(rest).is_some_and(|name| NAMES.contains(name.as_str()));
    NAMES.contains(name) || name.strip_prefix("reverse").is_some_and(is_reverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registries_are_found_by_number() {
        assert_eq!(find(0, 1).unwrap().name, "octetDeltaCount");
        assert_eq!(
            find(REVERSE_ENTERPRISE, 2).unwrap().name,
            "packetDeltaCount"
        );
        assert_eq!(find(56506, 101).unwrap().name, "sourcePodName");
        assert_eq!(find(6876, 893).unwrap().data_type, DataType::Ipv4Address);
        assert_eq!(find(35632, 80).unwrap().data_type, DataType::Unsigned);
        assert_eq!(find(4_000_000, 1), None);
    }

    #[test]
    fn the_table_is_ordered_and_free_of_duplicates() {
        assert!(
            ELEMENTS
                .windows(2)
                .all(|w| (w[0].enterprise, w[0].id) < (w[1].enterprise, w[1].id))
        );
        assert!(ELEMENTS.len() > 1500);
    }
}
