//! Self-metrics `kipfix_collector_*`. Workers keep plain integers; a scrape copies them here.
//!
//! Identities, true in every scrape (live: of the sockets' drops as last read):
//!
//! * `savefile_frames_total` + Messages of IPFIX files = `savefile_datagrams_total` +
//!   Σ `savefile_not_used_total`
//! * `records_total` + `biflow_reverse_total` = `records_counted_total` +
//!   Σ `records_not_counted_total` + `records_waiting`
//! * `flow_log_lines_total` = `flow_log_written_total` + Σ `flow_log_dropped_total` + lines in the
//!   queue; without a live queue that overflows, `flow_log_lines_total` = `records_total` − lines of
//!   waiting records
//! * Σ over series of a family that has no filter = octets (packets, connections) of the counted
//!   records, scaled, unless series went idle

mod inventory;
mod relay;
mod wire;

pub use wire::{Exporters, Reception};

use flowproto::Address;
use flowproto::collector::Unusable;
use kipfix_export::counters::TargetFamilies;
use kipfix_service::registry::Registry;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

use crate::aggregate::SeriesCounts;
use crate::emit::FlowLogCounts;
use crate::emit::forward::ForwardCounts;
use crate::emit::replicate::ReplicaCounts;
use crate::inventory::IndexSizes;
use crate::inventory::cluster::{ResourceKind, WatchCounts};
use crate::inventory::external::ExternalCounts;
use crate::receive::savefile::{NotUsed, SavefileCounts};
use crate::settings::Settings;
use crate::worker::WorkerCounts;

/// Everything there is to tell at one moment.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Sum over the workers.
    pub worker: WorkerCounts,
    /// The series table.
    pub series: SeriesCounts,
    /// The flow log.
    pub flow_log: FlowLogCounts,
    /// Savefiles.
    pub savefile: SavefileCounts,
    /// Sockets: where, drops, octets of receive buffer.
    pub sockets: Vec<(String, u64, u64)>,
    /// Nodes that are observed now.
    pub observed_nodes: u64,
    /// How full the inventory is.
    pub inventory: IndexSizes,
    /// What is known of the outside.
    pub outside: ExternalCounts,
    /// How the watches of Kubernetes fare, if it is watched.
    pub kubernetes: Vec<(ResourceKind, WatchCounts)>,
    /// Exporters whose clock is off, and by how many milliseconds.
    pub skews: Vec<(Address, i64)>,
    /// Targets that datagrams are replicated to.
    pub replicas: Vec<ReplicaCounts>,
    /// Records that are forwarded.
    pub forward: ForwardCounts,
    /// Connections, and who was refused.
    pub reception: Reception,
    /// What is known of each exporter.
    pub exporters: Exporters,
}

/// The metrics and their registry.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    datagrams: IntCounter,
    received_bytes: IntCounter,
    kernel_drops: IntCounterVec,
    receive_buffer: IntGaugeVec,
    messages: [IntCounter; 4],
    records: IntCounter,
    options_records: IntCounter,
    templates_read: IntCounter,
    unusable: [IntCounter; 7],
    sets_held: IntCounter,
    sets_released: IntCounter,
    sets_waiting: IntGauge,
    sets_waiting_bytes: IntGauge,
    domains: IntGauge,
    templates: IntGauge,
    sequence_lost: IntCounter,
    sequence_gaps: IntCounter,
    wire: wire::Wire,
    biflow_reverse: IntCounter,
    counted: IntCounter,
    other_observer: IntCounter,
    intra_node: IntCounter,
    no_counters: IntCounter,
    other_direction: IntCounter,
    held: IntCounter,
    settled_early: IntCounter,
    waiting: IntGauge,
    foreign: IntCounter,
    ambiguous: IntCounter,
    unreported: IntCounter,
    before_inventory: IntCounter,
    observed_nodes: IntGauge,
    inventory: inventory::Inventory,
    clock_skew: IntGaugeVec,
    skewed_exporters: IntGauge,
    edges: IntGauge,
    full_drains: IntCounter,
    series: IntGauge,
    series_idle: IntCounter,
    series_other: IntCounter,
    flow_log_lines: IntCounter,
    flow_log_written: IntCounter,
    flow_log_queue_full: IntCounter,
    flow_log_write_failed: IntCounter,
    flow_log_queue: IntGauge,
    savefile_frames: IntCounter,
    savefile_datagrams: IntCounter,
    savefile_not_used: [IntCounter; 5],
    scrape_seconds: Histogram,
    replicated: relay::Replicated,
    forwarded: relay::Forwarded,
}

/// Exporters whose skew is shown, the worst ones.
const MOST_SKEWS: usize = 100;

/// Makes metrics and registers them.
struct Maker(Registry);

impl Maker {
    fn add<M: Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<M>,
    ) -> prometheus::Result<M> {
        let metric = made?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(format!("kipfix_collector_{name}"), help))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(format!("kipfix_collector_{name}"), help))
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntCounterVec> {
        let opts = Opts::new(format!("kipfix_collector_{name}"), help);
        self.add(IntCounterVec::new(opts, &[label]))
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> prometheus::Result<IntGaugeVec> {
        let opts = Opts::new(format!("kipfix_collector_{name}"), help);
        self.add(IntGaugeVec::new(opts, &[label]))
    }
}

impl Metrics {
    /// All of them at 0, and the bounds of `settings`.
    ///
    /// # Errors
    /// Two metrics of one name, which is a mistake in this file.
    pub fn new(settings: &Settings) -> prometheus::Result<Self> {
        let make = Maker(Registry::new());
        let messages = make.counters(
            "messages_total",
            "Messages with a usable header, by protocol version (10 is IPFIX).",
            "version",
        )?;
        let unusable = make.counters(
            "unusable_total",
            "Datagrams, Sets and templates that could not be used.",
            "reason",
        )?;
        let not_counted = make.counters(
            "records_not_counted_total",
            "Records (each direction of a biflow) left out of the families: another observer's counts, both ends are on one node, it carries neither octets nor packets, or flow_direction or node_flow_direction leaves it out.",
            "reason",
        )?;
        let dropped = make.counters(
            "flow_log_dropped_total",
            "Lines of the flow log that were lost.",
            "reason",
        )?;
        let not_used = make.counters(
            "savefile_not_used_total",
            "Frames of captures that gave no datagram of flow export.",
            "reason",
        )?;
        let limits = make.gauges(
            "limit",
            "Bounds from the settings; those of workers hold for each.",
            "of",
        )?;
        for (name, limit) in [
            ("domains", settings.max_domains),
            ("templates_per_domain", settings.max_templates),
            ("records_waiting", settings.held_records),
            ("edges", settings.max_edges),
            ("outside_combinations", settings.max_outside),
            ("series_per_family", settings.max_series),
            ("forward_queue_records", settings.forward_queue),
        ] {
            limits.with_label_values(&[name]).set(level(limit));
        }
        for (name, limit) in [
            ("sets_waiting_bytes", settings.template_wait_size),
            ("flow_log_queue_bytes", settings.flow_log_queue),
            ("replicate_queue_bytes", settings.replicate_queue),
            ("receive_buffer_bytes", settings.receive_buffer),
        ] {
            limits.with_label_values(&[name]).set(level(limit.bytes()));
        }
        let build = make.gauges("build_info", "Always 1; the version.", "version")?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let buckets = vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
        let scrape_seconds = HistogramOpts::new(
            "kipfix_collector_scrape_seconds",
            "Time to drain the workers and to write a scrape.",
        );
        Ok(Self {
            datagrams: make.counter("datagrams_total", "Datagrams received.")?,
            received_bytes: make.counter("received_bytes_total", "Octets of those datagrams.")?,
            kernel_drops: make.counters(
                "kernel_drops_total",
                "Datagrams that the kernel dropped because a socket's receive buffer was full.",
                "listen",
            )?,
            receive_buffer: make.gauges(
                "receive_buffer_bytes",
                "Receive buffer that the kernel granted to a socket.",
                "listen",
            )?,
            messages: ["5", "7", "9", "10"].map(|version| messages.with_label_values(&[version])),
            records: make.counter(
                "records_total",
                "Data Records decoded (options data excluded).",
            )?,
            options_records: make.counter("options_records_total", "Options Data Records read.")?,
            templates_read: make.counter(
                "templates_read_total",
                "Templates and Options Templates read, repeated ones too.",
            )?,
            unusable: Unusable::ALL.map(|reason| unusable.with_label_values(&[reason.as_str()])),
            sets_held: make.counter(
                "sets_held_total",
                "Data Sets that came before their template.",
            )?,
            sets_released: make.counter("sets_released_total", "Data Sets whose template came.")?,
            sets_waiting: make.gauge("sets_waiting", "Data Sets that wait for their template.")?,
            sets_waiting_bytes: make.gauge("sets_waiting_bytes", "Octets of those.")?,
            domains: make.gauge("domains", "Observation Domains known.")?,
            templates: make.gauge("templates", "Templates known.")?,
            sequence_lost: make.counter(
                "sequence_lost_total",
                "Data Records (Messages, where the exporter counts those) that never came, by the sequence numbers.",
            )?,
            sequence_gaps: make.counter(
                "sequence_gaps_total",
                "Gaps in sequence numbers that no late Message filled.",
            )?,
            wire: wire::Wire::new(&make, &limits, settings)?,
            biflow_reverse: make.counter(
                "biflow_reverse_total",
                "Opposite directions carried by biflow records, judged and counted by themselves.",
            )?,
            counted: make.counter(
                "records_counted_total",
                "Records (each direction of a biflow) counted in the families.",
            )?,
            other_observer: not_counted.with_label_values(&["other_observer"]),
            intra_node: not_counted.with_label_values(&["intra_node"]),
            no_counters: not_counted.with_label_values(&["no_counters"]),
            other_direction: not_counted.with_label_values(&["other_direction"]),
            held: make.counter(
                "records_held_total",
                "Records that had to wait until it was known who the authoritative observer is, or who \
                 holds their addresses; one may wait for both.",
            )?,
            settled_early: make.counter(
                "records_settled_early_total",
                "Waiting records decided early because their room was needed.",
            )?,
            waiting: make.gauge("records_waiting", "Records that wait for one of these now.")?,
            foreign: make.counter(
                "records_foreign_total",
                "Records of exporters that are no known node; they count always.",
            )?,
            ambiguous: make.counter(
                "records_ambiguous_total",
                "Records an address of which changed hands while their packets ran.",
            )?,
            unreported: make.counter(
                "records_unreported_total",
                "Records decided though an address in a pod CIDR was reported by no pod.",
            )?,
            before_inventory: make.counter(
                "records_before_inventory_total",
                "Records decided before Kubernetes had told of all nodes and pods.",
            )?,
            inventory: inventory::Inventory::new(&make)?,
            clock_skew: make.gauges(
                "exporter_clock_skew_milliseconds",
                "What is added to the exporter's time; only exporters that are off by a second and more, \
                 the worst 100.",
                "exporter",
            )?,
            skewed_exporters: make.gauge(
                "exporters_skewed",
                "Exporters whose clock is off by a second and more.",
            )?,
            observed_nodes: make.gauge(
                "observed_nodes",
                "Known nodes whose exporter was heard in the last 3 minutes.",
            )?,
            edges: make.gauge("edges", "Pairs of endpoints counted since the last drain.")?,
            full_drains: make.counter(
                "edge_table_full_total",
                "Drains because an edge table was full.",
            )?,
            series: make.gauge("series", "Series of all families.")?,
            series_idle: make.counter(
                "series_idle_total",
                "Series that went because they were idle.",
            )?,
            series_other: make.counter(
                "series_other_total",
                "Sums added under the label value other because their family was full.",
            )?,
            flow_log_lines: make
                .counter("flow_log_lines_total", "Lines handed to the flow log.")?,
            flow_log_written: make.counter("flow_log_written_total", "Lines written.")?,
            flow_log_queue_full: dropped.with_label_values(&["queue_full"]),
            flow_log_write_failed: dropped.with_label_values(&["write_failed"]),
            flow_log_queue: make.gauge(
                "flow_log_queue_buffers",
                "Buffers of up to 64 KiB that wait for the writer or are being written.",
            )?,
            savefile_frames: make.counter("savefile_frames_total", "Frames read from captures.")?,
            savefile_datagrams: make.counter(
                "savefile_datagrams_total",
                "Datagrams found in them, and Messages read from IPFIX files.",
            )?,
            savefile_not_used: NotUsed::ALL
                .map(|reason| not_used.with_label_values(&[reason.as_str()])),
            replicated: relay::Replicated::new(&make)?,
            forwarded: relay::Forwarded::new(&make)?,
            scrape_seconds: make.add(Histogram::with_opts(scrape_seconds.buckets(buckets)))?,
            registry: make.0,
        })
    }

    /// Where they are gathered from.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What becomes of records for each target that they are forwarded to.
    #[must_use]
    pub const fn targets(&self) -> &TargetFamilies {
        self.forwarded.targets()
    }

    /// A scrape took so long.
    pub fn scraped(&self, seconds: f64) {
        self.scrape_seconds.observe(seconds);
    }

    /// Brings them to what there is to tell now.
    pub fn publish(&self, totals: &Totals) {
        let Totals {
            worker,
            series,
            flow_log,
            savefile,
            sockets,
            observed_nodes,
            inventory,
            outside,
            kubernetes,
            skews,
            replicas,
            forward,
            reception,
            exporters,
        } = totals;
        let (decoding, records) = (&worker.decoding, &worker.records);
        self.replicated.publish(replicas);
        self.forwarded.publish(forward);
        raise(&self.datagrams, decoding.datagrams);
        raise(&self.received_bytes, decoding.octets);
        for (listen, drops, octets) in sockets {
            raise(&self.kernel_drops.with_label_values(&[listen]), *drops);
            self.receive_buffer
                .with_label_values(&[listen])
                .set(level(*octets));
        }
        raise_each(&self.messages, &decoding.messages);
        raise(&self.records, decoding.records);
        raise(&self.options_records, decoding.options_records);
        raise(&self.templates_read, decoding.templates);
        raise_each(&self.unusable, &decoding.unusable);
        raise(&self.sets_held, decoding.sets_held);
        raise(&self.sets_released, decoding.sets_released);
        self.sets_waiting.set(level(worker.occupancy.held_sets));
        self.sets_waiting_bytes
            .set(level(worker.occupancy.held_octets));
        self.domains.set(level(worker.occupancy.domains));
        self.templates.set(level(worker.occupancy.templates));
        raise(&self.sequence_lost, decoding.sequence.lost);
        raise(&self.sequence_gaps, decoding.sequence.gaps);
        self.wire
            .publish(decoding, &worker.occupancy, reception, exporters);
        raise(&self.biflow_reverse, records.reverse_directions);
        raise(&self.counted, records.counted);
        raise(&self.other_observer, records.other_observer);
        raise(&self.intra_node, records.intra_node);
        raise(&self.no_counters, records.no_counters);
        raise(&self.other_direction, records.other_direction);
        raise(&self.held, records.held);
        raise(&self.settled_early, records.settled_early);
        self.waiting.set(level(records.waiting));
        raise(&self.foreign, records.foreign);
        self.observed_nodes.set(level(*observed_nodes));
        raise(&self.ambiguous, records.ambiguous);
        raise(&self.unreported, records.unreported);
        raise(&self.before_inventory, records.before_inventory);
        self.inventory.publish(inventory, outside, kubernetes);
        self.publish_skews(skews);
        self.edges.set(level(records.edges));
        raise(&self.full_drains, records.full_drains);
        self.series.set(level(series.series));
        raise(&self.series_idle, series.idle);
        raise(&self.series_other, series.other);
        raise(&self.flow_log_lines, flow_log.lines);
        raise(&self.flow_log_written, flow_log.written);
        raise(&self.flow_log_queue_full, flow_log.queue_full);
        raise(&self.flow_log_write_failed, flow_log.write_failed);
        self.flow_log_queue.set(level(flow_log.queued_buffers));
        raise(&self.savefile_frames, savefile.frames);
        raise(&self.savefile_datagrams, savefile.datagrams);
        raise_each(&self.savefile_not_used, &savefile.not_used);
    }

    fn publish_skews(&self, skews: &[(Address, i64)]) {
        self.skewed_exporters.set(level(skews.len()));
        let mut worst: Vec<&(Address, i64)> = skews.iter().collect();
        worst.sort_by_key(|(_, skew)| std::cmp::Reverse(skew.unsigned_abs()));
        self.clock_skew.reset();
        for (exporter, skew) in worst.into_iter().take(MOST_SKEWS) {
            self.clock_skew
                .with_label_values(&[&exporter.to_string()])
                .set(*skew);
        }
    }
}

/// A gauge's value; what is beyond its range stays at the end of it.
fn level(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// Raises a counter to a total that was counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn raise_each<const N: usize>(counters: &[IntCounter; N], totals: &[u64; N]) {
    for (counter, total) in counters.iter().zip(totals) {
        raise(counter, *total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_there_at_zero() {
        let metrics = Metrics::new(&Settings::default()).unwrap();
        let families = metrics.registry().gather();
        let series = |name: &str| {
            let family = families
                .iter()
                .find(|f| f.name() == format!("kipfix_collector_{name}"));
            family.unwrap().get_metric().len()
        };
        assert_eq!(series("unusable_total"), Unusable::ALL.len());
        assert_eq!(series("records_not_counted_total"), 4);
        assert_eq!(series("flow_log_dropped_total"), 2);
        assert_eq!(series("savefile_not_used_total"), NotUsed::ALL.len());
        assert_eq!(series("messages_total"), 4);
    }

    #[test]
    fn publishing_the_same_totals_twice_changes_nothing() {
        let metrics = Metrics::new(&Settings::default()).unwrap();
        let mut totals = Totals::default();
        totals.worker.decoding.records = 7;
        totals.sockets = vec![("[::]:4739".into(), 3, 1024)];
        metrics.publish(&totals);
        metrics.publish(&totals);
        assert_eq!(metrics.records.get(), 7);
        assert_eq!(
            metrics.kernel_drops.with_label_values(&["[::]:4739"]).get(),
            3
        );
    }
}
