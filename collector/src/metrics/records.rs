//! Self-metrics of the pipeline and of what counts its records.

use std::cmp::Reverse;

use kipfix_service::metric_table::Declarations;

use super::Totals;
use crate::inventory::EndpointKind;

/// Number of exporters whose clock offset is shown.
const MAX_SKEWS: usize = 100;

pub(super) fn declare(table: &mut Declarations<'_, Totals>) {
    decisions(table);
    attribution(table);
    series(table);
}

fn decisions(table: &mut Declarations<'_, Totals>) {
    table.counter(
        "biflow_reverse_total",
        "Opposite directions in biflow records, which are attributed and counted on their own.",
        |t| t.pipeline.records.reverse_directions,
    );
    table.counter(
        "records_counted_total",
        "Records (each direction of a biflow) counted in the metric families.",
        |t| t.pipeline.records.counted,
    );
    table.counter_by(
        "records_not_counted_total",
        "Records (each direction of a biflow) left out of the metric families, by reason.",
        "reason",
        |t| &t.pipeline.records.not_counted,
    );
    table.counter(
        "records_held_total",
        "Records (each direction of a biflow) that waited for the inventory or for the authoritative observer.",
        |t| t.pipeline.records.held,
    );
    table.counter(
        "records_resolved_early_total",
        "Pending records decided early because pending_queue was full.",
        |t| t.pipeline.records.resolved_early,
    );
    table.gauge(
        "records_unconfirmed",
        "Records left out for another observer from which no Message has arrived since; they become other_observer or observer_lost.",
        |t| t.pipeline.records.unconfirmed,
    );
    table.gauge(
        "records_pending",
        "Records that wait for one of these now.",
        |t| t.pipeline.records.pending,
    );
    table.gauge(
        "records_pending_bytes",
        "Octets of the pending records.",
        |t| t.pipeline.records.pending_octets,
    );
}

fn attribution(table: &mut Declarations<'_, Totals>) {
    table.counter(
        "records_external_exporter_total",
        "Records of exporters that are not on a known node.",
        |t| t.pipeline.records.external_exporter,
    );
    table.counter(
        "records_ambiguous_total",
        "Records with an address that was reassigned while their packets were sent.",
        |t| t.pipeline.records.ambiguous,
    );
    table.counter(
        "records_unattributed_total",
        "Records with an address in a pod CIDR that no pod reported.",
        |t| t.pipeline.records.unattributed,
    );
    table.counter_of(
        "records_tunnel_untrusted_total",
        "Records attributed to the outer packet of their tunnel, by the kind of the end that is not trusted.",
        "reason",
        [
            (EndpointKind::Pod.into(), |t| {
                t.pipeline.records.tunnel_untrusted[EndpointKind::Pod]
            }),
            (EndpointKind::Service.into(), |t| {
                t.pipeline.records.tunnel_untrusted[EndpointKind::Service]
            }),
            (EndpointKind::External.into(), |t| {
                t.pipeline.records.tunnel_untrusted[EndpointKind::External]
            }),
            (EndpointKind::Link.into(), |t| {
                t.pipeline.records.tunnel_untrusted[EndpointKind::Link]
            }),
        ],
    );
    table.counter(
        "records_before_inventory_total",
        "Records decided before the initial Kubernetes list was complete.",
        |t| t.pipeline.records.before_inventory,
    );
    table.gauge(
        "observed_nodes",
        "Nodes with a Ready probe, or with a Message within observer_timeout and observer_wait.",
        |t| t.observed_nodes,
    );
    table.float_gauges(
        "exporter_clock_skew_seconds",
        "Clock offset applied to an exporter's timestamps (worst 100 exporters, at least 1 s).",
        &["exporter"],
        |t, add| {
            let mut worst: Vec<_> = t.skews.iter().collect();
            worst.sort_by_key(|(_, skew)| Reverse(skew.unsigned_abs()));
            for (exporter, milliseconds) in worst.into_iter().take(MAX_SKEWS) {
                add(&[&exporter.to_string()], seconds(*milliseconds));
            }
        },
    );
    table.gauge(
        "exporters_skewed",
        "Exporters whose clock is off by at least 1 s.",
        |t| t.skews.len(),
    );
}

fn series(table: &mut Declarations<'_, Totals>) {
    table.gauge(
        "edges",
        "Pairs of endpoints counted since the last drain.",
        |t| t.outputs.edges,
    );
    table.counter(
        "edge_table_full_total",
        "Drains because an edge table was full.",
        |t| t.outputs.full_drains,
    );
    table.gauge(
        "open_connections",
        "TCP connections that are open, if a family counts them.",
        |t| t.outputs.open_connections.open,
    );
    table.counter(
        "open_connections_expired_total",
        "Open connections presumed to have ended, because no record reported them within open_connection_timeout.",
        |t| t.outputs.open_connections.expired,
    );
    table.counter(
        "open_connections_forgotten_total",
        "Open connections that are not counted any more, because max_open_connections was reached.",
        |t| t.outputs.open_connections.forgotten,
    );
    table.gauge("series", "Series of all metric families.", |t| {
        t.series.series
    });
    table.counter(
        "series_idle_total",
        "Series removed after series_idle without an addition.",
        |t| t.series.idle,
    );
    table.counter(
        "series_other_total",
        "Sums added under the label value other because max_series was reached.",
        |t| t.series.other,
    );
}

/// Milliseconds in seconds. Offsets beyond 24 days are shown as that.
fn seconds(milliseconds: i64) -> f64 {
    let bound = i64::from(i32::MAX);
    let bounded = milliseconds.clamp(-bound, bound);
    i32::try_from(bounded).map_or(0.0, f64::from) / 1000.0
}
