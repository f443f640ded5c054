//! Wires the stages: what is opened, in which order, and how it ends.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use flowproto::exporter::ExportSettings;
use kipfix_service::admin::{self, Listener, Readiness};
use kipfix_service::exit::Failure;
use kipfix_service::exposition;
use kipfix_service::signals::Stop;
use tracing::{info, warn};

use crate::capture::live::{Live, LiveSettings};
use crate::capture::savefile::Savefile;
use crate::capture::{filter, permission};
use crate::export::batch::{self, RecordBatches};
use crate::export::json::JsonTarget;
use crate::export::names::{self, Name};
use crate::export::target::TargetKind;
use crate::export::udp::{OwnExport, UdpSettings, UdpTarget};
use crate::export::{self, Exporter};
use crate::metrics::{Capacities, Metrics, TargetMetrics};
use crate::pipeline::Pipeline;
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
    let (targets, names, target_metrics) = targets(settings, &metrics, &own_export);
    names::watch(names.clone(), stop.clone()).context("cannot start the thread for names")?;
    if savefile.is_some() {
        wait_for_names(&names, &stop)?;
    }
    let exporters: Vec<Exporter> = targets.into_iter().map(|open| open()).collect();
    let mut pipeline = Pipeline::new(settings.cache(), settings.max_fragments);
    let mut metering = Metering {
        own_export,
        own_export_revision: 0,
    };
    let own_sources = metering.own_export_changes().unwrap_or_default();
    pipeline.leave_out(own_sources.clone());
    let live = match &savefile {
        Some(_) => None,
        None => Some(Live::open(
            live_settings(settings)?,
            own_sources,
            &mut metrics,
        )?),
    };
    if let Some(listener) = admin {
        let address = listener.local_address();
        let registry = metrics.registry().clone();
        let changing = metrics.changing();
        let capturing = live.is_some().then(|| metrics.interfaces());
        let router = admin::router(
            move |format, out| {
                let _as_one = changing.lock();
                exposition::write_registry(&registry, format, out);
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
        .spawn(move || export::run(exporters, &batches))
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
                metrics.publish(&pipeline.counters(), records.lost());
                !records.is_broken()
            },
        );
    } else if let Some(live) = live {
        live.run(
            &mut pipeline,
            &mut records,
            &stop,
            &mut metrics,
            |pipeline, records, metrics, publish| {
                records.turn();
                if records.is_broken() {
                    stop.set();
                }
                if publish {
                    metrics.publish(&pipeline.counters(), records.lost());
                }
                let changed = metering.own_export_changes();
                if let Some(sources) = &changed {
                    pipeline.leave_out(sources.clone());
                }
                changed
            },
        );
    }
    finish(pipeline, records, exporting, &metrics, &target_metrics)
}

/// What the metering loop looks at between rounds.
struct Metering {
    own_export: Arc<OwnExport>,
    own_export_revision: u64,
}

impl Metering {
    fn own_export_changes(&mut self) -> Option<Vec<(flowproto::Address, u16)>> {
        let revision = self.own_export.revision();
        (revision != self.own_export_revision).then(|| {
            self.own_export_revision = revision;
            self.own_export.sources()
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

type Open = Box<dyn FnOnce() -> Exporter>;

/// The targets, to be opened once their names are known, the names, and the counters.
fn targets(
    settings: &Settings,
    metrics: &Metrics,
    own_export: &Arc<OwnExport>,
) -> (Vec<Open>, Vec<Name>, Vec<TargetMetrics>) {
    let offline = settings.read.is_some();
    let default_rate = if offline {
        SAVEFILE_RECORDS_PER_SECOND
    } else {
        0
    };
    let (mut open, mut names, mut counters): (Vec<Open>, _, _) =
        (Vec::new(), Vec::new(), Vec::new());
    for target in &settings.export {
        let target_metrics = metrics.target(&target.to_string());
        counters.push(target_metrics.clone());
        match &target.kind {
            TargetKind::Stdout => {
                open.push(Box::new(|| Exporter::Json(JsonTarget::new(target_metrics))));
            }
            TargetKind::Udp {
                host,
                port,
                max_message_octets,
                records_per_second,
            } => {
                let name = Name::new(host, *port);
                names.push(name.clone());
                let udp = UdpSettings {
                    session: ExportSettings {
                        observation_domain_id: settings
                            .observation_domain
                            .map_or(0, std::num::NonZero::get),
                        observation_domain_name: settings.node_name.clone().unwrap_or_default(),
                        max_message_octets: *max_message_octets,
                        ..ExportSettings::default()
                    },
                    records_per_second: records_per_second.unwrap_or(default_rate),
                    wait: offline,
                };
                let own_export = Arc::clone(own_export);
                open.push(Box::new(move || {
                    Exporter::Udp(Box::new(UdpTarget::new(
                        name,
                        udp,
                        own_export,
                        target_metrics,
                    )))
                }));
            }
        }
    }
    (open, names, counters)
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
    targets: &[TargetMetrics],
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
        undecodable = counters.undecodable.iter().sum::<u64>(),
        own_export = counters.own_export,
        second_sightings = cache.second_sighting_packets,
        packets_corrected = cache.packets_corrected,
        record_packets = cache.record_packets,
        record_octets = cache.record_octets,
        flushed_conversations = in_cache,
        "frames in = metered + undecodable + own export + second sightings"
    );
    info!(
        records = cache.records.iter().sum::<u64>(),
        queue_lost = lost,
        sent = targets.iter().map(TargetMetrics::sent).sum::<u64>(),
        lost = targets.iter().map(TargetMetrics::lost).sum::<u64>(),
        targets = targets.len(),
        "records made (for every target) = sent + lost"
    );
    if !delivered || died {
        return Err(anyhow!("the export thread died").into());
    }
    Ok(())
}
