//! Live capture: the frames of the node's interfaces.
//!
//! Reads are non-blocking and in batches, with one poll over all interfaces. The timeout of libpcap
//! does not limit a read with this kind of kernel buffer, so the poll has a timeout of its own.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use flowproto::exporter::InterfaceName;
use kipfix_export::own_endpoints::OwnEndpoint;
use kipfix_service::signals::Stop;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{info, warn};

use super::clock::wall_clock_ns;
use super::conntrack::{Conntrack, ConntrackEvent, EventTime};
use super::counters::CaptureCounters;
use super::dns_answers::DnsAnswerCapture;
use super::first_packets::FirstPacketCapture;
use super::frame::{CopyDetection, Frame, ObservationPoint};
use super::interface::{CaptureSettings, Interface, KERNEL_TIMEOUT_MS, Round};
use super::interfaces::{Pattern, has_two_sides, outside, select, stacked_pairs};
use super::libpcap::error_message;
use super::live_settings::LiveSettings;
use super::netlink::Link;
use super::pace::Pace;
use super::permission;
use super::scanner::{NodeLinks, Scanner};
use super::share::Share;

/// Frames read from one interface before the next one is read.
const MAX_ROUND_FRAMES: u16 = 4096;
/// Warnings kept to avoid repeating them. Names of interfaces may be any number of strings.
const MAX_REPORTED_PROBLEMS: usize = 1024;
/// At the end, reading what the kernel still holds takes at least and at most this long.
const DRAIN_TIME: std::ops::Range<Duration> = Duration::from_millis(200)..Duration::from_secs(1);

/// The captures of all selected interfaces.
pub struct LiveCapture {
    patterns: Vec<Pattern>,
    max_interfaces: usize,
    settings: CaptureSettings,
    own_endpoints: Vec<OwnEndpoint>,
    interfaces: Vec<Interface>,
    counters: CaptureCounters,
    pace: Pace,
    /// Pairs of captured interfaces that a packet can pass in the same direction.
    stacked: Vec<(u32, u32)>,
    /// Interfaces that lead out of the node.
    outside: Vec<u32>,
    /// Translations can be observed.
    has_two_sides: bool,
    first_packets: Option<FirstPacketCapture>,
    dns_answers: Option<DnsAnswerCapture>,
    conntrack: Option<Conntrack>,
    scanner: Scanner,
    /// Subjects of warnings that still hold.
    reported_problems: HashSet<String>,
}

impl LiveCapture {
    /// Opens a number of captures, each of all selected interfaces that are up.
    ///
    /// # Errors
    /// No permission, no interface, an interface given by name that does not exist, or an invalid
    /// filter.
    pub fn open(
        settings: &LiveSettings,
        own_endpoints: &[OwnEndpoint],
        stop: Stop,
    ) -> anyhow::Result<Vec<Self>> {
        let needs_routes =
            settings.patterns.is_empty() || settings.first_packets.is_some() || settings.conntrack;
        let scanner = Scanner::start(needs_routes, stop)?;
        let node = NodeLinks::scan(needs_routes)?;
        Share::split(settings.captures)
            .map(|share| Self::open_share(settings, share, own_endpoints, &node, scanner.clone()))
            .collect()
    }

    fn open_share(
        settings: &LiveSettings,
        share: Share,
        own_endpoints: &[OwnEndpoint],
        node: &NodeLinks,
        scanner: Scanner,
    ) -> anyhow::Result<Self> {
        let links = &node.links;
        for name in settings.patterns.iter().filter_map(Pattern::name) {
            match links.iter().find(|link| link.name == name) {
                Some(link) if link.up => {}
                Some(_) => bail!("interface {name} is down: must be up"),
                None => bail!(
                    "interface {name} does not exist: must be one of {}",
                    names(links)
                ),
            }
        }
        let conntrack = settings.conntrack.then(Conntrack::open).transpose()?;
        let is_named = settings.patterns.iter().any(|p| p.name().is_some());
        let mut live = Self {
            patterns: settings.patterns.clone(),
            max_interfaces: settings.max_interfaces,
            settings: CaptureSettings {
                filter: settings.filter.clone(),
                snaplen: settings.snaplen,
                buffer_octets: settings.buffer_octets,
                promiscuous: settings.promiscuous,
                payloads: settings.payloads,
                share,
            },
            own_endpoints: own_endpoints.to_vec(),
            interfaces: Vec::new(),
            counters: CaptureCounters::default(),
            pace: Pace::new(u64::try_from(settings.buffer_octets)?),
            stacked: Vec::new(),
            outside: Vec::new(),
            has_two_sides: false,
            first_packets: None,
            dns_answers: None,
            conntrack,
            scanner,
            reported_problems: HashSet::new(),
        };
        let scan = live.apply(node)?;
        if let Some(excluded_ports) = settings.first_packets.clone() {
            live.open_first_packets(excluded_ports)?;
        }
        if settings.payloads.names {
            live.open_dns_answers()?;
        }
        if live.interfaces.is_empty() {
            return Err(scan.first_problem.unwrap_or_else(|| {
                anyhow!("no interface to capture is up: there are {}", names(links))
            }));
        }
        // An interface given by name must work from the start. A pattern may match later.
        match scan.first_problem {
            Some(problem) if is_named => Err(problem),
            _ => Ok(live),
        }
    }

    fn open_first_packets(&mut self, excluded_ports: Vec<u16>) -> anyhow::Result<()> {
        let _raised = permission::raise()?;
        match FirstPacketCapture::open(excluded_ports, &self.own_endpoints) {
            Ok(capture) => self.first_packets = Some(capture),
            Err(problem) => warn!(%problem, "address translations are not learned"),
        }
        self.activate_first_packets();
        Ok(())
    }

    /// Captures first packets while they can show a translation.
    fn activate_first_packets(&mut self) {
        let Some(capture) = &mut self.first_packets else {
            return;
        };
        match capture.set_active(self.has_two_sides) {
            Ok(true) if self.has_two_sides => info!("first packets are captured"),
            Ok(true) => info!("first packets are not captured: no link of pods is up"),
            Ok(false) => {}
            Err(error) => warn!(interface = "any", %error, "cannot change the kernel filter"),
        }
    }

    fn open_dns_answers(&mut self) -> anyhow::Result<()> {
        let _raised = permission::raise()?;
        match DnsAnswerCapture::open() {
            Ok(capture) => self.dns_answers = Some(capture),
            Err(problem) => warn!(%problem, "names that pods resolve are not learned"),
        }
        Ok(())
    }

    /// Pauses while the buffer of the only interface has room, then waits up to 100 ms for frames.
    /// Returns early at the stop.
    pub fn poll(&self, stop: &Stop) {
        let pause = PollTimeout::try_from(self.pace.pause()).unwrap_or(PollTimeout::ZERO);
        if self.interfaces.len() == 1 && pause != PollTimeout::ZERO {
            poll(&mut [PollFd::new(stop.as_fd(), PollFlags::POLLIN)], pause).ok();
        }
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(self.interfaces.len() + 2);
        fds.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        for interface in &self.interfaces {
            fds.push(PollFd::new(interface.as_fd(), PollFlags::POLLIN));
        }
        if let Some(conntrack) = &self.conntrack {
            fds.push(PollFd::new(conntrack.as_fd(), PollFlags::POLLIN));
        }
        // If interrupted or failed, the reads that follow report it.
        poll(&mut fds, PollTimeout::from(KERNEL_TIMEOUT_MS)).ok();
    }

    /// Hands out the first packets that wait, few of the datagrams if the probe does not keep up.
    /// They are to be read before other frames.
    pub fn dispatch_first_packets(&mut self, each: impl FnMut(&Frame<'_>, ObservationPoint)) {
        let now_ns = wall_clock_ns();
        let is_behind = self.pace.is_behind(now_ns);
        if let Some(capture) = &mut self.first_packets
            && let Err(error) = capture.dispatch(now_ns, is_behind, each)
        {
            let problem = error_message(&error);
            warn!(problem, "address translations are not learned any more");
            self.first_packets = None;
        }
    }

    /// Hands out the DNS answers that wait. They are to be read before other frames.
    pub fn dispatch_dns_answers(&mut self, mut each: impl FnMut(&Frame<'_>)) {
        if let Some(capture) = &mut self.dns_answers
            && let Err(error) = capture.dispatch(|frame, _| each(frame))
        {
            let problem = error_message(&error);
            warn!(problem, "names that pods resolve are not learned any more");
            self.dns_answers = None;
        }
    }

    /// Hands out what the kernel reports of translated connections. It is to be read before frames.
    pub fn dispatch_conntrack(&mut self, each: impl FnMut(ConntrackEvent, EventTime)) {
        let now_ns = wall_clock_ns();
        if let Some(conntrack) = &mut self.conntrack
            && let Err(error) = conntrack.dispatch(now_ns, each)
        {
            warn!(%error, "conntrack: address translations are not received any more");
            self.conntrack = None;
        }
    }

    /// True if first packets are captured.
    #[must_use]
    pub const fn has_first_packets(&self) -> bool {
        self.first_packets.is_some()
    }

    /// Interfaces that lead out of the node, captured or not.
    #[must_use]
    pub fn outside(&self) -> &[u32] {
        &self.outside
    }

    /// Hands out the frames that wait, up to a number per interface. True if more may wait.
    pub fn dispatch(&mut self, mut each: impl FnMut(&Frame<'_>, ObservationPoint)) -> bool {
        let mut more = false;
        let mut all = Round::default();
        let mut failed = Vec::new();
        let copies = if self.interfaces.len() > 1 {
            CopyDetection::ByInterface
        } else {
            CopyDetection::Off
        };
        for interface in &mut self.interfaces {
            let (round, outcome) =
                interface.dispatch(usize::from(MAX_ROUND_FRAMES), copies, &mut each);
            if let Some(counters) = self.counters.of(interface.name()) {
                counters.frames += round.frames;
                counters.octets += round.octets;
            }
            all.add(round);
            match outcome {
                Ok(()) => more |= round.frames >= u64::from(MAX_ROUND_FRAMES),
                Err(error) => failed.push((interface.index(), error_message(&error))),
            }
        }
        for (index, problem) in failed {
            self.close(index, &problem);
        }
        self.pace.add(all, more, wall_clock_ns());
        more
    }

    /// Hands out what was captured before the stop.
    pub fn drain(&mut self, mut each: impl FnMut(&Frame<'_>, ObservationPoint)) {
        let start = now();
        loop {
            let more = self.dispatch(&mut each);
            let elapsed = now() - start;
            if elapsed >= DRAIN_TIME.end || (elapsed >= DRAIN_TIME.start && !more) {
                return;
            }
            if !more {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Counts so far, including what the kernel dropped.
    pub fn counters(&mut self) -> &CaptureCounters {
        for interface in &mut self.interfaces {
            if let Some(counters) = self.counters.of(interface.name()) {
                counters.dropped += interface.take_dropped();
            }
        }
        if let Some(capture) = &mut self.first_packets {
            (
                self.counters.first_packets,
                self.counters.first_packets_left_out,
            ) = capture.counters();
        }
        if let Some(capture) = &mut self.dns_answers {
            self.counters.dns_answers = capture.counters();
        }
        if let Some(conntrack) = &self.conntrack {
            self.counters.conntrack = conntrack.counters();
        }
        self.counters.open = self.interfaces.len();
        &self.counters
    }

    /// The interfaces that are captured now.
    pub fn interfaces(&self) -> Vec<InterfaceName> {
        self.interfaces.iter().map(Interface::row).collect()
    }

    /// Excludes the probe's own export in the kernel, on interfaces that are opened later. Open
    /// ones keep their filter: libpcap discards the packets that arrive while it replaces one. The
    /// pipeline excludes what they deliver.
    pub fn exclude(&mut self, own_endpoints: Vec<OwnEndpoint>) {
        self.own_endpoints = own_endpoints;
        if let Some(capture) = &mut self.first_packets
            && let Err(error) = capture.exclude(&self.own_endpoints)
        {
            warn!(interface = "any", %error, "cannot change the kernel filter");
        }
    }

    /// Opens interfaces that have appeared and closes those that have disappeared, according to the
    /// latest scan. True if there were any.
    pub fn rescan(&mut self) -> bool {
        let Some(scan) = self.scanner.take() else {
            return false;
        };
        let outcome = match &*scan {
            Ok(node) => self.apply(node),
            Err(error) => Err(anyhow!("cannot list interfaces: {error}")),
        };
        match outcome {
            Ok(outcome) => outcome.changed,
            Err(error) => {
                self.warn_once("interfaces", &error);
                false
            }
        }
    }

    /// Pairs of interfaces that a packet can pass in the same direction.
    #[must_use]
    pub fn stacked(&self) -> &[(u32, u32)] {
        &self.stacked
    }

    fn apply(&mut self, node: &NodeLinks) -> anyhow::Result<ScanOutcome> {
        let outcome = self.follow(node)?;
        let captured: Vec<u32> = self.interfaces.iter().map(Interface::index).collect();
        self.stacked = stacked_pairs(&node.links, &captured);
        let outside = outside(&node.links, &node.default_routes);
        self.has_two_sides = has_two_sides(&node.links, &outside);
        self.activate_first_packets();
        let changed = outcome.changed || outside != self.outside;
        self.outside = outside;
        Ok(ScanOutcome { changed, ..outcome })
    }

    /// Opens and closes interfaces.
    fn follow(&mut self, node: &NodeLinks) -> anyhow::Result<ScanOutcome> {
        let selection = select(&node.links, &node.default_routes, &self.patterns);
        let mut outcome = ScanOutcome::default();
        let gone: Vec<u32> = self
            .interfaces
            .iter()
            .map(Interface::index)
            .filter(|index| !selection.links.iter().any(|link| link.index == *index))
            .collect();
        for index in gone {
            outcome.changed = true;
            self.close(index, "the interface is gone, down or no longer selected");
        }
        let new: Vec<&Link> = selection
            .links
            .into_iter()
            .filter(|link| {
                !self
                    .interfaces
                    .iter()
                    .any(|open| open.index() == link.index)
            })
            .collect();
        if new.is_empty() {
            return Ok(outcome);
        }
        let _raised = permission::raise()?;
        for link in new {
            if self.interfaces.len() >= self.max_interfaces {
                let limit = self.max_interfaces;
                let problem = anyhow!("interface {}: max_interfaces {limit} reached", link.name);
                self.counters.failures += 1;
                self.warn_once(&link.name, &problem);
                continue;
            }
            match Interface::open(link, &self.settings, &self.own_endpoints) {
                Ok(interface) => {
                    if self.settings.share.is_first() {
                        info!(
                            interface = link.name,
                            index = link.index,
                            mtu = link.mtu,
                            selected = selection.reason,
                            "capturing"
                        );
                    }
                    outcome.changed = true;
                    self.reported_problems.remove(&link.name);
                    self.interfaces.push(interface);
                }
                Err(problem) => {
                    self.counters.failures += 1;
                    self.warn_once(&link.name, &problem);
                    outcome.first_problem.get_or_insert(problem);
                }
            }
        }
        Ok(outcome)
    }

    fn close(&mut self, index: u32, problem: &str) {
        let Some(at) = self
            .interfaces
            .iter()
            .position(|open| open.index() == index)
        else {
            return;
        };
        let mut closed = self.interfaces.swap_remove(at);
        if let Some(counters) = self.counters.of(closed.name()) {
            counters.dropped += closed.take_dropped();
        }
        self.counters.failures += 1;
        warn!(
            interface = closed.name(),
            problem, "capture ended, retrying every 10 s"
        );
    }

    /// Logs a problem once. The counter has every occurrence.
    fn warn_once(&mut self, subject: &str, problem: &anyhow::Error) {
        if self.reported_problems.len() < MAX_REPORTED_PROBLEMS
            && self.reported_problems.insert(subject.to_owned())
        {
            warn!(subject, %problem, "cannot capture, retrying every 10 s");
        }
    }
}

/// What a look at the node's interfaces changed.
#[derive(Default)]
struct ScanOutcome {
    /// Captures were opened or closed.
    changed: bool,
    /// The first reason why a capture could not be opened.
    first_problem: Option<anyhow::Error>,
}

/// Names of the links that are up.
fn names(links: &[Link]) -> String {
    let up = links.iter().filter(|link| link.up);
    up.map(|link| link.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

#[expect(
    clippy::disallowed_methods,
    reason = "when to look at interfaces depends on this machine's time"
)]
fn now() -> Instant {
    Instant::now()
}
