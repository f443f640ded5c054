//! Forward: records that count, with the names of their ends, as IPFIX to other collectors (RFC 7119: this is a
//! Mediator).
//!
//! A worker stages the records of a batch with who their ends are, as numbers ([`Enriched`]), and hands them over
//! into a bounded `Mailbox`. One thread empties it and gives the records to every target; the names are looked
//! up where they are written, so no text is copied in between. Biflow records become a record for each direction,
//! because the directions are judged by themselves.

mod names;
mod record;
mod session;
mod shape;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use flowproto::FlowRecord;
use flowproto::collector::Message;
use kipfix_export::counters::TargetFamilies;
use kipfix_export::own_endpoints::OwnEndpoints;
use kipfix_export::target::{Target, TargetKind};
use kipfix_export::{
    Encoding, Exporter, FLUSH_INTERVAL, PreparedTarget, TargetContext, TransportSession,
    finish_all, wall_clock_milliseconds,
};
use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;
use serde::{Deserialize, Serialize};

use super::mailbox::{Emptier, Load, Mailbox};
use super::{Listening, Patience, is_own};
use crate::enrich::Ends;
use crate::worker::Shared;
pub(super) use names::ANTREA;
use record::Records;
pub use record::{Enriched, Origin};
use session::Enrichment;

/// Records that are handed over at once at the most.
const STAGE_RECORDS: usize = 256;
/// Records a second to a target that does not say, where they come from a savefile.
const OFFLINE_RATE: u32 = 200_000;

/// Which records are forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// Those that count: of two nodes that saw a flow, one node's.
    #[default]
    Counted,
    /// Every one.
    All,
}

/// What became of records on their way to the targets: staged = dropped + queued + those that every target
/// received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardCounts {
    /// Records (each direction of a biflow) handed over by the workers.
    pub staged: u64,
    /// Of these, dropped because the queue was full.
    pub queue_full: u64,
    /// Records that wait for the forwarding thread.
    pub queued: u64,
}

#[derive(Debug)]
struct Line {
    mailbox: Mailbox<Records>,
    staged: AtomicU64,
    queue_full: AtomicU64,
    queued: AtomicU64,
}

/// The thread that forwards.
#[derive(Debug)]
pub struct Forwarder {
    line: Arc<Line>,
    thread: JoinHandle<()>,
    patience: Patience,
    which: Which,
}

impl Forwarder {
    /// Opens the targets and starts the thread. `queue_records`: what may wait for it, and for each target that
    /// has a thread of its own. `listening`: where this process receives, since records that are sent there would
    /// come round for ever.
    ///
    /// # Errors
    /// A target is this process itself, or a file or thread cannot be made.
    pub fn start(
        targets: &[Target],
        (which, queue_records): (Which, usize),
        (patience, listening): (Patience, &Listening),
        families: &TargetFamilies,
        shared: &Arc<Shared>,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        for target in targets {
            let listening = match target.kind {
                TargetKind::Udp { .. } => &listening.datagrams,
                _ => &listening.connections,
            };
            let remote = target.remote();
            let ip = remote.and_then(|remote| Some((remote.host.parse().ok()?, remote.port)));
            if ip.is_some_and(|(ip, port)| is_own(SocketAddr::new(ip, port), listening)) {
                return Err(Failure::BadSettings(format!(
                    "forward: {target} is where this collector listens itself: records would go round for \
                     ever; allowed is any other target"
                )));
            }
        }
        let offline = patience == Patience::Wait;
        let opener = TargetContext {
            stop: stop.clone(),
            offline,
            is_only_target: targets.len() == 1,
            queue_records,
            records_per_second: if offline { OFFLINE_RATE } else { 0 },
            own_endpoints: Arc::new(OwnEndpoints::default()),
            identity: "kipfix-collector".into(),
        };
        let prepared: Vec<PreparedTarget> = targets
            .iter()
            .map(|target| PreparedTarget::new(target, families))
            .collect();
        let hosts = prepared.iter().filter_map(PreparedTarget::name).cloned();
        super::look_up(hosts.collect(), "forward", patience, stop)?;
        let encoding = encoding(shared);
        let mut open = Vec::with_capacity(targets.len());
        for (target, prepared) in targets.iter().zip(&prepared) {
            let opened = prepared
                .open(&encoding, &opener)
                .map_err(|error| anyhow!("forward: cannot open {target}: {error}"))?;
            let counters = prepared.counters().clone();
            open.extend(opened.map(|exporter| (exporter, counters)));
        }
        let line = Arc::new(Line {
            mailbox: Mailbox::new(queue_records),
            staged: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            queued: AtomicU64::new(0),
        });
        let thread = std::thread::Builder::new().name("forward".into()).spawn({
            let (line, stop) = (Arc::clone(&line), stop.clone());
            move || run(&line, open, stop)
        });
        Ok(Self {
            line,
            thread: thread.context("no thread to forward")?,
            patience,
            which,
        })
    }

    /// Where one worker puts its records.
    #[must_use]
    pub fn stage(&self) -> ForwardStage {
        ForwardStage {
            line: Arc::clone(&self.line),
            staged: Records::default(),
            origins: Vec::new(),
            patience: self.patience,
            which: self.which,
        }
    }

    /// Reads the counts whenever they are asked for.
    pub fn counts(&self) -> impl Fn() -> ForwardCounts + Send + Sync + use<> {
        let line = Arc::clone(&self.line);
        move || {
            let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
            ForwardCounts {
                staged: read(&line.staged),
                queue_full: read(&line.queue_full),
                queued: read(&line.queued),
            }
        }
    }

    /// Sends what was handed over and ends all sessions. Every [`ForwardStage`] must be flushed before.
    ///
    /// # Errors
    /// The thread died.
    pub fn finish(self) -> Result<(), Failure> {
        self.line.mailbox.close();
        self.thread
            .join()
            .map_err(|_| anyhow!("the thread that forwards died").into())
    }
}

/// How enriched records become Messages, for who brings the transport.
pub fn encoding(
    shared: &Arc<Shared>,
) -> impl Encoding<Session: TransportSession<Record = Enriched>> + use<> {
    Enrichment {
        shared: Arc::clone(shared),
    }
}

/// Whether records can be forwarded to a target: as IPFIX, and not to stdout.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check(target: &Target) -> Result<(), String> {
    let is_ipfix = target.version() == flowproto::exporter::Version::Ipfix;
    if is_ipfix && !matches!(target.kind, TargetKind::Stdout) {
        return Ok(());
    }
    Err(format!(
        "forward: {target} cannot be used: names are forwarded as IPFIX, so allowed are udp://HOST:PORT, \
         tcp://HOST:PORT, tls://HOST:PORT and file:PATH; for JSON there is flow_log"
    ))
}

type Opened = (
    Box<dyn Exporter<Enriched>>,
    kipfix_export::counters::TargetCounters,
);

fn run(line: &Line, mut targets: Vec<Opened>, stop: Stop) {
    let _emptier = Emptier(&line.mailbox, stop);
    let mut records = Records::default();
    let mut flushed = crate::live::monotonic();
    while line.mailbox.take(&mut records, FLUSH_INTERVAL) {
        let now = wall_clock_milliseconds();
        let quiet = records.is_empty();
        for (exporter, counters) in &mut targets {
            if quiet {
                exporter.settle();
            } else {
                counters.records_received(records.len());
                exporter.export(&records.0, now);
            }
        }
        line.queued.fetch_sub(wide(records.len()), Ordering::AcqRel);
        records.0.clear();
        if quiet || flushed.elapsed() >= FLUSH_INTERVAL {
            flushed = crate::live::monotonic();
            for (exporter, _) in &mut targets {
                exporter.flush(now);
            }
        }
    }
    let exporters = targets.iter_mut().map(|(exporter, _)| exporter);
    finish_all(exporters, wall_clock_milliseconds());
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Records of one worker on their way to the forwarding thread.
#[derive(Debug)]
pub struct ForwardStage {
    line: Arc<Line>,
    staged: Records,
    /// By [`Message::domain_index`], with the revision of the domain.
    origins: Vec<Option<(u32, Arc<Origin>)>>,
    patience: Patience,
    which: Which,
}

impl ForwardStage {
    /// Learns who exports, for the records that follow. To be called for every Message.
    pub fn message(&mut self, message: &Message<'_>) {
        let at = message.domain_index;
        if self.origins.len() <= at {
            self.origins.resize(at.saturating_add(1), None);
        }
        let Some(slot) = self.origins.get_mut(at) else {
            return;
        };
        let revision = message.domain.revision;
        if slot.as_ref().is_none_or(|(known, _)| *known != revision) {
            *slot = Some((revision, Arc::new(Origin::of(message))));
        }
    }

    /// A record of a domain with who its ends are: the way there, or the way back of a biflow.
    #[must_use]
    pub fn enriched(
        &self,
        record: &FlowRecord,
        ends: Ends,
        domain_index: usize,
        way_back: bool,
    ) -> Option<Enriched> {
        let (_, origin) = self.origins.get(domain_index)?.as_ref()?;
        Some(Enriched {
            record: if way_back {
                record::way_back(record)
            } else {
                record::way_there(record)
            },
            ends,
            origin: Arc::clone(origin),
        })
    }

    /// Puts a record in line, if it is one of those that are forwarded.
    pub fn push(&mut self, enriched: Option<Enriched>, counted: bool) {
        if !counted && self.which == Which::Counted {
            return;
        }
        self.staged.0.extend(enriched);
        if self.staged.0.len() >= STAGE_RECORDS {
            self.flush();
        }
    }

    /// Hands over what there is. To be called after every batch.
    pub fn flush(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        let line = &self.line;
        let staged = self.staged.len();
        line.mailbox.put(&self.staged, self.patience, |taken| {
            line.staged.fetch_add(wide(staged), Ordering::AcqRel);
            line.queued.fetch_add(wide(taken), Ordering::AcqRel);
            let dropped = wide(staged.saturating_sub(taken));
            line.queue_full.fetch_add(dropped, Ordering::AcqRel);
        });
        self.staged.0.clear();
    }
}
