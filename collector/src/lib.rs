//! The collector: flow export in, Prometheus counters out.
//!
//! Octets pass the stages in this order. A stage imports the stages before it, never one after it:
//!
//! 1. [`receive`]: datagrams from UDP sockets or savefiles, Messages from connections;
//! 2. [`pipeline`]: decode, enrich, deduplicate, wait → records that are resolved and decided;
//! 3. [`aggregate`]: records → edges → bounded series; [`emit`]: flow log, forwarded records,
//!    replicated datagrams; [`recent`]: recent records for the API; [`outputs`]: the sinks of a
//!    pipeline in a row; [`history`]: the edges of the last hours;
//! 4. [`metrics`]: self-metrics; [`serve`]: the scrape; [`api`]: the API and the page;
//! 5. [`settings`]: what an operator configures; `wiring` puts all of it together.
//!
//! [`top`] is a client of the API, for the terminal.
//!
//! What stages share stands on its own: [`clock`], [`http_client`], [`mod@inventory`],
//! [`dense_map`] and [`snapshots`]. [`explain`] prints savefiles instead of counting them.

pub mod aggregate;
pub mod api;
pub mod clock;
pub mod dense_map;
pub mod emit;
pub mod explain;
pub mod history;
pub mod http_client;
pub mod interval_map;
pub mod inventory;
pub mod metrics;
pub mod outputs;
pub mod pipeline;
pub mod receive;
pub mod recent;
pub mod serve;
pub mod settings;
pub mod snapshots;
pub mod top;
mod wiring;

pub use wiring::run;
