//! Addresses that nodes use for egress traffic of pods, from objects of network plugins.

use std::sync::Arc;

use flowproto::Address;

use super::super::fields::EgressFields;
use super::super::resource_kind::ResourceKind;
use super::ClusterState;
use super::context::UpdateContext;
use super::entries::EgressEntry;

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
        self.change_egress(uid, &old, &fields.addresses, context);
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
            self.change_egress(uid, &egress.fields.addresses, &[], context);
        }
    }

    /// Replaces the addresses that an object gives to nodes. An address that moves to another node
    /// leaves the first one.
    fn change_egress(
        &mut self,
        uid: u128,
        old: &[(String, Address)],
        new: &[(String, Address)],
        context: UpdateContext,
    ) {
        for (node, address) in old.iter().filter(|one| !new.contains(one)) {
            self.change_node(node, context, |state| {
                let Some(addresses) = state.egress_addresses.get_mut(node.as_str()) else {
                    return;
                };
                addresses.retain(|one| *one != (uid, *address));
                if addresses.is_empty() {
                    state.egress_addresses.remove(node.as_str());
                }
            });
        }
        for (node, address) in new.iter().filter(|one| !old.contains(one)) {
            let name: Arc<str> = self.writer.intern(node);
            self.change_node(node, context, |state| {
                let addresses = state.egress_addresses.entry(name).or_default();
                addresses.push((uid, *address));
            });
        }
    }
}
