//! Layouts of Data Records. A layout is a function that passes the fields of a record to a
//! [`FieldSink`]: the octets of a Data Record, or the Field Specifiers of its template. Both come
//! from the same statements, so they cannot disagree.

use super::put;
use crate::field::{ElementId, FieldSpecifier, VARIABLE_LENGTH};

/// Maximum octets of a text whose length is encoded in one octet (RFC 7011 §7).
pub const MAX_TEXT_OCTETS: usize = 254;

/// Takes the fields of a record in the order in which they are sent.
pub trait FieldSink {
    /// A field of fixed length: that of the type of the value.
    fn field<V: FieldValue>(&mut self, element: ElementId, value: V);

    /// A field of variable length. The text is cut at [`MAX_TEXT_OCTETS`].
    fn text(&mut self, element: ElementId, text: &str);

    /// An ordered basicList (RFC 6313 §4.5.1) of one enterprise element. It has at most
    /// [`MAX_TEXT_OCTETS`] octets.
    fn list(&mut self, element: ElementId, of: ElementId, values: &[u32]);
}

/// A value of fixed length.
pub trait FieldValue {
    /// Octets on the wire.
    const OCTETS: u16;

    /// Appends the value in network byte order.
    fn append(self, out: &mut Vec<u8>);
}

macro_rules! unsigned {
    ($($value:ty: $octets:literal,)*) => {
        $(
            impl FieldValue for $value {
                const OCTETS: u16 = $octets;

                #[inline]
                fn append(self, out: &mut Vec<u8>) {
                    put::<$octets>(out, self.to_be_bytes());
                }
            }
        )*
    };
}

unsigned! {
    u8: 1,
    u16: 2,
    u32: 4,
    u64: 8,
    u128: 16,
}

/// The octets of a Data Record.
impl FieldSink for Vec<u8> {
    #[inline]
    fn field<V: FieldValue>(&mut self, _: ElementId, value: V) {
        value.append(self);
    }

    fn text(&mut self, _: ElementId, text: &str) {
        write_text(self, text);
    }

    fn list(&mut self, _: ElementId, of: ElementId, values: &[u32]) {
        let length = list_octets(values).saturating_sub(1);
        put(self, [u8::try_from(length).unwrap_or_default(), ORDERED]);
        put(self, (of.id | ENTERPRISE_BIT).to_be_bytes());
        put(self, u32::OCTETS.to_be_bytes());
        put(self, of.enterprise.to_be_bytes());
        values.iter().for_each(|value| value.append(self));
    }
}

/// The fields of a template.
impl FieldSink for Vec<FieldSpecifier> {
    fn field<V: FieldValue>(&mut self, element: ElementId, _: V) {
        self.push(element.with_length(V::OCTETS));
    }

    fn text(&mut self, element: ElementId, _: &str) {
        self.push(element.with_length(VARIABLE_LENGTH));
    }

    fn list(&mut self, element: ElementId, _: ElementId, _: &[u32]) {
        self.push(element.with_length(VARIABLE_LENGTH));
    }
}

/// Octets of the fields of fixed length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedOctets(pub u16);

impl FieldSink for FixedOctets {
    fn field<V: FieldValue>(&mut self, _: ElementId, _: V) {
        self.0 = self.0.saturating_add(V::OCTETS);
    }

    fn text(&mut self, _: ElementId, _: &str) {}

    fn list(&mut self, _: ElementId, _: ElementId, _: &[u32]) {}
}

/// The semantic of a list whose order matters (RFC 6313 §4.4.5).
const ORDERED: u8 = 4;
const ENTERPRISE_BIT: u16 = 0x8000;
/// Octets of a list without elements: its semantic, and the Field Specifier.
pub(super) const LIST_HEADER: usize = 9;

/// Octets of a list on the wire, with its length.
pub(super) fn list_octets(values: &[u32]) -> usize {
    let octets = values.len().saturating_mul(4);
    octets.saturating_add(LIST_HEADER + 1)
}

/// Appends a value of variable length.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    let text = super::prefix(text, MAX_TEXT_OCTETS);
    put(out, [u8::try_from(text.len()).unwrap_or_default()]);
    out.extend_from_slice(text.as_bytes());
}
