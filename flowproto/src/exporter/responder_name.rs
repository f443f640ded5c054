//! The name of the responder in records that have one. TLS and HTTP names have public elements;
//! there is none for a name that was resolved.

use super::layout::FieldSink;
use crate::field::ElementId;
use crate::host_name::{NameSource, ResponderName};

/// The element of names of a source.
pub(super) const fn element(source: NameSource) -> ElementId {
    match source {
        NameSource::Dns => ElementId::kipfix(45),
        NameSource::Tls => ElementId::ntop(188),
        NameSource::Http => ElementId::iana(460),
    }
}

fn text(name: Option<&ResponderName>) -> &str {
    name.map_or("", |name| name.name.as_str())
}

/// Octets of the value on the wire. A name is shorter than 255 octets (RFC 7011 §7).
pub(super) fn octets(name: Option<&ResponderName>) -> usize {
    text(name).len().saturating_add(1)
}

/// The name, of this source.
pub(super) fn field(out: &mut impl FieldSink, source: NameSource, name: Option<&ResponderName>) {
    out.text(element(source), text(name));
}
