//! The class of traffic, from the source node's point of view, and whether it stays in the cluster.

use crate::inventory::{EndpointKind, Place};

/// What kind of end talks to what kind of end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficClass {
    /// Both ends are certainly on one node, so that no observer outside the node can have seen it.
    /// An end whose node is unknown never matches.
    IntraNode,
    /// Everything else, by the kinds of its ends.
    Between(EndpointKind, EndpointKind),
}

/// Whether traffic leaves the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Both ends belong to the cluster.
    Internal,
    /// One end, or both, are outside.
    External,
}

impl Scope {
    /// As a label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }

    /// The scope of traffic between two endpoints.
    #[must_use]
    pub fn between(source: Place, destination: Place) -> Self {
        if source.kind == EndpointKind::External || destination.kind == EndpointKind::External {
            Self::External
        } else {
            Self::Internal
        }
    }
}

impl TrafficClass {
    /// The class of traffic between two endpoints.
    #[must_use]
    pub fn between(source: Place, destination: Place) -> Self {
        if source.node.is_some() && source.node == destination.node {
            Self::IntraNode
        } else {
            Self::Between(source.kind, destination.kind)
        }
    }

    /// As a label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        use EndpointKind::{External, Node, Pod, Service};
        match self {
            Self::IntraNode => "intra_node",
            Self::Between(Pod, Pod) => "pod_to_pod",
            Self::Between(Pod, Node) => "pod_to_node",
            Self::Between(Pod, Service) => "pod_to_service",
            Self::Between(Pod, External) => "pod_to_external",
            Self::Between(Node, Pod) => "node_to_pod",
            Self::Between(Node, Node) => "node_to_node",
            Self::Between(Node, Service) => "node_to_service",
            Self::Between(Node, External) => "node_to_external",
            Self::Between(Service, Pod) => "service_to_pod",
            Self::Between(Service, Node) => "service_to_node",
            Self::Between(Service, Service) => "service_to_service",
            Self::Between(Service, External) => "service_to_external",
            Self::Between(External, Pod) => "external_to_pod",
            Self::Between(External, Node) => "external_to_node",
            Self::Between(External, Service) => "external_to_service",
            Self::Between(External, External) => "external_to_external",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::NodeId;

    fn end(kind: EndpointKind, node: Option<u32>) -> Place {
        Place {
            kind,
            node: node.map(NodeId),
        }
    }

    #[test]
    fn two_ends_on_one_known_node_are_intra_node() {
        let (pod, node) = (
            end(EndpointKind::Pod, Some(1)),
            end(EndpointKind::Node, Some(1)),
        );
        assert_eq!(TrafficClass::between(pod, node), TrafficClass::IntraNode);
        assert_eq!(TrafficClass::between(pod, pod), TrafficClass::IntraNode);
    }

    #[test]
    fn an_unknown_node_never_matches() {
        let pod = end(EndpointKind::Pod, None);
        assert_eq!(TrafficClass::between(pod, pod).as_str(), "pod_to_pod");
    }

    #[test]
    fn one_end_outside_makes_the_traffic_external() {
        let pod = end(EndpointKind::Pod, Some(1));
        let outside = end(EndpointKind::External, None);
        let service = end(EndpointKind::Service, None);
        assert_eq!(Scope::between(pod, outside).as_str(), "external");
        assert_eq!(Scope::between(outside, pod).as_str(), "external");
        assert_eq!(Scope::between(pod, service).as_str(), "internal");
        assert_eq!(
            TrafficClass::between(pod, service).as_str(),
            "pod_to_service"
        );
    }
}
