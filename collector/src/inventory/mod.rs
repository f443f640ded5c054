//! Who holds an address.
//!
//! [`mod@file`] reads the inventory file; [`index`] is what every record is looked up in: an immutable
//! snapshot, shared by all workers, built anew and swapped whole when the cluster changes.

pub mod file;
pub mod index;

pub use index::{Endpoint, EndpointId, EndpointKind, Index, IndexBuilder, Node, NodeId, Place};
