//! Self-metrics: `kipfix_probe_…`. Every series exists from the start.
//!
//! Each metering thread counts in plain integers ([`PipelineCounters`], [`CaptureCounters`]) and
//! publishes them about once per second. The exporting thread counts per Message. `ARCHITECTURE.md`
//! has the equations of each stage: input = output + losses.

mod capture;
mod http;
mod metering;
mod names;

use std::sync::{Arc, Mutex, MutexGuard};

use kipfix_export::counters::TargetFamilies;
use kipfix_service::admin::HttpMetrics;
use kipfix_service::metric_maker::{MetricMaker, level, raise};
use kipfix_service::metric_table::MetricTable;
use kipfix_service::registry::Registry;
use kipfix_service::sync::lock;
use prometheus::core::Collector as _;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use crate::capture::counters::CaptureCounters;
use crate::inspect::NameCounters;
use crate::pipeline::PipelineCounters;
use crate::translation::TranslationCounters;

/// All metrics of a probe.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Locked while counters that belong together change, and while a scrape reads them.
    consistency: Arc<Mutex<()>>,
    /// The latest counts of each metering thread.
    threads: Mutex<Vec<ThreadCounters>>,
    capture: MetricTable<CaptureCounters>,
    pipeline: MetricTable<PipelineCounters>,
    interface_drops: IntCounterVec,
    interfaces: IntGauge,
    queue_lost: IntCounter,
    targets: TargetFamilies,
    http: HttpMetrics,
}

/// The latest counts of one metering thread.
#[derive(Debug, Default)]
struct ThreadCounters {
    capture: CaptureCounters,
    pipeline: PipelineCounters,
    queue_lost: u64,
}

/// The number of frames that the kernel dropped, as last published.
#[derive(Clone, Debug)]
pub(crate) struct KernelDrops(IntCounterVec);

impl KernelDrops {
    pub(crate) fn get(&self) -> f64 {
        let families = self.0.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        series.map(|metric| metric.get_counter().get_value()).sum()
    }
}

/// Limits that are published next to the gauges they limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capacities {
    /// Conversations, dormant ones included.
    pub conversations: u32,
    /// Fragmented packets.
    pub fragments: usize,
    /// Records between metering and exporting.
    pub queue_records: usize,
    /// Interfaces captured at the same time.
    pub interfaces: usize,
    /// Resolved names.
    pub names: usize,
    /// Address translations.
    pub translations: usize,
    /// Connections whose HTTP messages are read.
    pub http_connections: usize,
}

impl Capacities {
    fn register(self, make: &MetricMaker) -> prometheus::Result<()> {
        make.capacity(
            "cache_capacity_conversations",
            "Maximum number of conversations in the flow cache, dormant ones included \
             (--max-flows).",
            self.conversations,
        )?;
        make.capacity(
            "fragments_capacity",
            "Maximum number of fragmented packets that are kept (--max-fragments).",
            self.fragments,
        )?;
        make.capacity(
            "queue_capacity_records",
            "Maximum number of records between metering and exporting (--queue).",
            self.queue_records,
        )?;
        make.capacity(
            "interfaces_capacity",
            "Maximum number of interfaces captured at the same time (--max-interfaces).",
            self.interfaces,
        )?;
        make.capacity(
            "translations_capacity",
            "Maximum number of address translations that are kept.",
            self.translations,
        )?;
        make.capacity(
            "names_capacity",
            "Maximum number of resolved names that are kept (--max-names).",
            self.names,
        )?;
        make.capacity(
            "metered_http_connections_capacity",
            "Maximum number of connections whose HTTP messages are read.",
            self.http_connections,
        )
    }
}

impl Metrics {
    /// Registers all families, with their series at 0, for a number of metering threads.
    ///
    /// # Errors
    /// Two families have the same name, which is a bug.
    pub fn new(capacities: Capacities, threads: usize) -> prometheus::Result<Self> {
        let make = MetricMaker::new("kipfix_probe");
        capacities.register(&make)?;
        let missed = make.counters(
            "translations_missed_total",
            "First packets lost before they were compared, or translations forgotten with \
             --conntrack, by reason: kernel_drop (the buffer was full), backlog (datagrams that \
             were left out because the probe did not keep up with the captured interfaces) or \
             table_full.",
            &["reason"],
        )?;
        let interfaces = make.gauge("interfaces", "Interfaces that are captured.")?;
        let drops = make.counters(
            "packets_dropped_total",
            "Frames that the kernel dropped because the capture buffer was full, by interface.",
            &["interface"],
        )?;
        let capture = MetricTable::new(&make, |table| {
            capture::declare(table);
            table.known_counters(drops.clone(), |counters, add| {
                for interface in &counters.interfaces {
                    add(&[&interface.name], interface.dropped);
                }
            });
            table.known_counter(missed.with_label_values(&["kernel_drop"]), |counters| {
                counters.first_packets.dropped
            });
            table.known_counter(missed.with_label_values(&["backlog"]), |counters| {
                counters.first_packets_left_out
            });
        })?;
        let pipeline = MetricTable::new(&make, |table| {
            metering::declare(table);
            names::declare(table);
            http::declare(table);
            table.known_counter(missed.with_label_values(&["table_full"]), |counters| {
                counters.translations.missed
            });
        })?;
        Ok(Self {
            threads: Mutex::new((0..threads).map(|_| ThreadCounters::default()).collect()),
            capture,
            pipeline,
            interface_drops: drops,
            interfaces,
            queue_lost: make.counter(
                "queue_records_lost_total",
                "Records lost, for every target, because the queue to the exporting thread was \
                 full.",
            )?,
            targets: TargetFamilies::register(&make)?,
            http: HttpMetrics::new(&make)?,
            registry: make.registry().clone(),
            consistency: Arc::default(),
        })
    }

    /// The registry of all families.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The lock that a scrape holds so that its sums add up.
    #[must_use]
    pub fn consistency(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.consistency)
    }

    /// Blocks scrapes while counters that belong together change.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        lock(&self.consistency)
    }

    /// Reads the number of frames that the kernel dropped.
    pub(crate) fn drops(&self) -> KernelDrops {
        KernelDrops(self.interface_drops.clone())
    }

    /// The series of the export targets.
    #[must_use]
    pub const fn targets(&self) -> &TargetFamilies {
        &self.targets
    }

    /// The metrics of the admin port.
    #[must_use]
    pub const fn http(&self) -> &HttpMetrics {
        &self.http
    }

    /// The gauge of the interfaces that are captured, for readiness.
    #[must_use]
    pub fn interfaces(&self) -> IntGauge {
        self.interfaces.clone()
    }

    /// Publishes the counts of the capture of a metering thread. First packets and DNS answers,
    /// which every thread captures, are those of the first thread; each has drops of its own. An
    /// interface counts as captured if all threads capture it.
    pub fn publish_capture(&self, thread: usize, counters: &CaptureCounters) {
        let mut threads = lock(&self.threads);
        if let Some(of_thread) = threads.get_mut(thread) {
            let capture = &mut of_thread.capture;
            capture.clone_from(counters);
            if thread > 0 {
                capture.first_packets.frames = 0;
                capture.dns_answers.frames = 0;
            }
        }
        let open = threads.iter().map(|of_thread| of_thread.capture.open);
        self.interfaces.set(level(open.min().unwrap_or_default()));
        let all: Vec<_> = threads.iter().map(|of_thread| &of_thread.capture).collect();
        self.capture.publish_sums(&all);
    }

    /// Publishes the counts of the pipeline of a metering thread, and the records that the queue
    /// after it lost. What every thread learns is counted by the first thread.
    pub fn publish(&self, thread: usize, counters: &PipelineCounters, queue_lost: u64) {
        let mut threads = lock(&self.threads);
        if let Some(of_thread) = threads.get_mut(thread) {
            let pipeline = &mut of_thread.pipeline;
            *pipeline = *counters;
            if thread > 0 {
                pipeline.names = NameCounters::default();
                (pipeline.names_kept, pipeline.names_octets) = (0, 0);
                pipeline.translations = TranslationCounters::default();
                pipeline.translations_kept = 0;
            }
            of_thread.queue_lost = queue_lost;
        }
        let all: Vec<_> = threads
            .iter()
            .map(|of_thread| &of_thread.pipeline)
            .collect();
        self.pipeline.publish_sums(&all);
        raise(
            &self.queue_lost,
            threads.iter().map(|of_thread| of_thread.queue_lost).sum(),
        );
    }
}
