//! What each source address uses of the bounds.

use std::collections::HashMap;

use super::recency::RecencyList;
use crate::address::Address;

/// Index of a source address.
pub(super) type SenderId = usize;

/// Uses of one source address.
#[derive(Debug, Default)]
pub(super) struct Sender {
    address: Address,
    /// Its sessions that have not sent a readable record, and those that have.
    pub(super) lists: [RecencyList; 2],
    /// Fields of its templates.
    pub(super) fields: usize,
    /// Values of its options data.
    pub(super) metadata_entries: usize,
}

impl Sender {
    pub(super) fn sessions(&self) -> usize {
        let [undecoded, decoded] = &self.lists;
        undecoded.len().saturating_add(decoded.len())
    }
}

/// All source addresses with sessions.
#[derive(Debug, Default)]
pub(super) struct Senders {
    senders: Vec<Sender>,
    vacant: Vec<SenderId>,
    index: HashMap<Address, SenderId, foldhash::fast::RandomState>,
}

impl Senders {
    pub(super) fn find(&self, address: Address) -> Option<&Sender> {
        self.senders.get(*self.index.get(&address)?)
    }

    /// The sender of this address, created if needed.
    pub(super) fn open(&mut self, address: Address) -> SenderId {
        if let Some(id) = self.index.get(&address) {
            return *id;
        }
        let sender = Sender {
            address,
            ..Sender::default()
        };
        let id = match self.vacant.pop() {
            Some(id) => {
                if let Some(place) = self.senders.get_mut(id) {
                    *place = sender;
                }
                id
            }
            None => {
                self.senders.push(sender);
                self.senders.len().saturating_sub(1)
            }
        };
        self.index.insert(address, id);
        id
    }

    /// Forgets a sender without sessions.
    pub(super) fn close(&mut self, id: SenderId) {
        let Some(sender) = self.senders.get(id) else {
            return;
        };
        if sender.sessions() == 0 {
            self.index.remove(&sender.address);
            self.vacant.push(id);
        }
    }

    pub(super) fn get(&self, id: SenderId) -> Option<&Sender> {
        self.senders.get(id)
    }

    pub(super) fn get_mut(&mut self, id: SenderId) -> Option<&mut Sender> {
        self.senders.get_mut(id)
    }
}
