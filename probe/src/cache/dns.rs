//! DNS messages of conversations: counts since the last record, and queries that wait for a
//! response.
//!
//! Most conversations have none, so they are kept apart. A conversation has four places for queries
//! that wait. Of more at the same time, the response times of the earlier ones are not measured,
//! but all are counted.

use flowproto::FlowRecord;
use flowproto::dns::{DnsHealth, DnsQuery};
use flowproto::record::FlowEndReason;

use super::slot_states::SlotStates;
use crate::inspect::dns::is_to_server;
use crate::inspect::{DnsMessage, DnsMessageKind};

/// Places for queries that wait.
const PLACES: usize = 4;
/// A query that has waited for longer is unanswered. Resolvers repeat a query after 5 s.
const RESPONSE_TIMEOUT_NS: u64 = 5_000_000_000;

/// DNS messages of the conversations in a table.
#[derive(Debug, Default)]
pub(super) struct DnsStore(SlotStates<DnsState>);

#[derive(Clone, Debug, Default)]
struct DnsState {
    counts: DnsHealth,
    /// Queries without a response.
    waiting: u32,
    places: [Option<Waiting>; PLACES],
    latest: Option<(u16, DnsQuery)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: u16,
    sent_ns: u64,
}

impl DnsStore {
    /// Counts a message of the conversation in a slot, at a time of its packets.
    #[cold]
    pub(super) fn observe(&mut self, slot: u32, message: &DnsMessage, time_ns: u64) {
        let is_response = matches!(message.kind, DnsMessageKind::Response(_));
        if message.needs_query && is_response {
            let state = self.0.get_mut(slot);
            if !state.is_some_and(|state| state.waits_for(message.id)) {
                return;
            }
        }
        let Some(state) = self.0.get_or_create(slot) else {
            return;
        };
        match &message.kind {
            DnsMessageKind::Query(name, query_type) => {
                state.counts.queries = state.counts.queries.saturating_add(1);
                state.waiting = state.waiting.saturating_add(1);
                state.wait(message.id, time_ns);
                let query = DnsQuery {
                    name: name.clone(),
                    query_type: *query_type,
                    response_code: DnsQuery::NO_RESPONSE,
                };
                state.latest = Some((message.id, query));
            }
            DnsMessageKind::Response(response_code) => {
                state.counts.count_response(*response_code);
                state.waiting = state.waiting.saturating_sub(1);
                if let Some(sent_ns) = state.answer(message.id) {
                    let microseconds = time_ns.saturating_sub(sent_ns) / 1000;
                    let microseconds = u32::try_from(microseconds).unwrap_or(u32::MAX);
                    state.counts.response_time.add(microseconds);
                }
                if let Some((id, query)) = &mut state.latest
                    && *id == message.id
                {
                    query.response_code = *response_code;
                }
            }
        }
    }

    /// Takes what no record has reported. Queries that still wait are reported later if the
    /// conversation continues.
    pub(super) fn take(
        &mut self,
        slot: u32,
        reason: FlowEndReason,
        now_ns: u64,
    ) -> Option<(DnsHealth, Option<DnsQuery>)> {
        let state = self.0.get_mut(slot)?;
        state.give_up(reason, now_ns);
        let counts = std::mem::take(&mut state.counts);
        let query = state.latest.take().map(|(_, query)| query);
        (!counts.is_empty()).then_some((counts, query))
    }

    /// Frees the state of a slot, if it has one.
    pub(super) fn remove(&mut self, slot: u32) {
        self.0.remove(slot);
    }
}

/// Sets the DNS messages of a conversation in the record of the packets to the server, or in the
/// other one if there is none.
#[cold]
pub(super) fn assign(
    records: &mut [Option<FlowRecord>; 2],
    (counts, query): (DnsHealth, Option<DnsQuery>),
) {
    let mut all = records.iter().flatten();
    let to_server = all.position(|record| is_to_server(&record.key));
    let mut all = records.iter_mut().flatten();
    if let Some(record) = all.nth(to_server.unwrap_or(0)) {
        (record.dns, record.dns_query) = (counts, query);
    }
}

impl DnsState {
    /// Notes a query in the place of one with the same identifier, a free place, or that of the
    /// oldest.
    fn wait(&mut self, id: u16, sent_ns: u64) {
        let rank = |waiting: &Option<Waiting>| match waiting {
            Some(waiting) if waiting.id == id => (0, 0),
            None => (1, 0),
            Some(waiting) => (2, waiting.sent_ns),
        };
        if let Some(place) = self.places.iter_mut().min_by_key(|place| rank(place)) {
            *place = Some(Waiting { id, sent_ns });
        }
    }

    /// True if a query with an identifier waits, or can be one of those that have lost their place.
    fn waits_for(&self, id: u16) -> bool {
        let mut waiting = 0_u32;
        for place in self.places.iter().flatten() {
            if place.id == id {
                return true;
            }
            waiting = waiting.saturating_add(1);
        }
        self.waiting > waiting
    }

    /// The time of the query with an identifier, which no longer waits.
    fn answer(&mut self, id: u16) -> Option<u64> {
        let mut places = self.places.iter_mut();
        let place = places.find(|place| place.is_some_and(|waiting| waiting.id == id))?;
        place.take().map(|waiting| waiting.sent_ns)
    }

    /// Counts queries as unanswered: all if this may be the last record, else those that have
    /// waited for long.
    fn give_up(&mut self, reason: FlowEndReason, now_ns: u64) {
        let continues = reason == FlowEndReason::ActiveTimeout;
        let mut kept = 0_u32;
        for place in &mut self.places {
            let is_young = place.is_some_and(|waiting| {
                now_ns.saturating_sub(waiting.sent_ns) < RESPONSE_TIMEOUT_NS
            });
            if continues && is_young {
                kept = kept.saturating_add(1);
            } else {
                *place = None;
            }
        }
        let kept = kept.min(self.waiting);
        let unanswered = self.waiting.saturating_sub(kept);
        let counts = &mut self.counts;
        counts.unanswered_queries = counts.unanswered_queries.saturating_add(unanswered);
        self.waiting = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn query(id: u16) -> DnsMessage {
        DnsMessage {
            id,
            kind: DnsMessageKind::Query(None, 28),
            needs_query: false,
        }
    }

    fn response(id: u16, code: u8) -> DnsMessage {
        DnsMessage {
            id,
            kind: DnsMessageKind::Response(code),
            needs_query: false,
        }
    }

    fn observed(messages: &[(DnsMessage, u64)]) -> DnsStore {
        let mut store = DnsStore::default();
        for (message, milliseconds) in messages {
            store.observe(5, message, milliseconds * MILLISECOND);
        }
        store
    }

    #[test]
    fn responses_are_matched_by_identifier() {
        let mut store = observed(&[
            (query(1), 0),
            (query(2), 1),
            (response(2, 0), 4),
            (response(1, 3), 10),
            (query(3), 11),
        ]);
        let (counts, latest) = store.take(5, FlowEndReason::IdleTimeout, 0).unwrap();
        assert_eq!((counts.queries, counts.unanswered_queries), (3, 1));
        assert_eq!(
            (counts.no_error_responses, counts.name_error_responses),
            (1, 1)
        );
        let times = counts.response_time;
        assert_eq!((times.samples, times.sum_microseconds), (2, 13_000));
        let latest = latest.unwrap();
        assert_eq!(
            (latest.query_type, latest.response_code),
            (28, DnsQuery::NO_RESPONSE)
        );
        assert_eq!(store.take(5, FlowEndReason::IdleTimeout, 0), None);
    }

    #[test]
    fn a_response_that_needs_a_query_is_counted_once_for_each() {
        let ambiguous = |id| DnsMessage {
            needs_query: true,
            ..response(id, 0)
        };
        let mut store = observed(&[(ambiguous(1), 0)]);
        assert_eq!(store.take(5, FlowEndReason::IdleTimeout, 0), None);
        let mut store = observed(&[
            (query(1), 0),
            (ambiguous(2), 1),
            (ambiguous(1), 2),
            (ambiguous(1), 3),
        ]);
        let (counts, _) = store.take(5, FlowEndReason::IdleTimeout, 0).unwrap();
        assert_eq!((counts.no_error_responses, counts.queries), (1, 1));
        // Some of many queries have lost their places.
        let mut many: Vec<_> = (0..7).map(|id| (query(id), 0)).collect();
        many.extend((0..7).chain([3, 9]).map(|id| (ambiguous(id), 10)));
        let (counts, _) = observed(&many)
            .take(5, FlowEndReason::IdleTimeout, 0)
            .unwrap();
        assert_eq!(
            (counts.no_error_responses, counts.unanswered_queries),
            (7, 0)
        );
    }

    #[test]
    fn a_query_that_waits_at_the_active_timeout_is_reported_later() {
        let mut store = observed(&[(query(1), 0), (query(2), 4000)]);
        let now = 6000 * MILLISECOND;
        let (counts, _) = store.take(5, FlowEndReason::ActiveTimeout, now).unwrap();
        assert_eq!((counts.queries, counts.unanswered_queries), (2, 1));
        store.observe(5, &response(2, 2), now);
        let (counts, _) = store.take(5, FlowEndReason::IdleTimeout, now).unwrap();
        assert_eq!((counts.queries, counts.unanswered_queries), (0, 0));
        assert_eq!(counts.server_failure_responses, 1);
        assert_eq!(counts.response_time.minimum_microseconds, 2_000_000);
    }

    #[test]
    fn a_repeated_query_counts_each_time_and_more_than_fit_are_counted() {
        let repeated = [(query(1), 0), (query(1), 5000), (response(1, 0), 5001)];
        let mut store = observed(&repeated);
        let (counts, _) = store.take(5, FlowEndReason::IdleTimeout, 0).unwrap();
        assert_eq!((counts.queries, counts.unanswered_queries), (2, 1));
        assert_eq!(counts.response_time.sum_microseconds, 1000);
        let mut many: Vec<_> = (0..8).map(|id| (query(id), u64::from(id))).collect();
        many.extend((0..8).map(|id| (response(id, 5), 10)));
        let mut store = observed(&many);
        let (counts, _) = store.take(5, FlowEndReason::IdleTimeout, 0).unwrap();
        assert_eq!((counts.queries, counts.unanswered_queries), (8, 0));
        assert_eq!(
            (counts.other_error_responses, counts.response_time.samples),
            (8, 4)
        );
    }
}
