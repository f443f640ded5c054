//! Assignment of addresses, ports and prefixes to endpoints.

use std::hash::BuildHasher;
use std::sync::Arc;

use ipnet::IpNet;

use super::{AMBIGUOUS, IndexWriter, MAX_ADDRESSES_PER_ENDPOINT};
use crate::inventory::address_history::{AddressHistory, Assignment};
use crate::inventory::address_key::AddressKey;
use crate::inventory::endpoint::{Endpoint, EndpointId, EndpointKind};
use crate::inventory::snapshot::shard;

impl IndexWriter {
    /// Returns the endpoint that `key` is assigned to now.
    #[must_use]
    pub fn assignee(&self, key: AddressKey) -> Option<EndpointId> {
        let hash = self.index.hasher.hash_one(key);
        let shard = self.index.shards.get(shard(hash))?;
        let last = shard.find(hash, |history| history.key == key)?.last;
        last.is_open().then_some(last.endpoint)
    }

    /// Assigns `key` to `endpoint`. The endpoint may have used it up to `lead_milliseconds` before
    /// `from_milliseconds`. The assignment to another endpoint ends then, except that a node keeps
    /// its address, and a pod keeps its address from a Service.
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
        let assignment = Assignment {
            endpoint,
            lead_milliseconds: u32::try_from(lead_milliseconds).unwrap_or(u32::MAX),
            from_milliseconds,
            until_milliseconds: u64::MAX,
        };
        let hash = self.index.hasher.hash_one(key);
        let full = self.addresses >= self.max_addresses();
        let before = self
            .index
            .shards
            .get(shard(hash))
            .and_then(|shard| shard.find(hash, |history| history.key == key))
            .map(|history| history.last);
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
                    AddressHistory::new(key, assignment),
                    |history| hasher.hash_one(history.key),
                );
            }
            self.addresses += 1;
            self.index.ports += usize::from(key.is_port());
            self.assignment_changed(kind);
            return;
        };
        let from_file = before.endpoint.0 < self.first_watched && endpoint.0 >= self.first_watched;
        if before.is_open() && !from_file {
            let outranked = self.index.place(before.endpoint).kind.rank() > kind.rank();
            if before.endpoint == endpoint || (outranked && !key.is_port()) {
                return;
            }
        }
        if before.is_open() && !from_file && from_milliseconds < before.from_milliseconds {
            let older = Assignment {
                until_milliseconds: before.from_milliseconds,
                ..assignment
            };
            let ambiguous = self.ambiguous(endpoint, before.endpoint);
            if let Some(history) = self.history_mut(key, hash) {
                history.push_older(older, ambiguous);
            }
            self.ended.push_back((older.until_milliseconds, key));
            self.assignment_changed(kind);
            return;
        }
        let before_kind = self.index.place(before.endpoint).kind;
        let until = before.until_milliseconds.min(from_milliseconds);
        let ambiguous = self.ambiguous(before.endpoint, endpoint);
        if let Some(history) = self.history_mut(key, hash) {
            if from_file {
                *history = AddressHistory::new(key, assignment);
            } else {
                history.last.until_milliseconds = until;
                history.push(assignment, ambiguous);
            }
        }
        if !from_file && before.is_open() {
            self.ended.push_back((until, key));
        }
        self.assignment_changed(kind);
        self.assignment_changed(before_kind);
    }

    /// Ends the assignment of `key` to `endpoint`. Does nothing if the key is assigned to another
    /// endpoint by now.
    pub fn unassign(&mut self, key: AddressKey, endpoint: EndpointId, until_milliseconds: u64) {
        if endpoint == EndpointId::EXTERNAL || self.assignee(key) != Some(endpoint) {
            return;
        }
        let hash = self.index.hasher.hash_one(key);
        if let Some(history) = self.history_mut(key, hash) {
            history.last.until_milliseconds =
                until_milliseconds.max(history.last.from_milliseconds);
        }
        self.ended.push_back((until_milliseconds, key));
        self.assignment_changed(self.index.place(endpoint).kind);
    }

    /// Assigns the addresses in `prefix` that are not assigned themselves. Returns the previous
    /// endpoint of the prefix.
    pub fn assign_prefix(&mut self, prefix: IpNet, id: EndpointId) -> Option<EndpointId> {
        let before = self.prefixes.insert(prefix.trunc(), id);
        self.prefixes_changed |= before != Some(id);
        before
    }

    /// Ends the assignment of `prefix` to `id`.
    pub fn unassign_prefix(&mut self, prefix: IpNet, id: EndpointId) {
        let prefix = prefix.trunc();
        if self.prefixes.get(&prefix) == Some(&id) {
            self.prefixes.remove(&prefix);
            self.prefixes_changed = true;
        }
    }

    fn max_addresses(&self) -> usize {
        usize::try_from(self.bounds.endpoints)
            .unwrap_or(usize::MAX)
            .saturating_mul(MAX_ADDRESSES_PER_ENDPOINT)
    }

    fn assignment_changed(&mut self, kind: EndpointKind) {
        if kind == EndpointKind::Node {
            self.nodes_changed();
        }
        self.changed = true;
    }

    fn history_mut(&mut self, key: AddressKey, hash: u64) -> Option<&mut AddressHistory> {
        let shard = self.index.shards.get_mut(shard(hash))?;
        Arc::make_mut(shard).find_mut(hash, |history| history.key == key)
    }

    /// Returns the endpoint of records that match both `one` and `other`. It has the kind of
    /// `other`, and the node if both are on the same one.
    fn ambiguous(&mut self, one: EndpointId, other: EndpointId) -> EndpointId {
        let (one, other) = (self.index.place(one), self.index.place(other));
        let node = other.node.filter(|_| one.node == other.node);
        let known = (other.kind, node);
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
}
