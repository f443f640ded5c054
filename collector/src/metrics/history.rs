//! Self-metrics of the history, of recent records, and of the clients that follow.

use kipfix_service::metric_table::Declarations;

use super::Totals;

pub(super) fn declare(table: &mut Declarations<'_, Totals>) {
    table.gauge("history_bytes", "Memory of the history.", |t| {
        t.history.octets
    });
    table.gauge("history_endpoints", "Endpoints in the history.", |t| {
        t.history.endpoints
    });
    table.gauge(
        "history_intervals",
        "Intervals in the history, of all rings.",
        |t| t.history.intervals,
    );
    table.counter(
        "history_intervals_discarded_total",
        "Intervals discarded before their time because history_size was reached.",
        |t| t.history.intervals_discarded,
    );
    table.counter(
        "history_edges_other_total",
        "Edges added to other because an interval had too many of them.",
        |t| t.history.edges_other,
    );
    table.counter(
        "history_endpoints_other_total",
        "Ends of edges added to other because history_size was reached.",
        |t| t.history.endpoints_other,
    );
    recent_records(table);
}

fn recent_records(table: &mut Declarations<'_, Totals>) {
    table.gauge(
        "recent_records",
        "Records that /api/v1/flows can return.",
        |t| t.recent.records,
    );
    table.gauge("recent_records_bytes", "Memory of recent records.", |t| {
        t.recent.octets
    });
    table.gauge("followers", "Clients that follow /api/v1/flows.", |t| {
        t.recent.followers
    });
    table.counter(
        "followed_records_sent_total",
        "Records passed to connections of clients that follow /api/v1/flows.",
        |t| t.recent.sent,
    );
    table.counter_by(
        "followed_records_lost_total",
        "Records that clients which follow /api/v1/flows did not get.",
        "reason",
        |t| &t.recent.lost,
    );
}
