//! The sentences that kubezonnet logs: traffic from a pod to another zone.
//!
//! ```text
//! 2023/11/14 22:13:20 {shop web-1} from port 40000 to {shop db-0} at port 5432 with 1000 bytes
//! ```
//!
//! An endpoint is a namespace and a pod, or `_node_` and a node. The time is the end of the flow in
//! UTC. Octets are those that metric families count, scaled by sampling.

use std::io::Write as _;

use jiff::Timestamp;

use crate::inventory::EndpointId;
use crate::pipeline::DecidedRecord;
use crate::snapshots::Snapshots;

/// Appends the line of a direction. False if it is not traffic between two zones.
pub(super) fn write(record: &DecidedRecord<'_>, snapshots: &Snapshots, out: &mut Vec<u8>) -> bool {
    let (flow, endpoints) = (record.flow, record.endpoints);
    let (source, destination) = (endpoints.source.id, endpoints.destination.id);
    let zone = |id| snapshots.endpoint(id).zone();
    let (from, to) = (zone(source), zone(destination));
    if from.is_empty() || to.is_empty() || from == to {
        return false;
    }
    let seconds = i64::try_from(flow.time.end_milliseconds / 1000).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    let time = time.strftime("%Y/%m/%d %H:%M:%S");
    // Writing to memory cannot fail.
    write!(out, "{time} ").unwrap_or_default();
    write_endpoint(snapshots, source, out);
    write!(out, " from port {} to ", flow.source_port).unwrap_or_default();
    write_endpoint(snapshots, destination, out);
    let (port, octets) = (flow.destination_port, flow.measures.bytes);
    writeln!(out, " at port {port} with {octets} bytes").unwrap_or_default();
    true
}

fn write_endpoint(snapshots: &Snapshots, id: EndpointId, out: &mut Vec<u8>) {
    let view = snapshots.endpoint(id);
    let endpoint = view.endpoint;
    let node = || view.node().map_or("", |node| &node.name);
    let (namespace, name) = if endpoint.namespace.is_empty() {
        ("_node_", node())
    } else {
        (&*endpoint.namespace, &*endpoint.name)
    };
    write!(out, "{{{namespace} {name}}}").unwrap_or_default();
}
