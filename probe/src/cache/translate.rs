//! Address translations in the flow cache.
//!
//! A conversation keeps the key of the side that was metered. Its records have the addresses before
//! the translation in the Flow Key, and those after it in 225–228, 281 and 282. If both sides of a
//! connection are captured, the packets of one side are metered, and those of the other are copies.
//! The sides are chosen for each direction, because a bridge shows requests after and answers
//! before a translation of its own.

use flowproto::protocol::UDP;

use super::conversation::Choice;
use super::flow_cache::FlowCache;
use super::key::ConversationKey;
use super::translated::ConversationTranslation;
use crate::connection::{Pair, Side};
use crate::translation::{Legs, Translation, TranslationTable};

/// Time from a packet to the report of the connection that it begins, at most.
const MAX_REPORT_DELAY_NS: u64 = 100_000_000;

impl FlowCache {
    /// Adds a translation, for the conversations in the cache and for those that begin later.
    /// `time_ns` since the epoch.
    pub fn translate(&mut self, translation: Translation, time_ns: u64) {
        if !self.translations.insert(translation, time_ns) {
            return;
        }
        for leg in translation.legs.as_slice() {
            let (key, _) = ConversationKey::of_flow(leg);
            // The same key may be in use in several virtual networks.
            let mut nth = 0;
            while let Some(index) = self.table.nth(&key, nth) {
                nth += 1;
                if self.relay(index, &translation, None) {
                    return;
                }
                self.set_translation(index, &translation, None);
            }
        }
    }

    /// Removes the translation of a connection that has ended. Its conversations keep it.
    pub fn remove_translation(&mut self, legs: &Legs) {
        self.translations.remove(legs);
    }

    /// Removes the translations that were not added again since this time, nanoseconds since the
    /// epoch.
    pub fn remove_older_translations(&mut self, time_ns: u64) {
        self.translations.remove_older(time_ns);
    }

    /// Sets the interfaces that lead out of the node, in ascending order.
    pub fn set_outside(&mut self, outside: &[u32]) {
        self.outside = outside.into();
    }

    /// True if the conversation and one on another side of the translation are relayed: both are
    /// traffic of their own, and neither has a translation. Of translations learned from packets,
    /// the matcher knows it. `first`: the source and the interface of a packet that was not counted
    /// yet.
    fn relay(&mut self, index: u32, translation: &Translation, first: Option<(Side, u32)>) -> bool {
        if !translation.is_exact {
            return false;
        }
        let Some(own) = self.table.get(index) else {
            return false;
        };
        let keys = translation.legs.as_slice().iter();
        let mut keys = keys.map(ConversationKey::of_flow);
        let Some((_, source)) = keys.clone().find(|(key, _)| *key == own.key) else {
            return false;
        };
        let mut interfaces = own.interfaces(source);
        if let Some((side, interface)) = first {
            let [requests, answers] = &mut interfaces;
            *(if side == source { requests } else { answers }) = Some(interface);
        }
        let is_outside = |interface: &Option<u32>| {
            interface.is_some_and(|interface| self.outside.binary_search(&interface).is_ok())
        };
        let is_other = |other: [Option<u32>; 2]| {
            // A bridge with a filter of its own shows requests on one side and answers on another.
            let mut directions = interfaces.into_iter().zip(other);
            directions.any(|(own, other)| own.is_some() && own == other)
                || interfaces.iter().any(is_outside) && other.iter().any(is_outside)
        };
        let relayed = keys.find_map(|(key, source)| {
            let other = self.table.nth(&key, 0).filter(|_| key != own.key)?;
            let interfaces = self.table.get(other)?.interfaces(source);
            is_other(interfaces).then_some(other)
        });
        let Some(other) = relayed else {
            return false;
        };
        self.translations.set_relayed(translation.legs.original());
        for index in [index, other] {
            self.clear_translation(index);
        }
        true
    }

    fn clear_translation(&mut self, index: u32) {
        self.table.set_translation(index, None);
        if let Some(entry) = self.table.get_mut(index) {
            entry.choices = Pair::default();
        }
    }

    /// Translations that are kept for conversations that begin.
    #[must_use]
    pub const fn translations(&self) -> &TranslationTable {
        &self.translations
    }

    /// Looks up the translation of a conversation that begins or continues after a silence.
    /// `first`: the source and the interface of the packet with which it begins.
    pub(super) fn find_translation(
        &mut self,
        index: u32,
        time_ns: u64,
        first: Option<(Side, u32)>,
    ) {
        let Some(entry) = self.table.get(index) else {
            return;
        };
        let key = entry.key.flow_key(Side::Low);
        self.translations.expire(time_ns);
        if let Some(translation) = self.translations.find(key).copied() {
            if self.relay(index, &translation, first) {
                return;
            }
            let packet_ns = self.clock.scale_ns(time_ns);
            self.set_translation(index, &translation, Some(packet_ns));
        } else if key.protocol_identifier == UDP && self.table.translation(index).is_some() {
            // The port may belong to another host by now.
            self.clear_translation(index);
        }
    }

    /// `packet_ns` is the time of the packet with which the conversation begins or continues, on
    /// the scale of the clock; `None` if it was counted.
    fn set_translation(&mut self, index: u32, translation: &Translation, packet_ns: Option<u64>) {
        let learned_ns = self.clock.scale_ns(translation.learned_ns);
        let Some(entry) = self.table.get_mut(index) else {
            return;
        };
        let Some(of_conversation) = ConversationTranslation::new(translation, entry) else {
            return;
        };
        let (_, source) = ConversationKey::of_flow(of_conversation.metered());
        let number = entry.connection.initial_sequence_number(source);
        let directions = [&entry.directions.low, &entry.directions.high];
        let with_packets = directions.into_iter().filter(|d| d.packets > 0);
        let first_ns = with_packets
            .map(|d| d.first_ns)
            .fold(packet_ns.unwrap_or(u64::MAX), u64::min);
        let is_earlier = if translation.is_exact {
            // A short connection may be over before its report is read.
            let is_reported = translation.learned_ns != 0
                && first_ns.min(entry.start_ns) >= learned_ns.saturating_sub(MAX_REPORT_DELAY_NS);
            packet_ns.is_none() && entry.connection.is_over() && !is_reported
        } else {
            number.is_some() && number != translation.sequence_number
        };
        if is_earlier {
            // An earlier connection of the same addresses and ports.
            return;
        }
        if translation.is_exact || learned_ns < first_ns {
            // The first packet here may be an answer. The request was observed on another side, or
            // by the kernel.
            entry.connection.set_initiator(source);
        }
        entry.choices = Pair {
            low: Choice::Open,
            high: Choice::Open,
        };
        let has_packets = |side: &Side| entry.directions.of(*side).packets > 0;
        let metered = [Side::Low, Side::High].map(|side| has_packets(&side).then_some(side));
        self.table.set_translation(index, Some(of_conversation));
        for side in metered.into_iter().flatten() {
            if !self.decide(index, side) {
                self.withdraw(index, side);
            }
        }
    }

    /// Decides whether the packets of a direction are metered. True if they are.
    #[cold]
    pub(super) fn decide(&mut self, index: u32, source: Side) -> bool {
        let Some(entry) = self.table.get_mut(index) else {
            return true;
        };
        let choice = entry.choices.of_mut(source);
        if *choice == Choice::Open {
            let is_metered = self.translations.choose(entry.key.flow_key(source));
            *choice = if is_metered {
                Choice::Metered
            } else {
                Choice::Copied
            };
        }
        *choice == Choice::Metered
    }

    /// Discards the packets of a direction that turned out to be copies.
    fn withdraw(&mut self, index: u32, source: Side) {
        let Some(entry) = self.table.get_mut(index) else {
            return;
        };
        let direction = entry.directions.of_mut(source);
        self.counters.withdrawn_packets += direction.packets;
        self.counters.withdrawn_octets += direction.octets;
        direction.clear();
    }
}
