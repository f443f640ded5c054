//! The collector: flow export in, Prometheus counters out.
//!
//! The data's path, one module a stage; a stage imports the stage before it, only
//! `wiring` and [`worker`] import all:
//!
//! 1. [`receive`]: datagrams from UDP sockets or savefiles, Messages from connections; `flowproto`
//!    decodes them;
//! 2. [`enrich`]: who the two ends of a record are, by the [`mod@inventory`], and what class of traffic;
//! 3. [`dedup`]: of the two nodes that saw it, the authoritative observer's record counts;
//! 4. [`aggregate`]: edges, then bounded series of the metric families;
//! 5. [`serve`]: the scrape; [`emit`]: the flow log.
//!
//! [`worker`] is steps 1 to 4 on one thread; [`live`] and [`offline`] drive workers from sockets and
//! from savefiles; [`explain`] dumps savefiles instead. [`settings`] and [`metrics`] are what an operator sees.

pub mod aggregate;
pub mod dedup;
pub mod emit;
pub mod enrich;
pub mod explain;
mod intermediate;
pub mod interval_map;
pub mod inventory;
pub mod live;
pub mod metrics;
pub mod offline;
pub mod receive;
pub mod serve;
pub mod settings;
pub mod waiting;
mod wiring;
pub mod worker;

pub use wiring::run;
