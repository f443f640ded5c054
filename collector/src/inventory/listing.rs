//! Searches in the index, for people. They visit every entry, and are not meant for the data path.

use std::collections::HashMap;

use flowproto::Address;

use super::address_history::{AddressHistory, Assignment};
use super::address_key::AddressKey;
use super::endpoint::{Endpoint, EndpointId};
use super::snapshot::IndexSnapshot;

/// The time in which an address was assigned to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssignmentTime {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Begin, milliseconds since the epoch.
    pub from_milliseconds: u64,
    /// End, milliseconds since the epoch, exclusive. `None` while it lasts.
    pub until_milliseconds: Option<u64>,
}

impl From<&Assignment> for AssignmentTime {
    fn from(assignment: &Assignment) -> Self {
        Self {
            endpoint: assignment.endpoint,
            from_milliseconds: assignment.from_milliseconds,
            until_milliseconds: (!assignment.is_open()).then_some(assignment.until_milliseconds),
        }
    }
}

impl IndexSnapshot {
    /// Returns the endpoints that `is_wanted` selects, including deleted ones that are kept.
    pub fn find_endpoints(
        &self,
        is_wanted: impl Fn(&Endpoint) -> bool,
    ) -> impl Iterator<Item = EndpointId> {
        let all = self.endpoints.iter().zip(0..);
        all.filter(move |(endpoint, _)| is_wanted(endpoint))
            .map(|(_, number)| EndpointId(number))
    }

    /// Returns the addresses that are assigned to endpoints now, and since when.
    #[must_use]
    pub fn addresses_of(
        &self,
        endpoints: &[EndpointId],
    ) -> HashMap<EndpointId, Vec<(Address, u64)>> {
        let mut addresses: HashMap<EndpointId, Vec<(Address, u64)>> =
            endpoints.iter().map(|id| (*id, Vec::new())).collect();
        for history in self.shards.iter().flat_map(|shard| shard.iter()) {
            let Some(address) = history.key.whole_address() else {
                continue;
            };
            for assignment in history.open() {
                if let Some(found) = addresses.get_mut(&assignment.endpoint) {
                    found.push((address, assignment.from_milliseconds));
                }
            }
        }
        for found in addresses.values_mut() {
            found.sort_unstable();
        }
        addresses
    }

    /// Returns the assignments of an address that are kept, in the order of their begin.
    #[must_use]
    pub fn assignments_of(&self, address: Address) -> Vec<AssignmentTime> {
        let keys = [AddressKey::address(address), AddressKey::claimed(address)];
        let histories = keys.into_iter().filter_map(|key| self.history(key));
        let all = histories.flat_map(AddressHistory::assignments);
        let mut times: Vec<AssignmentTime> = all.map(AssignmentTime::from).collect();
        times.sort_by_key(|time| time.from_milliseconds);
        times
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::inventory::{EndpointKind, IndexWriter};

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_endpoint_is_found_with_its_addresses() {
        let mut writer = IndexWriter::default();
        let [web, db] = ["web-1", "db-0"].map(|name| {
            writer.add_endpoint(Endpoint {
                kind: EndpointKind::Pod,
                namespace: "shop".into(),
                name: name.into(),
                ..Endpoint::default()
            })
        });
        writer.assign_address(address("10.1.1.2"), web).unwrap();
        writer.assign_address(address("2001:db8::2"), web).unwrap();
        writer.assign_address(address("10.1.1.3"), db).unwrap();
        let index = writer.current();
        let found: Vec<_> = index
            .find_endpoints(|e| e.name.starts_with("web"))
            .collect();
        assert_eq!(found, [web]);
        let addresses = index.addresses_of(&found);
        let texts: Vec<String> = addresses[&web].iter().map(|(a, _)| a.to_string()).collect();
        assert_eq!(texts, ["10.1.1.2", "2001:db8::2"]);
        let times = index.assignments_of(address("10.1.1.3"));
        assert_eq!((times.len(), times[0].endpoint), (1, db));
        assert_eq!(times[0].until_milliseconds, None);
        assert_eq!(index.assignments_of(address("10.1.1.4")), []);
    }
}
