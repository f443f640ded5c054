//! The fields of objects of which only metadata is read: ReplicaSets, Jobs and Namespaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::parse::{Controller, controller, kept_labels, label};
use crate::inventory::cluster::selectors::LabelSelectors;
use crate::inventory::cluster::uid::uid;

/// The fields of an object between a pod and its top-level controller.
#[derive(Clone, Debug)]
pub(in super::super) struct OwnerFields {
    pub(in super::super) uid: u128,
    pub(in super::super) namespace: String,
    pub(in super::super) name: String,
    pub(in super::super) controller: Option<Controller>,
}

impl OwnerFields {
    pub(in super::super) fn of(metadata: ObjectMeta) -> Self {
        Self {
            controller: controller(&metadata),
            uid: uid(metadata.uid.as_deref().unwrap_or_default()),
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
        }
    }
}

/// The fields of a Namespace.
#[derive(Clone, Debug)]
pub(in super::super) struct NamespaceFields {
    pub(in super::super) name: String,
    /// Empty if the namespace does not have the label.
    pub(in super::super) group: String,
    /// Labels that are kept.
    pub(in super::super) labels: Vec<(String, String)>,
}

impl NamespaceFields {
    pub(in super::super) fn of(metadata: ObjectMeta, selectors: &LabelSelectors) -> Self {
        let group = label(&metadata, &selectors.namespace_label).cloned();
        Self {
            group: group.unwrap_or_default(),
            labels: kept_labels(&metadata, &selectors.kept.namespaces),
            name: metadata.name.unwrap_or_default(),
        }
    }
}
