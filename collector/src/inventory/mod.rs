//! Who holds an address, and since when.
//!
//! [`mod@file`] reads the inventory file, [`cluster`] watches Kubernetes; both fill the [`writer`],
//! whose snapshots are the [`index`] that every record is looked up in, by the rules of [`holders`].
//! An address that the cluster does not hold is looked up in what is known [`outside`].

pub mod address_history;
pub mod builder;
mod chunked_table;
pub mod cluster;
pub mod external;
pub mod file;
mod ranges;
pub mod snapshot;
pub mod writer;

pub use address_history::{TimeRange, TransportPort};
pub use builder::IndexBuilder;
pub use snapshot::{
    Certainty, Endpoint, EndpointId, EndpointKind, Found, IndexSizes, IndexSnapshot, Node, NodeId,
    Place,
};
pub use writer::{Bounds, IndexWriter};
