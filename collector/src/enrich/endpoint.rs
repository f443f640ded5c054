//! The two ends of a record, seen through address translation.

use flowproto::{Address, FlowRecord};

use crate::inventory::{EndpointId, EndpointKind, Index};

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
        }
    }
}

/// Looks up the ends of a record.
///
/// Where the record carries addresses before and after translation, the end is whichever of the two
/// is a pod's, else the address before: a masqueraded pod is seen as the pod, a service as the pod
/// behind it.
#[must_use]
pub fn ends(index: &Index, record: &FlowRecord) -> Ends {
    let at = record.flow_end_milliseconds;
    let (after_source, after_destination) = match &record.translation {
        None => (Address::UNSPECIFIED, Address::UNSPECIFIED),
        Some(t) => (t.post_nat_source_address, t.post_nat_destination_address),
    };
    let (source, source_service) = end(index, record.key.source_address, after_source, at);
    let (destination, destination_service) =
        end(index, record.key.destination_address, after_destination, at);
    Ends {
        source,
        destination,
        source_service,
        destination_service,
    }
}

fn end(
    index: &Index,
    before: Address,
    after: Address,
    at_milliseconds: u64,
) -> (EndpointId, Option<EndpointId>) {
    let pre = index.lookup(before, at_milliseconds);
    let kind = index.place(pre).kind;
    let service = (kind == EndpointKind::Service).then_some(pre);
    if kind == EndpointKind::Pod || after.is_unspecified() {
        return (pre, service);
    }
    let post = index.lookup(after, at_milliseconds);
    if index.place(post).kind == EndpointKind::Pod {
        (post, service)
    } else {
        (pre, service)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use flowproto::record::Translation;

    use super::*;
    use crate::inventory::index::{Endpoint, IndexBuilder};

    const POD: Address = Address::from_v4_bits(0x0a01_010a);
    const NODE: Address = Address::from_v4_bits(0x0a09_0001);
    const SERVICE: Address = Address::from_v4_bits(0x0a60_000a);

    fn index() -> (Index, [EndpointId; 3]) {
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
            builder.claim_address(address, id).unwrap();
            id
        });
        (builder.build(), ids)
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
                ends(&index, &record(pre, outside(), translation)).source,
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
        let ends = ends(&index, &record(outside(), SERVICE, translation));
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
        let ends = ends(&index, &record(NODE, SERVICE, translation));
        assert_eq!((ends.source, ends.destination), (node, service));
    }
}
