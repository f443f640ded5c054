//! Names of responders in the flow cache.
//!
//! A conversation gets the name that its initiator has resolved when it begins, and a name that the
//! initiator requests when that is observed. It keeps the name, because connections last longer
//! than names do.

use flowproto::host_name::{NameSource, ResponderName};

use super::flow_cache::FlowCache;
use super::key::ConversationKey;
use super::name_slots::ConversationName;
use crate::connection::Side;
use crate::inspect::{NameTable, ObservedName};

impl FlowCache {
    /// The table of resolved names.
    #[must_use]
    pub const fn names(&self) -> Option<&NameTable> {
        self.names.as_ref()
    }

    /// The table of resolved names.
    pub const fn names_mut(&mut self) -> Option<&mut NameTable> {
        self.names.as_mut()
    }

    /// Looks up the name of a conversation that begins with a packet from `source`.
    pub(super) fn find_name(&mut self, index: u32, source: Side, time_ns: u64) {
        let (Some(names), Some(entry)) = (&mut self.names, self.table.get(index)) else {
            return;
        };
        let initiator = entry.connection.initiator().unwrap_or(source);
        let mut key = entry.key.flow_key(initiator);
        if let Some(translation) = self.table.translation(index)
            && ConversationKey::of_flow(translation.metered()).1 == initiator
        {
            // The client resolved the name with its own address.
            key = *translation.original();
        }
        let found = names.find(key.source_address, key.destination_address, time_ns);
        if let Some(name) = found {
            let name = ConversationName {
                responder: initiator.opposite(),
                name: ResponderName {
                    name,
                    source: NameSource::Dns,
                },
            };
            self.table.names.set(index, name);
        }
    }

    /// Sets the name that a packet from `source` uses for its receiver.
    #[cold]
    pub(super) fn set_name(&mut self, index: u32, source: Side, observed: &ObservedName) {
        let Some(entry) = self.table.get(index) else {
            return;
        };
        if entry.connection.initiator() == Some(source.opposite()) {
            return;
        }
        let known = self.table.names.get(index).map(|known| known.name.source);
        let is_kept = match (known, observed.source) {
            // The first request names the peer. Later ones may come from other clients of a proxy.
            (Some(NameSource::Tls | NameSource::Http), NameSource::Http) => true,
            // The readable name of an encrypted hello is that of the provider.
            (Some(NameSource::Dns), NameSource::Tls) => observed.is_encrypted,
            _ => false,
        };
        if !is_kept {
            let name = ConversationName {
                responder: source.opposite(),
                name: ResponderName {
                    name: observed.name.clone(),
                    source: observed.source,
                },
            };
            self.table.names.set(index, name);
        }
    }
}
