//! All that is known of who is who, inside and outside, at one moment.

use flowproto::Address;

use crate::inventory::external::{ExternalAttributes, ExternalSnapshot};
use crate::inventory::{Endpoint, EndpointId, EndpointKind, Found, IndexSnapshot, Node, Topology};

/// The snapshots that a record is looked up in. Ids mean the same in older and newer ones.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Who holds an address of the cluster.
    pub index: &'a IndexSnapshot,
    /// Who is who outside.
    pub outside: &'a ExternalSnapshot,
}

impl<'a> Known<'a> {
    /// True where nothing can be added to any record.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.index.is_empty() && self.outside.is_empty()
    }

    /// Who `address` is, where the cluster had nothing to say of it.
    #[inline]
    pub(super) fn beyond(self, found: Found, address: Address) -> Found {
        if found.endpoint != EndpointId::EXTERNAL {
            return found;
        }
        Found {
            endpoint: EndpointId::from_external(self.outside.lookup(address)),
            ..found
        }
    }

    /// Who an id stands for.
    #[must_use]
    pub fn end(self, id: EndpointId) -> End<'a> {
        let outside = id.external().unwrap_or_default();
        End {
            endpoint: self.index.endpoint(match id.external() {
                Some(_) => EndpointId::EXTERNAL,
                None => id,
            }),
            attributes: self.outside.attributes(outside),
            index: self.index,
        }
    }
}

/// An end of a record, with its names.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Who it is in the cluster.
    pub endpoint: &'a Endpoint,
    /// What is known of it outside.
    pub attributes: &'a ExternalAttributes,
    index: &'a IndexSnapshot,
}

impl<'a> End<'a> {
    /// Whether it is outside.
    #[must_use]
    pub fn is_outside(self) -> bool {
        self.endpoint.kind == EndpointKind::External
    }

    /// The node that it is or runs on.
    #[must_use]
    pub fn node(self) -> Option<&'a Node> {
        self.endpoint.node.map(|node| self.index.node(node))
    }

    /// The zone that it is or runs in; empty where that is not known.
    #[must_use]
    pub fn zone(self) -> &'a str {
        self.topology(|topology| &topology.zone, |node| &node.zone)
    }

    /// The region that it is or runs in; empty where that is not known.
    #[must_use]
    pub fn region(self) -> &'a str {
        self.topology(|topology| &topology.region, |node| &node.region)
    }

    /// A pod's own label comes first, then its node's.
    fn topology(
        self,
        of_pod: impl Fn(&'a Topology) -> &'a str,
        of_node: impl Fn(&'a Node) -> &'a str,
    ) -> &'a str {
        let topology = self.endpoint.topology;
        let topology = topology.and_then(|id| self.index.topology(id));
        let pod = topology.map_or("", of_pod);
        if pod.is_empty() {
            self.node().map_or("", of_node)
        } else {
            pod
        }
    }

    /// The workload's name; of what is outside its name, if it has one.
    #[must_use]
    pub fn workload_name(self) -> &'a str {
        if self.endpoint.workload_name.is_empty() {
            &self.attributes.name
        } else {
            &self.endpoint.workload_name
        }
    }
}
