//! Counts and sizes of a Collecting Process.

use enum_map::EnumMap;

use crate::host_name::NameError;
use crate::sessions::{Reasons, SequenceCounts};
use crate::wire::Version;

/// Counts of a Collecting Process since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams given to `CollectingProcess::receive`.
    pub datagrams: u64,
    /// Octets received.
    pub octets: u64,
    /// Messages with a usable header.
    pub messages: EnumMap<Version, u64>,
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
    /// Data Sets read with the template of another Transport Session.
    pub sets_of_shared_templates: u64,
    /// Data Records whose sampling is not known; they count as if not sampled.
    pub records_of_unknown_sampling: u64,
    /// Options records that announce sampling in a way that is not understood.
    pub announcements_ignored: u64,
    /// Names of responders that are not host names, and records without a name therefore.
    pub names_invalid: u64,
    /// Names of responders for which there was no room, and records without a name therefore.
    pub names_without_room: u64,
    /// Datagrams, Sets or templates that could not be used.
    pub unusable: Reasons,
}

impl Counters {
    /// Counts a name that a record is left without.
    pub(super) const fn refuse_name(&mut self, error: NameError) {
        let count = match error {
            NameError::Invalid => &mut self.names_invalid,
            NameError::NoRoom => &mut self.names_without_room,
        };
        *count = count.saturating_add(1);
    }

    /// Adds the counts of another process.
    pub fn add(&mut self, other: &Self) {
        self.sequence.add(other.sequence);
        self.unusable.add(&other.unusable);
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
            (
                &mut self.sets_of_shared_templates,
                other.sets_of_shared_templates,
            ),
            (
                &mut self.records_of_unknown_sampling,
                other.records_of_unknown_sampling,
            ),
            (&mut self.announcements_ignored, other.announcements_ignored),
            (&mut self.names_invalid, other.names_invalid),
            (&mut self.names_without_room, other.names_without_room),
        ]
        .into_iter()
        .chain(self.messages.values_mut().zip(other.messages.into_values()))
        {
            *sum = sum.saturating_add(more);
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
    /// Fields of those.
    pub template_fields: usize,
    /// Data Sets waiting for their template.
    pub pending_sets: usize,
    /// Octets of those.
    pub pending_octets: usize,
    /// Names and types learned from options data.
    pub metadata_entries: usize,
    /// Flows whose running totals are kept.
    pub totals: usize,
    /// Octets of the names of responders.
    pub names_octets: usize,
}

impl Occupancy {
    /// Adds the sizes of another process.
    pub const fn add(&mut self, other: &Self) {
        self.domains = self.domains.saturating_add(other.domains);
        self.templates = self.templates.saturating_add(other.templates);
        self.template_fields = self.template_fields.saturating_add(other.template_fields);
        self.pending_sets = self.pending_sets.saturating_add(other.pending_sets);
        self.pending_octets = self.pending_octets.saturating_add(other.pending_octets);
        let entries = self.metadata_entries;
        self.metadata_entries = entries.saturating_add(other.metadata_entries);
        self.totals = self.totals.saturating_add(other.totals);
        self.names_octets = self.names_octets.saturating_add(other.names_octets);
    }
}
