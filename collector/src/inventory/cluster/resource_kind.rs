//! The kinds of objects that are watched.

/// A kind of object that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// ResourceClaims (`resource.k8s.io`), for network devices of pods. Optional.
    ResourceClaims,
}

impl ResourceKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Nodes,
        Self::Pods,
        Self::Services,
        Self::EndpointSlices,
        Self::Namespaces,
        Self::ReplicaSets,
        Self::Jobs,
        Self::CiliumNodes,
        Self::ResourceClaims,
    ];

    /// Returns the name of the resource, which is also the label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Namespaces => "namespaces",
            Self::ReplicaSets => "replicasets",
            Self::Jobs => "jobs",
            Self::CiliumNodes => "ciliumnodes",
            Self::ResourceClaims => "resourceclaims",
        }
    }

    /// Returns whether a cluster may not have the kind, or not grant the right to watch it.
    #[must_use]
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::CiliumNodes | Self::ResourceClaims)
    }
}

/// One value for each kind.
#[derive(Debug, Default)]
pub(super) struct PerKind<T>([T; ResourceKind::ALL.len()]);

impl<T> PerKind<T> {
    pub(super) fn get(&self, kind: ResourceKind) -> &T {
        let [
            nodes,
            pods,
            services,
            slices,
            namespaces,
            replica_sets,
            jobs,
            cilium_nodes,
            resource_claims,
        ] = &self.0;
        match kind {
            ResourceKind::Nodes => nodes,
            ResourceKind::Pods => pods,
            ResourceKind::Services => services,
            ResourceKind::EndpointSlices => slices,
            ResourceKind::Namespaces => namespaces,
            ResourceKind::ReplicaSets => replica_sets,
            ResourceKind::Jobs => jobs,
            ResourceKind::CiliumNodes => cilium_nodes,
            ResourceKind::ResourceClaims => resource_claims,
        }
    }

    pub(super) fn get_mut(&mut self, kind: ResourceKind) -> &mut T {
        let [
            nodes,
            pods,
            services,
            slices,
            namespaces,
            replica_sets,
            jobs,
            cilium_nodes,
            resource_claims,
        ] = &mut self.0;
        match kind {
            ResourceKind::Nodes => nodes,
            ResourceKind::Pods => pods,
            ResourceKind::Services => services,
            ResourceKind::EndpointSlices => slices,
            ResourceKind::Namespaces => namespaces,
            ResourceKind::ReplicaSets => replica_sets,
            ResourceKind::Jobs => jobs,
            ResourceKind::CiliumNodes => cilium_nodes,
            ResourceKind::ResourceClaims => resource_claims,
        }
    }
}
