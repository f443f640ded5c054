//! Templates: what an exporter said its Data Records look like (RFC 7011 §3.4, RFC 3954 §5.2), made
//! ready for reading, and a Data Record as it came.

use std::collections::HashSet;

use crate::element::{self, Element, REVERSE_ENTERPRISE};
use crate::json;
use crate::plan::Plan;
use crate::record::FlowRecord;

/// Length of a field that says its own length in front of each value (RFC 7011 §7).
pub const VARIABLE_LENGTH: u16 = 65_535;

/// Fields of a template at the most; real ones have up to some hundred.
const MAX_FIELDS: usize = 1024;
/// Fields without octets in a template at the most. More would make much of records that are nothing.
const MAX_EMPTY_FIELDS: usize = 16;

/// ntop's elements have numbers above the enterprise bit where the protocol has no enterprise number:
/// NetFlow v9 identifier = 57472 + identifier.
const NTOP: u32 = 35_632;
const NTOP_V9_OFFSET: u16 = 57_472;
const OBSERVATION_DOMAIN_ID: u16 = 149;

/// One field of a template (RFC 7011 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpecifier {
    /// Private Enterprise Number, 0 for IANA.
    pub enterprise: u32,
    /// Information Element identifier without the enterprise bit.
    pub id: u16,
    /// Octets of a value, or [`VARIABLE_LENGTH`].
    pub length: u16,
}

impl FieldSpecifier {
    /// The field that a NetFlow v9 type number means.
    #[must_use]
    pub const fn netflow9(field_type: u16, length: u16) -> Self {
        match field_type.checked_sub(NTOP_V9_OFFSET) {
            Some(id) => Self {
                enterprise: NTOP,
                id,
                length,
            },
            None => Self {
                enterprise: 0,
                id: field_type,
                length,
            },
        }
    }

    /// Octets that a value takes at least.
    const fn minimum_length(self) -> usize {
        if self.length == VARIABLE_LENGTH {
            1
        } else {
            widen(self.length)
        }
    }
}

#[allow(
    clippy::as_conversions,
    reason = "`From` is not const; the cast widens"
)]
const fn widen(value: u16) -> usize {
    value as usize
}

/// True where an element becomes part of a [`FlowRecord`]; all others are only handed on as they came.
#[must_use]
pub const fn is_read(enterprise: u32, id: u16) -> bool {
    Plan::reads(enterprise, id)
}

/// A (options) template, compiled.
#[derive(Debug)]
pub struct Template {
    fields: Box<[Field]>,
    kind: TemplateKind,
    /// Octets of a record at least; exact unless `variable`.
    minimum_length: usize,
    variable: bool,
    /// An element occurs twice, so that JSON needs lists.
    repeats: bool,
    plan: Plan,
}

#[derive(Debug)]
struct Field {
    specifier: FieldSpecifier,
    element: Option<&'static Element>,
    /// `"name":`, ready to be written.
    key: Box<[u8]>,
    /// It has a member of its own in JSON: the first occurrence of an element that the line does not say
    /// anyway.
    is_member: bool,
}

/// What kind of records a template describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateKind {
    /// Flow records.
    Data,
    /// Options records, with so many scope fields in front.
    Options {
        /// How many of the fields are scope.
        scope_fields: usize,
    },
}

impl Template {
    /// Compiles a template. `None` where its records would have no length, since such records cannot be
    /// counted, where scope fields are more than there are fields, or where there are more fields than any
    /// exporter has.
    #[must_use]
    pub fn new(specifiers: &[FieldSpecifier], kind: TemplateKind) -> Option<Self> {
        let minimum_length = specifiers.iter().map(|s| s.minimum_length()).sum();
        let scope_fits = match kind {
            TemplateKind::Data => true,
            TemplateKind::Options { scope_fields } => scope_fields <= specifiers.len(),
        };
        let empty_fields = specifiers.iter().filter(|s| s.length == 0).count();
        let too_many = specifiers.len() > MAX_FIELDS || empty_fields > MAX_EMPTY_FIELDS;
        if minimum_length == 0 || !scope_fits || too_many {
            return None;
        }
        let mut before = HashSet::with_capacity(specifiers.len());
        let fields: Box<[Field]> = specifiers
            .iter()
            .map(|s| Field::new(*s, before.insert((s.enterprise, s.id))))
            .collect();
        Some(Self {
            kind,
            minimum_length,
            variable: specifiers.iter().any(|s| s.length == VARIABLE_LENGTH),
            repeats: before.len() < specifiers.len(),
            plan: Plan::new(specifiers),
            fields,
        })
    }

    /// Octets that a record of this template takes at least; what is shorter at the end of a Set is
    /// padding (RFC 7011 §3.3.1).
    #[must_use]
    pub const fn minimum_length(&self) -> usize {
        self.minimum_length
    }

    /// Fields, which is what a template costs.
    pub(crate) const fn len(&self) -> usize {
        self.fields.len()
    }

    /// True where the template is what these fields would make: a refresh, nothing new.
    pub(crate) fn is(&self, specifiers: &[FieldSpecifier], kind: TemplateKind) -> bool {
        self.kind == kind && self.fields.iter().map(|f| &f.specifier).eq(specifiers)
    }

    /// How values become a [`FlowRecord`].
    #[must_use]
    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// True for an options template.
    #[must_use]
    pub const fn is_options(&self) -> bool {
        matches!(self.kind, TemplateKind::Options { .. })
    }

    /// Takes one record off the front of `octets`, noting in `spans` where the value of each field
    /// stands if the template has fields of variable length. `None` where the record runs past the end.
    pub(crate) fn split<'a>(
        &self,
        octets: &'a [u8],
        spans: &mut Vec<Span>,
    ) -> Option<(&'a [u8], &'a [u8])> {
        if !self.variable {
            return octets.split_at_checked(self.minimum_length);
        }
        spans.clear();
        let mut at = 0_usize;
        for field in &self.fields {
            let (header, length) = field.extent(octets.get(at..)?)?;
            let start = at.checked_add(header)?;
            at = start.checked_add(length)?;
            spans.push(Span { start, length });
        }
        octets.split_at_checked(at)
    }

    /// The fields of a record (as [`Self::split`] cut it) with their values.
    pub(crate) fn values<'a>(
        &'a self,
        record: &'a [u8],
    ) -> impl Iterator<Item = (FieldSpecifier, &'a [u8])> {
        self.walk(record)
            .map(|(field, value)| (field.specifier, value))
    }

    fn walk<'a>(&'a self, record: &'a [u8]) -> impl Iterator<Item = (&'a Field, &'a [u8])> {
        let mut rest = record;
        self.fields.iter().map_while(move |field| {
            let (header, length) = field.extent(rest)?;
            let (value, after) = rest.get(header..)?.split_at_checked(length)?;
            rest = after;
            Some((field, value))
        })
    }
}

/// Where the value of a field stands in its record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) length: usize,
}

impl Field {
    fn new(specifier: FieldSpecifier, is_first: bool) -> Self {
        let element = element::find(specifier.enterprise, specifier.id);
        let mut key = Vec::new();
        match element {
            Some(element) if specifier.enterprise == REVERSE_ENTERPRISE => {
                json::write_string(&reverse_name(element.name), &mut key);
            }
            Some(element) => json::write_string(element.name, &mut key),
            None => {
                json::write_string(
                    &format!("{}:{}", specifier.enterprise, specifier.id),
                    &mut key,
                );
            }
        }
        key.push(b':');
        Self {
            specifier,
            element,
            key: key.into_boxed_slice(),
            is_member: is_first
                && (specifier.enterprise, specifier.id) != (0, OBSERVATION_DOMAIN_ID),
        }
    }

    /// Octets in front of the value that say its length, and octets of the value (RFC 7011 §7).
    fn extent(&self, octets: &[u8]) -> Option<(usize, usize)> {
        if self.specifier.length != VARIABLE_LENGTH {
            return Some((0, widen(self.specifier.length)));
        }
        match octets {
            [255, high, low, ..] => Some((3, usize::from(u16::from_be_bytes([*high, *low])))),
            [255, ..] | [] => None,
            [length, ..] => Some((1, usize::from(*length))),
        }
    }
}

/// `octetDeltaCount` → `reverseOctetDeltaCount` (RFC 5103 §6.1).
fn reverse_name(name: &str) -> String {
    let mut out = String::from("reverse");
    let mut letters = name.chars();
    out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    out.push_str(letters.as_str());
    out
}

/// A Data Record as it came: the fields in the order of its template.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Template(&'a Template, &'a [u8]),
    /// NetFlow v5 and v7 have no template: their fixed fields are all in the flow record.
    Fixed(&'a FlowRecord),
}

impl<'a> Fields<'a> {
    pub(crate) const fn of_template(template: &'a Template, record: &'a [u8]) -> Self {
        Self(Source::Template(template, record))
    }

    pub(crate) const fn of_record(record: &'a FlowRecord) -> Self {
        Self(Source::Fixed(record))
    }

    /// Appends the fields to `out` as members of a JSON object, `"name":value` separated by commas and
    /// without braces: keys as in the registries, `PEN:ID` with hexadecimal where none names the
    /// element, a list where an element occurs more than once. 149 `observationDomainId` is left out: who
    /// writes a line says it of the [`crate::collector::Message`], and a name must not stand twice. Appends
    /// nothing for a record without fields.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self.0 {
            Source::Fixed(record) => json::write_record(record, out),
            Source::Template(template, record) => {
                let mut separator: &[u8] = b"";
                for (field, value) in template.walk(record).filter(|(field, _)| field.is_member) {
                    out.extend_from_slice(separator);
                    separator = b",";
                    out.extend_from_slice(&field.key);
                    if template.repeats {
                        write_occurrences(template, record, field, out);
                    } else {
                        json::write_value(field.element, value, out);
                    }
                }
            }
        }
    }
}

/// The value of an element, or the list of its values where it occurs more than once.
fn write_occurrences(template: &Template, record: &[u8], field: &Field, out: &mut Vec<u8>) {
    let (enterprise, id) = (field.specifier.enterprise, field.specifier.id);
    let same = || {
        template
            .walk(record)
            .filter(move |(f, _)| (f.specifier.enterprise, f.specifier.id) == (enterprise, id))
    };
    let is_list = same().nth(1).is_some();
    if is_list {
        out.push(b'[');
    }
    for (at, (_, value)) in same().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::write_value(field.element, value, out);
    }
    if is_list {
        out.push(b']');
    }
}
