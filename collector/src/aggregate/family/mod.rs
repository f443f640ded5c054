//! Metric families: a name, the value, the labels, and the edges that belong to it.

mod definition;
mod lint;
mod name;

use std::sync::Arc;

pub(super) use definition::is_known_of_edges;
pub use definition::{FamilyDefinition, FamilyError, FamilyType, LabelDefinition};
use serde::{Deserialize, Serialize};

use super::detail::DetailParts;
use super::edges::CountedEdge;
use super::expression::{Expression, LabelValue};
use super::field::Field;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Octets of IP packets.
    Bytes,
    /// Packets.
    Packets,
    /// New connections.
    Connections,
    /// Flow records, one for each direction, as received: sampling does not scale them.
    Flows,
}

impl Measure {
    /// Its value for an edge.
    #[must_use]
    pub const fn of(self, edge: &CountedEdge<'_>) -> u64 {
        match self {
            Self::Bytes => edge.measures.bytes,
            Self::Packets => edge.measures.packets,
            Self::Connections => edge.measures.connections,
            Self::Flows => edge.flows,
        }
    }
}

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
    Counter(Measure),
    /// A summary without quantiles.
    Summary {
        /// The sum.
        sum: Measure,
        /// The count.
        count: Measure,
    },
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

/// What decides on the rows of a family. Families with equal ones share their rows.
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
    /// The measures of its samples.
    pub fn measures(&self) -> impl Iterator<Item = Measure> {
        let (first, second) = match self.samples {
            Samples::Counter(measure) => (measure, None),
            Samples::Summary { sum, count } => (sum, Some(count)),
        };
        [Some(first), second].into_iter().flatten()
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
