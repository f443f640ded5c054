//! Nodes in the directory: their addresses, their place, and the pod CIDRs that stand for pods which
//! nobody told of.

use std::sync::Arc;

use ipnet::IpNet;

use super::super::super::directory::Directory;
use super::super::super::holders::Key;
use super::super::super::index::{Endpoint, EndpointId, EndpointKind, Node, NodeId};
use super::super::kinds::NodeFacts;
use super::super::uid;
use super::{State, Told};

#[derive(Debug)]
pub(super) struct KnownNode {
    pub(super) id: NodeId,
    pub(super) endpoint: EndpointId,
    pub(super) pods: EndpointId,
    pub(super) facts: Box<NodeFacts>,
    pub(super) list: u32,
}

impl State {
    pub(super) fn node(&mut self, facts: NodeFacts, told: Told) {
        let number = uid(&facts.uid);
        if let Some(known) = self.nodes.get_mut(&number) {
            known.list = told.list;
            // Most of what a node's watch tells is a heartbeat.
            if *known.facts == facts {
                return;
            }
        }
        let Some(id) = self.directory.node(&facts.name, told.now) else {
            return;
        };
        let node = Node {
            name: self.directory.intern(&facts.name),
            zone: self.directory.intern(&facts.zone),
            region: self.directory.intern(&facts.region),
            pool: self.directory.intern(&facts.pool),
        };
        self.directory.set_node(id, node);
        let before = self.nodes.remove(&number);
        let (endpoint, pods) = match &before {
            Some(before) => (before.endpoint, before.pods),
            None => (
                self.node_endpoint(id, &facts.name, told.now),
                self.unknown_pods(id, told.now),
            ),
        };
        self.node_endpoints.insert(id, endpoint);
        let old = before.map(|before| before.facts).unwrap_or_default();
        for address in old
            .addresses
            .iter()
            .filter(|a| !facts.addresses.contains(a))
        {
            self.directory
                .release(Key::address(*address), endpoint, told.now);
        }
        let (from, lead) = told.begin(facts.created);
        for address in &facts.addresses {
            self.directory
                .hold(Key::address(*address), endpoint, from, lead);
        }
        for (old, new, id) in [
            (&old.pod_cidrs, &facts.pod_cidrs, pods),
            (&old.gateways, &facts.gateways, endpoint),
        ] {
            for prefix in old.iter().filter(|prefix| !new.contains(prefix)) {
                self.directory.release_prefix(*prefix, id);
            }
            for prefix in new {
                self.directory.claim_prefix(*prefix, id);
            }
        }
        let list = told.list;
        self.nodes.insert(
            number,
            KnownNode {
                id,
                endpoint,
                pods,
                facts: Box::new(facts),
                list,
            },
        );
    }

    fn node_endpoint(&mut self, id: NodeId, name: &str, now: u64) -> EndpointId {
        let name = self.directory.intern(name);
        let endpoint = Endpoint {
            kind: EndpointKind::Node,
            namespace: Arc::default(),
            workload_kind: self.directory.intern("Node"),
            workload_name: Arc::clone(&name),
            name,
            node: Some(id),
        };
        self.directory.add_endpoint(endpoint, now)
    }

    /// The pods of a node that only their CIDR tells of.
    fn unknown_pods(&mut self, id: NodeId, now: u64) -> EndpointId {
        let unknown = self.directory.intern("unknown");
        let endpoint = Endpoint {
            kind: EndpointKind::Pod,
            namespace: Arc::clone(&unknown),
            workload_kind: self.directory.intern("Pod"),
            workload_name: unknown,
            name: Arc::default(),
            node: Some(id),
        };
        self.directory.add_endpoint(endpoint, now)
    }

    pub(super) fn node_gone(&mut self, facts: NodeFacts, now: u64) {
        if let Some(node) = self.nodes.remove(&uid(&facts.uid)) {
            self.release_node(node, now);
        }
    }

    pub(super) fn release_node(&mut self, node: KnownNode, now: u64) {
        for address in &node.facts.addresses {
            self.directory
                .release(Key::address(*address), node.endpoint, now);
        }
        let release = |prefixes: &[IpNet], id, directory: &mut Directory| {
            for prefix in prefixes {
                directory.release_prefix(*prefix, id);
            }
        };
        release(&node.facts.pod_cidrs, node.pods, &mut self.directory);
        release(&node.facts.gateways, node.endpoint, &mut self.directory);
        // A node of that name may have come back as another object already.
        if self.node_endpoints.get(&node.id) == Some(&node.endpoint) {
            self.node_endpoints.remove(&node.id);
            self.directory.retire_node(node.id, now);
        }
        self.directory.retire_endpoint(node.endpoint, now);
        self.directory.retire_endpoint(node.pods, now);
    }
}
