//! Address translations in the flow cache.
//!
//! A conversation keeps the key of the side that was metered. Its records have the addresses before
//! the translation in the Flow Key, and those after it in 225–228, 281 and 282. If both sides of a
//! connection are captured, the packets of one side are metered, and those of the other are copies.

use super::conversation::Direction;
use super::flow_cache::FlowCache;
use super::key::ConversationKey;
use super::translated::ConversationTranslation;
use crate::connection::Side;
use crate::translation::{Translation, TranslationTable};

const UDP: u8 = 17;

impl FlowCache {
    /// Adds a translation, for the conversations in the cache and for those that begin later.
    /// `time_ns` since the epoch.
    pub fn translate(&mut self, translation: Translation, time_ns: u64) {
        if !self.translations.insert(translation, time_ns) {
            return;
        }
        for leg in translation.legs.as_slice() {
            let (key, _) = ConversationKey::of_flow(leg);
            let hash = self.table.hash(key);
            // The same key may be in use in several virtual networks.
            let mut nth = 0;
            while let Some(index) = self.table.nth(hash, key, nth) {
                self.set_translation(index, &translation);
                nth += 1;
            }
        }
    }

    /// Translations that are kept for conversations that begin.
    #[must_use]
    pub const fn translations(&self) -> &TranslationTable {
        &self.translations
    }

    /// Looks up the translation of a conversation that begins or continues after a silence.
    pub(super) fn find_translation(&mut self, index: u32, time_ns: u64) {
        let Some(entry) = self.table.get(index) else {
            return;
        };
        let key = entry.key.flow_key(Side::Low);
        self.translations.expire(time_ns);
        if let Some(translation) = self.translations.find(key).copied() {
            self.set_translation(index, &translation);
        } else if key.protocol_identifier == UDP && self.table.translation(index).is_some() {
            // The port may belong to another host by now.
            self.table.set_translation(index, None);
        }
    }

    fn set_translation(&mut self, index: u32, translation: &Translation) {
        let Some(entry) = self.table.get_mut(index) else {
            return;
        };
        let Some(of_conversation) = ConversationTranslation::new(translation, entry) else {
            return;
        };
        let (_, source) = ConversationKey::of_flow(of_conversation.metered());
        let number = entry.connection.initial_sequence_number(source);
        if number.is_some() && number != translation.sequence_number {
            // An earlier connection of the same addresses and ports.
            return;
        }
        entry.is_copy = !self.translations.choose(entry.key.flow_key(Side::Low));
        if entry.is_copy {
            for side in [Side::Low, Side::High] {
                let direction = entry.directions.of_mut(side);
                self.counters.withdrawn_packets += direction.packets;
                self.counters.withdrawn_octets += direction.octets;
                *direction = Direction {
                    network: direction.network,
                    interface: direction.interface,
                    ..Direction::default()
                };
            }
        } else {
            self.table.set_translation(index, Some(of_conversation));
        }
    }
}
