//! What metric families need of records, besides endpoints and measures.

use super::detail::DetailParts;
use super::family::{Family, RowLayout};
use super::health::HealthParts;

/// What families need of records. Nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyNeeds {
    /// The details of records.
    pub details: DetailParts,
    /// The health of connections.
    pub health: HealthParts,
}

impl FamilyNeeds {
    /// The needs of some families.
    #[must_use]
    pub fn of(families: &[Family]) -> Self {
        let layouts = families.iter().map(|family| &*family.rows);
        Self {
            details: layouts
                .map(RowLayout::details)
                .fold(DetailParts::NONE, DetailParts::and),
            health: Family::health(families),
        }
    }

    /// The needs of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            details: self.details.and(other.details),
            health: self.health.and(other.health),
        }
    }
}
