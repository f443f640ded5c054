//! Nodes: their addresses and topology, and the pod CIDRs of pods that are not reported.

use std::sync::Arc;

use super::super::fields::{CiliumNodeFields, NodeFields};
use super::super::resource_kind::ResourceKind;
use super::ClusterState;
use super::context::UpdateContext;
use super::entries::{NodeAddresses, NodeEntry};
use crate::inventory::address_key::AddressKey;
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
        let cilium = self
            .cilium_nodes
            .get(&*fields.name)
            .map(|(fields, _)| fields);
        let new = NodeAddresses::of(&fields, cilium);
        let (endpoint, pods, old) = match before {
            Some(before) => (
                before.endpoint,
                before.pods,
                NodeAddresses::of(&before.fields, cilium),
            ),
            None => (
                self.node_endpoint(id, &fields.name),
                self.unreported_pods(id),
                NodeAddresses::default(),
            ),
        };
        self.node_objects.insert(id, uid);
        let node = NodeEntry {
            id,
            endpoint,
            pods,
            fields: Box::new(fields),
            list: context.list,
        };
        self.assign_node(&node, &old, &new, context);
        self.nodes.insert(uid, node);
    }

    /// Assigns what is new of a node, and unassigns what it does not have any more.
    fn assign_node(
        &mut self,
        node: &NodeEntry,
        old: &NodeAddresses,
        new: &NodeAddresses,
        context: UpdateContext,
    ) {
        let (endpoint, pods) = (node.endpoint, node.pods);
        let (from, lead) = context.begin(node.fields.created);
        let gone = old.addresses.iter();
        for address in gone.filter(|one| !new.addresses.contains(one)) {
            self.writer
                .unassign(AddressKey::address(*address), endpoint, context.now);
        }
        for address in &new.addresses {
            self.writer
                .assign(AddressKey::address(*address), endpoint, from, lead);
        }
        let gone = old.pod_cidrs.iter();
        for cidr in gone.filter(|one| !new.pod_cidrs.contains(one)) {
            self.writer.unassign_prefix(*cidr, pods);
        }
        for cidr in &new.pod_cidrs {
            self.writer.assign_prefix(*cidr, pods, true);
        }
        let gone = old.gateways.iter();
        for gateway in gone.filter(|one| !new.gateways.contains(one)) {
            self.writer.unassign_prefix(gateway.prefix, endpoint);
        }
        for gateway in &new.gateways {
            self.writer
                .assign_prefix(gateway.prefix, endpoint, gateway.is_guess);
        }
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

    /// Adds the endpoint of the pods of a node that are known only by a pod CIDR.
    fn unreported_pods(&mut self, id: NodeId) -> EndpointId {
        let unknown = self.writer.intern(UNKNOWN);
        let endpoint = Endpoint {
            kind: EndpointKind::Pod,
            namespace: Arc::clone(&unknown),
            workload_kind: self.writer.intern("Pod"),
            workload_name: unknown,
            node: Some(id),
            ..Endpoint::default()
        };
        self.writer.add_endpoint(endpoint)
    }

    /// A Node was deleted.
    pub(super) fn node_deleted(&mut self, fields: NodeFields) {
        if let Some(node) = self.nodes.remove(&fields.uid) {
            self.remove_node(fields.uid, node);
        }
    }

    /// Ends the assignments of a node that was removed from the nodes.
    pub(super) fn remove_node(&mut self, uid: u128, node: NodeEntry) {
        let cilium = self.cilium_nodes.get(&*node.fields.name);
        let old = NodeAddresses::of(&node.fields, cilium.map(|(fields, _)| fields));
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
        let new = (fields, context.list);
        let old = self.cilium_nodes.insert(Arc::clone(&name), new);
        self.cilium_changed(&name, old.map(|(fields, _)| fields), context);
    }

    /// A CiliumNode was deleted.
    pub(super) fn cilium_node_deleted(&mut self, name: &str) {
        if let Some((old, _)) = self.cilium_nodes.remove(name) {
            let context = self.change_context(ResourceKind::CiliumNodes);
            self.cilium_changed(name, Some(old), context);
        }
    }

    fn cilium_changed(
        &mut self,
        name: &str,
        old: Option<CiliumNodeFields>,
        context: UpdateContext,
    ) {
        let id = self.writer.node_named(name);
        let uid = id.and_then(|id| self.node_objects.get(&id).copied());
        let Some((uid, node)) = uid.and_then(|uid| self.nodes.remove_entry(&uid)) else {
            return;
        };
        let new = self.cilium_nodes.get(name).map(|(fields, _)| fields);
        let new = NodeAddresses::of(&node.fields, new);
        let old = NodeAddresses::of(&node.fields, old.as_ref());
        self.assign_node(&node, &old, &new, context);
        self.nodes.insert(uid, node);
    }
}
