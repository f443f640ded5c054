//! What must hold whatever octets come in, for every decoder that is ours.
//!
//! A target is a function of octets that fails by a panic: nothing may break in the code under it, and what
//! the target says must be true besides. cargo-fuzz calls them (`make fuzz`; `fuzz_targets/`), and so does
//! `tests/kept.rs` on a stable toolchain, with [`seeds`], mutants of them, and the inputs in `kept/TARGET/`
//! that once showed a mistake.
//!
//! | target | octets are | what must hold |
//! |---|---|---|
//! | [`messages()`] | datagrams of some exporters | everything is accounted for, bounded, told the same twice; records are valid JSON and survive export |
//! | [`stream()`] | a connection | however it is cut the same Messages come out; nothing is left behind |
//! | [`explain()`] | datagrams | the dump counts what the decoder counts, and finds what the decoder cannot use |
//! | [`savefile()`] | a capture or IPFIX file | frames = datagrams + skipped; however it is read the same comes out |
//! | [`packets()`] | frames | packets and octets in = in records + counted; bounded |
//! | [`export()`] | flow records | each version carries what it can; Messages are short enough and break no rule |
//! | [`forward()`] | flow records | the same of enriched IPFIX |
//! | [`pipeline()`] | datagrams | every direction of every record gets one verdict |
//! | [`netlink()`] | the kernel's messages | the walk ends, within the octets |
//! | [`inventory()`] | an inventory file | an inventory, or one sentence |
//! | [`outside()`] | a database or cloud ranges | a table, or one sentence; bounded |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what does not hold is a panic: that is what a fuzzer looks for"
)]

mod decoding;
mod explain;
mod export;
mod forward;
mod input;
mod inventory;
mod json;
mod messages;
mod netlink;
mod outside;
mod packets;
mod pipeline;
mod records;
mod savefile;
pub mod seeds;
mod stream;

pub use explain::explain;
pub use export::export;
pub use forward::forward;
pub use inventory::inventory;
pub use messages::messages;
pub use netlink::netlink;
pub use outside::outside;
pub use packets::packets;
pub use pipeline::pipeline;
pub use savefile::savefile;
pub use stream::stream;

/// A target: takes an input, panics where something does not hold.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("messages", messages),
    ("stream", stream),
    ("explain", explain),
    ("savefile", savefile),
    ("packets", packets),
    ("export", export),
    ("forward", forward),
    ("pipeline", pipeline),
    ("netlink", netlink),
    ("inventory", inventory),
    ("outside", outside),
];
