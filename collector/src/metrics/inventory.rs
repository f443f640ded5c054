//! Self-metrics of the inventory: endpoints, external addresses, and the Kubernetes watches.

use kipfix_service::metric_maker::{MetricMaker, level, raise};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::inventory::IndexSizes;
use crate::inventory::cluster::{ResourceKind, WatchCounts};
use crate::inventory::external::ExternalCounts;

#[derive(Debug)]
pub(super) struct Inventory {
    nodes: IntGauge,
    endpoints: IntGauge,
    addresses: IntGauge,
    overflow: IntCounter,
    external_combinations: IntGauge,
    external_ranges: IntGauge,
    external_other_ranges: IntGauge,
    external_broken_files: IntGauge,
    external_reloads: IntCounter,
    external_reload_failures: IntCounter,
    kubernetes_up: IntGaugeVec,
    kubernetes_last_event: IntGaugeVec,
    kubernetes_since: IntGaugeVec,
    kubernetes_events: IntCounterVec,
    kubernetes_errors: IntCounterVec,
    kubernetes_malformed: IntCounterVec,
}

impl Inventory {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        Ok(Self {
            nodes: make.gauge("inventory_nodes", "Nodes in the inventory.")?,
            endpoints: make.gauge(
                "inventory_endpoints",
                "Nodes, pods, Services and prefixes in the inventory, including deleted ones that are retained.",
            )?,
            addresses: make.gauge(
                "inventory_addresses",
                "Addresses and ports that are or were assigned to one of these.",
            )?,
            overflow: make.counter(
                "inventory_overflow_total",
                "Nodes, endpoints and addresses left out because max_nodes or max_endpoints was reached.",
            )?,
            external_combinations: make.gauge(
                "external_combinations",
                "Combinations of name, autonomous system, country and cloud of external addresses, over all reloads.",
            )?,
            external_ranges: make.gauge(
                "external_ranges",
                "External address ranges with different attributes.",
            )?,
            external_other_ranges: make.gauge(
                "external_other_ranges",
                "External address ranges that are \"other\" because max_external was reached.",
            )?,
            external_broken_files: make.gauge(
                "external_broken_files",
                "Changed files of databases or cloud ranges that cannot be read; their previous content is in use.",
            )?,
            external_reloads: make.counter(
                "external_reloads_total",
                "Reloads of changed files of databases or cloud ranges.",
            )?,
            external_reload_failures: make.counter(
                "external_reload_failures_total",
                "Failed reloads of changed files of databases or cloud ranges.",
            )?,
            kubernetes_up: make.gauges(
                "kubernetes_up",
                "1 if the watch of this kind is established, 0 if it is down or forbidden.",
                &["kind"],
            )?,
            kubernetes_last_event: make.gauges(
                "kubernetes_last_event_timestamp_seconds",
                "Time of the last event of the watch of this kind.",
                &["kind"],
            )?,
            kubernetes_since: make.gauges(
                "kubernetes_up_changed_timestamp_seconds",
                "Time at which the watch of this kind was established or lost; 0 before the initial list.",
                &["kind"],
            )?,
            kubernetes_events: make.counters(
                "kubernetes_events_total",
                "Objects received by the watch of this kind.",
                &["kind"],
            )?,
            kubernetes_errors: make.counters(
                "kubernetes_errors_total",
                "Failures of the watch of this kind.",
                &["kind"],
            )?,
            kubernetes_malformed: make.counters(
                "kubernetes_malformed_total",
                "Objects of this kind with an annotation that cannot be read.",
                &["kind"],
            )?,
        })
    }

    pub(super) fn publish(
        &self,
        inventory: &IndexSizes,
        external: &ExternalCounts,
        kubernetes: &[(ResourceKind, WatchCounts)],
    ) {
        self.nodes.set(level(inventory.nodes));
        self.endpoints.set(level(inventory.endpoints));
        self.addresses.set(level(inventory.addresses));
        raise(&self.overflow, inventory.overflow);
        self.external_combinations.set(level(external.combinations));
        self.external_ranges.set(level(external.ranges));
        self.external_other_ranges.set(level(external.other_ranges));
        self.external_broken_files.set(level(external.broken_files));
        raise(&self.external_reloads, external.reloads);
        raise(&self.external_reload_failures, external.failures);
        for (kind, watch) in kubernetes {
            self.publish_watch(*kind, watch);
        }
    }

    fn publish_watch(&self, kind: ResourceKind, watch: &WatchCounts) {
        let kind = [<&str>::from(kind)];
        let seconds = |milliseconds: u64| level(milliseconds / 1000);
        self.kubernetes_up
            .with_label_values(&kind)
            .set(watch.up.into());
        self.kubernetes_last_event
            .with_label_values(&kind)
            .set(seconds(watch.last_event_milliseconds));
        self.kubernetes_since
            .with_label_values(&kind)
            .set(seconds(watch.since_milliseconds));
        raise(
            &self.kubernetes_events.with_label_values(&kind),
            watch.events,
        );
        raise(
            &self.kubernetes_errors.with_label_values(&kind),
            watch.errors,
        );
        raise(
            &self.kubernetes_malformed.with_label_values(&kind),
            watch.malformed,
        );
    }
}
