//! Counts of the conversations with losses. Most conversations have none, so the counts have a slab
//! of their own.

use flowproto::tcp::TcpHealth;

use super::gaps::Gaps;
use crate::connection::{Pair, Side};

/// Losses of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamLosses {
    pub(super) health: TcpHealth,
    pub(super) gaps: Gaps,
    /// Retransmitted packets so far that are not known to be spurious. The network may also have
    /// duplicated what the other end reports as received twice.
    retransmitted: u32,
}

impl StreamLosses {
    /// Counts retransmitted packets.
    pub(super) const fn retransmit(&mut self, packets: u32) {
        self.health.retransmitted_packets += packets;
        self.retransmitted = self.retransmitted.saturating_add(packets);
    }

    /// Counts that retransmissions were not necessary, as far as there were any.
    pub(super) fn report_spurious(&mut self, packets: u32) {
        let spurious = packets.min(self.retransmitted);
        self.retransmitted = self.retransmitted.saturating_sub(spurious);
        self.health.spurious_retransmitted_packets += spurious;
    }
}

/// The losses of all conversations that had any. At most as many as conversations.
#[derive(Debug, Default)]
pub struct LossStore {
    slots: Vec<Pair<StreamLosses>>,
    free: Vec<u32>,
}

impl LossStore {
    /// Returns the number of slots in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    /// Whether no conversation has losses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn allocate(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            *self.get_mut(index)? = Pair::default();
            return Some(index);
        }
        let index = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Pair::default());
        // So that freeing does not allocate.
        self.free.reserve(self.slots.len());
        Some(index)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Pair<StreamLosses>> {
        self.slots.get_mut(usize::try_from(index).ok()?)
    }
}

/// The losses of one conversation.
#[derive(Debug)]
pub struct Losses<'a> {
    pub(super) slot: &'a mut u32,
    pub(super) store: &'a mut LossStore,
}

impl Losses<'_> {
    /// The losses of the segments of a side.
    #[cold]
    pub(super) fn of_mut(&mut self, source: Side) -> Option<&mut StreamLosses> {
        if *self.slot == 0 {
            *self.slot = self.store.allocate()?.checked_add(1)?;
        }
        let index = self.slot.checked_sub(1)?;
        Some(self.store.get_mut(index)?.of_mut(source))
    }

    /// Takes the counts of the segments of a side since the last record.
    pub fn take(&mut self, source: Side) -> TcpHealth {
        if *self.slot == 0 {
            return TcpHealth::default();
        }
        self.of_mut(source)
            .map(|losses| std::mem::take(&mut losses.health))
            .unwrap_or_default()
    }

    /// Frees the slot of the conversation.
    pub fn free(self) {
        if let Some(index) = self.slot.checked_sub(1) {
            self.store.free.push(index);
        }
        *self.slot = 0;
    }
}
