//! The index: address and time → endpoint.
//!
//! One hash probe finds an address that something holds; an address that nothing holds falls back to
//! the narrowest prefix around it (a node's pod CIDR, a named CIDR), else it is outside. Strings live
//! here once; records carry [`EndpointId`]s.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use flowproto::Address;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

/// Position of an endpoint in [`Index::endpoint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(pub u32);

impl EndpointId {
    /// Outside, and no CIDR names it.
    pub const OUTSIDE: Self = Self(0);
}

/// Position of a node in [`Index::node`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub u32);

/// What an endpoint is; decides the class of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    /// A pod with an address of its own.
    Pod,
    /// A node, and every pod that shares the node's address.
    Node,
    /// A virtual address that stayed unresolved.
    Service,
    /// Nothing of the cluster.
    #[default]
    External,
}

/// Who holds an address.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// What it is.
    pub kind: EndpointKind,
    /// Namespace of a pod or service, `unknown` for a pod that only its pod CIDR tells of; else empty.
    pub namespace: Arc<str>,
    /// Name of the pod, node, service or named CIDR; empty for what is outside unnamed and for a pod
    /// that only its pod CIDR tells of.
    pub name: Arc<str>,
    /// Kind of the top controller (`Deployment`, …), else `Pod`, `Node`, `Service`, `External`.
    pub workload_kind: Arc<str>,
    /// Name of the top controller; for a bare pod, a node, a service and a named CIDR its own name;
    /// `unknown` for a pod that only its pod CIDR tells of.
    pub workload_name: Arc<str>,
    /// Where it runs, if that is known.
    pub node: Option<NodeId>,
}

impl Endpoint {
    /// What it is and where.
    #[must_use]
    pub const fn place(&self) -> Place {
        Place {
            kind: self.kind,
            node: self.node,
        }
    }
}

/// What must be known of an endpoint for every record; kept apart from the names, so that all of them
/// stay in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// What it is.
    pub kind: EndpointKind,
    /// Where it runs, if that is known.
    pub node: Option<NodeId>,
}

/// A node of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name, as exporters say it in 300 `observationDomainName`.
    pub name: Arc<str>,
    /// Topology zone; empty where unknown.
    pub zone: Arc<str>,
    /// Topology region; empty where unknown.
    pub region: Arc<str>,
}

/// The snapshot that records are looked up in.
#[derive(Debug)]
pub struct Index {
    holders: HashMap<u128, EndpointId, RandomState>,
    ranges: Ranges,
    /// By endpoint, as `endpoints`.
    places: Vec<Place>,
    endpoints: Vec<Endpoint>,
    nodes: Vec<Node>,
    node_by_name: HashMap<Arc<str>, NodeId, RandomState>,
    empty: bool,
}

/// The endpoint of a lookup that cannot fail but must not panic either.
static NOWHERE: LazyLock<Endpoint> = LazyLock::new(Endpoint::default);
static NO_NODE: LazyLock<Node> = LazyLock::new(Node::default);

impl Index {
    /// Who held `address` when the flow ran.
    #[must_use]
    pub fn lookup(&self, address: Address, _at_milliseconds: u64) -> EndpointId {
        match self.holders.get(&address.bits()) {
            Some(id) => *id,
            None => self.ranges.find(address.bits()),
        }
    }

    /// What the endpoint is and where.
    #[must_use]
    pub fn place(&self, id: EndpointId) -> Place {
        usize::try_from(id.0)
            .ok()
            .and_then(|at| self.places.get(at))
            .copied()
            .unwrap_or_default()
    }

    /// What an id of this index stands for.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        usize::try_from(id.0)
            .ok()
            .and_then(|at| self.endpoints.get(at))
            .unwrap_or(&NOWHERE)
    }

    /// What a node id of this index stands for.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        usize::try_from(id.0)
            .ok()
            .and_then(|at| self.nodes.get(at))
            .unwrap_or(&NO_NODE)
    }

    /// The node of that name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.node_by_name.get(name).copied()
    }

    /// The node that holds `address` itself.
    #[must_use]
    pub fn node_at(&self, address: Address) -> Option<NodeId> {
        let place = self.place(*self.holders.get(&address.bits())?);
        match place.kind {
            EndpointKind::Node => place.node,
            _ => None,
        }
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Number of endpoints, the outside included.
    #[must_use]
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// True where nothing was ever told of a cluster, so that there is nothing to add to a record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.empty
    }
}

/// Two claims on one address or prefix that cannot both be true.
#[derive(Debug, thiserror::Error)]
#[error("{what} is claimed by {first} and by {second}")]
pub struct Conflict {
    what: String,
    first: String,
    second: String,
}

/// Collects claims and builds the [`Index`].
#[derive(Debug, Default)]
pub struct IndexBuilder {
    holders: HashMap<u128, EndpointId, RandomState>,
    prefixes: HashMap<IpNet, EndpointId, RandomState>,
    endpoints: Vec<Endpoint>,
    nodes: Vec<Node>,
    node_by_name: HashMap<Arc<str>, NodeId, RandomState>,
    names: BTreeSet<Arc<str>>,
}

impl IndexBuilder {
    /// Nothing but the outside.
    #[must_use]
    pub fn new() -> Self {
        let mut builder = Self::default();
        let outside = Endpoint {
            workload_kind: builder.intern("External"),
            ..Endpoint::default()
        };
        builder.endpoints.push(outside);
        builder
    }

    /// A name, kept once however often it occurs.
    pub fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(name);
        self.names.insert(Arc::clone(&new));
        new
    }

    /// The node of that name, if it was added.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.node_by_name.get(name).copied()
    }

    /// Adds a node; its addresses and pod CIDRs are claimed apart.
    ///
    /// # Errors
    /// Two nodes of one name.
    pub fn add_node(&mut self, node: Node) -> Result<NodeId, Conflict> {
        if self.node_by_name.contains_key(&node.name) {
            return Err(Conflict {
                what: format!("the name {}", node.name),
                first: "a node".into(),
                second: "another node".into(),
            });
        }
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.node_by_name.insert(Arc::clone(&node.name), id);
        self.nodes.push(node);
        Ok(id)
    }

    /// Adds an endpoint; its addresses are claimed apart.
    pub fn add_endpoint(&mut self, endpoint: Endpoint) -> EndpointId {
        let id = EndpointId(u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX));
        self.endpoints.push(endpoint);
        id
    }

    /// Says that `id` holds `address`. A node's address stays the node's, whoever else names it:
    /// host-network pods and node-port services share it.
    ///
    /// # Errors
    /// Somebody else holds the address.
    pub fn claim_address(&mut self, address: Address, id: EndpointId) -> Result<(), Conflict> {
        let Some(holder) = self.holders.get(&address.bits()).copied() else {
            self.holders.insert(address.bits(), id);
            return Ok(());
        };
        let (held_by, claimed_by) = (self.kind(holder), self.kind(id));
        if holder == id || (held_by == EndpointKind::Node && claimed_by != EndpointKind::Node) {
            return Ok(());
        }
        if claimed_by == EndpointKind::Node && held_by != EndpointKind::Node {
            self.holders.insert(address.bits(), id);
            return Ok(());
        }
        Err(Conflict {
            what: format!("address {address}"),
            first: self.describe(holder),
            second: self.describe(id),
        })
    }

    /// Says that what nobody holds inside `prefix` is `id`.
    ///
    /// # Errors
    /// The very same prefix was claimed before.
    pub fn claim_prefix(&mut self, prefix: IpNet, id: EndpointId) -> Result<(), Conflict> {
        if let Some(holder) = self.prefixes.insert(prefix.trunc(), id) {
            return Err(Conflict {
                what: format!("CIDR {prefix}"),
                first: self.describe(holder),
                second: self.describe(id),
            });
        }
        Ok(())
    }

    /// The finished snapshot.
    #[must_use]
    pub fn build(self) -> Index {
        Index {
            empty: self.endpoints.len() <= 1 && self.nodes.is_empty(),
            ranges: Ranges::of(&self.prefixes),
            holders: self.holders,
            places: self.endpoints.iter().map(Endpoint::place).collect(),
            endpoints: self.endpoints,
            nodes: self.nodes,
            node_by_name: self.node_by_name,
        }
    }

    fn kind(&self, id: EndpointId) -> EndpointKind {
        self.find(id).map_or(EndpointKind::External, |e| e.kind)
    }

    fn find(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(usize::try_from(id.0).ok()?)
    }

    fn describe(&self, id: EndpointId) -> String {
        let Some(endpoint) = self.find(id) else {
            return "nobody".into();
        };
        let node = endpoint.node.and_then(|n| {
            let at = usize::try_from(n.0).ok()?;
            self.nodes.get(at).map(|n| &n.name)
        });
        match (endpoint.kind, node) {
            (EndpointKind::Pod, Some(node)) if endpoint.name.is_empty() => {
                format!("the pods of node {node}")
            }
            (EndpointKind::Pod, _) => format!("pod {}/{}", endpoint.namespace, endpoint.name),
            (EndpointKind::Node, _) => format!("node {}", endpoint.name),
            (EndpointKind::Service, _) => {
                format!("service {}/{}", endpoint.namespace, endpoint.name)
            }
            (EndpointKind::External, _) => format!("CIDR name {}", endpoint.name),
        }
    }
}

/// Prefixes flattened into ranges that do not overlap: the narrowest prefix around an address is found
/// by one binary search. Built once, never changed; small enough to stay in the cache.
#[derive(Debug, Default)]
struct Ranges {
    /// First address of each range, ascending; the first is 0.
    starts: Vec<u128>,
    ids: Vec<EndpointId>,
}

impl Ranges {
    fn of(prefixes: &HashMap<IpNet, EndpointId, RandomState>) -> Self {
        let mut spans: Vec<(u128, u128, EndpointId)> = prefixes
            .iter()
            .map(|(prefix, id)| {
                let first = Address::from(prefix.network()).bits();
                let last = Address::from(prefix.broadcast()).bits();
                (first, last, *id)
            })
            .collect();
        // Wider prefixes first, so that what they enclose comes after them and is stacked on top.
        spans.sort_by_key(|(first, last, _)| (*first, std::cmp::Reverse(*last)));
        let mut ranges = Self::default();
        let mut open: Vec<(u128, EndpointId)> = Vec::new();
        ranges.begin(0, EndpointId::OUTSIDE);
        for (first, last, id) in spans {
            ranges.close(&mut open, Some(first));
            ranges.begin(first, id);
            open.push((last, id));
        }
        ranges.close(&mut open, None);
        ranges
    }

    /// Ends the prefixes that end before `next`; what encloses them goes on.
    fn close(&mut self, open: &mut Vec<(u128, EndpointId)>, next: Option<u128>) {
        while let Some((last, _)) = open.last().copied() {
            if next.is_some_and(|next| last >= next) {
                break;
            }
            open.pop();
            let enclosing = open.last().map_or(EndpointId::OUTSIDE, |(_, id)| *id);
            if let Some(after) = last.checked_add(1) {
                self.begin(after, enclosing);
            }
        }
    }

    fn begin(&mut self, start: u128, id: EndpointId) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.ids.pop();
        }
        self.starts.push(start);
        self.ids.push(id);
    }

    fn find(&self, bits: u128) -> EndpointId {
        let after = self.starts.partition_point(|start| *start <= bits);
        after
            .checked_sub(1)
            .and_then(|at| self.ids.get(at))
            .copied()
            .unwrap_or(EndpointId::OUTSIDE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn named(prefixes: &[&str]) -> Index {
        let mut builder = IndexBuilder::new();
        for text in prefixes {
            let id = builder.add_endpoint(endpoint(EndpointKind::External, text));
            builder.claim_prefix(text.parse().unwrap(), id).unwrap();
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
            let id = index.lookup(address(asked), 0);
            assert_eq!(&*index.endpoint(id).name, found, "{asked}");
        }
    }

    #[test]
    fn the_last_address_of_all_belongs_to_the_prefix_that_ends_there() {
        let index = named(&["ff00::/8", "::/0"]);
        let last = index.lookup(address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 0);
        assert_eq!(&*index.endpoint(last).name, "ff00::/8");
    }

    #[test]
    fn an_empty_index_knows_only_the_outside() {
        let index = IndexBuilder::new().build();
        assert_eq!(index.lookup(address("10.0.0.1"), 0), EndpointId::OUTSIDE);
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
                builder.claim_address(address("10.9.0.1"), id).unwrap();
            }
            assert_eq!(builder.build().lookup(address("10.9.0.1"), 0), node);
        }
    }

    #[test]
    fn two_pods_of_one_address_are_a_conflict_that_names_both() {
        let mut builder = IndexBuilder::new();
        let one = builder.add_endpoint(endpoint(EndpointKind::Pod, "one"));
        let two = builder.add_endpoint(endpoint(EndpointKind::Pod, "two"));
        builder.claim_address(address("10.1.0.1"), one).unwrap();
        let conflict = builder
            .claim_address(address("::ffff:10.1.0.1"), two)
            .unwrap_err();
        assert_eq!(
            conflict.to_string(),
            "address 10.1.0.1 is claimed by pod /one and by pod /two"
        );
    }
}
