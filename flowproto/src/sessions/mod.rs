//! Transport Sessions: the state that a Collecting Process keeps of its exporters.
//!
//! * `key`: the identity of a session;
//! * `store`: all sessions, with their templates and options data, within bounds;
//! * `announcement`: options records;
//! * `sequence`: sequence numbers;
//! * `report`: a summary for metrics.

mod announcement;
mod domain;
mod key;
mod limits;
mod report;
mod sequence;
mod store;

pub use domain::Domain;
pub use limits::Limits;
pub use report::{DomainReport, Statistics};
pub use sequence::{Convention, SequenceCounts};

pub(crate) use announcement::Announcements;
pub(crate) use key::{DomainKey, Origin, SessionKey, TemplateScope};
pub(crate) use sequence::{MessageSequence, SequenceOutcome};
pub(crate) use store::{Place, SessionView, Sessions, TemplateOutcome};
