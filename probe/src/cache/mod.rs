//! The flow cache: packets → flow records. Third stage of the path, behind [`crate::decode`].
//!
//! * [`flow_cache`]: conversations, their timeouts and their records;
//! * [`key`]: the packed key that both directions of a conversation share;
//! * `conversation`: what is kept of one, and the records made of it;
//! * `offload`: segments that were merged before they were captured;
//! * `slab`: where conversations live, and the order in which they go;
//! * [`clock`]: packet time, the only clock of this stage.

pub mod clock;
mod conversation;
pub mod flow_cache;
pub mod key;
mod offload;
mod slab;

pub use flow_cache::{CacheSettings, Counters, FlowCache, RecordSink, Sighting};
