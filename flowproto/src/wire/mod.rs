//! The wire grammar of IPFIX (RFC 7011 §3), NetFlow v9 (RFC 3954 §5), v7, v5 and v1.
//!
//! `parser` is a pull parser: it yields the parts of a datagram one after the other, each with
//! its octet offset. It is lenient. Where a rule is broken it yields the violation and reads on
//! behind it. The Collecting Process is its only consumer; `explain` observes the same events.
//!
//! * `header`: Message headers;
//! * `parser`: Messages, Sets, padding;
//! * `definition`: Template Records;
//! * `records`: the Data Records of a Set;
//! * `fixed`: the records of v1, v5 and v7;
//! * `violation`: what can be wrong.

pub(crate) mod cursor;
mod definition;
pub(crate) mod fixed;
mod header;
mod parser;
mod records;
mod version;
mod violation;

pub(crate) use definition::{DefinedFields, Definition};
pub(crate) use header::MessageHeader;
pub use parser::is_flow_export;
pub(crate) use parser::{Event, Parser, SetKind};
pub(crate) use records::{Records, padding_violations};
pub use version::Version;
pub(crate) use violation::Violation;
