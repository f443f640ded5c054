//! Queries to DNS servers at port 5353. Any program may send from this port, so a response names
//! addresses only if its query was observed, and asked the same question.

use std::hash::{BuildHasher as _, Hasher as _};

use flowproto::FlowKey;
use foldhash::fast::RandomState;

use super::conversation_hash::conversation_hash;
use super::dns::{Message, PORT, UNPRIVILEGED_PORT};

/// Time for the response, nanoseconds.
const MAX_WAIT_NS: u64 = 10_000_000_000;
/// Queries that are kept; a power of two. Another one in the same slot replaces one.
const SLOTS: usize = 4096;

/// The latest queries.
#[derive(Debug, Default)]
pub(super) struct DnsQueries {
    /// Empty until the first query.
    slots: Vec<Query>,
    hash: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Query {
    key: FlowKey,
    id: u16,
    /// Hash of the name and the type that it asks for.
    question: u64,
    time_ns: u64,
}

impl DnsQueries {
    /// Observes a message with this key at `time_ns` since the epoch. True if it is the response to
    /// a query that was observed.
    pub(super) fn observe(&mut self, key: &FlowKey, message: &[u8], time_ns: u64) -> bool {
        let Some(message) = Message::of(message) else {
            return false;
        };
        let id = message.id;
        let Some(question) = self.hash_question(&message) else {
            return false;
        };
        if message.is_response {
            let query = self.slots.get(slot_of(key, id));
            // A packet is observed on several interfaces, so its query is kept.
            return query.is_some_and(|query| {
                query.key == key.reversed()
                    && (query.id, query.question) == (id, question)
                    && time_ns.abs_diff(query.time_ns) <= MAX_WAIT_NS
            });
        }
        if self.slots.is_empty() {
            self.slots = vec![Query::default(); SLOTS];
        }
        if let Some(slot) = self.slots.get_mut(slot_of(key, id)) {
            *slot = Query {
                key: *key,
                id,
                question,
                time_ns,
            };
        }
        false
    }

    /// Servers may return the name with other upper and lower case. `None` if the question cannot
    /// be read.
    fn hash_question(&self, message: &Message<'_>) -> Option<u64> {
        let (name, query_type) = message.question()?;
        let mut hasher = self.hash.build_hasher();
        for octet in name.text() {
            hasher.write_u8(octet.to_ascii_lowercase());
        }
        hasher.write_u16(query_type);
        Some(hasher.finish())
    }
}

/// True if a message with this key names addresses only as the response to a query that was
/// observed: any program may send from port 5353, also to port 53. Queries to port 5353 are such
/// messages, too.
pub(super) const fn needs_query(key: &FlowKey) -> bool {
    key.source_port != PORT
        && (key.source_port == UNPRIVILEGED_PORT || key.destination_port == UNPRIVILEGED_PORT)
}

/// The slot of a conversation, in both directions, and an identifier.
fn slot_of(key: &FlowKey, id: u16) -> usize {
    let hash = conversation_hash(key) ^ u64::from(id);
    usize::try_from(hash).unwrap_or_default() % SLOTS
}
