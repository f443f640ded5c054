//! The two endpoints of a flow, with address translation taken into account.

use flowproto::Address;

use super::lookup::ResolvedEndpoint;
use super::{EndpointCache, Scope, TrafficClass};
use crate::inventory::{Certainty, EndpointId, EndpointKind, TransportPort};
use crate::pipeline::flow::{Flow, FlowExtras};
use crate::snapshots::Snapshots;

/// The endpoints of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The sender.
    pub source: ResolvedEndpoint,
    /// The receiver.
    pub destination: ResolvedEndpoint,
    /// The Service whose virtual address the record has as its source, before translation.
    pub source_service: Option<EndpointId>,
    /// The Service whose virtual address the record has as its destination, before translation.
    pub destination_service: Option<EndpointId>,
    /// The source is the endpoint of the address after translation.
    pub is_source_translated: bool,
    /// The destination is the endpoint of the address after translation.
    pub is_destination_translated: bool,
}

impl Endpoints {
    /// The endpoints of the opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_service: self.destination_service,
            destination_service: self.source_service,
            is_source_translated: self.is_destination_translated,
            is_destination_translated: self.is_source_translated,
        }
    }

    /// The class of the traffic between them.
    #[inline]
    #[must_use]
    pub fn class(&self) -> TrafficClass {
        TrafficClass::between(self.source.place, self.destination.place)
    }

    /// Whether the traffic stays in the cluster.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::between(self.source.place, self.destination.place)
    }

    /// True if an address was reassigned while the packets were sent.
    #[inline]
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.has(Certainty::Ambiguous)
    }

    /// True if an address is in a pod CIDR but no pod has reported it.
    #[inline]
    #[must_use]
    pub fn is_unreported(&self) -> bool {
        self.has(Certainty::Unreported)
    }

    fn has(&self, certainty: Certainty) -> bool {
        self.source.certainty == certainty || self.destination.certainty == certainty
    }
}

/// Resolves the endpoints of a flow.
///
/// If the record has addresses before and after translation, the endpoint is the one of the two that is a pod, else the
/// address before. So a masqueraded pod is seen as the pod, and a Service as the pod behind it. A Service that leads
/// to a node (to a pod that shares the node's address) is resolved as well: it is seen as that node.
#[inline]
pub fn resolve(
    snapshots: &Snapshots,
    cache: &mut EndpointCache,
    flow: &Flow,
    extras: Option<&FlowExtras>,
) -> Endpoints {
    let (mut source, source_service) =
        resolve_before(snapshots, cache, flow, (flow.source, flow.source_port));
    let (mut destination, destination_service) = resolve_before(
        snapshots,
        cache,
        flow,
        (flow.destination, flow.destination_port),
    );
    let (mut is_source_translated, mut is_destination_translated) = (false, false);
    if let Some(translation) = extras.and_then(|extras| extras.translation) {
        let [own, opposite] = [
            (
                translation.post_nat_source_address,
                translation.post_napt_source_port,
            ),
            (
                translation.post_nat_destination_address,
                translation.post_napt_destination_port,
            ),
        ];
        let (after_source, after_destination) = if flow.is_forward() {
            (own, opposite)
        } else {
            (opposite, own)
        };
        (source, is_source_translated) = resolve_after(
            snapshots,
            cache,
            flow,
            (source, source_service, flow.source_port),
            after_source,
        );
        (destination, is_destination_translated) = resolve_after(
            snapshots,
            cache,
            flow,
            (destination, destination_service, flow.destination_port),
            after_destination,
        );
    }
    Endpoints {
        source,
        destination,
        source_service,
        destination_service,
        is_source_translated,
        is_destination_translated,
    }
}

/// The endpoint of an address before translation, and the same if it is a Service.
#[inline]
fn resolve_before(
    snapshots: &Snapshots,
    cache: &mut EndpointCache,
    flow: &Flow,
    (address, port): (Address, u16),
) -> (ResolvedEndpoint, Option<EndpointId>) {
    let port = TransportPort::new(flow.protocol, port);
    let found = cache.lookup(snapshots, address, port, flow.time);
    let is_service = found.place.kind == EndpointKind::Service;
    (found, is_service.then_some(found.id))
}

/// The endpoint given its addresses before and after translation, and whether it is the latter's.
fn resolve_after(
    snapshots: &Snapshots,
    cache: &mut EndpointCache,
    flow: &Flow,
    (before, service, port_before): (ResolvedEndpoint, Option<EndpointId>, u16),
    (address, port): (Address, u16),
) -> (ResolvedEndpoint, bool) {
    if before.place.kind == EndpointKind::Pod || address.is_unspecified() {
        return (before, false);
    }
    let port = TransportPort::new(flow.protocol, if port == 0 { port_before } else { port });
    let after = cache.lookup(snapshots, address, port, flow.time);
    match after.place.kind {
        EndpointKind::Pod => (after, true),
        EndpointKind::Node if service.is_some() => (after, true),
        _ => (before, false),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use flowproto::FlowRecord;
    use flowproto::record::Translation;

    use super::*;
    use crate::inventory::{Endpoint, IndexBuilder, TimeRange};
    use crate::snapshots::SnapshotStore;

    const POD: Address = Address::from_v4_bits(0x0a01_010a);
    const NODE: Address = Address::from_v4_bits(0x0a09_0001);
    const SERVICE: Address = Address::from_v4_bits(0x0a60_000a);

    fn index() -> (Snapshots, [EndpointId; 3]) {
        let mut builder = IndexBuilder::new();
        let ids = [
            (POD, EndpointKind::Pod),
            (NODE, EndpointKind::Node),
            (SERVICE, EndpointKind::Service),
        ]
        .map(|(address, kind)| {
            let id = builder.add_endpoint(Endpoint {
                kind,
                ..Endpoint::default()
            });
            builder.assign_address(address, id).unwrap();
            id
        });
        let store = SnapshotStore::new(builder.build(), Default::default(), "");
        (store.load(), ids)
    }

    fn external() -> Address {
        Address::from(Ipv4Addr::new(192, 0, 2, 1))
    }

    fn endpoints(
        snapshots: &Snapshots,
        (source, destination): (Address, Address),
        translation: Translation,
    ) -> Endpoints {
        let mut record = FlowRecord::default();
        record.key.source_address = source;
        record.key.destination_address = destination;
        record.translation = Some(translation);
        let forward = Flow::forward(&record, TimeRange::instant(0), 0);
        let extras = FlowExtras::of(&record, false);
        let endpoints_of = |flow: &Flow| {
            resolve(
                snapshots,
                &mut EndpointCache::default(),
                flow,
                extras.as_ref(),
            )
        };
        let endpoints = endpoints_of(&forward);
        assert_eq!(
            endpoints_of(&forward.reverse(&record)),
            endpoints.reversed()
        );
        endpoints
    }

    #[test]
    fn a_masqueraded_pod_is_seen_as_the_pod_on_either_side_of_the_translation() {
        let (snapshots, [pod, ..]) = index();
        for (pre, post) in [(POD, NODE), (NODE, POD)] {
            let translation = Translation {
                post_nat_source_address: post,
                ..Translation::default()
            };
            let endpoints = endpoints(&snapshots, (pre, external()), translation);
            assert_eq!(endpoints.source.id, pod);
        }
    }

    #[test]
    fn a_service_is_seen_as_the_pod_behind_it_and_keeps_its_name() {
        let (snapshots, [pod, _, service]) = index();
        let translation = Translation {
            post_nat_destination_address: POD,
            ..Translation::default()
        };
        let endpoints = endpoints(&snapshots, (external(), SERVICE), translation);
        assert_eq!(endpoints.destination.id, pod);
        assert_eq!(endpoints.destination_service, Some(service));
    }

    #[test]
    fn without_a_pod_the_address_before_translation_counts() {
        let (snapshots, [_, node, service]) = index();
        let translation = Translation {
            post_nat_source_address: external(),
            post_nat_destination_address: external(),
            ..Translation::default()
        };
        let endpoints = endpoints(&snapshots, (NODE, SERVICE), translation);
        assert_eq!(
            (endpoints.source.id, endpoints.destination.id),
            (node, service)
        );
    }

    #[test]
    fn a_service_that_leads_to_a_node_is_seen_as_the_node_and_keeps_its_name() {
        let (snapshots, [_, node, service]) = index();
        let translation = Translation {
            post_nat_destination_address: NODE,
            ..Translation::default()
        };
        let endpoints = endpoints(&snapshots, (external(), SERVICE), translation);
        assert_eq!(endpoints.destination.id, node);
        assert_eq!(endpoints.destination_service, Some(service));
    }
}
