//! IPFIX and NetFlow on the wire, and the flow record.
//!
//! This crate is pure: bytes and time come in as arguments. It opens no socket, reads no clock and
//! writes no log, so that tests own all three.
//!
//! * the nouns of RFC 7011 §2: [`Address`], [`FlowKey`], [`FlowRecord`] ([`record`]),
//!   [`element::Element`] (Information Elements by number, from the public registries) and
//!   [`template::Template`];
//! * the Collecting Process ([`collector`]): datagrams → [`FlowRecord`]s, with templates, options data,
//!   sequence numbers and records that came before their template;
//! * the Exporting Process ([`exporter`]): [`FlowRecord`]s → IPFIX Messages;
//! * [`explain`]: datagrams → a readable dump, and what is wrong with them;
//! * [`json`]: the same records as text, named as in the registries.

#![warn(clippy::arithmetic_side_effects)]

pub mod address;
pub mod collector;
pub mod element;
pub mod explain;
pub mod exporter;
pub mod json;
mod plan;
pub mod record;
mod structured;
pub mod template;
mod vocabulary;

pub use address::Address;
pub use record::{FlowKey, FlowRecord};
