//! Datagrams of an Exporting Process through a pipeline: what is counted, what is not, and that
//! every direction of every record is accounted for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod counting;
mod deaths;
mod flow_log;
mod harness;
mod health;
mod labels;
mod links;
mod loss;
mod names;
mod observers;
mod open_connections;
mod presets;
mod routers;
mod short_cut;
mod tunnels;
