//! The position of a conversation in the lists of the flow cache.

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// The list of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum List {
    /// Has packets to report; least recently used first.
    #[default]
    Live,
    /// Has ended and waits for trailing packets; in order of the end.
    Closing,
    /// Completely reported, but its connection may continue; longest idle first.
    Dormant,
}

/// The position of a conversation in its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) list: List,
    pub(super) previous: u32,
    pub(super) next: u32,
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
