//! Pods: the addresses and ports of each, and since when.

use std::sync::Arc;

use flowproto::Address;

use super::context::{Begin, UpdateContext};
use super::entries::{PodEntry, PodKeys};
use super::{ClusterState, pairs, set_endpoint};
use crate::inventory::address_key::{AddressKey, TransportPort};
use crate::inventory::cluster::fields::PodFields;
use crate::inventory::cluster::owners::{KnownWorkload, Workload};
use crate::inventory::cluster::resource_kind::ResourceKind;
use crate::inventory::endpoint::{Endpoint, EndpointId, EndpointKind, NodeId};

impl ClusterState {
    /// A pod was created or has changed.
    pub(super) fn pod(&mut self, fields: &PodFields, context: UpdateContext) {
        if let Some(field) = fields.malformed {
            let name = format!("{}/{}", fields.namespace, fields.name);
            self.health.on_malformed(ResourceKind::Pods, &name, field);
        }
        let before = self.pods.remove(&fields.uid);
        let node = self.pod_node(fields, before.as_ref().and_then(|before| before.node));
        let known = before.as_ref().map(|before| before.endpoint);
        let known = known.filter(|id| *id != EndpointId::EXTERNAL);
        let endpoint = self.pod_endpoint(fields, node, known);
        let (id, has_changed) = match (&before, known) {
            (Some(before), Some(id)) => {
                let has_changed = set_endpoint(&mut self.writer, id, endpoint);
                if has_changed {
                    self.update_ambiguous_addresses(&before.addresses);
                }
                (id, has_changed)
            }
            _ => (self.writer.add_endpoint(endpoint), true),
        };
        let (from, lead) = context.begin(fields.started);
        let begin = Begin {
            from,
            lead,
            is_yielding: self.is_yielding(fields.deletion.unwrap_or_default(), node),
            is_new: before.is_none(),
        };
        let has_addresses = !fields.is_terminated && !fields.host_network;
        let addresses: &[Address] = if has_addresses {
            &fields.addresses
        } else {
            &[]
        };
        let had = before.as_ref().map_or(&[][..], |before| &before.addresses);
        for address in had.iter().filter(|address| !addresses.contains(address)) {
            self.writer
                .unassign(AddressKey::address(*address), id, context.now);
        }
        for address in addresses {
            let key = AddressKey::address(*address);
            if !had.contains(address) {
                self.leave_to_pod(*address, from);
                self.assign_key(key, id, begin);
            } else if begin.is_yielding {
                self.writer.yield_to_next(key, id, context.now);
            } else if context.is_initial {
                // A list restores what was lost, such as for lack of room.
                self.assign_key(key, id, begin);
            }
        }
        if before.is_none() && fields.is_terminated && !fields.host_network {
            self.terminated_pod(fields, id, context.now);
        }
        let keys = pod_keys(fields, node);
        if let Some(node) = node {
            self.probes.set(node, fields.uid, fields.probe_ready);
        }
        let pod = PodEntry {
            endpoint: id,
            node,
            addresses: addresses.into(),
            deletion: fields.deletion.unwrap_or_default(),
            list: context.list,
            is_terminated: fields.is_terminated,
            is_probe: fields.probe_ready.is_some(),
        };
        self.pods.insert(fields.uid, pod);
        self.set_pod_keys(fields.uid, keys, begin, context.now);
        if has_changed {
            self.update_controlled(fields.uid);
        }
    }

    /// Returns whether the next pod gets what a pod has. `deletion`: see [`PodEntry::deletion`].
    pub(super) fn is_yielding(&self, deletion: u64, node: Option<NodeId>) -> bool {
        deletion != 0 || node.is_some_and(|node| self.is_unreachable(node))
    }

    /// The node of pods has become unreachable or reachable again, at `since` at the earliest. The
    /// address of a pod on an unreachable node can be reused before the pod is deleted. If the node
    /// is reachable again, both pods have the address.
    pub(super) fn pods_reachability(&mut self, node: NodeId, is_unreachable: bool, since: u64) {
        let pods = self.pods.iter();
        let pods = pods.filter(|(_, pod)| pod.node == Some(node) && !pod.is_terminated);
        let kept = pods.filter(|(_, pod)| is_unreachable || pod.deletion == 0);
        let mut keys: Vec<(AddressKey, EndpointId)> = Vec::new();
        for (uid, pod) in kept {
            let own = pod.addresses.iter().map(|one| AddressKey::address(*one));
            let others = self.pod_keys.get(uid).into_iter().flat_map(PodKeys::all);
            keys.extend(own.chain(others).map(|key| (key, pod.endpoint)));
        }
        for (key, endpoint) in keys {
            if is_unreachable {
                self.writer.yield_to_next(key, endpoint, since);
            } else {
                self.writer.keep(key, endpoint);
                self.writer.assign(key, endpoint, since, 0);
            }
        }
    }

    /// A pod that had terminated before it was first received had its addresses until then, if the
    /// time is known.
    fn terminated_pod(&mut self, fields: &PodFields, id: EndpointId, now: u64) {
        let Some(until) = fields.terminated else {
            return;
        };
        let until = until.clamp(fields.started, now.max(fields.started));
        for address in &fields.addresses {
            let key = AddressKey::address(*address);
            if self.writer.assignees(key).next().is_none() {
                self.writer.assign(key, id, fields.started, 0);
                self.writer.unassign(key, id, until);
            }
        }
    }

    /// Returns the node of a pod, which is acquired once for each pod.
    fn pod_node(&mut self, fields: &PodFields, before: Option<NodeId>) -> Option<NodeId> {
        if let Some(before) = before {
            if *self.writer.node_of(before).name == *fields.node {
                return Some(before);
            }
            self.writer.release_node(before);
        }
        if fields.node.is_empty() {
            return None;
        }
        self.writer.acquire_node(&fields.node)
    }

    /// `before`: the endpoint that the pod had before the update.
    fn pod_endpoint(
        &mut self,
        fields: &PodFields,
        node: Option<NodeId>,
        before: Option<EndpointId>,
    ) -> Endpoint {
        let of_owner = fields.controller.as_ref().and_then(|controller| {
            let owner = self.pods.get(&controller.uid)?.endpoint;
            let owner = self.writer.endpoint(owner);
            (*owner.namespace == *fields.namespace).then(|| Workload::of(owner))
        });
        let known = KnownWorkload {
            of_owner,
            before: before.map(|id| Workload::of(self.writer.endpoint(id))),
        };
        let workload = self.owners.workload(fields, known, &mut self.writer);
        Endpoint {
            kind: EndpointKind::Pod,
            namespace: self.writer.intern(&fields.namespace),
            name: Arc::from(fields.name.as_str()),
            workload_kind: workload.kind,
            workload_name: workload.name,
            node,
            topology: self.writer.topology(&fields.zone, &fields.region),
            labels: self.writer.labels(pairs(&fields.labels)),
            external_address: None,
        }
    }

    /// Sets the workload of a pod. Returns whether it has changed.
    pub(super) fn set_workload(&mut self, uid: u128, workload: &Workload) -> bool {
        let Some(pod) = self.pods.get(&uid) else {
            return false;
        };
        let endpoint = Endpoint {
            workload_kind: Arc::clone(&workload.kind),
            workload_name: Arc::clone(&workload.name),
            ..self.writer.endpoint(pod.endpoint).clone()
        };
        let has_changed = set_endpoint(&mut self.writer, pod.endpoint, endpoint);
        if has_changed {
            self.update_ambiguous(uid);
        }
        has_changed
    }

    /// Sets the workload of the pods that a pod controls, and of those that they control, after its
    /// own has changed.
    pub(super) fn update_controlled(&mut self, uid: u128) {
        let mut changed = vec![uid];
        while let Some(owner) = changed.pop() {
            let controlled = self.owners.controlled_by(owner).to_vec();
            let endpoint = self.pods.get(&owner).map(|pod| pod.endpoint);
            let endpoint = endpoint.filter(|id| *id != EndpointId::EXTERNAL);
            let Some(owner) = endpoint.map(|id| self.writer.endpoint(id)) else {
                continue;
            };
            let (workload, namespace) = (Workload::of(owner), Arc::clone(&owner.namespace));
            for uid in controlled {
                if self.is_in_namespace(uid, &namespace) && self.set_workload(uid, &workload) {
                    changed.push(uid);
                }
            }
        }
    }

    fn is_in_namespace(&self, uid: u128, namespace: &str) -> bool {
        let pod = self.pods.get(&uid);
        pod.is_some_and(|pod| *self.writer.endpoint(pod.endpoint).namespace == *namespace)
    }

    /// A pod was deleted, at `until` at the latest.
    pub(super) fn pod_deleted(&mut self, uid: u128, until: u64) {
        let Some(pod) = self.pods.remove(&uid) else {
            return;
        };
        for address in &pod.addresses {
            self.writer
                .unassign(AddressKey::address(*address), pod.endpoint, until);
        }
        self.remove_pod_keys(uid, pod.endpoint, until);
        self.owners.cancel_wait(uid);
        self.writer.retire_endpoint(pod.endpoint);
        if let Some(node) = pod.node {
            if pod.is_probe {
                self.probes.set(node, uid, None);
            }
            self.writer.release_node(node);
        }
    }

    /// Removes the pods that are not in the latest list.
    pub(super) fn remove_unlisted_pods(&mut self, list: u32) {
        let deleted = self.pods.iter().filter(|(_, pod)| pod.list != list);
        let deleted: Vec<(u128, u64)> = deleted.map(|(uid, pod)| (*uid, pod.deletion)).collect();
        for (uid, deletion) in deleted {
            let until = match deletion {
                0 => self.now,
                deletion => deletion.min(self.now),
            };
            self.pod_deleted(uid, until);
        }
    }

    /// Updates what several endpoints have in common, after the endpoint of a pod has changed.
    pub(super) fn update_ambiguous(&mut self, uid: u128) {
        if let Some(pod) = self.pods.get(&uid) {
            let addresses = pod.addresses.clone();
            self.update_ambiguous_addresses(&addresses);
        }
        if let Some(keys) = self.pod_keys.get(&uid) {
            for key in keys.all().collect::<Vec<_>>() {
                self.writer.update_ambiguous(key);
            }
        }
    }

    fn update_ambiguous_addresses(&mut self, addresses: &[Address]) {
        for address in addresses {
            self.writer.update_ambiguous(AddressKey::address(*address));
        }
    }
}

/// Returns the ports and claimed addresses of a pod.
fn pod_keys(fields: &PodFields, node: Option<NodeId>) -> Box<[AddressKey]> {
    if fields.is_terminated {
        return Box::default();
    }
    let port = |(address, port): &(Option<Address>, TransportPort)| match address {
        Some(address) => Some(AddressKey::port(*address, *port)),
        None => node.map(|node| AddressKey::node_port(node, *port)),
    };
    let ports = fields.ports.iter().filter_map(port);
    let claimed = fields.claimed_addresses.iter();
    ports
        .chain(claimed.map(|address| AddressKey::claimed(*address)))
        .collect()
}
