//! The index: address and time → endpoint.
//!
//! One hash probe finds an address that something holds; an address that nothing holds falls back to
//! the narrowest prefix around it (a node's pod CIDR), else it is outside. Strings live here once; records carry [`EndpointId`]s.
//!
//! An index is a snapshot that never changes. Snapshots share whatever did not change between them, and
//! an id means the same in all of them until long after its endpoint has gone
//! ([`super::writer`]), so that a reader may take a newer one at any time.

use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use flowproto::Address;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use super::address_history::{AddressHistory, AddressKey, Assignee, TimeRange, TransportPort};
use super::chunked_table::ChunkedTable;
use super::external::ExternalId;
use super::ranges::Ranges;

/// Who an end is: position of an endpoint in [`IndexSnapshot::endpoint`] or, from [`Self::MAX_COUNT`] on, of what is
/// known of an address outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EndpointId(pub u32);

impl EndpointId {
    /// Outside, and nothing is known of it.
    pub const EXTERNAL: Self = Self(0);
    /// There are fewer endpoints than so many.
    pub const MAX_COUNT: u32 = 1 << 31;

    /// What is known of an address outside, as an end.
    #[must_use]
    pub fn from_external(id: ExternalId) -> Self {
        if id == ExternalId::UNKNOWN {
            Self::EXTERNAL
        } else {
            Self(Self::MAX_COUNT | id.0)
        }
    }

    /// What is known of an address outside, if that is the end.
    #[must_use]
    pub const fn external(self) -> Option<ExternalId> {
        match self.0.checked_sub(Self::MAX_COUNT) {
            Some(id) => Some(ExternalId(id)),
            None => None,
        }
    }
}

/// Position of a node in [`IndexSnapshot::node`].
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
    /// An address that does not leave its link: multicast, broadcast, link-local, loopback.
    Link,
}

/// Who holds an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// What it is.
    pub kind: EndpointKind,
    /// Namespace of a pod or service, `unknown` for a pod that only its pod CIDR tells of; else empty.
    pub namespace: Arc<str>,
    /// Name of the pod, node, service or outside endpoint of a service; empty for all else outside and for
    /// a pod that only its pod CIDR tells of.
    pub name: Arc<str>,
    /// Kind of the top controller (`Deployment`, …), else `Pod`, `Node`, `Service`, `External`.
    pub workload_kind: Arc<str>,
    /// Name of the top controller; for a bare pod, a node and a service its own name;
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
    /// Node pool; empty where no label says so.
    pub pool: Arc<str>,
}

/// Shards of the holders; a change copies one of them. A power of two.
pub(super) const SHARDS: usize = 1024;

/// Part of the holders, by [`AddressKey`].
pub(super) type Shard = HashTable<AddressHistory>;

/// The snapshot that records are looked up in.
#[derive(Clone, Debug)]
pub struct IndexSnapshot {
    pub(super) hasher: RandomState,
    pub(super) shards: Vec<Arc<Shard>>,
    pub(super) ranges: Arc<Ranges>,
    /// By endpoint, as `endpoints`.
    pub(super) places: ChunkedTable<Place>,
    pub(super) endpoints: ChunkedTable<Arc<Endpoint>>,
    pub(super) nodes: ChunkedTable<Arc<Node>>,
    pub(super) node_by_name: Arc<HashMap<Arc<str>, NodeId, RandomState>>,
    pub(super) namespace_groups: Arc<HashMap<Arc<str>, Arc<str>, RandomState>>,
    /// How long a holder that has gone is kept.
    pub(super) kept_milliseconds: u64,
    /// Changes whenever a node's name or address does.
    pub(super) nodes_revision: u64,
    /// Ports that somebody holds.
    pub(super) ports: usize,
    pub(super) sizes: IndexSizes,
    pub(super) node_bound: usize,
    pub(super) empty: bool,
    pub(super) complete: bool,
    pub(super) watched: bool,
}

/// How full an index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexSizes {
    /// Nodes.
    pub nodes: usize,
    /// Endpoints: nodes, pods (those kept after their end too), services, pod CIDRs.
    pub endpoints: usize,
    /// Addresses and ports that somebody holds or held.
    pub held: usize,
    /// Nodes, endpoints and addresses that found no room.
    pub overflow: u64,
}

/// Who an address was, and how well that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who.
    pub endpoint: EndpointId,
    /// How well that is known.
    pub certainty: Certainty,
    /// The same is found for all packets from then on, milliseconds since the epoch; `u64::MAX` where that
    /// depends on the time.
    pub since_milliseconds: u64,
}

/// How well it is known who an address was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// One holder, or nobody in the cluster.
    Known,
    /// The address changed hands while the packets ran.
    Ambiguous,
    /// A pod's address, by its CIDR, that no pod reported.
    Unreported,
}

/// The endpoint of a lookup that cannot fail but must not panic either.
static NOWHERE: LazyLock<Endpoint> = LazyLock::new(Endpoint::default);
static NO_NODE: LazyLock<Node> = LazyLock::new(Node::default);

impl IndexSnapshot {
    /// Who held `address` while the packets ran.
    #[inline]
    #[must_use]
    pub fn lookup(&self, address: Address, span: TimeRange) -> Found {
        let Some(held) = self.held(AddressKey::address(address)) else {
            return self.around(address, 0);
        };
        self.found(held, span)
            .unwrap_or_else(|| self.around(address, u64::MAX))
    }

    /// Who held `port` of `address` while the packets ran: a port of a node may be a pod's or a
    /// service's.
    #[inline]
    #[must_use]
    pub fn lookup_port(
        &self,
        address: Address,
        port: Option<TransportPort>,
        span: TimeRange,
    ) -> Found {
        let found = self.lookup(address, span);
        let Some(port) = port.filter(|_| self.ports > 0) else {
            return found;
        };
        let place = self.place(found.endpoint);
        if place.kind != EndpointKind::Node {
            return found;
        }
        place
            .node
            .and_then(|node| self.assignee(AddressKey::node_port(node, port), span))
            .or_else(|| self.assignee(AddressKey::port(address, port), span))
            .or_else(|| self.assignee(AddressKey::any_node_port(port), span))
            .map_or(found, |of_port| Found {
                since_milliseconds: u64::MAX,
                ..of_port
            })
    }

    #[inline]
    fn held(&self, key: AddressKey) -> Option<&AddressHistory> {
        let hash = self.hasher.hash_one(key);
        self.shards
            .get(shard(hash))?
            .find(hash, |held| held.key == key)
    }

    fn assignee(&self, key: AddressKey, span: TimeRange) -> Option<Found> {
        self.found(self.held(key)?, span)
    }

    #[inline]
    fn found(&self, held: &AddressHistory, span: TimeRange) -> Option<Found> {
        let (endpoint, certainty) = match held.at(span, self.kept_milliseconds)? {
            Assignee::Certain(endpoint) => (endpoint, Certainty::Known),
            Assignee::Ambiguous(endpoint) => (endpoint, Certainty::Ambiguous),
        };
        Some(Found {
            endpoint,
            certainty,
            since_milliseconds: held.alone_since(),
        })
    }

    /// Who an address is that nobody holds.
    fn around(&self, address: Address, since_milliseconds: u64) -> Found {
        let endpoint = self.ranges.find(address.bits());
        let certainty = if self.place(endpoint).kind == EndpointKind::Pod {
            Certainty::Unreported
        } else {
            Certainty::Known
        };
        Found {
            endpoint,
            certainty,
            since_milliseconds,
        }
    }

    /// Whether ports have holders of their own.
    #[must_use]
    pub const fn has_ports(&self) -> bool {
        self.ports > 0
    }

    /// What the endpoint is and where.
    #[must_use]
    pub fn place(&self, id: EndpointId) -> Place {
        self.places.get(id.0).copied().unwrap_or_default()
    }

    /// What an id stands for.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        match self.endpoints.get(id.0) {
            Some(endpoint) => endpoint,
            None => &NOWHERE,
        }
    }

    /// What a node id stands for.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        match self.nodes.get(id.0) {
            Some(node) => node,
            None => &NO_NODE,
        }
    }

    /// The node of that name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.node_by_name.get(name).copied()
    }

    /// The group that a namespace belongs to; empty where none is known.
    #[must_use]
    pub fn namespace_group(&self, namespace: &str) -> &str {
        self.namespace_groups
            .get(namespace)
            .map_or("", |group| group)
    }

    /// Namespaces that belong to a group, and the group.
    pub fn namespace_groups(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.namespace_groups.iter();
        all.map(|(namespace, group)| (&**namespace, &**group))
    }

    /// All nodes, those remembered too.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.node_by_name.values().map(|id| self.node(*id))
    }

    /// The node that holds `address` itself, now.
    #[must_use]
    pub fn node_at(&self, address: Address) -> Option<NodeId> {
        let held = self.held(AddressKey::address(address))?;
        let place = self.place(held.last.endpoint);
        match place.kind {
            EndpointKind::Node => place.node,
            _ => None,
        }
    }

    /// Changes whenever [`Self::node_named`] or [`Self::node_at`] may answer otherwise.
    #[must_use]
    pub const fn nodes_revision(&self) -> u64 {
        self.nodes_revision
    }

    /// How many nodes there may be.
    #[must_use]
    pub const fn node_bound(&self) -> usize {
        self.node_bound
    }

    /// How full it is.
    #[must_use]
    pub const fn sizes(&self) -> IndexSizes {
        self.sizes
    }

    /// True where nothing was ever told of a cluster, so that there is nothing to add to a record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.empty
    }

    /// Whether Kubernetes is watched, so that a pod that is not known yet may be known soon.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.watched
    }

    /// False where Kubernetes was asked but has not yet told of all nodes and pods.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }
}

/// The shard of a hash. The table in it uses the lowest and the highest bits: these are in between.
pub(super) fn shard(hash: u64) -> usize {
    usize::try_from(hash >> 40).unwrap_or(0) % SHARDS
}
