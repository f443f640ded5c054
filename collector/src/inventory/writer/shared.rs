//! Endpoints that stand for several: what a record is attributed to if its address belonged to
//! more than one endpoint.

use std::sync::Arc;

use super::IndexWriter;
use crate::inventory::address_history::{AddressHistory, AmbiguousEndpoints, RANKS};
use crate::inventory::address_key::AddressKey;
use crate::inventory::endpoint::{AMBIGUOUS, Endpoint, EndpointId, EndpointKind, Place};

impl IndexWriter {
    /// Updates the endpoints of records that match several assignments of `key`. Must be called
    /// after a change of an endpoint that the key is assigned to.
    pub fn update_ambiguous(&mut self, key: AddressKey) {
        if let Some(history) = self.history(key)
            && history.ambiguous() != AmbiguousEndpoints::default()
        {
            self.change_endpoints(key, |_, _| None::<()>);
            self.changed = true;
        }
    }

    /// Changes the endpoints of a history, and updates the endpoints of records that match several
    /// of them.
    pub(super) fn change_endpoints<T>(
        &mut self,
        key: AddressKey,
        change: impl FnOnce(&mut AddressHistory, &dyn Fn(EndpointId) -> Place) -> Option<T>,
    ) -> Option<T> {
        let before = self.history(key)?.ambiguous();
        let changed = self.change(key, |history, place| {
            history.set_ambiguous(AmbiguousEndpoints::default());
            change(history, place)
        });
        let ambiguous = self.acquire_ambiguous(key);
        if ambiguous != AmbiguousEndpoints::default() {
            self.change(key, |history, _| {
                history.set_ambiguous(ambiguous);
                None::<()>
            });
        }
        for id in before.ids() {
            self.release_shared(id);
        }
        changed
    }

    fn acquire_ambiguous(&mut self, key: AddressKey) -> AmbiguousEndpoints {
        let mut by_rank: [Vec<EndpointId>; RANKS] = Default::default();
        for assignment in self
            .history(key)
            .into_iter()
            .flat_map(AddressHistory::assignments)
        {
            let rank = self.index.place(assignment.endpoint).kind.rank();
            if let Some(ids) = by_rank.get_mut(rank)
                && !ids.contains(&assignment.endpoint)
            {
                ids.push(assignment.endpoint);
            }
        }
        let mut ambiguous = AmbiguousEndpoints::default();
        for (slot, ids) in ambiguous.by_rank.iter_mut().zip(&by_rank) {
            if ids.len() > 1 {
                *slot = self.acquire_shared(ids);
            }
        }
        if by_rank.iter().filter(|ids| !ids.is_empty()).count() > 1 {
            let all: Vec<EndpointId> = by_rank.iter().flatten().copied().collect();
            ambiguous.mixed = self.acquire_shared(&all);
        }
        ambiguous
    }

    /// Returns an endpoint that stands for all of `ids`, in ascending order of rank. It must be
    /// released.
    pub(super) fn acquire_shared(&mut self, ids: &[EndpointId]) -> EndpointId {
        let shared = self.shared_endpoint(ids);
        if let Some((id, users)) = self.shared.get_mut(&shared) {
            *users = users.saturating_add(1);
            return *id;
        }
        let id = self.add_endpoint(shared.clone());
        if id != EndpointId::EXTERNAL {
            self.shared.insert(shared, (id, 1));
        }
        id
    }

    /// Releases an endpoint of [`Self::acquire_shared`].
    pub(super) fn release_shared(&mut self, id: EndpointId) {
        let endpoint = self.index.endpoint(id);
        let Some((_, users)) = self.shared.get_mut(endpoint) else {
            return;
        };
        *users = users.saturating_sub(1);
        if *users == 0 {
            let endpoint = endpoint.clone();
            self.shared.remove(&endpoint);
            self.retire_endpoint(id);
        }
    }

    /// Returns what endpoints have in common: workload, name, node, topology and labels.
    fn shared_endpoint(&mut self, ids: &[EndpointId]) -> Endpoint {
        let mut all = ids.iter().map(|id| self.index.endpoint(*id));
        // The last one has the highest rank.
        let model = all.next_back().cloned().unwrap_or_default();
        let (mut same_kind, mut same_workload, mut same_name) = (true, true, true);
        let (mut node, mut topology) = (model.node, model.topology);
        let mut labels = model.labels.clone();
        for one in all {
            same_kind &= one.kind == model.kind;
            same_workload &= (&one.namespace, &one.workload_kind, &one.workload_name)
                == (&model.namespace, &model.workload_kind, &model.workload_name);
            same_name &= one.name == model.name;
            node = node.filter(|node| one.node == Some(*node));
            topology = topology.filter(|topology| one.topology == Some(*topology));
            labels = labels.filter(|labels| one.labels.as_ref() == Some(labels));
        }
        if same_kind && same_workload {
            let name = if same_name {
                model.name
            } else {
                Arc::default()
            };
            return Endpoint {
                name,
                node,
                topology,
                labels,
                ..model
            };
        }
        let ambiguous = self.intern(AMBIGUOUS);
        let workload_kind = match model.kind {
            EndpointKind::Pod => Arc::clone(&ambiguous),
            _ => model.workload_kind,
        };
        let namespace = match model.kind {
            EndpointKind::Pod | EndpointKind::Service => Arc::clone(&ambiguous),
            _ => Arc::default(),
        };
        Endpoint {
            kind: model.kind,
            namespace,
            name: Arc::default(),
            workload_kind,
            workload_name: ambiguous,
            node,
            topology,
            labels,
            external_address: None,
        }
    }
}
