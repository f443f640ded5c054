//! Builds an index that is valid at all times. Two contradictory assignments are a [`Conflict`].

use std::sync::Arc;

use flowproto::Address;
use ipnet::IpNet;

use super::address_key::AddressKey;
use super::endpoint::{Endpoint, EndpointId, EndpointKind, Node, NodeId};
use super::labels::LabelSet;
use super::snapshot::IndexSnapshot;
use super::writer::{Bounds, IndexWriter};

/// An address or prefix that is assigned to two endpoints.
#[derive(Debug, thiserror::Error)]
#[error("{what} belongs to both {first} and {second}")]
pub struct Conflict {
    what: String,
    first: String,
    second: String,
}

/// Collects assignments that are valid at all times.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    writer: IndexWriter,
}

impl IndexBuilder {
    /// Creates an index without endpoints, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an index without endpoints, with these limits.
    #[must_use]
    pub fn within(bounds: Bounds) -> Self {
        Self {
            writer: IndexWriter::new(bounds),
        }
    }

    /// Returns a shared copy of a name.
    pub fn intern(&mut self, name: &str) -> Arc<str> {
        self.writer.intern(name)
    }

    /// Returns a shared copy of labels. `None` if there are none.
    pub fn labels<'a>(
        &mut self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<Arc<LabelSet>> {
        self.writer.labels(labels)
    }

    /// Sets the labels of a namespace that are kept. Returns false if the limit on endpoints is
    /// reached.
    pub fn set_namespace_labels(&mut self, namespace: &str, labels: Option<Arc<LabelSet>>) -> bool {
        self.writer.set_namespace_labels(namespace, labels)
    }

    /// Returns the node with this name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.writer.node_named(name)
    }

    /// Adds a node. Its addresses and pod CIDRs are assigned separately.
    ///
    /// # Errors
    /// The name is in use, or the limit on nodes is reached.
    pub fn add_node(&mut self, node: Node) -> Result<NodeId, Conflict> {
        let twice = |first: &str, second: &str| Conflict {
            what: format!("the name {}", node.name),
            first: first.into(),
            second: second.into(),
        };
        if self.writer.node_named(&node.name).is_some() {
            return Err(twice("a node", "another node"));
        }
        let Some(id) = self.writer.acquire_node(&node.name) else {
            return Err(twice("a node", "more nodes than max_nodes"));
        };
        self.writer.set_node(id, node);
        Ok(id)
    }

    /// Adds an endpoint. Its addresses are assigned separately.
    pub fn add_endpoint(&mut self, endpoint: Endpoint) -> EndpointId {
        self.writer.add_endpoint(endpoint)
    }

    /// Assigns `address` to `id`. A node keeps its address when pods on the host network or Services
    /// have the same one.
    ///
    /// # Errors
    /// The address belongs to another endpoint.
    pub fn assign_address(&mut self, address: Address, id: EndpointId) -> Result<(), Conflict> {
        let key = AddressKey::address(address);
        let is_node = |id| self.writer.endpoint(id).kind == EndpointKind::Node;
        if !is_node(id) && self.writer.assignees(key).any(is_node) {
            return Ok(());
        }
        let other = self
            .writer
            .assignees(key)
            .find(|other| *other != id && is_node(*other) == is_node(id));
        if let Some(other) = other {
            return Err(Conflict {
                what: format!("address {address}"),
                first: self.describe(other),
                second: self.describe(id),
            });
        }
        self.writer.assign(key, id, 0, 0);
        Ok(())
    }

    /// Assigns the addresses in `prefix` that are not assigned themselves.
    ///
    /// # Errors
    /// The prefix belongs to another endpoint.
    pub fn assign_prefix(&mut self, prefix: IpNet, id: EndpointId) -> Result<(), Conflict> {
        if let Some(owner) = self.writer.prefix_owner(prefix) {
            return Err(Conflict {
                what: format!("CIDR {prefix}"),
                first: self.describe(owner),
                second: self.describe(id),
            });
        }
        let unreported = self.writer.endpoint(id).kind == EndpointKind::Pod;
        self.writer.assign_prefix(prefix, id, unreported);
        Ok(())
    }

    /// Returns the writer, for changes.
    #[must_use]
    pub fn into_writer(self) -> IndexWriter {
        self.writer
    }

    /// Returns the snapshot.
    #[must_use]
    pub fn build(mut self) -> IndexSnapshot {
        self.writer.current()
    }

    fn describe(&self, id: EndpointId) -> String {
        let endpoint = self.writer.endpoint(id);
        let node = endpoint.node.map(|node| &self.writer.node_of(node).name);
        match (endpoint.kind, node) {
            (EndpointKind::Pod, Some(node)) if endpoint.name.is_empty() => {
                format!("the pods of node {node}")
            }
            (EndpointKind::Pod, _) => format!("pod {}/{}", endpoint.namespace, endpoint.name),
            (EndpointKind::Node, _) => format!("node {}", endpoint.name),
            (EndpointKind::Service, _) => {
                format!("service {}/{}", endpoint.namespace, endpoint.name)
            }
            (EndpointKind::External | EndpointKind::Link, _) => endpoint.name.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::time_range::TimeRange;

    const NEVER: TimeRange = TimeRange::instant(0);

    fn address(text: &str) -> Address {
        Address::from(text.parse::<std::net::IpAddr>().unwrap())
    }

    fn endpoint(kind: EndpointKind, name: &str) -> Endpoint {
        Endpoint {
            kind,
            name: Arc::from(name),
            ..Endpoint::default()
        }
    }

    fn named(prefixes: &[&str]) -> IndexSnapshot {
        let mut builder = IndexBuilder::new();
        for text in prefixes {
            let id = builder.add_endpoint(endpoint(EndpointKind::External, text));
            builder.assign_prefix(text.parse().unwrap(), id).unwrap();
        }
        builder.build()
    }

    #[test]
    fn the_narrowest_prefix_around_an_address_is_found() {
        let index = named(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.0/24",
            "10.1.2.255/32",
            "10.2.0.0/16",
            "0.0.0.0/0",
            "2001:db8::/32",
            "2001:db8:1::/48",
        ]);
        for (asked, found) in [
            ("10.1.2.3", "10.1.2.0/24"),
            ("10.1.2.255", "10.1.2.255/32"),
            ("10.1.3.0", "10.1.0.0/16"),
            ("10.2.0.0", "10.2.0.0/16"),
            ("10.3.0.0", "10.0.0.0/8"),
            ("11.0.0.0", "0.0.0.0/0"),
            ("255.255.255.255", "0.0.0.0/0"),
            ("2001:db8::1", "2001:db8::/32"),
            ("2001:db8:1::1", "2001:db8:1::/48"),
            ("2001:db8:2::1", "2001:db8::/32"),
            ("::1", ""),
        ] {
            let id = index.lookup(address(asked), NEVER).endpoint;
            assert_eq!(&*index.endpoint(id).name, found, "{asked}");
        }
    }

    #[test]
    fn the_highest_address_belongs_to_the_prefix_that_ends_there() {
        let index = named(&["ff00::/8", "::/0"]);
        let last = index
            .lookup(address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), NEVER)
            .endpoint;
        assert_eq!(&*index.endpoint(last).name, "ff00::/8");
    }

    #[test]
    fn every_address_is_external_in_an_empty_index() {
        let index = IndexBuilder::new().build();
        assert_eq!(
            index.lookup(address("10.0.0.1"), NEVER).endpoint,
            EndpointId::EXTERNAL
        );
        assert!(index.is_empty());
    }

    #[test]
    fn a_node_keeps_an_address_that_a_pod_has_too() {
        for node_first in [true, false] {
            let mut builder = IndexBuilder::new();
            let pod = builder.add_endpoint(endpoint(EndpointKind::Pod, "host-network"));
            let node = builder.add_endpoint(endpoint(EndpointKind::Node, "node-a"));
            let order = if node_first { [node, pod] } else { [pod, node] };
            for id in order {
                builder.assign_address(address("10.9.0.1"), id).unwrap();
            }
            assert_eq!(
                builder.build().lookup(address("10.9.0.1"), NEVER).endpoint,
                node
            );
        }
    }

    #[test]
    fn two_pods_with_one_address_are_a_conflict_that_names_both() {
        let mut builder = IndexBuilder::new();
        let one = builder.add_endpoint(endpoint(EndpointKind::Pod, "one"));
        let two = builder.add_endpoint(endpoint(EndpointKind::Pod, "two"));
        builder.assign_address(address("10.1.0.1"), one).unwrap();
        let conflict = builder
            .assign_address(address("::ffff:10.1.0.1"), two)
            .unwrap_err();
        assert_eq!(
            conflict.to_string(),
            "address 10.1.0.1 belongs to both pod /one and pod /two"
        );
    }
}
