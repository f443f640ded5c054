//! The address translation of one conversation, and its records.

use flowproto::{FlowKey, FlowRecord, record};

use super::conversation::Conversation;
use super::key::ConversationKey;
use crate::connection::Connection;
use crate::translation::Translation;

/// The translation of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConversationTranslation {
    /// The metered side, as the first packet passed it.
    metered: FlowKey,
    original: FlowKey,
    translated: FlowKey,
}

impl ConversationTranslation {
    pub(super) fn new(translation: &Translation, conversation: &Conversation) -> Option<Self> {
        let legs = translation.legs.as_slice();
        let is_side = |key: &&FlowKey| ConversationKey::of_flow(key).0 == conversation.key;
        Some(Self {
            metered: *legs.iter().find(is_side)?,
            original: translation.legs.original(),
            translated: translation.legs.translated(),
        })
    }

    /// The metered side, as the first packet passed it.
    pub(super) const fn metered(&self) -> &FlowKey {
        &self.metered
    }

    /// The side before the translation, as the first packet passed it.
    pub(super) const fn original(&self) -> &FlowKey {
        &self.original
    }

    /// Puts the addresses before and after the translation into a record of the conversation.
    pub(super) fn apply(&self, record: &mut FlowRecord, connection: &Connection) {
        let initiator = connection.initiator();
        let source = ConversationKey::of_flow(&self.metered).1;
        let mut sides = (self.original, self.translated);
        if initiator == Some(source.opposite()) {
            // Learned from an answer, which passes the sides in the other order.
            sides = (sides.1, sides.0);
        }
        if record.key != self.metered {
            sides = (sides.0.reversed(), sides.1.reversed());
        }
        let (original, translated) = sides;
        record.key = original;
        record.translation = Some(record::Translation {
            post_nat_source_address: translated.source_address,
            post_nat_destination_address: translated.destination_address,
            post_napt_source_port: translated.source_port,
            post_napt_destination_port: translated.destination_port,
        });
    }
}
