//! Aggregate: decided records → edges → bounded series.
//!
//! A record costs one access to an [`EdgeTable`]: its two endpoints are the key, and no text is touched. A scrape, or a
//! full table, merges the edges into the [`SeriesTable`], whose [`Family`]s define the labels of an edge.

mod edges;
pub mod expression;
mod family;
pub mod field;
mod observer;
mod presets;
mod series;
mod sink;

pub use edges::{EdgeBatch, EdgeTable};
pub use family::{Family, Filter, Label, LabelSource, Side, Value};
pub use observer::EdgeObserver;
pub use presets::Preset;
pub use series::{MergeBuffers, SeriesCounts, SeriesSettings, SeriesTable, ShownValues};
pub use sink::EdgeSink;
