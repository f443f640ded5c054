//! Maps an IP address at a point in time to the Kubernetes object that owned it.
//!
//! [`mod@file`] reads the inventory file and [`cluster`] watches Kubernetes. Both fill the
//! [`IndexWriter`], which publishes an [`IndexSnapshot`] after each change. Every record is looked
//! up in a snapshot, by the rules of [`address_history`]. Addresses outside the cluster are looked
//! up in [`external`].

pub mod address_history;
pub mod address_key;
mod chunked_table;
mod clock_reading;
pub mod cluster;
pub mod endpoint;
pub mod external;
pub mod file;
mod labels;
mod listing;
pub mod snapshot;
mod time_range;
pub mod writer;

pub use address_key::{AddressKey, TransportPort};
pub use clock_reading::ClockReading;
pub use endpoint::{Endpoint, EndpointId, EndpointKind, Node, NodeId, Place, Topology, TopologyId};
pub use labels::{KeptLabels, LabelSet};
pub use listing::AssignmentTime;
pub use snapshot::{Certainty, Found, IndexSizes, IndexSnapshot};
pub use time_range::TimeRange;
pub use writer::{Bounds, IndexWriter};
