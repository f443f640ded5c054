//! Services in the directory: their virtual addresses, the ports that nodes open for them, and the
//! addresses outside that they lead to.

use std::sync::Arc;

use super::super::super::holders::Key;
use super::super::super::index::{Endpoint, EndpointId, EndpointKind};
use super::super::kinds::{ServiceFacts, SliceFacts};
use super::super::uid;
use super::{State, Told};

#[derive(Debug)]
pub(super) struct Service {
    pub(super) endpoint: EndpointId,
    pub(super) facts: ServiceFacts,
    pub(super) list: u32,
}

/// The addresses outside of a Service.
#[derive(Debug)]
pub(super) struct Slice {
    endpoint: EndpointId,
    facts: SliceFacts,
    pub(super) list: u32,
}

impl State {
    pub(super) fn service(&mut self, facts: ServiceFacts, told: Told) {
        let number = uid(&facts.uid);
        let before = self.services.remove(&number);
        let endpoint = match &before {
            Some(before) => before.endpoint,
            None => {
                let name = self.directory.intern(&facts.name);
                let endpoint = Endpoint {
                    kind: EndpointKind::Service,
                    namespace: self.directory.intern(&facts.namespace),
                    workload_kind: self.directory.intern("Service"),
                    workload_name: Arc::clone(&name),
                    name,
                    node: None,
                };
                self.directory.add_endpoint(endpoint, told.now)
            }
        };
        let new = keys(&facts);
        if let Some(before) = &before {
            for key in keys(&before.facts).iter().filter(|key| !new.contains(key)) {
                self.directory.release(*key, endpoint, told.now);
            }
        }
        let (from, lead) = told.begin(facts.created);
        for key in new {
            self.directory.hold(key, endpoint, from, lead);
        }
        let list = told.list;
        self.services.insert(
            number,
            Service {
                endpoint,
                facts,
                list,
            },
        );
    }

    pub(super) fn service_gone(&mut self, facts: ServiceFacts, now: u64) {
        if let Some(service) = self.services.remove(&uid(&facts.uid)) {
            self.release_service(&service, now);
        }
    }

    pub(super) fn release_service(&mut self, service: &Service, now: u64) {
        for key in keys(&service.facts) {
            self.directory.release(key, service.endpoint, now);
        }
        self.directory.retire_endpoint(service.endpoint, now);
    }

    /// What is outside is called after the Service that leads there, as the cluster's DNS calls that.
    pub(super) fn slice(&mut self, facts: SliceFacts, told: Told) {
        let number = uid(&facts.uid);
        let before = self.slices.remove(&number);
        if facts.addresses.is_empty() || facts.service.is_empty() {
            if let Some(before) = before {
                self.release_slice(&before, told.now);
            }
            return;
        }
        let endpoint = match &before {
            Some(before) => before.endpoint,
            None => {
                let name = format!("{}.{}.svc", facts.service, facts.namespace);
                let name = self.directory.intern(&name);
                let endpoint = Endpoint {
                    kind: EndpointKind::External,
                    workload_kind: self.directory.intern("External"),
                    workload_name: Arc::clone(&name),
                    name,
                    ..Endpoint::default()
                };
                self.directory.add_endpoint(endpoint, told.now)
            }
        };
        if let Some(before) = &before {
            let gone = before.facts.addresses.iter();
            for address in gone.filter(|address| !facts.addresses.contains(address)) {
                self.directory
                    .release(Key::address(*address), endpoint, told.now);
            }
        }
        let (from, lead) = told.begin(facts.created);
        for address in &facts.addresses {
            self.directory
                .hold(Key::address(*address), endpoint, from, lead);
        }
        let list = told.list;
        self.slices.insert(
            number,
            Slice {
                endpoint,
                facts,
                list,
            },
        );
    }

    pub(super) fn slice_gone(&mut self, facts: SliceFacts, now: u64) {
        if let Some(slice) = self.slices.remove(&uid(&facts.uid)) {
            self.release_slice(&slice, now);
        }
    }

    pub(super) fn release_slice(&mut self, slice: &Slice, now: u64) {
        for address in &slice.facts.addresses {
            self.directory
                .release(Key::address(*address), slice.endpoint, now);
        }
        self.directory.retire_endpoint(slice.endpoint, now);
    }
}

/// What a service holds.
fn keys(facts: &ServiceFacts) -> Vec<Key> {
    let addresses = facts.addresses.iter().map(|address| Key::address(*address));
    let shared = facts.shared_addresses.iter();
    let shared =
        shared.flat_map(|address| facts.ports.iter().map(|port| Key::port(*address, *port)));
    let node_ports = facts
        .node_ports
        .iter()
        .map(|port| Key::any_node_port(*port));
    addresses.chain(shared).chain(node_ports).collect()
}
