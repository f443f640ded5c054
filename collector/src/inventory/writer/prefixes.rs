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
        let owners = self.prefixes.get(&prefix.trunc())?;
        owners.first().map(|owner| owner.endpoint)
    }

    /// Assigns the addresses in `prefix` that are not assigned themselves. `unreported`: see
    /// [`Certainty::Unreported`](crate::inventory::Certainty::Unreported).
    pub fn assign_prefix(&mut self, prefix: IpNet, endpoint: EndpointId, unreported: bool) {
        let owner = PrefixOwner {
            endpoint,
            unreported,
        };
        let owners = self.prefixes.entry(prefix.trunc()).or_default();
        if endpoint != EndpointId::EXTERNAL && !owners.contains(&owner) {
            owners.retain(|one| one.endpoint != endpoint);
            owners.push(owner);
            self.prefixes_changed = true;
        }
    }

    /// Ends the assignment of `prefix` to `endpoint`.
    pub fn unassign_prefix(&mut self, prefix: IpNet, endpoint: EndpointId) {
        let prefix = prefix.trunc();
        let Some(owners) = self.prefixes.get_mut(&prefix) else {
            return;
        };
        let before = owners.len();
        owners.retain(|owner| owner.endpoint != endpoint);
        self.prefixes_changed |= owners.len() != before;
        if owners.is_empty() {
            self.prefixes.remove(&prefix);
        }
    }

    /// Builds the prefixes of the next snapshot, if they have changed.
    pub(super) fn update_prefixes(&mut self) {
        if !std::mem::take(&mut self.prefixes_changed) {
            return;
        }
        let prefixes = std::mem::take(&mut self.prefixes);
        let mut ranges = Vec::with_capacity(prefixes.len());
        let mut shared = Vec::new();
        for (prefix, owners) in &prefixes {
            let owner = match owners.as_slice() {
                [] => continue,
                [owner] => *owner,
                several => {
                    let ids: Vec<EndpointId> = several.iter().map(|one| one.endpoint).collect();
                    let endpoint = self.acquire_shared(&ids);
                    shared.push(endpoint);
                    PrefixOwner {
                        endpoint,
                        unreported: true,
                    }
                }
            };
            ranges.push(AddressRange::of(*prefix, owner));
        }
        self.prefixes = prefixes;
        for id in std::mem::replace(&mut self.shared_prefixes, shared) {
            self.release_shared(id);
        }
        self.index.prefixes = Arc::new(IntervalMap::from_nested(ranges));
        self.changed = true;
    }
}
