//! Pods in the writer: the addresses and ports that each holds, and since when.

use std::sync::Arc;

use flowproto::Address;

use super::super::super::address_history::{AddressKey, TransportPort};
use super::super::super::snapshot::{Endpoint, EndpointId, EndpointKind, NodeId};
use super::super::fields::PodFields;
use super::super::uid;
use super::{State, UpdateContext, set};

/// A pod that is told of.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) endpoint: EndpointId,
    /// The node that it is the Ready probe of.
    pub(super) probes: Option<NodeId>,
    pub(super) addresses: Box<[Address]>,
    /// When it will have gone or should have; 0 where it is to stay.
    pub(super) deletion: u64,
    pub(super) list: u32,
}

impl State {
    pub(super) fn pod(&mut self, fields: &PodFields, told: UpdateContext) {
        let number = uid(&fields.uid);
        let before = self.pods.remove(&number);
        let node = match fields.node.as_str() {
            "" => None,
            name => self.writer.node(name, told.now),
        };
        let workload = self.owners.workload(fields, number, &mut self.writer);
        let endpoint = Endpoint {
            kind: EndpointKind::Pod,
            namespace: self.writer.intern(&fields.namespace),
            name: Arc::from(fields.name.as_str()),
            workload_kind: workload.kind,
            workload_name: workload.name,
            node,
        };
        let id = match &before {
            Some(before) if before.endpoint != EndpointId::EXTERNAL => {
                set(&mut self.writer, before.endpoint, endpoint);
                before.endpoint
            }
            _ => self.writer.add_endpoint(endpoint, told.now),
        };
        let (from, lead) = told.begin(fields.started);
        // What has run to its end holds nothing; one that is told of only now did, until then.
        let over = fields
            .over
            .unwrap_or(told.now)
            .clamp(fields.started, told.now.max(fields.started));
        let holds = !fields.is_over && !fields.host_network;
        let addresses: &[Address] = if holds { &fields.addresses } else { &[] };
        match &before {
            Some(before) => {
                for address in before.addresses.iter().filter(|a| !addresses.contains(a)) {
                    self.writer
                        .unassign(AddressKey::address(*address), id, told.now);
                }
            }
            None if fields.is_over && !fields.host_network => {
                for address in &fields.addresses {
                    let key = AddressKey::address(*address);
                    if self.writer.assignee(key).is_none() {
                        self.writer.assign(key, id, fields.started, 0);
                        self.writer.unassign(key, id, over);
                    }
                }
            }
            None => {}
        }
        // What it had before it keeps or has lost to another pod: told of again, it takes nothing back.
        let had = before.as_ref().map_or(&[][..], |before| &before.addresses);
        for address in addresses.iter().filter(|address| !had.contains(address)) {
            self.writer
                .assign(AddressKey::address(*address), id, from, lead);
        }
        let keys: Box<[AddressKey]> = match node {
            Some(node) if !fields.is_over => {
                let key = |(address, port): &(Option<Address>, TransportPort)| match address {
                    Some(address) => AddressKey::port(*address, *port),
                    None => AddressKey::node_port(node, *port),
                };
                fields.ports.iter().map(key).collect()
            }
            _ => Box::default(),
        };
        let old_keys = self.pod_ports.remove(&number).unwrap_or_default();
        for key in old_keys.iter().filter(|key| !keys.contains(key)) {
            self.undeclare(*key, id, node, told.now);
        }
        for key in keys.iter().filter(|key| !old_keys.contains(key)) {
            self.declare(*key, id, node, from, lead);
        }
        if let Some(node) = node {
            self.probe(node, number, fields.is_ready_probe);
        }
        if !keys.is_empty() {
            self.pod_ports.insert(number, keys);
        }
        let pod = Pod {
            endpoint: id,
            probes: node.filter(|_| fields.is_ready_probe),
            addresses: addresses.into(),
            deletion: fields.deletion.unwrap_or_default(),
            list: told.list,
        };
        self.pods.insert(number, pod);
    }

    pub(super) fn pod_gone(&mut self, number: u128, until: u64) {
        let Some(pod) = self.pods.remove(&number) else {
            return;
        };
        for address in &pod.addresses {
            self.writer
                .unassign(AddressKey::address(*address), pod.endpoint, until);
        }
        let node = self.writer.endpoint(pod.endpoint).node;
        for key in self.pod_ports.remove(&number).unwrap_or_default() {
            self.undeclare(key, pod.endpoint, node, until);
        }
        self.owners.wait_no_longer(number);
        self.writer.retire_endpoint(pod.endpoint, until);
        if let Some(node) = pod.probes {
            self.probe(node, number, false);
        }
    }

    /// A pod on `node` is a Ready probe, or is not.
    fn probe(&mut self, node: NodeId, pod: u128, is_ready_probe: bool) {
        if !is_ready_probe && !self.probes.contains_key(&node) {
            return;
        }
        let probes = self.probes.entry(node).or_default();
        if is_ready_probe {
            probes.insert(pod);
        } else {
            probes.remove(&pod);
        }
        let ready = !probes.is_empty();
        if !ready {
            self.probes.remove(&node);
        }
        self.probes_changed.push((node, ready));
    }

    /// A pod declares a port of its node. Only a single one that does holds it; where there are
    /// several, the port is the node's.
    fn declare(
        &mut self,
        key: AddressKey,
        pod: EndpointId,
        node: Option<NodeId>,
        from: u64,
        lead: u64,
    ) {
        let declared = self.declared.entry(key).or_default();
        declared.push(pod);
        let holder = match declared.as_slice() {
            [one] => Some(*one),
            _ => node.and_then(|node| self.node_endpoints.get(&node).copied()),
        };
        match holder {
            Some(holder) => self.writer.assign(key, holder, from, lead),
            None => {
                if let Some(holder) = self.writer.assignee(key) {
                    self.writer.unassign(key, holder, from);
                }
            }
        }
    }

    fn undeclare(&mut self, key: AddressKey, pod: EndpointId, node: Option<NodeId>, until: u64) {
        let Some(declared) = self.declared.get_mut(&key) else {
            return;
        };
        declared.retain(|one| *one != pod);
        match declared.as_slice() {
            [] => {
                self.declared.remove(&key);
                self.writer.unassign(key, pod, until);
                let node = node.and_then(|node| self.node_endpoints.get(&node).copied());
                if let Some(node) = node {
                    self.writer.unassign(key, node, until);
                }
            }
            [one] => self.writer.assign(key, *one, until, 0),
            _ => {}
        }
    }
}
