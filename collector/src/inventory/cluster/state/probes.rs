//! The probes of kipfix, by node.

use super::entries::Map;
use crate::inventory::endpoint::NodeId;

/// Status of the probe on a node, by its pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProbeStatus {
    /// There is no probe on the node.
    #[default]
    Absent,
    /// No probe on the node is Ready.
    NotReady,
    /// A probe on the node is Ready.
    Ready,
}

/// The pods that are probes, by node.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Uids of the pods and whether each is Ready.
    pods: Map<NodeId, Vec<(u128, bool)>>,
    changes: Vec<(NodeId, ProbeStatus)>,
}

impl Probes {
    /// Sets whether a pod is Ready. `None` if it is not a probe.
    pub(super) fn set(&mut self, node: NodeId, pod: u128, ready: Option<bool>) {
        if ready.is_none() && !self.pods.contains_key(&node) {
            return;
        }
        let pods = self.pods.entry(node).or_default();
        let before = status(pods);
        pods.retain(|(uid, _)| *uid != pod);
        pods.extend(ready.map(|ready| (pod, ready)));
        let after = status(pods);
        if pods.is_empty() {
            self.pods.remove(&node);
        }
        if before != after {
            self.changes.push((node, after));
        }
    }

    /// Returns the nodes whose status has changed since the previous call, in order.
    pub(super) fn take_changes(&mut self) -> Vec<(NodeId, ProbeStatus)> {
        std::mem::take(&mut self.changes)
    }
}

fn status(pods: &[(u128, bool)]) -> ProbeStatus {
    if pods.is_empty() {
        ProbeStatus::Absent
    } else if pods.iter().any(|(_, ready)| *ready) {
        ProbeStatus::Ready
    } else {
        ProbeStatus::NotReady
    }
}
