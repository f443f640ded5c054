//! Records as JSON. Keys are spelled as in the registries.
//!
//! Written by hand into one reused buffer, because the flow log is as hot as the decoder.
//!
//! * `output`: the limit;
//! * `scalar`: numbers, addresses, text, octets;
//! * `key`: names of elements;
//! * `list`: structured data (RFC 6313);
//! * `record`: Data Records by their template;
//! * `flow_record`: decoded flow records.

mod flow_record;
mod key;
mod list;
mod output;
mod record;
mod scalar;

pub use flow_record::{write_flow, write_record};
pub use scalar::{write_address, write_hex, write_number, write_string, write_value};

pub(crate) use record::{Templates, write_members};
