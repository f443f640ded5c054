//! Addresses that nodes use for egress traffic of pods, from objects of network plugins.

use flowproto::Address;

use super::ClusterState;
use super::context::UpdateContext;
use super::entries::{EgressEntry, NodeEntry, node_key};
use super::nodes::node_begin;
use crate::inventory::cluster::fields::EgressFields;
use crate::inventory::cluster::resource_kind::ResourceKind;

impl ClusterState {
    /// An object with egress addresses was created or has changed.
    pub(super) fn egress(
        &mut self,
        kind: ResourceKind,
        fields: EgressFields,
        context: UpdateContext,
    ) {
        let uid = fields.uid;
        if let Some(known) = self.egress.get_mut(&uid) {
            known.list = context.list;
            if known.fields == fields {
                return;
            }
        }
        let before = self.egress.remove(&uid);
        if before.is_none() && self.egress.len() >= self.writer.endpoint_bound() {
            return;
        }
        let old = before.map_or_else(Vec::new, |before| before.fields.addresses);
        self.change_egress(&old, &fields.addresses, context);
        if !fields.addresses.is_empty() {
            let list = context.list;
            let entry = EgressEntry { kind, fields, list };
            self.egress.insert(uid, entry);
        }
    }

    /// An object with egress addresses was deleted.
    pub(super) fn egress_deleted(&mut self, uid: u128) {
        if let Some(egress) = self.egress.remove(&uid) {
            let context = self.change_context(egress.kind);
            self.change_egress(&egress.fields.addresses, &[], context);
        }
    }

    /// Replaces the addresses that an object gives to nodes. An address that moves to another node
    /// leaves the first one.
    fn change_egress(
        &mut self,
        old: &[(String, Address)],
        new: &[(String, Address)],
        context: UpdateContext,
    ) {
        for (node, address) in old.iter().filter(|one| !new.contains(one)) {
            self.remove_egress_address(node, *address, context.now);
        }
        for (node, address) in new.iter().filter(|one| !old.contains(one)) {
            self.add_egress_address(node, *address, context);
        }
    }

    fn add_egress_address(&mut self, name: &str, address: Address, context: UpdateContext) {
        let node = self.writer.intern(name);
        let addresses = self.egress_addresses.entry(node).or_default();
        let objects = addresses.entry(address).or_default();
        *objects += 1;
        let is_new = *objects == 1;
        let node = self.node_entry(name).filter(|_| is_new);
        // An unreachable node that has it from another object may have lost it.
        if let Some(node) = node.filter(|node| !self.has_address(node, address)) {
            let (endpoint, key) = (node.endpoint, node_key(&node.fields, address));
            let begin = node_begin(&node.fields, context);
            self.assign_key(key, endpoint, begin);
        }
    }

    fn remove_egress_address(&mut self, name: &str, address: Address, now: u64) {
        let Some(addresses) = self.egress_addresses.get_mut(name) else {
            return;
        };
        if let Some(objects) = addresses.get_mut(&address).filter(|objects| **objects > 1) {
            *objects -= 1;
            return;
        }
        addresses.remove(&address);
        if addresses.is_empty() {
            self.egress_addresses.remove(name);
        }
        let node = self.node_entry(name);
        if let Some(node) = node.filter(|node| !self.has_address(node, address)) {
            let (endpoint, key) = (node.endpoint, node_key(&node.fields, address));
            self.writer.unassign(key, endpoint, now);
        }
    }

    /// Returns whether the Node or the CiliumNode of a node has an address.
    fn has_address(&self, node: &NodeEntry, address: Address) -> bool {
        let cilium = self.cilium_nodes.get(&*node.fields.name);
        let fields = &node.fields;
        fields.addresses.contains(&address)
            || fields.annotated.contains(&address)
            || cilium.is_some_and(|(cilium, _)| cilium.addresses.contains(&address))
    }
}
