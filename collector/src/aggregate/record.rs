//! A single record as a source of fields.

use std::sync::LazyLock;

use super::detail::{Detail, DetailParts};
use super::edge::Edge;
use super::edges::{CountedEdge, DetailedEdge};
use super::expression::Expression;
use super::field::Field;
use super::host_wildcards::HostWildcards;
#[cfg(test)]
use crate::inventory::EndpointId;
use crate::pipeline::DecidedRecord;
use crate::snapshots::Snapshots;

/// The endpoints and the details of a record, without its counters. Names of endpoints are those of
/// the snapshots that it is read with.
#[derive(Clone, Debug)]
pub struct RecordFields(DetailedEdge);

impl RecordFields {
    /// The fields of a record.
    #[must_use]
    pub fn of(record: &DecidedRecord<'_>) -> Self {
        /// A record has the host name itself, not a wildcard for it.
        static NO_WILDCARDS: LazyLock<HostWildcards> = LazyLock::new(HostWildcards::default);
        Self(DetailedEdge {
            source: record.endpoints.source.id,
            destination: record.endpoints.destination.id,
            detail: Detail::of(record, DetailParts::ALL, &NO_WILDCARDS),
        })
    }

    /// True if the value of a field is known of a record: labels are not.
    #[must_use]
    pub const fn have(field: &Field) -> bool {
        !matches!(field, Field::Label(..) | Field::NamespaceLabel(..))
    }

    /// True if an expression selects the record.
    #[must_use]
    pub fn match_filter(&self, filter: &Expression, snapshots: &Snapshots) -> bool {
        let edge = CountedEdge {
            flows: 1,
            ..CountedEdge::of(&self.0)
        };
        filter.matches(&Edge::new(snapshots, &edge))
    }
}

#[cfg(test)]
impl RecordFields {
    /// A record between two endpoints, to a port.
    pub(crate) fn to_port(source: EndpointId, destination: EndpointId, port: u16) -> Self {
        let mut detail = Detail::default();
        detail.destination.port = Some(port);
        Self(DetailedEdge {
            source,
            destination,
            detail,
        })
    }
}
