//! The probe: packets of a node's interfaces, or of a capture file, become flow records and leave as IPFIX or NetFlow.
//!
//! In the order of a packet's path:
//!
//! 1. [`capture`]: frames with time and length, live by libpcap or from a savefile;
//! 2. [`sampling`]: which of them are metered;
//!    [`decode`]: frame → the innermost IP packet, or a counted reason;
//! 3. [`cache`]: packets → flow records, with [`connection`] knowing who began and what is over;
//! 4. [`export`]: flow records → IPFIX and NetFlow, and JSON lines. How they get there is [`kipfix_export`]'s.
//!
//! One thread owns the first three ([`pipeline`]), so nothing in them is locked; the Exporting Process has a
//! thread of its own, behind a bounded queue. [`metrics`] tells what went in, came out and was lost at each
//! stage, [`settings`] what can be set. [`run`] wires them.

pub mod cache;
pub mod capture;
pub mod connection;
pub mod decode;
pub mod export;
pub mod metrics;
pub mod pipeline;
pub mod sampling;
pub mod settings;
mod wiring;

pub use wiring::run;
