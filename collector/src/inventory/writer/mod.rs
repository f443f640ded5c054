//! The writer: the one writer of the [`IndexSnapshot`].
//!
//! It changes a working copy, of which [`IndexWriter::snapshot`] hands out clones. A clone shares all that
//! has not changed since: a change copies the shard or chunk that it is in. An id is used anew only
//! [`ID_REUSE_DELAY_MILLISECONDS`] after its endpoint was forgotten, longer than any record or edge that names it
//! waits, so that it means one thing to all readers at any time.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::address_history::{AddressHistory, AddressKey, Assignment};
use super::ranges::Ranges;
use super::snapshot::{
    Endpoint, EndpointId, EndpointKind, IndexSizes, IndexSnapshot, Node, NodeId, SHARDS, Shard,
    shard,
};

/// How long after its end an id is used for something else at the earliest, beside the time that it is
/// kept, milliseconds. Edges are drained every 10 s, records wait for as long by default.
pub const ID_REUSE_DELAY_MILLISECONDS: u64 = 120_000;

/// Label text where an address changed hands while packets ran.
const AMBIGUOUS: &str = "ambiguous";

/// Bounds of a writer.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Endpoints, those kept after their end too.
    pub endpoints: u32,
    /// Nodes.
    pub nodes: u32,
    /// How long a holder that has gone is kept.
    pub kept_milliseconds: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            endpoints: 1 << 20,
            nodes: 1 << 14,
            kept_milliseconds: 300_000,
        }
    }
}

/// Addresses and ports to an endpoint, on the average, at the most.
const HELD_PER_ENDPOINT: usize = 4;

/// IdPool that are used again, after a while.
#[derive(Debug)]
struct IdPool {
    next: u32,
    bound: u32,
    /// Free from when on, milliseconds; the earliest first.
    free: VecDeque<(u64, u32)>,
}

impl IdPool {
    const fn new(bound: u32) -> Self {
        Self {
            next: 0,
            bound,
            free: VecDeque::new(),
        }
    }

    fn take(&mut self, now_milliseconds: u64) -> Option<u32> {
        match self.free.front() {
            Some((from, _)) if *from <= now_milliseconds => {
                self.free.pop_front().map(|(_, number)| number)
            }
            _ if self.next < self.bound => {
                self.next += 1;
                Some(self.next - 1)
            }
            _ => None,
        }
    }

    fn in_use(&self) -> usize {
        usize::try_from(self.next)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.free.len())
    }
}

/// Who holds what, and since when.
#[derive(Debug)]
pub struct IndexWriter {
    index: IndexSnapshot,
    bounds: Bounds,
    endpoint_numbers: IdPool,
    node_numbers: IdPool,
    names: HashSet<Arc<str>, RandomState>,
    names_at_last_pruning: usize,
    prefixes: HashMap<IpNet, EndpointId, RandomState>,
    prefixes_changed: bool,
    /// Who to name where holders of one kind and node cannot be told apart.
    ambiguous: HashMap<(u8, Option<NodeId>), EndpointId, RandomState>,
    /// Holders that have gone, the first one first.
    ended: VecDeque<(u64, AddressKey)>,
    /// Nodes that have gone, and when.
    gone_nodes: HashMap<NodeId, u64, RandomState>,
    /// Endpoints below this one are those of the inventory file: Kubernetes takes their place.
    from_file: u32,
    held: usize,
    overflow: u64,
    changed: bool,
}

impl Default for IndexWriter {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl IndexWriter {
    /// Nothing but the outside.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let empty = Arc::new(Shard::new());
        let mut writer = Self {
            index: IndexSnapshot {
                hasher: RandomState::default(),
                shards: vec![empty; SHARDS],
                ranges: Arc::default(),
                places: Default::default(),
                endpoints: Default::default(),
                nodes: Default::default(),
                node_by_name: Arc::default(),
                namespace_groups: Arc::default(),
                kept_milliseconds: bounds.kept_milliseconds,
                nodes_revision: 0,
                ports: 0,
                sizes: IndexSizes::default(),
                node_bound: usize::try_from(bounds.nodes).unwrap_or(usize::MAX),
                empty: true,
                complete: true,
                watched: false,
            },
            bounds,
            endpoint_numbers: IdPool::new(bounds.endpoints.max(1)),
            node_numbers: IdPool::new(bounds.nodes),
            names: HashSet::default(),
            names_at_last_pruning: 0,
            prefixes: HashMap::default(),
            prefixes_changed: true,
            ambiguous: HashMap::default(),
            ended: VecDeque::new(),
            gone_nodes: HashMap::default(),
            from_file: 1,
            held: 0,
            overflow: 0,
            changed: true,
        };
        let outside = Endpoint {
            workload_kind: writer.intern("External"),
            ..Endpoint::default()
        };
        writer.add_endpoint(outside, 0);
        writer
    }

    /// Kubernetes is asked from now on: what it says takes the place of what is there.
    pub fn start_watch(&mut self) {
        self.from_file = self.endpoint_numbers.next;
        self.index.watched = true;
        self.index.complete = false;
        self.index.empty = false;
        self.changed = true;
    }

    /// Kubernetes has told of all nodes and pods.
    pub fn set_complete(&mut self) {
        self.changed |= !self.index.complete;
        self.index.complete = true;
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

    //------------ Endpoints and nodes -----------------------------------------------------------

    /// A new endpoint; [`EndpointId::EXTERNAL`], counted, where there is no room for it.
    pub fn add_endpoint(&mut self, endpoint: Endpoint, now_milliseconds: u64) -> EndpointId {
        let Some(number) = self.endpoint_numbers.take(now_milliseconds) else {
            self.overflow = self.overflow.saturating_add(1);
            self.changed = true;
            return EndpointId::EXTERNAL;
        };
        let id = EndpointId(number);
        self.set_endpoint(id, endpoint);
        id
    }

    /// Says anew what an endpoint is.
    pub fn set_endpoint(&mut self, id: EndpointId, endpoint: Endpoint) {
        if let Some(place) = self.index.places.get_mut(id.0) {
            *place = endpoint.place();
        }
        if let Some(slot) = self.index.endpoints.get_mut(id.0) {
            *slot = Arc::new(endpoint);
        }
        self.index.empty &= id == EndpointId::EXTERNAL;
        self.changed = true;
    }

    /// What an endpoint is now.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        self.index.endpoint(id)
    }

    /// An endpoint has gone. What it held must have been released; its id stays for a while.
    pub fn retire_endpoint(&mut self, id: EndpointId, now_milliseconds: u64) {
        if id != EndpointId::EXTERNAL {
            let free = self.free_from(now_milliseconds);
            self.endpoint_numbers.free.push_back((free, id.0));
        }
    }

    const fn free_from(&self, now_milliseconds: u64) -> u64 {
        now_milliseconds
            .saturating_add(self.bounds.kept_milliseconds)
            .saturating_add(ID_REUSE_DELAY_MILLISECONDS)
    }

    /// The node of that name, made if there is none; `None`, counted, where there is no room for it.
    pub fn node(&mut self, name: &str, now_milliseconds: u64) -> Option<NodeId> {
        if let Some(id) = self.index.node_named(name) {
            self.gone_nodes.remove(&id);
            return Some(id);
        }
        let Some(number) = self.node_numbers.take(now_milliseconds) else {
            self.overflow = self.overflow.saturating_add(1);
            self.changed = true;
            return None;
        };
        let name = self.intern(name);
        let id = NodeId(number);
        if let Some(slot) = self.index.nodes.get_mut(number) {
            *slot = Arc::new(Node {
                name: Arc::clone(&name),
                ..Node::default()
            });
        }
        Arc::make_mut(&mut self.index.node_by_name).insert(name, id);
        self.nodes_changed();
        Some(id)
    }

    /// How many endpoints there may be.
    #[must_use]
    pub fn endpoint_bound(&self) -> usize {
        usize::try_from(self.bounds.endpoints).unwrap_or(usize::MAX)
    }

    /// The node of that name, if there is one.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.index.node_named(name)
    }

    /// Says anew where a node is; its name stays.
    pub fn set_node(&mut self, id: NodeId, node: Node) {
        if let Some(slot) = self.index.nodes.get_mut(id.0) {
            *slot = Arc::new(node);
        }
        self.changed = true;
    }

    /// What is known of a node now.
    #[must_use]
    pub fn node_of(&self, id: NodeId) -> &Node {
        self.index.node(id)
    }

    /// A node has gone; its name stays for as long as a holder.
    pub fn retire_node(&mut self, id: NodeId, now_milliseconds: u64) {
        self.gone_nodes.insert(id, now_milliseconds);
    }

    /// Says which group a namespace belongs to; none where that is empty. False, counted, where there is
    /// no room for it.
    pub fn set_namespace_group(&mut self, namespace: &str, group: &str) -> bool {
        let known = self.index.namespace_group(namespace);
        if known == group {
            return true;
        }
        let full = self.index.namespace_groups.len() >= self.endpoint_bound();
        if known.is_empty() && full {
            self.overflow = self.overflow.saturating_add(1);
            return false;
        }
        let (name, group) = (self.intern(namespace), self.intern(group));
        let groups = Arc::make_mut(&mut self.index.namespace_groups);
        if group.is_empty() {
            groups.remove(&name);
        } else {
            groups.insert(name, group);
        }
        self.changed = true;
        true
    }

    fn nodes_changed(&mut self) {
        self.index.nodes_revision = self.index.nodes_revision.wrapping_add(1);
        self.index.empty = false;
        self.changed = true;
    }

    //------------ Who holds what ----------------------------------------------------------------

    /// Who holds `key` now.
    #[must_use]
    pub fn assignee(&self, key: AddressKey) -> Option<EndpointId> {
        let hash = self.index.hasher.hash_one(key);
        let shard = self.index.shards.get(shard(hash))?;
        let last = shard.find(hash, |held| held.key == key)?.last;
        last.is_open().then_some(last.endpoint)
    }

    /// `endpoint` holds `key` from now on; up to `lead_milliseconds` before, it may have used it
    /// already. Whoever held it ends then: an address has one holder. But a node keeps its address,
    /// whoever shares it, and a pod keeps its own before a service.
    pub fn assign(
        &mut self,
        key: AddressKey,
        endpoint: EndpointId,
        from_milliseconds: u64,
        lead_milliseconds: u64,
    ) {
        if endpoint == EndpointId::EXTERNAL {
            return;
        }
        let kind = self.index.place(endpoint).kind;
        let holding = Assignment {
            endpoint,
            lead_milliseconds: u32::try_from(lead_milliseconds).unwrap_or(u32::MAX),
            from_milliseconds,
            until_milliseconds: u64::MAX,
        };
        let hash = self.index.hasher.hash_one(key);
        let full = self.held >= self.most_held();
        let before = self
            .index
            .shards
            .get(shard(hash))
            .and_then(|shard| shard.find(hash, |held| held.key == key))
            .map(|held| held.last);
        let Some(before) = before else {
            if full {
                self.overflow = self.overflow.saturating_add(1);
                self.changed = true;
                return;
            }
            let hasher = &self.index.hasher;
            if let Some(shard) = self.index.shards.get_mut(shard(hash)) {
                Arc::make_mut(shard).insert_unique(
                    hash,
                    AddressHistory::new(key, holding),
                    |held| hasher.hash_one(held.key),
                );
            }
            self.held += 1;
            self.index.ports += usize::from(key.is_port());
            self.held_changed(kind);
            return;
        };
        let from_file = before.endpoint.0 < self.from_file && endpoint.0 >= self.from_file;
        if before.is_open() && !from_file {
            let outranked = rank(self.index.place(before.endpoint).kind) > rank(kind);
            if before.endpoint == endpoint || (outranked && !key.is_port()) {
                return;
            }
        }
        if before.is_open() && !from_file && from_milliseconds < before.from_milliseconds {
            let older = Assignment {
                until_milliseconds: before.from_milliseconds,
                ..holding
            };
            let ambiguous = self.ambiguous(endpoint, before.endpoint);
            if let Some(held) = self.held_mut(key, hash) {
                held.push_older(older, ambiguous);
            }
            self.ended.push_back((older.until_milliseconds, key));
            self.held_changed(kind);
            return;
        }
        let before_kind = self.index.place(before.endpoint).kind;
        let until = before.until_milliseconds.min(from_milliseconds);
        let ambiguous = self.ambiguous(before.endpoint, endpoint);
        if let Some(held) = self.held_mut(key, hash) {
            if from_file {
                *held = AddressHistory::new(key, holding);
            } else {
                held.last.until_milliseconds = until;
                held.push(holding, ambiguous);
            }
        }
        if !from_file && before.is_open() {
            self.ended.push_back((until, key));
        }
        self.held_changed(kind);
        self.held_changed(before_kind);
    }

    /// `endpoint` holds `key` no longer. Too late, where somebody else holds it meanwhile.
    pub fn unassign(&mut self, key: AddressKey, endpoint: EndpointId, until_milliseconds: u64) {
        if endpoint == EndpointId::EXTERNAL || self.assignee(key) != Some(endpoint) {
            return;
        }
        let hash = self.index.hasher.hash_one(key);
        if let Some(held) = self.held_mut(key, hash) {
            held.last.until_milliseconds = until_milliseconds.max(held.last.from_milliseconds);
        }
        self.ended.push_back((until_milliseconds, key));
        self.held_changed(self.index.place(endpoint).kind);
    }

    /// What nobody holds inside `prefix` is `id`; whom it was before.
    pub fn assign_prefix(&mut self, prefix: IpNet, id: EndpointId) -> Option<EndpointId> {
        let before = self.prefixes.insert(prefix.trunc(), id);
        self.prefixes_changed |= before != Some(id);
        before
    }

    /// `prefix` is `id` no longer.
    pub fn unassign_prefix(&mut self, prefix: IpNet, id: EndpointId) {
        let prefix = prefix.trunc();
        if self.prefixes.get(&prefix) == Some(&id) {
            self.prefixes.remove(&prefix);
            self.prefixes_changed = true;
        }
    }

    fn most_held(&self) -> usize {
        usize::try_from(self.bounds.endpoints)
            .unwrap_or(usize::MAX)
            .saturating_mul(HELD_PER_ENDPOINT)
    }

    fn held_changed(&mut self, kind: EndpointKind) {
        if kind == EndpointKind::Node {
            self.nodes_changed();
        }
        self.changed = true;
    }

    fn held_mut(&mut self, key: AddressKey, hash: u64) -> Option<&mut AddressHistory> {
        let shard = self.index.shards.get_mut(shard(hash))?;
        Arc::make_mut(shard).find_mut(hash, |held| held.key == key)
    }

    /// Who to name where two holders cannot be told apart: of the kind of the second one, on the node
    /// that they share, if they do.
    fn ambiguous(&mut self, one: EndpointId, other: EndpointId) -> EndpointId {
        let (one, other) = (self.index.place(one), self.index.place(other));
        let node = other.node.filter(|_| one.node == other.node);
        let known = (rank(other.kind), node);
        if let Some(id) = self.ambiguous.get(&known) {
            return *id;
        }
        let name = self.intern(AMBIGUOUS);
        let endpoint = Endpoint {
            kind: other.kind,
            namespace: Arc::clone(&name),
            workload_kind: Arc::clone(&name),
            workload_name: name,
            node,
            ..Endpoint::default()
        };
        let id = self.add_endpoint(endpoint, 0);
        self.ambiguous.insert(known, id);
        id
    }

    //------------ Time and snapshots ------------------------------------------------------------

    /// Forgets who has been gone for too long.
    pub fn expire(&mut self, now_milliseconds: u64) {
        let Some(oldest) = now_milliseconds.checked_sub(self.bounds.kept_milliseconds) else {
            return;
        };
        while let Some((until, key)) = self.ended.front().copied() {
            if until >= oldest {
                break;
            }
            self.ended.pop_front();
            self.forget(key, oldest);
        }
        let gone: Vec<NodeId> = self
            .gone_nodes
            .iter()
            .filter(|(_, since)| **since < oldest)
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.gone_nodes.remove(&id);
            let name = Arc::clone(&self.index.node(id).name);
            Arc::make_mut(&mut self.index.node_by_name).remove(&name);
            let free = now_milliseconds.saturating_add(ID_REUSE_DELAY_MILLISECONDS);
            self.node_numbers.free.push_back((free, id.0));
            self.nodes_changed();
        }
        if self.names.len() > 1024 && self.names.len() / 2 > self.names_at_last_pruning {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.names_at_last_pruning = self.names.len();
        }
    }

    fn forget(&mut self, key: AddressKey, oldest_milliseconds: u64) {
        let hash = self.index.hasher.hash_one(key);
        let Some(table) = self.index.shards.get_mut(shard(hash)) else {
            return;
        };
        let Ok(mut entry) = Arc::make_mut(table).find_entry(hash, |held| held.key == key) else {
            return;
        };
        if !entry.get_mut().forget(oldest_milliseconds) {
            entry.remove();
            self.held -= 1;
            self.index.ports -= usize::from(key.is_port());
        }
        self.changed = true;
    }

    /// The working copy as it is now.
    #[must_use]
    pub fn current(&mut self) -> IndexSnapshot {
        self.changed = true;
        self.snapshot().unwrap_or_else(|| self.index.clone())
    }

    /// The working copy as it is now, if anything changed since it was asked for last.
    pub fn snapshot(&mut self) -> Option<IndexSnapshot> {
        if self.prefixes_changed {
            self.prefixes_changed = false;
            self.index.ranges = Arc::new(Ranges::of(&self.prefixes));
            self.changed = true;
        }
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.index.sizes = IndexSizes {
            nodes: self.node_numbers.in_use(),
            endpoints: self.endpoint_numbers.in_use(),
            held: self.held,
            overflow: self.overflow,
        };
        Some(self.index.clone())
    }
}

/// Who keeps an address that is claimed twice.
const fn rank(kind: EndpointKind) -> u8 {
    match kind {
        EndpointKind::External | EndpointKind::Link => 0,
        EndpointKind::Service => 1,
        EndpointKind::Pod => 2,
        EndpointKind::Node => 3,
    }
}

#[cfg(test)]
mod tests;
