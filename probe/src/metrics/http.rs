//! Metrics of HTTP metering.

use enum_map::EnumMap;
use kipfix_service::metric_maker::{MetricMaker, level, raise, raise_by_reason};
use prometheus::{IntCounter, IntGauge};

use crate::inspect::http1::{HttpConnections, HttpCounters, UnreadHttp};

/// The families.
#[derive(Debug)]
pub(super) struct HttpFamilies {
    requests: IntCounter,
    responses: IntCounter,
    unread: EnumMap<UnreadHttp, IntCounter>,
    connections: IntGauge,
    targets: IntGauge,
    targets_refused: IntCounter,
}

impl HttpFamilies {
    pub(super) fn register(new: &MetricMaker) -> prometheus::Result<Self> {
        new.capacity(
            "metered_http_connections_capacity",
            "Maximum number of connections whose HTTP messages are read.",
            HttpConnections::CAPACITY,
        )?;
        Ok(Self {
            requests: new.counter(
                "metered_http_requests_total",
                "Requests of HTTP/1 that were read (--http-metering).",
            )?,
            responses: new.counter(
                "metered_http_responses_total",
                "Responses of HTTP/1 that were read (--http-metering).",
            )?,
            unread: new.by_reason(
                "metered_http_unread_total",
                "Places where messages of HTTP were not read, by reason. The rest of the connection: \
                 start_not_observed, http2, upgraded, too_many_requests (pipelined), evicted. Up to the \
                 next message: segment_lost, not_captured, head_too_long, invalid, no_room.",
            )?,
            connections: new.gauge(
                "metered_http_connections",
                "Connections whose HTTP messages are read, and those that may have some.",
            )?,
            targets: new.gauge("metered_http_targets", "Different templates of request targets.")?,
            targets_refused: new.counter(
                "metered_http_targets_refused_total",
                "Requests whose target is `other` because there are too many different ones.",
            )?,
        })
    }

    /// Publishes the counts.
    pub(super) fn publish(&self, counters: &HttpCounters) {
        raise(&self.requests, counters.requests);
        raise(&self.responses, counters.responses);
        raise_by_reason(&self.unread, &counters.unread);
        raise(&self.targets_refused, counters.targets_refused);
        self.connections.set(level(counters.connections));
        self.targets.set(level(counters.targets));
    }
}
