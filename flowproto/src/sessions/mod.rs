//! Transport Sessions: the state that a Collecting Process keeps of its exporters.
//!
//! * `key`: identities of sessions, domains and devices;
//! * `store`: all sessions, within bounds, with a share for each of the `senders`;
//! * `definitions`: template definitions, and which `templates` sessions can share;
//! * `messages`: restarts by the `clock`, and sequence numbers: `tracks` of `sequence`s, by
//!   `convention`;
//! * `view`: options data for the records of a session; `rule`: sampling set by the operator;
//! * `exporters`: counts, which outlive sessions, and their `report`; reasons why something is
//!   `unusable`.

mod clock;
mod convention;
mod definitions;
mod domain;
mod exporters;
mod gaps;
mod key;
mod limits;
mod messages;
mod recency;
mod report;
mod rule;
mod senders;
mod sequence;
mod session;
mod state;
mod store;
mod templates;
mod tracks;
mod unusable;
mod view;

pub use convention::Convention;
pub use domain::Domain;
pub use gaps::SequenceCounts;
pub use limits::Limits;
pub use report::{DomainReport, Statistics};
pub use rule::{AliasPolicy, ByExporter, ExporterAddresses, SamplingPolicy, SamplingRule};
pub use state::{State, StateError};
pub use unusable::{Reasons, Unusable};

pub(crate) use convention::{MessageSequence, RecordNumbers};
pub(crate) use definitions::TemplateOutcome;
pub(crate) use key::{DomainKey, Origin, Place, SessionKey};
pub(crate) use messages::{SessionMessage, Verdict};
pub(crate) use sequence::SequenceOutcome;
pub(crate) use store::Sessions;
pub(crate) use view::SessionView;
