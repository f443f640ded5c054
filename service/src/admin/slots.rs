//! The connections that a listener serves at the same time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::sync::lock;

/// Slots for connections. When none is free, a new connection displaces one that has no request in
/// progress, otherwise one of an address that has more than its share, otherwise it is refused. So
/// clients that send nothing, that keep connections open, or that read slowly cannot keep others
/// out. No connection waits for a slot, because others would wait behind it.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    open: Arc<Mutex<Connections>>,
}

/// The open connections.
#[derive(Debug, Default)]
struct Connections {
    /// Number of the next connection, or of the next change of one.
    next: u64,
    by_number: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    client: IpAddr,
    state: State,
    /// When it entered the state, in the order of all changes.
    changed: u64,
    displaced: Arc<Notify>,
}

/// What a connection does, in the order in which connections are displaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It has not sent a request yet.
    New,
    /// It waits for a further request.
    Idle,
    /// It is being answered.
    Busy,
}

impl Connections {
    fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn set(&mut self, number: u64, state: State) {
        let changed = self.next_number();
        if let Some(connection) = self.by_number.get_mut(&number) {
            connection.state = state;
            connection.changed = changed;
        }
    }

    /// The connection to close for a new one of `client`. Those of addresses with fewer connections
    /// are kept. One that has waited for a request for longest is closed first. If all are being
    /// answered, it is the oldest response of the address with the most connections, if that has
    /// more of them than `client` would have.
    fn displaceable(&self, client: IpAddr) -> Option<u64> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for connection in self.by_number.values() {
            *counts.entry(connection.client).or_default() += 1;
        }
        let own = counts.get(&client).copied().unwrap_or_default();
        let candidates = self.by_number.iter().filter_map(|(number, connection)| {
            let count = counts.get(&connection.client).copied().unwrap_or_default();
            let is_displaceable = match connection.state {
                State::New | State::Idle => connection.client == client || count > own,
                State::Busy => count > own + 1,
            };
            let order = (connection.state, Reverse(count), connection.changed);
            is_displaceable.then_some((order, *number))
        });
        candidates.min().map(|(_, number)| number)
    }
}

impl Slots {
    pub(super) fn new(connections: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections)),
            open: Arc::default(),
        }
    }

    /// Takes a slot for a connection of `client`. The second value is true if a connection was
    /// displaced, whose end is waited for. `None` if there is none to displace.
    pub(super) async fn acquire(&self, client: IpAddr) -> Option<(Slot, bool)> {
        let free = Arc::clone(&self.free).try_acquire_owned().ok();
        let has_displaced = free.is_none();
        let permit = match free {
            Some(permit) => permit,
            None if self.displace(client) => Arc::clone(&self.free).acquire_owned().await.ok()?,
            None => return None,
        };
        let displaced = Arc::new(Notify::new());
        let mut connections = lock(&self.open);
        let number = connections.next_number();
        let connection = Connection {
            client,
            state: State::New,
            changed: number,
            displaced: Arc::clone(&displaced),
        };
        connections.by_number.insert(number, connection);
        drop(connections);
        let requests = Requests {
            open: Arc::clone(&self.open),
            number,
        };
        let slot = Slot {
            requests,
            displaced,
            _permit: permit,
        };
        Some((slot, has_displaced))
    }

    /// Waits until all slots are free.
    pub(super) async fn all_free(&self, connections: usize) {
        let all = u32::try_from(connections).unwrap_or(u32::MAX);
        self.free.acquire_many(all).await.ok();
    }

    fn displace(&self, client: IpAddr) -> bool {
        let mut connections = lock(&self.open);
        let number = connections.displaceable(client);
        let displaced = number.and_then(|number| connections.by_number.remove(&number));
        if let Some(connection) = &displaced {
            connection.displaced.notify_one();
        }
        displaced.is_some()
    }
}

/// The slot of a connection. It is free again when this value is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    requests: Requests,
    displaced: Arc<Notify>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Waits until the connection is displaced.
    pub(super) async fn displaced(&self) {
        self.displaced.notified().await;
    }

    /// What the requests of the connection notify.
    pub(super) fn requests(&self) -> Requests {
        self.requests.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut connections = lock(&self.requests.open);
        connections.by_number.remove(&self.requests.number);
    }
}

/// Notified by the requests of a connection.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    open: Arc<Mutex<Connections>>,
    number: u64,
}

impl Requests {
    /// A request has arrived. It is in progress until the returned value is dropped.
    pub(super) fn begin(&self) -> Request {
        lock(&self.open).set(self.number, State::Busy);
        Request(self.clone())
    }
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct Request(Requests);

impl Drop for Request {
    fn drop(&mut self) {
        let Requests { open, number } = &self.0;
        lock(open).set(*number, State::Idle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn connections(states: &[(IpAddr, State)]) -> Connections {
        let mut connections = Connections::default();
        for (client, state) in states {
            let number = connections.next_number();
            let connection = Connection {
                client: *client,
                state: *state,
                changed: number,
                displaced: Arc::default(),
            };
            connections.by_number.insert(number, connection);
        }
        connections
    }

    #[test]
    fn a_connection_without_a_request_in_progress_is_displaced_first() {
        use State::{Busy, Idle, New};
        let mut open = connections(&[(A, Busy), (A, Idle), (A, New), (A, Idle), (A, New)]);
        for expected in [3, 5, 2, 4] {
            assert_eq!(open.displaceable(A), Some(expected));
            open.by_number.remove(&expected);
        }
        assert_eq!(open.displaceable(A), None);
        // The longest idle one, not the oldest one.
        let mut open = connections(&[(A, Idle), (A, Idle)]);
        open.set(1, Busy);
        open.set(1, Idle);
        assert_eq!(open.displaceable(A), Some(2));
    }

    #[test]
    fn an_address_with_more_than_its_share_makes_room_for_others() {
        use State::{Busy, New};
        let open = connections(&[(B, Busy), (A, Busy), (A, Busy), (A, Busy)]);
        assert_eq!(open.displaceable(A), None);
        assert_eq!(open.displaceable(B), Some(2));
        // Each has its share.
        let open = connections(&[(A, Busy), (B, Busy), (A, Busy)]);
        assert_eq!(open.displaceable(B), None);
        // However many connections an address opens, it only displaces its own.
        let open = connections(&[(B, New), (A, New), (A, Busy)]);
        assert_eq!(open.displaceable(A), Some(2));
        let open = connections(&[(B, New), (A, Busy), (A, Busy)]);
        assert_eq!(open.displaceable(A), None);
    }
}
