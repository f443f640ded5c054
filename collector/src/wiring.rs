//! The stages put together, started, and ended in the order in which nothing is lost.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kipfix_service::admin::{self, Listener};
use kipfix_service::exit::Failure;
use kipfix_service::exposition::{self, Format};
use kipfix_service::logs;
use kipfix_service::signals::Stop;

use crate::aggregate::{EdgeTable, SeriesTable};
use crate::emit::forward::Forwarder;
use crate::emit::replicate::Replicator;
use crate::emit::{FlowLog, Listening, Patience};
use crate::inventory::cluster::{self, Access, Health, LabelSelectors, ProbeStatus};
use crate::inventory::external::{ExternalWatcher, PublishedExternal};
use crate::inventory::file::{self, Inventory};
use crate::inventory::{IndexSnapshot, IndexWriter, NodeId};
use crate::metrics::{Metrics, Totals};
use crate::receive::connections::Connections;
use crate::receive::savefile::SavefileCounts;
use crate::receive::senders::Senders;
use crate::receive::sockets::Sockets;
use crate::receive::tcp;
use crate::serve::{Clock, Scrape, readiness};
use crate::settings::{Flags, Settings, milliseconds};
use crate::worker::{Shared, Worker};
use crate::{explain, live, offline};

/// What is logged by default. Failures of the Kubernetes client are counted and said once by us; it would
/// say each attempt.
const LOGGED: &str = "info,kube_client=off,kube_runtime=off";
/// Live, edges become series so often even where nobody scrapes.
const DRAIN_INTERVAL: Duration = Duration::from_secs(10);
/// Files that say who is outside are looked at so often.
const FILES_INTERVAL: Duration = Duration::from_secs(10);
/// At the stop, the flow log is waited for so long.
const LAST_LINES: Duration = Duration::from_secs(4);
/// At the stop, datagrams that are to be passed on are waited for so long.
const LAST_DATAGRAMS: Duration = Duration::from_secs(2);

/// Runs the collector until it is asked to stop, or is done with what `--read` names.
///
/// # Errors
/// Bad settings, or a stage that could not start or died.
pub fn run(flags: &Flags) -> Result<(), Failure> {
    let settings = Settings::load(flags)?;
    if flags.check {
        return kipfix_service::settings::print(&settings);
    }
    logs::init(settings.log_format, LOGGED);
    if settings.explain {
        if !flags.listen.is_empty() || flags.http.is_some() {
            return Err(Failure::BadSettings(
                "explain: not allowed beside listen and http: it only reads".into(),
            ));
        }
        let stop = Stop::on_signals().context("cannot wait for signals")?;
        return explain::run(&settings, &stop);
    }
    let Inventory { mut writer, cidrs } = inventory(&settings)?;
    let outside = ExternalWatcher::new(&settings.outside(cidrs))
        .map_err(|error| Failure::BadSettings(error.to_string()))?;
    let access = access(&settings)?;
    if access.is_some() {
        // Before the first datagram, which would not wait for what Kubernetes says of it.
        writer.start_watch();
    }
    let stop = Stop::on_signals().context("cannot wait for signals")?;

    // With savefiles, nothing opens that was not asked for by its flag.
    let offline = !settings.read.is_empty();
    let listening = !offline || !flags.listen.is_empty();
    let http = match (offline, &flags.http) {
        (true, None) => None,
        _ => Some(Listener::bind("http", settings.http.0)?),
    };
    let sockets = if listening {
        Sockets::bind(&settings)?
    } else {
        Sockets::default()
    };

    let patience = if listening {
        Patience::Drop
    } else {
        Patience::Wait
    };
    let collector = Collector::new(
        &settings,
        writer.current(),
        outside.published(),
        sockets,
        patience,
        &stop,
    )?;
    if listening {
        watch_files(outside, stop.clone())?;
    }
    let watching = match access {
        None => None,
        Some(access) => Some(collector.watch(access, writer, &settings, stop.clone())?),
    };
    let serving = match http {
        None => None,
        Some(listener) => Some(collector.serve(listener, stop.clone())?),
    };
    let outcome = collector.work(&settings, &stop, listening);
    stop.set();
    if outcome.is_ok() {
        collector.finish(settings.print_metrics)?;
    }
    if let Some(serving) = serving {
        serving
            .join()
            .map_err(|_| anyhow!("the HTTP server died"))?;
    }
    if let Some(watching) = watching {
        watching
            .join()
            .map_err(|_| anyhow!("watching Kubernetes died"))?;
    }
    outcome
}

/// How to reach Kubernetes. Offline, a cluster that is merely there says nothing of a savefile: only a
/// kubeconfig that is asked for does.
fn access(settings: &Settings) -> Result<Option<Access>, Failure> {
    if settings.kubernetes == "auto" && !settings.read.is_empty() {
        return Ok(None);
    }
    let access = Access::of(&settings.kubernetes)
        .map_err(|error| Failure::BadSettings(error.to_string()))?;
    if access.is_none() && settings.inventory.is_none() {
        tracing::info!("no Kubernetes and no inventory: counting by address alone");
    }
    Ok(access)
}

fn inventory(settings: &Settings) -> Result<Inventory, Failure> {
    let Some(path) = &settings.inventory else {
        return Ok(Inventory {
            writer: IndexWriter::new(settings.bounds()),
            cidrs: Vec::new(),
        });
    };
    let mut inventory = file::read(path, settings.bounds())
        .map_err(|error| Failure::BadSettings(error.to_string()))?;
    let sizes = inventory.writer.current().sizes();
    tracing::info!(
        nodes = sizes.nodes,
        endpoints = sizes.endpoints,
        cidrs = inventory.cidrs.len(),
        "inventory read"
    );
    Ok(inventory)
}

/// Reads the files that say who is outside again when they change, until the stop.
fn watch_files(outside: ExternalWatcher, stop: Stop) -> Result<(), Failure> {
    if !outside.has_files() {
        return Ok(());
    }
    std::thread::Builder::new()
        .name("outside".into())
        .spawn(move || outside.run(FILES_INTERVAL, &stop))
        .context("no thread for the files that say who is outside")?;
    Ok(())
}

/// The assembled collector.
struct Collector {
    scrape: Arc<Scrape>,
    log: Option<FlowLog>,
    replicator: Option<Replicator>,
    forwarder: Option<Forwarder>,
    packet_clock: Arc<AtomicU64>,
}

impl Collector {
    fn new(
        settings: &Settings,
        index: IndexSnapshot,
        outside: Arc<PublishedExternal>,
        sockets: Sockets,
        patience: Patience,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let log = match &settings.flow_log {
            None => None,
            Some(target) => Some(
                FlowLog::open(target, settings.flow_log_queue.bytes(), patience)
                    .map_err(|error| anyhow!("flow_log: cannot open {target}: {error}"))?,
            ),
        };
        let datagrams = sockets.datagrams.iter();
        let connections = sockets.connections.iter();
        let listening = Listening {
            datagrams: datagrams.map(|socket| socket.local_address()).collect(),
            connections: connections.map(|socket| socket.local_address()).collect(),
        };
        let replicator = replicator(settings, (patience, &listening.datagrams), stop)?;
        let series = SeriesTable::new(
            &settings.preset,
            settings.max_series,
            milliseconds(settings.series_idle),
        )
        .of_cluster(&settings.cluster_name);
        let shared = Shared::new(index, outside, series).of_cluster(&settings.cluster_name);
        let shared = Arc::new(shared);
        let Sockets {
            datagrams,
            connections,
        } = sockets;
        // Those for datagrams, then those for connections; offline, one.
        let workers = [datagrams.is_empty(), connections.is_empty()];
        let workers = workers.into_iter().filter(|none| !none).count() * settings.workers;
        let live = workers > 0;
        let senders = Arc::new(Senders::new(&settings.allow_exporters));
        let metrics = Metrics::new(settings).context("self-metrics cannot be made")?;
        let forwarder = forwarder(settings, (patience, &listening), &metrics, &shared, stop)?;
        let worker_settings = settings.worker(live.then(live::now_milliseconds));
        let worker = || {
            let log = log.as_ref().map(FlowLog::buffer);
            let mut worker = Worker::new(worker_settings, Arc::clone(&shared), log);
            if let Some(replicator) = &replicator {
                worker.replicate(replicator.stage());
            }
            if let Some(forwarder) = &forwarder {
                worker.forward(forwarder.stage());
            }
            Arc::new(Mutex::new(worker))
        };
        let packet_clock = Arc::new(AtomicU64::new(0));
        let scrape = Scrape {
            metrics,
            workers: (0..workers.max(1)).map(|_| worker()).collect(),
            shared: Arc::clone(&shared),
            sockets: datagrams,
            listeners: connections,
            connections: Arc::new(Connections::new(
                settings.connections(),
                Arc::clone(&senders),
            )),
            senders,
            max_exporter_series: settings.max_exporter_series,
            flow_log: log
                .as_ref()
                .map(|log| -> Box<dyn Fn() -> _ + Send + Sync> { Box::new(log.counts()) }),
            forward: forwarder
                .as_ref()
                .map(|forwarder| -> Box<dyn Fn() -> _ + Send + Sync> {
                    Box::new(forwarder.counts())
                }),
            replicas: replicator
                .as_ref()
                .map(|replicator| -> Box<dyn Fn() -> _ + Send + Sync> {
                    Box::new(replicator.counts())
                }),
            savefile: Arc::new(Mutex::new(SavefileCounts::default())),
            clock: if live {
                Clock::Wall
            } else {
                Clock::Packets(Arc::clone(&packet_clock))
            },
            spare: Mutex::new(EdgeTable::new(settings.max_edges)),
            kubernetes: OnceLock::new(),
        };
        Ok(Self {
            scrape: Arc::new(scrape),
            log,
            replicator,
            forwarder,
            packet_clock,
        })
    }

    /// Watches Kubernetes. Before savefiles are read, all of it must be known.
    fn watch(
        &self,
        access: Access,
        writer: IndexWriter,
        settings: &Settings,
        stop: Stop,
    ) -> Result<JoinHandle<()>, Failure> {
        let selectors = LabelSelectors {
            workload_labels: settings.workload_labels.clone(),
            probe_labels: settings.probe_labels().unwrap_or_default(),
            probe_namespace: match settings.probe_namespace.as_str() {
                "" => access.namespace().to_owned(),
                namespace => namespace.to_owned(),
            },
            node_pool_label: settings.node_pool_label.clone(),
            namespace_label: settings.namespace_label.clone(),
        };
        let health = Arc::new(Health::new(selectors.kinds()));
        self.scrape.kubernetes.get_or_init(|| Arc::clone(&health));
        let publisher = Publisher(Arc::clone(&self.scrape.shared));
        let stopped = StopAtEnd(stop.clone());
        let thread = cluster::start(access, writer, selectors, health, publisher, stopped)
            .context("no thread for Kubernetes")?;
        let began = live::monotonic();
        let patience = settings.inventory_wait.duration();
        let is_known = || {
            let index = self.scrape.shared.index.load();
            index.is_watched() && index.is_complete()
        };
        while !settings.read.is_empty() && !is_known() && began.elapsed() < patience {
            if stop.wait_timeout(Duration::from_millis(20)) {
                break;
            }
        }
        Ok(thread)
    }

    fn serve(&self, listener: Listener, stop: Stop) -> Result<JoinHandle<()>, Failure> {
        tracing::info!(http = %listener.local_address(), "serving /metrics, /livez and /readyz");
        let scrape = Arc::clone(&self.scrape);
        let metrics = move |format, out: &mut Vec<u8>| scrape.write(format, false, out);
        let scrape = Arc::clone(&self.scrape);
        let router = admin::router(metrics, move || readiness(&scrape));
        Ok(listener.serve(router, stop).context("cannot serve HTTP")?)
    }

    /// Reads the savefiles, then listens if there are sockets.
    fn work(&self, settings: &Settings, stop: &Stop, listening: bool) -> Result<(), Failure> {
        for path in &settings.read {
            let Some(worker) = self.scrape.workers.first() else {
                break;
            };
            offline::read(
                path,
                worker,
                &self.scrape.savefile,
                &self.packet_clock,
                stop,
            )?;
        }
        if listening {
            self.listen(settings, stop)
        } else {
            Ok(())
        }
    }

    fn listen(&self, settings: &Settings, stop: &Stop) -> Result<(), Failure> {
        let mut threads = Vec::new();
        let mut workers = self.scrape.workers.iter().map(Arc::clone);
        let urls = |udp| {
            settings
                .listen
                .iter()
                .filter(|url| url.is_udp() == udp)
                .count()
                .max(1)
        };
        for sockets in self.scrape.sockets.chunks(urls(true)) {
            let (worker, sockets) = (workers.next(), sockets.to_vec());
            let senders = Arc::clone(&self.scrape.senders);
            let stopped = StopAtEnd(stop.clone());
            let thread = std::thread::Builder::new()
                .name("receive".into())
                .spawn(move || match worker {
                    Some(worker) => live::receive(&worker, &sockets, &senders, &stopped.0),
                    None => Ok(()),
                });
            threads.push(thread.context("no thread for a worker")?);
        }
        for listeners in self.scrape.listeners.chunks(urls(false)) {
            let (worker, listeners) = (workers.next(), listeners.to_vec());
            let connections = Arc::clone(&self.scrape.connections);
            let stopped = StopAtEnd(stop.clone());
            let thread = std::thread::Builder::new()
                .name("connections".into())
                .spawn(move || match worker {
                    Some(worker) => tcp::receive(&worker, &listeners, &connections, &stopped.0),
                    None => Ok(()),
                });
            threads.push(thread.context("no thread for connections")?);
        }
        let mut drained = live::monotonic();
        while !stop.wait_timeout(Duration::from_secs(1)) {
            for socket in &self.scrape.sockets {
                socket.read_drops();
            }
            if drained.elapsed() >= DRAIN_INTERVAL {
                drained = live::monotonic();
                self.scrape.drain();
            }
        }
        for thread in threads {
            match thread.join() {
                Ok(ended) => ended.context("receiving failed")?,
                Err(_) => return Err(anyhow!("a worker died").into()),
            }
        }
        Ok(())
    }

    /// Decides what waits, writes what is left, and says what became of everything.
    fn finish(self, print_metrics: bool) -> Result<(), Failure> {
        for worker in &self.scrape.workers {
            worker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .finish();
        }
        let is_live = !self.scrape.sockets.is_empty() || !self.scrape.listeners.is_empty();
        // Side by side, so that all of them have the time that there is.
        let relayed = std::thread::scope(|scope| {
            let forwarding = self
                .forwarder
                .map(|forwarder| scope.spawn(|| forwarder.finish()));
            let replicating = self.replicator.map(|replicator| {
                scope.spawn(move || replicator.finish(is_live.then_some(LAST_DATAGRAMS)))
            });
            if let Some(log) = self.log {
                log.finish(is_live.then_some(LAST_LINES));
            }
            [forwarding, replicating]
                .into_iter()
                .flatten()
                .try_for_each(|thread| {
                    let died = |_| Err(anyhow!("the end of a relay died").into());
                    thread.join().unwrap_or_else(died)
                })
        });
        say_ledger(&self.scrape.drain());
        relayed?;
        if !print_metrics {
            return Ok(());
        }
        let mut text = Vec::new();
        self.scrape.write(Format::Text, true, &mut text);
        exposition::finish(Format::Text, &mut text);
        let mut out = std::io::stdout().lock();
        match out.write_all(&text).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(anyhow!("print_metrics: stdout cannot be written: {error}").into())
            }
            _ => Ok(()),
        }
    }
}

/// Forwards records, if that is asked for.
fn forwarder(
    settings: &Settings,
    (patience, listening): (Patience, &Listening),
    metrics: &Metrics,
    shared: &Arc<Shared>,
    stop: &Stop,
) -> Result<Option<Forwarder>, Failure> {
    if settings.forward.is_empty() {
        return Ok(None);
    }
    Forwarder::start(
        &settings.forward,
        (settings.forward_records, settings.forward_queue),
        (patience, listening),
        metrics.targets(),
        shared,
        stop,
    )
    .map(Some)
}

/// Passes datagrams on, if that is asked for.
fn replicator(
    settings: &Settings,
    (patience, listening): (Patience, &[SocketAddr]),
    stop: &Stop,
) -> Result<Option<Replicator>, Failure> {
    if settings.replicate.is_empty() {
        return Ok(None);
    }
    let queue = settings.replicate_queue.bytes();
    Replicator::start(&settings.replicate, queue, patience, listening, stop).map(Some)
}

/// What the watches tell goes to the workers.
struct Publisher(Arc<Shared>);

impl cluster::Publish for Publisher {
    fn index(&self, index: IndexSnapshot) {
        self.0.index.store(Arc::new(index));
    }

    fn probe(&self, node: NodeId, status: ProbeStatus) {
        let ready = status == ProbeStatus::Ready;
        self.0.observers.set_ready(node, ready);
    }

    fn now_milliseconds(&self) -> u64 {
        live::now_milliseconds()
    }
}

/// Asks to stop when its thread ends, however it ends: a dead stage ends the process.
struct StopAtEnd(Stop);

impl AsRef<Stop> for StopAtEnd {
    fn as_ref(&self) -> &Stop {
        &self.0
    }
}

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.set();
    }
}

fn say_ledger(totals: &Totals) {
    let (decoding, records) = (&totals.worker.decoding, &totals.worker.records);
    tracing::info!(
        datagrams = decoding.datagrams,
        records = decoding.records,
        biflow_reverse = records.reverse_directions,
        counted = records.counted,
        other_observer = records.other_observer,
        intra_node = records.intra_node,
        no_counters = records.no_counters,
        other_direction = records.other_direction,
        unusable = decoding.unusable.iter().sum::<u64>(),
        sequence_lost = decoding.sequence.lost,
        kernel_drops = totals
            .sockets
            .iter()
            .map(|(_, drops, _)| drops)
            .sum::<u64>(),
        series = totals.series.series,
        "done: records + biflow_reverse = counted + other_observer + intra_node + no_counters + other_direction"
    );
}
