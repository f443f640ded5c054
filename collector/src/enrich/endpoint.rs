//! The two ends of a record, seen through address translation.

use flowproto::{Address, FlowRecord};

use super::{Known, Recent};
use crate::inventory::{Certainty, EndpointId, EndpointKind, Found, TimeRange, TransportPort};

/// Who the ends of a record are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who sent.
    pub source: EndpointId,
    /// Who was sent to.
    pub destination: EndpointId,
    /// The service whose virtual address the record names as its source, before translation.
    pub source_service: Option<EndpointId>,
    /// The service whose virtual address the record names as its destination, before translation.
    pub destination_service: Option<EndpointId>,
    /// An address changed hands while the packets ran.
    pub ambiguous: bool,
    /// An address is a pod's, but no pod reported it.
    pub unreported: bool,
}

impl Ends {
    /// The ends of the opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_service: self.destination_service,
            destination_service: self.source_service,
            ambiguous: self.ambiguous,
            unreported: self.unreported,
        }
    }
}

/// Looks up the ends of a record whose packets ran in `span`.
///
/// Where the record carries addresses before and after translation, the end is whichever of the two
/// is a pod's, else the address before: a masqueraded pod is seen as the pod, a service as the pod
/// behind it. A service that leads to a node (to a pod that shares the node's address) did not stay
/// unresolved either: it is seen as that node.
#[must_use]
pub fn ends(known: Known<'_>, recent: &mut Recent, record: &FlowRecord, span: TimeRange) -> Ends {
    let key = &record.key;
    let none = (Address::UNSPECIFIED, 0);
    let (after_source, after_destination) = match &record.translation {
        None => (none, none),
        Some(t) => (
            (t.post_nat_source_address, t.post_napt_source_port),
            (t.post_nat_destination_address, t.post_napt_destination_port),
        ),
    };
    let protocol = key.protocol_identifier;
    let mut end = |before, after| end(known, recent, protocol, before, after, span);
    let (source, source_service) = end((key.source_address, key.source_port), after_source);
    let (destination, destination_service) = end(
        (key.destination_address, key.destination_port),
        after_destination,
    );
    let either = |certainty| source.certainty == certainty || destination.certainty == certainty;
    Ends {
        source: source.endpoint,
        destination: destination.endpoint,
        source_service,
        destination_service,
        ambiguous: either(Certainty::Ambiguous),
        unreported: either(Certainty::Unreported),
    }
}

#[inline]
fn end(
    known: Known<'_>,
    recent: &mut Recent,
    protocol: u8,
    before: (Address, u16),
    after: (Address, u16),
    span: TimeRange,
) -> (Found, Option<EndpointId>) {
    let (pre, kind) = recent.lookup(
        known,
        before.0,
        TransportPort::new(protocol, before.1),
        span,
    );
    let service = (kind == EndpointKind::Service).then_some(pre.endpoint);
    if kind == EndpointKind::Pod || after.0.is_unspecified() {
        return (pre, service);
    }
    let port = if after.1 == 0 { before.1 } else { after.1 };
    let (post, kind) = recent.lookup(known, after.0, TransportPort::new(protocol, port), span);
    let found = match kind {
        EndpointKind::Pod => post,
        EndpointKind::Node if service.is_some() => post,
        _ => pre,
    };
    (found, service)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use flowproto::record::Translation;

    use super::*;
    use crate::inventory::external::ExternalSnapshot;
    use crate::inventory::{Endpoint, IndexBuilder, IndexSnapshot};

    const NEVER: TimeRange = TimeRange::instant(0);
    const POD: Address = Address::from_v4_bits(0x0a01_010a);
    const NODE: Address = Address::from_v4_bits(0x0a09_0001);
    const SERVICE: Address = Address::from_v4_bits(0x0a60_000a);

    fn index() -> (IndexSnapshot, [EndpointId; 3]) {
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
        (builder.build(), ids)
    }

    fn ends(index: &IndexSnapshot, record: &FlowRecord, span: TimeRange) -> Ends {
        let outside = &ExternalSnapshot::default();
        super::ends(
            Known { index, outside },
            &mut Recent::default(),
            record,
            span,
        )
    }

    fn outside() -> Address {
        Address::from(Ipv4Addr::new(192, 0, 2, 1))
    }

    fn record(source: Address, destination: Address, translation: Translation) -> FlowRecord {
        let mut record = FlowRecord::default();
        record.key.source_address = source;
        record.key.destination_address = destination;
        record.translation = Some(translation);
        record
    }

    #[test]
    fn a_masqueraded_pod_is_seen_as_the_pod_on_either_side_of_the_translation() {
        let (index, [pod, ..]) = index();
        for (pre, post) in [(POD, NODE), (NODE, POD)] {
            let translation = Translation {
                post_nat_source_address: post,
                ..Translation::default()
            };
            assert_eq!(
                ends(&index, &record(pre, outside(), translation), NEVER).source,
                pod
            );
        }
    }

    #[test]
    fn a_service_is_seen_as_the_pod_behind_it_and_keeps_its_name() {
        let (index, [pod, _, service]) = index();
        let translation = Translation {
            post_nat_destination_address: POD,
            ..Translation::default()
        };
        let ends = ends(&index, &record(outside(), SERVICE, translation), NEVER);
        assert_eq!(ends.destination, pod);
        assert_eq!(ends.destination_service, Some(service));
    }

    #[test]
    fn where_no_address_is_a_pods_the_one_before_translation_stands() {
        let (index, [_, node, service]) = index();
        let translation = Translation {
            post_nat_source_address: outside(),
            post_nat_destination_address: outside(),
            ..Translation::default()
        };
        let ends = ends(&index, &record(NODE, SERVICE, translation), NEVER);
        assert_eq!((ends.source, ends.destination), (node, service));
    }

    #[test]
    fn a_service_that_leads_to_a_node_is_seen_as_the_node_and_keeps_its_name() {
        let (index, [_, node, service]) = index();
        let translation = Translation {
            post_nat_destination_address: NODE,
            ..Translation::default()
        };
        let ends = ends(&index, &record(outside(), SERVICE, translation), NEVER);
        assert_eq!(ends.destination, node);
        assert_eq!(ends.destination_service, Some(service));
    }
}
