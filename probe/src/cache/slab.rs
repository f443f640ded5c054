//! Slots for conversations and three lists through them, linked by 32-bit indices. There is no heap
//! object per conversation. The slab grows by chunks, so that growth copies nothing, and nothing is
//! allocated once the slab has reached its maximum size.

use super::conversation::Conversation;
use super::key::ConversationKey;
use super::links::{Links, List, NONE};

/// Conversations of a chunk: 1 MiB.
const CHUNK_SLOTS: usize = 4096;

/// First and last conversation of a list.
#[derive(Clone, Copy, Debug)]
struct ListEnds {
    first: u32,
    last: u32,
    len: u32,
}

impl Default for ListEnds {
    fn default() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }
}

/// All conversations.
#[derive(Debug, Default)]
pub(super) struct Slab {
    /// All are full but the last one.
    chunks: Vec<Vec<Conversation>>,
    live: ListEnds,
    closing: ListEnds,
    dormant: ListEnds,
    /// Free slots, linked by `next`.
    free: u32,
    any_free: bool,
}

impl Slab {
    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Conversation> {
        let index = place(index);
        self.chunks
            .get(index / CHUNK_SLOTS)?
            .get(index % CHUNK_SLOTS)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Conversation> {
        let index = place(index);
        self.chunks
            .get_mut(index / CHUNK_SLOTS)?
            .get_mut(index % CHUNK_SLOTS)
    }

    /// Returns the number of slots, used or free.
    pub(super) fn slots(&self) -> u32 {
        let slots = self.chunks.iter().map(Vec::len).sum::<usize>();
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// Returns the number of conversations in a list.
    pub(super) const fn len(&self, list: List) -> u32 {
        match list {
            List::Live => self.live.len,
            List::Closing => self.closing.len,
            List::Dormant => self.dormant.len,
        }
    }

    /// The first conversation of a list.
    pub(super) fn first(&self, list: List) -> Option<u32> {
        let first = match list {
            List::Live => self.live.first,
            List::Closing => self.closing.first,
            List::Dormant => self.dormant.first,
        };
        (first != NONE).then_some(first)
    }

    /// The conversation after another one in its list.
    pub(super) fn next(&self, index: u32) -> Option<u32> {
        let next = self.get(index)?.links.next;
        (next != NONE).then_some(next)
    }

    /// Puts a conversation into a free slot, at the end of the live list. `None` if 2³² − 1 slots
    /// are in use.
    pub(super) fn insert(&mut self, conversation: Conversation) -> Option<u32> {
        let index = if self.any_free {
            let index = self.free;
            let slot = self.get_mut(index)?;
            let next = slot.links.next;
            *slot = conversation;
            self.free = next;
            self.any_free = next != NONE;
            index
        } else {
            self.push(conversation)?
        };
        self.append(index, List::Live);
        Some(index)
    }

    /// Puts a conversation into a slot that was never used.
    fn push(&mut self, conversation: Conversation) -> Option<u32> {
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.len() >= CHUNK_SLOTS)
        {
            self.chunks.push(Vec::with_capacity(CHUNK_SLOTS));
        }
        let full = self.chunks.len().checked_sub(1)?;
        let chunk = self.chunks.last_mut()?;
        let index = u32::try_from(full * CHUNK_SLOTS + chunk.len())
            .ok()
            .filter(|index| *index != NONE)?;
        chunk.push(conversation);
        Some(index)
    }

    /// Frees the slot of a conversation.
    pub(super) fn remove(&mut self, index: u32) {
        self.unlink(index);
        let next = if self.any_free { self.free } else { NONE };
        if let Some(slot) = self.get_mut(index) {
            slot.key = ConversationKey::UNUSED;
            slot.links.next = next;
            self.free = index;
            self.any_free = true;
        }
    }

    /// Moves a conversation to the end of a list.
    pub(super) fn move_to_end(&mut self, index: u32, list: List) {
        self.unlink(index);
        self.append(index, list);
    }

    const fn ends(&mut self, list: List) -> &mut ListEnds {
        match list {
            List::Live => &mut self.live,
            List::Closing => &mut self.closing,
            List::Dormant => &mut self.dormant,
        }
    }

    fn append(&mut self, index: u32, list: List) {
        let ends = self.ends(list);
        let previous = ends.last;
        ends.last = index;
        ends.len += 1;
        if previous == NONE {
            ends.first = index;
        } else if let Some(slot) = self.get_mut(previous) {
            slot.links.next = index;
        }
        if let Some(slot) = self.get_mut(index) {
            slot.links = Links {
                list,
                previous,
                next: NONE,
            };
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(Links {
            list,
            previous,
            next,
        }) = self.get(index).map(|slot| slot.links)
        else {
            return;
        };
        if let Some(slot) = self.get_mut(previous) {
            slot.links.next = next;
        }
        if let Some(slot) = self.get_mut(next) {
            slot.links.previous = previous;
        }
        let ends = self.ends(list);
        if ends.first == index {
            ends.first = next;
        }
        if ends.last == index {
            ends.last = previous;
        }
        ends.len -= 1;
    }
}

#[allow(
    clippy::as_conversions,
    reason = "usize has at least 32 bits on every target of libpcap"
)]
const fn place(index: u32) -> usize {
    index as usize
}
