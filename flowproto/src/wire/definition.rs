//! Template Records (RFC 7011 §3.4, RFC 3954 §5.2 and §6.1).

use super::cursor::Cursor;
use super::version::Version;
use super::violation::Violation;
use crate::field::FieldSpecifier;
use crate::template::TemplateKind;

/// A Template Record. Its fields are in [`DefinedFields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) id: u16,
    pub(crate) kind: TemplateKind,
    /// The definition is incomplete, and nothing behind it in the Set can be read.
    pub(crate) fault: Option<Violation>,
}

/// The fields of a Template Record: a buffer that is reused.
#[derive(Debug, Default)]
pub(crate) struct DefinedFields {
    pub(crate) specifiers: Vec<FieldSpecifier>,
    /// Octets of each Field Specifier on the wire.
    pub(crate) octets: Vec<u8>,
}

impl DefinedFields {
    pub(super) fn clear(&mut self) {
        self.specifiers.clear();
        self.octets.clear();
    }

    fn push(&mut self, specifier: FieldSpecifier, octets: u8) {
        self.specifiers.push(specifier);
        self.octets.push(octets);
    }
}

/// Reads a Template Record behind its ID and field count, `count`.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    version: Version,
    is_options: bool,
    (id, count): (u16, u16),
    fields: &mut DefinedFields,
) -> Definition {
    fields.clear();
    let mut fault = None;
    let (scope_fields, wanted) = match (is_options, version) {
        (false, _) => (0, usize::from(count)),
        (true, Version::Ipfix) => (
            usize::from(cursor.u16().unwrap_or_default()),
            usize::from(count),
        ),
        // Lengths in octets instead of counts.
        (true, _) => {
            let (scope, options) = (count, cursor.u16().unwrap_or_default());
            if scope % 4 != 0 || options % 4 != 0 {
                fault = Some(Violation::OptionsLength { scope, options });
            }
            let scope_fields = usize::from(scope / 4);
            (
                scope_fields,
                scope_fields.saturating_add(usize::from(options / 4)),
            )
        }
    };
    let room = cursor.0.len() / 4;
    for at in 0..wanted {
        let is_scope = at < scope_fields;
        let Some((specifier, octets)) = read_field(cursor, version, is_scope) else {
            fault = fault.or(Some(Violation::FieldCount {
                id,
                wanted: to_u32(wanted),
                room: to_u32(fields.specifiers.len().min(room)),
            }));
            break;
        };
        fields.push(specifier, octets);
    }
    let kind = if is_options {
        TemplateKind::Options { scope_fields }
    } else {
        TemplateKind::Data
    };
    Definition { id, kind, fault }
}

/// A Field Specifier, and its octets.
fn read_field(
    cursor: &mut Cursor<'_>,
    version: Version,
    is_scope: bool,
) -> Option<(FieldSpecifier, u8)> {
    let (number, length) = (cursor.u16()?, cursor.u16()?);
    match version {
        // The first bit is set if an enterprise number follows (RFC 7011 §3.2).
        Version::Ipfix if number & 0x8000 != 0 => {
            let specifier = FieldSpecifier {
                enterprise: cursor.u32()?,
                id: number & 0x7fff,
                length,
            };
            Some((specifier, 8))
        }
        Version::Ipfix => Some((FieldSpecifier::iana(number, length), 4)),
        _ if is_scope => Some((netflow9_scope(number, length), 4)),
        _ => Some((FieldSpecifier::netflow9(number, length), 4)),
    }
}

/// The element of a NetFlow v9 scope, which has numbers of its own (RFC 3954 §6.1).
const fn netflow9_scope(number: u16, length: u16) -> FieldSpecifier {
    let id = match number {
        1 => 144, // System: exportingProcessId
        2 => 10,  // Interface: ingressInterface
        3 => 141, // Line card: lineCardId
        4 => 0,   // Cache: no element
        5 => 145, // Template: templateId
        other => other,
    };
    FieldSpecifier::iana(id, length)
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
