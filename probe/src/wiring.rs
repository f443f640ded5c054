//! Wires the stages: what is opened, in which order, and how it ends.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};
use flowproto::exporter::ExportSettings;
use kipfix_export::counters::TargetCounters;
use kipfix_export::names::{self, FirstResolution};
use kipfix_export::own_endpoints::OwnEndpoints;
use kipfix_export::queued::QueuedExporter;
use kipfix_export::shutdown::ShutdownDeadline;
use kipfix_export::{PreparedTarget, TargetContext};
use kipfix_service::admin::{self, Listener, Readiness};
use kipfix_service::exit::Failure;
use kipfix_service::exposition::{self, Written};
use kipfix_service::signals::Stop;
use tracing::{info, warn};

use crate::capture::live::LiveCapture;
use crate::capture::live_settings::LiveSettings;
use crate::capture::payload_filter::Payloads;
use crate::capture::permission;
use crate::capture::savefile::Savefile;
use crate::export::batch::{self, RecordBatches};
use crate::export::flows::{FlowEncoding, MeteringReport};
use crate::export::json::JsonExporter;
use crate::export::{self, OpenTarget};
use crate::inspect::http::HttpConnections;
use crate::metering::{Metering, MeteringContext, MeteringOutcome};
use crate::metrics::{Capacities, Metrics};
use crate::pipeline::Pipeline;
use crate::settings::{Learning, Settings};
use crate::translation::table::{MAX_EXACT_TRANSLATIONS, MAX_TRANSLATIONS};

/// Default rate of a UDP target, records per second, with a savefile as the source. A receiver with
/// a default socket buffer takes as many.
const SAVEFILE_RECORDS_PER_SECOND: u32 = 200_000;

/// The source of frames.
enum Source {
    /// One capture for each metering thread.
    Live(Vec<LiveCapture>),
    File(Box<Savefile>),
}

/// Runs a probe until the stop, or to the end of its savefile.
///
/// # Errors
/// It cannot start, or a stage died.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    let stop = Stop::on_signals().context("cannot handle signals")?;
    let metrics = new_metrics(settings)?;
    meter(settings, metrics, &stop, Vec::new())
}

/// The metrics of a probe.
///
/// # Errors
/// Two metrics have the same name, which is a mistake.
pub(crate) fn new_metrics(settings: &Settings) -> anyhow::Result<Metrics> {
    Ok(Metrics::new(capacities(settings), settings.threads())?)
}

/// Runs a probe until the stop, or to the end of its savefile. `more_targets` get all records, too.
///
/// # Errors
/// It cannot start, or a stage died.
pub(crate) fn meter(
    settings: &Settings,
    metrics: Metrics,
    stop: &Stop,
    more_targets: Vec<OpenTarget>,
) -> Result<(), Failure> {
    permission::lower();
    let metrics = Arc::new(metrics);
    // Whatever can fail is opened before anything runs.
    let admin = bind_admin(settings)?;
    let savefile = open_savefile(settings, stop)?;
    let prepared = prepare_targets(settings, &metrics, stop)?;
    let own_endpoints = Arc::new(OwnEndpoints::default());
    let report = Arc::new(MeteringReport::default());
    let mut targets = open_targets(settings, &prepared, &own_endpoints, &report, stop)?;
    targets.extend(more_targets);
    // Last, so that the kernel filters exclude the sessions of the targets.
    let source = match savefile {
        Some(savefile) => Source::File(Box::new(savefile)),
        None => {
            let live = live_settings(settings)?;
            let mut captures = LiveCapture::open(&live, &own_endpoints.all(), stop.clone())?;
            for (thread, capture) in captures.iter_mut().enumerate() {
                metrics.publish_capture(thread, capture.counters());
            }
            Source::Live(captures)
        }
    };
    if let Some(listener) = admin {
        serve_admin(listener, &metrics, matches!(source, Source::Live(_)), stop)?;
    }
    info!(
        node = settings.exporting.node_name,
        observation_domain = settings.exporting.observation_domain,
        threads = settings.threads(),
        max_flows = settings.metering.max_flows,
        targets = settings.exporting.export.len(),
        "probe started"
    );
    if targets.is_empty() {
        warn!("no --export: flow records are made and counted, but not exported");
    }
    let (queues, batches) = batch::queue(
        settings.exporting.queue.get(),
        settings.capture.read.is_some(),
        settings.threads(),
    );
    let exporting = std::thread::Builder::new()
        .name("export".to_owned())
        .spawn(move || export::run(targets, &batches))
        .context("cannot start the export thread")?;
    let context = MeteringContext {
        own_endpoints,
        metrics,
        report,
        stop: stop.clone(),
    };
    let (metered, outcome) = match source {
        Source::Live(captures) => (meter_live(settings, captures, queues, &context)?, Ok(())),
        Source::File(savefile) => {
            let pipeline = Pipeline::new(settings.pipeline(false)?);
            let records = queues.into_iter().next().context("no queue of records")?;
            let mut metering = Metering::new(0, pipeline, records, &context);
            let outcome = metering.run_savefile(*savefile);
            (metering.finish(), outcome)
        }
    };
    finish(settings, &metered, exporting, &prepared)?;
    // The records of an incomplete file were exported, but the run has failed.
    let file = settings.capture.read.as_deref().unwrap_or(Path::new(""));
    outcome.with_context(|| format!("read {}", file.display()))?;
    Ok(())
}

fn bind_admin(settings: &Settings) -> Result<Option<Listener>, Failure> {
    let Some(address) = settings.admin.admin else {
        return Ok(None);
    };
    let listener = Listener::bind("admin", address.0)?;
    let files = settings.admin.tls.files()?;
    listener.with_tls("admin_tls", files.as_ref()).map(Some)
}

fn open_savefile(settings: &Settings, stop: &Stop) -> anyhow::Result<Option<Savefile>> {
    let Some(path) = &settings.capture.read else {
        return Ok(None);
    };
    let savefile = Savefile::open(path, settings.capture.filter.as_deref(), stop);
    let savefile = savefile.with_context(|| format!("read {}", path.display()))?;
    Ok(Some(savefile))
}

/// Creates the targets, and resolves their names; for a savefile, before the first record.
fn prepare_targets(
    settings: &Settings,
    metrics: &Metrics,
    stop: &Stop,
) -> anyhow::Result<Vec<PreparedTarget>> {
    let targets = settings.exporting.export.iter();
    let prepared: Vec<_> = targets
        .map(|target| PreparedTarget::new(target, metrics.targets()))
        .collect();
    let first_resolution = match settings.capture.read {
        Some(_) => FirstResolution::Required,
        None => FirstResolution::Awaited,
    };
    let hosts = prepared.iter().filter_map(|target| target.name().cloned());
    names::watch(hosts.collect(), "export", first_resolution, stop)?;
    Ok(prepared)
}

/// Meters each capture on a thread, the first one on this thread, until the stop.
fn meter_live(
    settings: &Settings,
    captures: Vec<LiveCapture>,
    queues: Vec<RecordBatches>,
    context: &MeteringContext,
) -> anyhow::Result<MeteringOutcome> {
    let mut tasks = Vec::with_capacity(captures.len());
    for (thread, (capture, records)) in captures.into_iter().zip(queues).enumerate() {
        let pipeline = Pipeline::new(settings.pipeline(capture.has_first_packets())?);
        let mut metering = Metering::new(thread, pipeline, records, context);
        let stop_at_end = context.stop.at_end();
        tasks.push(move || {
            let _stop_at_end = stop_at_end;
            metering.run_live(capture);
            metering.finish()
        });
    }
    let mut tasks = tasks.into_iter();
    let first = tasks.next();
    let mut others = Vec::new();
    for task in tasks {
        let builder = std::thread::Builder::new().name("metering".to_owned());
        others.push(
            builder
                .spawn(task)
                .context("cannot start a metering thread")?,
        );
    }
    let mut outcome = first.map_or_else(MeteringOutcome::default, |task| task());
    for other in others {
        let other = other
            .join()
            .map_err(|_| anyhow!("a metering thread died"))?;
        outcome.add(other);
    }
    Ok(outcome)
}

fn capacities(settings: &Settings) -> Capacities {
    Capacities {
        conversations: settings.metering.max_flows.get(),
        fragments: settings.metering.max_fragments.get(),
        queue_records: settings.exporting.queue.get(),
        interfaces: settings.capture.max_interfaces.get(),
        names: settings.metering.max_names.get(),
        translations: if settings.metering.conntrack {
            MAX_EXACT_TRANSLATIONS
        } else {
            MAX_TRANSLATIONS
        },
        http_connections: HttpConnections::CAPACITY * settings.threads(),
    }
}

fn live_settings(settings: &Settings) -> anyhow::Result<LiveSettings> {
    Ok(LiveSettings {
        patterns: settings.capture.interface.clone(),
        filter: settings.capture.filter.clone(),
        snaplen: i32::try_from(settings.capture.snaplen)?,
        buffer_octets: i32::try_from(settings.capture.buffer.bytes())?,
        promiscuous: settings.capture.promiscuous,
        max_interfaces: settings.capture.max_interfaces.get(),
        first_packets: match settings.metering.translations {
            _ if settings.metering.conntrack => None,
            Learning::Auto => Some(settings.decoder()?.tunnel_ports.ports().collect()),
            Learning::Off => None,
        },
        payloads: Payloads {
            names: settings.metering.names == Learning::Auto,
            http: settings.metering.http_metering,
        },
        conntrack: settings.metering.conntrack,
        captures: settings.threads(),
    })
}

fn serve_admin(
    listener: Listener,
    metrics: &Metrics,
    is_live: bool,
    stop: &Stop,
) -> anyhow::Result<()> {
    let (address, scheme) = (listener.local_address(), listener.scheme());
    let (registry, consistent) = (metrics.registry().clone(), metrics.consistency());
    let interfaces = is_live.then(|| metrics.interfaces());
    let router = admin::router(
        move |format| {
            let mut text = Vec::new();
            let _consistent = consistent.lock();
            exposition::write_registry(&registry, format, &mut text);
            Box::new(Written::from(text))
        },
        move || Readiness {
            missing: (interfaces.as_ref().is_some_and(|open| open.get() == 0))
                .then(|| "no interface is captured".to_owned())
                .into_iter()
                .collect(),
            notes: Vec::new(),
        },
    );
    listener
        .serve(router, metrics.http().clone(), stop.clone())
        .context("cannot start the admin thread")?;
    info!(%address, scheme, "serving /metrics, /livez and /readyz");
    Ok(())
}

fn open_targets(
    settings: &Settings,
    prepared: &[PreparedTarget],
    own_endpoints: &Arc<OwnEndpoints>,
    report: &Arc<MeteringReport>,
    stop: &Stop,
) -> anyhow::Result<Vec<OpenTarget>> {
    let offline = settings.capture.read.is_some();
    let node_name = settings.exporting.node_name.clone().unwrap_or_default();
    let context = TargetContext {
        stop: stop.clone(),
        offline,
        is_only_target: prepared.len() == 1,
        queue_records: settings.exporting.queue.get(),
        records_per_second: if offline {
            SAVEFILE_RECORDS_PER_SECOND
        } else {
            0
        },
        own_endpoints: Arc::clone(own_endpoints),
        identity: node_name.clone(),
    };
    let encoding = FlowEncoding {
        settings: ExportSettings {
            observation_domain_id: settings
                .exporting
                .observation_domain
                .map_or(0, std::num::NonZero::get),
            observation_domain_name: node_name,
            ..ExportSettings::default()
        },
        sampling: settings.metering.sampling.sampling(),
        flow_selection: settings.metering.sampling.flow_selection(),
        report: Arc::clone(report),
    };
    let open = |target: &PreparedTarget| -> std::io::Result<OpenTarget> {
        let counters = target.counters().clone();
        let encoding = encoding.for_target(target.version(), target.profile());
        let exporter = match target.open(&encoding, &context)? {
            Some(exporter) => exporter,
            None => Box::new(QueuedExporter::start(
                JsonExporter::new(counters.clone()),
                ShutdownDeadline::default(),
                context.queue_records,
                context.overflow_policy(),
                counters.clone(),
            )?),
        };
        Ok((exporter, counters))
    };
    let opened = prepared
        .iter()
        .zip(&settings.exporting.export)
        .map(|(target, url)| open(target).with_context(|| format!("cannot open export {url}")));
    opened.collect()
}

/// Waits until the export thread has sent everything, and logs the totals.
///
/// # Errors
/// The export thread died, or of a savefile a target got nothing.
fn finish(
    settings: &Settings,
    outcome: &MeteringOutcome,
    exporting: JoinHandle<()>,
    targets: &[PreparedTarget],
) -> Result<(), Failure> {
    let died = exporting.join().is_err();
    let sum =
        |of: fn(&TargetCounters) -> u64| targets.iter().map(|t| of(t.counters())).sum::<u64>();
    info!(
        records = outcome.records_made,
        queue_lost = outcome.records_lost,
        sent = sum(TargetCounters::sent),
        lost = sum(TargetCounters::total_lost),
        targets = targets.len(),
        "records made (for every target) = sent + lost"
    );
    if outcome.is_broken || died {
        return Err(anyhow!("the export thread died").into());
    }
    if settings.capture.read.is_none() {
        return Ok(());
    }
    for (target, url) in targets.iter().zip(&settings.exporting.export) {
        let (sent, lost) = (target.counters().sent(), target.counters().total_lost());
        if sent == 0 && lost > 0 {
            return Err(anyhow!("export {url}: all {lost} records were lost").into());
        }
    }
    Ok(())
}
