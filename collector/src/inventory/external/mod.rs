//! Enrichment of external addresses: named CIDR, autonomous system, country and cloud.
//!
//! There are three kinds of sources: [`NamedCidr`]s in the settings, databases in MaxMind DB
//! format, and the address ranges that clouds publish. Each source becomes a layer of address
//! ranges. The layers are merged when a file is read, and each combination of attributes gets an
//! [`ExternalId`]. A lookup is one search in a sorted table, without a lock or an allocation.
//!
//! [`ExternalWatcher`] reads the sources, reloads files that change, and publishes an
//! [`ExternalSnapshot`] in [`PublishedExternal`].

mod attribute_table;
mod attributes;
mod bucket_table;
mod cloud_ranges;
mod databases;
mod error;
mod layer;
mod snapshot;
mod source_file;
mod sources;
mod watcher;

pub use attributes::{ExternalAttributes, ExternalId};
pub use error::{ExternalError, FileError};
pub use snapshot::ExternalSnapshot;
pub use sources::{ExternalSources, NamedCidr};
pub use watcher::{ExternalCounts, ExternalWatcher, PublishedExternal, load};
