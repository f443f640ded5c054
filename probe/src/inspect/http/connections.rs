//! The connections whose messages are read.
//!
//! A connection has an entry from its SYN on, until the first segment of the client shows that it
//! has another protocol. The table has a fixed size.

use enum_map::EnumMap;

use super::connection::{Connection, Outcome};
use super::http1::stream::begins;
use super::http2::{PREFACE, begins_with_block};
use super::messages::{HttpMessages, HttpShared, Scarce};
use super::segment::{MAX_WAIT_NS, Role};
use super::unread::UnreadHttp;
use crate::decode::{PacketInfo, Signal};
use crate::inspect::conversation_hash::conversation_hash;

/// Connections with the same hash that are kept.
const WAYS: usize = 4;
/// Hashes. A power of two.
const SETS: usize = 4096;
/// Time between two searches for connections that have waited too long, nanoseconds.
const SEARCH_INTERVAL_NS: u64 = 1_000_000_000;

/// Counts since the start, and sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpCounters {
    /// Requests that were read.
    pub requests: u64,
    /// Responses that were read.
    pub responses: u64,
    /// Messages that were not read, by reason: of a connection, or up to the next one that was
    /// read.
    pub unread: EnumMap<UnreadHttp, u64>,
    /// Targets that count as `other` because there are too many different ones.
    pub targets_refused: u64,
    /// Templates of targets now.
    pub targets: usize,
    /// Connections with an entry now.
    pub connections: usize,
    /// Those of them that have HTTP/2.
    pub http2_connections: usize,
    /// Octets that these keep.
    pub http2_octets: usize,
}

/// Connections with HTTP, or that may have it.
#[derive(Debug, Default)]
pub struct HttpConnections {
    /// Empty until the first connection.
    entries: Vec<Option<Connection>>,
    shared: HttpShared,
    requests: u64,
    responses: u64,
    used: usize,
    /// Time of the latest search for connections that have waited too long.
    searched_ns: u64,
}

impl HttpConnections {
    /// Maximum number of connections.
    pub const CAPACITY: usize = WAYS * SETS;

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> HttpCounters {
        HttpCounters {
            requests: self.requests,
            responses: self.responses,
            unread: self.shared.unread,
            targets_refused: self.shared.targets.refused(),
            targets: self.shared.targets.len(),
            connections: self.used,
            http2_connections: self.shared.http2_connections,
            http2_octets: self.shared.http2_memory.octets(),
        }
    }

    /// The host that the first request of an HTTP/2 connection in the latest packet names, without
    /// its port; empty if there is none.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        self.shared.authority()
    }

    /// Reads a packet of TCP whose payload is `data`, as far as it was captured. `None` if no
    /// message begins in it.
    pub fn observe(
        &mut self,
        packet: &PacketInfo,
        data: &[u8],
        time_ns: u64,
    ) -> Option<HttpMessages> {
        self.shared.begin_packet();
        match packet.signal {
            Signal::Open => {
                self.open(packet, time_ns);
                return None;
            }
            Signal::Accept => {
                self.accept(packet, time_ns);
                return None;
            }
            Signal::None if packet.payload_octets == 0 => return None,
            _ => {}
        }
        let data = usize::try_from(packet.payload_octets)
            .ok()
            .and_then(|octets| data.get(..octets))
            .unwrap_or(data);
        let scarce = self.shared.scarce();
        if scarce != Scarce::default() {
            self.expire(time_ns, scarce);
        }
        let Some((at, role)) = self.find(packet) else {
            self.note_unknown(packet, data, time_ns);
            return None;
        };
        let connection = self.entries.get_mut(at)?.as_mut()?;
        connection.used_ns = time_ns;
        let mut messages = HttpMessages::default();
        let mut outcome = Outcome::Continues;
        if packet.payload_octets > 0 {
            let shared = &mut self.shared;
            if role == Role::Client && connection.is_unknown(Role::Server) {
                connection.begin(Role::Server, packet.acknowledgment_number);
            }
            let acknowledged = packet.acknowledgment_number;
            connection.acknowledge(role, acknowledged, shared, &mut messages);
            let segment = (packet.sequence_number, data, packet.payload_octets);
            outcome = connection.observe(role, segment, time_ns, shared, &mut messages);
        }
        let is_over = match packet.signal {
            Signal::Abort => true,
            Signal::Finish => {
                let octets = packet.payload_octets;
                connection.finish(role, packet.sequence_number.wrapping_add(octets))
            }
            _ => false,
        };
        if is_over && outcome == Outcome::Continues {
            connection.abandon_unknown(&mut self.shared, &mut messages);
        }
        if is_over || outcome == Outcome::NotHttp {
            self.remove(at);
        }
        let counts = &messages.counts;
        let responses: u32 = counts.responses.iter().sum();
        self.requests = self.requests.saturating_add(counts.requests.into());
        self.responses = self.responses.saturating_add(responses.into());
        (!messages.is_empty()).then_some(messages)
    }

    /// Frees what connections keep to wait for segments, if they have waited too long.
    #[cold]
    fn expire(&mut self, time_ns: u64, scarce: Scarce) {
        if time_ns.abs_diff(self.searched_ns) < SEARCH_INTERVAL_NS {
            return;
        }
        self.searched_ns = time_ns;
        let before_ns = time_ns.saturating_sub(MAX_WAIT_NS);
        for connection in self.entries.iter_mut().flatten() {
            connection.expire(before_ns, scarce, &mut self.shared);
        }
    }

    fn open(&mut self, packet: &PacketInfo, time_ns: u64) {
        // A SYN that is sent again must not take the messages that follow the first one.
        if let Some((at, Role::Client)) = self.find(packet)
            && let Some(Some(known)) = self.entries.get(at)
            && known.is_first(packet.sequence_number.wrapping_add(1))
        {
            return;
        }
        if let Some(connection) = self.insert(packet, Role::Client, time_ns) {
            connection.begin(Role::Client, packet.sequence_number.wrapping_add(1));
        }
    }

    fn accept(&mut self, packet: &PacketInfo, time_ns: u64) {
        let found = self.find(packet);
        let connection = match found {
            Some((at, Role::Server)) => self.entries.get_mut(at).and_then(Option::as_mut),
            _ => self.insert(packet, Role::Server, time_ns),
        };
        let Some(connection) = connection else {
            return;
        };
        if connection.is_unknown(Role::Server) {
            connection.begin(Role::Server, packet.sequence_number.wrapping_add(1));
        }
        if connection.is_unknown(Role::Client) {
            connection.begin(Role::Client, packet.acknowledgment_number);
        }
    }

    /// Counts a connection with HTTP whose start was not observed, once.
    fn note_unknown(&mut self, packet: &PacketInfo, data: &[u8], time_ns: u64) {
        let role = match data.first() {
            Some(b'H') if begins(Role::Server, data) => Role::Server,
            Some(b'P') if data.starts_with(PREFACE) => Role::Client,
            Some(b'A'..=b'Z') if begins(Role::Client, data) => Role::Client,
            Some(0) => match begins_with_block(data) {
                Some(true) => Role::Client,
                Some(false) => Role::Server,
                None => return,
            },
            _ => return,
        };
        self.shared.count(UnreadHttp::StartNotObserved);
        if let Some(connection) = self.insert(packet, role, time_ns) {
            connection.ignore();
        }
    }

    /// The entry of a packet, and who has sent the packet.
    fn find(&self, packet: &PacketInfo) -> Option<(usize, Role)> {
        let reversed = packet.key.reversed();
        let network = packet.network();
        let set = places(packet);
        let entries = self.entries.get(set.clone())?;
        set.zip(entries).find_map(|(at, entry)| {
            let entry = entry.as_ref().filter(|entry| entry.network == network)?;
            match entry.key {
                key if key == packet.key => Some((at, Role::Client)),
                key if key == reversed => Some((at, Role::Server)),
                _ => None,
            }
        })
    }

    /// Creates the entry of a packet from `role`, in place of one of the same connection, in a free
    /// place, or in that of the connection not used for longest.
    fn insert(&mut self, packet: &PacketInfo, role: Role, time_ns: u64) -> Option<&mut Connection> {
        if self.entries.is_empty() {
            self.entries.resize_with(Self::CAPACITY, || None);
        }
        let known = self.find(packet).map(|(at, _)| at);
        let set = places(packet);
        let entries = self.entries.get(set.clone())?;
        let oldest = set.zip(entries).min_by_key(|(_, entry)| {
            let entry = entry.as_ref();
            entry.map_or((0, 0), |entry| (1, entry.used_ns))
        });
        let at = known.or(oldest.map(|(at, _)| at))?;
        let is_evicted = self.entries.get(at)?.as_ref();
        let is_evicted = is_evicted.is_some_and(Connection::is_read);
        if is_evicted && known.is_none() {
            self.shared.count(UnreadHttp::Evicted);
        }
        self.remove(at);
        let key = match role {
            Role::Client => packet.key,
            Role::Server => packet.key.reversed(),
        };
        let mut connection = Connection::new(key, packet.network());
        connection.used_ns = time_ns;
        self.used = self.used.saturating_add(1);
        self.entries
            .get_mut(at)
            .map(|place| place.insert(connection))
    }

    fn remove(&mut self, at: usize) {
        if let Some(mut removed) = self.entries.get_mut(at).and_then(Option::take) {
            removed.close(&mut self.shared);
            self.used = self.used.saturating_sub(1);
        }
    }
}

/// The places where the connection of a packet can be.
#[expect(clippy::as_conversions, reason = "the low bits are what is needed")]
fn places(packet: &PacketInfo) -> std::ops::Range<usize> {
    let set = conversation_hash(&packet.key) as usize % SETS;
    let first = set.saturating_mul(WAYS);
    first..first.saturating_add(WAYS)
}
