//! What determines the values of fields of an edge.

use enum_map::Enum as _;

use crate::aggregate::detail::DetailParts;
use crate::aggregate::edge::Edge;
use crate::aggregate::field::{Field, RecordField, Side};
use crate::inventory::EndpointId;

/// What determines fields, if many edges have it in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Determinant {
    /// The endpoint at a side.
    Endpoint(Side),
    /// The kinds of both endpoints, and whether they are on the same node.
    Places,
}

impl Determinant {
    /// That of a field.
    pub(super) fn of(field: &Field) -> Option<Self> {
        use RecordField::{Class, Direction, Scope};
        match field {
            Field::Record(Class | Scope | Direction) => Some(Self::Places),
            _ if DetailParts::of(field).is_empty() => field.side().map(Self::Endpoint),
            _ => None,
        }
    }

    /// That of all of some fields.
    pub(super) fn of_all<'a>(fields: impl Iterator<Item = &'a Field>) -> Option<Self> {
        let mut all = fields.map(Self::of);
        let first = all.next()??;
        all.all(|next| next == Some(first)).then_some(first)
    }

    /// A number that edges have in common if the fields have the same values, as long as the
    /// snapshots are the same. That of an endpoint of the cluster or of places is small.
    pub(super) fn key(self, edge: &Edge<'_>) -> u32 {
        match self {
            Self::Endpoint(side) => edge.endpoint(side).unwrap_or(EndpointId(u32::MAX)).0,
            Self::Places => {
                let (source, destination) = edge.places();
                let is_same_node = source.node.is_some() && source.node == destination.node;
                let kinds = [source.kind, destination.kind].map(|kind| kind.into_usize());
                let [source, destination] = kinds.map(|kind| u32::try_from(kind).unwrap_or(0));
                source << 4 | destination << 1 | u32::from(is_same_node)
            }
        }
    }
}
