//! What the watches report to the cluster state.

use kube::runtime::watcher;

use super::fields::{
    CiliumNodeFields, EgressFields, EndpointSliceFields, NamespaceFields, NodeFields, OwnerFields,
    PodFields, ResourceClaimFields, ServiceFields,
};
use super::resource_kind::ResourceKind;

/// An event of a watch.
#[derive(Debug)]
pub(super) enum WatchEvent<T> {
    /// A list of all objects starts.
    ListStart,
    /// An object of the list.
    Initial(T),
    /// The list is complete.
    ListEnd,
    /// An object was created or changed.
    Changed(T),
    /// An object was deleted.
    Deleted(T),
}

impl<T> WatchEvent<T> {
    /// The same event with `fields` of its object.
    pub(super) fn map<U>(self, fields: impl FnOnce(T) -> U) -> WatchEvent<U> {
        match self {
            Self::ListStart => WatchEvent::ListStart,
            Self::Initial(object) => WatchEvent::Initial(fields(object)),
            Self::ListEnd => WatchEvent::ListEnd,
            Self::Changed(object) => WatchEvent::Changed(fields(object)),
            Self::Deleted(object) => WatchEvent::Deleted(fields(object)),
        }
    }
}

impl<T> From<watcher::Event<T>> for WatchEvent<T> {
    fn from(event: watcher::Event<T>) -> Self {
        match event {
            watcher::Event::Init => Self::ListStart,
            watcher::Event::InitApply(object) => Self::Initial(object),
            watcher::Event::InitDone => Self::ListEnd,
            watcher::Event::Apply(object) => Self::Changed(object),
            watcher::Event::Delete(object) => Self::Deleted(object),
        }
    }
}

/// An update from the watch of one kind.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "most updates are pods, the largest ones"
)]
pub(super) enum WatchUpdate {
    /// A Node.
    Node(WatchEvent<NodeFields>),
    /// A Pod.
    Pod(WatchEvent<PodFields>),
    /// A Service.
    Service(WatchEvent<ServiceFields>),
    /// An EndpointSlice.
    EndpointSlice(WatchEvent<EndpointSliceFields>),
    /// A Namespace.
    Namespace(WatchEvent<NamespaceFields>),
    /// A ReplicaSet or Job.
    Owner(ResourceKind, WatchEvent<OwnerFields>),
    /// A CiliumNode.
    CiliumNode(WatchEvent<CiliumNodeFields>),
    /// An EgressIP or Egress.
    Egress(ResourceKind, WatchEvent<EgressFields>),
    /// A ResourceClaim.
    ResourceClaim(WatchEvent<ResourceClaimFields>),
    /// The server answers, and there is no event.
    Idle(ResourceKind),
    /// The cluster does not have the kind.
    Absent(ResourceKind),
    /// The watch failed.
    Failed {
        /// The kind that is watched.
        kind: ResourceKind,
        /// The error and its causes.
        error: String,
        /// What the error means for the kind.
        failure: WatchFailure,
    },
}

/// What the failure of a watch means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WatchFailure {
    /// The server cannot be reached, or answers with an error.
    Unavailable,
    /// The server refused the request once. It may not have loaded its roles yet.
    Refused,
    /// The server refused the request again: the right is missing.
    Forbidden,
}
