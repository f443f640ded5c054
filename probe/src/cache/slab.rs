//! Slots for conversations and three lists through them, linked by 32-bit indices: no heap object per
//! conversation, and nothing is allocated once the slab has grown to its largest.

use super::conversation::Conversation;

/// No slot.
const NONE: u32 = u32::MAX;

/// Which list a conversation stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum List {
    /// Has packets to report; least recently used first.
    #[default]
    Live,
    /// Over, lingers for the packets that trail behind; in order of its end.
    Closing,
    /// Everything reported, its connection may go on; longest silent first.
    Dormant,
}

/// A conversation's place in its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) list: List,
    previous: u32,
    next: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            list: List::Live,
            previous: NONE,
            next: NONE,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
    len: u32,
}

impl Default for Ends {
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
    slots: Vec<Conversation>,
    live: Ends,
    closing: Ends,
    dormant: Ends,
    /// Free slots, linked by `next`.
    free: u32,
    any_free: bool,
}

impl Slab {
    pub(super) fn get(&self, index: u32) -> Option<&Conversation> {
        self.slots.get(place(index))
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Conversation> {
        self.slots.get_mut(place(index))
    }

    /// Slots that were ever used.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Conversations in a list.
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

    /// Puts a conversation into a free slot, last of the live ones. `None` where 2³² − 1 are taken.
    pub(super) fn insert(&mut self, conversation: Conversation) -> Option<u32> {
        let index = if self.any_free {
            let index = self.free;
            let slot = self.slots.get_mut(place(index))?;
            self.free = slot.links.next;
            self.any_free = self.free != NONE;
            *slot = conversation;
            index
        } else {
            let index = u32::try_from(self.slots.len())
                .ok()
                .filter(|i| *i != NONE)?;
            self.slots.push(conversation);
            index
        };
        self.append(index, List::Live);
        Some(index)
    }

    /// Frees the slot of a conversation.
    pub(super) fn remove(&mut self, index: u32) {
        self.unlink(index);
        let next = if self.any_free { self.free } else { NONE };
        if let Some(slot) = self.get_mut(index) {
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

    const fn ends(&mut self, list: List) -> &mut Ends {
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
    reason = "an index of 32 bits fits every target that has libpcap"
)]
const fn place(index: u32) -> usize {
    index as usize
}
