//! Forward: sends records with the names of their endpoints to other collectors as IPFIX (RFC 7119:
//! this is a Mediator), and to engines that keep history.
//!
//! For Messages, a pipeline collects the records of a batch with their endpoints as numbers
//! ([`ForwardedRecord`]) and hands them over into a bounded queue. One thread empties it and gives
//! the records to every target. For engines, the pipeline encodes its records itself, and a thread
//! for each engine delivers them. Names are looked up where they are written, so no text is copied
//! in between. A biflow record becomes a record for each direction, because the directions are
//! decided on their own.

mod fields;
mod layouts;
mod messages;
mod names;
mod record;
mod session;
mod shape;
mod sink;
mod target;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::anyhow;
use kipfix_export::counters::{TargetCounters, TargetFamilies};
use kipfix_export::own_endpoints::OwnEndpoints;
use kipfix_export::target::{Target, TargetKind, Transport};
use kipfix_export::{Encoding, PreparedTarget, TargetContext, TransportSession};
use kipfix_service::exit::{BadSettings, Failure};
use kipfix_service::signals::Stop;

use super::clickhouse::Inserter;
use super::delivery::Delivery;
use super::kafka::Producer;
use super::own_address::is_own;
use super::{EmittedRecords, ListenAddresses, OverflowPolicy, ReadCounts};
use crate::snapshots::SnapshotStore;
use messages::{MessageForwarder, MessageQueue, OpenTarget};
pub(super) use names::ANTREA;
pub use record::ForwardedRecord;
use session::Enrichment;
pub use sink::ForwardSink;
pub use target::{ForwardKind, ForwardTarget};

/// Default rate to a target for records from a savefile, records per second.
const OFFLINE_RATE: u32 = 200_000;

/// How records are forwarded.
#[derive(Clone, Copy, Debug)]
pub struct ForwardSettings {
    /// The records that are forwarded.
    pub filter: EmittedRecords,
    /// Maximum number of records in the queue, and in the queue of each target that has a thread of
    /// its own.
    pub queue_records: usize,
    /// What happens when the queue is full.
    pub policy: OverflowPolicy,
}

/// Counts of records: `records` = `queue_full` + `queued` + those that every target of Messages
/// received. Engines receive all `records`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardCounts {
    /// Records (each direction of a biflow) handed over by the pipelines.
    pub records: u64,
    /// Of these, dropped because the queue of the forward thread was full.
    pub queue_full: u64,
    /// Records in that queue.
    pub queued: u64,
}

/// The targets of records.
#[derive(Debug)]
pub struct Forwarder {
    records: Arc<AtomicU64>,
    messages: Option<MessageForwarder>,
    engines: Vec<Delivery>,
    filter: EmittedRecords,
    /// Name and counters of each target.
    counters: Vec<(String, TargetCounters)>,
}

impl Forwarder {
    /// Opens the targets and starts the thread. `listening` are the addresses of this process, to
    /// which nothing may be sent.
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
        let mut counters = Vec::new();
        let mut prepared = Vec::new();
        for target in targets {
            if let ForwardKind::Messages(collector) = &target.kind {
                refuse_own(collector, listening)?;
                let collector = PreparedTarget::new(collector, families);
                counters.push((target.to_string(), collector.counters().clone()));
                prepared.push((target, collector));
            }
        }
        let is_only_target = targets.len() == 1;
        let messages = open_messages(&prepared, settings, is_only_target, store, stop)?;
        let mut engines = Vec::new();
        for target in targets {
            if let Some(engine) = start_engine(target, settings.policy, families, stop) {
                let engine = engine.map_err(|error| cannot_open(target, &error))?;
                counters.push((target.to_string(), engine.counters().clone()));
                engines.push(engine);
            }
        }
        let messages = (!messages.is_empty())
            .then(|| MessageForwarder::start(messages, settings, stop))
            .transpose()?;
        Ok(Self {
            records: Arc::default(),
            messages,
            engines,
            filter: settings.filter,
            counters,
        })
    }

    /// A sink for one pipeline.
    #[must_use]
    pub fn sink(&self) -> ForwardSink {
        ForwardSink {
            filter: self.filter,
            records: Arc::clone(&self.records),
            staged: 0,
            messages: self.messages.as_ref().map(MessageForwarder::sink),
            engines: self.engines.iter().map(Delivery::sink).collect(),
            collected_milliseconds: None,
        }
    }

    /// A function that reads the counts.
    #[must_use]
    pub fn counts(&self) -> ReadCounts<ForwardCounts> {
        let records = Arc::clone(&self.records);
        let queue = self.messages.as_ref().map(|m| m.queue().clone());
        Box::new(move || ForwardCounts {
            records: records.load(Ordering::Acquire),
            queue_full: queue.as_ref().map_or(0, MessageQueue::full),
            queued: queue.as_ref().map_or(0, MessageQueue::queued),
        })
    }

    /// Sends what is queued, ends all sessions and logs what was lost. Every [`ForwardSink`] must
    /// be flushed before.
    ///
    /// # Errors
    /// The forward thread died.
    pub fn finish(self) -> Result<(), Failure> {
        // At the same time, so that each target has the whole timeout.
        let finished = std::thread::scope(|scope| {
            for engine in self.engines {
                scope.spawn(|| engine.finish());
            }
            self.messages.map_or(Ok(()), MessageForwarder::finish)
        });
        for (target, counters) in &self.counters {
            let (sent, lost) = (counters.sent(), counters.total_lost());
            if lost > 0 {
                tracing::warn!(target, sent, lost, "forward: records were lost");
            }
        }
        finished
    }
}

/// Refuses a target that is this process itself.
/// Resolves the names of the targets of Messages, and opens their sessions.
fn open_messages(
    prepared: &[(&ForwardTarget, PreparedTarget)],
    settings: ForwardSettings,
    is_only_target: bool,
    store: &Arc<SnapshotStore>,
    stop: &Stop,
) -> Result<Vec<OpenTarget>, Failure> {
    let hosts = prepared.iter().filter_map(|(_, target)| target.name());
    let hosts = hosts.cloned().collect();
    let first_resolution = settings.policy.first_resolution();
    kipfix_export::names::watch(hosts, "forward", first_resolution, stop)?;
    let is_offline = settings.policy == OverflowPolicy::Block;
    let context = TargetContext {
        stop: stop.clone(),
        offline: is_offline,
        is_only_target,
        queue_records: settings.queue_records,
        records_per_second: if is_offline { OFFLINE_RATE } else { 0 },
        own_endpoints: Arc::new(OwnEndpoints::default()),
        identity: "kipfix-collector".into(),
    };
    let mut messages = Vec::new();
    for (target, collector) in prepared {
        let opened = collector.open(&encoding(store, collector.profile()), &context);
        let opened = opened.map_err(|error| cannot_open(target, &error))?;
        messages.extend(opened.map(|exporter| (exporter, collector.counters().clone())));
    }
    Ok(messages)
}

/// Starts the delivery to an engine. `None` for a target of Messages.
fn start_engine(
    target: &ForwardTarget,
    policy: OverflowPolicy,
    families: &TargetFamilies,
    stop: &Stop,
) -> Option<io::Result<Delivery>> {
    Some(match &target.kind {
        ForwardKind::Messages(_) => return None,
        ForwardKind::Kafka(topic) => {
            let client = Producer::new(topic.clone());
            Delivery::start(topic.delivery(policy), client, families, stop)
        }
        ForwardKind::ClickHouse(table) => {
            let client = Inserter::new(table.clone());
            Delivery::start(table.delivery(policy), client, families, stop)
        }
    })
}

fn cannot_open(target: &ForwardTarget, error: &io::Error) -> anyhow::Error {
    anyhow!("forward: cannot open {target}: {error}")
}

fn refuse_own(target: &Target, listening: &ListenAddresses) -> Result<(), BadSettings> {
    let listening = match target.kind {
        TargetKind::Remote(_, Transport::Udp { .. }) => &listening.datagrams,
        _ => &listening.connections,
    };
    let remote = target.remote();
    let address = remote.and_then(|remote| Some((remote.host.parse().ok()?, remote.port)));
    BadSettings::when(
        address.is_some_and(|(ip, port)| is_own(SocketAddr::new(ip, port), listening)),
        format!("invalid forward target {target}: must not be an address of this collector"),
    )
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
