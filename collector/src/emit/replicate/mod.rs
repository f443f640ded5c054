//! Replicate: datagrams as they came, to other collectors, so that this one can stand in front of tools that
//! people already have.
//!
//! A worker copies the datagrams of a batch into its [`Stage`] and hands them over at the batch's end, to the
//! bounded `Mailbox` of each target; a thread for each target empties it and sends. So receiving waits for
//! no target, takes one lock a batch and target, and allocates nothing once the buffers have grown.

mod counts;
mod datagrams;
mod sender;
mod sockets;
mod url;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kipfix_export::names::TargetName;
use kipfix_service::exit::Failure;
use kipfix_service::signals::Stop;

use super::mailbox::{Load, Mailbox};
use super::{Patience, is_own};
use counts::Counts;
use datagrams::Datagrams;
use sender::Sender;
use sockets::Sockets;
pub use url::{ReplicaUrl, SourceAddress};

/// Datagrams of a stage are handed over when they are so many octets, even within a batch.
const STAGE_OCTETS: usize = 256 << 10;
/// The largest payload of a UDP datagram over IPv4. Messages that came over TCP may be longer.
const LONGEST_DATAGRAM: usize = 65_507;

/// What became of the datagrams for one target: those staged = sent + Σ lost + queued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaCounts {
    /// The target, as it was given.
    pub target: String,
    /// Datagrams handed to the network.
    pub sent: u64,
    /// Octets of those.
    pub sent_octets: u64,
    /// Datagrams lost, by [`Lost`] as in [`Lost::ALL`].
    pub lost: [u64; 4],
    /// Datagrams that wait, or are being sent.
    pub queued: u64,
    /// Octets of those.
    pub queued_octets: u64,
    /// Of the sent ones, those sent from an address of our own though the exporter's was to be kept.
    pub readdressed: u64,
}

/// Why a datagram was not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The target was slower than the exporters.
    QueueFull,
    /// A Message that came over TCP and is longer than a datagram may be.
    TooLong,
    /// The target's name has no address yet, or only ours.
    Unresolved,
    /// The system refused to send it.
    SendFailed,
}

impl Lost {
    /// All reasons, in the order of [`ReplicaCounts::lost`].
    pub const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::TooLong,
        Self::Unresolved,
        Self::SendFailed,
    ];

    /// The reason as a metric's label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLong => "too_long",
            Self::Unresolved => "unresolved",
            Self::SendFailed => "send_failed",
        }
    }
}

/// All targets, each with its thread.
#[derive(Debug)]
pub struct Replicator {
    targets: Vec<Target>,
    patience: Patience,
}

#[derive(Debug)]
struct Target {
    name: String,
    line: Arc<Line>,
    thread: JoinHandle<()>,
}

/// What waits for a target, and what becomes of it.
#[derive(Debug)]
struct Line {
    mailbox: Mailbox<Datagrams>,
    counts: Counts,
}

impl Line {
    fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            mailbox: Mailbox::new(bound),
            counts: Counts::default(),
        })
    }

    fn put(&self, staged: &Datagrams, patience: Patience) {
        self.mailbox.put(staged, patience, |taken| {
            self.counts.queue(taken, staged.octets_of(taken));
            self.counts
                .lose(Lost::QueueFull, staged.len().saturating_sub(taken));
        });
    }
}

impl Replicator {
    /// Starts a thread for each target. `queue_octets`: what may wait for each. `listening`: where this
    /// process receives, since what is sent there would come round for ever.
    ///
    /// # Errors
    /// A target is this process itself, asks for a right that is missing, or no thread starts.
    pub fn start(
        urls: &[ReplicaUrl],
        queue_octets: u64,
        patience: Patience,
        listening: &[SocketAddr],
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let mut targets = Vec::with_capacity(urls.len());
        let mut names = Vec::with_capacity(urls.len());
        for url in urls {
            let name = TargetName::new(&url.host, url.port);
            if let Some(address) = name.address()
                && is_own(address, listening)
            {
                return Err(Failure::BadSettings(format!(
                    "replicate: {url} is where this collector listens itself: datagrams would go round for \
                     ever; allowed is any other target"
                )));
            }
            let keeps = keeps_source(url)?;
            tracing::info!(target = %url, source = if keeps { "keep" } else { "own" }, "replicating datagrams");
            let line = Line::new(usize::try_from(queue_octets).unwrap_or(usize::MAX));
            names.push(name.clone());
            let is_paced = patience == Patience::Wait;
            let sender = Sender::new(name, Sockets::new(keeps), listening.to_vec(), is_paced);
            let thread = std::thread::Builder::new().name("replicate".into()).spawn({
                let (line, stop) = (Arc::clone(&line), stop.clone());
                move || sender.run(&line.mailbox, &line.counts, stop)
            });
            targets.push(Target {
                name: url.to_string(),
                line,
                thread: thread.context("no thread for a target of replicate")?,
            });
        }
        super::look_up(names, "replicate", patience, stop)?;
        Ok(Self { targets, patience })
    }

    /// Where one worker puts its datagrams.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage {
            staged: Datagrams::default(),
            lines: self.targets.iter().map(|t| Arc::clone(&t.line)).collect(),
            patience: self.patience,
        }
    }

    /// Reads the counts whenever they are asked for.
    pub fn counts(&self) -> impl Fn() -> Vec<ReplicaCounts> + Send + Sync + use<> {
        let targets: Vec<(String, Arc<Line>)> = self
            .targets
            .iter()
            .map(|target| (target.name.clone(), Arc::clone(&target.line)))
            .collect();
        move || {
            let counts = targets.iter();
            counts
                .map(|(name, line)| line.counts.read(name.clone()))
                .collect()
        }
    }

    /// Waits until everything handed over is sent, for `patience` if there is one. Every [`Stage`] must be
    /// flushed before.
    ///
    /// # Errors
    /// A thread died.
    pub fn finish(self, patience: Option<Duration>) -> Result<(), Failure> {
        let mut outcome = Ok(());
        let began = crate::live::monotonic();
        for target in &self.targets {
            target.line.mailbox.close();
        }
        for target in self.targets {
            while !target.thread.is_finished()
                && patience.is_none_or(|patience| began.elapsed() < patience)
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            let left = target.line.counts.queued.load(Ordering::Acquire);
            if !target.thread.is_finished() {
                tracing::error!(
                    target = target.name,
                    datagrams = left,
                    "not all datagrams were passed on"
                );
            } else if target.thread.join().is_err() {
                outcome = Err(anyhow!("the thread that replicates to {} died", target.name).into());
            }
        }
        outcome
    }
}

/// Whether the exporters' source addresses are kept: as asked for, or if the kernel lets us.
fn keeps_source(url: &ReplicaUrl) -> Result<bool, Failure> {
    if url.source == SourceAddress::Own {
        return Ok(false);
    }
    match (sockets::may_keep_source(), url.source) {
        (Ok(()), _) => Ok(true),
        (Err(error), SourceAddress::Keep) => Err(anyhow!(
            "replicate: {url} cannot keep the exporters' addresses: {error}; give the process the right \
             NET_ADMIN or NET_RAW, or use source=own"
        )
        .into()),
        (Err(error), _) => {
            tracing::warn!(
                target = %url,
                %error,
                "datagrams are passed on from an address of this host, since keeping the exporters' takes \
                 NET_ADMIN or NET_RAW; source=own says that this is meant"
            );
            Ok(false)
        }
    }
}

/// Datagrams of one worker on their way to the targets.
#[derive(Debug)]
pub struct Stage {
    staged: Datagrams,
    lines: Vec<Arc<Line>>,
    patience: Patience,
}

impl Stage {
    /// Puts a datagram of `exporter` in line.
    pub fn add(&mut self, exporter: SocketAddr, datagram: &[u8]) {
        if datagram.len() > LONGEST_DATAGRAM {
            for line in &self.lines {
                line.counts.lose(Lost::TooLong, 1);
            }
            return;
        }
        self.staged.push(exporter, datagram);
        if self.staged.size() >= STAGE_OCTETS {
            self.flush();
        }
    }

    /// Hands over what there is. To be called after every batch.
    pub fn flush(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        for line in &self.lines {
            line.put(&self.staged, self.patience);
        }
        self.staged.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn start(url: &str, listening: &[SocketAddr]) -> Result<Replicator, Failure> {
        let stop = Stop::new().unwrap();
        let urls = [url.parse().unwrap()];
        Replicator::start(&urls, 1 << 20, Patience::Drop, listening, &stop)
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
        let mut stage = replicator.stage();
        let exporter = |port| SocketAddr::from(([192, 0, 2, 7], port));
        for number in 0..100_u8 {
            stage.add(exporter(u16::from(number % 3)), &[number; 100]);
        }
        stage.add(exporter(1), &vec![0; 70_000]);
        stage.flush();
        let mut sources = Vec::new();
        let mut buffer = [0; 2000];
        for number in 0..100_u8 {
            let (octets, source) = receiver.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..octets], [number; 100]);
            sources.push(source);
        }
        // Who is scoped by source port stays apart, one port an exporter.
        assert!((0..97).all(|at| sources[at] == sources[at + 3]));
        assert_ne!(sources[0], sources[1]);
        let counts = replicator.counts();
        replicator.finish(None).unwrap();
        let [counts] = &counts()[..] else {
            panic!("one target")
        };
        assert_eq!((counts.sent, counts.sent_octets), (100, 10_000));
        assert_eq!(
            (counts.lost, counts.queued, counts.queued_octets),
            ([0, 1, 0, 0], 0, 0)
        );
    }

    #[test]
    fn a_target_that_is_too_slow_loses_datagrams_and_counts_them() {
        let line = Line::new(10_000);
        let mut stage = Stage {
            staged: Datagrams::default(),
            lines: vec![Arc::clone(&line)],
            patience: Patience::Drop,
        };
        for _ in 0..100 {
            stage.add(SocketAddr::from(([192, 0, 2, 7], 1)), &[0; 936]);
        }
        stage.flush();
        let counts = line.counts.read(String::new());
        assert_eq!((counts.queued, counts.lost), (10, [90, 0, 0, 0]));
    }
}
