//! Assignments that are valid at all times. Two contradictory ones are a [`Conflict`].

use flowproto::Address;
use ipnet::IpNet;

use super::IndexWriter;
use crate::inventory::address_key::AddressKey;
use crate::inventory::endpoint::{EndpointId, EndpointKind, Node, NodeId};

/// An address or prefix that is assigned to two endpoints.
#[derive(Debug, thiserror::Error)]
#[error("{what} belongs to both {first} and {second}")]
pub struct Conflict {
    what: String,
    first: String,
    second: String,
}

impl IndexWriter {
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
        if self.node_named(&node.name).is_some() {
            return Err(twice("a node", "another node"));
        }
        let Some(id) = self.acquire_node(&node.name) else {
            return Err(twice("a node", "more nodes than max_nodes"));
        };
        self.set_node(id, node);
        Ok(id)
    }

    /// Assigns `address` to `id` for all times. A node keeps its address when pods on the host
    /// network or Services have the same one.
    ///
    /// # Errors
    /// The address belongs to another endpoint.
    pub fn assign_address(&mut self, address: Address, id: EndpointId) -> Result<(), Conflict> {
        let key = AddressKey::address(address);
        let is_node = |id| self.endpoint(id).kind == EndpointKind::Node;
        if !is_node(id) && self.assignees(key).any(is_node) {
            return Ok(());
        }
        let other = self
            .assignees(key)
            .find(|other| *other != id && is_node(*other) == is_node(id));
        if let Some(other) = other {
            return Err(Conflict {
                what: format!("address {address}"),
                first: self.describe(other),
                second: self.describe(id),
            });
        }
        self.assign(key, id, 0, 0);
        Ok(())
    }

    /// Assigns the addresses in `prefix` that are not assigned themselves, for all times.
    ///
    /// # Errors
    /// The prefix belongs to another endpoint.
    pub fn assign_cidr(&mut self, prefix: IpNet, id: EndpointId) -> Result<(), Conflict> {
        if let Some(owner) = self.prefix_owner(prefix) {
            return Err(Conflict {
                what: format!("CIDR {prefix}"),
                first: self.describe(owner),
                second: self.describe(id),
            });
        }
        let unreported = self.endpoint(id).kind == EndpointKind::Pod;
        self.assign_prefix(prefix, id, unreported);
        Ok(())
    }

    fn describe(&self, id: EndpointId) -> String {
        let endpoint = self.endpoint(id);
        let node = endpoint.node.map(|node| &self.node_of(node).name);
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
    use std::sync::Arc;

    use super::*;
    use crate::inventory::endpoint::Endpoint;
    use crate::inventory::snapshot::IndexSnapshot;
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
        let mut writer = IndexWriter::default();
        for text in prefixes {
            let id = writer.add_endpoint(endpoint(EndpointKind::External, text));
            writer.assign_cidr(text.parse().unwrap(), id).unwrap();
        }
        writer.current()
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
        let index = IndexWriter::default().current();
        assert_eq!(
            index.lookup(address("10.0.0.1"), NEVER).endpoint,
            EndpointId::EXTERNAL
        );
        assert!(index.is_empty());
    }

    #[test]
    fn a_node_keeps_an_address_that_a_pod_has_too() {
        for node_first in [true, false] {
            let mut writer = IndexWriter::default();
            let pod = writer.add_endpoint(endpoint(EndpointKind::Pod, "host-network"));
            let node = writer.add_endpoint(endpoint(EndpointKind::Node, "node-a"));
            let order = if node_first { [node, pod] } else { [pod, node] };
            for id in order {
                writer.assign_address(address("10.9.0.1"), id).unwrap();
            }
            assert_eq!(
                writer.current().lookup(address("10.9.0.1"), NEVER).endpoint,
                node
            );
        }
    }

    #[test]
    fn two_pods_with_one_address_are_a_conflict_that_names_both() {
        let mut writer = IndexWriter::default();
        let one = writer.add_endpoint(endpoint(EndpointKind::Pod, "one"));
        let two = writer.add_endpoint(endpoint(EndpointKind::Pod, "two"));
        writer.assign_address(address("10.1.0.1"), one).unwrap();
        let conflict = writer
            .assign_address(address("::ffff:10.1.0.1"), two)
            .unwrap_err();
        assert_eq!(
            conflict.to_string(),
            "address 10.1.0.1 belongs to both pod /one and pod /two"
        );
    }
}
