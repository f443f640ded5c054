//! Prints template definitions, and checks their fields.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::printer::Printer;
use crate::alias;
use crate::element::{self, DataType, Element, REVERSE_ENTERPRISE};
use crate::field::{ElementId, FieldSpecifier};
use crate::rule::Rule;
use crate::sessions::TemplateOutcome;
use crate::template::{MAX_FIELDS, Template, TemplateKind};
use crate::wire::{DefinedFields, Definition, Violation};

/// Prints a definition and its fields.
pub(super) fn definition(
    printer: &mut Printer<'_>,
    offset: usize,
    definition: &Definition,
    fields: &DefinedFields,
) {
    let Definition { id, kind, .. } = definition;
    let specifiers = &fields.specifiers;
    let octets: usize = specifiers.iter().map(|f| f.minimum_length()).sum();
    let least = if specifiers.iter().any(|f| f.is_variable()) {
        "at least "
    } else {
        ""
    };
    let (name, scope, header) = match (kind, printer.is_netflow9()) {
        (TemplateKind::Data, _) => ("Template", String::new(), 4),
        (TemplateKind::Options { scope_fields }, _) => (
            "Options Template",
            format!(", {scope_fields} of them scope"),
            6,
        ),
    };
    let count = specifiers.len();
    let line =
        format_args!("{name} {id}: {count} fields{scope}, records of {least}{octets} octets");
    printer.page.line(offset, 1, line);
    let mut at = offset + header;
    let mut readings = Readings::default();
    for (number, (field, octets)) in specifiers.iter().zip(&fields.octets).enumerate() {
        let scope = netflow9_scope(printer, *kind, number, *field);
        let reading = readings.of(printer, *field);
        self::field(printer, at, *field, scope, reading);
        at += usize::from(*octets);
    }
}

/// Prints what is wrong with a definition as a whole.
pub(super) fn outcome(
    printer: &mut Printer<'_>,
    offset: usize,
    definition: &Definition,
    fields: &DefinedFields,
    outcome: TemplateOutcome,
) {
    let (id, count) = (definition.id, fields.specifiers.len());
    let scope = match definition.kind {
        TemplateKind::Options { scope_fields } => scope_fields,
        TemplateKind::Data => 0,
    };
    let is_options = definition.kind != TemplateKind::Data;
    if is_options && (scope == 0 || scope > count) {
        let to_u32 = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let violation = Violation::ScopeCount {
            scope: to_u32(scope),
            fields: to_u32(count),
        };
        printer.broken(offset, violation.rule(), format_args!("{violation}"));
    }
    match outcome {
        TemplateOutcome::New | TemplateOutcome::Refreshed | TemplateOutcome::Late => {}
        TemplateOutcome::Changed { defined_in } => printer.broken(
            offset,
            Rule::TemplateChanged,
            format_args!("{id} was another template in #{defined_in}"),
        ),
        TemplateOutcome::NoRoom => {
            printer.broken(offset, Rule::TooManyTemplates, format_args!("{id}"));
        }
        TemplateOutcome::Invalid if fields.specifiers.iter().all(|f| f.length == 0) => {
            let detail = format_args!("records of {id} have no octets");
            printer.broken(offset, Rule::EmptyTemplate, detail);
        }
        TemplateOutcome::Invalid if scope > count => {}
        TemplateOutcome::Invalid => {
            let detail = format_args!(
                "{id} has {count} fields; at most {MAX_FIELDS}, few of length 0, are kept"
            );
            printer.broken(offset, Rule::TooManyTemplates, detail);
        }
    }
}

/// Name of a field, `PEN:ID` if no registry has one.
pub(super) fn name(field: FieldSpecifier, element: Option<&Element>) -> Cow<'static, str> {
    match element {
        Some(element) if field.enterprise == REVERSE_ENTERPRISE => {
            element::reverse_name(element.name).into()
        }
        Some(element) => element.name.into(),
        None => format!("{}:{}", field.enterprise, field.id).into(),
    }
}

/// Width of the column of names for the records of a template.
pub(super) fn name_width(printer: &Printer<'_>, template: &Template) -> usize {
    let fields = template.fields().iter().enumerate();
    let widths = fields.map(|(number, field)| {
        match netflow9_scope(printer, template.kind(), number, field.specifier) {
            Some(scope) => scope.name.len(),
            None => name(field.specifier, field.element).len(),
        }
    });
    widths.max().unwrap_or_default().clamp(16, 36)
}

/// A scope of NetFlow v9, which is not an element (RFC 3954 §6.1).
#[derive(Clone, Copy)]
pub(super) struct Scope {
    number: u16,
    pub(super) name: &'static str,
}

/// Field `number` of a template as a NetFlow v9 scope. The parser has replaced its type by an
/// element.
pub(super) fn netflow9_scope(
    printer: &Printer<'_>,
    kind: TemplateKind,
    number: usize,
    field: FieldSpecifier,
) -> Option<Scope> {
    let is_scope = matches!(kind, TemplateKind::Options { scope_fields } if number < scope_fields);
    if !is_scope || !printer.is_netflow9() {
        return None;
    }
    let (number, name) = match field.id {
        144 => (1, "scopeSystem"),
        10 => (2, "scopeInterface"),
        141 => (3, "scopeLineCard"),
        0 => (4, "scopeCache"),
        145 => (5, "scopeTemplate"),
        _ => return None,
    };
    Some(Scope { number, name })
}

/// What a field is read as, if the operator has elements read as others.
#[derive(Clone, Copy)]
enum Reading {
    /// As its own element.
    Own,
    /// As another element.
    As(ElementId),
    /// Not at all: a field before it is read as the same element.
    Not(ElementId),
}

/// The elements that the fields of a template are read as.
#[derive(Default)]
struct Readings {
    /// Whether each is that of another element.
    elements: HashMap<ElementId, bool>,
}

impl Readings {
    fn of(&mut self, printer: &Printer<'_>, field: FieldSpecifier) -> Reading {
        if printer.aliases.is_empty() {
            return Reading::Own;
        }
        let own = ElementId::new(field.enterprise, field.id);
        let read_as = printer.aliases.read_as(own);
        let element = read_as.unwrap_or(own);
        let is_before = match self.elements.entry(element) {
            Entry::Occupied(before) => *before.get() || read_as.is_some(),
            Entry::Vacant(vacant) => {
                vacant.insert(read_as.is_some());
                false
            }
        };
        match read_as {
            _ if is_before && element != alias::PADDING => Reading::Not(element),
            Some(element) => Reading::As(element),
            None => Reading::Own,
        }
    }
}

fn field(
    printer: &mut Printer<'_>,
    offset: usize,
    field: FieldSpecifier,
    scope: Option<Scope>,
    reading: Reading,
) {
    let element = element::find(field.enterprise, field.id);
    let name = scope.map_or_else(|| name(field, element), |scope| scope.name.into());
    let number = match (field.enterprise, scope) {
        (_, Some(scope)) => scope.number.to_string(),
        (0, _) => field.id.to_string(),
        (enterprise, _) => format!("{enterprise}:{}", field.id),
    };
    let length = if field.is_variable() && !printer.is_netflow9() {
        "variable".to_owned()
    } else {
        format!("{} octets", field.length)
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
    match reading {
        Reading::Own => {}
        Reading::As(element) => kind = format!("{kind}, read as {}", alias::name(element)),
        Reading::Not(element) => {
            let element = alias::name(element);
            kind = format!("{kind}, not read: a field before is read as {element}");
        }
    }
    printer.page.line(
        offset,
        2,
        format_args!("{name:<32}  {number:>11}  {length:>12}{kind}"),
    );
    if scope.is_none() {
        check_field(printer, offset, field, element, &name);
    }
}

/// The abstract data type, as spelled in registries.
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
        // Lists are printed as their octets, like elements of unknown type.
        _ => "octetArray".into(),
    }
}

fn check_field(
    printer: &mut Printer<'_>,
    offset: usize,
    field: FieldSpecifier,
    element: Option<&Element>,
    name: &str,
) {
    let length = field.length;
    if length == 0 {
        printer.broken(offset + 2, Rule::ZeroLength, format_args!("{name}"));
        return;
    }
    if field.is_variable() && printer.is_netflow9() {
        printer.broken(offset + 2, Rule::VariableLength, format_args!("{name}"));
        return;
    }
    let Some(element) = element else {
        printer.broken(offset, Rule::UnknownElement, format_args!("{name}"));
        return;
    };
    let natural = u16::from(element.octets);
    if natural == 0 || length == natural || field.is_variable() {
        return;
    }
    if length > natural {
        printer.broken(
            offset + 2,
            Rule::TooLong,
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
        printer.broken(
            offset + 2,
            Rule::NotReducible,
            format_args!(
                "{name} has {length} octets, {} {natural}",
                type_name(element)
            ),
        );
    }
}
