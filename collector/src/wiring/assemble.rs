//! Assembles the stages: sinks, pipelines, and the scrape that reads all of them.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, anyhow};
use kipfix_service::exit::Failure;
use kipfix_service::signals::{Hangups, Stop};

use crate::aggregate::{EdgeObserver, EdgeSink, EdgeTable, HostWildcards, SeriesTable};
use crate::clock::{self, Clock};
use crate::emit::flow_log::FlowLog;
use crate::emit::forward::Forwarder;
use crate::emit::replicate::Replicator;
use crate::emit::{ListenAddresses, OverflowPolicy};
use crate::history::History;
use crate::inventory::IndexSnapshot;
use crate::inventory::external::PublishedExternal;
use crate::metrics::Metrics;
use crate::outputs::Outputs;
use crate::pipeline::enrich::TunnelNetworks;
use crate::pipeline::{ExporterPolicies, Pipeline, PipelineContext};
use crate::receive::connections::Connections;
use crate::receive::savefile::SavefileCounts;
use crate::receive::senders::Senders;
use crate::receive::sockets::Sockets;
use crate::receive::steering::Steering;
use crate::recent::{RecentRecords, RecentSink};
use crate::serve::{Scrape, SettingsStatus};
use crate::settings::Settings;
use crate::snapshots::SnapshotStore;

/// The signals of the process.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    pub(super) stop: Stop,
    pub(super) hangups: Hangups,
}

/// The threads behind the sinks.
#[derive(Debug, Default)]
pub(super) struct Emitters {
    pub(super) flow_log: Option<FlowLog>,
    pub(super) replicator: Option<Replicator>,
    pub(super) forwarder: Option<Forwarder>,
}

impl Emitters {
    /// The outputs of one pipeline.
    fn outputs(&self, edges: EdgeSink, recent: Option<&Arc<RecentRecords>>) -> Outputs {
        Outputs {
            edges,
            flow_log: self.flow_log.as_ref().map(FlowLog::sink),
            forward: self.forwarder.as_ref().map(Forwarder::sink),
            replicas: self.replicator.as_ref().map(Replicator::sink),
            recent: recent.cloned().map(RecentSink::new),
        }
    }
}

/// The assembled collector.
pub(super) struct Collector {
    pub(super) scrape: Arc<Scrape>,
    pub(super) emitters: Emitters,
    pub(super) steering: Option<Arc<Steering>>,
    /// Time of the last packet of a savefile.
    pub(super) packet_clock: Arc<AtomicU64>,
}

impl Collector {
    pub(super) fn new(
        settings: &Settings,
        policies: ExporterPolicies,
        index: IndexSnapshot,
        external: Arc<PublishedExternal>,
        sockets: Sockets,
        signals: &Signals,
    ) -> Result<Self, Failure> {
        let metrics = Metrics::new(&settings.limits()).context("cannot create self-metrics")?;
        let store = Arc::new(SnapshotStore::new(
            index,
            external,
            &settings.attribution.cluster_name,
        ));
        let context = PipelineContext {
            policies: Arc::new(policies),
            tunnels: Arc::new(TunnelNetworks::new(&settings.attribution.tunnel_cidr)),
            ..PipelineContext::new(store, settings.observer_timeouts())
        };
        let series = Arc::new(SeriesTable::new(&settings.families()?, settings.series()));
        let emitters = start_emitters(settings, &sockets, &metrics, &context.store, signals)?;
        let senders = Arc::new(Senders::new(&settings.input.allow_exporters));
        let is_live = sockets.is_open();
        let count = pipeline_count(&sockets, settings.input.workers);
        let Sockets {
            datagrams,
            connections,
            steering,
        } = sockets;
        // Offline, the process ends with its files: no client could read history and recent
        // records.
        let history = settings.ring().filter(|_| is_live);
        let history = history.map(|ring| Arc::new(History::new(ring, clock::wall_milliseconds())));
        let recent = settings.recent_records_octets().filter(|_| is_live);
        let recent = recent.map(|octets| Arc::new(RecentRecords::new(octets)));
        let started = is_live.then(|| clock::now().monotonic_milliseconds);
        let pipeline_settings = settings.pipeline(started);
        let wildcards = settings.metrics.host_wildcard.iter().cloned();
        let wildcards: Arc<HostWildcards> = Arc::new(wildcards.collect());
        let pipeline = || {
            let observer = history.clone().map(|h| -> Arc<dyn EdgeObserver> { h });
            let edges = EdgeSink::new(settings.metrics.max_edges, Arc::clone(&series))
                .with_observer(observer)
                .with_open_connections(settings.open_connections())
                .with_host_wildcards(Arc::clone(&wildcards));
            let outputs = emitters.outputs(edges, recent.as_ref());
            let pipeline = Pipeline::new(pipeline_settings, context.clone(), outputs);
            Arc::new(Mutex::new(pipeline))
        };
        let packet_clock = Arc::new(AtomicU64::new(0));
        let scrape = Scrape {
            metrics,
            pipelines: (0..count).map(|_| pipeline()).collect(),
            store: context.store,
            observers: context.observers,
            series,
            history,
            recent,
            sockets: datagrams,
            listeners: connections,
            connections: Arc::new(Connections::new(
                settings.connections(),
                Arc::clone(&senders),
            )),
            senders,
            pipeline_settings,
            max_exporter_series: settings.metrics.max_exporter_series,
            flow_log: emitters.flow_log.as_ref().map(FlowLog::counts),
            forward: emitters.forwarder.as_ref().map(Forwarder::counts),
            replicas: emitters.replicator.as_ref().map(Replicator::counts),
            savefile: Arc::new(Mutex::new(SavefileCounts::default())),
            clock: if is_live {
                Clock::Host
            } else {
                Clock::Packets(Arc::clone(&packet_clock))
            },
            spare: Mutex::new(EdgeTable::new(settings.metrics.max_edges)),
            kubernetes: OnceLock::new(),
            // Offline, the same files give the same metrics.
            settings: SettingsStatus::new(match is_live {
                true => clock::wall_milliseconds() / 1000,
                false => 0,
            }),
            last_totals: Mutex::default(),
        };
        Ok(Self {
            scrape: Arc::new(scrape),
            emitters,
            steering,
            packet_clock,
        })
    }
}

/// Pipelines for datagrams, then those for connections. Offline there is one.
fn pipeline_count(sockets: &Sockets, workers: usize) -> usize {
    let kinds = [sockets.datagrams.is_empty(), sockets.connections.is_empty()];
    let count = kinds.into_iter().filter(|none| !none).count() * workers;
    count.max(1)
}

fn listen_addresses(sockets: &Sockets) -> ListenAddresses {
    let datagrams = sockets.datagrams.iter();
    let connections = sockets.connections.iter();
    ListenAddresses {
        datagrams: datagrams.map(|socket| socket.local_address()).collect(),
        connections: connections.map(|socket| socket.local_address()).collect(),
    }
}

fn start_emitters(
    settings: &Settings,
    sockets: &Sockets,
    metrics: &Metrics,
    store: &Arc<SnapshotStore>,
    signals: &Signals,
) -> Result<Emitters, Failure> {
    let stop = &signals.stop;
    let listening = listen_addresses(sockets);
    let policy = if sockets.is_open() {
        OverflowPolicy::Drop
    } else {
        OverflowPolicy::Block
    };
    let mut emitters = Emitters::default();
    if let Some(log) = settings.flow_log(policy) {
        let target = log.target.clone();
        let log = FlowLog::open(log, signals.hangups.clone(), stop)
            .map_err(|error| anyhow!("flow_log: cannot open {target}: {error}"))?;
        emitters.flow_log = Some(log);
        super::warn_of_unknown_fields(settings);
    }
    if !settings.output.replicate.is_empty() {
        let queue = settings.output.replicate_queue.bytes();
        let own = &listening.datagrams;
        let replicator = Replicator::start(&settings.output.replicate, queue, policy, own, stop)?;
        emitters.replicator = Some(replicator);
    }
    if !settings.output.forward.is_empty() {
        let forwarder = Forwarder::start(
            &settings.output.forward,
            settings.forward(policy),
            &listening,
            metrics.targets(),
            store,
            stop,
        )?;
        emitters.forwarder = Some(forwarder);
    }
    Ok(emitters)
}
