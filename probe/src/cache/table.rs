//! Storage of conversations: a hash table over a slab, and the tunnels next to it.

use std::hash::BuildHasher;

use flowproto::record::Tunnel;
use hashbrown::HashTable;

use super::conversation::{Conversation, Rank};
use super::dns::DnsStore;
use super::http::HttpStore;
use super::key::ConversationKey;
use super::links::{List, NONE};
use super::lookup::Lookup;
use super::name_slots::NameSlots;
use super::slab::Slab;
use super::translated::ConversationTranslation;
use super::tunnels::TunnelSlab;
use crate::connection::{Pair, Side};
use crate::decode::NetworkId;
use crate::tcp::losses::LossStore;
use crate::tcp::segment::Segment;
use crate::tcp::{Health, TcpState};

/// All conversations of a flow cache.
#[derive(Debug, Default)]
pub(super) struct ConversationTable {
    hasher: foldhash::fast::RandomState,
    entries: HashTable<Entry>,
    slab: Slab,
    tunnels: TunnelSlab,
    /// Health of the TCP connection of each slot; empty if it is not metered. Kept apart because
    /// expiry and other protocols do not need it.
    tcp: Vec<TcpState>,
    losses: LossStore,
    has_tcp: bool,
    /// Address translations of slots, up to the last one that had one. Kept apart because most
    /// conversations have none.
    translations: Vec<Option<ConversationTranslation>>,
    pub(super) names: NameSlots,
    pub(super) dns: DnsStore,
    pub(super) http: HttpStore,
}

/// An entry of the hash table. It has the hash, so that most lookups and the growth of the table
/// read no other conversation.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    index: u32,
}

impl ConversationTable {
    /// Creates an empty table. `has_tcp`: it keeps the health of TCP connections.
    pub(super) fn new(has_tcp: bool) -> Self {
        Self {
            has_tcp,
            ..Self::default()
        }
    }

    /// Prepares a lookup.
    #[inline]
    pub(super) fn lookup(&self, key: ConversationKey, source: Side, network: NetworkId) -> Lookup {
        Lookup {
            key,
            source,
            network,
            hash: self.hash(&key),
            candidate: NONE,
        }
    }

    #[inline]
    fn hash(&self, key: &ConversationKey) -> u32 {
        let [_, _, _, _, a, b, c, d] = self.hasher.hash_one(key).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// Determines the likely slot of a conversation without reading the conversation.
    #[inline]
    pub(super) fn locate(&self, lookup: &mut Lookup) {
        let hash = lookup.hash;
        let found = self.entries.find(spread(hash), |entry| entry.hash == hash);
        lookup.candidate = found.map_or(NONE, |entry| entry.index);
    }

    /// Reads a conversation and the state of its connection, so that they are in the cache of the
    /// processor. The result has no meaning but to keep the reads.
    #[inline]
    pub(super) fn touch(&self, index: u32) -> u64 {
        let state = usize::try_from(index)
            .ok()
            .and_then(|index| self.tcp.get(index));
        let conversation = self.slab.get(index).map_or(0, Conversation::touch);
        conversation ^ state.map_or(0, TcpState::touch)
    }

    /// Finds the conversation of a packet observed on `interface`.
    #[inline]
    pub(super) fn find(&self, lookup: &Lookup, interface: u32) -> Option<u32> {
        let located = self.slab.get(lookup.candidate);
        if located.and_then(|found| found.rank(lookup, interface)) == Some(Rank::Same) {
            return Some(lookup.candidate);
        }
        self.entries
            .iter_hash(spread(lookup.hash))
            .filter(|entry| entry.hash == lookup.hash)
            .filter_map(|entry| {
                let conversation = self.slab.get(entry.index)?;
                Some((conversation.rank(lookup, interface)?, entry.index))
            })
            // Of equal ones the lowest slot, which does not depend on the hash.
            .min()
            .map(|(_, index)| index)
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Conversation> {
        self.slab.get(index)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Conversation> {
        self.slab.get_mut(index)
    }

    /// Inserts the conversation of a lookup at the end of the live list. `None` if 2³² − 1 slots are
    /// in use.
    pub(super) fn insert(&mut self, lookup: &Lookup, conversation: Conversation) -> Option<u32> {
        let index = self.slab.insert(conversation)?;
        // Slots are first used in their order.
        if self.has_tcp && usize::try_from(index).is_ok_and(|index| index == self.tcp.len()) {
            self.tcp.push(TcpState::default());
        }
        self.set_translation(index, None);
        let entry = Entry {
            hash: lookup.hash,
            index,
        };
        self.entries
            .insert_unique(spread(entry.hash), entry, |entry| spread(entry.hash));
        Some(index)
    }

    pub(super) fn remove(&mut self, index: u32) {
        let Some(conversation) = self.slab.get(index) else {
            return;
        };
        let hash = self.hash(&conversation.key);
        self.tunnels.remove(conversation.tunnels);
        self.names.remove(index);
        self.dns.remove(index);
        self.http.remove(index);
        if let Ok(entry) = self
            .entries
            .find_entry(spread(hash), |entry| entry.index == index)
        {
            entry.remove();
        }
        self.slab.remove(index);
        if let Some(health) = self.health_mut(index) {
            health.state.losses_mut(health.losses).free();
            *health.state = TcpState::default();
        }
    }

    /// Observes a TCP segment of a conversation.
    #[inline]
    pub(super) fn track(&mut self, index: u32, segment: &Segment, source: Side) {
        if let Some(health) = self.health_mut(index) {
            health.state.track(segment, source, health.losses);
        }
    }

    /// A conversation and the health of its connection, if that is kept.
    pub(super) fn get_with_health(
        &mut self,
        index: u32,
    ) -> Option<(&mut Conversation, Option<Health<'_>>)> {
        let state = usize::try_from(index)
            .ok()
            .and_then(|index| self.tcp.get_mut(index));
        let losses = &mut self.losses;
        let health = state.map(|state| Health { state, losses });
        Some((self.slab.get_mut(index)?, health))
    }

    #[inline]
    fn health_mut(&mut self, index: u32) -> Option<Health<'_>> {
        let state = self.tcp.get_mut(usize::try_from(index).ok()?)?;
        let losses = &mut self.losses;
        Some(Health { state, losses })
    }

    /// Removes all conversations.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.slab = Slab::default();
        self.tunnels = TunnelSlab::default();
        self.tcp.clear();
        self.losses = LossStore::default();
        self.translations.clear();
        self.names = NameSlots::default();
        self.dns = DnsStore::default();
        self.http = HttpStore::default();
    }

    pub(super) fn move_to_end(&mut self, index: u32, list: List, now: u64) {
        if let Some(entry) = self.slab.get_mut(index) {
            entry.moved_ns = now;
        }
        self.slab.move_to_end(index, list);
    }

    /// The first conversation of a list.
    pub(super) fn first(&self, list: List) -> Option<(u32, &Conversation)> {
        let index = self.slab.first(list)?;
        Some((index, self.slab.get(index)?))
    }

    /// Puts the conversations at the beginning of a list that are due into `group`, at most `max`.
    /// They and their entries of the hash table are read, so that they are in the cache of the
    /// processor.
    pub(super) fn head(
        &self,
        list: List,
        max: usize,
        is_due: impl Fn(&Conversation) -> bool,
        group: &mut Vec<u32>,
    ) {
        group.clear();
        let mut next = self.slab.first(list);
        let mut touched = 0;
        while group.len() < max
            && let Some(index) = next
            && let Some(conversation) = self.slab.get(index).filter(|found| is_due(found))
        {
            let hash = self.hash(&conversation.key);
            let entry = self
                .entries
                .find(spread(hash), |entry| entry.index == index);
            touched ^= self.touch(index) ^ entry.map_or(0, |entry| u64::from(entry.hash));
            group.push(index);
            next = self.slab.next(index);
        }
        std::hint::black_box(touched);
    }

    /// Returns the number of slots, used or free.
    pub(super) fn slots(&self) -> u32 {
        self.slab.slots()
    }

    /// The list of a conversation; `None` for a free slot.
    pub(super) fn list(&self, index: u32) -> Option<List> {
        let conversation = self.slab.get(index)?;
        (conversation.key != ConversationKey::UNUSED).then_some(conversation.links.list)
    }

    /// Returns the number of conversations in a list.
    pub(super) const fn len(&self, list: List) -> u32 {
        self.slab.len(list)
    }

    /// Sets the outer header of a direction.
    #[inline]
    pub(super) fn set_tunnel(&mut self, index: u32, source: Side, tunnel: Option<Tunnel>) {
        if let Some(conversation) = self.slab.get_mut(index)
            && (conversation.tunnels != NONE || tunnel.is_some())
        {
            self.tunnels.set(&mut conversation.tunnels, source, tunnel);
        }
    }

    /// Finds the conversation number `nth` with this key, in any virtual network.
    pub(super) fn nth(&self, key: &ConversationKey, nth: usize) -> Option<u32> {
        self.entries
            .iter_hash(spread(self.hash(key)))
            .filter(|entry| {
                let conversation = self.slab.get(entry.index);
                conversation.is_some_and(|found| found.key == *key)
            })
            .nth(nth)
            .map(|entry| entry.index)
    }

    /// Sets the address translation of a conversation.
    pub(super) fn set_translation(
        &mut self,
        index: u32,
        translation: Option<ConversationTranslation>,
    ) {
        let Ok(index) = usize::try_from(index) else {
            return;
        };
        if translation.is_some() && self.translations.len() <= index {
            self.translations.resize(index + 1, None);
        }
        if let Some(slot) = self.translations.get_mut(index) {
            *slot = translation;
        }
    }

    /// The address translation of a conversation.
    pub(super) fn translation(&self, index: u32) -> Option<&ConversationTranslation> {
        self.translations
            .get(usize::try_from(index).ok()?)?
            .as_ref()
    }

    /// The outer headers of both directions.
    pub(super) fn tunnels(&self, index: u32) -> Pair<Option<Tunnel>> {
        let conversation = self.slab.get(index);
        conversation.map_or_else(Pair::default, |found| self.tunnels.get(found.tunnels))
    }
}

/// The position in the hash table: spreads 32 bits over 64.
#[inline]
const fn spread(hash: u32) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    #[allow(clippy::as_conversions, reason = "from 32 to 64 bits")]
    (hash as u64).wrapping_mul(ODD)
}
