//! An immutable index from address and time to endpoint.
//!
//! One hash probe finds the history of an assigned address. An unassigned address belongs to the
//! narrowest prefix around it, such as a node's pod CIDR. Any other address is external. Records
//! carry [`EndpointId`]s; the names are stored once, here.
//!
//! Snapshots share the parts that have not changed between them. An id keeps its meaning until long
//! after its endpoint is deleted (see [`IndexWriter`](super::IndexWriter)), so a reader can switch
//! to a newer snapshot at any time.

use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use flowproto::Address;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use super::address_history::{AddressHistory, Assignee};
use super::address_key::{AddressKey, TransportPort};
use super::chunked_table::ChunkedTable;
use super::endpoint::{
    Endpoint, EndpointId, EndpointKind, Node, NodeId, Place, Topology, TopologyId,
};
use super::labels::LabelSet;
use super::time_range::TimeRange;
use crate::interval_map::IntervalMap;

/// Number of shards of the address table. A change copies one shard. A power of two.
pub(super) const SHARDS: usize = 1024;

/// A part of the address table, by [`AddressKey`].
pub(super) type Shard = HashTable<AddressHistory>;

/// An immutable index from address and time to endpoint.
#[derive(Clone, Debug)]
pub struct IndexSnapshot {
    pub(super) hasher: RandomState,
    pub(super) shards: Vec<Arc<Shard>>,
    /// Endpoints of addresses that are not assigned, by prefix.
    pub(super) prefixes: Arc<IntervalMap<u128, PrefixOwner>>,
    /// Parts of `endpoints` that are read for every record.
    pub(super) places: ChunkedTable<Place>,
    pub(super) endpoints: ChunkedTable<Arc<Endpoint>>,
    pub(super) nodes: ChunkedTable<Arc<Node>>,
    pub(super) topologies: Arc<Vec<Topology>>,
    pub(super) node_by_name: Arc<HashMap<Arc<str>, NodeId, RandomState>>,
    pub(super) namespace_groups: Arc<HashMap<Arc<str>, Arc<str>, RandomState>>,
    pub(super) namespace_labels: Arc<HashMap<Arc<str>, Arc<LabelSet>, RandomState>>,
    /// How long an assignment that has ended is kept.
    pub(super) kept_milliseconds: u64,
    /// Changes with any node's name or address.
    pub(super) nodes_revision: u64,
    /// Number of assigned ports.
    pub(super) ports: usize,
    /// Number of claimed addresses.
    pub(super) claimed: usize,
    pub(super) sizes: IndexSizes,
    pub(super) node_bound: usize,
    pub(super) empty: bool,
    pub(super) complete: bool,
    pub(super) watched: bool,
}

/// The endpoint of addresses that are not assigned. External by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PrefixOwner {
    pub(super) endpoint: EndpointId,
    /// Whether a lookup is [`Certainty::Unreported`].
    pub(super) unreported: bool,
}

/// Occupancy of an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexSizes {
    /// Nodes.
    pub nodes: usize,
    /// Endpoints: nodes, pods, Services and pod CIDRs, including deleted ones that are kept.
    pub endpoints: usize,
    /// Addresses and ports with a current or former endpoint.
    pub addresses: usize,
    /// Nodes, endpoints and addresses that exceeded a limit.
    pub overflow: u64,
}

/// Result of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Certainty of the result.
    pub certainty: Certainty,
    /// The result is the same for all packets from this time on, milliseconds since the epoch.
    /// `u64::MAX` if the result depends on the time.
    pub since_milliseconds: u64,
}

/// Certainty of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The address belonged to one endpoint, or to none in the cluster.
    Known,
    /// The address belonged to several endpoints while the packets were observed.
    Ambiguous,
    /// The address is in a pod CIDR, but no object has reported it.
    Unreported,
}

/// The result for an id that is not in the table.
static EMPTY_ENDPOINT: LazyLock<Endpoint> = LazyLock::new(Endpoint::default);
static EMPTY_NODE: LazyLock<Node> = LazyLock::new(Node::default);

impl IndexSnapshot {
    /// Returns the endpoint that `address` belonged to while the packets were observed.
    #[inline]
    #[must_use]
    pub fn lookup(&self, address: Address, range: TimeRange) -> Found {
        let assigned = self.history(AddressKey::address(address));
        let found = assigned.and_then(|history| self.found(history, range));
        if let Some(found) = found
            && (self.claimed == 0 || self.place(found.endpoint).kind != EndpointKind::External)
        {
            return found;
        }
        let claimed = match self.claimed {
            0 => None,
            _ => self.history(AddressKey::claimed(address)),
        };
        // A pod that claims an address has it, even if a Service without a selector leads there.
        // The gateway of a pod CIDR is the node's, even if a pod claims it.
        let by_prefix = || match (assigned, claimed) {
            (None, None) => self.lookup_prefix(address, 0),
            _ => self.lookup_prefix(address, u64::MAX),
        };
        let by_claim = claimed.and_then(|history| self.found(history, range));
        let by_claim = by_claim.filter(|_| !self.is_gateway(by_prefix()));
        let Some(found) = by_claim.or(found) else {
            return by_prefix();
        };
        match claimed {
            None => found,
            Some(_) => Found {
                since_milliseconds: u64::MAX,
                ..found
            },
        }
    }

    /// Returns the endpoint that `port` of `address` belonged to while the packets were observed.
    /// A port of a node can belong to a pod or a Service.
    #[inline]
    #[must_use]
    pub fn lookup_port(
        &self,
        address: Address,
        port: Option<TransportPort>,
        range: TimeRange,
    ) -> Found {
        let found = self.lookup(address, range);
        let Some(port) = port.filter(|_| self.ports > 0) else {
            return found;
        };
        let place = self.place(found.endpoint);
        let of_port = |key| self.lookup_workload(key, place.kind, range);
        let of_address = || of_port(AddressKey::port(address, port));
        let by_port = match (place.kind, found.certainty) {
            // An address of the node that a Service uses has that Service's ports, before the ports
            // that pods have on all addresses of the node.
            (EndpointKind::Node, _) => of_address()
                .or_else(|| of_port(AddressKey::node_port(place.node?, port)))
                .or_else(|| of_port(AddressKey::any_node_port(port))),
            // Several Services have the address.
            (EndpointKind::Service | EndpointKind::External, Certainty::Ambiguous) => of_address(),
            _ => return found,
        };
        by_port.map_or(found, |by_port| Found {
            since_milliseconds: u64::MAX,
            ..by_port
        })
    }

    #[inline]
    pub(super) fn history(&self, key: AddressKey) -> Option<&AddressHistory> {
        let hash = self.hasher.hash_one(key);
        self.shards
            .get(shard(hash))?
            .find(hash, |history| history.key == key)
    }

    /// Returns the endpoint of a port, unless several workloads have it. `kind` is that of the
    /// address: a port of a node can belong to a pod or Service, any other one to an endpoint of
    /// the same kind.
    fn lookup_workload(
        &self,
        key: AddressKey,
        kind: EndpointKind,
        range: TimeRange,
    ) -> Option<Found> {
        let found = self.found(self.history(key)?, range)?;
        let of_port = self.place(found.endpoint).kind;
        let is_possible = match kind {
            EndpointKind::Node => of_port != EndpointKind::External,
            kind => of_port == kind,
        };
        let is_workload = found.certainty == Certainty::Known
            || self.endpoint(found.endpoint).has_known_workload();
        (is_possible && is_workload).then_some(found)
    }

    #[inline]
    fn found(&self, history: &AddressHistory, range: TimeRange) -> Option<Found> {
        let place = |id| self.place(id);
        let (endpoint, certainty) = match history.at(range, self.kept_milliseconds, place)? {
            Assignee::Certain(endpoint) => (endpoint, Certainty::Known),
            Assignee::Ambiguous(endpoint) => (endpoint, Certainty::Ambiguous),
        };
        Some(Found {
            endpoint,
            certainty,
            since_milliseconds: history.sole_since(),
        })
    }

    /// Returns the endpoint of an address that is not assigned.
    fn lookup_prefix(&self, address: Address, since_milliseconds: u64) -> Found {
        let owner = self.prefixes.get(address.bits());
        let certainty = if owner.unreported {
            Certainty::Unreported
        } else {
            Certainty::Known
        };
        Found {
            endpoint: owner.endpoint,
            certainty,
            since_milliseconds,
        }
    }

    /// Returns whether a prefix makes an address a node's for certain, such as the gateway of a pod
    /// CIDR.
    fn is_gateway(&self, found: Found) -> bool {
        found.certainty == Certainty::Known && self.place(found.endpoint).kind == EndpointKind::Node
    }

    /// Returns whether any port is assigned.
    #[must_use]
    pub const fn has_ports(&self) -> bool {
        self.ports > 0
    }

    /// Returns the kind and node of an endpoint.
    #[must_use]
    pub fn place(&self, id: EndpointId) -> Place {
        self.places.get(id.0).copied().unwrap_or_default()
    }

    /// Returns an endpoint.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        match self.endpoints.get(id.0) {
            Some(endpoint) => endpoint,
            None => &EMPTY_ENDPOINT,
        }
    }

    /// Returns a node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        match self.nodes.get(id.0) {
            Some(node) => node,
            None => &EMPTY_NODE,
        }
    }

    /// Returns the topology of a pod's own labels.
    #[must_use]
    pub fn topology(&self, id: TopologyId) -> Option<&Topology> {
        self.topologies.get(usize::from(id.0.get()).checked_sub(1)?)
    }

    /// Returns the node with this name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.node_by_name.get(name).copied()
    }

    /// Returns the group of a namespace. Empty if the namespace has none.
    #[must_use]
    pub fn namespace_group(&self, namespace: &str) -> &str {
        self.namespace_groups
            .get(namespace)
            .map_or("", |group| group)
    }

    /// Returns the labels of a namespace that are kept. `None` if it has none of them.
    #[must_use]
    pub fn namespace_labels(&self, namespace: &str) -> Option<&LabelSet> {
        self.namespace_labels.get(namespace).map(|labels| &**labels)
    }

    /// Returns the namespaces that have a group, with the group.
    pub fn namespace_groups(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.namespace_groups.iter();
        all.map(|(namespace, group)| (&**namespace, &**group))
    }

    /// Returns all nodes, including deleted ones that are kept.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.node_by_name.values().map(|id| self.node(*id))
    }

    /// Returns the node that `address` belongs to now. `None` if it belongs to several nodes.
    #[must_use]
    pub fn node_at(&self, address: Address) -> Option<NodeId> {
        let mut nodes = self.nodes_at(address);
        let first = nodes.next()?;
        nodes.all(|other| other == first).then_some(first)
    }

    /// Returns whether `address` belongs to a node now.
    #[must_use]
    pub fn is_node_address(&self, address: Address) -> bool {
        self.nodes_at(address).next().is_some()
    }

    /// Returns the nodes that `address` belongs to now, or the latest one if it was deleted. The
    /// gateway of a pod CIDR belongs to the node unless a pod has it: packets of the node to pods
    /// have that source address.
    fn nodes_at(&self, address: Address) -> impl Iterator<Item = NodeId> {
        let history = self.history(AddressKey::address(address));
        let node = |endpoint: EndpointId| {
            let place = self.place(endpoint);
            place.node.filter(|_| place.kind == EndpointKind::Node)
        };
        let open = history.into_iter().flat_map(AddressHistory::open);
        let mut open = open.map(|assignment| assignment.endpoint).peekable();
        let other = match open.peek() {
            Some(_) => None,
            None => history
                .and_then(|history| node(history.last().endpoint))
                .or_else(|| node(self.lookup_prefix(address, 0).endpoint)),
        };
        open.filter_map(node).chain(other)
    }

    /// Changes whenever [`Self::node_named`] or [`Self::node_at`] can return another result.
    #[must_use]
    pub const fn nodes_revision(&self) -> u64 {
        self.nodes_revision
    }

    /// Returns the maximum number of nodes.
    #[must_use]
    pub const fn node_bound(&self) -> usize {
        self.node_bound
    }

    /// Returns the occupancy.
    #[must_use]
    pub const fn sizes(&self) -> IndexSizes {
        self.sizes
    }

    /// Returns whether there is nothing to add to a record: neither an inventory file nor
    /// Kubernetes has provided an object.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.empty
    }

    /// Returns whether Kubernetes is watched, so that an unknown pod can be reported later.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.watched
    }

    /// Returns false while Kubernetes is watched and the initial lists are not loaded.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }
}

/// Returns the shard of a hash. The hash table inside uses the lowest and the highest bits, so the
/// shard is selected by bits in between.
pub(super) fn shard(hash: u64) -> usize {
    usize::try_from(hash >> 40).unwrap_or(0) % SHARDS
}
