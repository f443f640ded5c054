//! Where a value of a record is, if it is read apart from the slots.

use crate::field::{FieldSpan, FieldSpecifier};
use crate::value::unsigned;

/// The place of a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldPlace {
    /// Position among the template's fields.
    field: usize,
    /// Position of the value if no field of variable length precedes it.
    span: FieldSpan,
}

impl FieldPlace {
    /// The first field of an IANA element. `None` if the template has none. `spans`: of all fields,
    /// as if none of variable length preceded them.
    pub(super) fn of(specifiers: &[FieldSpecifier], spans: &[FieldSpan], id: u16) -> Option<Self> {
        let field = specifiers.iter().position(|s| s.element() == (0, id))?;
        let span = *spans.get(field)?;
        Some(Self { field, span })
    }

    /// The octets of the value. `spans` as for [`super::Plan::read`].
    pub(super) fn value<'a>(&self, octets: &'a [u8], spans: &[FieldSpan]) -> &'a [u8] {
        spans.get(self.field).unwrap_or(&self.span).value_in(octets)
    }

    /// The number at a place, if there is one of 1 to 8 octets.
    pub(super) fn number(place: Option<Self>, octets: &[u8], spans: &[FieldSpan]) -> Option<u64> {
        let value = place?.value(octets, spans);
        (1..=8).contains(&value.len()).then(|| unsigned(value))
    }
}
