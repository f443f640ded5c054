//! Storage of conversations: a hash table over a slab, and the tunnels next to it.

use std::hash::BuildHasher;

use flowproto::record::Tunnel;
use hashbrown::HashTable;

use super::conversation::Conversation;
use super::key::ConversationKey;
use super::links::List;
use super::slab::Slab;
use super::translated::ConversationTranslation;
use crate::connection::{Pair, Side};
use crate::decode::NetworkId;

/// All conversations of a flow cache.
#[derive(Debug, Default)]
pub(super) struct ConversationTable {
    hasher: foldhash::fast::RandomState,
    indices: HashTable<u32>,
    slab: Slab,
    /// Outer headers of the directions of each slot. Kept apart because most conversations have
    /// none.
    tunnels: Vec<Pair<Option<Tunnel>>>,
    /// Address translations of slots, up to the last one that had one. Kept apart for the same
    /// reason.
    translations: Vec<Option<ConversationTranslation>>,
}

impl ConversationTable {
    #[inline]
    pub(super) fn hash(&self, key: ConversationKey) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Finds the conversation of a packet that `source` sent in a virtual network.
    #[inline]
    pub(super) fn find(
        &self,
        hash: u64,
        key: ConversationKey,
        source: Side,
        network: NetworkId,
    ) -> Option<u32> {
        let slab = &self.slab;
        let is_of_packet = |entry: &Conversation| {
            let reverse = entry.directions.of(source.opposite());
            let seen = entry.directions.of(source).network.or(reverse.network);
            entry.key == key && seen == Some(network)
        };
        self.indices
            .find(hash, |index| slab.get(*index).is_some_and(is_of_packet))
            .copied()
    }

    /// Finds a conversation with the key of a packet that has another virtual network, but may be
    /// that of the packet all the same:
    ///
    /// * the directions of a conversation may have different networks: Cilium's is the identity of
    ///   the sender, and that of a distributed router is the network of the receiver;
    /// * on `interface`, the network may be visible or hidden.
    #[cold]
    pub(super) fn find_related(
        &self,
        hash: u64,
        key: ConversationKey,
        source: Side,
        network: NetworkId,
        interface: u32,
    ) -> Option<u32> {
        let rank = |entry: &Conversation| {
            let direction = entry.directions.of(source);
            match direction.network {
                None => Some(0),
                Some(own) if direction.interface != interface && own.is_compatible(network) => {
                    Some(1)
                }
                Some(_) => None,
            }
        };
        self.indices
            .iter_hash(hash)
            .filter_map(|index| {
                let entry = self.slab.get(*index).filter(|entry| entry.key == key)?;
                Some((rank(entry)?, *index))
            })
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

    /// Inserts a conversation at the end of the live list. `None` if 2³² − 1 slots are in use.
    pub(super) fn insert(&mut self, hash: u64, conversation: Conversation) -> Option<u32> {
        let index = self.slab.insert(conversation)?;
        if self.tunnels.len() < self.slab.slots() {
            self.tunnels.push(Pair::default());
        }
        self.set_translation(index, None);
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.indices.insert_unique(hash, index, |index| {
            slab.get(*index)
                .map_or(0, |entry| hasher.hash_one(entry.key))
        });
        Some(index)
    }

    pub(super) fn remove(&mut self, index: u32) {
        let Some(entry) = self.slab.get(index) else {
            return;
        };
        let hash = self.hasher.hash_one(entry.key);
        if let Ok(slot) = self.indices.find_entry(hash, |found| *found == index) {
            slot.remove();
        }
        self.slab.remove(index);
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

    /// Returns the number of conversations in a list.
    pub(super) const fn len(&self, list: List) -> u32 {
        self.slab.len(list)
    }

    /// Sets the outer header of a direction.
    pub(super) fn set_tunnel(&mut self, index: u32, source: Side, tunnel: Option<Tunnel>) {
        let slot = usize::try_from(index)
            .ok()
            .and_then(|index| self.tunnels.get_mut(index));
        if let Some(pair) = slot {
            *pair.of_mut(source) = tunnel;
        }
    }

    /// Finds the conversation number `nth` with this key, in any virtual network.
    pub(super) fn nth(&self, hash: u64, key: ConversationKey, nth: usize) -> Option<u32> {
        self.indices
            .iter_hash(hash)
            .filter(|index| self.slab.get(**index).is_some_and(|entry| entry.key == key))
            .nth(nth)
            .copied()
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
        usize::try_from(index)
            .ok()
            .and_then(|index| self.tunnels.get(index))
            .copied()
            .unwrap_or_default()
    }
}
