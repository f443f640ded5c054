//! IPFIX and NetFlow wire protocol, and the flow record.
//!
//! This crate is pure: octets and time are arguments. It opens no socket, reads no clock and writes
//! no log, so that tests control all three.
//!
//! The nouns of RFC 7011 §2:
//!
//! * [`Address`], [`FlowKey`], [`FlowRecord`] ([`record`]), [`TrafficRecord`];
//! * [`host_name`]: names of responders, each stored once;
//! * [`element`]: Information Elements by number, from the public registries;
//! * [`field`] and [`template`]: Field Specifiers and Templates;
//! * [`rule`]: the protocol's rules.
//!
//! Receiving, from octets to records:
//!
//! * `wire`: the grammar, a pull parser;
//! * `plan`: from the values of a Data Record to a [`FlowRecord`];
//! * `options` and `sessions`: the state of each exporter;
//! * [`collector`]: the Collecting Process, datagrams → [`FlowRecord`]s;
//! * [`explain`]: a readable dump of datagrams, and the rules they break.
//!
//! Sending: [`exporter`], the Exporting Process, [`FlowRecord`]s → Messages. [`json`] writes
//! records as text, with the names of the registries.

#![warn(clippy::arithmetic_side_effects)]

pub mod address;
pub mod alias;
pub mod collector;
pub mod dns;
pub mod element;
pub mod explain;
pub mod exporter;
pub mod field;
pub mod flow_selection;
pub mod host_name;
pub mod http;
pub mod ip_header;
pub mod json;
mod options;
mod plan;
pub mod protocol;
pub mod record;
pub mod rule;
mod sampling;
mod sessions;
pub mod tcp;
pub mod template;
mod traffic;
mod tunnel;
mod value;
mod wire;

pub use address::Address;
pub use record::{FlowKey, FlowRecord};
pub use traffic::TrafficRecord;
pub use wire::is_flow_export;
