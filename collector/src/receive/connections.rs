//! The open connections, their limits, and the reasons for which connections were refused or have
//! ended.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use enum_map::{Enum, EnumMap};
use flowproto::Address;
use kipfix_service::sync::lock;
use strum::IntoStaticStr;
use tokio::sync::Notify;

use super::senders::Senders;
use super::tls::HandshakeError;

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Open connections.
    pub connections: usize,
    /// Open connections from one address.
    pub per_address: usize,
    /// Time for a TLS handshake, and for the rest of a Message that has begun.
    pub read: Duration,
    /// Time without a Message after which a connection is closed.
    pub idle: Duration,
}

/// Why a connection was refused before anything was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// `allow_exporters` excludes its address.
    NotAllowed,
    /// The limit of open connections is reached.
    TooMany,
    /// The limit of open connections from one address is reached.
    TooManyPerAddress,
    /// It had not sent a Message yet, and was closed for a new connection.
    Displaced,
    /// Its handshake took too long.
    HandshakeTimeout,
    /// Its handshake failed.
    #[strum(transparent)]
    Handshake(HandshakeError),
    /// The collector was asked to stop.
    Stopped,
}

/// Why a connection ended after it was accepted for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Ending {
    /// The exporter closed it after a complete Message.
    Closed,
    /// The exporter closed it within a Message, which is lost.
    Truncated,
    /// It failed, e.g. by a reset.
    Broken,
    /// The rest of a Message did not arrive in time.
    MessageTimeout,
    /// No Message arrived for too long.
    Idle,
    /// What arrived is not IPFIX.
    NotIpfix,
    /// A Message was malformed; `unusable_total` has the reason.
    Malformed,
    /// Its address had the most connections, and it was closed for one of another address.
    Displaced,
    /// The collector was asked to stop.
    Stopped,
}

/// The connections of all listeners.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    senders: Arc<Senders>,
    open: Mutex<Open>,
    accepted: AtomicU64,
    refused: EnumMap<Refusal, AtomicU64>,
    ended: EnumMap<Ending, AtomicU64>,
    accept_failures: AtomicU64,
}

/// The open connections.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Connections that can be closed when a new one needs the room, by number, so the oldest
    /// first.
    without_message: BTreeMap<u64, Displaceable>,
    with_message: BTreeMap<u64, Displaceable>,
}

#[derive(Debug)]
struct Displaceable {
    address: IpAddr,
    close: Arc<Displacement>,
}

/// Notifies a connection that it is closed for another one.
#[derive(Debug, Default)]
pub(super) struct Displacement {
    notify: Notify,
    has_message: AtomicBool,
}

impl Displacement {
    /// Waits until the connection is to be closed. Returns the reason.
    pub(super) async fn notified(&self) -> Result<Ending, Refusal> {
        self.notify.notified().await;
        if self.has_message.load(Ordering::Relaxed) {
            Ok(Ending::Displaced)
        } else {
            Err(Refusal::Displaced)
        }
    }
}

impl Open {
    /// Closes the oldest connection without a Message, from `address` if one is given. False if
    /// there is none.
    fn displace(&mut self, address: Option<IpAddr>) -> bool {
        displace_oldest(&mut self.without_message, address)
    }

    /// Closes the oldest connection of the address with the most connections, if it then still has
    /// as many as another one with `connections` and a new one. False if there is none.
    fn displace_of_largest(&mut self, connections: usize) -> bool {
        let largest = self.by_address.iter().max_by_key(|(_, count)| **count);
        let Some((address, count)) = largest.map(|(address, count)| (*address, *count)) else {
            return false;
        };
        count > connections + 1 && displace_oldest(&mut self.with_message, Some(address))
    }
}

fn displace_oldest(connections: &mut BTreeMap<u64, Displaceable>, address: Option<IpAddr>) -> bool {
    let mut candidates = connections.iter();
    let oldest = candidates.find(|(_, of)| address.is_none_or(|address| address == of.address));
    let number = oldest.map(|(number, _)| *number);
    let displaced = number.and_then(|number| connections.remove(&number));
    if let Some(displaced) = &displaced {
        displaced.close.notify.notify_one();
    }
    displaced.is_some()
}

/// Counts of connections: `accepted` = `open` + Σ `refused` + Σ `ended`.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounts {
    /// Connections accepted by the kernel.
    pub accepted: u64,
    /// Open connections, including those in their handshake.
    pub open: usize,
    /// Connections that were refused.
    pub refused: EnumMap<Refusal, u64>,
    /// Connections that have ended.
    pub ended: EnumMap<Ending, u64>,
    /// Failed calls of accept(2).
    pub accept_failures: u64,
}

impl Connections {
    /// Creates the state without a connection.
    #[must_use]
    pub fn new(limits: ConnectionLimits, senders: Arc<Senders>) -> Self {
        Self {
            limits,
            senders,
            open: Mutex::default(),
            accepted: AtomicU64::new(0),
            refused: EnumMap::default(),
            ended: EnumMap::default(),
            accept_failures: AtomicU64::new(0),
        }
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> ConnectionCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // The counts match as long as the lock is held.
        let open = self.open();
        ConnectionCounts {
            accepted: read(&self.accepted),
            open: open.all,
            refused: EnumMap::from_fn(|reason| read(&self.refused[reason])),
            ended: EnumMap::from_fn(|reason| read(&self.ended[reason])),
            accept_failures: read(&self.accept_failures),
        }
    }

    /// Counts a failed accept(2). Returns true if one had failed before.
    pub(super) fn on_accept_failure(&self) -> bool {
        self.accept_failures.fetch_add(1, Ordering::Relaxed) > 0
    }

    /// The limits.
    pub(super) const fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }

    /// Adds a connection. Returns its number, and the notification by which it is closed for
    /// another one; or `None` if it is refused, with the reason counted.
    pub(super) fn open_connection(
        &self,
        exporter: SocketAddr,
        is_node: impl FnOnce(Address) -> bool,
    ) -> Option<(u64, Arc<Displacement>)> {
        let address = exporter.ip();
        let allowed = self.senders.allow(address, is_node);
        let mut open = self.open();
        let number = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let from_address = open.by_address.get(&address).copied().unwrap_or_default();
        let refusal = if !allowed {
            Some(Refusal::NotAllowed)
        } else if from_address >= self.limits.per_address && !open.displace(Some(address)) {
            Some(Refusal::TooManyPerAddress)
        } else if open.all >= self.limits.connections
            && from_address < self.limits.per_address
            && !open.displace(None)
            && !open.displace_of_largest(from_address)
        {
            Some(Refusal::TooMany)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            increment(&self.refused[refusal]);
            drop(open);
            if refusal == Refusal::NotAllowed {
                self.senders.warn(address);
            }
            return None;
        }
        let close = Arc::<Displacement>::default();
        open.all += 1;
        *open.by_address.entry(address).or_default() += 1;
        let displaceable = Displaceable {
            address,
            close: Arc::clone(&close),
        };
        open.without_message.insert(number, displaceable);
        Some((number, close))
    }

    /// Records the first Message of a connection.
    pub(super) fn on_first_message(&self, number: u64) {
        let mut open = self.open();
        if let Some(connection) = open.without_message.remove(&number) {
            connection.close.has_message.store(true, Ordering::Relaxed);
            open.with_message.insert(number, connection);
        }
    }

    /// Removes a connection.
    pub(super) fn close_connection(
        &self,
        number: u64,
        address: IpAddr,
        ended: Result<Ending, Refusal>,
    ) {
        let mut open = self.open();
        open.all -= 1;
        open.without_message.remove(&number);
        open.with_message.remove(&number);
        if let Some(from_address) = open.by_address.get_mut(&address) {
            *from_address -= 1;
            if *from_address == 0 {
                open.by_address.remove(&address);
            }
        }
        match ended {
            Ok(ending) => increment(&self.ended[ending]),
            Err(refusal) => increment(&self.refused[refusal]),
        }
    }
}

fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
