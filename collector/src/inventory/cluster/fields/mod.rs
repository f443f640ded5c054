//! The fields that are read of Kubernetes objects. Other fields are skipped while an object is
//! parsed.

mod cilium_node;
mod egress;
mod endpoint_slice;
mod gateway;
mod metadata;
mod node;
mod node_annotations;
mod parse;
mod pod;
mod pod_networks;
mod resource_claim;
mod service;

pub(super) use cilium_node::CiliumNodeFields;
pub(super) use egress::EgressFields;
pub(super) use endpoint_slice::{EndpointSlice, EndpointSliceFields};
pub(super) use gateway::Gateway;
pub(super) use metadata::{NamespaceFields, OwnerFields};
pub(super) use node::{Node, NodeFields};
#[cfg(test)]
pub(super) use parse::Controller;
pub(super) use pod::{Pod, PodFields};
pub(super) use resource_claim::ResourceClaimFields;
pub(super) use service::{Service, ServiceFields};
