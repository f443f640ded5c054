//! Self-metrics of the pipeline and of what counts its records.

use enum_map::EnumMap;
use flowproto::Address;
use kipfix_service::metric_maker::{
    MetricMaker, level, raise, raise_by_reason, raise_each, set_seconds,
};
use prometheus::{GaugeVec, IntCounter, IntGauge};

use super::Totals;
use crate::inventory::EndpointKind;
use crate::pipeline::Reason;
use crate::pipeline::enrich::TunnelUse;

/// Number of exporters whose clock offset is shown.
const MAX_SKEWS: usize = 100;

#[derive(Debug)]
pub(super) struct Records {
    biflow_reverse: IntCounter,
    counted: IntCounter,
    not_counted: EnumMap<Reason, IntCounter>,
    held: IntCounter,
    resolved_early: IntCounter,
    unconfirmed: IntGauge,
    pending: IntGauge,
    pending_bytes: IntGauge,
    external_exporter: IntCounter,
    ambiguous: IntCounter,
    unattributed: IntCounter,
    tunnel_untrusted: Vec<IntCounter>,
    before_inventory: IntCounter,
    observed_nodes: IntGauge,
    clock_skew: GaugeVec,
    skewed_exporters: IntGauge,
    edges: IntGauge,
    full_drains: IntCounter,
    open_connections: IntGauge,
    open_connections_expired: IntCounter,
    open_connections_forgotten: IntCounter,
    series: IntGauge,
    series_idle: IntCounter,
    series_other: IntCounter,
}

impl Records {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        Ok(Self {
            biflow_reverse: make.counter(
                "biflow_reverse_total",
                "Opposite directions in biflow records, which are attributed and counted on their own.",
            )?,
            counted: make.counter(
                "records_counted_total",
                "Records (each direction of a biflow) counted in the metric families.",
            )?,
            not_counted: make.by_reason(
                "records_not_counted_total",
                "Records (each direction of a biflow) left out of the metric families, by reason.",
            )?,
            held: make.counter(
                "records_held_total",
                "Records (each direction of a biflow) that waited for the inventory or for the authoritative observer.",
            )?,
            resolved_early: make.counter(
                "records_resolved_early_total",
                "Pending records decided early because pending_queue was full.",
            )?,
            unconfirmed: make.gauge(
                "records_unconfirmed",
                "Records left out for another observer from which no Message has arrived since; they become other_observer or observer_lost.",
            )?,
            pending: make.gauge("records_pending", "Records that wait for one of these now.")?,
            pending_bytes: make.gauge("records_pending_bytes", "Octets of the pending records.")?,
            external_exporter: make.counter(
                "records_external_exporter_total",
                "Records of exporters that are not on a known node.",
            )?,
            ambiguous: make.counter(
                "records_ambiguous_total",
                "Records with an address that was reassigned while their packets were sent.",
            )?,
            unattributed: make.counter(
                "records_unattributed_total",
                "Records with an address in a pod CIDR that no pod reported.",
            )?,
            tunnel_untrusted: make.by_reasons(
                "records_tunnel_untrusted_total",
                "Records attributed to the outer packet of their tunnel, by the kind of the end that is not trusted.",
                TunnelUse::UNTRUSTED.into_iter().map(EndpointKind::as_str),
            )?,
            before_inventory: make.counter(
                "records_before_inventory_total",
                "Records decided before the initial Kubernetes list was complete.",
            )?,
            observed_nodes: make.gauge(
                "observed_nodes",
                "Nodes with a Ready probe, or with a Message within observer_timeout and observer_wait.",
            )?,
            clock_skew: make.float_gauges(
                "exporter_clock_skew_seconds",
                "Clock offset applied to an exporter's timestamps (worst 100 exporters, at least 1 s).",
                &["exporter"],
            )?,
            skewed_exporters: make.gauge(
                "exporters_skewed",
                "Exporters whose clock is off by at least 1 s.",
            )?,
            edges: make.gauge("edges", "Pairs of endpoints counted since the last drain.")?,
            full_drains: make.counter(
                "edge_table_full_total",
                "Drains because an edge table was full.",
            )?,
            open_connections: make.gauge(
                "open_connections",
                "TCP connections that are open, if a family counts them.",
            )?,
            open_connections_expired: make.counter(
                "open_connections_expired_total",
                "Open connections presumed to have ended, because no record reported them within open_connection_timeout.",
            )?,
            open_connections_forgotten: make.counter(
                "open_connections_forgotten_total",
                "Open connections that are not counted any more, because max_open_connections was reached.",
            )?,
            series: make.gauge("series", "Series of all metric families.")?,
            series_idle: make.counter(
                "series_idle_total",
                "Series removed after series_idle without an addition.",
            )?,
            series_other: make.counter(
                "series_other_total",
                "Sums added under the label value other because max_series was reached.",
            )?,
        })
    }

    pub(super) fn publish(&self, totals: &Totals) {
        let records = &totals.pipeline.records;
        let open = &totals.outputs.open_connections;
        for (counter, total) in [
            (&self.biflow_reverse, records.reverse_directions),
            (&self.counted, records.counted),
            (&self.held, records.held),
            (&self.resolved_early, records.resolved_early),
            (&self.external_exporter, records.external_exporter),
            (&self.ambiguous, records.ambiguous),
            (&self.unattributed, records.unattributed),
            (&self.before_inventory, records.before_inventory),
            (&self.full_drains, totals.outputs.full_drains),
            (&self.open_connections_expired, open.expired),
            (&self.open_connections_forgotten, open.forgotten),
            (&self.series_idle, totals.series.idle),
            (&self.series_other, totals.series.other),
        ] {
            raise(counter, total);
        }
        raise_by_reason(&self.not_counted, &records.not_counted);
        raise_each(&self.tunnel_untrusted, &records.tunnel_untrusted);
        for (gauge, value) in [
            (&self.unconfirmed, records.unconfirmed),
            (&self.pending, records.pending),
            (&self.pending_bytes, records.pending_octets),
            (&self.observed_nodes, totals.observed_nodes),
            (&self.open_connections, open.open),
            (&self.edges, totals.outputs.edges),
            (&self.series, totals.series.series),
        ] {
            gauge.set(level(value));
        }
        self.publish_skews(&totals.skews);
    }

    fn publish_skews(&self, skews: &[(Address, i64)]) {
        self.skewed_exporters.set(level(skews.len()));
        let mut worst: Vec<&(Address, i64)> = skews.iter().collect();
        worst.sort_by_key(|(_, skew)| std::cmp::Reverse(skew.unsigned_abs()));
        self.clock_skew.reset();
        for (exporter, skew) in worst.into_iter().take(MAX_SKEWS) {
            let gauge = self.clock_skew.with_label_values(&[&exporter.to_string()]);
            set_seconds(&gauge, *skew);
        }
    }
}
