//! The Collecting Process: datagrams and connections of IPFIX, datagrams of NetFlow v9, v7 and v5 →
//! flow records.
//!
//! `crate::wire` parses a datagram; `process` follows its events with the state in
//! `crate::sessions`; Data Sets without a template are `pending`. Every step is shown to an
//! `observer`, through which `--explain` prints.
//!
//! Over UDP, templates belong to exporter address, observation domain and source port. A port that
//! has not sent a template takes those of the same address and domain, because exporters behind a
//! Service or NAT change ports during their life. Withdrawals are obeyed, although RFC 7011 §8.4
//! has none over UDP. A connection is a Transport Session of its own; its state ends with it.
//!
//! # What a record counts
//!
//! `plan` defines which elements are octets and packets. Of running totals, the increase since the
//! flow's previous record counts (`totals`); the record's fields stay as received. The reverse
//! direction of a biflow has counters of its own. Connections are 278, if the record has it.

mod counters;
mod observer;
mod pending;
mod process;
mod sink;
mod totals;

pub use crate::sessions::{Convention, Domain, DomainReport, Limits, SequenceCounts, Statistics};
pub use crate::wire::Version;
pub use counters::{Counters, Occupancy, Unusable};
pub use process::CollectingProcess;
pub use sink::{Fields, Message, RecordSink};

pub(crate) use observer::{MessageTally, Observer};
