//! What is read of Kubernetes objects, and nothing else: the rest is skipped while it is parsed, and
//! what is kept is made out of this at once.

mod node;
mod pod;
mod service;

use flowproto::Address;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::super::address_history::TransportPort;
use super::health::ResourceKind;
pub(super) use node::{Node, NodeFields};
pub(super) use pod::{Pod, PodFields};
pub(super) use service::{EndpointSliceFields, Service, ServiceFields, Slice};

/// What must be known to read an object.
#[derive(Clone, Debug)]
pub struct LabelSelectors {
    /// Labels that name the workload of a pod without a controller.
    pub workload_labels: Vec<String>,
    /// Labels of a pod that is a probe.
    pub probe_labels: Vec<(String, String)>,
    /// Label of a node that names its pool; empty for none.
    pub node_pool_label: String,
    /// Label of a namespace that names the group it belongs to; empty for none: then no namespace is
    /// asked for.
    pub namespace_label: String,
}

impl LabelSelectors {
    /// What is watched. What is not read needs no right.
    #[must_use]
    pub fn kinds(&self) -> Vec<ResourceKind> {
        let namespaces = !self.namespace_label.is_empty();
        let watched = |kind: &ResourceKind| *kind != ResourceKind::Namespaces || namespaces;
        ResourceKind::ALL.into_iter().filter(watched).collect()
    }
}

/// The controller of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Controller {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
}

fn controller(metadata: &ObjectMeta) -> Option<Controller> {
    let owners = metadata.owner_references.as_deref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(Controller {
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    })
}

fn milliseconds(time: &Time) -> Option<u64> {
    u64::try_from(time.0.as_millisecond()).ok()
}

fn address(text: &str) -> Option<Address> {
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    let ip: std::net::IpAddr = text.trim().parse().ok()?;
    (!ip.is_unspecified()).then(|| Address::from(ip))
}

fn port(protocol: &str, port: i32) -> Option<TransportPort> {
    let protocol = match protocol {
        "" | "TCP" => 6,
        "UDP" => 17,
        "SCTP" => 132,
        _ => return None,
    };
    TransportPort::new(protocol, u16::try_from(port).ok()?)
}

fn once<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut out: Vec<T> = Vec::new();
    for value in values {
        if !out.contains(&value) {
            out.push(value);
        }
    }
    out
}

//------------ Owners and namespaces, of which only metadata is read -----------------------------

/// What is kept of what stands between a pod and its top controller.
#[derive(Clone, Debug)]
pub(super) struct OwnerFields {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) controller: Option<Controller>,
}

impl OwnerFields {
    pub(super) fn of(metadata: ObjectMeta) -> Self {
        Self {
            controller: controller(&metadata),
            uid: metadata.uid.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}

/// What is kept of a namespace.
#[derive(Clone, Debug)]
pub(super) struct NamespaceFields {
    pub(super) name: String,
    /// Empty where its label is absent.
    pub(super) group: String,
}

impl NamespaceFields {
    pub(super) fn of(mut metadata: ObjectMeta, selectors: &LabelSelectors) -> Self {
        let labels = metadata.labels.as_mut();
        Self {
            group: labels
                .and_then(|labels| labels.remove(&selectors.namespace_label))
                .unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}
