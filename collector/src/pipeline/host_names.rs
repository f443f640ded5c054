//! Host names of the endpoints of a flow.
//!
//! A record has the name by which the initiator reached the responder. It adds something to an
//! external endpoint only: endpoints of the cluster have names of their own.

use flowproto::host_name::{HostName, ResponderName};

use super::enrich::Endpoints;
use super::flow::Initiator;

/// The host names of source and destination. The responder has the name; if the initiator is
/// unknown, the external endpoint, if there is exactly one.
#[must_use]
pub fn host_names<'a>(
    name: Option<&'a ResponderName>,
    initiator: Initiator,
    endpoints: &Endpoints,
) -> [Option<&'a HostName>; 2] {
    let name = name.map(|name| &name.name);
    let (source, destination) = (&endpoints.source, &endpoints.destination);
    match (initiator, source.is_external(), destination.is_external()) {
        (Initiator::Source, _, true) | (Initiator::Unknown, false, true) => [None, name],
        (Initiator::Destination, true, _) | (Initiator::Unknown, true, false) => [name, None],
        _ => [None, None],
    }
}
