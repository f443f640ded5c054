//! Reasons why something could not be used.

use crate::wire::Violation;
use enum_map::{Enum, EnumMap};
use strum::IntoStaticStr;

/// Reason why a datagram or a part of it could not be used; the `reason` label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Unusable {
    /// Shorter than the length in its header, or than a header.
    Truncated,
    /// Unknown version number.
    UnknownVersion,
    /// A Set whose length is below 4 or beyond the Message, or a Message whose length is not that
    /// of its Sets, or of its records in NetFlow v1, v5 and v7.
    SetLength,
    /// A Set with an ID that the protocol does not use.
    ReservedSet,
    /// A template that its Set cannot hold, whose records are empty, or that has too many fields.
    InvalidTemplate,
    /// A variable-length field beyond the end of its Set.
    FieldLength,
    /// A template for which there is no room.
    TooManyTemplates,
    /// A Data Set whose template did not arrive in time, or that found no room to wait for it.
    UnknownTemplate,
    /// A Message of a new Observation Domain for which there is no room.
    TooManyDomains,
}

impl Unusable {
    /// Whether the exporter violated the protocol, so that a connection is of no further use.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        !matches!(
            self,
            Self::ReservedSet
                | Self::TooManyTemplates
                | Self::UnknownTemplate
                | Self::TooManyDomains
        )
    }

    /// The reason for a violation of the grammar. `None` where nothing is lost by it.
    pub(crate) fn of(violation: Violation) -> Option<Self> {
        Some(match violation {
            Violation::UnknownVersion { .. } => Self::UnknownVersion,
            Violation::HeaderCutOff { .. } | Violation::MessageCutOff { .. } => Self::Truncated,
            Violation::FlowCount {
                count,
                record_octets,
                octets,
            } => {
                let whole = octets.checked_div(record_octets)?;
                if whole < count.into() {
                    Self::Truncated
                } else {
                    Self::SetLength
                }
            }
            Violation::MessageLength { left, .. } if left > 0 => Self::SetLength,
            Violation::SetTooShort { .. } | Violation::SetOverrun { .. } => Self::SetLength,
            Violation::ReservedSet { .. } => Self::ReservedSet,
            Violation::TemplateId { .. } => Self::InvalidTemplate,
            Violation::FieldOverrun { .. } => Self::FieldLength,
            // The faults of definitions are counted with their template.
            _ => return None,
        })
    }
}

/// A count for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(EnumMap<Unusable, u64>);

impl Reasons {
    pub(crate) fn count(&mut self, reason: Unusable) {
        self.0[reason] = self.0[reason].saturating_add(1);
    }

    /// Adds other counts.
    pub(crate) fn add(&mut self, other: &Self) {
        for (reason, sum) in &mut self.0 {
            *sum = sum.saturating_add(other.0[reason]);
        }
    }

    /// The count for a reason.
    #[must_use]
    pub fn get(&self, reason: Unusable) -> u64 {
        self.0[reason]
    }

    /// The count of each reason.
    #[must_use]
    pub const fn by_reason(&self) -> &EnumMap<Unusable, u64> {
        &self.0
    }

    /// The sum of all counts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0
            .values()
            .fold(0, |sum: u64, count| sum.saturating_add(*count))
    }
}
