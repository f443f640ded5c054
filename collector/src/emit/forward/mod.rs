//! Forward: sends records with the names of their endpoints to other collectors as IPFIX (RFC 7119: this is a Mediator),
//! and to engines that keep history.
//!
//! A pipeline collects the records of a batch with their endpoints as numbers ([`ForwardedRecord`]) and hands them over
//! into a bounded queue. One thread empties it and gives the records to every target. Names are looked up where they are
//! written, so no text is copied in between. A biflow record becomes a record for each direction, because the directions
//! are decided on their own.

mod fields;
mod layouts;
mod names;
mod session;
mod shape;
mod target;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use kipfix_export::counters::{TargetCounters, TargetFamilies, to_u64};
use kipfix_export::own_endpoints::OwnEndpoints;
use kipfix_export::target::{Target, TargetKind};
use kipfix_export::{
    Encoding, Exporter, FLUSH_INTERVAL, PreparedTarget, TargetContext, TransportSession,
    finish_all, wall_clock_milliseconds,
};
use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;

use super::clickhouse::Inserter;
use super::delivery::start;
use super::double_buffer::{Batch, ConsumerGuard, DoubleBuffer};
use super::kafka::Producer;
use super::own_address::is_own;
use super::record::Records;
pub use super::record::{ForwardedHealth, ForwardedRecord};
use super::{EmittedRecords, ListenAddresses, OverflowPolicy};
use crate::pipeline::DecidedRecord;
use crate::snapshots::SnapshotStore;
pub(super) use names::ANTREA;
use session::Enrichment;
pub use target::{ForwardKind, ForwardTarget};

/// Records that a sink collects before it hands them over.
const STAGE_RECORDS: usize = 256;
/// Default rate to a target for records from a savefile, records per second.
const OFFLINE_RATE: u32 = 200_000;

/// How records are forwarded.
#[derive(Clone, Copy, Debug)]
pub struct ForwardSettings {
    /// The records that are forwarded.
    pub filter: EmittedRecords,
    /// Maximum number of records in the queue, and in the queue of each target that has a thread of its own.
    pub queue_records: usize,
    /// What happens when the queue is full.
    pub policy: OverflowPolicy,
}

/// Counts of records: `records` = `queue_full` + `queued` + those that every target received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardCounts {
    /// Records (each direction of a biflow) handed over by the pipelines.
    pub records: u64,
    /// Of these, dropped because the queue was full.
    pub queue_full: u64,
    /// Records in the queue.
    pub queued: u64,
}

/// What the sinks and the thread share.
#[derive(Debug)]
struct Shared {
    queue: DoubleBuffer<Records>,
    records: AtomicU64,
    queue_full: AtomicU64,
    queued: AtomicU64,
}

/// The thread that forwards.
#[derive(Debug)]
pub struct Forwarder {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    settings: ForwardSettings,
    need_health: bool,
}

impl Forwarder {
    /// Opens the targets and starts the thread. `listening` are the addresses of this process, to which nothing may be
    /// sent.
    ///
    /// # Errors
    /// A target is this process itself, or a file or thread cannot be opened.
    pub fn start(
        targets: &[ForwardTarget],
        settings: ForwardSettings,
        listening: &ListenAddresses,
        families: &TargetFamilies,
        store: &Arc<SnapshotStore>,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        for target in targets {
            if let ForwardKind::Messages(target) = &target.kind {
                refuse_own(target, listening)?;
            }
        }
        // Enriched records have it, Messages do not.
        let has_health = |target: &ForwardTarget| !matches!(target.kind, ForwardKind::Messages(_));
        let need_health = targets.iter().any(has_health);
        let is_offline = settings.policy == OverflowPolicy::Block;
        let opener = TargetContext {
            stop: stop.clone(),
            offline: is_offline,
            is_only_target: targets.len() == 1,
            queue_records: settings.queue_records,
            records_per_second: if is_offline { OFFLINE_RATE } else { 0 },
            own_endpoints: Arc::new(OwnEndpoints::default()),
            identity: "kipfix-collector".into(),
        };
        let prepared: Vec<Option<PreparedTarget>> = targets
            .iter()
            .map(|target| match &target.kind {
                ForwardKind::Messages(target) => Some(PreparedTarget::new(target, families)),
                ForwardKind::Kafka(_) | ForwardKind::ClickHouse(_) => None,
            })
            .collect();
        let hosts = prepared
            .iter()
            .flatten()
            .filter_map(PreparedTarget::name)
            .cloned();
        let first_resolution = settings.policy.first_resolution();
        kipfix_export::names::watch(hosts.collect(), "forward", first_resolution, stop)?;
        let mut open = Vec::with_capacity(targets.len());
        for (target, prepared) in targets.iter().zip(prepared) {
            let failed = |error| anyhow!("forward: cannot open {target}: {error}");
            match (&target.kind, prepared) {
                (ForwardKind::Messages(target), Some(prepared)) => {
                    let encoding = encoding(store, target.profile);
                    let opened = prepared.open(&encoding, &opener).map_err(failed)?;
                    let counters = prepared.counters().clone();
                    open.extend(opened.map(|exporter| (exporter, counters)));
                }
                (ForwardKind::Kafka(kafka), _) => {
                    let counters = families.target(&kafka.to_string());
                    let client = Producer::new(kafka.clone());
                    let delivery = kafka.delivery(settings.policy);
                    let exporter = start(delivery, client, store, counters.clone(), stop);
                    open.push((exporter.map_err(failed)?, counters));
                }
                (ForwardKind::ClickHouse(clickhouse), _) => {
                    let counters = families.target(&clickhouse.to_string());
                    let client = Inserter::new(clickhouse.clone());
                    let delivery = clickhouse.delivery(settings.policy);
                    let exporter = start(delivery, client, store, counters.clone(), stop);
                    open.push((exporter.map_err(failed)?, counters));
                }
                (ForwardKind::Messages(_), None) => {}
            }
        }
        let shared = Arc::new(Shared {
            queue: DoubleBuffer::new(settings.queue_records),
            records: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            queued: AtomicU64::new(0),
        });
        let thread = std::thread::Builder::new().name("forward".into()).spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            move || run(&shared, open, stop)
        });
        Ok(Self {
            shared,
            thread: thread.context("cannot start the forward thread")?,
            settings,
            need_health,
        })
    }

    /// A sink for one pipeline.
    #[must_use]
    pub fn sink(&self) -> ForwardSink {
        ForwardSink {
            shared: Arc::clone(&self.shared),
            stage: Records::default(),
            settings: self.settings,
            need_health: self.need_health,
        }
    }

    /// A function that reads the counts.
    pub fn counts(&self) -> impl Fn() -> ForwardCounts + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || {
            let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
            ForwardCounts {
                records: read(&shared.records),
                queue_full: read(&shared.queue_full),
                queued: read(&shared.queued),
            }
        }
    }

    /// Sends what is queued and ends all sessions. Every [`ForwardSink`] must be flushed before.
    ///
    /// # Errors
    /// The thread died.
    pub fn finish(self) -> Result<(), Failure> {
        self.shared.queue.close();
        self.thread
            .join()
            .map_err(|_| anyhow!("the forward thread died").into())
    }
}

/// Refuses a target that is this process itself.
fn refuse_own(target: &Target, listening: &ListenAddresses) -> Result<(), Failure> {
    let listening = match target.kind {
        TargetKind::Udp { .. } => &listening.datagrams,
        _ => &listening.connections,
    };
    let remote = target.remote();
    let address = remote.and_then(|remote| Some((remote.host.parse().ok()?, remote.port)));
    if address.is_some_and(|(ip, port)| is_own(SocketAddr::new(ip, port), listening)) {
        return Err(Failure::BadSettings(format!(
            "invalid forward target {target}: must not be an address of this collector"
        )));
    }
    Ok(())
}

/// The encoding of enriched records as Messages.
pub fn encoding(
    store: &Arc<SnapshotStore>,
    profile: flowproto::exporter::Profile,
) -> impl Encoding<Session: TransportSession<Record = ForwardedRecord>> + use<> {
    Enrichment {
        store: Arc::clone(store),
        profile,
    }
}

/// Checks that records can be forwarded to a target: as IPFIX, and not to stdout.
///
/// # Errors
/// A message that names what is allowed.
pub fn check(target: &ForwardTarget) -> Result<(), String> {
    let ForwardKind::Messages(target) = &target.kind else {
        return Ok(());
    };
    let is_ipfix = target.version() == flowproto::exporter::Version::Ipfix;
    if is_ipfix && !matches!(target.kind, TargetKind::Stdout) {
        return Ok(());
    }
    Err(format!(
        "invalid forward target {target}: must be udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or \
         file:PATH, in IPFIX, kafka://BROKER/TOPIC or clickhouse://HOST/DATABASE/TABLE; for JSON in a file use flow_log"
    ))
}

type OpenTarget = (Box<dyn Exporter<ForwardedRecord>>, TargetCounters);

fn run(shared: &Shared, mut targets: Vec<OpenTarget>, stop: Stop) {
    let _guard = ConsumerGuard(&shared.queue, stop);
    let mut records = Records::default();
    let mut flushed = crate::clock::monotonic();
    while shared.queue.swap(&mut records, FLUSH_INTERVAL) {
        let now = wall_clock_milliseconds();
        let is_idle = records.is_empty();
        for (exporter, counters) in &mut targets {
            if is_idle {
                exporter.settle();
            } else {
                counters.records_received(records.len());
                exporter.export(&records.0, now);
            }
        }
        let count = to_u64(records.len());
        shared.queued.fetch_sub(count, Ordering::AcqRel);
        records.0.clear();
        if is_idle || flushed.elapsed() >= FLUSH_INTERVAL {
            flushed = crate::clock::monotonic();
            for (exporter, _) in &mut targets {
                exporter.flush(now);
            }
        }
    }
    let exporters = targets.iter_mut().map(|(exporter, _)| exporter);
    finish_all(exporters, wall_clock_milliseconds());
}

/// The records of one pipeline on their way to the forward thread.
#[derive(Debug)]
pub struct ForwardSink {
    shared: Arc<Shared>,
    stage: Records,
    settings: ForwardSettings,
    need_health: bool,
}

impl ForwardSink {
    /// True if [`DecidedRecord::health`] is needed.
    #[must_use]
    pub const fn need_health(&self) -> bool {
        self.need_health
    }

    /// Takes a record, if it is one of those that are forwarded.
    pub fn accept(&mut self, record: &DecidedRecord<'_>) {
        let is_wanted = self.settings.filter.include(record.verdict);
        let Some(whole) = record.whole.filter(|_| is_wanted) else {
            return;
        };
        self.stage.0.push(ForwardedRecord::new(record, &whole));
        if self.stage.0.len() >= STAGE_RECORDS {
            self.flush();
        }
    }

    /// Hands the records over.
    pub fn flush(&mut self) {
        if self.stage.is_empty() {
            return;
        }
        let shared = &self.shared;
        let staged = self.stage.len();
        shared
            .queue
            .push(&self.stage, self.settings.policy, |added| {
                shared.records.fetch_add(to_u64(staged), Ordering::AcqRel);
                shared.queued.fetch_add(to_u64(added), Ordering::AcqRel);
                let dropped = to_u64(staged.saturating_sub(added));
                shared.queue_full.fetch_add(dropped, Ordering::AcqRel);
            });
        self.stage.0.clear();
    }
}
