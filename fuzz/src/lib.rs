//! Invariants of every decoder for arbitrary input.
//!
//! A target is a function of octets that panics if an invariant does not hold. cargo-fuzz runs the
//! targets (`make fuzz`, `fuzz_targets/target.rs`), and `tests/kept.rs` runs them on a stable
//! toolchain with [`seeds`], mutants, and the inputs in `kept/TARGET/`, which showed former bugs.
//!
//! | target | input | invariants |
//! |---|---|---|
//! | `messages` | datagrams of several exporters | all input is accounted for and bounded, results are deterministic; records are valid JSON and survive export |
//! | `stream` | a connection | the same Messages for any fragmentation; no octets are left |
//! | `explain` | datagrams | the dump and the decoder count the same |
//! | `savefile` | a capture or IPFIX file | frames = datagrams + skipped; the same result for any chunk size |
//! | `capture` | a savefile of the probe | captured octets are those of the file; the same result for any chunk size |
//! | `packets` | frames | packets and octets in = in records + counted; bounded |
//! | `http` | segments of a connection with HTTP | state is bounded and freed; the same messages of HTTP/2 however it is cut |
//! | `export` | flow records | each version carries the fields that it supports; Messages are valid and within the size limit |
//! | `forward` | flow records | the same for enriched IPFIX |
//! | `pipeline` | datagrams | every direction of every record gets one verdict |
//! | `netlink` | netlink messages | the iteration ends within the octets |
//! | `inventory` | an inventory file | an inventory, or one sentence |
//! | `api` | a query string of the API | a bounded document, or an error that names the parameter |
//! | `history` | a history file | a history that can be queried, or an error |
//! | `external` | a database or cloud ranges | a table, or one sentence; bounded |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a violated invariant is a panic"
)]

mod api;
mod capture;
mod decoding;
mod explain;
mod export;
mod external;
mod forward;
mod history;
mod http;
mod input;
mod inventory;
mod json;
mod messages;
mod netlink;
mod packets;
mod pipeline;
mod records;
mod savefile;
pub mod seeds;
mod stream;

use api::api;
use capture::capture;
use explain::explain;
use export::export;
use external::external;
use forward::forward;
use history::history;
use http::http;
use inventory::inventory;
use messages::messages;
use netlink::netlink;
use packets::packets;
use pipeline::pipeline;
use savefile::savefile;
use stream::stream;

/// A target of the fuzzer.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, that of its folder of kept inputs.
    pub name: &'static str,
    /// Takes an input. Panics where something does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($target:ident: $seeds:expr,)*) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[
            $(Target {
                name: stringify!($target),
                run: $target,
                seeds: $seeds,
            },)*
        ];
    };
}

targets! {
    messages: || seeds::sequences(&[0, 1]),
    stream: seeds::datagrams::streams,
    explain: seeds::plain_sequences,
    savefile: seeds::files::captures,
    capture: seeds::files::savefiles,
    packets: seeds::frames::all,
    http: seeds::http::all,
    export: seeds::records,
    forward: seeds::records,
    pipeline: || seeds::sequences(&[0, 5, 26, 31]),
    netlink: seeds::files::netlink,
    inventory: seeds::files::inventories,
    external: seeds::files::external,
    api: seeds::queries,
    history: history::seeds,
}

/// The target with this name.
///
/// # Panics
/// There is no such target.
#[must_use]
pub fn target(name: &str) -> Target {
    let target = TARGETS.iter().find(|target| target.name == name);
    *target.unwrap_or_else(|| panic!("there is no target {name:?}"))
}

/// The target that `KIPFIX_FUZZ_TARGET` names.
///
/// # Panics
/// There is no such target.
#[must_use]
pub fn chosen() -> Target {
    target(&std::env::var("KIPFIX_FUZZ_TARGET").unwrap_or_default())
}
