//! The probe: packets of a node's interfaces, or of a capture file, become flow records and leave
//! as IPFIX or NetFlow.
//!
//! In the order of a packet's path:
//!
//! 1. [`capture`]: frames with time and length, live by libpcap or from a savefile;
//! 2. [`sampling`]: selection of packets;
//!    [`decode`]: frame → the innermost IP packet, or a counted reason;
//!    [`inspect`]: payload → names of peers;
//!    [`duplicates`]: exclusion of packets that another interface has observed;
//!    [`translation`]: addresses before and after NAT;
//! 3. [`cache`]: packets → flow records, with the state of each [`connection`] and its [`tcp`]
//!    health;
//! 4. [`export`]: flow records → IPFIX, NetFlow and JSON lines, by the transports of
//!    [`kipfix_export`].
//!
//! One thread owns the first three ([`pipeline`], and the loop in `metering`), so nothing in them
//! is locked. The Exporting Process has a thread of its own after a bounded queue. [`metrics`] has
//! what each stage received, passed on and lost, [`settings`] what can be set, and [`run`] wires it
//! all. [`top()`] shows the records as a live table instead.

pub mod cache;
pub mod capture;
pub mod connection;
pub mod decode;
pub mod duplicates;
pub mod export;
pub mod inspect;
mod metering;
pub mod metrics;
pub mod pipeline;
pub mod sampling;
pub mod settings;
pub mod tcp;
mod top;
pub mod translation;
mod wiring;

pub use top::run as top;
pub use wiring::run;
