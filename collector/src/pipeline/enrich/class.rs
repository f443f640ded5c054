//! The class of traffic by the kinds of its endpoints, and whether it stays in the cluster.

use strum::{IntoStaticStr, VariantArray};

use crate::inventory::{EndpointKind, Place};

/// The kinds of the two endpoints of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficClass {
    /// Both endpoints are known to be on one node, so no observer outside the node sees the
    /// traffic. An endpoint whose node is unknown never matches.
    IntraNode,
    /// An endpoint is an address that does not leave its link.
    Link,
    /// All other traffic, by the kinds of source and destination.
    Between(EndpointKind, EndpointKind),
}

/// Whether traffic leaves the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Scope {
    /// Both endpoints belong to the cluster, or the packets do not leave their link.
    Internal,
    /// One endpoint, or both, are external.
    External,
}

impl Scope {
    /// The scope of traffic between two endpoints.
    #[must_use]
    pub fn between(source: Place, destination: Place) -> Self {
        let kinds = [source.kind, destination.kind];
        if !kinds.contains(&EndpointKind::Link) && kinds.contains(&EndpointKind::External) {
            Self::External
        } else {
            Self::Internal
        }
    }
}

/// On which side of the cluster the external endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Direction {
    /// Neither endpoint is external, or the packets do not leave their link.
    Internal,
    /// The destination is external.
    Egress,
    /// The source is external.
    Ingress,
    /// Both endpoints are external.
    Transit,
}

impl Direction {
    /// The direction of traffic between two endpoints.
    #[must_use]
    pub const fn between(source: Place, destination: Place) -> Self {
        match (source.kind, destination.kind) {
            (EndpointKind::Link, _) | (_, EndpointKind::Link) => Self::Internal,
            (EndpointKind::External, EndpointKind::External) => Self::Transit,
            (_, EndpointKind::External) => Self::Egress,
            (EndpointKind::External, _) => Self::Ingress,
            _ => Self::Internal,
        }
    }
}

impl TrafficClass {
    /// The class of traffic between two endpoints.
    #[must_use]
    pub fn between(source: Place, destination: Place) -> Self {
        let kinds = [source.kind, destination.kind];
        if kinds.contains(&EndpointKind::Link) {
            Self::Link
        } else if source.node.is_some() && source.node == destination.node {
            Self::IntraNode
        } else {
            Self::Between(source.kind, destination.kind)
        }
    }

    /// As a label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        use EndpointKind::{External, Link, Node, Pod, Service};
        match self {
            Self::IntraNode => "intra_node",
            Self::Link | Self::Between(Link, _) | Self::Between(_, Link) => "link",
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

    fn place(kind: EndpointKind, node: Option<u32>) -> Place {
        Place {
            kind,
            node: node.map(NodeId),
        }
    }

    #[test]
    fn two_endpoints_on_one_known_node_are_intra_node() {
        let (pod, node) = (
            place(EndpointKind::Pod, Some(1)),
            place(EndpointKind::Node, Some(1)),
        );
        assert_eq!(TrafficClass::between(pod, node), TrafficClass::IntraNode);
        assert_eq!(TrafficClass::between(pod, pod), TrafficClass::IntraNode);
    }

    #[test]
    fn an_unknown_node_never_matches() {
        let pod = place(EndpointKind::Pod, None);
        assert_eq!(TrafficClass::between(pod, pod).as_str(), "pod_to_pod");
    }

    #[test]
    fn one_external_endpoint_makes_the_traffic_external() {
        let pod = place(EndpointKind::Pod, Some(1));
        let external = place(EndpointKind::External, None);
        let service = place(EndpointKind::Service, None);
        assert_eq!(Scope::between(pod, external), Scope::External);
        assert_eq!(Scope::between(external, pod), Scope::External);
        assert_eq!(Scope::between(pod, service), Scope::Internal);
        assert_eq!(
            TrafficClass::between(pod, service).as_str(),
            "pod_to_service"
        );
    }

    #[test]
    fn traffic_of_a_link_is_a_class_of_its_own_and_not_external() {
        let link = place(EndpointKind::Link, None);
        for kind in [
            EndpointKind::Pod,
            EndpointKind::Node,
            EndpointKind::Service,
            EndpointKind::External,
            EndpointKind::Link,
        ] {
            let other = place(kind, Some(1));
            for (source, destination) in [(link, other), (other, link)] {
                let class = TrafficClass::between(source, destination);
                assert_eq!(class.as_str(), "link");
                assert_eq!(Scope::between(source, destination), Scope::Internal);
                let direction = Direction::between(source, destination);
                assert_eq!(direction, Direction::Internal);
            }
        }
    }
}
