//! The lookup of a packet's conversation.

use super::key::ConversationKey;
use crate::connection::Side;
use crate::decode::NetworkId;

/// How the conversation of a packet is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    pub(super) key: ConversationKey,
    /// Who sent the packet.
    pub(super) source: Side,
    pub(super) network: NetworkId,
    pub(super) hash: u32,
    /// Slot of the conversation, unless it has changed since the slot was determined;
    /// [`super::links::NONE`] if it is not determined.
    pub(super) candidate: u32,
}
