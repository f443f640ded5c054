//! The stages put together, started, and stopped in the order in which nothing is lost.

mod assemble;
mod check;
mod drain_timer;
mod history_file;
mod inventory;
mod kept_file;
mod reload;
mod state;

use std::io::Write;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use flowproto::explain::{Bounds, Explainer};
use kipfix_service::admin::{self, Listener};
use kipfix_service::exit::{Failure, check_stdout};
use kipfix_service::exposition::{self, Chunks, Format};
use kipfix_service::logs;
use kipfix_service::settings::{BadSettings, CommandLine};
use kipfix_service::signals::{Hangups, Stop};
use kipfix_service::sync::lock;

use crate::api::{Api, BearerToken};
use crate::history::HistoryEngine;
use crate::inventory::file::Inventory;
use crate::metrics::Totals;
use crate::outputs::Outputs;
use crate::pipeline::Reason;
use crate::receive::savefile::replay;
use crate::receive::sockets::Sockets;
use crate::receive::steering::OtherWorkers;
use crate::receive::{tcp, udp_loop};
use crate::serve::{Scrape, readiness};
use crate::settings::{Flags, Settings, Task};
use crate::{clock, explain, top};
use assemble::{Collector, Emitters, Signals};
use drain_timer::DrainTimer;
use history_file::HistoryFile;
use reload::Reloader;
use state::StateFile;

/// Logs that are off by default. Failures of the Kubernetes client are counted and logged once by
/// the inventory; the client itself would log each attempt, with the whole answer if it cannot read
/// it.
const QUIET: [&str; 2] = ["kube_client", "kube_runtime"];
/// Interval at which the drops of the kernel are read.
const DROPS_INTERVAL: Duration = Duration::from_secs(1);
/// On shutdown, maximum time to write the flow log.
const FLOW_LOG_TIMEOUT: Duration = Duration::from_secs(4);
/// On shutdown, maximum time to replicate datagrams.
const REPLICATE_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the collector until it is asked to stop, or has processed the files of `--read`.
///
/// # Errors
/// Invalid settings, or a stage that could not start or died.
pub fn run(command_line: &CommandLine<Flags>) -> Result<(), Failure> {
    if let Some(Task::Top(flags)) = &command_line.flags.task {
        return top::run(flags);
    }
    let stamp = Reloader::stamp(command_line);
    let settings = Settings::load(command_line)?;
    if command_line.flags.check {
        return check::run(&settings);
    }
    logs::init(settings.log_format, "info", &QUIET);
    warn_of_names(&settings)?;
    if settings.input.explain {
        return run_explain(command_line, &settings);
    }
    // Files of settings are read before anything is opened.
    let policies = settings.exporter_policies()?;
    let Inventory { mut writer, cidrs } = inventory::read(&settings)?;
    let external = inventory::external(&settings, cidrs)?;
    let token = load_token(&settings)?;
    let engine = settings.engine()?;
    let access = inventory::access(&settings)?;
    if access.is_some() {
        // Before the first datagram, so that its records wait for the initial list.
        writer.start_watch();
    }
    let stop = Stop::on_signals().context("cannot wait for signals")?;
    let hangups = Hangups::on_signals().context("cannot wait for signals")?;

    // With savefiles, only sockets whose flags are given are opened.
    let is_offline = !settings.input.read.is_empty();
    let is_listening = !is_offline || command_line.is_given("listen");
    let is_serving = !is_offline || command_line.is_given("http");
    let http = is_serving.then(|| bind_http(&settings)).transpose()?;
    let sockets = if is_listening {
        Sockets::bind(&settings.input.listen, settings.sockets())?
    } else {
        Sockets::default()
    };
    let (index, published) = (writer.current(), external.published());
    let signals = Signals {
        stop: stop.clone(),
        hangups,
    };
    let collector = Collector::new(&settings, policies, index, published, sockets, &signals)?;
    if is_listening {
        inventory::watch_files(external, stop.clone())?;
    }
    // Before the first answer of the API, and before the first record.
    collector.history_file(&settings).load();
    let mut threads = Vec::new();
    if let Some(access) = access {
        let (scrape, ending) = (&collector.scrape, stop.at_end());
        let watching = inventory::watch_kubernetes(access, writer, &settings, scrape, ending)?;
        threads.push(("the Kubernetes watch", watching));
    }
    if let Some(listener) = http {
        let serving = serve(&collector.scrape, listener, token, engine, stop.clone())?;
        threads.push(("the HTTP server", serving));
    }
    let mut reloader = Reloader::new(command_line, &settings, stamp, signals.hangups)?;
    let read = collector.read_savefiles(&settings, &stop);
    let received = if collector.is_live() && read.is_ok() {
        collector.receive(&settings, &stop, &mut reloader)
    } else {
        Ok(())
    };
    // What was read of an incomplete savefile counts. A stop would discard what a target has no
    // room for yet.
    if received.is_ok() {
        collector.finish(settings.output.print_metrics)?;
    }
    stop.set();
    for (name, thread) in threads {
        thread.join().map_err(|_| anyhow!("{name} died"))?;
    }
    read.and(received)
}

/// A thread that receives until the stop.
type Receiver = JoinHandle<std::io::Result<()>>;

fn start(
    name: &str,
    receive: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> anyhow::Result<Receiver> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(receive);
    thread.with_context(|| format!("cannot start the thread {name:?}"))
}

fn load_token(settings: &Settings) -> Result<Option<BearerToken>, BadSettings> {
    let file = settings.http.http_token_file.as_deref();
    file.map(|path| BearerToken::load(path, clock::monotonic()))
        .transpose()
        .map_err(BadSettings::new)
}

fn bind_http(settings: &Settings) -> Result<Listener, Failure> {
    let listener = Listener::bind("http", settings.http.http.0)?;
    listener.with_tls("http_tls", settings.http.tls.files()?.as_ref())
}

fn run_explain(command_line: &CommandLine<Flags>, settings: &Settings) -> Result<(), Failure> {
    BadSettings::when(
        command_line.is_given("listen") || command_line.is_given("http"),
        "invalid explain true: not allowed with listen or http",
    )?;
    let stop = Stop::on_signals().context("cannot wait for signals")?;
    let bounds = Bounds {
        domains: settings.decoder.max_domains,
        templates_per_domain: settings.decoder.max_templates,
    };
    let policies = Arc::new(settings.exporter_policies()?);
    let mut explainer = Explainer::new(bounds);
    explainer.set_sampling_policy(policies.sampling_policy());
    explainer.set_alias_policy(policies.alias_policy());
    let is_compared = settings.input.compare;
    let comparison = is_compared.then(|| explain::Comparison::new(bounds));
    explain::run(&settings.input.read, explainer, comparison, &stop)
}

fn serve(
    scrape: &Arc<Scrape>,
    listener: Listener,
    token: Option<BearerToken>,
    engine: Option<HistoryEngine>,
    stop: Stop,
) -> Result<JoinHandle<()>, Failure> {
    let (http, scheme) = (listener.local_address(), listener.scheme());
    tracing::info!(%http, scheme, "serving the page, /api/v1, /metrics, /livez and /readyz");
    let metrics = {
        let scrape = Arc::clone(scrape);
        move |format| -> Box<dyn Chunks> { Box::new(scrape.begin(format)) }
    };
    let started = clock::wall_milliseconds();
    let api = Api::new(Arc::clone(scrape), started, token, engine, stop.clone());
    let http_metrics = scrape.metrics.http().clone();
    let scrape = Arc::clone(scrape);
    let router = admin::router(metrics, move || readiness(&scrape)).merge(api.router());
    let serving = listener.serve(router, http_metrics, stop);
    Ok(serving.context("cannot serve HTTP")?)
}

impl Collector {
    /// True if there are sockets.
    fn is_live(&self) -> bool {
        !self.scrape.sockets.is_empty() || !self.scrape.listeners.is_empty()
    }

    fn history_file(&self, settings: &Settings) -> HistoryFile<'_> {
        let path = settings.history.history_file.as_deref();
        HistoryFile::new(path, self.scrape.history.as_deref())
    }

    /// Reads the savefiles.
    ///
    /// # Errors
    /// The first one that was not read to its end. The others are read nevertheless.
    fn read_savefiles(&self, settings: &Settings, stop: &Stop) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for path in &settings.input.read {
            let Some(pipeline) = self.scrape.pipelines.first() else {
                break;
            };
            let read = replay(
                path,
                pipeline,
                |pipeline| Outputs::is_flow_log_closed(pipeline.sinks()),
                &self.scrape.savefile,
                &self.packet_clock,
                stop,
            );
            outcome = outcome.and(read);
        }
        outcome
    }

    fn receive(
        &self,
        settings: &Settings,
        stop: &Stop,
        reloader: &mut Reloader<'_>,
    ) -> Result<(), Failure> {
        let scrape = &self.scrape;
        // State is kept of exporters that send datagrams: the others begin with a new connection.
        let datagram_workers = if scrape.sockets.is_empty() {
            0
        } else {
            settings.input.workers
        };
        let stateful = scrape.pipelines.get(..datagram_workers).unwrap_or_default();
        let mut state = StateFile::new(settings.input.state.as_deref());
        state.load(stateful, settings.pipeline(None).limits.idle_milliseconds);
        let mut history_file = self.history_file(settings);
        let threads = self.start_receivers(settings, stop)?;
        let mut drain_timer = DrainTimer::new(clock::now());
        while !stop.wait_timeout(DROPS_INTERVAL.min(drain_timer.remaining(clock::now()))) {
            for socket in &scrape.sockets {
                socket.read_drops();
            }
            reloader.poll(scrape);
            if drain_timer.is_due(clock::now()) {
                scrape.drain();
            }
            state.save_if_due(stateful);
            history_file.save_if_due();
        }
        for thread in threads {
            match thread.join() {
                Ok(ended) => ended.context("receiving failed")?,
                Err(_) => return Err(anyhow!("a receiving thread died").into()),
            }
        }
        state.save(stateful);
        // The last interval has what was counted since the last drain.
        scrape.drain();
        history_file.save();
        Ok(())
    }

    /// Starts a thread for each pipeline and its sockets.
    fn start_receivers(&self, settings: &Settings, stop: &Stop) -> anyhow::Result<Vec<Receiver>> {
        let scrape = &self.scrape;
        let sockets_per_worker = |is_udp| {
            let urls = settings.input.listen.iter();
            urls.filter(|url| url.is_udp() == is_udp).count().max(1)
        };
        let mut pipelines = scrape.pipelines.iter().map(Arc::clone);
        let mut threads = Vec::new();
        let sockets = scrape.sockets.chunks(sockets_per_worker(true));
        for (worker, (sockets, pipeline)) in sockets.zip(&mut pipelines).enumerate() {
            let others = OtherWorkers::new(worker, scrape.pipelines.clone(), self.steering.clone());
            let (sockets, senders) = (sockets.to_vec(), Arc::clone(&scrape.senders));
            let ending = stop.at_end();
            threads.push(start("receive", move || {
                udp_loop::receive(&pipeline, others, &sockets, &senders, ending.as_ref())
            })?);
        }
        let listeners = scrape.listeners.chunks(sockets_per_worker(false));
        for (listeners, pipeline) in listeners.zip(pipelines) {
            let (listeners, connections) = (listeners.to_vec(), Arc::clone(&scrape.connections));
            let ending = stop.at_end();
            threads.push(start("connections", move || {
                tcp::receive(&pipeline, &listeners, &connections, ending.as_ref())
            })?);
        }
        Ok(threads)
    }

    /// Decides pending records, writes what is queued, and logs the loss accounting.
    fn finish(self, print_metrics: bool) -> Result<(), Failure> {
        for pipeline in &self.scrape.pipelines {
            lock(pipeline).finish();
        }
        let is_live = self.is_live();
        let finished = self.emitters.finish(is_live);
        log_totals(&self.scrape.drain());
        finished?;
        if !print_metrics {
            return Ok(());
        }
        let mut chunks = self.scrape.begin_final(Format::Text);
        let mut out = std::io::stdout().lock();
        let mut text = Vec::new();
        let mut write = || -> std::io::Result<()> {
            loop {
                text.clear();
                let is_more = chunks.write_chunk(&mut text);
                if !is_more {
                    exposition::finish(Format::Text, &mut text);
                }
                out.write_all(&text)?;
                if !is_more {
                    return out.flush();
                }
            }
        };
        check_stdout(write(), "print_metrics: cannot write stdout")
    }
}

impl Emitters {
    /// Waits for all emitters at the same time, so that each has the whole timeout.
    fn finish(self, is_live: bool) -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let forwarding = self
                .forwarder
                .map(|forwarder| scope.spawn(|| forwarder.finish()));
            let replicating = self.replicator.map(|replicator| {
                scope.spawn(move || replicator.finish(is_live.then_some(REPLICATE_TIMEOUT)))
            });
            if let Some(flow_log) = self.flow_log {
                flow_log.finish(is_live.then_some(FLOW_LOG_TIMEOUT));
            }
            let threads = [forwarding, replicating].into_iter().flatten();
            threads.into_iter().try_for_each(|thread| {
                let died = |_| Err(anyhow!("an emitter died during shutdown").into());
                thread.join().unwrap_or_else(died)
            })
        })
    }
}

/// Logs names of metric families that break a convention.
fn warn_of_names(settings: &Settings) -> Result<(), BadSettings> {
    for warning in settings.lint()? {
        tracing::warn!("metrics: {warning}");
    }
    Ok(())
}

/// Logs members of the flow log's lines that are probably misspelled.
fn warn_of_unknown_fields(settings: &Settings) {
    for name in settings.unknown_flow_log_fields() {
        tracing::warn!(
            name,
            "flow_log_fields: no element and no member of the flow log"
        );
    }
}

fn log_totals(totals: &Totals) {
    let decoding = &totals.pipeline.decoding;
    let records = &totals.pipeline.records;
    tracing::info!(
        datagrams = decoding.datagrams,
        records = decoding.records,
        biflow_reverse = records.reverse_directions,
        counted = records.counted,
        not_counted = records.not_counted.values().sum::<u64>(),
        other_observer = records.not_counted[Reason::OtherObserver],
        unusable = decoding.unusable.total(),
        sequence_lost = decoding.sequence.lost,
        kernel_drops = totals
            .sockets
            .iter()
            .map(|socket| socket.kernel_drops)
            .sum::<u64>(),
        series = totals.series.series,
        "done: records + biflow_reverse = counted + not_counted"
    );
}
