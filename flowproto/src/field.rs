//! Field Specifiers of templates, and where the value of a field is in a Data Record.

use crate::element::{
    ELEMENTS, KIPFIX_ENTERPRISE, NTOP_ENTERPRISE, REVERSE_ENTERPRISE, VMWARE_ENTERPRISE,
    forward_name,
};

/// Length of a field that carries its own length in front of each value (RFC 7011 §7).
pub const VARIABLE_LENGTH: u16 = 65_535;

/// ntop's elements have NetFlow v9 numbers above the enterprise bit, since v9 has no enterprise
/// numbers: v9 field type = 57472 + identifier.
const NTOP_V9_OFFSET: u16 = 57_472;

/// The number of an Information Element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ElementId {
    /// Private Enterprise Number; 0 for the IANA registry.
    pub enterprise: u32,
    /// Identifier, without the enterprise bit.
    pub id: u16,
}

impl ElementId {
    /// An element of the registry of an enterprise.
    #[must_use]
    pub const fn new(enterprise: u32, id: u16) -> Self {
        Self { enterprise, id }
    }

    /// An element of the IANA registry.
    #[must_use]
    pub const fn iana(id: u16) -> Self {
        Self::new(0, id)
    }

    /// The reverse of an element of the IANA registry (RFC 5103).
    #[must_use]
    pub const fn reverse(id: u16) -> Self {
        Self::new(REVERSE_ENTERPRISE, id)
    }

    /// An element of VMware.
    #[must_use]
    pub const fn vmware(id: u16) -> Self {
        Self::new(VMWARE_ENTERPRISE, id)
    }

    /// An element of ntop.
    #[must_use]
    pub const fn ntop(id: u16) -> Self {
        Self::new(NTOP_ENTERPRISE, id)
    }

    /// An element of kipfix.
    #[must_use]
    pub const fn kipfix(id: u16) -> Self {
        Self::new(KIPFIX_ENTERPRISE, id)
    }

    /// The element of a name in the registries, of the reverse of one (`reverseOctetDeltaCount`),
    /// of `ID` in the IANA registry or of `PEN:ID`. `None` for other text, and for a name that
    /// several enterprises use.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (enterprise, id) = match text.split_once(':') {
            Some((enterprise, id)) => (enterprise.parse().ok(), id),
            None => (Some(0), text),
        };
        if let (Some(enterprise), Ok(id)) = (enterprise, id.parse()) {
            return Some(Self::new(enterprise, id));
        }
        Self::named(text).or_else(|| {
            let forward = Self::named(&forward_name(text.strip_prefix("reverse")?)?)?;
            (forward.enterprise == 0).then(|| Self::reverse(forward.id))
        })
    }

    fn named(name: &str) -> Option<Self> {
        let mut named = ELEMENTS.iter().filter(|element| element.name == name);
        let first = named.next()?;
        let is_unique = first.enterprise == 0 || named.next().is_none();
        is_unique.then(|| Self::new(first.enterprise, first.id))
    }

    /// The Field Specifier of the element with values of `length` octets.
    #[must_use]
    pub const fn with_length(self, length: u16) -> FieldSpecifier {
        FieldSpecifier {
            enterprise: self.enterprise,
            id: self.id,
            length,
        }
    }
}

/// One field of a template (RFC 7011 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldSpecifier {
    /// Private Enterprise Number, 0 for IANA.
    pub enterprise: u32,
    /// Information Element identifier without the enterprise bit.
    pub id: u16,
    /// Octets of a value, or [`VARIABLE_LENGTH`].
    pub length: u16,
}

impl FieldSpecifier {
    /// An element of the IANA registry.
    pub(crate) const fn iana(id: u16, length: u16) -> Self {
        Self {
            enterprise: 0,
            id,
            length,
        }
    }

    /// The element that a NetFlow v9 field type stands for.
    #[must_use]
    pub const fn netflow9(field_type: u16, length: u16) -> Self {
        match field_type.checked_sub(NTOP_V9_OFFSET) {
            Some(id) => Self {
                enterprise: NTOP_ENTERPRISE,
                id,
                length,
            },
            None => Self::iana(field_type, length),
        }
    }

    /// Enterprise number and identifier.
    pub(crate) const fn element(self) -> (u32, u16) {
        (self.enterprise, self.id)
    }

    /// Whether each value carries its own length.
    pub(crate) const fn is_variable(self) -> bool {
        self.length == VARIABLE_LENGTH
    }

    /// Minimum number of octets that a value takes.
    pub(crate) const fn minimum_length(self) -> usize {
        if self.is_variable() {
            1
        } else {
            widen(self.length)
        }
    }

    /// Octets of the length prefix, and octets of the value, of a field that begins at `octets`
    /// (RFC 7011 §7). `None` where the prefix is cut off.
    pub(crate) fn extent(self, octets: &[u8]) -> Option<(usize, usize)> {
        if !self.is_variable() {
            return Some((0, widen(self.length)));
        }
        match octets {
            [255, high, low, ..] => Some((3, usize::from(u16::from_be_bytes([*high, *low])))),
            [255, ..] | [] => None,
            [length, ..] => Some((1, usize::from(*length))),
        }
    }

    /// Splits the value off the front of `octets`. `None` where it runs past the end.
    pub(crate) fn split_value(self, octets: &[u8]) -> Option<(&[u8], &[u8])> {
        let (prefix, length) = self.extent(octets)?;
        octets.get(prefix..)?.split_at_checked(length)
    }
}

/// Position of a field's value in its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldSpan {
    pub(crate) start: usize,
    pub(crate) length: usize,
}

impl FieldSpan {
    /// The value in the octets of a record; none if they end before.
    #[inline]
    pub(crate) fn value_in(self, record: &[u8]) -> &[u8] {
        let end = self.start.checked_add(self.length);
        let value = end.and_then(|end| record.get(self.start..end));
        value.unwrap_or_default()
    }
}

#[allow(
    clippy::as_conversions,
    reason = "`From` is not const; the cast widens"
)]
const fn widen(value: u16) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_by_name_and_by_number() {
        for (text, element) in [
            ("octetDeltaCount", Some(ElementId::iana(1))),
            ("reverseOctetDeltaCount", Some(ElementId::reverse(1))),
            ("sourcePodName", Some(ElementId::new(56506, 101))),
            ("23", Some(ElementId::iana(23))),
            ("15397:8", Some(ElementId::new(15_397, 8))),
            ("29305:2", Some(ElementId::reverse(2))),
            ("reverseSourcePodName", None),
            ("reverse", None),
            ("octets", None),
            ("", None),
            ("1:", None),
            (":1", None),
            ("1:70000", None),
        ] {
            assert_eq!(ElementId::parse(text), element, "{text:?}");
        }
    }
}
