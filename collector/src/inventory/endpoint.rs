//! Endpoints and nodes: what an address resolves to.

use std::num::NonZeroU16;
use std::sync::Arc;

use enum_map::Enum;
use flowproto::Address;
use strum::{IntoStaticStr, VariantArray};

use super::external::ExternalId;
use super::labels::LabelSet;

/// Identifies one side of a flow. Values below [`Self::MAX_COUNT`] are positions in the endpoint
/// table of [`IndexSnapshot`](super::IndexSnapshot). Higher values are external addresses with
/// known attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u32);

impl EndpointId {
    /// An external address without known attributes.
    pub const EXTERNAL: Self = Self(0);
    /// All addresses that do not leave their link ([`EndpointKind::Link`]).
    // Edge tables use the pair of the largest numbers for an empty slot.
    pub const LINK: Self = Self(u32::MAX - 1);
    /// Exclusive upper bound of endpoint table positions.
    pub const MAX_COUNT: u32 = 1 << 31;

    /// Returns the id of an external address with these attributes.
    #[must_use]
    pub fn from_external(id: ExternalId) -> Self {
        if id == ExternalId::UNKNOWN {
            Self::EXTERNAL
        } else {
            Self(Self::MAX_COUNT | id.0)
        }
    }

    /// Returns the attributes' id of an external address. `None` for an endpoint of the cluster
    /// and for [`Self::EXTERNAL`].
    #[must_use]
    pub const fn external(self) -> Option<ExternalId> {
        match self.0.checked_sub(Self::MAX_COUNT) {
            Some(id) => Some(ExternalId(id)),
            None => None,
        }
    }
}

/// Identifies a node: a position in the node table of [`IndexSnapshot`](super::IndexSnapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub u32);

/// The kind of an endpoint. Determines the traffic class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Enum, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum EndpointKind {
    /// A pod with its own network namespace.
    Pod,
    /// A node, or a pod on the node's network.
    Node,
    /// A Service address that was not translated to a backend.
    Service,
    /// An address outside the cluster.
    #[default]
    External,
    /// An address that does not leave its link: multicast, broadcast, link-local, loopback.
    Link,
}

impl EndpointKind {
    /// Precedence between endpoints of different kinds that have the same address. The highest
    /// rank wins: a node keeps its address when a Service uses it as an external IP.
    pub(super) const fn rank(self) -> usize {
        match self {
            Self::External | Self::Link => 0,
            Self::Service => 1,
            Self::Pod => 2,
            Self::Node => 3,
        }
    }
}

/// Namespace and workload of an endpoint that stands for several workloads.
pub(super) const AMBIGUOUS: &str = "ambiguous";

/// Namespace and workload of a pod that is known only by its node's pod CIDR.
pub(super) const UNKNOWN: &str = "unknown";

/// The object that an address belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Kind of the endpoint.
    pub kind: EndpointKind,
    /// Namespace of a pod or Service. `unknown` for a pod that is known only by its node's pod
    /// CIDR. Empty for nodes and external addresses.
    pub namespace: Arc<str>,
    /// Name of the pod, node, Service or external endpoint of a Service. Empty for other external
    /// addresses and for a pod that is known only by its node's pod CIDR.
    pub name: Arc<str>,
    /// Kind of the top-level controller (`Deployment`, …), else `Pod`, `Node`, `Service` or
    /// `External`.
    pub workload_kind: Arc<str>,
    /// Name of the top-level controller. The object's own name for a bare pod, a node and a
    /// Service. `unknown` for a pod that is known only by its node's pod CIDR.
    pub workload_name: Arc<str>,
    /// Node that the endpoint is or runs on.
    pub node: Option<NodeId>,
    /// Topology from the pod's own labels. Takes precedence over that of the node.
    pub topology: Option<TopologyId>,
    /// Labels of the pod that are kept. `None` if it has none of them.
    pub labels: Option<Arc<LabelSet>>,
    /// Address of the external endpoint of a Service, whose attributes it has.
    pub external_address: Option<Box<Address>>,
}

impl Endpoint {
    /// Returns whether the workload is known. It is not for a pod that is known only by its node's
    /// pod CIDR, and if several workloads have the address.
    #[must_use]
    pub fn has_known_workload(&self) -> bool {
        !self.name.is_empty() || !matches!(&*self.workload_name, UNKNOWN | AMBIGUOUS)
    }

    /// Returns the part that is read for every record.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place {
            kind: self.kind,
            node: self.node,
        }
    }
}

/// The part of an endpoint that is read for every record. It is stored apart from the names to
/// fit more endpoints into the CPU cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Kind of the endpoint.
    pub kind: EndpointKind,
    /// Node that the endpoint is or runs on.
    pub node: Option<NodeId>,
}

impl Place {
    /// Whether an endpoint keeps an address that `other` has, too. A node that exists for a pod
    /// alone (EKS Fargate) reports the address of the pod, which keeps it.
    pub(super) fn outranks(self, other: Self) -> bool {
        let is_pod_of_node = |pod: Self, node: Self| {
            (pod.kind, node.kind) == (EndpointKind::Pod, EndpointKind::Node)
                && pod.node.is_some()
                && pod.node == node.node
        };
        if is_pod_of_node(other, self) {
            return false;
        }
        is_pod_of_node(self, other) || self.kind.rank() > other.kind.rank()
    }
}

/// Identifies a [`Topology`]: a position in the topology table of
/// [`IndexSnapshot`](super::IndexSnapshot), plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopologyId(pub NonZeroU16);

/// Topology labels of a pod. Kubernetes 1.35 copies them from the node when the pod is scheduled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Topology {
    /// Topology zone. Empty if the pod does not have the label.
    pub zone: Arc<str>,
    /// Topology region. Empty if the pod does not have the label.
    pub region: Arc<str>,
}

/// A node of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Name of the Node object. Exporters report it in 300 `observationDomainName`.
    pub name: Arc<str>,
    /// Topology zone. Empty if unknown.
    pub zone: Arc<str>,
    /// Topology region. Empty if unknown.
    pub region: Arc<str>,
    /// Node pool. Empty if the node does not have the configured label.
    pub pool: Arc<str>,
}
