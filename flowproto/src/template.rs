//! Templates (RFC 7011 §3.4, RFC 3954 §5.2), compiled: the layout of Data Records and the
//! `Plan` by which their values fill a [`crate::FlowRecord`].

use std::collections::{HashMap, HashSet};

use crate::alias::ElementAliases;
use crate::element::{self, Element};
use crate::field::{FieldSpan, FieldSpecifier};
use crate::plan::Plan;

/// Maximum number of fields of a template. Real templates have up to some hundred.
pub(crate) const MAX_FIELDS: usize = 1024;
/// Maximum number of fields of length 0 in a template. More would let a record of one octet become
/// kilobytes of text.
pub(crate) const MAX_EMPTY_FIELDS: usize = 16;

/// A Template or Options Template, compiled.
#[derive(Debug)]
pub struct Template {
    fields: Box<[Field]>,
    kind: TemplateKind,
    /// Minimum number of octets of a record; exact unless `is_variable`.
    minimum_length: usize,
    is_variable: bool,
    plan: Plan,
}

/// One field of a [`Template`].
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) specifier: FieldSpecifier,
    /// The element that the field is read as; mostly its own one.
    pub(crate) read_as: FieldSpecifier,
    /// Row of the public registries, if there is one.
    pub(crate) element: Option<&'static Element>,
    /// Position of the next field of the same element.
    pub(crate) next_occurrence: Option<u16>,
    /// An earlier field has the same element.
    pub(crate) is_repeated: bool,
    /// An earlier field has another element of the same name.
    pub(crate) is_name_taken: bool,
}

/// Kind of records that a template describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TemplateKind {
    /// Flow records.
    Data,
    /// Options records.
    Options {
        /// Number of scope fields, which come first.
        scope_fields: usize,
    },
}

impl Template {
    /// Compiles a template. `None` where its records would be empty, where there are more scope
    /// fields than fields, or more than 1024 fields, or more than 16 fields of length 0.
    #[must_use]
    pub fn new(specifiers: &[FieldSpecifier], kind: TemplateKind) -> Option<Self> {
        Self::with_aliases(specifiers, kind, &ElementAliases::default())
    }

    /// [`Self::new`] for an exporter some of whose elements are read as others.
    #[must_use]
    pub fn with_aliases(
        specifiers: &[FieldSpecifier],
        kind: TemplateKind,
        aliases: &ElementAliases,
    ) -> Option<Self> {
        let minimum_length = specifiers.iter().map(|s| s.minimum_length()).sum();
        let has_scope = match kind {
            TemplateKind::Data => true,
            TemplateKind::Options { scope_fields } => scope_fields <= specifiers.len(),
        };
        let empty_fields = specifiers.iter().filter(|s| s.length == 0).count();
        let is_too_long = specifiers.len() > MAX_FIELDS || empty_fields > MAX_EMPTY_FIELDS;
        if minimum_length == 0 || !has_scope || is_too_long {
            return None;
        }
        let read_as = aliases.apply(specifiers);
        Some(Self {
            fields: fields(specifiers, &read_as),
            kind,
            minimum_length,
            is_variable: specifiers.iter().any(|s| s.is_variable()),
            plan: Plan::new(&read_as),
        })
    }

    /// Minimum number of octets of a record. What is shorter at the end of a Set is padding
    /// (RFC 7011 §3.3.1).
    #[must_use]
    pub const fn minimum_length(&self) -> usize {
        self.minimum_length
    }

    /// Whether it is an Options Template.
    #[must_use]
    pub const fn is_options(&self) -> bool {
        matches!(self.kind, TemplateKind::Options { .. })
    }

    /// Whether it has an element of one of these private enterprises.
    #[must_use]
    pub fn has_enterprise(&self, enterprises: &[u32]) -> bool {
        self.fields
            .iter()
            .any(|field| enterprises.contains(&field.specifier.enterprise))
    }

    /// Number of fields, which is what a template costs in memory.
    pub(crate) const fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether these fields would make the same template: a refresh, nothing new.
    pub(crate) fn is(&self, specifiers: &[FieldSpecifier], kind: TemplateKind) -> bool {
        self.kind == kind && self.fields.iter().map(|f| &f.specifier).eq(specifiers)
    }

    /// Number of scope fields.
    pub(crate) const fn scope_fields(&self) -> usize {
        match self.kind {
            TemplateKind::Data => 0,
            TemplateKind::Options { scope_fields } => scope_fields,
        }
    }

    pub(crate) const fn kind(&self) -> TemplateKind {
        self.kind
    }

    pub(crate) const fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Splits one record off the front of `octets`. Where the template has fields of variable
    /// length, `spans` receives the position of each field's value. `None` where the record runs
    /// past the end.
    #[inline]
    pub(crate) fn split<'a>(
        &self,
        octets: &'a [u8],
        spans: &mut Vec<FieldSpan>,
    ) -> Option<(&'a [u8], &'a [u8])> {
        if !self.is_variable {
            return octets.split_at_checked(self.minimum_length);
        }
        spans.clear();
        let mut at = 0_usize;
        for field in &self.fields {
            let (prefix, length) = field.specifier.extent(octets.get(at..)?)?;
            let start = at.checked_add(prefix)?;
            at = start.checked_add(length)?;
            spans.push(FieldSpan { start, length });
        }
        octets.split_at_checked(at)
    }

    /// The fields of a record that [`Self::split`] returned, with their values; those before the
    /// cut where the octets are less than a record.
    pub(crate) fn values<'a>(
        &'a self,
        record: &'a [u8],
    ) -> impl Iterator<Item = (&'a Field, &'a [u8])> {
        let mut rest = record;
        self.fields.iter().map_while(move |field| {
            let (value, after) = field.specifier.split_value(rest)?;
            rest = after;
            Some((field, value))
        })
    }

    /// Number of octets of the record at the front of `octets`. `None` where it runs past the end.
    pub(crate) fn record_length(&self, octets: &[u8]) -> Option<usize> {
        if !self.is_variable {
            return (octets.len() >= self.minimum_length).then_some(self.minimum_length);
        }
        let mut rest = octets;
        for field in &self.fields {
            (_, rest) = field.specifier.split_value(rest)?;
        }
        octets.len().checked_sub(rest.len())
    }
}

fn fields(specifiers: &[FieldSpecifier], read_as: &[FieldSpecifier]) -> Box<[Field]> {
    let mut earlier = HashSet::with_capacity(specifiers.len());
    let mut names = HashSet::with_capacity(specifiers.len());
    let mut fields: Box<[Field]> = specifiers
        .iter()
        .zip(read_as)
        .map(|(specifier, read_as)| {
            let element = element::find(specifier.enterprise, specifier.id);
            let is_repeated = !earlier.insert(specifier.element());
            // A reverse element has the row of its forward element, but another name.
            let is_reverse = specifier.enterprise == element::REVERSE_ENTERPRISE;
            let name = element.map(|element| (is_reverse, element.name));
            Field {
                specifier: *specifier,
                read_as: *read_as,
                element,
                next_occurrence: None,
                is_repeated,
                is_name_taken: !is_repeated && name.is_some_and(|name| !names.insert(name)),
            }
        })
        .collect();
    let mut later = HashMap::with_capacity(fields.len());
    for (at, field) in fields.iter_mut().enumerate().rev() {
        let at = u16::try_from(at).ok();
        field.next_occurrence = at.and_then(|at| later.insert(field.specifier.element(), at));
    }
    fields
}

/// Whether an element fills a field of the [`crate::FlowRecord`]. All other elements are only
/// passed on as received.
#[must_use]
pub const fn is_read(enterprise: u32, id: u16) -> bool {
    Plan::reads(enterprise, id)
}
