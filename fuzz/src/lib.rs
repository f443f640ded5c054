//! Invariants of every decoder for arbitrary input.
//!
//! A target is a function of octets that panics if an invariant does not hold. cargo-fuzz runs the targets (`make
//! fuzz`, `fuzz_targets/`), and `tests/kept.rs` runs them on a stable toolchain with [`seeds`], mutants, and the
//! inputs in `kept/TARGET/`, which showed former bugs.
//!
//! | target | input | invariants |
//! |---|---|---|
//! | [`messages()`] | datagrams of several exporters | all input is accounted for and bounded, results are deterministic; records are valid JSON and survive export |
//! | [`stream()`] | a connection | the same Messages for any fragmentation; no octets are left |
//! | [`explain()`] | datagrams | the dump and the decoder count the same |
//! | [`savefile()`] | a capture or IPFIX file | frames = datagrams + skipped; the same result for any chunk size |
//! | [`capture()`] | a savefile of the probe | captured octets are those of the file; the same result for any chunk size |
//! | [`packets()`] | frames | packets and octets in = in records + counted; bounded |
//! | [`http()`] | segments of a connection with HTTP | state is bounded and freed; the same messages of HTTP/2 however it is cut |
//! | [`export()`] | flow records | each version carries the fields that it supports; Messages are valid and within the size limit |
//! | [`forward()`] | flow records | the same for enriched IPFIX |
//! | [`pipeline()`] | datagrams | every direction of every record gets one verdict |
//! | [`netlink()`] | netlink messages | the iteration ends within the octets |
//! | [`inventory()`] | an inventory file | an inventory, or one sentence |
//! | [`api()`] | a query string of the API | a bounded document, or an error that names the parameter |
//! | [`history()`] | a history file | a history that can be queried, or an error |
//! | [`external()`] | a database or cloud ranges | a table, or one sentence; bounded |
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

pub use api::api;
pub use capture::capture;
pub use explain::explain;
pub use export::export;
pub use external::external;
pub use forward::forward;
pub use history::history;
pub use http::http;
pub use inventory::inventory;
pub use messages::messages;
pub use netlink::netlink;
pub use packets::packets;
pub use pipeline::pipeline;
pub use savefile::savefile;
pub use stream::stream;

/// A target: takes an input, panics where something does not hold.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 15] = [
    ("messages", messages),
    ("stream", stream),
    ("explain", explain),
    ("savefile", savefile),
    ("capture", capture),
    ("packets", packets),
    ("http", http),
    ("export", export),
    ("forward", forward),
    ("pipeline", pipeline),
    ("netlink", netlink),
    ("inventory", inventory),
    ("external", external),
    ("api", api),
    ("history", history),
];
