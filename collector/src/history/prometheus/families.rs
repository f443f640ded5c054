//! The metric families that can answer a query.

use std::sync::Arc;

use crate::aggregate::Family;
use crate::aggregate::expression::{Alternative, MatcherError};
use crate::aggregate::family::{Column, Samples};
use crate::aggregate::field::Field;
use crate::history::engine_error::EngineError;
use crate::history::query::EdgesQuery;
use crate::pipeline::Measures;

/// A measure of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EdgeMeasure {
    Bytes,
    Packets,
    Connections,
}

/// The measures of an edge.
pub(super) const MEASURES: [EdgeMeasure; 3] = [
    EdgeMeasure::Bytes,
    EdgeMeasure::Packets,
    EdgeMeasure::Connections,
];

impl EdgeMeasure {
    /// What a family of it counts.
    const fn column(self) -> Column {
        match self {
            Self::Bytes => Column::Bytes,
            Self::Packets => Column::Packets,
            Self::Connections => Column::Connections,
        }
    }

    /// Its place among the measures of an edge.
    pub(super) const fn value_of(self, measures: &mut Measures) -> &mut u64 {
        match self {
            Self::Bytes => &mut measures.bytes,
            Self::Packets => &mut measures.packets,
            Self::Connections => &mut measures.connections,
        }
    }
}

/// Families with the same labels, one for each measure.
#[derive(Clone, Debug)]
pub(super) struct FamilySet {
    /// The labels whose value is that of a field, or of a choice that ends with it.
    labels: Vec<(Field, Box<str>)>,
    /// What its series have been selected by. One alternative without matchers selects all.
    selected: Vec<Alternative>,
    /// Names, in the order of [`MEASURES`].
    names: Vec<Box<str>>,
}

/// A query that the series cannot answer.
fn unanswerable(parameter: &'static str, reason: impl Into<String>) -> EngineError {
    EngineError::Unanswerable {
        parameter,
        reason: reason.into(),
    }
}

impl FamilySet {
    /// The sets of the active families that have all measures.
    pub(super) fn of(families: &[Family]) -> Vec<Self> {
        let mut sets: Vec<Self> = Vec::new();
        for (at, family) in families.iter().enumerate() {
            let is_first = families
                .iter()
                .take(at)
                .all(|earlier| earlier.rows != family.rows);
            let name = |measure: EdgeMeasure| {
                let mut of_rows = families.iter().filter(|other| other.rows == family.rows);
                let found =
                    of_rows.find(|other| other.samples == Samples::Counter(measure.column()));
                found.map(|family| family.name.clone())
            };
            let names = MEASURES.into_iter().map(name).collect::<Option<Vec<_>>>();
            if let (true, Some(names)) = (is_first, names) {
                sets.extend(Self::new(family, names));
            }
        }
        sets
    }

    fn new(family: &Family, names: Vec<Box<str>>) -> Option<Self> {
        let rows = Arc::clone(&family.rows);
        let labels = rows.labels.iter().filter_map(|label| {
            let field = label.value.as_choice()?;
            Some((field.clone(), label.name.clone()))
        });
        let selected = match &rows.filter {
            None => vec![Vec::new()],
            Some(filter) => filter.to_alternatives().ok()?,
        };
        Some(Self {
            labels: labels.collect(),
            selected,
            names,
        })
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.labels.iter().map(|(field, _)| field)
    }

    fn label(&self, field: &Field) -> Option<&str> {
        let mut labels = self.labels.iter();
        let (_, name) = labels.find(|(known, _)| known == field)?;
        Some(name)
    }

    /// True if it has all edges that an alternative selects.
    fn covers(&self, alternative: &Alternative) -> bool {
        self.selected.iter().any(|selected| {
            let is_implied = |wanted| alternative.iter().any(|own| own.implies(wanted));
            selected.iter().all(is_implied)
        })
    }
}

/// How a query is answered.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    set: &'a FamilySet,
    group_by: &'a [Field],
    alternatives: Vec<Alternative>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(sets: &'a [FamilySet], query: &'a EdgesQuery) -> Result<Self, EngineError> {
        let has = |set: &FamilySet, field: &Field| set.label(field).is_some();
        let groups = |set: &&FamilySet| query.group_by.iter().all(|field| has(set, field));
        let grouped: Vec<&FamilySet> = sets.iter().filter(groups).collect();
        if grouped.is_empty() {
            let fields: Vec<String> = query.group_by.iter().map(ToString::to_string).collect();
            let reason = format!("no active preset has all of {}", fields.join(", "));
            return Err(unanswerable("group_by", reason));
        }
        let alternatives = match &query.filter {
            None => vec![Vec::new()],
            Some(filter) => filter.to_alternatives().map_err(|error: MatcherError| {
                unanswerable("filter", format!("{error} in this history"))
            })?,
        };
        let filters = |set: &&FamilySet| {
            let fields = query.filter.iter().flat_map(|filter| filter.fields());
            let mut fields = fields.map(|field| has(set, field));
            fields.all(|has| has)
        };
        let filtered: Vec<&FamilySet> = grouped.into_iter().filter(filters).collect();
        if filtered.is_empty() {
            let reason = "no active preset has its fields and those of group_by";
            return Err(unanswerable("filter", reason));
        }
        let mut filtered = filtered.into_iter();
        let covering = filtered.find(|set| alternatives.iter().all(|all| set.covers(all)));
        let set = covering.ok_or_else(|| {
            let reason = "the active presets have a part of this traffic only: select it, \
                          for example by direction in [\"egress\", \"ingress\"]";
            unanswerable("filter", reason)
        })?;
        Ok(Self {
            set,
            group_by: &query.group_by,
            alternatives,
        })
    }

    /// The name of the family of a measure.
    pub(super) fn family(&self, measure: EdgeMeasure) -> &str {
        let mut names = MEASURES.into_iter().zip(&self.set.names);
        let name = names.find(|(known, _)| *known == measure);
        name.map_or("", |(_, name)| name)
    }

    /// The labels by which edges are grouped.
    pub(super) fn labels(&self) -> Vec<&str> {
        let labels = self.group_by.iter().filter_map(|field| self.label(field));
        labels.collect()
    }

    /// The label of a field.
    pub(super) fn label(&self, field: &Field) -> Option<&str> {
        self.set.label(field)
    }

    /// What is selected.
    pub(super) fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }
}
