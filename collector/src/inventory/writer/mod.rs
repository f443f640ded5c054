//! The single writer of [`IndexSnapshot`].
//!
//! It changes a working copy and publishes clones of it. A clone shares all shards and chunks that
//! have not changed since. The id of a deleted endpoint is reused only after
//! [`ID_REUSE_DELAY_MILLISECONDS`]: longer than any record or edge can name it.

mod assignments;
mod endpoints;
mod id_pool;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::address_key::AddressKey;
use super::endpoint::{Endpoint, EndpointId, EndpointKind, NodeId};
use super::snapshot::{IndexSizes, IndexSnapshot, SHARDS, Shard, shard};
use crate::interval_map::{AddressRange, IntervalMap};
use id_pool::IdPool;

/// Minimum time before the id of a deleted endpoint is reused, in addition to the retention time.
/// Edges are drained every 10 s, and records wait for up to 10 s by default.
pub const ID_REUSE_DELAY_MILLISECONDS: u64 = 120_000;

/// Name of an endpoint that stands for several.
const AMBIGUOUS: &str = "ambiguous";

/// Average number of addresses and ports per endpoint, at most.
const MAX_ADDRESSES_PER_ENDPOINT: usize = 4;

/// Limits of an index.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum number of endpoints, including deleted ones that are kept. Default: 1,048,576.
    pub endpoints: u32,
    /// Maximum number of nodes. Default: 16,384.
    pub nodes: u32,
    /// Retention time of assignments that have ended, milliseconds. Default: 300,000.
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

/// The current state of the index, and what is needed to change it.
#[derive(Debug)]
pub struct IndexWriter {
    index: IndexSnapshot,
    bounds: Bounds,
    endpoint_ids: IdPool,
    node_ids: IdPool,
    names: HashSet<Arc<str>, RandomState>,
    names_at_last_pruning: usize,
    prefixes: HashMap<IpNet, EndpointId, RandomState>,
    prefixes_changed: bool,
    /// Endpoints of records that match several endpoints, by kind and common node.
    ambiguous: HashMap<(EndpointKind, Option<NodeId>), EndpointId, RandomState>,
    /// Assignments that have ended, in the order of their end.
    ended: VecDeque<(u64, AddressKey)>,
    /// Deleted nodes and the time of their deletion.
    deleted_nodes: HashMap<NodeId, u64, RandomState>,
    /// Lower ids are endpoints of the inventory file. Kubernetes replaces their assignments.
    first_watched: u32,
    addresses: usize,
    overflow: u64,
    changed: bool,
}

impl Default for IndexWriter {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl IndexWriter {
    /// Creates an index without endpoints: all addresses are external.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let empty = Arc::new(Shard::new());
        let mut writer = Self {
            index: IndexSnapshot {
                hasher: RandomState::default(),
                shards: vec![empty; SHARDS],
                prefixes: Arc::default(),
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
            endpoint_ids: IdPool::new(bounds.endpoints.max(1)),
            node_ids: IdPool::new(bounds.nodes),
            names: HashSet::default(),
            names_at_last_pruning: 0,
            prefixes: HashMap::default(),
            prefixes_changed: true,
            ambiguous: HashMap::default(),
            ended: VecDeque::new(),
            deleted_nodes: HashMap::default(),
            first_watched: 1,
            addresses: 0,
            overflow: 0,
            changed: true,
        };
        let external = Endpoint {
            workload_kind: writer.intern("External"),
            ..Endpoint::default()
        };
        writer.add_endpoint(external, 0);
        writer
    }

    /// Kubernetes is watched from now on. Its objects replace those of the inventory file.
    pub fn start_watch(&mut self) {
        self.first_watched = self.endpoint_ids.next();
        self.index.watched = true;
        self.index.complete = false;
        self.index.empty = false;
        self.changed = true;
    }

    /// The initial lists of Kubernetes are loaded.
    pub fn set_complete(&mut self) {
        self.changed |= !self.index.complete;
        self.index.complete = true;
    }

    /// Returns a shared copy of a name.
    pub fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(name);
        self.names.insert(Arc::clone(&new));
        new
    }

    /// Removes assignments and nodes whose end is longer ago than the retention time.
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
        let expired: Vec<NodeId> = self
            .deleted_nodes
            .iter()
            .filter(|(_, since)| **since < oldest)
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.deleted_nodes.remove(&id);
            let name = Arc::clone(&self.index.node(id).name);
            Arc::make_mut(&mut self.index.node_by_name).remove(&name);
            let reuse = now_milliseconds.saturating_add(ID_REUSE_DELAY_MILLISECONDS);
            self.node_ids.release(id.0, reuse);
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
        let Ok(mut entry) = Arc::make_mut(table).find_entry(hash, |history| history.key == key)
        else {
            return;
        };
        if !entry.get_mut().forget(oldest_milliseconds) {
            entry.remove();
            self.addresses -= 1;
            self.index.ports -= usize::from(key.is_port());
        }
        self.changed = true;
    }

    /// Returns a snapshot of the current state.
    #[must_use]
    pub fn current(&mut self) -> IndexSnapshot {
        self.changed = true;
        self.snapshot().unwrap_or_else(|| self.index.clone())
    }

    /// Returns a snapshot of the current state, or `None` if nothing has changed since the previous
    /// one.
    pub fn snapshot(&mut self) -> Option<IndexSnapshot> {
        if self.prefixes_changed {
            self.prefixes_changed = false;
            let range = |(prefix, id): (&IpNet, &EndpointId)| AddressRange::of(*prefix, *id);
            let ranges = self.prefixes.iter().map(range).collect();
            self.index.prefixes = Arc::new(IntervalMap::from_nested(ranges));
            self.changed = true;
        }
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.index.sizes = IndexSizes {
            nodes: self.node_ids.in_use(),
            endpoints: self.endpoint_ids.in_use(),
            addresses: self.addresses,
            overflow: self.overflow,
        };
        Some(self.index.clone())
    }
}
