//! Endpoints of addresses that are not assigned, by prefix.

use std::sync::Arc;

use ipnet::IpNet;

use super::IndexWriter;
use crate::interval_map::{AddressRange, IntervalMap};
use crate::inventory::endpoint::EndpointId;
use crate::inventory::snapshot::PrefixOwner;

impl IndexWriter {
    /// Returns an endpoint that `prefix` is assigned to.
    #[must_use]
    pub fn prefix_owner(&self, prefix: IpNet) -> Option<EndpointId> {
        let prefix = prefix.trunc();
        let from = self.prefixes.range((prefix, EndpointId::EXTERNAL)..);
        let mut owners = from.take_while(|((other, _), _)| *other == prefix);
        owners.next().map(|((_, endpoint), _)| *endpoint)
    }

    /// Assigns the addresses in `prefix` that are not assigned themselves. `unreported`: see
    /// [`Certainty::Unreported`](crate::inventory::Certainty::Unreported).
    pub fn assign_prefix(&mut self, prefix: IpNet, endpoint: EndpointId, unreported: bool) {
        if endpoint != EndpointId::EXTERNAL {
            let key = (prefix.trunc(), endpoint);
            self.prefixes_changed |= self.prefixes.insert(key, unreported) != Some(unreported);
        }
    }

    /// Ends the assignment of `prefix` to `endpoint`.
    pub fn unassign_prefix(&mut self, prefix: IpNet, endpoint: EndpointId) {
        let key = (prefix.trunc(), endpoint);
        self.prefixes_changed |= self.prefixes.remove(&key).is_some();
    }

    /// Builds the prefixes of the next snapshot, if they have changed.
    pub(super) fn update_prefixes(&mut self) {
        if !std::mem::take(&mut self.prefixes_changed) {
            return;
        }
        let mut ranges: Vec<AddressRange<u128, PrefixOwner>> = Vec::new();
        let mut shared = Vec::new();
        let prefixes = std::mem::take(&mut self.prefixes);
        let mut all = prefixes.iter().peekable();
        while let Some(((prefix, endpoint), unreported)) = all.next() {
            let mut owner = PrefixOwner {
                endpoint: *endpoint,
                unreported: *unreported,
            };
            let mut owners = vec![];
            while let Some(((_, other), _)) = all.next_if(|((other, _), _)| other == prefix) {
                owners.push(*other);
            }
            if !owners.is_empty() {
                owners.push(*endpoint);
                owner.endpoint = self.acquire_shared(&owners);
                owner.unreported = true;
                shared.push(owner.endpoint);
            }
            ranges.push(AddressRange::of(*prefix, owner));
        }
        self.prefixes = prefixes;
        for id in std::mem::replace(&mut self.shared_prefixes, shared) {
            self.release_shared(id);
        }
        self.index.prefixes = Arc::new(IntervalMap::from_nested(ranges));
        // An exporter on a node can have the address of a gateway.
        self.index.nodes_revision = self.index.nodes_revision.wrapping_add(1);
        self.changed = true;
    }
}
