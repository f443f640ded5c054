//! Replicate: sends datagrams unchanged to other collectors, so that kipfix can be deployed in
//! front of existing tools.
//!
//! A pipeline copies the datagrams of a batch into its [`ReplicaSink`] and hands them over at the
//! end of the batch, to the bounded queue of each target. A thread for each target empties the
//! queue and sends. So receiving waits for no target, takes one lock for each batch and target, and
//! allocates nothing once the buffers have grown.

mod counts;
mod datagrams;
mod replica_url;
mod sender;
mod sockets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use enum_map::{Enum, EnumMap};
use kipfix_export::names::{self, TargetName};
use kipfix_service::exit::{BadSettings, Failure};
use kipfix_service::signals::Stop;
use strum::IntoStaticStr;

use super::double_buffer::{Batch, DoubleBuffer};
use super::own_address::is_own;
use super::{OverflowPolicy, ReadCounts};
use counts::Counts;
use datagrams::Datagrams;
pub use replica_url::{ReplicaUrl, SourceAddress};
use sender::Sender;
use sockets::Sockets;

/// Octets of datagrams after which a sink hands them over, even within a batch.
const STAGE_OCTETS: usize = 256 << 10;
/// The largest payload of a UDP datagram over IPv4. Messages that came over TCP may be longer.
const MAX_DATAGRAM_OCTETS: usize = 65_507;

/// Counts of the datagrams for one target: `sent` + Σ `lost` + `queued` = those received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaCounts {
    /// The target as in the setting.
    pub target: String,
    /// Datagrams handed to the network.
    pub sent: u64,
    /// Octets of those.
    pub sent_octets: u64,
    /// Datagrams lost.
    pub lost: EnumMap<LossReason, u64>,
    /// Datagrams in the queue, or being sent.
    pub queued: u64,
    /// Octets of those.
    pub queued_octets: u64,
    /// Datagrams sent with the collector's source address although the exporter's was to be kept.
    pub source_address_replaced: u64,
}

/// Why a datagram was not replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LossReason {
    /// The queue was full: the target is slower than the exporters.
    QueueFull,
    /// A Message received over TCP is longer than a datagram can be.
    TooLong,
    /// The target's name has no address, or only the collector's own.
    Unresolved,
    /// The operating system refused to send it.
    SendFailed,
}

/// All targets, each with its thread.
#[derive(Debug)]
pub struct Replicator {
    targets: Vec<Target>,
    policy: OverflowPolicy,
}

#[derive(Debug)]
struct Target {
    name: String,
    queue: Arc<TargetQueue>,
    thread: JoinHandle<()>,
}

/// The queue of a target, and its counters.
#[derive(Debug)]
struct TargetQueue {
    datagrams: DoubleBuffer<Datagrams>,
    counts: Counts,
}

impl TargetQueue {
    fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            datagrams: DoubleBuffer::new(bound),
            counts: Counts::default(),
        })
    }

    fn push(&self, staged: &Datagrams, policy: OverflowPolicy) {
        self.datagrams.push(staged, policy, |added| {
            self.counts.on_queued(added, staged.octets_of(added));
            let refused = staged.len().saturating_sub(added);
            self.counts.on_refused(LossReason::QueueFull, refused);
        });
    }
}

impl Replicator {
    /// Starts a thread for each target, each with a queue of `queue_octets`. `listening` are the
    /// addresses of this process, to which nothing may be sent.
    ///
    /// # Errors
    /// A target is this process itself, a permission is missing, or a thread cannot be started.
    pub fn start(
        urls: &[ReplicaUrl],
        queue_octets: u64,
        policy: OverflowPolicy,
        listening: &[SocketAddr],
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let mut targets = Vec::with_capacity(urls.len());
        let mut hosts = Vec::with_capacity(urls.len());
        for url in urls {
            let name = TargetName::new(&url.host, url.port);
            if let Some(address) = name.address()
                && is_own(address, listening)
            {
                let error = "must not be an address of this collector";
                return Err(
                    BadSettings::new(format!("invalid replicate target {url}: {error}")).into(),
                );
            }
            let keeps = keeps_source(url)?;
            tracing::info!(target = %url, source = if keeps { "keep" } else { "own" }, "replicating datagrams");
            let queue = TargetQueue::new(usize::try_from(queue_octets).unwrap_or(usize::MAX));
            hosts.push(name.clone());
            let is_paced = policy == OverflowPolicy::Block;
            let sender = Sender::new(name, Sockets::new(keeps), listening.to_vec(), is_paced);
            let thread = std::thread::Builder::new().name("replicate".into()).spawn({
                let (queue, stop) = (Arc::clone(&queue), stop.clone());
                move || sender.run(&queue.datagrams, &queue.counts, stop)
            });
            targets.push(Target {
                name: url.to_string(),
                queue,
                thread: thread.context("cannot start a thread for a replicate target")?,
            });
        }
        names::watch(hosts, "replicate", policy.first_resolution(), stop)?;
        Ok(Self { targets, policy })
    }

    /// A sink for one pipeline.
    #[must_use]
    pub fn sink(&self) -> ReplicaSink {
        ReplicaSink {
            staged: Datagrams::default(),
            queues: self.targets.iter().map(|t| Arc::clone(&t.queue)).collect(),
            policy: self.policy,
        }
    }

    /// A function that reads the counts.
    #[must_use]
    pub fn counts(&self) -> ReadCounts<Vec<ReplicaCounts>> {
        let targets: Vec<(String, Arc<TargetQueue>)> = self
            .targets
            .iter()
            .map(|target| (target.name.clone(), Arc::clone(&target.queue)))
            .collect();
        Box::new(move || {
            let counts = targets.iter();
            counts
                .map(|(name, queue)| queue.counts.read(name.clone()))
                .collect()
        })
    }

    /// Waits until everything is sent, for `timeout` if there is one. Every [`ReplicaSink`] must be
    /// flushed before.
    ///
    /// # Errors
    /// A thread died.
    pub fn finish(self, timeout: Option<Duration>) -> Result<(), Failure> {
        let mut outcome = Ok(());
        let began = crate::clock::monotonic();
        for target in &self.targets {
            target.queue.datagrams.close();
        }
        for target in self.targets {
            while !target.thread.is_finished()
                && timeout.is_none_or(|timeout| began.elapsed() < timeout)
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            let left = target.queue.counts.queued.load(Ordering::Acquire);
            if !target.thread.is_finished() {
                tracing::error!(
                    target = target.name,
                    datagrams = left,
                    "not all datagrams were replicated"
                );
            } else if target.thread.join().is_err() {
                outcome =
                    Err(anyhow!("the thread of the replicate target {} died", target.name).into());
            }
        }
        outcome
    }
}

/// True if the exporters' source addresses are kept: as requested, or if the kernel permits it.
fn keeps_source(url: &ReplicaUrl) -> Result<bool, Failure> {
    if url.source == SourceAddress::Own {
        return Ok(false);
    }
    match (sockets::check_transparent(), url.source) {
        (Ok(()), _) => Ok(true),
        (Err(error), SourceAddress::Keep) => Err(anyhow!(
            "replicate: {url} cannot keep the exporters' addresses: {error}; grant NET_ADMIN or NET_RAW, or \
             use source=own"
        )
        .into()),
        (Err(error), _) => {
            tracing::warn!(
                target = %url,
                %error,
                "datagrams are sent from an address of this host, because keeping the exporters' needs \
                 NET_ADMIN or NET_RAW; source=own silences this warning"
            );
            Ok(false)
        }
    }
}

/// The datagrams of one pipeline on their way to the targets.
#[derive(Debug)]
pub struct ReplicaSink {
    staged: Datagrams,
    queues: Vec<Arc<TargetQueue>>,
    policy: OverflowPolicy,
}

impl ReplicaSink {
    /// Takes a datagram, or a Message of a connection, from `exporter`.
    pub fn accept(&mut self, exporter: SocketAddr, datagram: &[u8]) {
        if datagram.len() > MAX_DATAGRAM_OCTETS {
            for queue in &self.queues {
                queue.counts.on_refused(LossReason::TooLong, 1);
            }
            return;
        }
        self.staged.push(exporter, datagram);
        if self.staged.size() >= STAGE_OCTETS {
            self.flush();
        }
    }

    /// Hands the datagrams over.
    pub fn flush(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        for queue in &self.queues {
            queue.push(&self.staged, self.policy);
        }
        self.staged.clear();
    }
}

#[cfg(test)]
mod tests {
    use enum_map::enum_map;
    use std::net::UdpSocket;

    use super::*;

    fn start(url: &str, listening: &[SocketAddr]) -> Result<Replicator, Failure> {
        let stop = Stop::new().unwrap();
        let urls = [url.parse().unwrap()];
        Replicator::start(&urls, 1 << 20, OverflowPolicy::Drop, listening, &stop)
    }

    #[test]
    fn a_target_that_is_this_collector_is_refused() {
        for (target, own) in [
            ("udp://127.0.0.1:4739?source=own", "0.0.0.0:4739"),
            ("udp://127.0.0.1:4739?source=own", "[::]:4739"),
            ("udp://[::1]:4739?source=own", "[::]:4739"),
            ("udp://127.0.0.2:4739?source=own", "127.0.0.2:4739"),
        ] {
            let refused = start(target, &[own.parse().unwrap()]).unwrap_err();
            assert_eq!(refused.code(), 64);
            assert!(
                refused.sentence().contains(target),
                "{}",
                refused.sentence()
            );
        }
        for (target, own) in [
            ("udp://127.0.0.1:4740?source=own", "0.0.0.0:4739"),
            ("udp://127.0.0.1:4739?source=own", "127.0.0.2:4739"),
            ("udp://192.0.2.1:4739?source=own", "0.0.0.0:4739"),
        ] {
            start(target, &[own.parse().unwrap()])
                .unwrap()
                .finish(None)
                .unwrap();
        }
    }

    #[test]
    fn datagrams_arrive_as_they_were_and_are_counted() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let port = receiver.local_addr().unwrap().port();
        let replicator = start(&format!("udp://127.0.0.1:{port}?source=own"), &[]).unwrap();
        let mut sink = replicator.sink();
        let exporter = |port| SocketAddr::from(([192, 0, 2, 7], port));
        for number in 0..100_u8 {
            sink.accept(exporter(u16::from(number % 3)), &[number; 100]);
        }
        sink.accept(exporter(1), &vec![0; 70_000]);
        sink.flush();
        let mut sources = Vec::new();
        let mut buffer = [0; 2000];
        for number in 0..100_u8 {
            let (octets, source) = receiver.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..octets], [number; 100]);
            sources.push(source);
        }
        // Transport Sessions stay apart: each exporter has a source port of its own.
        assert!((0..97).all(|at| sources[at] == sources[at + 3]));
        assert_ne!(sources[0], sources[1]);
        let counts = replicator.counts();
        replicator.finish(None).unwrap();
        let [counts] = &counts()[..] else {
            panic!("one target")
        };
        assert_eq!((counts.sent, counts.sent_octets), (100, 10_000));
        assert_eq!(
            (counts.queued, counts.queued_octets, counts.lost),
            (0, 0, enum_map! { LossReason::TooLong => 1, _ => 0 })
        );
    }

    #[test]
    fn a_full_queue_drops_datagrams_and_counts_them() {
        let queue = TargetQueue::new(10_000);
        let mut sink = ReplicaSink {
            staged: Datagrams::default(),
            queues: vec![Arc::clone(&queue)],
            policy: OverflowPolicy::Drop,
        };
        for _ in 0..100 {
            sink.accept(SocketAddr::from(([192, 0, 2, 7], 1)), &[0; 936]);
        }
        sink.flush();
        let counts = queue.counts.read(String::new());
        assert_eq!(
            (counts.queued, counts.lost),
            (10, enum_map! { LossReason::QueueFull => 90, _ => 0 })
        );
    }
}
