//! Self-metrics of the inventory: endpoints, external addresses, and the Kubernetes watches.

use kipfix_service::metric_table::Declarations;

use super::Totals;
use crate::inventory::cluster::WatchCounts;

pub(super) fn declare(table: &mut Declarations<'_, Totals>) {
    table.gauge("inventory_nodes", "Nodes in the inventory.", |t| {
        t.inventory.nodes
    });
    table.gauge(
        "inventory_endpoints",
        "Nodes, pods, Services and prefixes in the inventory, including deleted ones that are retained.",
        |t| t.inventory.endpoints,
    );
    table.gauge(
        "inventory_addresses",
        "Addresses and ports that are or were assigned to one of these.",
        |t| t.inventory.addresses,
    );
    table.counter(
        "inventory_overflow_total",
        "Nodes, endpoints and addresses left out because max_nodes or max_endpoints was reached.",
        |t| t.inventory.overflow,
    );
    external(table);
    watches(table);
}

fn external(table: &mut Declarations<'_, Totals>) {
    table.gauge(
        "external_combinations",
        "Combinations of name, autonomous system, country and cloud of external addresses, over all reloads.",
        |t| t.external.combinations,
    );
    table.gauge(
        "external_ranges",
        "External address ranges with different attributes.",
        |t| t.external.ranges,
    );
    table.gauge(
        "external_other_ranges",
        "External address ranges that are \"other\" because max_external was reached.",
        |t| t.external.other_ranges,
    );
    table.gauge(
        "external_broken_files",
        "Changed files of databases or cloud ranges that cannot be read; their previous content is in use.",
        |t| t.external.broken_files,
    );
    table.counter(
        "external_reloads_total",
        "Reloads of changed files of databases or cloud ranges.",
        |t| t.external.reloads,
    );
    table.counter(
        "external_reload_failures_total",
        "Failed reloads of changed files of databases or cloud ranges.",
        |t| t.external.failures,
    );
}

fn watches(table: &mut Declarations<'_, Totals>) {
    table.gauges(
        "kubernetes_up",
        "1 if the watch of this kind is established, 0 if it is down or forbidden.",
        &["kind"],
        |t, add| of_each(t, add, |watch| watch.up.into()),
    );
    table.gauges(
        "kubernetes_last_event_timestamp_seconds",
        "Time of the last event of the watch of this kind.",
        &["kind"],
        |t, add| of_each(t, add, |watch| watch.last_event_milliseconds / 1000),
    );
    table.gauges(
        "kubernetes_up_changed_timestamp_seconds",
        "Time at which the watch of this kind was established or lost; 0 before the initial list.",
        &["kind"],
        |t, add| of_each(t, add, |watch| watch.since_milliseconds / 1000),
    );
    table.counters(
        "kubernetes_events_total",
        "Objects received by the watch of this kind.",
        &["kind"],
        |t, add| of_each(t, add, |watch| watch.events),
    );
    table.counters(
        "kubernetes_errors_total",
        "Failures of the watch of this kind.",
        &["kind"],
        |t, add| of_each(t, add, |watch| watch.errors),
    );
    table.counters(
        "kubernetes_malformed_total",
        "Objects of this kind with an annotation that cannot be read.",
        &["kind"],
        |t, add| of_each(t, add, |watch| watch.malformed),
    );
}

/// The series of all watches.
fn of_each(totals: &Totals, add: &mut dyn FnMut(&[&str], u64), read: fn(&WatchCounts) -> u64) {
    for (kind, watch) in &totals.kubernetes {
        add(&[kind.into()], read(watch));
    }
}
