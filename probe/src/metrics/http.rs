//! Metrics of HTTP metering.

use kipfix_service::metric_table::Declarations;

use crate::pipeline::PipelineCounters;

pub(super) fn declare(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter(
        "metered_http_requests_total",
        "Requests of HTTP/1 that were read (--http-metering).",
        |counters| counters.http.requests,
    );
    table.counter(
        "metered_http_responses_total",
        "Responses of HTTP/1 that were read (--http-metering).",
        |counters| counters.http.responses,
    );
    table.counter_by(
        "metered_http_unread_total",
        "Places where messages of HTTP were not read, by reason. The rest of the connection: \
         start_not_observed, http2, upgraded, too_many_requests (pipelined), evicted. Up to the \
         next message: segment_lost, not_captured, head_too_long, invalid, no_room.",
        "reason",
        |counters| &counters.http.unread,
    );
    table.gauge(
        "metered_http_connections",
        "Connections whose HTTP messages are read, and those that may have some.",
        |counters| counters.http.connections,
    );
    table.gauge(
        "metered_http_targets",
        "Different templates of request targets.",
        |counters| counters.http.targets,
    );
    table.counter(
        "metered_http_targets_refused_total",
        "Requests whose target is `other` because there are too many different ones.",
        |counters| counters.http.targets_refused,
    );
}
