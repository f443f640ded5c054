//! Nodes in the writer: their addresses, their place, and the pod CIDRs that stand for pods which
//! nobody told of.

use std::sync::Arc;

use ipnet::IpNet;

use super::super::super::address_history::AddressKey;
use super::super::super::snapshot::{Endpoint, EndpointId, EndpointKind, Node, NodeId};
use super::super::super::writer::IndexWriter;
use super::super::fields::NodeFields;
use super::super::uid;
use super::{State, UpdateContext};

#[derive(Debug)]
pub(super) struct NodeEntry {
    pub(super) id: NodeId,
    pub(super) endpoint: EndpointId,
    pub(super) pods: EndpointId,
    pub(super) fields: Box<NodeFields>,
    pub(super) list: u32,
}

impl State {
    pub(super) fn node(&mut self, fields: NodeFields, told: UpdateContext) {
        let number = uid(&fields.uid);
        if let Some(known) = self.nodes.get_mut(&number) {
            known.list = told.list;
            // Most of what a node's watch tells is a heartbeat.
            if *known.fields == fields {
                return;
            }
        }
        let Some(id) = self.writer.node(&fields.name, told.now) else {
            return;
        };
        let node = Node {
            name: self.writer.intern(&fields.name),
            zone: self.writer.intern(&fields.zone),
            region: self.writer.intern(&fields.region),
            pool: self.writer.intern(&fields.pool),
        };
        self.writer.set_node(id, node);
        let before = self.nodes.remove(&number);
        let (endpoint, pods) = match &before {
            Some(before) => (before.endpoint, before.pods),
            None => (
                self.node_endpoint(id, &fields.name, told.now),
                self.unknown_pods(id, told.now),
            ),
        };
        self.node_endpoints.insert(id, endpoint);
        let old = before.map(|before| before.fields).unwrap_or_default();
        for address in old
            .addresses
            .iter()
            .filter(|a| !fields.addresses.contains(a))
        {
            self.writer
                .unassign(AddressKey::address(*address), endpoint, told.now);
        }
        let (from, lead) = told.begin(fields.created);
        for address in &fields.addresses {
            self.writer
                .assign(AddressKey::address(*address), endpoint, from, lead);
        }
        for (old, new, id) in [
            (&old.pod_cidrs, &fields.pod_cidrs, pods),
            (&old.gateways, &fields.gateways, endpoint),
        ] {
            for prefix in old.iter().filter(|prefix| !new.contains(prefix)) {
                self.writer.unassign_prefix(*prefix, id);
            }
            for prefix in new {
                self.writer.assign_prefix(*prefix, id);
            }
        }
        let list = told.list;
        self.nodes.insert(
            number,
            NodeEntry {
                id,
                endpoint,
                pods,
                fields: Box::new(fields),
                list,
            },
        );
    }

    fn node_endpoint(&mut self, id: NodeId, name: &str, now: u64) -> EndpointId {
        let name = self.writer.intern(name);
        let endpoint = Endpoint {
            kind: EndpointKind::Node,
            namespace: Arc::default(),
            workload_kind: self.writer.intern("Node"),
            workload_name: Arc::clone(&name),
            name,
            node: Some(id),
        };
        self.writer.add_endpoint(endpoint, now)
    }

    /// The pods of a node that only their CIDR tells of.
    fn unknown_pods(&mut self, id: NodeId, now: u64) -> EndpointId {
        let unknown = self.writer.intern("unknown");
        let endpoint = Endpoint {
            kind: EndpointKind::Pod,
            namespace: Arc::clone(&unknown),
            workload_kind: self.writer.intern("Pod"),
            workload_name: unknown,
            name: Arc::default(),
            node: Some(id),
        };
        self.writer.add_endpoint(endpoint, now)
    }

    pub(super) fn node_gone(&mut self, fields: NodeFields, now: u64) {
        if let Some(node) = self.nodes.remove(&uid(&fields.uid)) {
            self.release_node(node, now);
        }
    }

    pub(super) fn release_node(&mut self, node: NodeEntry, now: u64) {
        for address in &node.fields.addresses {
            self.writer
                .unassign(AddressKey::address(*address), node.endpoint, now);
        }
        let release = |prefixes: &[IpNet], id, writer: &mut IndexWriter| {
            for prefix in prefixes {
                writer.unassign_prefix(*prefix, id);
            }
        };
        release(&node.fields.pod_cidrs, node.pods, &mut self.writer);
        release(&node.fields.gateways, node.endpoint, &mut self.writer);
        // A node of that name may have come back as another object already.
        if self.node_endpoints.get(&node.id) == Some(&node.endpoint) {
            self.node_endpoints.remove(&node.id);
            self.writer.retire_node(node.id, now);
        }
        self.writer.retire_endpoint(node.endpoint, now);
        self.writer.retire_endpoint(node.pods, now);
    }
}
