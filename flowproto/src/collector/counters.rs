//! Counts and sizes of a Collecting Process.

use crate::sessions::SequenceCounts;
use crate::wire::Violation;

/// Reason why a datagram or a part of it could not be used; the `reason` label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// Shorter than its header says, or than a header.
    Truncated,
    /// Unknown version number.
    UnknownVersion,
    /// A Set whose length is below 4 or beyond the Message, or a Message whose length is not that
    /// of its Sets.
    SetLength,
    /// A template that its Set cannot hold, whose records are empty, or that has too many fields.
    InvalidTemplate,
    /// A variable-length field beyond the end of its Set.
    FieldLength,
    /// A template for which there is no room.
    TooManyTemplates,
    /// A Data Set whose template did not arrive in time, or that found no room to wait for it.
    UnknownTemplate,
}

impl Unusable {
    /// All reasons, in the order of [`Counters::unusable`].
    pub const ALL: [Self; 7] = [
        Self::Truncated,
        Self::UnknownVersion,
        Self::SetLength,
        Self::InvalidTemplate,
        Self::FieldLength,
        Self::TooManyTemplates,
        Self::UnknownTemplate,
    ];

    /// Whether the exporter violated the protocol, so that a connection is of no further use.
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        !matches!(self, Self::TooManyTemplates | Self::UnknownTemplate)
    }

    /// The reason as a metric's label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::UnknownVersion => "unknown_version",
            Self::SetLength => "set_length",
            Self::InvalidTemplate => "invalid_template",
            Self::FieldLength => "field_length",
            Self::TooManyTemplates => "too_many_templates",
            Self::UnknownTemplate => "unknown_template",
        }
    }

    /// The reason for a violation of the grammar. `None` where nothing is lost by it.
    pub(super) const fn of(violation: Violation) -> Option<Self> {
        Some(match violation {
            Violation::UnknownVersion { .. } => Self::UnknownVersion,
            Violation::HeaderCutOff { .. } | Violation::MessageCutOff { .. } => Self::Truncated,
            Violation::FlowCount {
                count,
                record_octets,
                octets,
            } => match octets.checked_div(record_octets) {
                Some(whole) if whole < widen(count) => Self::Truncated,
                _ => return None,
            },
            Violation::MessageLength { left, .. } if left > 0 => Self::SetLength,
            Violation::SetTooShort { .. } | Violation::SetOverrun { .. } => Self::SetLength,
            Violation::TemplateId { .. } => Self::InvalidTemplate,
            Violation::FieldOverrun { .. } => Self::FieldLength,
            // The faults of definitions are counted with their template.
            _ => return None,
        })
    }

    /// Position in [`Self::ALL`].
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Truncated => 0,
            Self::UnknownVersion => 1,
            Self::SetLength => 2,
            Self::InvalidTemplate => 3,
            Self::FieldLength => 4,
            Self::TooManyTemplates => 5,
            Self::UnknownTemplate => 6,
        }
    }
}

#[allow(
    clippy::as_conversions,
    reason = "`From` is not const; the cast widens"
)]
const fn widen(value: u16) -> u32 {
    value as u32
}

/// Counts of a Collecting Process since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams given to `CollectingProcess::receive`.
    pub datagrams: u64,
    /// Octets received.
    pub octets: u64,
    /// Messages with a usable header, by version: v5, v7, v9, IPFIX.
    pub messages: [u64; 4],
    /// Data Records passed to the sink.
    pub records: u64,
    /// Options Data Records read.
    pub options_records: u64,
    /// Templates and Options Templates received, repeated ones included.
    pub templates: u64,
    /// Data Sets that had to wait for their template.
    pub sets_held: u64,
    /// Data Sets whose template arrived while they waited.
    pub sets_released: u64,
    /// Losses and reordering by the sequence numbers.
    pub sequence: SequenceCounts,
    /// Observation Domains evicted for a new one.
    pub domains_evicted: u64,
    /// Observation Domains forgotten because they were idle.
    pub domains_idle: u64,
    /// Templates withdrawn by their exporter, or with their connection.
    pub templates_withdrawn: u64,
    /// Templates forgotten because they were neither sent nor used.
    pub templates_idle: u64,
    /// Names, types and samplers in options data that were refused: no room, or the name of another
    /// element.
    pub metadata_refused: u64,
    /// Flows evicted whose running totals were kept.
    pub totals_evicted: u64,
    /// Datagrams, Sets or templates that could not be used, by [`Unusable`] as in
    /// [`Unusable::ALL`].
    pub unusable: [u64; 7],
}

impl Counters {
    /// Adds the counts of another process.
    pub fn add(&mut self, other: &Self) {
        self.sequence.add(other.sequence);
        for (sum, more) in [
            (&mut self.datagrams, other.datagrams),
            (&mut self.octets, other.octets),
            (&mut self.records, other.records),
            (&mut self.options_records, other.options_records),
            (&mut self.templates, other.templates),
            (&mut self.sets_held, other.sets_held),
            (&mut self.sets_released, other.sets_released),
            (&mut self.domains_evicted, other.domains_evicted),
            (&mut self.domains_idle, other.domains_idle),
            (&mut self.templates_withdrawn, other.templates_withdrawn),
            (&mut self.templates_idle, other.templates_idle),
            (&mut self.metadata_refused, other.metadata_refused),
            (&mut self.totals_evicted, other.totals_evicted),
        ]
        .into_iter()
        .chain(self.messages.iter_mut().zip(other.messages))
        .chain(self.unusable.iter_mut().zip(other.unusable))
        {
            *sum = sum.saturating_add(more);
        }
    }

    pub(super) fn count(&mut self, reason: Unusable) {
        if let Some(counter) = self.unusable.get_mut(reason.index()) {
            *counter = counter.saturating_add(1);
        }
    }
}

/// Current sizes of a Collecting Process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Observation Domains.
    pub domains: usize,
    /// Templates of all domains.
    pub templates: usize,
    /// Data Sets waiting for their template.
    pub pending_sets: usize,
    /// Octets of those.
    pub pending_octets: usize,
    /// Names and types learned from options data.
    pub metadata_entries: usize,
    /// Flows whose running totals are kept.
    pub totals: usize,
}

impl Occupancy {
    /// Adds the sizes of another process.
    pub const fn add(&mut self, other: &Self) {
        self.domains = self.domains.saturating_add(other.domains);
        self.templates = self.templates.saturating_add(other.templates);
        self.pending_sets = self.pending_sets.saturating_add(other.pending_sets);
        self.pending_octets = self.pending_octets.saturating_add(other.pending_octets);
        let entries = self.metadata_entries;
        self.metadata_entries = entries.saturating_add(other.metadata_entries);
        self.totals = self.totals.saturating_add(other.totals);
    }
}
