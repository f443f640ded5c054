//! The objects of the cluster, by uid, and what each of them has in the index.
//!
//! This is a state machine without I/O: updates and times are arguments, and the index is the
//! result.

mod claims;
mod context;
mod egress;
mod entries;
mod nodes;
mod pods;
mod probes;
mod services;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use flowproto::Address;

use super::fields::{CiliumNodeFields, NamespaceFields, OwnerFields};
use super::health::WatchHealth;
use super::owners::{Owners, Workload};
use super::resource_kind::ResourceKind;
use super::update::{WatchEvent, WatchUpdate};
use crate::inventory::address_key::AddressKey;
use crate::inventory::clock_reading::ClockReading;
use crate::inventory::endpoint::{Endpoint, EndpointId, NodeId};
use crate::inventory::writer::IndexWriter;
use context::{Begin, ListState, UpdateContext};
use entries::{EgressEntry, KeyedEntry, Map, NodeEntry, PodEntry, PodKeys, ResourceClaim};
use enum_map::EnumMap;
pub use probes::ProbeStatus;
use probes::Probes;

/// The objects of the cluster.
#[derive(Debug)]
pub(super) struct ClusterState {
    writer: IndexWriter,
    health: Arc<WatchHealth>,
    /// Wall clock, milliseconds since the epoch.
    now: u64,
    lists: EnumMap<ResourceKind, ListState>,
    pods: Map<u128, PodEntry>,
    /// Ports and claimed addresses of pods that have any.
    pod_keys: Map<u128, PodKeys>,
    nodes: Map<u128, NodeEntry>,
    /// CiliumNodes by the name of the Node, with the number of the latest list with each.
    cilium_nodes: Map<Arc<str>, (CiliumNodeFields, u32)>,
    egress: Map<u128, EgressEntry>,
    /// Egress addresses by the name of the Node, with the number of objects that have each.
    egress_addresses: Map<Arc<str>, BTreeMap<Address, usize>>,
    /// The Node object of each node.
    node_objects: Map<NodeId, u128>,
    services: Map<u128, KeyedEntry>,
    slices: Map<u128, Map<Address, KeyedEntry>>,
    claims: Map<u128, ResourceClaim>,
    /// Namespaces and the number of the latest list with each.
    namespaces: Map<Arc<str>, u32>,
    owners: Owners,
    probes: Probes,
    complete: bool,
}

impl ClusterState {
    /// Creates the state of a cluster without objects.
    pub(super) fn new(writer: IndexWriter, health: Arc<WatchHealth>) -> Self {
        Self {
            writer,
            health,
            now: 0,
            lists: EnumMap::default(),
            pods: Map::default(),
            pod_keys: Map::default(),
            nodes: Map::default(),
            cilium_nodes: Map::default(),
            egress: Map::default(),
            egress_addresses: Map::default(),
            node_objects: Map::default(),
            services: Map::default(),
            slices: Map::default(),
            claims: Map::default(),
            namespaces: Map::default(),
            owners: Owners::default(),
            probes: Probes::default(),
            complete: false,
        }
    }

    /// Returns the index.
    pub(super) const fn writer(&mut self) -> &mut IndexWriter {
        &mut self.writer
    }

    /// Returns whether the initial lists are loaded.
    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Sets the clocks.
    pub(super) const fn set_now(&mut self, now: ClockReading) {
        self.now = now.wall_milliseconds;
        self.writer.set_now(now);
    }

    /// Applies an update. Returns the nodes with another probe status, in order.
    pub(super) fn apply(&mut self, update: WatchUpdate) -> Vec<(NodeId, ProbeStatus)> {
        use ResourceKind as Kind;
        match update {
            WatchUpdate::Node(event) => {
                self.event(Kind::Nodes, event, Self::node, Self::node_deleted);
            }
            WatchUpdate::Pod(event) => self.event(
                Kind::Pods,
                event,
                |state, pod, context| state.pod(&pod, context),
                |state, pod| state.pod_deleted(pod.uid, state.now),
            ),
            WatchUpdate::Service(event) => {
                self.event(Kind::Services, event, Self::service, |state, service| {
                    state.service_deleted(service.uid);
                });
            }
            WatchUpdate::EndpointSlice(event) => {
                self.event(Kind::EndpointSlices, event, Self::slice, |state, slice| {
                    state.slice_deleted(slice.uid);
                });
            }
            WatchUpdate::Namespace(event) => self.event(
                Kind::Namespaces,
                event,
                |state, namespace, context| state.namespace(&namespace, context.list),
                |state, namespace| state.namespace_deleted(&namespace.name),
            ),
            WatchUpdate::Owner(kind, event) => self.event(
                kind,
                event,
                |state, owner, context| state.owner(kind, &owner, context.list),
                |state, owner| state.owners.remove(owner.uid),
            ),
            WatchUpdate::CiliumNode(event) => self.event(
                Kind::CiliumNodes,
                event,
                Self::cilium_node,
                |state, node| state.cilium_node_deleted(&node.name),
            ),
            WatchUpdate::Egress(kind, event) => self.event(
                kind,
                event,
                |state, egress, context| state.egress(kind, egress, context),
                |state, egress| state.egress_deleted(egress.uid),
            ),
            WatchUpdate::ResourceClaim(event) => self.event(
                Kind::ResourceClaims,
                event,
                Self::resource_claim,
                |state, claim| state.resource_claim_deleted(claim.uid),
            ),
            WatchUpdate::Idle(kind) => self.health.on_idle(kind, self.now),
            WatchUpdate::Absent(kind) => self.health.on_absent(kind),
            WatchUpdate::Failed {
                kind,
                error,
                failure,
            } => {
                self.health.on_failure(kind, &error, failure, self.now);
                self.lists[kind].on_failure(self.now);
            }
        }
        if !self.complete && self.health.is_complete() {
            self.complete = true;
            self.writer.set_complete();
            tracing::info!(
                nodes = self.nodes.len(),
                pods = self.pods.len(),
                services = self.services.len(),
                owners = self.owners.len(),
                "initial list of all watched kinds complete"
            );
        }
        self.probes.take_changes()
    }

    /// Returns the context of a change that is received now.
    fn change_context(&self, kind: ResourceKind) -> UpdateContext {
        self.lists[kind].of_change(self.now)
    }

    fn event<T>(
        &mut self,
        kind: ResourceKind,
        event: WatchEvent<T>,
        mut apply: impl FnMut(&mut Self, T, UpdateContext),
        mut delete: impl FnMut(&mut Self, T),
    ) {
        let now = self.now;
        let lists = &mut self.lists[kind];
        match event {
            WatchEvent::ListStart => {
                lists.on_list_start();
                return;
            }
            WatchEvent::Initial(object) => {
                let context = lists.of_initial(now);
                apply(self, object, context);
            }
            WatchEvent::ListEnd => {
                lists.on_list_end(now);
                let number = lists.number;
                self.remove_unlisted(kind, number);
                self.health.on_list(kind, now);
                return;
            }
            WatchEvent::Changed(object) => {
                lists.on_event(now);
                let context = lists.of_change(now);
                apply(self, object, context);
            }
            WatchEvent::Deleted(object) => {
                lists.on_event(now);
                delete(self, object);
            }
        }
        self.health.on_object(kind, now);
    }

    /// Removes the objects that are not in the latest list: they were deleted while the watch was
    /// down.
    fn remove_unlisted(&mut self, kind: ResourceKind, list: u32) {
        match kind {
            ResourceKind::Nodes => {
                let deleted = self.nodes.extract_if(|_, node| node.list != list);
                for (uid, node) in deleted.collect::<Vec<_>>() {
                    self.remove_node(uid, node);
                }
            }
            ResourceKind::Pods => self.remove_unlisted_pods(list),
            ResourceKind::Services => {
                for uid in unlisted(&self.services, |service| service.list != list) {
                    self.service_deleted(uid);
                }
            }
            ResourceKind::EndpointSlices => {
                for uid in unlisted(&self.slices, |slice| {
                    slice.values().all(|one| one.list != list)
                }) {
                    self.slice_deleted(uid);
                }
            }
            ResourceKind::Namespaces => {
                for name in unlisted(&self.namespaces, |of| *of != list) {
                    self.namespace_deleted(&name);
                }
            }
            ResourceKind::ReplicaSets | ResourceKind::Jobs => {
                self.owners.remove_unlisted(kind, list);
            }
            ResourceKind::CiliumNodes => {
                for name in unlisted(&self.cilium_nodes, |(_, of)| *of != list) {
                    self.cilium_node_deleted(&name);
                }
            }
            ResourceKind::EgressIps | ResourceKind::Egresses => {
                for uid in unlisted(&self.egress, |one| one.kind == kind && one.list != list) {
                    self.egress_deleted(uid);
                }
            }
            ResourceKind::ResourceClaims => {
                for uid in unlisted(&self.claims, |claim| claim.list != list) {
                    self.resource_claim_deleted(uid);
                }
            }
        }
    }

    /// Assigns a key to the endpoint of a pod or node.
    fn assign_key(&mut self, key: AddressKey, endpoint: EndpointId, begin: Begin) {
        let Begin { from, lead, .. } = begin;
        if begin.is_yielding {
            self.writer.assign_yielding(key, endpoint, from, lead);
        } else {
            self.writer.assign(key, endpoint, from, lead);
        }
    }

    //------------ Owners ------------------------------------------------------------------------

    fn owner(&mut self, kind: ResourceKind, fields: &OwnerFields, list: u32) {
        let bound = self.writer.endpoint_bound();
        let update = self
            .owners
            .update(kind, fields, list, bound, &mut self.writer);
        let Some(top) = self.owners.top(fields.uid) else {
            return;
        };
        let mut pods = update.waiting;
        if let Some(before) = update.replaced {
            pods.extend(self.pods_of_owner(fields, &before));
        }
        for uid in pods {
            if self.set_workload(uid, &top) {
                self.update_controlled(uid);
            }
        }
    }

    /// Returns the pods of an owner that is adopted or released, by their names and the workload
    /// that they had. This is rare, so all pods are searched.
    fn pods_of_owner(&self, owner: &OwnerFields, before: &Workload) -> Vec<u128> {
        let prefix = format!("{}-", owner.name);
        // The server appends five characters to the prefix, and cuts it to have 63.
        let prefix = prefix.get(..58).unwrap_or(&prefix);
        let pods = self.pods.iter();
        let pods = pods.filter(|(_, pod)| {
            let pod = self.writer.endpoint(pod.endpoint);
            *pod.namespace == *owner.namespace
                && pod.name.starts_with(prefix)
                && Workload::of(pod) == *before
        });
        pods.map(|(uid, _)| *uid).collect()
    }

    //------------ Namespaces --------------------------------------------------------------------

    fn namespace(&mut self, fields: &NamespaceFields, list: u32) {
        let name = self.writer.intern(&fields.name);
        let labels = self.writer.labels(pairs(&fields.labels));
        let has_group = self.writer.set_namespace_group(&name, &fields.group);
        if self.writer.set_namespace_labels(&name, labels) && has_group {
            self.namespaces.insert(name, list);
        }
    }

    fn namespace_deleted(&mut self, name: &str) {
        self.namespaces.remove(name);
        self.writer.set_namespace_group(name, "");
        self.writer.set_namespace_labels(name, None);
    }
}

fn pairs(labels: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    let labels = labels.iter();
    labels.map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Returns the keys of the objects that are not in a list.
fn unlisted<K: Clone, T>(objects: &Map<K, T>, is_unlisted: impl Fn(&T) -> bool) -> Vec<K> {
    let unlisted = objects.iter().filter(|(_, object)| is_unlisted(object));
    unlisted.map(|(key, _)| key.clone()).collect()
}

/// Replaces an endpoint if it has changed. Most updates of a pod change only its status.
fn set_endpoint(writer: &mut IndexWriter, id: EndpointId, endpoint: Endpoint) -> bool {
    let has_changed = id != EndpointId::EXTERNAL && *writer.endpoint(id) != endpoint;
    if has_changed {
        writer.set_endpoint(id, endpoint);
    }
    has_changed
}
