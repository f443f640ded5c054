//! Services in the writer: their virtual addresses, the ports that nodes open for them, and the
//! addresses outside that they lead to.

use std::sync::Arc;

use super::super::super::address_history::AddressKey;
use super::super::super::snapshot::{Endpoint, EndpointId, EndpointKind};
use super::super::fields::{EndpointSliceFields, ServiceFields};
use super::super::uid;
use super::{State, UpdateContext};

#[derive(Debug)]
pub(super) struct Service {
    pub(super) endpoint: EndpointId,
    pub(super) fields: ServiceFields,
    pub(super) list: u32,
}

/// The addresses outside of a Service.
#[derive(Debug)]
pub(super) struct Slice {
    endpoint: EndpointId,
    fields: EndpointSliceFields,
    pub(super) list: u32,
}

impl State {
    pub(super) fn service(&mut self, fields: ServiceFields, told: UpdateContext) {
        let number = uid(&fields.uid);
        let before = self.services.remove(&number);
        let endpoint = match &before {
            Some(before) => before.endpoint,
            None => {
                let name = self.writer.intern(&fields.name);
                let endpoint = Endpoint {
                    kind: EndpointKind::Service,
                    namespace: self.writer.intern(&fields.namespace),
                    workload_kind: self.writer.intern("Service"),
                    workload_name: Arc::clone(&name),
                    name,
                    node: None,
                };
                self.writer.add_endpoint(endpoint, told.now)
            }
        };
        let new = keys(&fields);
        if let Some(before) = &before {
            for key in keys(&before.fields).iter().filter(|key| !new.contains(key)) {
                self.writer.unassign(*key, endpoint, told.now);
            }
        }
        let (from, lead) = told.begin(fields.created);
        for key in new {
            self.writer.assign(key, endpoint, from, lead);
        }
        let list = told.list;
        self.services.insert(
            number,
            Service {
                endpoint,
                fields,
                list,
            },
        );
    }

    pub(super) fn service_gone(&mut self, fields: ServiceFields, now: u64) {
        if let Some(service) = self.services.remove(&uid(&fields.uid)) {
            self.release_service(&service, now);
        }
    }

    pub(super) fn release_service(&mut self, service: &Service, now: u64) {
        for key in keys(&service.fields) {
            self.writer.unassign(key, service.endpoint, now);
        }
        self.writer.retire_endpoint(service.endpoint, now);
    }

    /// What is outside is called after the Service that leads there, as the cluster's DNS calls that.
    pub(super) fn slice(&mut self, fields: EndpointSliceFields, told: UpdateContext) {
        let number = uid(&fields.uid);
        let before = self.slices.remove(&number);
        if fields.addresses.is_empty() || fields.service.is_empty() {
            if let Some(before) = before {
                self.release_slice(&before, told.now);
            }
            return;
        }
        let endpoint = match &before {
            Some(before) => before.endpoint,
            None => {
                let name = format!("{}.{}.svc", fields.service, fields.namespace);
                let name = self.writer.intern(&name);
                let endpoint = Endpoint {
                    kind: EndpointKind::External,
                    workload_kind: self.writer.intern("External"),
                    workload_name: Arc::clone(&name),
                    name,
                    ..Endpoint::default()
                };
                self.writer.add_endpoint(endpoint, told.now)
            }
        };
        if let Some(before) = &before {
            let gone = before.fields.addresses.iter();
            for address in gone.filter(|address| !fields.addresses.contains(address)) {
                self.writer
                    .unassign(AddressKey::address(*address), endpoint, told.now);
            }
        }
        let (from, lead) = told.begin(fields.created);
        for address in &fields.addresses {
            self.writer
                .assign(AddressKey::address(*address), endpoint, from, lead);
        }
        let list = told.list;
        self.slices.insert(
            number,
            Slice {
                endpoint,
                fields,
                list,
            },
        );
    }

    pub(super) fn slice_gone(&mut self, fields: EndpointSliceFields, now: u64) {
        if let Some(slice) = self.slices.remove(&uid(&fields.uid)) {
            self.release_slice(&slice, now);
        }
    }

    pub(super) fn release_slice(&mut self, slice: &Slice, now: u64) {
        for address in &slice.fields.addresses {
            self.writer
                .unassign(AddressKey::address(*address), slice.endpoint, now);
        }
        self.writer.retire_endpoint(slice.endpoint, now);
    }
}

/// What a service holds.
fn keys(fields: &ServiceFields) -> Vec<AddressKey> {
    let addresses = fields
        .addresses
        .iter()
        .map(|address| AddressKey::address(*address));
    let shared = fields.shared_addresses.iter();
    let shared = shared.flat_map(|address| {
        fields
            .ports
            .iter()
            .map(|port| AddressKey::port(*address, *port))
    });
    let node_ports = fields
        .node_ports
        .iter()
        .map(|port| AddressKey::any_node_port(*port));
    addresses.chain(shared).chain(node_ports).collect()
}
