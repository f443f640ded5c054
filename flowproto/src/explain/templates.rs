//! Template Sets: what an exporter says its records look like.

use std::borrow::Cow;

use super::message::{Counted, Header, Walk};
use super::problem::Problem;
use super::session::{Learned, Sessions};
use crate::collector::set::Cursor;
use crate::element::{self, DataType, Element, REVERSE_ENTERPRISE};
use crate::template::{FieldSpecifier, TemplateKind, VARIABLE_LENGTH, reverse_name};

/// A template as its octets say it.
struct Definition {
    id: u16,
    kind: TemplateKind,
    fields: Vec<FieldSpecifier>,
    /// Where each field stands in the datagram.
    offsets: Vec<usize>,
}

/// The templates of a Set.
pub(super) fn set(
    walk: &mut Walk<'_>,
    content: &[u8],
    header: &Header,
    options: bool,
    counted: &mut Counted,
    sessions: &mut Sessions,
) {
    let mut cursor = Cursor(content);
    loop {
        let rest = cursor.0;
        let offset = walk.offset(rest);
        // A withdrawal is the shortest thing there is: what is shorter, or all zeros, is padding.
        if rest.len() < 4 || rest.iter().all(|octet| *octet == 0) {
            padding(walk, rest, 4);
            return;
        }
        let (Some(id), Some(count)) = (cursor.u16(), cursor.u16()) else {
            return;
        };
        if count == 0 && !(walk.is_netflow9() && options) {
            withdrawal(walk, offset, id, header, options, sessions);
            continue;
        }
        counted.templates += 1;
        let Some(definition) = read(walk, &mut cursor, (id, count), options, offset) else {
            counted.unread = true;
            return;
        };
        show(walk, offset, &definition);
        if id < 256 {
            walk.problem(
                offset,
                Problem::TemplateId,
                format_args!("{id}; or the template in front of it has more fields than it says"),
            );
            continue;
        }
        define(walk, offset, &definition, header, sessions);
    }
}

/// What is left at the end of a Set whose records have `shortest` octets at least.
pub(super) fn padding(walk: &mut Walk<'_>, rest: &[u8], shortest: usize) {
    if rest.is_empty() {
        return;
    }
    let offset = walk.offset(rest);
    let length = rest.len();
    walk.page
        .line(offset, 1, format_args!("Padding, {length} octets"));
    if rest.iter().any(|octet| *octet != 0) {
        walk.problem(
            offset,
            Problem::PaddingNotZero,
            format_args!("{length} octets are left that are no record and not all 0"),
        );
    }
    if length >= shortest || length > 7 {
        walk.problem(
            offset,
            Problem::PaddingTooLong,
            format_args!("{length} octets, a record has {shortest} and more"),
        );
    }
}

fn withdrawal(
    walk: &mut Walk<'_>,
    offset: usize,
    id: u16,
    header: &Header,
    options: bool,
    sessions: &mut Sessions,
) {
    if walk.is_netflow9() {
        walk.page
            .line(offset, 1, format_args!("Template {id}: no fields"));
        walk.problem(offset, Problem::EmptyTemplate, format_args!("{id}"));
        return;
    }
    let what = if id < 256 { "all templates" } else { "it" };
    walk.page.line(
        offset,
        1,
        format_args!("Template {id}: withdrawn, {what} is not used any more"),
    );
    if walk.is_udp() {
        walk.problem(offset, Problem::Withdrawal, format_args!("of {id}"));
    }
    if sessions.withdraw(header.key, id, options) == 0 {
        walk.problem(offset, Problem::WithdrawalUnknown, format_args!("{id}"));
    }
}

/// Reads one template. `None`, said, where its Set cannot hold it: nothing behind it can be read.
fn read(
    walk: &mut Walk<'_>,
    cursor: &mut Cursor<'_>,
    (id, count): (u16, u16),
    options: bool,
    offset: usize,
) -> Option<Definition> {
    let netflow9 = walk.is_netflow9();
    let room = cursor.0.len() / 4;
    let (kind, wanted) = match (options, netflow9) {
        (false, _) => (TemplateKind::Data, usize::from(count)),
        (true, false) => {
            let scope_fields = cursor.u16().unwrap_or_default().into();
            (TemplateKind::Options { scope_fields }, usize::from(count))
        }
        (true, true) => {
            // Octets, not counts.
            let (scope, option) = (count, cursor.u16().unwrap_or_default());
            if scope % 4 != 0 || option % 4 != 0 {
                walk.problem(
                    offset + 2,
                    Problem::OptionsLength,
                    format_args!("{scope} octets of scope and {option} of options"),
                );
            }
            let scope_fields = usize::from(scope / 4);
            (
                TemplateKind::Options { scope_fields },
                scope_fields + usize::from(option / 4),
            )
        }
    };
    let mut definition = Definition {
        id,
        kind,
        fields: Vec::new(),
        offsets: Vec::new(),
    };
    for _ in 0..wanted {
        let here = walk.offset(cursor.0);
        let Some(field) = read_field(cursor, netflow9) else {
            show(walk, offset, &definition);
            walk.problem(
                offset + 2,
                Problem::FieldCount,
                format_args!(
                    "template {id} says {wanted} fields, its Set has room for {}",
                    definition.fields.len().min(room)
                ),
            );
            cursor.0 = &[];
            return None;
        };
        definition.fields.push(field);
        definition.offsets.push(here);
    }
    Some(definition)
}

fn read_field(cursor: &mut Cursor<'_>, netflow9: bool) -> Option<FieldSpecifier> {
    let (number, length) = (cursor.u16()?, cursor.u16()?);
    if netflow9 {
        return Some(FieldSpecifier::netflow9(number, length));
    }
    let enterprise = if number & 0x8000 != 0 {
        cursor.u32()?
    } else {
        0
    };
    Some(FieldSpecifier {
        enterprise,
        id: number & 0x7fff,
        length,
    })
}

/// What a NetFlow v9 scope field is, which is no element (RFC 3954 §6.1).
pub(super) const fn netflow9_scope(id: u16) -> Option<&'static str> {
    Some(match id {
        1 => "scopeSystem",
        2 => "scopeInterface",
        3 => "scopeLineCard",
        4 => "scopeCache",
        5 => "scopeTemplate",
        _ => return None,
    })
}

/// The name of a field, `PEN:ID` where no registry has one.
pub(super) fn name(field: FieldSpecifier, element: Option<&Element>) -> Cow<'static, str> {
    match element {
        Some(element) if field.enterprise == REVERSE_ENTERPRISE => {
            reverse_name(element.name).into()
        }
        Some(element) => element.name.into(),
        None => format!("{}:{}", field.enterprise, field.id).into(),
    }
}

/// True where field `at` of a template is a scope of NetFlow v9.
pub(super) fn is_netflow9_scope(walk: &Walk<'_>, kind: TemplateKind, at: usize) -> bool {
    matches!(kind, TemplateKind::Options { scope_fields } if at < scope_fields)
        && walk.is_netflow9()
}

fn show(walk: &mut Walk<'_>, offset: usize, definition: &Definition) {
    let Definition {
        id, kind, fields, ..
    } = definition;
    let octets: usize = fields
        .iter()
        .map(|f| match f.length {
            VARIABLE_LENGTH => 1,
            length => length.into(),
        })
        .sum();
    let least = if fields.iter().any(|f| f.length == VARIABLE_LENGTH) {
        "at least "
    } else {
        ""
    };
    let count = fields.len();
    let (what, scope) = match kind {
        TemplateKind::Data => ("Template", String::new()),
        TemplateKind::Options { scope_fields } => (
            "Options Template",
            format!(", {scope_fields} of them scope"),
        ),
    };
    walk.page.line(
        offset,
        1,
        format_args!("{what} {id}: {count} fields{scope}, records of {least}{octets} octets"),
    );
    for (at, (field, offset)) in fields.iter().zip(&definition.offsets).enumerate() {
        let is_scope = is_netflow9_scope(walk, *kind, at);
        show_field(walk, *offset, *field, is_scope);
    }
}

fn show_field(walk: &mut Walk<'_>, offset: usize, field: FieldSpecifier, is_netflow9_scope: bool) {
    let element = element::find(field.enterprise, field.id);
    let scope = netflow9_scope(field.id).filter(|_| is_netflow9_scope);
    let name = scope.map_or_else(|| name(field, element), Cow::from);
    let number = match field.enterprise {
        0 => field.id.to_string(),
        enterprise => format!("{enterprise}:{}", field.id),
    };
    let length = match (field.length, walk.is_netflow9()) {
        (VARIABLE_LENGTH, false) => "variable".to_owned(),
        (length, _) => format!("{length} octets"),
    };
    let mut kind = String::new();
    if let (Some(element), None) = (element, scope) {
        kind = format!("  {}", type_name(element));
        let is_number = matches!(
            element.data_type,
            DataType::Unsigned | DataType::Signed | DataType::Float
        );
        if is_number && !element.units.is_empty() {
            kind = format!("{kind}, {}", element.units);
        }
    }
    walk.page.line(
        offset,
        2,
        format_args!("{name:<32}  {number:>11}  {length:>12}{kind}"),
    );
    if scope.is_none() {
        judge_field(walk, offset, field, element, &name);
    }
}

/// The abstract data type, as registries spell it.
fn type_name(element: &Element) -> String {
    let bits = u32::from(element.octets) * 8;
    let number = |name: &str| match bits {
        0 => name.to_owned(),
        bits => format!("{name}{bits}"),
    };
    match element.data_type {
        DataType::Unsigned => number("unsigned"),
        DataType::Signed => number("signed"),
        DataType::Float => number("float"),
        DataType::Boolean => "boolean".into(),
        DataType::MacAddress => "macAddress".into(),
        DataType::String => "string".into(),
        DataType::DateTimeSeconds => "dateTimeSeconds".into(),
        DataType::DateTimeMilliseconds => "dateTimeMilliseconds".into(),
        DataType::DateTimeMicroseconds => "dateTimeMicroseconds".into(),
        DataType::DateTimeNanoseconds => "dateTimeNanoseconds".into(),
        DataType::Ipv4Address => "ipv4Address".into(),
        DataType::Ipv6Address => "ipv6Address".into(),
        // Lists are shown as their octets, like what has no known type.
        _ => "octetArray".into(),
    }
}

fn judge_field(
    walk: &mut Walk<'_>,
    offset: usize,
    field: FieldSpecifier,
    element: Option<&Element>,
    name: &str,
) {
    let length = field.length;
    if length == 0 {
        walk.problem(offset + 2, Problem::ZeroLength, format_args!("{name}"));
        return;
    }
    if length == VARIABLE_LENGTH && walk.is_netflow9() {
        walk.problem(offset + 2, Problem::VariableLength, format_args!("{name}"));
        return;
    }
    let Some(element) = element else {
        walk.problem(offset, Problem::UnknownElement, format_args!("{name}"));
        return;
    };
    let natural = u16::from(element.octets);
    if natural == 0 || length == natural || length == VARIABLE_LENGTH {
        return;
    }
    if length > natural {
        walk.problem(
            offset + 2,
            Problem::TooLong,
            format_args!(
                "{name} has {length} octets, {} {natural}",
                type_name(element)
            ),
        );
        return;
    }
    let reducible = match element.data_type {
        DataType::Unsigned | DataType::Signed => true,
        DataType::Float => length == 4,
        _ => false,
    };
    if !reducible {
        walk.problem(
            offset + 2,
            Problem::NotReducible,
            format_args!(
                "{name} has {length} octets, {} {natural}",
                type_name(element)
            ),
        );
    }
}

fn define(
    walk: &mut Walk<'_>,
    offset: usize,
    definition: &Definition,
    header: &Header,
    sessions: &mut Sessions,
) {
    let Definition {
        id, kind, fields, ..
    } = definition;
    if let TemplateKind::Options { scope_fields } = kind
        && (*scope_fields == 0 || *scope_fields > fields.len())
    {
        walk.problem(
            offset,
            Problem::ScopeCount,
            format_args!("{scope_fields} scope fields of {}", fields.len()),
        );
    }
    let widths = fields
        .iter()
        .map(|f| name(*f, element::find(f.enterprise, f.id)).len());
    let width = widths.max().unwrap_or_default().clamp(16, 36);
    let when = (walk.number, walk.now(header));
    match sessions.define(header.key, *id, *kind, (fields, width), when) {
        Learned::New | Learned::Refreshed => {}
        Learned::Changed(before) => walk.problem(
            offset,
            Problem::TemplateChanged,
            format_args!("{id} was another template in #{before}"),
        ),
        Learned::NoRoom => walk.problem(offset, Problem::TooManyTemplates, format_args!("{id}")),
        Learned::Unusable if fields.iter().all(|f| f.length == 0) => walk.problem(
            offset,
            Problem::EmptyTemplate,
            format_args!("records of {id} would have no octets"),
        ),
        // Scope fields that are not there were told of above.
        Learned::Unusable if matches!(kind, TemplateKind::Options { scope_fields } if *scope_fields > fields.len()) =>
            {}
        Learned::Unusable => walk.problem(
            offset,
            Problem::TooManyTemplates,
            format_args!("{id} has {} fields, more than are kept", fields.len()),
        ),
    }
}
