//! Names of responders, by the slot of their conversation.

use flowproto::host_name::ResponderName;

use crate::connection::{Connection, Side};

/// The name of one end of a conversation.
#[derive(Clone, Debug)]
pub(super) struct ConversationName {
    /// The end that has the name.
    pub(super) responder: Side,
    pub(super) name: ResponderName,
}

impl ConversationName {
    /// The name, if the end that has it is the responder.
    pub(super) fn of(&self, connection: &Connection) -> Option<ResponderName> {
        let is_responder = connection.initiator() == Some(self.responder.opposite());
        is_responder.then(|| self.name.clone())
    }
}

/// Names of slots, up to the last one that had one. Kept apart because many conversations have
/// none.
#[derive(Debug, Default)]
pub(super) struct NameSlots(Vec<Option<ConversationName>>);

impl NameSlots {
    pub(super) fn get(&self, slot: u32) -> Option<&ConversationName> {
        self.0.get(usize::try_from(slot).ok()?)?.as_ref()
    }

    pub(super) fn set(&mut self, slot: u32, name: ConversationName) {
        let Ok(slot) = usize::try_from(slot) else {
            return;
        };
        if self.0.len() <= slot {
            self.0.resize(slot + 1, None);
        }
        if let Some(place) = self.0.get_mut(slot) {
            *place = Some(name);
        }
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let slot = usize::try_from(slot).unwrap_or(usize::MAX);
        if let Some(place) = self.0.get_mut(slot) {
            *place = None;
        }
    }
}
