//! Templates: what an exporter said its Data Records look like (RFC 7011 §3.4, RFC 3954 §5.2), made
//! ready for reading, and a Data Record as it came.

use std::collections::{HashMap, HashSet};
use std::iter::successors;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::element::{self, DataType, Element, REVERSE_ENTERPRISE};
use crate::json;
use crate::plan::Plan;
use crate::record::FlowRecord;
use crate::structured;
use crate::vocabulary::Vocabulary;

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
const APPLICATION_NAME: u16 = 96;

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
    pub(crate) const fn minimum_length(self) -> usize {
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
    /// When it was last sent or used, milliseconds since the epoch.
    touched: AtomicU64,
}

#[derive(Debug)]
struct Field {
    specifier: FieldSpecifier,
    /// `None` where no public registry has it; the exporter may have described it.
    element: Option<&'static Element>,
    /// `"name":`, ready to be written.
    key: Box<[u8]>,
    /// It has a member of its own in JSON: the first occurrence of an element that the line does not say
    /// anyway.
    is_member: bool,
    /// Position of the next field of the same element.
    again: Option<usize>,
    /// Options data may have a name for the value.
    named: Option<Named>,
}

/// What a value is a number of.
#[derive(Clone, Copy, Debug)]
enum Named {
    IngressInterface,
    EgressInterface,
    Application,
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
        let mut fields: Box<[Field]> = specifiers
            .iter()
            .map(|s| Field::new(*s, before.insert((s.enterprise, s.id))))
            .collect();
        if before.contains(&(0, APPLICATION_NAME)) {
            for field in &mut fields {
                field.named = field.named.filter(|n| !matches!(n, Named::Application));
            }
        }
        // Registries give the same name to elements of their own, which would then stand twice in a line.
        let mut keys = HashSet::with_capacity(fields.len());
        for field in fields.iter_mut().filter(|field| field.is_member) {
            if !keys.insert(field.key.clone()) {
                field.key = number_key(field.specifier.enterprise, field.specifier.id);
            }
        }
        let mut behind = HashMap::with_capacity(fields.len());
        for (at, field) in fields.iter_mut().enumerate().rev() {
            field.again = behind.insert((field.specifier.enterprise, field.specifier.id), at);
        }
        Some(Self {
            kind,
            minimum_length,
            variable: specifiers.iter().any(|s| s.length == VARIABLE_LENGTH),
            repeats: before.len() < specifiers.len(),
            plan: Plan::new(specifiers),
            fields,
            touched: AtomicU64::new(0),
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

    /// The fields, with their rows of the registries.
    pub(crate) fn fields(
        &self,
    ) -> impl Iterator<Item = (FieldSpecifier, Option<&'static Element>)> {
        let element = |field: FieldSpecifier| element::find(field.enterprise, field.id);
        self.fields
            .iter()
            .map(move |f| (f.specifier, element(f.specifier)))
    }

    /// What kind of records it describes.
    pub(crate) const fn kind(&self) -> TemplateKind {
        self.kind
    }

    /// It was sent, or a record of it came.
    pub(crate) fn touch(&self, now_milliseconds: u64) {
        self.touched.store(now_milliseconds, Ordering::Relaxed);
    }

    /// When that last was, milliseconds since the epoch.
    pub(crate) fn touched_milliseconds(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
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

    /// Octets of the record at the front of `octets`; `None` where it runs past the end.
    pub(crate) fn record_length(&self, octets: &[u8]) -> Option<usize> {
        if !self.variable {
            return (octets.len() >= self.minimum_length).then_some(self.minimum_length);
        }
        let mut at = 0_usize;
        for field in &self.fields {
            let (header, length) = field.extent(octets.get(at..)?)?;
            at = at.checked_add(header)?.checked_add(length)?;
        }
        (at <= octets.len()).then_some(at)
    }

    /// Appends the fields of a record as members of a JSON object. `depth`: how many lists it is in.
    pub(crate) fn write_members(
        &self,
        record: &[u8],
        vocabulary: &Vocabulary,
        depth: usize,
        out: &mut Vec<u8>,
    ) {
        // Elements seldom occur twice; where one does, its values are found without looking for them.
        let values: Vec<&[u8]> = match self.repeats {
            true => self.walk(record).map(|(_, value)| value).collect(),
            false => Vec::new(),
        };
        let mut separator: &[u8] = b"";
        for (field, value) in self.walk(record).filter(|(field, _)| field.is_member) {
            out.extend_from_slice(separator);
            separator = b",";
            let data_type = field.write_key(vocabulary, out);
            let again = |at: &usize| self.fields.get(*at)?.again;
            let others = successors(field.again, again).map_while(|at| values.get(at));
            let mut others = others.copied().peekable();
            let is_list = others.peek().is_some();
            if is_list {
                out.push(b'[');
            }
            structured::write_value(data_type, value, vocabulary, depth, out);
            for other in others {
                out.push(b',');
                structured::write_value(data_type, other, vocabulary, depth, out);
            }
            if is_list {
                out.push(b']');
            }
            field.write_name(value, vocabulary, out);
        }
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
        let mut key = Vec::new();
        write_element_key(specifier.enterprise, specifier.id, &mut key);
        Self {
            specifier,
            element: element::find(specifier.enterprise, specifier.id),
            key: key.into_boxed_slice(),
            is_member: is_first
                && (specifier.enterprise, specifier.id) != (0, OBSERVATION_DOMAIN_ID),
            again: None,
            named: match (specifier.enterprise, specifier.id) {
                (0, 10) => Some(Named::IngressInterface),
                (0, 14) => Some(Named::EgressInterface),
                (0, 95) => Some(Named::Application),
                _ => None,
            },
        }
    }

    /// Appends `"name":`, and says how the value is to be read.
    fn write_key(&self, vocabulary: &Vocabulary, out: &mut Vec<u8>) -> Option<DataType> {
        if self.element.is_none()
            && let Some(told) = vocabulary.type_of(self.specifier.enterprise, self.specifier.id)
        {
            json::write_string(&told.name, out);
            out.push(b':');
            return Some(told.data_type);
        }
        out.extend_from_slice(&self.key);
        self.element.map(|element| element.data_type)
    }

    /// Appends a member with the name that options data has for the value, if there is one.
    fn write_name(&self, value: &[u8], vocabulary: &Vocabulary, out: &mut Vec<u8>) {
        let Some(named) = self.named else { return };
        let (key, name): (&[u8], _) = match named {
            Named::IngressInterface => (b",\"ingressInterfaceName\":", vocabulary.interface(value)),
            Named::EgressInterface => (b",\"egressInterfaceName\":", vocabulary.interface(value)),
            Named::Application => (b",\"applicationName\":", vocabulary.application(value)),
        };
        if let Some(name) = name {
            out.extend_from_slice(key);
            json::write_string(name, out);
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

/// Appends `"name":` of an element as the public registries have it, `"PEN:ID":` where none does.
pub(crate) fn write_element_key(enterprise: u32, id: u16, out: &mut Vec<u8>) {
    match element::find(enterprise, id) {
        Some(element) if enterprise == REVERSE_ENTERPRISE => {
            json::write_string(&reverse_name(element.name), out);
        }
        Some(element) => json::write_string(element.name, out),
        None => json::write_string(&format!("{enterprise}:{id}"), out),
    }
    out.push(b':');
}

/// `"PEN:ID":`
fn number_key(enterprise: u32, id: u16) -> Box<[u8]> {
    format!("\"{enterprise}:{id}\":")
        .into_bytes()
        .into_boxed_slice()
}

/// `octetDeltaCount` → `reverseOctetDeltaCount` (RFC 5103 §6.1).
pub(crate) fn reverse_name(name: &str) -> String {
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
    Template(&'a Arc<Template>, &'a [u8], &'a Vocabulary),
    /// NetFlow v5 and v7 have no template: their fixed fields are all in the flow record.
    Fixed(&'a FlowRecord),
}

impl<'a> Fields<'a> {
    pub(crate) const fn of_template(
        template: &'a Arc<Template>,
        record: &'a [u8],
        vocabulary: &'a Vocabulary,
    ) -> Self {
        Self(Source::Template(template, record, vocabulary))
    }

    /// The fields of a record that has no template.
    #[must_use]
    pub const fn of_record(record: &'a FlowRecord) -> Self {
        Self(Source::Fixed(record))
    }

    /// The template and the octets of the record, to be kept until [`crate::collector::CollectingProcess::fields`]
    /// puts them together again; `None` where the record has no template (NetFlow v5 and v7).
    #[must_use]
    pub const fn octets(&self) -> Option<(&'a Arc<Template>, &'a [u8])> {
        match self.0 {
            Source::Template(template, octets, _) => Some((template, octets)),
            Source::Fixed(_) => None,
        }
    }

    /// Whether there is an element of one of these private enterprises.
    #[must_use]
    pub fn have_enterprise(&self, enterprises: &[u32]) -> bool {
        match self.0 {
            Source::Fixed(_) => false,
            Source::Template(template, ..) => {
                let mut fields = template.fields.iter();
                fields.any(|field| enterprises.contains(&field.specifier.enterprise))
            }
        }
    }

    /// Appends the fields to `out` as members of a JSON object, `"name":value` separated by commas and
    /// without braces: keys as in the registries, else as the exporter described the element (RFC 5610),
    /// else `PEN:ID` with hexadecimal; a list where an element occurs more than once. Interfaces and
    /// applications that options data named have a member with that name behind theirs. 149
    /// `observationDomainId` is left out: who writes a line says it of the
    /// [`crate::collector::Message`], and a name must not stand twice. Appends nothing for a record
    /// without fields.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self.0 {
            Source::Fixed(record) => json::write_record(record, out),
            Source::Template(template, record, vocabulary) => {
                template.write_members(record, vocabulary, 0, out);
            }
        }
    }
}
