//! Aggregate: enriched records → bounded series.
//!
//! A record costs one probe of an [`EdgeTable`]: its two endpoints are the key, three integers the value;
//! no string is touched. A scrape, or a table that is full, drains the edges into the [`SeriesTable`],
//! where the [`Family`]s say which labels an edge becomes.

mod edges;
mod family;
mod presets;
mod series;

pub use edges::{EdgeTable, Measures};
pub use family::{Family, Filter, Label, LabelSource, Side, Value};
pub use presets::Preset;
pub use series::{SeriesCounts, SeriesTable};
