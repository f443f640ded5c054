//! Metrics of HTTP metering.

use kipfix_service::metric_table::Declarations;

use crate::pipeline::PipelineCounters;

pub(super) fn declare(table: &mut Declarations<'_, PipelineCounters>) {
    table.counter(
        "metered_http_requests_total",
        "Requests that were read (--http-metering).",
        |counters| counters.http.requests,
    );
    table.counter(
        "metered_http_responses_total",
        "Responses that were read (--http-metering).",
        |counters| counters.http.responses,
    );
    table.counter_by(
        "metered_http_unread_total",
        "Places where messages of HTTP were not read, by reason. The rest of the connection: \
         start_not_observed, upgraded, evicted; of HTTP/2 also segment_lost, not_captured, \
         head_too_long, invalid, table_too_large, no_room, no_room_for_client; of HTTP/1 also too_many_requests \
         (pipelined). Up to the next message, in HTTP/1: segment_lost, not_captured, \
         head_too_long, invalid, no_room. One request, in HTTP/2: too_many_requests.",
        "reason",
        |counters| &counters.http.unread,
    );
    table.gauge(
        "metered_http_connections",
        "Connections whose HTTP messages are read, and those that may have some.",
        |counters| counters.http.connections,
    );
    table.gauge(
        "metered_http2_connections",
        "Connections of HTTP/2 that are read.",
        |counters| counters.http.http2_connections,
    );
    table.gauge(
        "metered_http2_bytes",
        "Bytes that connections of HTTP/2 keep: dynamic tables, open requests and segments behind a gap.",
        |counters| counters.http.http2_octets,
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
