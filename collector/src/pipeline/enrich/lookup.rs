//! The endpoint of one address.

use flowproto::Address;

use crate::inventory::{Certainty, EndpointId, EndpointKind, Place, TimeRange, TransportPort};
use crate::snapshots::Snapshots;

/// The endpoint of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedEndpoint {
    /// The endpoint.
    pub id: EndpointId,
    /// Its kind and node.
    pub place: Place,
    /// How certain the attribution is.
    pub certainty: Certainty,
}

impl ResolvedEndpoint {
    /// True if it is outside the cluster.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.place.kind == EndpointKind::External
    }
}

/// The answer of the snapshots, and the time from which on it is the same for all packets; `u64::MAX` if it depends
/// on the time.
pub(super) fn look_up(
    snapshots: &Snapshots,
    address: Address,
    port: Option<TransportPort>,
    time: TimeRange,
) -> (ResolvedEndpoint, u64) {
    let found = snapshots.index.lookup_port(address, port, time);
    let resolved = if found.endpoint == EndpointId::EXTERNAL {
        ResolvedEndpoint {
            id: EndpointId::from_external(snapshots.external.lookup(address)),
            place: Place::default(),
            certainty: found.certainty,
        }
    } else {
        ResolvedEndpoint {
            id: found.endpoint,
            place: snapshots.place(found.endpoint),
            certainty: found.certainty,
        }
    };
    (resolved, found.since_milliseconds)
}
