//! The labels that are read of objects.

use super::resource_kind::ResourceKind;
use crate::inventory::labels::KeptLabels;

/// The labels that are read of objects.
#[derive(Clone, Debug, Default)]
pub struct LabelSelectors {
    /// Labels that name the workload of a pod without a controller, in order of precedence.
    pub workload_labels: Vec<String>,
    /// Labels of a pod that is a probe, with their values.
    pub probe_labels: Vec<(String, String)>,
    /// Namespace of the probes. A pod in another namespace is not a probe, whatever its labels.
    pub probe_namespace: String,
    /// Labels that name the pool of a node, in order of precedence.
    pub node_pool_labels: Vec<String>,
    /// Label of a namespace with the name of its group. Empty for none.
    pub namespace_label: String,
    /// Labels of pods and namespaces that are kept.
    pub kept: KeptLabels,
}

impl LabelSelectors {
    /// Returns the kinds to watch. Namespaces are watched only for their labels.
    #[must_use]
    pub fn kinds(&self) -> Vec<ResourceKind> {
        let namespaces = !self.namespace_label.is_empty() || !self.kept.namespaces.is_empty();
        let watched = |kind: &ResourceKind| *kind != ResourceKind::Namespaces || namespaces;
        ResourceKind::ALL.iter().copied().filter(watched).collect()
    }
}
