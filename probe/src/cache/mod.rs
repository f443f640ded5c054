//! The flow cache: packets → flow records. Third stage of the path, after [`crate::decode`].
//!
//! * [`flow_cache`]: conversations, their timeouts and their records;
//! * [`settings`] and [`counters`]: its bounds and timeouts, and what it counts;
//! * [`key`]: the packed key that both directions of a conversation share, and its hash (`bob`);
//! * `conversation`: the state of one conversation, and its records;
//! * `expiry`: conversations that leave the cache;
//! * `offload`: segments that were merged before capture;
//! * `table`, `lookup`, `slab`, `links`, `tunnels`: storage and lists of conversations;
//! * `translate`, `translated`: connections whose addresses the node translates;
//! * `names`, `name_slots`: names of responders;
//! * `dns`, `http`, `slot_states`: DNS and HTTP messages of conversations;
//! * [`clock`]: packet time, the only clock of this stage.

mod bob;
mod captured;
pub mod clock;
mod conversation;
pub mod counters;
mod dns;
mod expiry;
pub mod flow_cache;
mod http;
pub mod key;
mod links;
mod lookup;
mod name_slots;
mod names;
mod offload;
pub mod settings;
mod slab;
mod slot_states;
mod table;
mod translate;
mod translated;
mod tunnels;

pub use captured::{CapturedPacket, CopyCounts};
pub use counters::CacheCounters;
pub use flow_cache::{FlowCache, RecordSink};
pub use settings::CacheSettings;
