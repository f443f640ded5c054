//! Nodes: their addresses and topology, and the pod CIDRs of pods that are not reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowproto::Address;

use super::context::{Begin, UpdateContext};
use super::entries::{NodeAddresses, NodeEntry};
use super::{ClusterState, set_endpoint};
use crate::inventory::address_key::AddressKey;
use crate::inventory::cluster::fields::{CiliumNodeFields, NodeFields};
use crate::inventory::cluster::resource_kind::ResourceKind;
use crate::inventory::endpoint::{Endpoint, EndpointId, EndpointKind, Node, NodeId, UNKNOWN};

impl ClusterState {
    /// A Node was created or has changed.
    pub(super) fn node(&mut self, fields: NodeFields, context: UpdateContext) {
        let uid = fields.uid;
        if let Some(node) = self.nodes.get_mut(&uid) {
            node.list = context.list;
            // Most updates of a node are heartbeats.
            if *node.fields == fields && !context.is_initial {
                return;
            }
        }
        if let Some(field) = fields.malformed {
            self.health
                .on_malformed(ResourceKind::Nodes, &fields.name, field);
        }
        let before = self.nodes.remove(&uid);
        let was_unreachable = before
            .as_ref()
            .is_some_and(|node| node.fields.is_unreachable);
        let id = match &before {
            Some(before) => before.id,
            None => match self.writer.acquire_node(&fields.name) {
                Some(id) => id,
                None => return,
            },
        };
        let node = Node {
            name: self.writer.intern(&fields.name),
            zone: self.writer.intern(&fields.zone),
            region: self.writer.intern(&fields.region),
            pool: self.writer.intern(&fields.pool),
        };
        self.writer.set_node(id, node);
        let new = self.addresses_of(&fields);
        let (endpoint, pods, old) = match before {
            Some(before) => {
                let old = self.addresses_of(&before.fields);
                (before.endpoint, before.pods, old)
            }
            None => {
                let pods = self.unreported_pods(Some(id));
                (
                    self.node_endpoint(id, &fields.name),
                    self.writer.add_endpoint(pods),
                    NodeAddresses::default(),
                )
            }
        };
        self.node_objects.insert(id, uid);
        let is_unreachable = fields.is_unreachable;
        let node = NodeEntry {
            id,
            endpoint,
            pods,
            fields: Box::new(fields),
            list: context.list,
        };
        self.assign_node(&node, &old, &new, context);
        self.nodes.insert(uid, node);
        if was_unreachable && !is_unreachable {
            for key in new.keys {
                self.writer.keep(key, endpoint);
            }
        }
        if is_unreachable || was_unreachable {
            self.pods_reachability(id, is_unreachable, context.since());
        }
    }

    /// Returns whether a node is known to be unreachable.
    pub(super) fn is_unreachable(&self, node: NodeId) -> bool {
        let uid = self.node_objects.get(&node);
        let node = uid.and_then(|uid| self.nodes.get(uid));
        node.is_some_and(|node| node.fields.is_unreachable)
    }

    /// Assigns what is new of a node, and unassigns what it does not have any more. An unreachable
    /// node leaves what it had to the next one, and does not get it back.
    fn assign_node(
        &mut self,
        node: &NodeEntry,
        old: &NodeAddresses,
        new: &NodeAddresses,
        context: UpdateContext,
    ) {
        let (endpoint, pods) = (node.endpoint, node.pods);
        let begin = node_begin(&node.fields, context);
        for key in old.keys.difference(&new.keys) {
            self.writer.unassign(*key, endpoint, context.now);
        }
        for key in &new.keys {
            if new.annotated.contains(key) && self.has_pod(*key) {
                continue;
            }
            if begin.is_yielding && old.keys.contains(key) {
                self.writer.yield_to_next(*key, endpoint, context.since());
            } else {
                self.assign_key(*key, endpoint, begin);
            }
        }
        let gone = old.pod_cidrs.iter();
        for cidr in gone.filter(|one| !new.pod_cidrs.contains(one)) {
            self.writer.unassign_prefix(*cidr, pods);
        }
        for cidr in &new.pod_cidrs {
            self.writer.assign_prefix(*cidr, pods, true);
        }
        let unreported = self.unreported_pods((!new.ignores_pod_cidrs).then_some(node.id));
        set_endpoint(&mut self.writer, pods, unreported);
        let gone = old.gateways.iter();
        for gateway in gone.filter(|one| !new.gateways.contains(one)) {
            self.writer.unassign_prefix(gateway.prefix, endpoint);
        }
        for gateway in &new.gateways {
            self.writer
                .assign_prefix(gateway.prefix, endpoint, gateway.is_guess);
        }
    }

    fn has_pod(&self, key: AddressKey) -> bool {
        let mut assignees = self.writer.assignees(key);
        assignees.any(|id| self.writer.endpoint(id).kind == EndpointKind::Pod)
    }

    /// A pod reports an address from `until` on. A node that has it only by an annotation does not
    /// have it any more.
    pub(super) fn leave_to_pod(&mut self, address: Address, until: u64) {
        let key = AddressKey::address(address);
        let is_annotated = |id: &EndpointId| {
            let node = self.writer.endpoint(*id).node;
            let uid = node.and_then(|node| self.node_objects.get(&node));
            let node = uid.and_then(|uid| self.nodes.get(uid));
            node.is_some_and(|node| {
                node.endpoint == *id && self.addresses_of(&node.fields).annotated.contains(&key)
            })
        };
        let node = self.writer.assignees(key).find(is_annotated);
        if let Some(node) = node {
            self.writer.unassign(key, node, until);
        }
    }

    /// Returns the node with this name.
    pub(super) fn node_entry(&self, name: &str) -> Option<&NodeEntry> {
        let id = self.writer.node_named(name)?;
        let uid = self.node_objects.get(&id)?;
        self.nodes.get(uid)
    }

    /// Returns the addresses of a node from all objects.
    fn addresses_of(&self, node: &NodeFields) -> NodeAddresses {
        let cilium = self.cilium_nodes.get(&*node.name);
        let egress = self.egress_addresses.get(&*node.name);
        let egress = egress.into_iter().flat_map(BTreeMap::keys);
        NodeAddresses::of(node, cilium.map(|(fields, _)| fields), egress)
    }

    fn node_endpoint(&mut self, id: NodeId, name: &str) -> EndpointId {
        let name = self.writer.intern(name);
        let endpoint = Endpoint {
            kind: EndpointKind::Node,
            workload_kind: self.writer.intern("Node"),
            workload_name: Arc::clone(&name),
            name,
            node: Some(id),
            ..Endpoint::default()
        };
        self.writer.add_endpoint(endpoint)
    }

    /// Returns the endpoint for unreported pods of a pod CIDR. `node`: the node of that CIDR, if
    /// pods use it.
    fn unreported_pods(&mut self, node: Option<NodeId>) -> Endpoint {
        let unknown = self.writer.intern(UNKNOWN);
        Endpoint {
            kind: EndpointKind::Pod,
            namespace: Arc::clone(&unknown),
            workload_kind: self.writer.intern("Pod"),
            workload_name: unknown,
            node,
            ..Endpoint::default()
        }
    }

    /// A Node was deleted.
    pub(super) fn node_deleted(&mut self, fields: NodeFields) {
        if let Some(node) = self.nodes.remove(&fields.uid) {
            self.remove_node(fields.uid, node);
        }
    }

    /// Ends the assignments of a node that was removed from the nodes.
    pub(super) fn remove_node(&mut self, uid: u128, node: NodeEntry) {
        let old = self.addresses_of(&node.fields);
        let context = self.change_context(ResourceKind::Nodes);
        self.assign_node(&node, &old, &NodeAddresses::default(), context);
        // A node with this name may have been created again already.
        if self.node_objects.get(&node.id) == Some(&uid) {
            self.node_objects.remove(&node.id);
        }
        self.writer.release_node(node.id);
        self.writer.retire_endpoint(node.endpoint);
        self.writer.retire_endpoint(node.pods);
    }

    /// A CiliumNode was created or has changed.
    pub(super) fn cilium_node(&mut self, fields: CiliumNodeFields, context: UpdateContext) {
        let name = self.writer.intern(&fields.name);
        let is_full = self.cilium_nodes.len() >= self.writer.endpoint_bound();
        match self.cilium_nodes.get_mut(&name) {
            Some((known, list)) if *known == fields => {
                *list = context.list;
                return;
            }
            None if is_full => return,
            _ => {}
        }
        self.change_node(&name, context, |state| {
            let new = (fields, context.list);
            state.cilium_nodes.insert(Arc::clone(&name), new);
        });
    }

    /// A CiliumNode was deleted.
    pub(super) fn cilium_node_deleted(&mut self, name: &str) {
        let context = self.change_context(ResourceKind::CiliumNodes);
        self.change_node(name, context, |state| {
            state.cilium_nodes.remove(name);
        });
    }

    /// Changes what another object adds to a node, and the assignments that follow from it.
    fn change_node(&mut self, name: &str, context: UpdateContext, change: impl FnOnce(&mut Self)) {
        let uid = self.node_entry(name).map(|node| node.fields.uid);
        let Some((uid, node)) = uid.and_then(|uid| self.nodes.remove_entry(&uid)) else {
            change(self);
            return;
        };
        let old = self.addresses_of(&node.fields);
        change(self);
        let new = self.addresses_of(&node.fields);
        self.assign_node(&node, &old, &new, context);
        self.nodes.insert(uid, node);
    }
}

/// Returns since when a node has what is new in an update.
pub(super) fn node_begin(node: &NodeFields, context: UpdateContext) -> Begin {
    let (from, lead) = context.begin(node.created);
    Begin {
        from,
        lead,
        is_yielding: node.is_unreachable,
        is_new: false,
    }
}
