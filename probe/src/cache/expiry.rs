//! Expiry: conversations that have ended, are idle or were quiet for long leave their list, in the
//! order of the list.

use flowproto::record::FlowEndReason;

use super::conversation::Conversation;
use super::flow_cache::{FlowCache, LINGER_NS, RecordSink};
use super::links::List;

/// Interval between looks at the ends of the lists: 100 ms.
const EXPIRY_INTERVAL_NS: u64 = 100_000_000;
/// Conversations that expire together.
const EXPIRY_GROUP: usize = 16;

impl FlowCache {
    /// Reports all conversations: the Metering Process stops.
    pub fn finish(&mut self, sink: &mut impl RecordSink) {
        // In the order of their memory, which the processor reads ahead.
        for index in 0..self.table.slots() {
            let reason = match self.table.list(index) {
                Some(List::Closing) => FlowEndReason::EndOfFlowDetected,
                Some(List::Live) => FlowEndReason::ForcedEnd,
                Some(List::Dormant) | None => continue,
            };
            self.report(index, reason, sink);
        }
        self.table.clear();
    }

    /// Reports conversations that have ended or are idle, and removes those past the connection
    /// timeout.
    pub(super) fn expire(&mut self, now: u64, sink: &mut impl RecordSink) {
        self.next_expiry_ns = now.saturating_add(EXPIRY_INTERVAL_NS);
        let (idle_ns, connection_ns) = (
            self.settings.idle_timeout_ns,
            self.settings.connection_timeout_ns,
        );
        self.expire_list(List::Closing, now, sink, |entry| {
            now - entry.moved_ns >= LINGER_NS
        });
        // A conversation may have had packets since it was moved, for up to MOVE_AFTER_NS. Those after
        // it, which were moved later, wait no longer than that.
        self.expire_list(List::Live, now, sink, |entry| {
            now - entry.seen_ns >= idle_ns
        });
        self.expire_list(List::Dormant, now, sink, |entry| {
            now - entry.seen_ns >= connection_ns
        });
    }

    /// Reports or removes the conversations at the beginning of a list up to the first that is not
    /// due, in groups whose memory is read together.
    fn expire_list(
        &mut self,
        list: List,
        now: u64,
        sink: &mut impl RecordSink,
        is_due: impl Fn(&Conversation) -> bool,
    ) {
        let mut group = std::mem::take(&mut self.expiring);
        loop {
            let room = match list {
                List::Dormant => EXPIRY_GROUP,
                List::Closing | List::Live => EXPIRY_GROUP.min(sink.room() / 2),
            };
            self.table.head(list, room, &is_due, &mut group);
            for index in group.iter().copied() {
                match list {
                    List::Closing => {
                        self.report(index, FlowEndReason::EndOfFlowDetected, sink);
                        self.table.remove(index);
                    }
                    List::Live => {
                        self.report(index, FlowEndReason::IdleTimeout, sink);
                        self.table.move_to_end(index, List::Dormant, now);
                    }
                    List::Dormant => self.table.remove(index),
                }
            }
            if group.len() < EXPIRY_GROUP {
                break;
            }
        }
        self.expiring = group;
    }
}
