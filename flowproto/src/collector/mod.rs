//! The Collecting Process: datagrams and connections of IPFIX, datagrams of NetFlow v9, v7 and v5 → flow
//! records.
//!
//! A datagram is cut into Messages and Sets (`set`); templates, options data (`options`) and sequence
//! numbers are kept for each Transport Session (`session`, `sequence`); Data Sets without a template wait
//! for it (`held`).
//!
//! Over UDP, templates are known by exporter address, observation domain and source port; a port that
//! never sent a template borrows those of the same address and domain, because exporters behind a
//! Service or NAT change ports while they live. A withdrawal is obeyed, though RFC 7011 §8.4 has none over
//! UDP: who sends one means it. A connection is a Transport Session of its own: what it said ends with it.
//!
//! # What a record counts
//!
//! `plan` says which elements are octets and packets. Where these are running totals, what counts is how
//! far they ran since the flow's record before (`totals`); the record's fields stay as they came. The
//! opposite direction of a biflow has counters of its own. Connections are 278, where a record has it.

mod held;
mod netflow5;
mod options;
mod process;
mod report;
mod sequence;
mod session;
pub(crate) mod set;
mod totals;

pub use process::CollectingProcess;
pub use report::{DomainReport, Statistics};
pub use sequence::{Convention, SequenceCounts};

use std::net::SocketAddr;

use crate::address::Address;
use crate::record::FlowRecord;
use crate::template::Fields;

/// The protocol a Message came in, by its version number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Version {
    /// NetFlow v5.
    V5 = 5,
    /// NetFlow v7.
    V7 = 7,
    /// NetFlow v9 (RFC 3954).
    V9 = 9,
    /// IPFIX (RFC 7011).
    Ipfix = 10,
}

/// What an Observation Domain's options data said of itself.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    /// 300 `observationDomainName`.
    pub observation_domain_name: Option<Box<str>>,
    /// 130 or 131 `exporterIPv4Address`/`exporterIPv6Address`; unspecified where not said.
    pub exporter_address: Address,
    /// Changes whenever one of the above does, so that what was derived from them can be kept.
    pub revision: u32,
}

/// The Message that a record came in.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Where the datagram came from.
    pub exporter: SocketAddr,
    /// Its protocol.
    pub version: Version,
    /// Observation Domain ID (IPFIX), Source ID (v9), engine type × 256 + engine id (v5, v7).
    pub observation_domain_id: u32,
    /// Export time of the Message header, milliseconds since the epoch.
    pub export_time_milliseconds: u64,
    /// Index of the Observation Domain in this Collecting Process: small and stable while the domain
    /// is heard, used anew (with another revision) after it was forgotten.
    pub domain_index: usize,
    /// What the Observation Domain said of itself so far.
    pub domain: &'a Domain,
}

/// What takes the decoded records.
pub trait RecordSink {
    /// Called for every usable Message before its records, also for one that carries none, and again
    /// when options data in the middle of it changed what is known of the domain.
    fn message(&mut self, message: &Message<'_>);
    /// Called for every Data Record (options data excluded). `fields` is the record as it came.
    fn record(&mut self, message: &Message<'_>, record: &FlowRecord, fields: Fields<'_>);
}

/// Bounds of a Collecting Process.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Observation Domains known at once; the one longest silent is forgotten for a new one.
    pub domains: usize,
    /// Templates of one Observation Domain; one more is refused and counted.
    pub templates_per_domain: usize,
    /// Octets of Data Sets that wait for their template, over all domains.
    pub held_octets: usize,
    /// How long a Data Set waits for its template, milliseconds.
    pub held_milliseconds: u64,
    /// Names and types that options data may teach, over all domains; one more is not kept and counted.
    pub words: usize,
    /// Flows whose running totals are remembered; for one more, the one longest silent is forgotten.
    pub totals: usize,
    /// An Observation Domain that was silent for so long is forgotten, and so is a template that was
    /// neither sent nor used; milliseconds.
    pub idle_milliseconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            domains: 4096,
            templates_per_domain: 4096,
            held_octets: 16 << 20,
            held_milliseconds: 120_000,
            words: 65_536,
            totals: 65_536,
            idle_milliseconds: 7_200_000,
        }
    }
}

/// Why a datagram or a part of it could not be used; a metric's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// Shorter than its header says, or than a header.
    Truncated,
    /// Version number that no decoder here knows.
    UnknownVersion,
    /// A Set whose length is below 4 or beyond the Message, or a Message whose length is not that of its
    /// Sets.
    SetLength,
    /// A (options) template that its Set cannot hold, that describes records of no length, or that has more
    /// fields than any exporter's.
    InvalidTemplate,
    /// A variable-length field beyond the end of its Set.
    FieldLength,
    /// One more template than an Observation Domain may have, or more fields in all templates together than
    /// there is room for.
    TooManyTemplates,
    /// A Data Set that waited for its template for too long, or for which there was no room to wait.
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

    /// Whether the exporter broke the protocol, so that nothing it says can be relied on any more.
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
}

/// What a Collecting Process has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams given to [`CollectingProcess::receive`].
    pub datagrams: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages with a usable header, by version: v5, v7, v9, IPFIX.
    pub messages: [u64; 4],
    /// Data Records handed to the sink.
    pub records: u64,
    /// Options Data Records read.
    pub options_records: u64,
    /// Templates and Options Templates read, repeated ones too.
    pub templates: u64,
    /// Data Sets that had to wait for their template.
    pub sets_held: u64,
    /// Data Sets that waited and whose template came.
    pub sets_released: u64,
    /// What the sequence numbers told.
    pub sequence: SequenceCounts,
    /// Observation Domains forgotten because one more needed the room.
    pub domains_crowded_out: u64,
    /// Observation Domains forgotten because they fell silent.
    pub domains_idle: u64,
    /// Templates withdrawn by their exporter, or with their connection.
    pub templates_withdrawn: u64,
    /// Templates forgotten because they were neither sent nor used.
    pub templates_idle: u64,
    /// Names, types and samplers that options data said and for which there was no room; types whose name
    /// another element of the domain has.
    pub words_refused: u64,
    /// Flows forgotten whose running totals were remembered.
    pub totals_forgotten: u64,
    /// Datagrams, Sets or templates that could not be used, by [`Unusable`] as in [`Unusable::ALL`].
    pub unusable: [u64; 7],
}

/// How full a Collecting Process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Observation Domains known.
    pub domains: usize,
    /// Templates known, over all domains.
    pub templates: usize,
    /// Data Sets waiting for their template.
    pub held_sets: usize,
    /// Octets of those.
    pub held_octets: usize,
    /// Names and types that options data taught.
    pub words: usize,
    /// Flows whose running totals are remembered.
    pub totals: usize,
}
