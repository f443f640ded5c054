//! The kinds of objects that are watched.

use enum_map::Enum;
use strum::{Display, IntoStaticStr, VariantArray};

/// A kind of object that is watched. As text it is the name of the resource, which is also the
/// label value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Display, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum ResourceKind {
    /// Nodes.
    Nodes,
    /// Pods.
    Pods,
    /// Services.
    Services,
    /// EndpointSlices, for Services without pods.
    EndpointSlices,
    /// Namespaces, metadata only. Watched only if a label of theirs is configured.
    Namespaces,
    /// ReplicaSets, metadata only.
    ReplicaSets,
    /// Jobs, metadata only.
    Jobs,
    /// CiliumNodes (`cilium.io`), for the addresses that Cilium gives to nodes. Optional.
    CiliumNodes,
    /// EgressIPs (`k8s.ovn.org`), for the addresses of egress traffic that OVN-Kubernetes gives to
    /// nodes. Optional.
    EgressIps,
    /// Egresses (`crd.antrea.io`), for those that Antrea gives to nodes. Optional.
    Egresses,
    /// ResourceClaims (`resource.k8s.io`), for network devices of pods. Optional.
    ResourceClaims,
}

impl ResourceKind {
    /// All kinds.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Returns whether a cluster may not have the kind, or not grant the right to watch it.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        matches!(
            self,
            Self::CiliumNodes | Self::EgressIps | Self::Egresses | Self::ResourceClaims
        )
    }
}
