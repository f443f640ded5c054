//! The handshakes of clients, each until its `ClientHello` is complete.

use enum_map::{Enum, EnumMap};
use flowproto::FlowKey;
use strum::IntoStaticStr;

use super::crypto_stream::{CryptoStream, MAX_OCTETS};
use super::keys::ClientKeys;
use super::packet::{InitialPacket, InitialPackets};
use crate::inspect::conversation_hash::conversation_hash;

/// Handshakes that are kept at the same time. A power of two.
const SLOTS: usize = 256;
/// A packet that follows later belongs to something else.
const MAX_GAP_NS: u64 = 5_000_000_000;
/// Packets of a datagram that are read.
const MAX_PACKETS: usize = 8;
/// The connection ID that a client chooses has at least this many octets (RFC 9000 §7.2). A shorter
/// one is that of a client, and the packet comes from a server.
const MIN_CONNECTION_ID: usize = 8;
/// Octets of a message type and a length (RFC 8446 §4).
const HANDSHAKE_HEADER: usize = 4;

/// Why Initial packets of QUIC do not show a `ClientHello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum UnreadHandshake {
    /// A packet is not encrypted with the keys of its connection ID: the first one was not
    /// observed.
    Undecryptable,
    /// Parts of the hello were not observed, or its place was needed.
    Incomplete,
    /// The hello has more octets than are kept.
    TooLong,
    /// The stream begins with another message.
    NoHello,
}

/// Handshakes, in slots that both directions of a conversation share.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// Empty until the first handshake.
    slots: Vec<Handshake>,
    /// Room for a packet that is decrypted.
    packet: Vec<u8>,
    unread: EnumMap<UnreadHandshake, u64>,
}

/// A datagram with an Initial packet of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientInitial<'a> {
    /// The `ClientHello`, if the datagram completes it.
    pub message: Option<&'a [u8]>,
}

/// The handshake of a client.
#[derive(Debug, Default)]
struct Handshake {
    /// Key of the packets from the client.
    key: FlowKey,
    time_ns: u64,
    keys: ClientKeys,
    /// False in a free slot, and after the end of the hello.
    is_open: bool,
    stream: CryptoStream,
}

impl Handshakes {
    /// Handshakes whose hello was not read, by reason.
    #[must_use]
    pub const fn unread(&self) -> &EnumMap<UnreadHandshake, u64> {
        &self.unread
    }

    /// Adds a datagram. `None` if no packet of a client was decrypted.
    pub fn observe(
        &mut self,
        key: &FlowKey,
        datagram: &[u8],
        time_ns: u64,
    ) -> Option<ClientInitial<'_>> {
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, Handshake::default);
        }
        let handshake = self.slots.get_mut(slot(key))?;
        let is_recent = time_ns.abs_diff(handshake.time_ns) <= MAX_GAP_NS;
        if is_recent && handshake.key == key.reversed() {
            // From the server.
            return None;
        }
        let mut is_known = is_recent && handshake.key == *key;
        let mut may_begin = true;
        let (mut is_opened, mut is_completed) = (false, false);
        for packet in InitialPackets(datagram).take(MAX_PACKETS) {
            let mut frames = None;
            if is_known {
                frames = handshake.keys.open(&packet, &mut self.packet);
            }
            // Keys are derived once for a datagram: its packets have the same connection ID.
            if frames.is_none()
                && std::mem::take(&mut may_begin)
                && let Some(keys) = client_keys(&packet)
            {
                frames = keys.open(&packet, &mut self.packet);
                if frames.is_some() {
                    if handshake.is_open {
                        count(&mut self.unread, UnreadHandshake::Incomplete);
                    }
                    handshake.begin(*key, keys);
                    is_known = true;
                } else if !is_known {
                    count(&mut self.unread, UnreadHandshake::Undecryptable);
                }
            }
            let Some(frames) = frames.and_then(|place| self.packet.get(place)) else {
                continue;
            };
            is_opened = true;
            handshake.time_ns = time_ns;
            if handshake.is_open {
                match handshake.add(frames) {
                    Progress::Continues => {}
                    Progress::Complete => is_completed = true,
                    Progress::Ended(reason) => count(&mut self.unread, reason),
                }
            }
        }
        is_opened.then(|| ClientInitial {
            message: is_completed.then(|| handshake.stream.contiguous()),
        })
    }
}

/// How far a stream is.
enum Progress {
    Continues,
    Complete,
    Ended(UnreadHandshake),
}

impl Handshake {
    const fn begin(&mut self, key: FlowKey, keys: ClientKeys) {
        self.key = key;
        self.keys = keys;
        self.is_open = true;
        self.stream.clear();
    }

    fn add(&mut self, frames: &[u8]) -> Progress {
        self.stream.add(frames);
        let progress = match *self.stream.contiguous() {
            [1, a, b, c, ref body @ ..] => {
                let length =
                    usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
                if length > MAX_OCTETS - HANDSHAKE_HEADER {
                    Progress::Ended(UnreadHandshake::TooLong)
                } else if body.len() >= length {
                    Progress::Complete
                } else {
                    Progress::Continues
                }
            }
            [] | [1, ..] => Progress::Continues,
            _ => Progress::Ended(UnreadHandshake::NoHello),
        };
        self.is_open = matches!(progress, Progress::Continues);
        progress
    }
}

fn count(unread: &mut EnumMap<UnreadHandshake, u64>, reason: UnreadHandshake) {
    unread[reason] = unread[reason].saturating_add(1);
}

/// The keys of a packet that is the first one of a client.
fn client_keys(packet: &InitialPacket<'_>) -> Option<ClientKeys> {
    let is_chosen = packet.destination_id.len() >= MIN_CONNECTION_ID;
    let keys = || ClientKeys::of(packet.version, packet.destination_id);
    is_chosen.then(keys).flatten()
}

/// The slot of a conversation.
#[expect(clippy::as_conversions, reason = "the low bits are what is needed")]
const fn slot(key: &FlowKey) -> usize {
    conversation_hash(key) as usize % SLOTS
}
