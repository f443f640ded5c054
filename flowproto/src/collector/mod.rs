//! The Collecting Process: datagrams and connections of IPFIX, datagrams of NetFlow v9, v7, v5 and
//! v1 → flow records.
//!
//! `crate::wire` parses a datagram; `process` follows its events with the state in
//! `crate::sessions`, `sets` and `records` read what it contains, with the `sampling` in force.
//! `traffic` is the short cut for records of which nothing else is needed. Data Sets without a
//! template are `pending`. Every step is shown to an `observer`, through which `--explain` prints.
//!
//! A wrong template is never used. Over UDP, templates belong to exporter address, Observation
//! Domain and source port (RFC 7011 §10.3.2). NetFlow v9 has no ports in its rule (RFC 3954 §5.1):
//! there, a port without the template takes that of another port of the same Source ID if all of
//! them agree on it. So does a Message that continues the sequence numbers of another port:
//! exporters behind a NAT or a load balancer change ports during their life. A definition ends an
//! earlier one of its ID, even if it is refused, and an exporter that has restarted has no
//! templates. A Data Set without a template waits. Withdrawals are obeyed, although RFC 7011 §8.4
//! has none over UDP. A connection is a Transport Session of its own; its state ends with it.
//!
//! # What a record counts
//!
//! `plan` defines which elements are octets and packets. Of running totals, the increase since the
//! flow's previous record counts (`totals`); the record's fields stay as received. The reverse
//! direction of a biflow has counters of its own. Connections are 278, if the record has it.

mod buffers;
mod counters;
mod observer;
mod pending;
mod process;
mod records;
mod sampling;
mod sets;
mod sink;
mod totals;
mod traffic;

pub use crate::sessions::{
    AliasPolicy, ByExporter, Convention, Domain, DomainReport, ExporterAddresses, Limits, Reasons,
    SamplingPolicy, SamplingRule, SequenceCounts, State, StateError, Statistics, Unusable,
};
pub use crate::wire::Version;
pub use counters::{Counters, Occupancy};
pub use process::CollectingProcess;
pub use sink::{Fields, Message, RecordSink};

pub(crate) use observer::{MessageTally, Observer};
