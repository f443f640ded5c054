//! The name of the responder in a Data Record.

use crate::element::KIPFIX_ENTERPRISE;
use crate::field::{FieldSpan, FieldSpecifier};
use crate::host_name::{HostNames, NameError, NameSource, ResponderName};

const CERT: u32 = 6871;
const NTOP: u32 = 35_632;
const FLOWMON: u32 = 39_499;

/// A field with the name of the responder.
#[derive(Debug)]
pub(super) struct NameField {
    /// Position among the template's fields.
    field: usize,
    /// Position of the value if no field of variable length precedes it.
    span: FieldSpan,
    source: NameSource,
}

/// How an element names the responder. `None` for other elements.
pub(super) const fn source_of(enterprise: u32, id: u16) -> Option<NameSource> {
    Some(match (enterprise, id) {
        (KIPFIX_ENTERPRISE, 45) => NameSource::Dns,
        (NTOP, 188) | (CERT, 294) | (FLOWMON, 338) => NameSource::Tls,
        (0, 460) | (NTOP, 187) | (FLOWMON, 1) => NameSource::Http,
        _ => return None,
    })
}

/// The fields with a name, the preferred ones first: what the client requests, then what it had
/// resolved.
pub(super) fn fields_of(
    specifiers: &[FieldSpecifier],
    spans: impl Iterator<Item = FieldSpan>,
) -> Box<[NameField]> {
    let mut fields: Vec<NameField> = specifiers
        .iter()
        .zip(spans)
        .enumerate()
        .filter_map(|(field, (specifier, span))| {
            let source = source_of(specifier.enterprise, specifier.id)?;
            Some(NameField {
                field,
                span,
                source,
            })
        })
        .collect();
    fields.sort_by_key(|field| match field.source {
        NameSource::Tls => 0,
        NameSource::Http => 1,
        NameSource::Dns => 2,
    });
    fields.into()
}

/// Reads the first name that is not empty.
///
/// # Errors
/// It is not a host name, or there is no room for it.
pub(super) fn read(
    fields: &[NameField],
    octets: &[u8],
    spans: &[FieldSpan],
    names: &mut HostNames,
) -> Result<Option<ResponderName>, NameError> {
    for NameField {
        field,
        span,
        source,
    } in fields
    {
        let span = spans.get(*field).unwrap_or(span);
        let mut text = until(span.value_in(octets), 0);
        if *source == NameSource::Http && !text.starts_with(b"[") {
            // Some exporters send the port, too.
            text = until(text, b':');
        }
        if !text.is_empty() {
            let source = *source;
            return names
                .intern(text)
                .map(|name| Some(ResponderName { name, source }));
        }
    }
    Ok(None)
}

/// The octets before the first one with this value.
fn until(text: &[u8], end: u8) -> &[u8] {
    text.split(|octet| *octet == end).next().unwrap_or_default()
}
