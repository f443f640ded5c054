//! The open connections, their limits, and the reasons for which connections were refused or have ended.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flowproto::Address;
use kipfix_service::sync::lock;
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

macro_rules! reasons {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The reason as a metric's label value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

reasons! {
    /// Why a connection was refused before anything was decoded.
    Refusal {
        /// `allow_exporters` excludes its address.
        NotAllowed = "not_allowed",
        /// The limit of open connections is reached.
        TooMany = "too_many",
        /// The limit of open connections from one address is reached.
        TooManyPerAddress = "too_many_per_address",
        /// It had not sent a Message yet, and was closed for a new connection.
        Displaced = "displaced",
        /// Its handshake took too long.
        HandshakeTimeout = "handshake_timeout",
        /// [`HandshakeError::NoCertificate`].
        NoCertificate = "no_certificate",
        /// [`HandshakeError::UnknownCa`].
        UnknownCa = "unknown_ca",
        /// [`HandshakeError::Expired`].
        Expired = "expired",
        /// [`HandshakeError::Name`].
        Name = "name",
        /// [`HandshakeError::BadCertificate`].
        BadCertificate = "bad_certificate",
        /// [`HandshakeError::RefusedByExporter`].
        RefusedByExporter = "refused_by_exporter",
        /// [`HandshakeError::Incompatible`].
        Incompatible = "incompatible",
        /// [`HandshakeError::NotTls`].
        NotTls = "not_tls",
        /// [`HandshakeError::Closed`].
        HandshakeClosed = "handshake_closed",
        /// [`HandshakeError::Failed`].
        HandshakeFailed = "handshake_failed",
        /// The collector was asked to stop.
        Stopped = "stopped",
    }
}

reasons! {
    /// Why a connection ended after it was accepted for reading.
    Ending {
        /// The exporter closed it after a complete Message.
        Closed = "closed",
        /// The exporter closed it within a Message, which is lost.
        Truncated = "truncated",
        /// It failed, e.g. by a reset.
        Broken = "broken",
        /// The rest of a Message did not arrive in time.
        MessageTimeout = "message_timeout",
        /// No Message arrived for too long.
        Idle = "idle",
        /// What arrived is not IPFIX.
        NotIpfix = "not_ipfix",
        /// A Message was malformed; `unusable_total` has the reason.
        Malformed = "malformed",
        /// The collector was asked to stop.
        Stopped = "stopped",
    }
}

impl From<HandshakeError> for Refusal {
    fn from(reason: HandshakeError) -> Self {
        match reason {
            HandshakeError::NoCertificate => Self::NoCertificate,
            HandshakeError::UnknownCa => Self::UnknownCa,
            HandshakeError::Expired => Self::Expired,
            HandshakeError::Name => Self::Name,
            HandshakeError::BadCertificate => Self::BadCertificate,
            HandshakeError::RefusedByExporter => Self::RefusedByExporter,
            HandshakeError::Incompatible => Self::Incompatible,
            HandshakeError::NotTls => Self::NotTls,
            HandshakeError::Closed => Self::HandshakeClosed,
            HandshakeError::Failed => Self::HandshakeFailed,
        }
    }
}

/// The connections of all listeners.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    senders: Arc<Senders>,
    open: Mutex<Open>,
    accepted: AtomicU64,
    refused: Box<[AtomicU64]>,
    ended: Box<[AtomicU64]>,
    accept_failures: AtomicU64,
}

/// The open connections.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Connections that have not sent a Message yet, by number, so the oldest first. They are closed when a new one
    /// needs the room.
    without_message: BTreeMap<u64, (IpAddr, Arc<Notify>)>,
}

impl Open {
    /// Closes the oldest connection without a Message, from `address` if one is given. False if there is none.
    fn displace(&mut self, address: Option<IpAddr>) -> bool {
        let mut candidates = self.without_message.iter();
        let oldest = candidates.find(|(_, (of, _))| address.is_none_or(|address| address == *of));
        let Some(number) = oldest.map(|(number, _)| *number) else {
            return false;
        };
        if let Some((_, close)) = self.without_message.remove(&number) {
            close.notify_one();
        }
        true
    }
}

/// Counts of connections: `accepted` = `open` + Σ `refused` + Σ `ended`.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounts {
    /// Connections accepted by the kernel.
    pub accepted: u64,
    /// Open connections, including those in their handshake.
    pub open: usize,
    /// By [`Refusal::ALL`].
    pub refused: Vec<u64>,
    /// By [`Ending::ALL`].
    pub ended: Vec<u64>,
    /// Failed calls of accept(2).
    pub accept_failures: u64,
}

impl Connections {
    /// Creates the state without a connection.
    #[must_use]
    pub fn new(limits: ConnectionLimits, senders: Arc<Senders>) -> Self {
        let zeros = |length| (0..length).map(|_| AtomicU64::new(0)).collect();
        Self {
            limits,
            senders,
            open: Mutex::default(),
            accepted: AtomicU64::new(0),
            refused: zeros(Refusal::ALL.len()),
            ended: zeros(Ending::ALL.len()),
            accept_failures: AtomicU64::new(0),
        }
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> ConnectionCounts {
        let all = |counters: &[AtomicU64]| -> Vec<u64> {
            counters.iter().map(|c| c.load(Ordering::Relaxed)).collect()
        };
        // The counts match as long as the lock is held.
        let open = self.open();
        ConnectionCounts {
            accepted: self.accepted.load(Ordering::Relaxed),
            open: open.all,
            refused: all(&self.refused),
            ended: all(&self.ended),
            accept_failures: self.accept_failures.load(Ordering::Relaxed),
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

    /// Adds a connection. Returns its number, and the notification by which it is closed as long as it has not sent a
    /// Message; or `None` if it is refused, with the reason counted.
    pub(super) fn open_connection(
        &self,
        exporter: SocketAddr,
        is_node: impl FnOnce(Address) -> bool,
    ) -> Option<(u64, Arc<Notify>)> {
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
        {
            Some(Refusal::TooMany)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            count(&self.refused, Refusal::ALL, refusal);
            drop(open);
            if refusal == Refusal::NotAllowed {
                self.senders.warn(address);
            }
            return None;
        }
        let close = Arc::new(Notify::new());
        open.all += 1;
        *open.by_address.entry(address).or_default() += 1;
        open.without_message
            .insert(number, (address, Arc::clone(&close)));
        Some((number, close))
    }

    /// Records the first Message of a connection.
    pub(super) fn on_first_message(&self, number: u64) {
        self.open().without_message.remove(&number);
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
        if let Some(from_address) = open.by_address.get_mut(&address) {
            *from_address -= 1;
            if *from_address == 0 {
                open.by_address.remove(&address);
            }
        }
        match ended {
            Ok(ending) => count(&self.ended, Ending::ALL, ending),
            Err(refusal) => count(&self.refused, Refusal::ALL, refusal),
        }
    }
}

fn count<R: PartialEq>(counters: &[AtomicU64], all: &[R], reason: R) {
    let counter = all.iter().position(|r| *r == reason);
    if let Some(counter) = counter.and_then(|at| counters.get(at)) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
