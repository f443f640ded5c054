//! Self-metrics `kipfix_collector_*`. Pipelines and queues keep plain integers; a scrape copies
//! them here.
//!
//! `ARCHITECTURE.md` has the equations of each stage, which are true in every scrape: input =
//! output + losses. Live, the drops of sockets are those that were last read.

mod api;
mod decoder;
mod emit;
mod exporters;
mod history;
mod inventory;
mod receive;
mod records;
mod settings;

pub use api::ApiMetrics;
pub use exporters::{ExporterReport, ExporterSummary, Exporters};
use kipfix_service::admin::HttpMetrics;
use kipfix_service::metric_maker::{MetricMaker, level};
use kipfix_service::metric_table::MetricTable;
pub use receive::{ReceiveCounts, SocketCounts};
pub use settings::SettingsCounts;

use flowproto::Address;
use kipfix_export::counters::TargetFamilies;
use kipfix_service::registry::Registry;
use prometheus::{Histogram, HistogramOpts, IntGaugeVec};

use crate::aggregate::SeriesCounts;
use crate::emit::flow_log::FlowLogCounts;
use crate::emit::forward::ForwardCounts;
use crate::emit::replicate::ReplicaCounts;
use crate::history::HistoryCounts;
use crate::inventory::IndexSizes;
use crate::inventory::cluster::{ResourceKind, WatchCounts};
use crate::inventory::external::ExternalCounts;
use crate::outputs::OutputCounts;
use crate::pipeline::PipelineCounts;
use crate::receive::savefile::SavefileCounts;
use crate::recent::RecentCounts;

/// All counts at one moment.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Sum over the pipelines.
    pub pipeline: PipelineCounts,
    /// Sum over the outputs of the pipelines.
    pub outputs: OutputCounts,
    /// The series table.
    pub series: SeriesCounts,
    /// The history.
    pub history: HistoryCounts,
    /// Recent records.
    pub recent: RecentCounts,
    /// The flow log.
    pub flow_log: FlowLogCounts,
    /// Savefiles.
    pub savefile: SavefileCounts,
    /// UDP sockets.
    pub sockets: Vec<SocketCounts>,
    /// Nodes that are observed.
    pub observed_nodes: u64,
    /// Occupancy of the inventory.
    pub inventory: IndexSizes,
    /// Occupancy of the external address enrichment.
    pub external: ExternalCounts,
    /// Health of the Kubernetes watches, if there are any.
    pub kubernetes: Vec<(ResourceKind, WatchCounts)>,
    /// Exporters whose clock is off: source address, and offset in milliseconds.
    pub skews: Vec<(Address, i64)>,
    /// Targets of replicated datagrams.
    pub replicas: Vec<ReplicaCounts>,
    /// Forwarded records.
    pub forward: ForwardCounts,
    /// Connections and refused datagrams.
    pub receive: ReceiveCounts,
    /// The exporters.
    pub exporters: Exporters,
    /// The settings.
    pub settings: SettingsCounts,
}

/// The metrics and their registry.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    totals: MetricTable<Totals>,
    exporters: exporters::ExporterMetrics,
    targets: TargetFamilies,
    api: ApiMetrics,
    http: HttpMetrics,
    scrape_duration: Histogram,
    limit: IntGaugeVec,
}

impl Metrics {
    /// Creates all metrics at 0. `limits` are the bounds of the settings, by resource.
    ///
    /// # Errors
    /// Two metrics have the same name, which is a mistake in this module.
    pub fn new(limits: &[(&str, u64)]) -> prometheus::Result<Self> {
        let make = MetricMaker::new("kipfix_collector");
        let limit = make.gauges(
            "limit",
            "Bounds from the settings; some hold for each worker.",
            &["resource"],
        )?;
        let build = make.gauges("build_info", "Always 1; the version.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let buckets = vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];
        let scrape_duration = HistogramOpts::new(
            "kipfix_collector_scrape_duration_seconds",
            "Time to drain the pipelines and to write a scrape.",
        );
        Ok(Self {
            totals: MetricTable::new(&make, |table| {
                receive::declare(table);
                decoder::declare(table);
                records::declare(table);
                inventory::declare(table);
                history::declare(table);
                emit::declare(table);
                settings::declare(table);
            })?,
            exporters: exporters::ExporterMetrics::new(&make)?,
            targets: TargetFamilies::register(&make)?,
            api: ApiMetrics::new(&make)?,
            http: HttpMetrics::new(&make)?,
            scrape_duration: make.add(Histogram::with_opts(scrape_duration.buckets(buckets)))?,
            limit,
            registry: make.registry().clone(),
        })
        .inspect(|metrics| metrics.set_limits(limits))
    }

    /// Shows these bounds.
    pub fn set_limits(&self, limits: &[(&str, u64)]) {
        for (resource, value) in limits {
            self.limit.with_label_values(&[resource]).set(level(*value));
        }
    }

    /// The registry.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The families of the targets to which records are forwarded.
    #[must_use]
    pub const fn targets(&self) -> &TargetFamilies {
        &self.targets
    }

    /// The metrics of the HTTP port.
    #[must_use]
    pub const fn http(&self) -> &HttpMetrics {
        &self.http
    }

    /// The counters of access to the API.
    #[must_use]
    pub const fn api(&self) -> &ApiMetrics {
        &self.api
    }

    /// Records the duration of a scrape.
    pub fn on_scrape(&self, seconds: f64) {
        self.scrape_duration.observe(seconds);
    }

    /// Updates all metrics.
    pub fn publish(&self, totals: &Totals) {
        self.totals.publish(totals);
        self.exporters.publish(&totals.exporters);
    }
}

#[cfg(test)]
mod tests {
    use flowproto::collector::{Unusable, Version};

    use super::*;
    use crate::pipeline::Reason;
    use crate::receive::savefile::SkipReason;
    use enum_map::Enum;

    fn value(metrics: &Metrics, name: &str) -> f64 {
        let families = metrics.registry().gather();
        let name = format!("kipfix_collector_{name}");
        let family = families.iter().find(|f| f.name() == name).unwrap();
        family.get_metric()[0].get_counter().get_value()
    }

    #[test]
    fn every_reason_is_there_at_zero() {
        let metrics = Metrics::new(&[("edges", 7)]).unwrap();
        let families = metrics.registry().gather();
        let series = |name: &str| {
            let family = families
                .iter()
                .find(|f| f.name() == format!("kipfix_collector_{name}"));
            family.unwrap().get_metric().len()
        };
        assert_eq!(series("unusable_total"), Unusable::LENGTH);
        assert_eq!(series("records_not_counted_total"), Reason::LENGTH);
        assert_eq!(series("flow_log_dropped_total"), 2);
        assert_eq!(series("savefile_skipped_total"), SkipReason::LENGTH);
        assert_eq!(series("messages_total"), Version::LENGTH);
        assert_eq!(series("limit"), 1);
    }

    #[test]
    fn the_same_totals_published_twice_change_nothing() {
        let metrics = Metrics::new(&[]).unwrap();
        let mut totals = Totals::default();
        totals.pipeline.decoding.records = 7;
        totals.sockets = vec![SocketCounts {
            listen: "[::]:4739".into(),
            kernel_drops: 3,
            receive_buffer: 1024,
        }];
        metrics.publish(&totals);
        metrics.publish(&totals);
        assert_eq!(value(&metrics, "records_total"), 7.0);
        assert_eq!(value(&metrics, "kernel_drops_total"), 3.0);
    }

    #[test]
    fn a_counter_of_an_exporter_never_falls() {
        let metrics = Metrics::new(&[]).unwrap();
        let publish = |records| {
            let mut totals = Totals {
                exporters: Exporters::new(10),
                ..Totals::default()
            };
            totals.exporters.add(exporters::test_report(records));
            metrics.publish(&totals);
            value(&metrics, "exporter_records_total")
        };
        assert_eq!(publish(5), 5.0);
        assert_eq!(publish(3), 5.0);
        assert_eq!(publish(8), 8.0);
    }
}
