//! A scrape: drains the edges of every pipeline, updates the self-metrics, and writes all families.
//!
//! A pipeline is locked only to exchange its edge table and to copy its counts. The edges become
//! series, and all text is written, without that lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use flowproto::Address;
use kipfix_export::counters::to_u64;
use kipfix_service::sync::lock;

use super::SettingsStatus;
use crate::aggregate::{EdgeObserver, EdgeTable, Family, FamilyNeeds, SeriesTable};
use crate::clock::{Clock, Now};
use crate::emit::ReadCounts;
use crate::emit::flow_log::{FlowLogCounts, LineSettings};
use crate::emit::forward::ForwardCounts;
use crate::emit::replicate::ReplicaCounts;
use crate::history::History;
use crate::inventory::cluster::WatchHealth;
use crate::metrics::{ExporterReport, Exporters, Metrics, ReceiveCounts, SocketCounts, Totals};
use crate::outputs::{OutputCounts, Outputs};
use crate::pipeline::{Observers, Pipeline, PipelineCounts, PipelineSettings};
use crate::receive::connections::Connections;
use crate::receive::savefile::SavefileCounts;
use crate::receive::senders::Senders;
use crate::receive::tcp::StreamListener;
use crate::receive::udp::UdpReceiver;
use crate::recent::RecentRecords;
use crate::snapshots::SnapshotStore;

/// Everything that a scrape reads.
pub struct Scrape {
    /// Self-metrics.
    pub metrics: Metrics,
    /// Snapshots of the inventory.
    pub store: Arc<SnapshotStore>,
    /// Observers of the nodes.
    pub observers: Arc<Observers>,
    /// The series.
    pub series: Arc<SeriesTable>,
    /// The traffic of the last hours, if it is kept.
    pub history: Option<Arc<History>>,
    /// Recent records, if they are kept.
    pub recent: Option<Arc<RecentRecords>>,
    /// Settings of the pipelines.
    pub pipeline_settings: PipelineSettings,
    /// The pipelines.
    pub pipelines: Vec<Arc<Mutex<Pipeline<Outputs>>>>,
    /// Sockets of datagrams.
    pub sockets: Vec<Arc<UdpReceiver>>,
    /// Sockets of connections.
    pub listeners: Vec<Arc<StreamListener>>,
    /// The connections.
    pub connections: Arc<Connections>,
    /// The exporters that may send.
    pub senders: Arc<Senders>,
    /// Maximum number of exporters with series of their own, for each pipeline.
    pub max_exporter_series: usize,
    /// Counts of the flow log, if there is one.
    pub flow_log: Option<ReadCounts<FlowLogCounts>>,
    /// Counts of replicated datagrams, if there are targets.
    pub replicas: Option<ReadCounts<Vec<ReplicaCounts>>>,
    /// Counts of forwarded records, if there are targets.
    pub forward: Option<ReadCounts<ForwardCounts>>,
    /// Counts of savefiles.
    pub savefile: Arc<Mutex<SavefileCounts>>,
    /// The time of series.
    pub clock: Clock,
    /// The next empty edge table. One drain at a time.
    pub spare: Mutex<EdgeTable>,
    /// Health of the Kubernetes watches, if there are any.
    pub kubernetes: OnceLock<Arc<WatchHealth>>,
    /// The settings file.
    pub settings: SettingsStatus,
    /// The counts of the last drain.
    pub last_totals: Mutex<Arc<Totals>>,
}

impl std::fmt::Debug for Scrape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrape")
            .field("pipelines", &self.pipelines.len())
            .finish_non_exhaustive()
    }
}

/// What is read of all pipelines.
#[derive(Default)]
struct Drained {
    pipeline: PipelineCounts,
    outputs: OutputCounts,
    skews: Vec<(Address, i64)>,
    reports: Vec<ExporterReport>,
    exporters: Exporters,
}

impl Drained {
    /// Copies what a pipeline knows of its exporters. Those beyond `max_series` are only counted.
    fn add_exporters(&mut self, pipeline: &Pipeline<Outputs>, max_series: usize) {
        let policies: HashMap<_, _> = pipeline
            .exporter_policies()
            .map(|(origin, policy)| {
                let domain = origin.observation_domain_id;
                ((origin.source_address, domain, origin.version), policy)
            })
            .collect();
        let mut domains = pipeline.domains();
        for domain in domains.by_ref().take(max_series) {
            let key = (
                domain.exporter,
                domain.observation_domain_id,
                domain.version,
            );
            let policy = policies.get(&key).copied().unwrap_or_default();
            let report = ExporterReport::new(&domain, policy.records);
            self.reports.push(report);
        }
        self.exporters.add_without_series(to_u64(domains.count()));
        for (exporter, reason, count) in pipeline.unusable_by_exporter() {
            self.exporters.add_unusable(exporter, reason, count);
        }
    }
}

impl Scrape {
    /// Turns what the pipelines counted into series. Returns all counts.
    pub fn drain(&self) -> Arc<Totals> {
        let now = self.clock.now();
        // Connections are read first, so that the Messages of a closed one are in the counts of its
        // pipeline.
        let receive = self.receive_counts();
        let drained = self.drain_pipelines(now);
        self.series.expire(now);
        let mut exporters = drained.exporters;
        for report in drained.reports {
            exporters.add(report);
        }
        exporters.note_activity(&lock(&self.last_totals).exporters, now.wall_milliseconds);
        let totals = Arc::new(Totals {
            pipeline: drained.pipeline,
            outputs: drained.outputs,
            series: self.series.counts(),
            history: self
                .history
                .as_ref()
                .map(|h| h.counts())
                .unwrap_or_default(),
            recent: self
                .recent
                .as_ref()
                .map(|recent| recent.counts())
                .unwrap_or_default(),
            flow_log: read(self.flow_log.as_ref()),
            forward: read(self.forward.as_ref()),
            replicas: read(self.replicas.as_ref()),
            savefile: *lock(&self.savefile),
            sockets: self.socket_counts(),
            inventory: self.store.load().index.sizes(),
            external: self.store.external_counts(),
            kubernetes: self
                .kubernetes
                .get()
                .map(|health| health.counts().collect())
                .unwrap_or_default(),
            skews: drained.skews,
            receive,
            exporters,
            settings: self.settings.counts(),
            observed_nodes: to_u64(self.observers.observed_nodes(now.monotonic_milliseconds)),
        });
        *lock(&self.last_totals) = Arc::clone(&totals);
        totals
    }

    /// Replaces the metric families. Those that stay keep their series.
    ///
    /// Edges are drained before and after, so that those of each table have what the families need
    /// at its drain.
    pub fn replace_families(&self, families: &[Family]) {
        let needs = FamilyNeeds::of(families);
        self.set_needs(self.series.needs().and(needs));
        self.drain();
        self.series.replace(families);
        self.set_needs(needs);
        self.drain();
    }

    fn set_needs(&self, needs: FamilyNeeds) {
        for pipeline in &self.pipelines {
            lock(pipeline).sinks_mut().edges.set_needs(needs);
        }
    }

    /// Replaces the settings of the flow log's lines.
    pub fn replace_lines(&self, lines: &Arc<LineSettings>) {
        for pipeline in &self.pipelines {
            if let Some(flow_log) = &mut lock(pipeline).sinks_mut().flow_log {
                flow_log.set_lines(Arc::clone(lines));
            }
        }
    }

    fn drain_pipelines(&self, now: Now) -> Drained {
        let mut drained = Drained {
            exporters: Exporters::new(self.max_exporter_series),
            ..Drained::default()
        };
        let edges = &mut *lock(&self.spare);
        let mut open = Vec::new();
        let history = self.history.as_ref().map(|history| {
            let time = history.time_of_drain(now.wall_milliseconds);
            (history, time)
        });
        for pipeline in &self.pipelines {
            let mut pipeline = lock(pipeline);
            let outputs = pipeline.sinks_mut().drain(now, edges, &mut open);
            let counts = pipeline.counts();
            drained.skews.extend(pipeline.skewed_exporters());
            drained.add_exporters(&pipeline, self.max_exporter_series);
            drop(pipeline);
            let snapshots = self.store.load();
            self.series.merge(&snapshots, edges, now);
            if let Some((history, time)) = history {
                history.observe(&snapshots, edges, time);
            }
            edges.clear();
            drained.outputs.add(&outputs);
            drained.pipeline.records.add(&counts.records);
            drained.pipeline.decoding.add(&counts.decoding);
            drained.pipeline.occupancy.add(&counts.occupancy);
        }
        let snapshots = self.store.load();
        self.series.replace_open_connections(&snapshots, &open, now);
        if let Some((history, _)) = history {
            history.end_drain(now.wall_milliseconds);
        }
        drained
    }

    fn socket_counts(&self) -> Vec<SocketCounts> {
        let sockets = self.sockets.iter();
        sockets
            .map(|socket| {
                socket.read_drops();
                SocketCounts {
                    listen: socket.name().to_owned(),
                    kernel_drops: socket.drops(),
                    receive_buffer: to_u64(socket.receive_buffer_octets()),
                }
            })
            .collect()
    }

    fn receive_counts(&self) -> ReceiveCounts {
        let (mut certificates_loaded, mut certificates_failed) = (0, 0);
        let mut counted: Vec<*const _> = Vec::new();
        for tls in self.listeners.iter().filter_map(|l| l.tls()) {
            // The listeners of several workers share their certificates.
            if !counted.contains(&Arc::as_ptr(tls)) {
                counted.push(Arc::as_ptr(tls));
                let (loaded, failed) = tls.certificates().loads();
                certificates_loaded += loaded;
                certificates_failed += failed;
            }
        }
        ReceiveCounts {
            connections: self.connections.counts(),
            refused_datagrams: self.senders.refused_datagrams(),
            certificates_loaded,
            certificates_failed,
        }
    }
}

fn read<T: Default>(counts: Option<&ReadCounts<T>>) -> T {
    counts.map(|counts| counts()).unwrap_or_default()
}
