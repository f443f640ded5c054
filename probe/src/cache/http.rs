//! HTTP messages of conversations: counts since the last record, and requests that wait for a
//! response.

use flowproto::FlowRecord;
use flowproto::http::{HttpHealth, HttpRequest};
use flowproto::record::FlowEndReason;

use super::slot_states::SlotStates;
use crate::inspect::HttpMessages;

/// HTTP messages of the conversations in a table.
#[derive(Debug, Default)]
pub(super) struct HttpStore(SlotStates<HttpState>);

#[derive(Debug, Default)]
struct HttpState {
    counts: HttpHealth,
    /// Requests without a response.
    waiting: u32,
    latest: Option<HttpRequest>,
}

impl HttpStore {
    /// Counts the messages of a packet of the conversation in a slot.
    #[cold]
    pub(super) fn observe(&mut self, slot: u32, messages: &HttpMessages) {
        let Some(state) = self.0.get_or_create(slot) else {
            return;
        };
        state.counts.add(&messages.counts);
        let responses = messages.counts.responses.iter().sum::<u32>();
        let ended = responses.saturating_add(messages.abandoned_requests);
        // A packet has messages of one direction. Only a request may end in its own packet, by a
        // reset.
        state.waiting = state.waiting.saturating_sub(ended);
        state.waiting = state.waiting.saturating_add(messages.counts.requests);
        let unanswered = messages.counts.unanswered_requests;
        let waiting = unanswered.min(state.waiting);
        state.waiting = state.waiting.saturating_sub(waiting);
        // The others were reported as unanswered when the conversation was idle.
        let reported = unanswered.saturating_sub(waiting);
        let counted = &mut state.counts.unanswered_requests;
        *counted = counted.saturating_sub(reported);
        if let Some(request) = &messages.request {
            state.latest = Some(request.clone());
        } else if let Some(latest) = &mut state.latest
            && state.waiting == 0
            && messages.status_code != 0
        {
            latest.status_code = messages.status_code;
        }
    }

    /// Takes what no record has reported. Requests that still wait are reported later if the
    /// conversation continues.
    pub(super) fn take(
        &mut self,
        slot: u32,
        reason: FlowEndReason,
    ) -> Option<(HttpHealth, Option<HttpRequest>)> {
        let state = self.0.get_mut(slot)?;
        if reason != FlowEndReason::ActiveTimeout {
            let unanswered = &mut state.counts.unanswered_requests;
            *unanswered = unanswered.saturating_add(std::mem::take(&mut state.waiting));
        }
        let counts = std::mem::take(&mut state.counts);
        if counts.is_empty() {
            return None;
        }
        // The response to a request that waits is in the next record, with the request.
        let request = if state.waiting == 0 {
            state.latest.take()
        } else {
            state.latest.clone()
        };
        Some((counts, request))
    }

    /// Frees the state of a slot, if it has one.
    pub(super) fn remove(&mut self, slot: u32) {
        self.0.remove(slot);
    }
}

/// Sets the HTTP messages of a conversation in the record of the initiator, or in the other one if
/// there is none.
#[cold]
pub(super) fn assign(
    records: &mut [Option<FlowRecord>; 2],
    (counts, request): (HttpHealth, Option<HttpRequest>),
) {
    if let Some(record) = records.iter_mut().flatten().next() {
        (record.http, record.http_request) = (counts, request);
    }
}

#[cfg(test)]
mod tests {
    use flowproto::http::HttpMethod;

    use super::*;

    fn request(method: HttpMethod) -> HttpMessages {
        let mut messages = HttpMessages::default();
        messages.counts.requests = 1;
        messages.request = Some(HttpRequest {
            method,
            ..HttpRequest::default()
        });
        messages
    }

    fn response(status_code: u16, microseconds: u32) -> HttpMessages {
        let mut messages = HttpMessages {
            status_code,
            ..HttpMessages::default()
        };
        messages.counts.count_response(status_code);
        messages.counts.response_time.add(microseconds);
        messages
    }

    #[test]
    fn the_latest_request_has_the_status_of_its_response() {
        let mut store = HttpStore::default();
        for messages in [
            request(HttpMethod::Get),
            request(HttpMethod::Put),
            response(404, 10),
            response(204, 20),
        ] {
            store.observe(5, &messages);
        }
        let (counts, latest) = store.take(5, FlowEndReason::IdleTimeout).unwrap();
        assert_eq!((counts.requests, counts.unanswered_requests), (2, 0));
        assert_eq!(counts.responses, [0, 1, 0, 1, 0]);
        assert_eq!(counts.response_time.sum_microseconds, 30);
        let latest = latest.unwrap();
        assert_eq!((latest.method, latest.status_code), (HttpMethod::Put, 204));
        assert_eq!(store.take(5, FlowEndReason::IdleTimeout), None);
    }

    #[test]
    fn a_request_that_waits_at_the_active_timeout_is_reported_with_its_response() {
        let mut store = HttpStore::default();
        store.observe(5, &request(HttpMethod::Post));
        let (counts, latest) = store.take(5, FlowEndReason::ActiveTimeout).unwrap();
        assert_eq!((counts.requests, counts.unanswered_requests), (1, 0));
        assert_eq!(latest.unwrap().status_code, 0);
        store.observe(5, &response(500, 7));
        let (counts, latest) = store.take(5, FlowEndReason::IdleTimeout).unwrap();
        assert_eq!((counts.requests, counts.unanswered_requests), (0, 0));
        let latest = latest.unwrap();
        assert_eq!((latest.method, latest.status_code), (HttpMethod::Post, 500));
    }

    #[test]
    fn a_request_that_is_reset_is_unanswered_at_once() {
        let mut store = HttpStore::default();
        let mut messages = request(HttpMethod::Get);
        messages.counts.requests = 2;
        messages.counts.unanswered_requests = 1;
        store.observe(5, &messages);
        let (counts, _) = store.take(5, FlowEndReason::ActiveTimeout).unwrap();
        assert_eq!((counts.requests, counts.unanswered_requests), (2, 1));
        store.observe(5, &response(200, 1));
        let (counts, _) = store.take(5, FlowEndReason::IdleTimeout).unwrap();
        assert_eq!((counts.requests, counts.unanswered_requests), (0, 0));
    }

    #[test]
    fn a_request_that_is_reset_after_the_idle_timeout_is_unanswered_once() {
        let mut store = HttpStore::default();
        store.observe(5, &request(HttpMethod::Get));
        let (counts, _) = store.take(5, FlowEndReason::IdleTimeout).unwrap();
        assert_eq!((counts.requests, counts.unanswered_requests), (1, 1));
        let mut reset = HttpMessages::default();
        reset.counts.unanswered_requests = 1;
        store.observe(5, &reset);
        assert_eq!(store.take(5, FlowEndReason::IdleTimeout), None);
        // A later request is counted as usual.
        store.observe(5, &request(HttpMethod::Get));
        store.observe(5, &reset);
        let (counts, _) = store.take(5, FlowEndReason::IdleTimeout).unwrap();
        assert_eq!((counts.requests, counts.unanswered_requests), (1, 1));
    }

    #[test]
    fn requests_without_a_response_are_unanswered_unless_they_are_abandoned() {
        let mut store = HttpStore::default();
        for messages in [
            request(HttpMethod::Get),
            request(HttpMethod::Get),
            HttpMessages {
                abandoned_requests: 1,
                ..HttpMessages::default()
            },
        ] {
            store.observe(5, &messages);
        }
        let (counts, _) = store.take(5, FlowEndReason::EndOfFlowDetected).unwrap();
        assert_eq!((counts.requests, counts.unanswered_requests), (2, 1));
    }
}
