//! History: the traffic of the last hours, by pair of endpoints and interval, for the API and the
//! page.
//!
//! Every drain of the edge tables is also added to a [`History`]. It holds rings of intervals: by
//! default 10 s for 15 minutes, 1 min for 6 hours and 5 min for 48 hours. An interval is a sorted
//! list of edges, encoded in about ten octets each, and a list of those with connection health, in
//! about twelve more. Endpoints are stored once, with their names and
//! attributes at that time, because the inventory forgets deleted objects.
//!
//! The memory is limited in octets. At the limit, the oldest intervals are discarded, which
//! shortens the time that a ring covers.
//!
//! By setting, the history is written into a file and read by the next process. The time in between
//! is a gap that answers report.
//!
//! [`EdgesQuery`] reads a [`Snapshot`]: it selects edges by an expression, groups them by fields,
//! and adds them up over a range of time. It holds no lock.

pub mod clickhouse;
mod current;
mod edge;
mod endpoint;
mod endpoints;
mod engine;
mod engine_url;
mod error;
mod groups;
mod interval;
mod measures;
mod merge;
pub mod prometheus;
mod query;
mod ring;
mod ring_settings;
mod saved;
mod snapshot;
mod source;
mod store;
mod varint;

pub use edge::StoredEdge;
pub use endpoint::StoredEndpoint;
pub use engine::HistoryEngine;
pub use error::HistoryError;
pub use measures::{EdgeValues, Health};
pub use query::{EdgesAnswer, EdgesQuery, GroupedEdge, Order, TimeBounds, TimePoint};
pub use ring_settings::RingSettings;
pub use saved::SavedError;
pub use snapshot::{RingSpan, Snapshot};
pub use source::HistorySource;
pub use store::{History, HistoryCounts, HistorySettings};
