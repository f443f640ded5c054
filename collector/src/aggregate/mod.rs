//! Aggregate: decided records → edges → bounded series.
//!
//! A record costs one access to an [`EdgeTable`]: its two endpoints are the key, and no text is
//! touched. A scrape, or a full table, merges the edges into the [`SeriesTable`], whose families
//! ([`Family`]) define the labels of an edge. Families are data: they come from presets and from
//! the settings, and their labels and filters are written in the [`expression`] language.

mod buckets;
mod detail;
mod edge;
mod edge_health;
mod edges;
mod estimate;
pub mod expression;
pub mod family;
pub mod field;
mod field_values;
mod health;
mod health_addition;
mod host_wildcards;
mod needs;
mod observer;
mod open_connections;
mod presets;
mod record;
mod record_filter;
mod series;
mod sink;

pub use detail::DetailParts;
pub(crate) use edge::endpoint_text;
pub use edge_health::EdgeHealth;
pub use edges::{CountedEdge, EdgeBatch, EdgePart, EdgeTable};
pub use estimate::{Factor, KnownCluster, SeriesEstimate};
pub use family::{Family, FamilyDefinition};
pub use health::{Distribution, HealthCount, HealthParts, Observed};
pub use host_wildcards::{HostWildcard, HostWildcardError, HostWildcards};
pub use needs::FamilyNeeds;
pub use observer::EdgeObserver;
pub use open_connections::{OpenConnectionCounts, OpenConnectionSettings, OpenEdge};
pub use presets::{Preset, families};
pub use record::RecordFields;
pub use record_filter::RecordFilter;
pub use series::{SeriesChunks, SeriesCounts, SeriesSettings, SeriesTable, ShownValues};
pub use sink::EdgeSink;
