//! The metric families that can answer a query.

use std::sync::Arc;

use crate::aggregate::expression::{Alternative, MatcherError};
use crate::aggregate::family::{Column, Samples};
use crate::aggregate::field::Field;
use crate::aggregate::{Distribution, Family, HealthCount};
use crate::history::error::HistoryError;
use crate::history::measures::EdgeValues;
use crate::history::query::EdgesQuery;

/// A measure of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EdgeMeasure {
    Bytes,
    Packets,
    Connections,
    RetransmittedPackets,
    RefusedConnections,
    UnansweredConnections,
    ResetConnections,
    RttCount,
    RttSum,
    DurationCount,
    DurationSum,
}

/// The measures of traffic.
pub(super) const TRAFFIC: [EdgeMeasure; 3] = [
    EdgeMeasure::Bytes,
    EdgeMeasure::Packets,
    EdgeMeasure::Connections,
];

/// The measures of connection health.
pub(super) const HEALTH: [EdgeMeasure; 8] = [
    EdgeMeasure::RetransmittedPackets,
    EdgeMeasure::RefusedConnections,
    EdgeMeasure::UnansweredConnections,
    EdgeMeasure::ResetConnections,
    EdgeMeasure::RttCount,
    EdgeMeasure::RttSum,
    EdgeMeasure::DurationCount,
    EdgeMeasure::DurationSum,
];

impl EdgeMeasure {
    /// The samples of a family that has it.
    const fn samples(self) -> Samples {
        match self {
            Self::Bytes => Samples::Counter(Column::Bytes),
            Self::Packets => Samples::Counter(Column::Packets),
            Self::Connections => Samples::Counter(Column::Connections),
            Self::RetransmittedPackets => {
                Samples::Counter(Column::Health(HealthCount::RetransmittedPackets))
            }
            Self::RefusedConnections => Samples::Counter(Column::Health(HealthCount::Refused)),
            Self::UnansweredConnections => {
                Samples::Counter(Column::Health(HealthCount::Unanswered))
            }
            Self::ResetConnections => Samples::Counter(Column::Health(HealthCount::Reset)),
            Self::RttCount | Self::RttSum => Samples::Histogram(Distribution::RoundTrip),
            Self::DurationCount | Self::DurationSum => Samples::Histogram(Distribution::Duration),
        }
    }

    /// What the name of its series has behind that of the family.
    const fn suffix(self) -> &'static str {
        match self {
            Self::RttCount | Self::DurationCount => "_count",
            Self::RttSum | Self::DurationSum => "_sum",
            _ => "",
        }
    }

    /// By what its values are multiplied.
    pub(super) const fn factor(self) -> &'static str {
        match self {
            // Seconds to microseconds.
            Self::RttSum => " * 1e6",
            // Seconds to milliseconds.
            Self::DurationSum => " * 1e3",
            _ => "",
        }
    }

    /// Its place among the values of an edge.
    pub(super) fn value_of(self, values: &mut EdgeValues) -> &mut u64 {
        let EdgeValues { traffic, health } = values;
        match self {
            Self::Bytes => &mut traffic.bytes,
            Self::Packets => &mut traffic.packets,
            Self::Connections => &mut traffic.connections,
            Self::RetransmittedPackets => &mut health.get_or_insert_default().retransmitted_packets,
            Self::RefusedConnections => &mut health.get_or_insert_default().refused_connections,
            Self::UnansweredConnections => {
                &mut health.get_or_insert_default().unanswered_connections
            }
            Self::ResetConnections => &mut health.get_or_insert_default().reset_connections,
            Self::RttCount => &mut health.get_or_insert_default().rtt_count,
            Self::RttSum => &mut health.get_or_insert_default().rtt_sum_microseconds,
            Self::DurationCount => &mut health.get_or_insert_default().duration_count,
            Self::DurationSum => &mut health.get_or_insert_default().duration_sum_milliseconds,
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
    /// Names of series by measure.
    names: Vec<(EdgeMeasure, String)>,
}

/// A query that the series cannot answer.
fn unanswerable(parameter: &'static str, reason: impl Into<String>) -> HistoryError {
    HistoryError::Unanswerable {
        parameter,
        reason: reason.into(),
    }
}

impl FamilySet {
    /// The sets of the active families that have any measure.
    pub(super) fn of(families: &[Family]) -> Vec<Self> {
        let mut sets: Vec<Self> = Vec::new();
        for (at, family) in families.iter().enumerate() {
            let mut earlier = families.iter().take(at);
            if earlier.any(|earlier| earlier.rows == family.rows) {
                continue;
            }
            let name = |measure: EdgeMeasure| {
                let mut of_rows = families.iter().filter(|other| other.rows == family.rows);
                let found = of_rows.find(|other| other.samples == measure.samples())?;
                Some((measure, format!("{}{}", found.name, measure.suffix())))
            };
            let names: Vec<_> = TRAFFIC.into_iter().chain(HEALTH).filter_map(name).collect();
            if !names.is_empty() {
                sets.extend(Self::new(family, names));
            }
        }
        sets
    }

    fn new(family: &Family, names: Vec<(EdgeMeasure, String)>) -> Option<Self> {
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

    /// True if it has all measures of traffic.
    pub(super) fn has_traffic(&self) -> bool {
        TRAFFIC.iter().all(|measure| self.name(*measure).is_some())
    }

    /// True if it has any measure of connection health.
    pub(super) fn has_health(&self) -> bool {
        HEALTH.iter().any(|measure| self.name(*measure).is_some())
    }

    fn name(&self, measure: EdgeMeasure) -> Option<&str> {
        let mut names = self.names.iter();
        let (_, name) = names.find(|(known, _)| *known == measure)?;
        Some(name)
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
    pub(super) fn new(
        sets: impl Iterator<Item = &'a FamilySet>,
        query: &'a EdgesQuery,
    ) -> Result<Self, HistoryError> {
        let has = |set: &FamilySet, field: &Field| set.label(field).is_some();
        let groups = |set: &&FamilySet| query.group_by.iter().all(|field| has(set, field));
        let grouped: Vec<&FamilySet> = sets.filter(groups).collect();
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

    /// Those of the measures that it can answer, with the names of their series.
    pub(super) fn measures(
        &self,
        measures: &[EdgeMeasure],
    ) -> impl Iterator<Item = (EdgeMeasure, &'a str)> {
        let set = self.set;
        let names = move |measure: &EdgeMeasure| Some((*measure, set.name(*measure)?));
        measures.iter().filter_map(names)
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
