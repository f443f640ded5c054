//! Metric families: a name, the value, the labels, and the edges that belong to it.

mod definition;
mod lint;
mod measure;
mod name;

use std::sync::Arc;

pub(super) use definition::GRPC_STATUS;
pub use definition::{FamilyDefinition, FamilyError, FamilyType, LabelDefinition};
pub use measure::{Column, Measure};

use super::detail::DetailParts;
use super::expression::{Expression, LabelValue};
use super::field::Field;
use super::health::{Distribution, HealthCount, HealthParts};

/// A label of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub value: LabelValue,
}

/// The samples of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// A counter.
    Counter(Column),
    /// A gauge.
    Gauge(Column),
    /// A summary without quantiles.
    Summary {
        /// The sum.
        sum: Column,
        /// The count.
        count: Column,
    },
    /// A histogram.
    Histogram(Distribution),
    /// A counter of gRPC responses for each status, of edges that have some.
    GrpcCounter,
}

/// A checked metric family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Name in the exposition.
    pub name: Box<str>,
    /// HELP text.
    pub help: Box<str>,
    /// Its samples.
    pub samples: Samples,
    /// What its rows have in common with those of other families.
    pub rows: Arc<RowLayout>,
}

/// What decides on the rows of a family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowLayout {
    /// The labels.
    pub labels: Vec<Label>,
    /// The edges that belong to the family; all of them without a filter.
    pub filter: Option<Expression>,
    /// Maximum number of rows. One more is for `other`.
    pub max_series: usize,
    /// Time after which a row to which nothing was added is removed, milliseconds.
    pub idle_milliseconds: u64,
}

impl Family {
    /// The sums that its samples need.
    pub fn columns(&self) -> impl Iterator<Item = Column> {
        let (first, second) = match self.samples {
            Samples::Counter(column) | Samples::Gauge(column) => (column, None),
            Samples::Summary { sum, count } => (sum, Some(count)),
            Samples::Histogram(of) => (Column::Sum(of), Some(Column::Count(of))),
            Samples::GrpcCounter => (Column::Health(HealthCount::GrpcResponses), None),
        };
        let statuses = (self.samples == Samples::GrpcCounter).then(Column::of_grpc);
        let columns = [Some(first), second].into_iter().flatten();
        columns.chain(statuses.into_iter().flatten().map(|(_, column)| column))
    }

    /// True if both have samples of the same name in one of the formats. In OpenMetrics, the name
    /// of a counter is without `_total`.
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        let names = |family: &Self| {
            let name = family.name.strip_suffix("_total").unwrap_or(&family.name);
            let suffixes: &[&str] = match family.samples {
                Samples::Counter(_) | Samples::GrpcCounter => &["", "_total", "_created"],
                Samples::Gauge(_) => &[""],
                Samples::Summary { .. } => &["", "_sum", "_count", "_created"],
                Samples::Histogram(_) => &["", "_sum", "_count", "_bucket", "_created"],
            };
            let names = suffixes.iter().map(|suffix| format!("{name}{suffix}"));
            names.collect::<Vec<String>>()
        };
        let others = names(other);
        names(self).iter().any(|name| others.contains(name))
    }

    /// True if both have rows for the same edges. Edges without health have no rows of health.
    #[must_use]
    pub fn shares_rows(&self, other: &Self) -> bool {
        let part = |family: &Self| family.columns().next().map(Column::part);
        self.rows == other.rows && part(self) == part(other)
    }

    /// The distribution whose buckets it shows.
    #[must_use]
    pub const fn histogram(&self) -> Option<Distribution> {
        match self.samples {
            Samples::Histogram(distribution) => Some(distribution),
            Samples::Counter(_)
            | Samples::Gauge(_)
            | Samples::Summary { .. }
            | Samples::GrpcCounter => None,
        }
    }

    /// The connection health that families need.
    #[must_use]
    pub fn health(families: &[Self]) -> HealthParts {
        let columns = || families.iter().flat_map(Self::columns);
        let mut parts = HealthParts {
            is_needed: columns().any(|column| column.is_health() && !column.is_comparison()),
            compares: columns().any(Column::is_comparison),
            has_open_connections: columns().any(|column| column == Column::OpenConnections),
            ..HealthParts::default()
        };
        for distribution in families.iter().filter_map(Self::histogram) {
            parts.add_buckets(distribution);
        }
        parts
    }
}

impl RowLayout {
    /// The fields that labels and filter read. A field may occur several times.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let labels = self.labels.iter().flat_map(|label| label.value.fields());
        labels.chain(self.filter.iter().flat_map(Expression::fields))
    }

    /// The details of records that it needs.
    #[must_use]
    pub fn details(&self) -> DetailParts {
        self.fields().fold(DetailParts::NONE, |parts, field| {
            parts.and(DetailParts::of(field))
        })
    }
}
