//! Options data: what exporters announce in options records.
//!
//! * `record`: the content of an options record, and its scope;
//! * `metadata`: names of interfaces and applications, types of elements;
//! * `announced`: values by what they are about, with who announced them;
//! * `store`: all options data of one device;
//! * `sampling`: the sampling in force for a record.

mod announced;
mod metadata;
mod record;
mod sampling;
mod store;

pub(crate) use announced::{AnnouncementOrigin, Announcer, Resolved};
pub(crate) use metadata::{ElementType, Metadata};
pub(crate) use record::OptionsRecord;
pub(crate) use sampling::SamplingResolver;
pub(crate) use store::{Content, OptionsStore, SamplerScope};
