//! The name of the responder in records that have one. TLS and HTTP names have public elements; there is
//! none for a name that was resolved.

use super::message::write_text;
use super::tcp::NTOP;
use crate::element::KIPFIX_ENTERPRISE;
use crate::field::{FieldSpecifier, VARIABLE_LENGTH};
use crate::host_name::{NameSource, ResponderName};

const fn name(enterprise: u32, id: u16) -> [FieldSpecifier; 1] {
    [FieldSpecifier {
        enterprise,
        id,
        length: VARIABLE_LENGTH,
    }]
}

pub(super) const DNS: [FieldSpecifier; 1] = name(KIPFIX_ENTERPRISE, 45);
pub(super) const TLS: [FieldSpecifier; 1] = name(NTOP, 188);
const HTTP: [FieldSpecifier; 1] = name(0, 460);

/// The field of a name.
pub(super) const fn field(source: NameSource) -> &'static [FieldSpecifier] {
    match source {
        NameSource::Dns => &DNS,
        NameSource::Tls => &TLS,
        NameSource::Http => &HTTP,
    }
}

/// Octets of the value on the wire. A name is shorter than 255 octets (RFC 7011 §7).
pub(super) fn octets(name: Option<&ResponderName>) -> usize {
    name.map_or(0, |name| name.name.as_str().len().saturating_add(1))
}

/// Writes the value.
pub(super) fn write(out: &mut Vec<u8>, name: &ResponderName) {
    write_text(out, name.name.as_str());
}
