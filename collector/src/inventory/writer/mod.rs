//! The single writer of [`IndexSnapshot`].
//!
//! It changes a working copy and publishes clones of it. A clone shares all shards and chunks that
//! have not changed since. The id of a deleted endpoint is reused only when no record or edge can
//! name it any more.

mod assignments;
mod endpoints;
mod id_pool;
mod permanent;
mod prefixes;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

use super::address_key::AddressKey;
use super::clock_reading::ClockReading;
use super::endpoint::{Endpoint, EndpointId, NodeId, Topology, TopologyId};
use super::labels::LabelSet;
use super::snapshot::{IndexSizes, IndexSnapshot, SHARDS, Shard};
use id_pool::IdPool;
pub use permanent::Conflict;

/// Maximum number of combinations of zone and region in labels of pods.
const MAX_TOPOLOGIES: usize = 4096;

/// Names and sets of labels are pruned when there are more than this, and twice as many as after
/// the last pruning.
const MIN_NAMES_TO_PRUNE: usize = 1024;

/// Limits of an index.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Maximum number of endpoints, including deleted ones that are kept. Default: 1,048,576.
    pub endpoints: u32,
    /// Maximum number of nodes. Default: 16,384.
    pub nodes: u32,
    /// Retention time of assignments that have ended, milliseconds. Default: 300,000.
    pub kept_milliseconds: u64,
    /// Minimum time before the id of a deleted endpoint is reused, in addition to the retention
    /// time, milliseconds. Must exceed the longest time between the lookup of a record and the
    /// drain of its edge. Default: 120,000.
    pub id_reuse_delay_milliseconds: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            endpoints: 1 << 20,
            nodes: 1 << 14,
            kept_milliseconds: 300_000,
            id_reuse_delay_milliseconds: 120_000,
        }
    }
}

/// The current state of the index, and what is needed to change it.
#[derive(Debug)]
pub struct IndexWriter {
    index: IndexSnapshot,
    bounds: Bounds,
    now: ClockReading,
    endpoint_ids: IdPool,
    node_ids: IdPool,
    names: HashSet<Arc<str>, RandomState>,
    label_sets: HashSet<Arc<LabelSet>, RandomState>,
    label_sets_at_last_pruning: usize,
    names_at_last_pruning: usize,
    topologies: HashMap<Topology, TopologyId, RandomState>,
    /// Prefixes with their endpoints, and whether a lookup is unreported.
    prefixes: BTreeMap<(IpNet, EndpointId), bool>,
    prefixes_changed: bool,
    /// Endpoints that stand for several, and their number of users.
    shared: HashMap<Endpoint, (EndpointId, u32), RandomState>,
    /// Those in use for prefixes with several owners.
    shared_prefixes: Vec<EndpointId>,
    /// Assignments that have ended, in the order of their end.
    ended: VecDeque<(u64, AddressKey)>,
    node_users: HashMap<NodeId, u32, RandomState>,
    /// Nodes that have got an id since the latest call of [`Self::take_new_nodes`].
    new_nodes: Vec<NodeId>,
    /// Nodes without users, and since when, milliseconds since the epoch.
    unused_nodes: HashMap<NodeId, u64, RandomState>,
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
                topologies: Arc::default(),
                node_by_name: Arc::default(),
                namespace_groups: Arc::default(),
                namespace_labels: Arc::default(),
                kept_milliseconds: bounds.kept_milliseconds,
                nodes_revision: 0,
                ports: 0,
                claimed: 0,
                sizes: IndexSizes::default(),
                node_bound: usize::try_from(bounds.nodes).unwrap_or(usize::MAX),
                empty: true,
                complete: true,
                watched: false,
            },
            bounds,
            now: ClockReading::default(),
            endpoint_ids: IdPool::new(bounds.endpoints.max(1)),
            node_ids: IdPool::new(bounds.nodes),
            names: HashSet::default(),
            names_at_last_pruning: 0,
            label_sets: HashSet::default(),
            label_sets_at_last_pruning: 0,
            topologies: HashMap::default(),
            prefixes: BTreeMap::new(),
            prefixes_changed: true,
            shared: HashMap::default(),
            shared_prefixes: Vec::new(),
            ended: VecDeque::new(),
            node_users: HashMap::default(),
            new_nodes: Vec::new(),
            unused_nodes: HashMap::default(),
            first_watched: 1,
            addresses: 0,
            overflow: 0,
            changed: true,
        };
        let external = Endpoint {
            workload_kind: writer.intern("External"),
            ..Endpoint::default()
        };
        writer.add_endpoint(external);
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

    /// Returns a shared copy of labels. `None` if there are none.
    pub fn labels<'a>(
        &mut self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Option<Arc<LabelSet>> {
        let interned = labels.map(|(key, value)| (self.intern(key), self.intern(value)));
        let labels = LabelSet::new(interned);
        if labels.is_empty() {
            return None;
        }
        if let Some(known) = self.label_sets.get(&labels) {
            return Some(Arc::clone(known));
        }
        let new = Arc::new(labels);
        self.label_sets.insert(Arc::clone(&new));
        Some(new)
    }

    /// Returns the id of a topology. `None` if both labels are empty, or if there are 4096 others:
    /// ids are not reused.
    pub fn topology(&mut self, zone: &str, region: &str) -> Option<TopologyId> {
        if zone.is_empty() && region.is_empty() {
            return None;
        }
        let topology = Topology {
            zone: self.intern(zone),
            region: self.intern(region),
        };
        if let Some(known) = self.topologies.get(&topology) {
            return Some(*known);
        }
        if self.topologies.len() >= MAX_TOPOLOGIES {
            return None;
        }
        let topologies = Arc::make_mut(&mut self.index.topologies);
        topologies.push(topology.clone());
        let id = u16::try_from(topologies.len()).ok()?;
        let id = TopologyId(NonZeroU16::new(id)?);
        self.topologies.insert(topology, id);
        Some(id)
    }

    /// Sets the clocks. Assignments and nodes whose end is longer ago than the retention time are
    /// removed by [`Self::expire`].
    pub const fn set_now(&mut self, now: ClockReading) {
        self.now = now;
    }

    /// Removes assignments and nodes whose end is longer ago than the retention time.
    pub fn expire(&mut self) {
        let now = self.now.wall_milliseconds;
        let Some(oldest) = now.checked_sub(self.bounds.kept_milliseconds) else {
            return;
        };
        while let Some((until, key)) = self.ended.front().copied() {
            if until >= oldest {
                break;
            }
            self.ended.pop_front();
            self.forget(key, oldest);
        }
        self.forget_nodes(oldest);
        // They hold names.
        let sets = self.label_sets.len();
        if sets > MIN_NAMES_TO_PRUNE && sets / 2 > self.label_sets_at_last_pruning {
            self.label_sets.retain(|set| Arc::strong_count(set) > 1);
            self.label_sets_at_last_pruning = self.label_sets.len();
        }
        let names = self.names.len();
        if names > MIN_NAMES_TO_PRUNE && names / 2 > self.names_at_last_pruning {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.names_at_last_pruning = self.names.len();
        }
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
        self.update_prefixes();
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
