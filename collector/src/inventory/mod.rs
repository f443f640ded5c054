//! Who holds an address, and since when.
//!
//! [`mod@file`] reads the inventory file, [`cluster`] watches Kubernetes; both fill the [`directory`],
//! whose snapshots are the [`index`] that every record is looked up in, by the rules of [`holders`].
//! An address that the cluster does not hold is looked up in what is known [`outside`].

pub mod builder;
mod chunks;
pub mod cluster;
pub mod directory;
pub mod file;
pub mod holders;
pub mod index;
pub mod outside;
mod ranges;

pub use builder::IndexBuilder;
pub use directory::{Bounds, Directory};
pub use holders::{Port, Span};
pub use index::{
    Certainty, Endpoint, EndpointId, EndpointKind, Found, Index, IndexSizes, Node, NodeId, Place,
};
