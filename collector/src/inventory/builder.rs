//! The strict way to fill a [`IndexWriter`]: two claims that cannot both be true are a [`Conflict`].

use std::sync::Arc;

use flowproto::Address;
use ipnet::IpNet;

use super::address_history::AddressKey;
use super::snapshot::{Endpoint, EndpointId, EndpointKind, IndexSnapshot, Node, NodeId};
use super::writer::{Bounds, IndexWriter};

/// Two claims on one address or prefix that cannot both be true.
#[derive(Debug, thiserror::Error)]
#[error("{what} is claimed by {first} and by {second}")]
pub struct Conflict {
    what: String,
    first: String,
    second: String,
}

/// Collects claims that hold at all times.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    writer: IndexWriter,
}

impl IndexBuilder {
    /// Nothing but the outside.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing but the outside, within bounds.
    #[must_use]
    pub fn within(bounds: Bounds) -> Self {
        Self {
            writer: IndexWriter::new(bounds),
        }
    }

    /// A name, kept once however often it occurs.
    pub fn intern(&mut self, name: &str) -> Arc<str> {
        self.writer.intern(name)
    }

    /// The node of that name, if it was added.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.writer.node_named(name)
    }

    /// Adds a node; its addresses and pod CIDRs are claimed apart.
    ///
    /// # Errors
    /// Two nodes of one name, or more than there is room for.
    pub fn add_node(&mut self, node: Node) -> Result<NodeId, Conflict> {
        let twice = |first: &str, second: &str| Conflict {
            what: format!("the name {}", node.name),
            first: first.into(),
            second: second.into(),
        };
        if self.writer.node_named(&node.name).is_some() {
            return Err(twice("a node", "another node"));
        }
        let Some(id) = self.writer.node(&node.name, 0) else {
            return Err(twice("a node", "more nodes than max_nodes allows"));
        };
        self.writer.set_node(id, node);
        Ok(id)
    }

    /// Adds an endpoint; its addresses are claimed apart.
    pub fn add_endpoint(&mut self, endpoint: Endpoint) -> EndpointId {
        self.writer.add_endpoint(endpoint, 0)
    }

    /// Says that `id` holds `address`. A node's address stays the node's, whoever else names it:
    /// host-network pods and node-port services share it.
    ///
    /// # Errors
    /// Somebody else holds the address.
    pub fn assign_address(&mut self, address: Address, id: EndpointId) -> Result<(), Conflict> {
        let key = AddressKey::address(address);
        if let Some(holder) = self.writer.assignee(key).filter(|holder| *holder != id) {
            let (held_by, claimed_by) = (self.kind(holder), self.kind(id));
            if (held_by == EndpointKind::Node) == (claimed_by == EndpointKind::Node) {
                return Err(Conflict {
                    what: format!("address {address}"),
                    first: self.describe(holder),
                    second: self.describe(id),
                });
            }
        }
        self.writer.assign(key, id, 0, 0);
        Ok(())
    }

    /// Says that what nobody holds inside `prefix` is `id`.
    ///
    /// # Errors
    /// The very same prefix was claimed before.
    pub fn assign_prefix(&mut self, prefix: IpNet, id: EndpointId) -> Result<(), Conflict> {
        if let Some(holder) = self.writer.assign_prefix(prefix, id) {
            return Err(Conflict {
                what: format!("CIDR {prefix}"),
                first: self.describe(holder),
                second: self.describe(id),
            });
        }
        Ok(())
    }

    /// The writer, to go on from.
    #[must_use]
    pub fn into_writer(self) -> IndexWriter {
        self.writer
    }

    /// The finished snapshot.
    #[must_use]
    pub fn build(mut self) -> IndexSnapshot {
        self.writer.current()
    }

    fn kind(&self, id: EndpointId) -> EndpointKind {
        self.writer.endpoint(id).kind
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
    use super::super::address_history::TimeRange;
    use super::*;

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
    fn the_last_address_of_all_belongs_to_the_prefix_that_ends_there() {
        let index = named(&["ff00::/8", "::/0"]);
        let last = index
            .lookup(address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), NEVER)
            .endpoint;
        assert_eq!(&*index.endpoint(last).name, "ff00::/8");
    }

    #[test]
    fn an_empty_index_knows_only_the_outside() {
        let index = IndexBuilder::new().build();
        assert_eq!(
            index.lookup(address("10.0.0.1"), NEVER).endpoint,
            EndpointId::EXTERNAL
        );
        assert!(index.is_empty());
    }

    #[test]
    fn a_nodes_address_stays_the_nodes_whoever_else_names_it() {
        for node_first in [true, false] {
            let mut builder = IndexBuilder::new();
            let pod = builder.add_endpoint(endpoint(EndpointKind::Pod, "host-network"));
            let node = builder.add_endpoint(endpoint(EndpointKind::Node, "node-a"));
            let claims = if node_first { [node, pod] } else { [pod, node] };
            for id in claims {
                builder.assign_address(address("10.9.0.1"), id).unwrap();
            }
            assert_eq!(
                builder.build().lookup(address("10.9.0.1"), NEVER).endpoint,
                node
            );
        }
    }

    #[test]
    fn two_pods_of_one_address_are_a_conflict_that_names_both() {
        let mut builder = IndexBuilder::new();
        let one = builder.add_endpoint(endpoint(EndpointKind::Pod, "one"));
        let two = builder.add_endpoint(endpoint(EndpointKind::Pod, "two"));
        builder.assign_address(address("10.1.0.1"), one).unwrap();
        let conflict = builder
            .assign_address(address("::ffff:10.1.0.1"), two)
            .unwrap_err();
        assert_eq!(
            conflict.to_string(),
            "address 10.1.0.1 is claimed by pod /one and by pod /two"
        );
    }
}
