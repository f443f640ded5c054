//! Assignment of addresses and ports to endpoints.

use std::hash::BuildHasher;
use std::sync::Arc;

use flowproto::Address;

use super::IndexWriter;
use crate::inventory::address_history::{AddressHistory, Assignment};
use crate::inventory::address_key::AddressKey;
use crate::inventory::endpoint::{EndpointId, EndpointKind, Place};
use crate::inventory::snapshot::shard;

/// Average number of addresses and ports per endpoint, at most.
const MAX_ADDRESSES_PER_ENDPOINT: usize = 4;

impl IndexWriter {
    /// Returns the endpoints that `key` is assigned to now.
    pub fn assignees(&self, key: AddressKey) -> impl Iterator<Item = EndpointId> {
        let open = self.history(key).into_iter().flat_map(AddressHistory::open);
        open.map(|assignment| assignment.endpoint)
    }

    /// Assigns `key` to `endpoint`. The endpoint may have used it up to `lead_milliseconds` before
    /// `from_milliseconds`. Other endpoints keep the key, except those that yield it.
    pub fn assign(
        &mut self,
        key: AddressKey,
        endpoint: EndpointId,
        from_milliseconds: u64,
        lead_milliseconds: u64,
    ) {
        let until = Assignment::OPEN;
        self.add_assignment(key, endpoint, from_milliseconds, lead_milliseconds, until);
    }

    /// Assigns `key` to the endpoint of a pod in deletion, or behind an unreachable node, until it
    /// is assigned to another endpoint. See [`Self::assign`].
    pub fn assign_yielding(
        &mut self,
        key: AddressKey,
        endpoint: EndpointId,
        from_milliseconds: u64,
        lead_milliseconds: u64,
    ) {
        let until = Assignment::YIELDING;
        self.add_assignment(key, endpoint, from_milliseconds, lead_milliseconds, until);
    }

    fn add_assignment(
        &mut self,
        key: AddressKey,
        endpoint: EndpointId,
        from_milliseconds: u64,
        lead_milliseconds: u64,
        until_milliseconds: u64,
    ) {
        if endpoint == EndpointId::EXTERNAL
            || self.assignees(key).any(|assignee| assignee == endpoint)
        {
            return;
        }
        let assignment = Assignment {
            endpoint,
            lead_milliseconds: u32::try_from(lead_milliseconds).unwrap_or(u32::MAX),
            from_milliseconds,
            until_milliseconds,
        };
        let Some(before) = self.history(key) else {
            self.insert(AddressHistory::new(key, assignment));
            return;
        };
        let is_from_file = |one: &Assignment| one.endpoint.0 < self.first_watched;
        let replaces_file =
            before.assignments().all(is_from_file) && endpoint.0 >= self.first_watched;
        let had_node = self.has_node(before);
        let ended = self.change_endpoints(key, |history, place| {
            if replaces_file {
                *history = AddressHistory::new(key, assignment);
                return None;
            }
            history.add(assignment, place)
        });
        self.assignment_ended(key, ended);
        self.assignments_changed(had_node || self.has_node_at(key));
    }

    /// Ends the assignment of `key` to `endpoint`. Does nothing if it is not assigned to it.
    pub fn unassign(&mut self, key: AddressKey, endpoint: EndpointId, until_milliseconds: u64) {
        if self.assignees(key).any(|assignee| assignee == endpoint) {
            let ended = self.change(key, |history, _| history.end(endpoint, until_milliseconds));
            self.assignment_ended(key, ended);
            self.assignments_changed(self.has_node_at(key));
        }
    }

    /// Marks the assignment of `key` to the endpoint of a pod in deletion, or behind an unreachable
    /// node: it ends when the key is assigned to another endpoint. If it is already, it ended then,
    /// or at `since_milliseconds` if that is later.
    pub fn yield_to_next(
        &mut self,
        key: AddressKey,
        endpoint: EndpointId,
        since_milliseconds: u64,
    ) {
        if self.assignees(key).any(|assignee| assignee == endpoint) {
            let ended = self.change(key, |history, place| {
                history.yield_to_next(endpoint, since_milliseconds, place)
            });
            self.assignment_ended(key, ended);
            self.assignments_changed(false);
        }
    }

    /// Ends the mark of [`Self::yield_to_next`].
    pub fn keep(&mut self, key: AddressKey, endpoint: EndpointId) {
        if self.assignees(key).any(|assignee| assignee == endpoint) {
            self.change(key, |history, _| {
                history.keep(endpoint);
                Some(())
            });
            self.assignments_changed(false);
        }
    }

    /// Removes assignments that ended before `oldest_milliseconds`.
    pub(super) fn forget(&mut self, key: AddressKey, oldest_milliseconds: u64) {
        let is_empty = self.change_endpoints(key, |history, _| {
            (!history.forget(oldest_milliseconds)).then_some(())
        });
        if is_empty.is_some() {
            self.remove(key);
        }
        self.assignments_changed(false);
    }

    fn insert(&mut self, history: AddressHistory) {
        if self.addresses >= self.max_addresses() {
            self.overflow = self.overflow.saturating_add(1);
            self.changed = true;
            return;
        }
        let has_node = self.has_node(&history);
        let key = history.key;
        let hash = self.index.hasher.hash_one(key);
        let hasher = &self.index.hasher;
        if let Some(shard) = self.index.shards.get_mut(shard(hash)) {
            Arc::make_mut(shard)
                .insert_unique(hash, history, |history| hasher.hash_one(history.key));
        }
        self.addresses += 1;
        self.index.ports += usize::from(key.is_port());
        self.index.claimed += usize::from(key.is_claimed());
        self.assignments_changed(has_node);
    }

    fn remove(&mut self, key: AddressKey) {
        let hash = self.index.hasher.hash_one(key);
        let Some(shard) = self.index.shards.get_mut(shard(hash)) else {
            return;
        };
        if let Ok(entry) = Arc::make_mut(shard).find_entry(hash, |history| history.key == key) {
            entry.remove();
            self.addresses -= 1;
            self.index.ports -= usize::from(key.is_port());
            self.index.claimed -= usize::from(key.is_claimed());
        }
    }

    pub(super) fn history(&self, key: AddressKey) -> Option<&AddressHistory> {
        self.index.history(key)
    }

    /// Changes a history. Copies its shard if a snapshot shares it.
    pub(super) fn change<T>(
        &mut self,
        key: AddressKey,
        change: impl FnOnce(&mut AddressHistory, &dyn Fn(EndpointId) -> Place) -> Option<T>,
    ) -> Option<T> {
        let hash = self.index.hasher.hash_one(key);
        let places = &self.index.places;
        let place = |id: EndpointId| places.get(id.0).copied().unwrap_or_default();
        let shard = self.index.shards.get_mut(shard(hash))?;
        let history = Arc::make_mut(shard).find_mut(hash, |history| history.key == key)?;
        change(history, &place)
    }

    fn assignment_ended(&mut self, key: AddressKey, end_milliseconds: Option<u64>) {
        if let Some(end) = end_milliseconds {
            self.ended.push_back((end, key));
        }
    }

    /// Returns whether a change of a history can change which node has the address: one of its
    /// endpoints is a node, or the address is the gateway of a pod CIDR.
    fn has_node(&self, history: &AddressHistory) -> bool {
        let is_node = |id| self.index.place(id).kind == EndpointKind::Node;
        let by_prefix = |address: Address| self.index.prefixes.get(address.bits()).endpoint;
        let mut all = history.assignments();
        all.any(|one| is_node(one.endpoint))
            || history
                .key
                .whole_address()
                .is_some_and(|address| is_node(by_prefix(address)))
    }

    fn has_node_at(&self, key: AddressKey) -> bool {
        self.history(key)
            .is_some_and(|history| self.has_node(history))
    }

    fn assignments_changed(&mut self, of_node: bool) {
        if of_node {
            self.nodes_changed();
        }
        self.changed = true;
    }

    fn max_addresses(&self) -> usize {
        usize::try_from(self.bounds.endpoints)
            .unwrap_or(usize::MAX)
            .saturating_mul(MAX_ADDRESSES_PER_ENDPOINT)
    }
}
