//! Self-metrics of who is who: the inventory, the outside, and the watches of Kubernetes.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Maker, level, raise};
use crate::inventory::IndexSizes;
use crate::inventory::cluster::{ResourceKind, WatchCounts};
use crate::inventory::external::ExternalCounts;

#[derive(Debug)]
pub(super) struct Inventory {
    nodes: IntGauge,
    endpoints: IntGauge,
    addresses: IntGauge,
    overflow: IntCounter,
    outside_combinations: IntGauge,
    outside_ranges: IntGauge,
    outside_other_ranges: IntGauge,
    outside_broken_files: IntGauge,
    outside_reloads: IntCounter,
    outside_reload_failures: IntCounter,
    kubernetes_up: IntGaugeVec,
    kubernetes_last_event: IntGaugeVec,
    kubernetes_since: IntGaugeVec,
    kubernetes_events: IntCounterVec,
    kubernetes_errors: IntCounterVec,
    kubernetes_malformed: IntCounterVec,
}

impl Inventory {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            nodes: make.gauge("inventory_nodes", "Nodes known.")?,
            endpoints: make.gauge(
                "inventory_endpoints",
                "Nodes, pods, services and prefixes known, those remembered after their end too.",
            )?,
            addresses: make.gauge(
                "inventory_addresses",
                "Addresses and ports that one of these holds or held.",
            )?,
            overflow: make.counter(
                "inventory_overflow_total",
                "Nodes, endpoints and addresses that found no room in max_nodes or max_endpoints.",
            )?,
            outside_combinations: make.gauge(
                "outside_combinations",
                "Combinations of name, system, country and cloud known of addresses outside, over all reloads.",
            )?,
            outside_ranges: make.gauge(
                "outside_ranges",
                "Address ranges outside that are told apart.",
            )?,
            outside_other_ranges: make.gauge(
                "outside_other_ranges",
                "Address ranges that are \"other\", since there were too many combinations.",
            )?,
            outside_broken_files: make.gauge(
                "outside_broken_files",
                "Files of databases or cloud ranges that changed and cannot be used; what they said before is.",
            )?,
            outside_reloads: make.counter(
                "outside_reloads_total",
                "Files of databases or cloud ranges read again after a change.",
            )?,
            outside_reload_failures: make.counter(
                "outside_reload_failures_total",
                "Files of databases or cloud ranges that changed and could not be used.",
            )?,
            kubernetes_up: make.gauges(
                "kubernetes_up",
                "1 where the watch of this kind runs, 0 where it is away or forbidden.",
                "kind",
            )?,
            kubernetes_last_event: make.gauges(
                "kubernetes_last_event_timestamp_seconds",
                "When the watch of this kind last told something.",
                "kind",
            )?,
            kubernetes_since: make.gauges(
                "kubernetes_up_changed_timestamp_seconds",
                "When the watch of this kind went up or down; 0 before the first word.",
                "kind",
            )?,
            kubernetes_events: make.counters(
                "kubernetes_events_total",
                "Objects that the watch of this kind told of.",
                "kind",
            )?,
            kubernetes_errors: make.counters(
                "kubernetes_errors_total",
                "Failures of the watch of this kind.",
                "kind",
            )?,
            kubernetes_malformed: make.counters(
                "kubernetes_malformed_total",
                "Objects of this kind with an annotation that cannot be read.",
                "kind",
            )?,
        })
    }

    pub(super) fn publish(
        &self,
        inventory: &IndexSizes,
        outside: &ExternalCounts,
        kubernetes: &[(ResourceKind, WatchCounts)],
    ) {
        self.nodes.set(level(inventory.nodes));
        self.endpoints.set(level(inventory.endpoints));
        self.addresses.set(level(inventory.addresses));
        raise(&self.overflow, inventory.overflow);
        self.outside_combinations.set(level(outside.combinations));
        self.outside_ranges.set(level(outside.ranges));
        self.outside_other_ranges.set(level(outside.other_ranges));
        self.outside_broken_files.set(level(outside.broken_files));
        raise(&self.outside_reloads, outside.reloads);
        raise(&self.outside_reload_failures, outside.failures);
        for (kind, watch) in kubernetes {
            self.publish_watch(*kind, watch);
        }
    }

    fn publish_watch(&self, kind: ResourceKind, watch: &WatchCounts) {
        let kind = [kind.as_str()];
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
