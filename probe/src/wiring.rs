//! Wires the stages: what is opened, in which order, and how it ends.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use flowproto::exporter::{ExportSettings, InterfaceName};
use kipfix_export::counters::TargetCounters;
use kipfix_export::names::{self, Name};
use kipfix_export::own_export::{OwnEnd, OwnExport};
use kipfix_export::queued::{Ending, Patience, Queued};
use kipfix_export::{Opener, Prepared};
use kipfix_service::admin::{self, Listener, Readiness};
use kipfix_service::exit::Failure;
use kipfix_service::exposition::{self, Written};
use kipfix_service::signals::Stop;
use tracing::{info, warn};

use crate::capture::live::{Live, LiveSettings};
use crate::capture::savefile::Savefile;
use crate::capture::{filter, permission};
use crate::export::batch::{self, RecordBatches};
use crate::export::flows::{FlowEncoding, Told};
use crate::export::json::JsonExporter;
use crate::export::{self, Target};
use crate::metrics::{Capacities, Metrics};
use crate::pipeline::{Counters, Pipeline};
use crate::settings::Settings;

/// Records a second from a savefile, where the target does not say: what a receiver with an ordinary
/// buffer takes.
const SAVEFILE_RECORDS_PER_SECOND: u32 = 200_000;
/// How long a savefile waits for a target's name.
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);

/// Runs a probe until it is asked to stop, or until its savefile is done.
///
/// # Errors
/// It cannot start, or a stage died.
pub fn run(settings: &Settings) -> Result<(), Failure> {
    permission::lower();
    if let Some(expression) = &settings.filter {
        filter::check(expression)?;
    }
    let stop = Stop::on_signals().context("cannot wait for signals")?;
    let mut metrics = Metrics::new(Capacities {
        conversations: settings.max_flows.get(),
        fragments: settings.max_fragments.get(),
        queue_records: settings.queue.get(),
        interfaces: settings.max_interfaces.get(),
    })
    .map_err(anyhow::Error::from)?;
    // What can fail is tried before anything runs: admin socket, file, permission.
    let admin = match settings.admin {
        Some(address) => Some(Listener::bind("admin", address.0)?),
        None => None,
    };
    let savefile = match &settings.read {
        Some(path) => Some(Savefile::open(path, settings.filter.as_deref())?),
        None => None,
    };
    let own_export = Arc::new(OwnExport::default());
    let prepared: Vec<Prepared> = settings
        .export
        .iter()
        .map(|target| Prepared::new(target, metrics.targets()))
        .collect();
    let names: Vec<Name> = prepared
        .iter()
        .filter_map(|target| target.name().cloned())
        .collect();
    names::watch(names.clone(), stop.clone()).context("cannot start the thread for names")?;
    if savefile.is_some() {
        wait_for_names(&names, &stop)?;
    }
    let told = Arc::new(Told::default());
    let targets = open(settings, &prepared, &own_export, &told, &stop)?;
    let mut pipeline = Pipeline::new(settings.cache(), settings.max_fragments, settings.sampling);
    let mut metering = Metering {
        own_export,
        own_export_revision: 0,
    };
    let own_sources = metering.own_export_changes().unwrap_or_default();
    pipeline.leave_out(own_sources.clone());
    let tell = Arc::clone(&told);
    let interfaces = Box::new(move |interfaces: Vec<InterfaceName>| {
        tell.interfaces(interfaces.into());
    });
    let live = match &savefile {
        Some(_) => None,
        None => Some(Live::open(
            live_settings(settings)?,
            own_sources,
            interfaces,
            &mut metrics,
        )?),
    };
    if let Some(listener) = admin {
        let address = listener.local_address();
        let registry = metrics.registry().clone();
        let changing = metrics.changing();
        let capturing = live.is_some().then(|| metrics.interfaces());
        let router = admin::router(
            move |format| {
                let mut text = Vec::new();
                let _as_one = changing.lock();
                exposition::write_registry(&registry, format, &mut text);
                Box::new(Written::from(text))
            },
            move || Readiness {
                missing: (capturing
                    .as_ref()
                    .is_some_and(|interfaces| interfaces.get() == 0))
                .then(|| "no interface is being captured".to_owned())
                .into_iter()
                .collect(),
                notes: Vec::new(),
            },
        );
        listener
            .serve(router, stop.clone())
            .context("cannot start the admin thread")?;
        info!(%address, "serving /metrics, /livez and /readyz");
    }
    info!(
        node = settings.node_name,
        observation_domain = settings.observation_domain,
        max_flows = settings.max_flows,
        targets = settings.export.len(),
        "probe started"
    );
    if settings.export.is_empty() {
        warn!("no --export is given: flow records are made and counted, and go nowhere");
    }
    let (mut records, batches) = batch::queue(settings.queue.get(), savefile.is_some());
    let exporting = std::thread::Builder::new()
        .name("export".to_owned())
        .spawn(move || export::run(targets, &batches))
        .context("cannot start the export thread")?;
    if let Some(savefile) = savefile {
        let interface = metrics.interface("savefile");
        savefile.run(
            &mut pipeline,
            &mut records,
            &stop,
            |pipeline, records, packets, octets| {
                records.turn();
                let _as_one = metrics.change();
                interface.captured(packets, octets);
                publish(&metrics, &told, &pipeline.counters(), records.lost());
                !records.is_broken()
            },
        );
    } else if let Some(live) = live {
        live.run(
            &mut pipeline,
            &mut records,
            &stop,
            &mut metrics,
            |pipeline, records, metrics, due| {
                records.turn();
                if records.is_broken() {
                    stop.set();
                }
                if due {
                    publish(metrics, &told, &pipeline.counters(), records.lost());
                }
                let changed = metering.own_export_changes();
                if let Some(sources) = &changed {
                    pipeline.leave_out(sources.clone());
                }
                changed
            },
        );
    }
    finish(pipeline, records, exporting, &metrics, &prepared)
}

/// Counts go to the scrape, and to who announces them in options data.
fn publish(metrics: &Metrics, told: &Told, counters: &Counters, queue_lost: u64) {
    metrics.publish(counters, queue_lost);
    told.counts(
        counters.cache.records.iter().sum(),
        counters.undecodable.iter().sum(),
        counters.ignored_octets,
    );
}

/// What the metering loop looks at between rounds.
struct Metering {
    own_export: Arc<OwnExport>,
    own_export_revision: u64,
}

impl Metering {
    fn own_export_changes(&mut self) -> Option<Vec<OwnEnd>> {
        let revision = self.own_export.revision();
        (revision != self.own_export_revision).then(|| {
            self.own_export_revision = revision;
            self.own_export.ends()
        })
    }
}

fn live_settings(settings: &Settings) -> anyhow::Result<LiveSettings> {
    Ok(LiveSettings {
        patterns: settings.interface.clone(),
        filter: settings.filter.clone(),
        snaplen: i32::try_from(settings.snaplen)?,
        buffer_octets: i32::try_from(settings.buffer.bytes())?,
        promiscuous: settings.promiscuous,
        max_interfaces: settings.max_interfaces.get(),
    })
}

/// Opens the targets.
fn open(
    settings: &Settings,
    prepared: &[Prepared],
    own_export: &Arc<OwnExport>,
    told: &Arc<Told>,
    stop: &Stop,
) -> anyhow::Result<Vec<Target>> {
    let offline = settings.read.is_some();
    let node_name = settings.node_name.clone().unwrap_or_default();
    let opener = Opener {
        stop: stop.clone(),
        offline,
        queue_records: settings.queue.get(),
        records_per_second: if offline {
            SAVEFILE_RECORDS_PER_SECOND
        } else {
            0
        },
        own_export: Arc::clone(own_export),
        identity: node_name.clone(),
    };
    let encoding = FlowEncoding {
        settings: ExportSettings {
            observation_domain_id: settings
                .observation_domain
                .map_or(0, std::num::NonZero::get),
            observation_domain_name: node_name,
            ..ExportSettings::default()
        },
        sampling: settings.sampling.sampling(),
        told: Arc::clone(told),
    };
    let open = |target: &Prepared| -> std::io::Result<Target> {
        let counters = target.counters().clone();
        let exporter = match target.open(&encoding.in_version(target.version()), &opener)? {
            Some(exporter) => exporter,
            None => {
                let patience = if offline {
                    Patience::WaitUntil(stop.clone())
                } else {
                    Patience::Lose
                };
                Box::new(Queued::start(
                    JsonExporter::new(counters.clone()),
                    Ending::default(),
                    opener.queue_records,
                    patience,
                    counters.clone(),
                )?)
            }
        };
        Ok((exporter, counters))
    };
    let opened = prepared.iter().zip(&settings.export).map(|(target, url)| {
        open(target).with_context(|| format!("export target {url} cannot be opened"))
    });
    opened.collect()
}

/// A savefile is not read for a target that is not there.
fn wait_for_names(names: &[Name], stop: &Stop) -> anyhow::Result<()> {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = RESOLVE_WITHIN;
    loop {
        let Some(unknown) = names.iter().find(|name| name.address().is_none()) else {
            return Ok(());
        };
        if left.is_zero() || stop.wait_timeout(STEP) {
            return Err(anyhow!(
                "export: the host {:?} is not known; allowed are addresses and names that resolve",
                unknown.host()
            ));
        }
        left = left.saturating_sub(STEP);
    }
}

/// Reports what the cache holds, lets the export thread send it, and says what became of everything.
fn finish(
    mut pipeline: Pipeline,
    mut records: RecordBatches,
    exporting: JoinHandle<()>,
    metrics: &Metrics,
    targets: &[Prepared],
) -> Result<(), Failure> {
    let in_cache = pipeline.counters().conversations;
    records.wait_for_room();
    pipeline.finish(&mut records);
    let lost = records.lost();
    let delivered = records.close();
    let died = exporting.join().is_err();
    let counters = pipeline.counters();
    metrics.publish(&counters, lost);
    let cache = &counters.cache;
    info!(
        frames = counters.frames,
        metered = cache.packets,
        not_selected = counters.not_selected,
        undecodable = counters.undecodable.iter().sum::<u64>(),
        own_export = counters.own_export,
        second_sightings = cache.second_sighting_packets,
        packets_corrected = cache.packets_corrected,
        record_packets = cache.record_packets,
        record_octets = cache.record_octets,
        flushed_conversations = in_cache,
        "frames in = not selected + metered + undecodable + own export + second sightings"
    );
    let sum =
        |of: fn(&TargetCounters) -> u64| targets.iter().map(|t| of(t.counters())).sum::<u64>();
    info!(
        records = cache.records.iter().sum::<u64>(),
        queue_lost = lost,
        sent = sum(TargetCounters::sent),
        lost = sum(TargetCounters::total_lost),
        targets = targets.len(),
        "records made (for every target) = sent + lost"
    );
    if !delivered || died {
        return Err(anyhow!("the export thread died").into());
    }
    Ok(())
}
