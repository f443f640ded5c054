//! Services: their addresses, the node ports that lead to them, and the external addresses of those
//! without pods.

use std::sync::Arc;

use flowproto::Address;

use super::ClusterState;
use super::context::UpdateContext;
use super::entries::{KeyedEntry, Map};
use crate::inventory::address_key::{AddressKey, TransportPort};
use crate::inventory::cluster::fields::{EndpointSliceFields, ServiceFields};
use crate::inventory::endpoint::{Endpoint, EndpointKind};

impl ClusterState {
    /// A Service was created or has changed.
    pub(super) fn service(&mut self, fields: ServiceFields, context: UpdateContext) {
        let before = self.services.remove(&fields.uid);
        let before = before.unwrap_or_else(|| {
            let name = self.writer.intern(&fields.name);
            let endpoint = Endpoint {
                kind: EndpointKind::Service,
                namespace: self.writer.intern(&fields.namespace),
                workload_kind: self.writer.intern("Service"),
                workload_name: Arc::clone(&name),
                name,
                ..Endpoint::default()
            };
            KeyedEntry::of(self.writer.add_endpoint(endpoint))
        });
        let entry = self.replace_keys(before, service_keys(&fields), fields.created, context);
        self.services.insert(fields.uid, entry);
    }

    /// A Service was deleted.
    pub(super) fn service_deleted(&mut self, uid: u128) {
        let deleted = self.services.remove(&uid);
        self.remove_keys(deleted);
    }

    /// An EndpointSlice was created or has changed. Its external addresses have the DNS name of the
    /// Service. Each of them is an endpoint, because their attributes can differ.
    pub(super) fn slice(&mut self, fields: EndpointSliceFields, context: UpdateContext) {
        let mut before = self.slices.remove(&fields.uid).unwrap_or_default();
        let mut entries = Map::default();
        if !fields.dns_name.is_empty() {
            for address in &fields.addresses {
                let entry = before
                    .remove(address)
                    .unwrap_or_else(|| self.external_entry(&fields.dns_name, *address));
                let keys = external_keys(*address, &fields.ports);
                let entry = self.replace_keys(entry, keys, fields.created, context);
                entries.insert(*address, entry);
            }
        }
        self.remove_external(before);
        if !entries.is_empty() {
            self.slices.insert(fields.uid, entries);
        }
    }

    /// An EndpointSlice was deleted.
    pub(super) fn slice_deleted(&mut self, uid: u128) {
        let deleted = self.slices.remove(&uid);
        self.remove_external(deleted.unwrap_or_default());
    }

    fn external_entry(&mut self, dns_name: &str, address: Address) -> KeyedEntry {
        let name = self.writer.intern(dns_name);
        let endpoint = Endpoint {
            kind: EndpointKind::External,
            workload_kind: self.writer.intern("External"),
            workload_name: Arc::clone(&name),
            name,
            external_address: Some(Box::new(address)),
            ..Endpoint::default()
        };
        KeyedEntry::of(self.writer.add_endpoint(endpoint))
    }

    fn remove_external(&mut self, deleted: Map<Address, KeyedEntry>) {
        for entry in deleted.into_values() {
            self.remove_keys(Some(entry));
        }
    }

    fn replace_keys(
        &mut self,
        before: KeyedEntry,
        keys: Box<[AddressKey]>,
        created: u64,
        context: UpdateContext,
    ) -> KeyedEntry {
        let endpoint = before.endpoint;
        for key in before.keys.iter().filter(|key| !keys.contains(key)) {
            self.writer.unassign(*key, endpoint, self.now);
        }
        let (from, lead) = context.begin(created);
        for key in &keys {
            self.writer.assign(*key, endpoint, from, lead);
        }
        KeyedEntry {
            endpoint,
            keys,
            list: context.list,
        }
    }

    fn remove_keys(&mut self, deleted: Option<KeyedEntry>) {
        let Some(deleted) = deleted else {
            return;
        };
        for key in deleted.keys {
            self.writer.unassign(key, deleted.endpoint, self.now);
        }
        self.writer.retire_endpoint(deleted.endpoint);
    }
}

/// Returns the addresses and node ports of a Service, and its ports on addresses that a node or
/// another Service can have too.
fn service_keys(fields: &ServiceFields) -> Box<[AddressKey]> {
    let addresses = fields.addresses.iter().copied().map(AddressKey::address);
    let shared = fields.shared_addresses.iter();
    let shared = shared.flat_map(|address| {
        let ports = fields.ports.iter();
        ports.map(|port| AddressKey::port(*address, *port))
    });
    let node_ports = fields.node_ports.iter().copied();
    addresses
        .chain(shared)
        .chain(node_ports.map(AddressKey::any_node_port))
        .collect()
}

/// Returns an external address of a Service, and its ports on it: another Service can lead to the
/// same address.
fn external_keys(address: Address, ports: &[TransportPort]) -> Box<[AddressKey]> {
    let ports = ports.iter().map(|port| AddressKey::port(address, *port));
    ports.chain([AddressKey::address(address)]).collect()
}
