//! Filters of records: the expressions of families, evaluated for one record.

use super::detail::{Detail, DetailParts};
use super::edge::Edge;
use super::expression::Expression;
use super::host_wildcards::HostWildcards;
use crate::pipeline::DecidedRecord;
use crate::snapshots::Snapshots;

/// An expression that selects records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFilter {
    expression: Expression,
    parts: DetailParts,
    /// None: a host name is compared as a whole.
    wildcards: HostWildcards,
}

impl RecordFilter {
    /// Prepares a filter.
    #[must_use]
    pub fn new(expression: Expression) -> Self {
        let parts = expression.fields().map(DetailParts::of);
        Self {
            parts: parts.fold(DetailParts::NONE, DetailParts::and),
            expression,
            wildcards: HostWildcards::default(),
        }
    }

    /// True if it selects the record. The fields are those of the record's own direction.
    #[must_use]
    pub fn matches(&self, record: &DecidedRecord<'_>, snapshots: &Snapshots) -> bool {
        let detail =
            (!self.parts.is_empty()).then(|| Detail::of(record, self.parts, &self.wildcards));
        let edge = Edge::of_record(snapshots, record, detail.as_ref());
        self.expression.matches(&edge)
    }

    /// True if [`DecidedRecord::extras`] are needed of every record.
    #[must_use]
    pub const fn need_details(&self) -> bool {
        self.parts.need_extras()
    }

    /// True if the names of the interfaces of every record are needed.
    #[must_use]
    pub const fn need_interfaces(&self) -> bool {
        self.parts.need_interfaces()
    }
}
