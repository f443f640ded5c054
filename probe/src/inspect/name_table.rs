//! Names of addresses, as clients have resolved them.
//!
//! Several names can have one address. Each client gets the name that it has resolved itself, else
//! the one that was resolved last: the capture may show the query of a resolver instead of that of
//! the client, or another address of the client.

use std::num::NonZeroUsize;

use flowproto::Address;
use flowproto::host_name::{HostName, HostNames, NameError};
use lru::LruCache;

use super::dns::{Answers, QuestionName, Response};

/// A client uses an address for longer than it may, because it keeps connections and caches.
const GRACE_NS: u64 = 600 * SECOND_NS;
/// Longest time to live that is used.
const MAX_TIME_TO_LIVE: u32 = 86_400;
const SECOND_NS: u64 = 1_000_000_000;
/// Room for the text of a name, octets. Names are shared between addresses and clients.
const NAME_OCTETS: usize = 64;
/// Names of Services and pods in a cluster (Kubernetes DNS specification). The collector knows
/// their addresses.
const CLUSTER_DOMAIN: &[u8] = b".cluster.local";

/// Counts of names since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameCounters {
    /// Resolved addresses learned, or learned with another name.
    pub learned: u64,
    /// Names that had expired when they were looked up or their place was needed.
    pub expired: u64,
    /// Names that had not expired when their place was needed.
    pub evicted: u64,
    /// Texts that are not host names.
    pub invalid: u64,
    /// Names for which there was no room.
    pub without_room: u64,
    /// DNS responses whose query was not observed.
    pub without_query: u64,
}

/// Names by client and address.
#[derive(Debug)]
pub struct NameTable {
    names: HostNames,
    entries: LruCache<Peer, Entry, foldhash::fast::RandomState>,
    counters: NameCounters,
}

/// An address that a client may connect to. The client is unspecified in the entry for all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Peer {
    client: Address,
    address: Address,
}

#[derive(Clone, Debug)]
struct Entry {
    name: HostName,
    expires_ns: u64,
}

impl NameTable {
    /// Creates an empty table of `max_names` entries. A resolved address has two.
    #[must_use]
    pub fn new(max_names: NonZeroUsize) -> Self {
        Self {
            names: HostNames::new(max_names.get().saturating_mul(NAME_OCTETS)),
            entries: LruCache::with_hasher(max_names, foldhash::fast::RandomState::default()),
            counters: NameCounters::default(),
        }
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> &NameCounters {
        &self.counters
    }

    /// Number of entries: one for each client and address, and one for each address.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if no address has a name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Octets of the texts of names.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.names.octets()
    }

    /// The name that a text is. `None` if it is not one, or if there is no room.
    pub fn intern(&mut self, text: &[u8]) -> Option<HostName> {
        match self.names.intern(text) {
            Ok(name) => Some(name),
            Err(NameError::Invalid) => {
                self.counters.invalid = self.counters.invalid.saturating_add(1);
                None
            }
            Err(NameError::NoRoom) => {
                self.counters.without_room = self.counters.without_room.saturating_add(1);
                None
            }
        }
    }

    /// Learns the addresses in a DNS response that a client received at `time_ns` since the epoch.
    pub fn learn(&mut self, message: &[u8], client: Address, time_ns: u64) {
        let Some((question, answers)) = named_addresses(message) else {
            return;
        };
        let Some(name) = self.intern(question.text()) else {
            return;
        };
        answers.read(|answer| {
            if answer.address.is_unspecified() {
                return;
            }
            let seconds = answer.time_to_live.min(MAX_TIME_TO_LIVE);
            let lifetime_ns = u64::from(seconds)
                .saturating_mul(SECOND_NS)
                .saturating_add(GRACE_NS);
            let expires_ns = time_ns.saturating_add(lifetime_ns);
            let address = answer.address;
            let is_new = self.set(Peer { client, address }, &name, expires_ns, time_ns);
            self.counters.learned = self.counters.learned.saturating_add(is_new.into());
            let client = Address::UNSPECIFIED;
            self.set(Peer { client, address }, &name, expires_ns, time_ns);
        });
    }

    /// Counts a DNS message that would name addresses, but whose query was not observed.
    pub fn refuse(&mut self, message: &[u8]) {
        let is_refused = named_addresses(message).is_some();
        self.counters.without_query = self
            .counters
            .without_query
            .saturating_add(is_refused.into());
    }

    /// Finds the name of an address for a client.
    pub fn find(&mut self, client: Address, address: Address, time_ns: u64) -> Option<HostName> {
        if self.entries.is_empty() {
            return None;
        }
        let of_client = self.current(Peer { client, address }, time_ns);
        of_client.or_else(|| {
            let client = Address::UNSPECIFIED;
            self.current(Peer { client, address }, time_ns)
        })
    }

    fn current(&mut self, peer: Peer, time_ns: u64) -> Option<HostName> {
        let entry = self.entries.get(&peer)?;
        if entry.expires_ns >= time_ns {
            return Some(entry.name.clone());
        }
        self.entries.pop(&peer);
        self.counters.expired = self.counters.expired.saturating_add(1);
        None
    }

    /// Sets the name of an entry. True if it had none, or another one.
    fn set(&mut self, peer: Peer, name: &HostName, expires_ns: u64, time_ns: u64) -> bool {
        if let Some(entry) = self.entries.get_mut(&peer) {
            entry.expires_ns = expires_ns;
            let is_new = entry.name != *name;
            if is_new {
                entry.name = name.clone();
            }
            return is_new;
        }
        let entry = Entry {
            name: name.clone(),
            expires_ns,
        };
        if let Some((_, evicted)) = self.entries.push(peer, entry) {
            let count = if evicted.expires_ns < time_ns {
                &mut self.counters.expired
            } else {
                &mut self.counters.evicted
            };
            *count = count.saturating_add(1);
        }
        true
    }
}

/// The name in a DNS response and its addresses. `None` if there is no address, and for names in a
/// cluster.
fn named_addresses(message: &[u8]) -> Option<(QuestionName, Answers<'_>)> {
    let (name, answers) = Response::of(message)?.question()?;
    if is_in_cluster(name.text()) {
        return None;
    }
    // A name without an address takes no room.
    let mut has_address = false;
    answers.read(|_| has_address = true);
    has_address.then_some((name, answers))
}

fn is_in_cluster(name: &[u8]) -> bool {
    let start = name.len().saturating_sub(CLUSTER_DOMAIN.len());
    name.get(start..)
        .is_some_and(|end| end.eq_ignore_ascii_case(CLUSTER_DOMAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Address = Address::from_v4_bits(0x0a00_0001);
    const OTHER: Address = Address::from_v4_bits(0x0a00_0002);

    /// A response with one address and a time to live in seconds.
    fn response(name: &str, address: u32, seconds: u32) -> Vec<u8> {
        let mut message = vec![0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1]);
        message.extend(seconds.to_be_bytes());
        message.extend([0, 4]);
        message.extend(address.to_be_bytes());
        message
    }

    fn table(max_names: usize) -> NameTable {
        NameTable::new(max_names.try_into().unwrap())
    }

    fn find(table: &mut NameTable, client: Address, address: u32, seconds: u64) -> String {
        let address = Address::from_v4_bits(address);
        let found = table.find(client, address, seconds.saturating_mul(SECOND_NS));
        found.map_or_else(String::new, |name| name.as_str().to_owned())
    }

    #[test]
    fn each_client_has_its_own_name_and_others_the_latest() {
        let mut names = table(10);
        names.learn(&response("a.test", 1, 300), CLIENT, 0);
        names.learn(&response("b.test", 1, 300), OTHER, 0);
        assert_eq!(find(&mut names, CLIENT, 1, 1), "a.test");
        assert_eq!(find(&mut names, OTHER, 1, 1), "b.test");
        let third = Address::from_v4_bits(0x0a00_0003);
        assert_eq!(find(&mut names, third, 1, 1), "b.test");
        assert_eq!(find(&mut names, CLIENT, 2, 1), "");
        names.learn(&response("a.test", 1, 300), CLIENT, 0);
        assert_eq!(names.counters().learned, 2);
    }

    #[test]
    fn a_name_expires_after_its_time_to_live_and_a_while() {
        let mut names = table(10);
        names.learn(&response("a.test", 1, 300), CLIENT, 0);
        assert_eq!(find(&mut names, CLIENT, 1, 900), "a.test");
        assert_eq!(find(&mut names, CLIENT, 1, 901), "");
        assert_eq!((names.len(), names.counters().expired), (0, 2));
        names.learn(&response("a.test", 1, u32::MAX), CLIENT, 0);
        assert_eq!(find(&mut names, CLIENT, 1, 86_400 + 601), "");
    }

    #[test]
    fn a_full_table_forgets_what_was_not_used_for_longest() {
        let mut names = table(4);
        for address in 1..=4 {
            let name = format!("a{address}.test");
            names.learn(&response(&name, address, 300), CLIENT, 0);
        }
        assert_eq!(names.len(), 4);
        assert_eq!(find(&mut names, CLIENT, 4, 1), "a4.test");
        assert_eq!(find(&mut names, CLIENT, 1, 1), "");
        assert_eq!(names.counters().evicted, 4);
        assert!(names.octets() <= 4 * NAME_OCTETS);
    }

    #[test]
    fn names_of_the_cluster_and_invalid_ones_are_not_kept() {
        let mut names = table(10);
        names.learn(&response("db.shop.svc.cluster.local", 1, 30), CLIENT, 0);
        names.learn(&response("db.shop.svc.Cluster.LOCAL", 1, 30), CLIENT, 0);
        names.learn(&response("a b.test", 2, 30), CLIENT, 0);
        assert_eq!((names.len(), names.counters().invalid), (0, 1));
        names.learn(&response("local", 1, 30), CLIENT, 0);
        assert_eq!(find(&mut names, CLIENT, 1, 1), "local");
    }
}
