//! The connections that are open, within bounds, and why each that came was refused or has ended.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flowproto::Address;
use tokio::sync::Notify;

use super::senders::Senders;
use super::tls::NoHandshake;

/// What is allowed of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// At once.
    pub connections: usize,
    /// At once from one address.
    pub of_address: usize,
    /// For a handshake, and for a Message that has begun.
    pub read: Duration,
    /// Without a Message.
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
        /// The setting `allow_exporters` does not name its address.
        NotAllowed = "not_allowed",
        /// There are as many connections as there may be.
        TooMany = "too_many",
        /// There are as many from its address as there may be.
        TooManyOfAddress = "too_many_of_address",
        /// It had brought no Message yet, and a new one needed its room.
        CrowdedOut = "crowded_out",
        /// Its handshake took too long.
        HandshakeTimeout = "handshake_timeout",
        /// [`NoHandshake::NoCertificate`].
        NoCertificate = "no_certificate",
        /// [`NoHandshake::UnknownCa`].
        UnknownCa = "unknown_ca",
        /// [`NoHandshake::Expired`].
        Expired = "expired",
        /// [`NoHandshake::Name`].
        Name = "name",
        /// [`NoHandshake::BadCertificate`].
        BadCertificate = "bad_certificate",
        /// [`NoHandshake::RefusedByExporter`].
        RefusedByExporter = "refused_by_exporter",
        /// [`NoHandshake::Incompatible`].
        Incompatible = "incompatible",
        /// [`NoHandshake::NoTls`].
        NoTls = "no_tls",
        /// [`NoHandshake::Closed`].
        HandshakeClosed = "handshake_closed",
        /// [`NoHandshake::Failed`].
        HandshakeFailed = "handshake_failed",
        /// The collector was asked to stop.
        Stopped = "stopped",
    }
}

reasons! {
    /// Why a connection that was read from ended.
    Ending {
        /// The exporter closed it behind a whole Message.
        Closed = "closed",
        /// The exporter closed it in the middle of a Message, which is lost.
        CutShort = "cut_short",
        /// It broke.
        Broken = "broken",
        /// A Message that had begun did not become whole in time.
        MessageTimeout = "message_timeout",
        /// It brought no Message for too long.
        Idle = "idle",
        /// It brought something else than IPFIX.
        NoIpfix = "no_ipfix",
        /// A Message in it was malformed; `unusable_total` says how.
        Malformed = "malformed",
        /// The collector was asked to stop.
        Stopped = "stopped",
    }
}

impl From<NoHandshake> for Refusal {
    fn from(reason: NoHandshake) -> Self {
        match reason {
            NoHandshake::NoCertificate => Self::NoCertificate,
            NoHandshake::UnknownCa => Self::UnknownCa,
            NoHandshake::Expired => Self::Expired,
            NoHandshake::Name => Self::Name,
            NoHandshake::BadCertificate => Self::BadCertificate,
            NoHandshake::RefusedByExporter => Self::RefusedByExporter,
            NoHandshake::Incompatible => Self::Incompatible,
            NoHandshake::NoTls => Self::NoTls,
            NoHandshake::Closed => Self::HandshakeClosed,
            NoHandshake::Failed => Self::HandshakeFailed,
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

/// The connections that are open.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    /// By number, so the oldest first: those that have brought no Message yet. Who only takes up room
    /// gives way to who comes.
    fresh: BTreeMap<u64, (IpAddr, Arc<Notify>)>,
}

impl Open {
    /// Asks the oldest fresh connection, from `address` if one is given, to go. False where there is none.
    fn crowd_out(&mut self, address: Option<IpAddr>) -> bool {
        let mut fresh = self.fresh.iter();
        let oldest = fresh.find(|(_, (of, _))| address.is_none_or(|address| address == *of));
        let Some(number) = oldest.map(|(number, _)| *number) else {
            return false;
        };
        if let Some((_, go)) = self.fresh.remove(&number) {
            go.notify_one();
        }
        true
    }
}

/// What became of connections: `accepted` = `open` + Σ `refused` + Σ `ended`.
#[derive(Clone, Debug, Default)]
pub struct ConnectionCounts {
    /// Connections that came.
    pub accepted: u64,
    /// Open now, those too whose handshake goes on.
    pub open: usize,
    /// By [`Refusal::ALL`].
    pub refused: Vec<u64>,
    /// By [`Ending::ALL`].
    pub ended: Vec<u64>,
    /// Times that the kernel gave no connection though one was there.
    pub accept_failures: u64,
}

impl Connections {
    /// None yet.
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
        // Nothing comes or goes while the lock is held.
        let open = self.open();
        ConnectionCounts {
            accepted: self.accepted.load(Ordering::Relaxed),
            open: open.all,
            refused: all(&self.refused),
            ended: all(&self.ended),
            accept_failures: self.accept_failures.load(Ordering::Relaxed),
        }
    }

    /// Whether a connection could not be accepted before.
    pub(super) fn accept_failed(&self) -> bool {
        self.accept_failures.fetch_add(1, Ordering::Relaxed) > 0
    }

    /// What is allowed of them.
    pub(super) const fn limits(&self) -> ConnectionLimits {
        self.limits
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection in: its number, and what tells it to go while it has brought no Message. Where
    /// it may not stay, `None`, and the reason is counted.
    pub(super) fn enter(
        &self,
        exporter: SocketAddr,
        is_node: impl FnOnce(Address) -> bool,
    ) -> Option<(u64, Arc<Notify>)> {
        let address = exporter.ip();
        let allowed = self.senders.allow(address, is_node);
        let mut open = self.open();
        let number = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        let of_address = open.by_address.get(&address).copied().unwrap_or_default();
        let refusal = if !allowed {
            Some(Refusal::NotAllowed)
        } else if of_address >= self.limits.of_address && !open.crowd_out(Some(address)) {
            Some(Refusal::TooManyOfAddress)
        } else if open.all >= self.limits.connections
            && of_address < self.limits.of_address
            && !open.crowd_out(None)
        {
            Some(Refusal::TooMany)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            count(&self.refused, Refusal::ALL, refusal);
            drop(open);
            if refusal == Refusal::NotAllowed {
                self.senders.say(address);
            }
            return None;
        }
        let go = Arc::new(Notify::new());
        open.all += 1;
        *open.by_address.entry(address).or_default() += 1;
        open.fresh.insert(number, (address, Arc::clone(&go)));
        Some((number, go))
    }

    /// A connection brought its first Message.
    pub(super) fn settle(&self, number: u64) {
        self.open().fresh.remove(&number);
    }

    /// Counts a connection out.
    pub(super) fn leave(&self, number: u64, address: IpAddr, ended: Result<Ending, Refusal>) {
        let mut open = self.open();
        open.all -= 1;
        open.fresh.remove(&number);
        if let Some(of_address) = open.by_address.get_mut(&address) {
            *of_address -= 1;
            if *of_address == 0 {
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
