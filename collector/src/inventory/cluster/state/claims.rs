//! Ports and claimed addresses of pods, and the ResourceClaims with network devices of pods.

use super::ClusterState;
use super::context::{Begin, UpdateContext};
use super::entries::ResourceClaim;
use crate::inventory::address_key::AddressKey;
use crate::inventory::cluster::fields::ResourceClaimFields;
use crate::inventory::endpoint::EndpointId;

impl ClusterState {
    /// Sets the own keys of a pod.
    pub(super) fn set_pod_keys(
        &mut self,
        uid: u128,
        own: Box<[AddressKey]>,
        begin: Begin,
        now: u64,
    ) {
        if own.is_empty() && !self.pod_keys.contains_key(&uid) {
            return;
        }
        let Some(pod) = self.pods.get(&uid) else {
            return;
        };
        let (id, is_terminated) = (pod.endpoint, pod.is_terminated);
        let mut keys = self.pod_keys.remove(&uid).unwrap_or_default();
        let before = std::mem::replace(&mut keys.own, own);
        for key in before.iter().filter(|key| !keys.contains(**key)) {
            self.writer.unassign(*key, id, now);
        }
        let own = keys.own.iter().map(|key| (*key, before.contains(key)));
        let claimed = keys.from_claims.iter();
        let claimed = claimed.map(|(_, key)| (*key, !begin.is_new));
        for (key, had) in own.chain(claimed) {
            if is_terminated {
                self.writer.unassign(key, id, now);
            } else if begin.is_yielding && had {
                self.writer.yield_to_next(key, id, now);
            } else {
                self.assign_key(key, id, begin);
            }
        }
        if !keys.is_empty() {
            self.pod_keys.insert(uid, keys);
        }
    }

    /// Ends the assignments of a deleted pod. Its claims stay until they are changed.
    pub(super) fn remove_pod_keys(&mut self, uid: u128, id: EndpointId, until: u64) {
        let Some(mut keys) = self.pod_keys.remove(&uid) else {
            return;
        };
        for key in keys.all() {
            self.writer.unassign(key, id, until);
        }
        keys.own = Box::default();
        if !keys.is_empty() {
            self.pod_keys.insert(uid, keys);
        }
    }

    /// A ResourceClaim was created or has changed.
    pub(super) fn resource_claim(&mut self, fields: ResourceClaimFields, context: UpdateContext) {
        let before = self.claims.remove(&fields.uid);
        let addresses = fields.addresses.iter();
        let claim = ResourceClaim {
            pods: fields.pods.into(),
            keys: addresses.map(|one| AddressKey::claimed(*one)).collect(),
            list: context.list,
        };
        let old = before.iter().flat_map(ResourceClaim::all);
        for (pod, key) in old.filter(|(pod, key)| !claim.contains(*pod, *key)) {
            self.remove_claim_key(fields.uid, pod, key);
        }
        if claim.all().next().is_none() || self.claims.len() >= self.writer.endpoint_bound() {
            return;
        }
        let (from, lead) = context.begin(fields.created);
        let had = |pod, key| before.as_ref().is_some_and(|one| one.contains(pod, key));
        for (pod, key) in claim.all().filter(|(pod, key)| !had(*pod, *key)) {
            let keys = self.pod_keys.entry(pod).or_default();
            keys.from_claims.push((fields.uid, key));
            if let Some(pod) = self.pods.get(&pod).filter(|pod| !pod.is_terminated) {
                let begin = Begin {
                    from,
                    lead,
                    is_yielding: self.is_yielding(pod.deletion, pod.node),
                    is_new: false,
                };
                self.assign_key(key, pod.endpoint, begin);
            }
        }
        self.claims.insert(fields.uid, claim);
    }

    /// A ResourceClaim was deleted.
    pub(super) fn resource_claim_deleted(&mut self, uid: u128) {
        if let Some(claim) = self.claims.remove(&uid) {
            for (pod, key) in claim.all() {
                self.remove_claim_key(uid, pod, key);
            }
        }
    }

    fn remove_claim_key(&mut self, claim: u128, pod: u128, key: AddressKey) {
        let Some(keys) = self.pod_keys.get_mut(&pod) else {
            return;
        };
        keys.from_claims.retain(|one| *one != (claim, key));
        let is_kept = keys.contains(key);
        if keys.is_empty() {
            self.pod_keys.remove(&pod);
        }
        if let Some(pod) = self.pods.get(&pod).filter(|_| !is_kept) {
            self.writer.unassign(key, pod.endpoint, self.now);
        }
    }
}
