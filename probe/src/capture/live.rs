//! Frames of the node's interfaces, with libpcap: a kernel filter on every socket, nonblocking reads in
//! batches, one poll over all of them.
//!
//! A filter is always set, for without one the kernel copies whole packets whatever the snap length is.
//! Immediate mode is never asked for: it costs the traffic three times as much kernel time. libpcap's timeout
//! is no timer with this kind of ring, so poll has one of its own.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{anyhow, bail};
use flowproto::exporter::InterfaceName;
use kipfix_export::own_export::OwnEnd;
use kipfix_service::signals::Stop;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pcap::{Active, Capture, Precision};
use tracing::{info, warn};

use super::filter;
use super::interfaces::{Pattern, select};
use super::netlink::{self, Link};
use super::permission;
use super::savefile::{frame, words};
use crate::cache::{RecordSink, Sighting};
use crate::decode::LinkType;
use crate::metrics::{InterfaceMetrics, Metrics};
use crate::pipeline::Pipeline;

/// Frames read of one interface before the next one has its turn.
const ROUND: usize = 4096;
/// After how many milliseconds the kernel hands over a part of its buffer that is not full.
const KERNEL_TIMEOUT_MS: u8 = 100;
/// How often the interfaces are looked at anew.
const RESCAN: Duration = Duration::from_secs(10);
/// How often counts are published.
const PUBLISH: Duration = Duration::from_secs(1);
/// Packets may be under way in the kernel for so long: the flow cache's clock is kept behind by it.
const CLOCK_LAG: Duration = Duration::from_secs(1);
/// What the kernel still holds at the end is read for at least and at most so long.
const DRAIN: std::ops::Range<Duration> = Duration::from_millis(200)..Duration::from_secs(1);

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// Which interfaces; none: those that lead out of the node.
    pub patterns: Vec<Pattern>,
    /// pcap-filter(7) expression, instead of all IP packets.
    pub filter: Option<String>,
    /// Octets captured of each packet.
    pub snaplen: i32,
    /// Kernel buffer of each interface, octets.
    pub buffer_octets: i32,
    /// Also what is not addressed to the node.
    pub promiscuous: bool,
    /// Interfaces at once, at most.
    pub max_interfaces: usize,
}

/// Captures of all chosen interfaces.
pub struct Live {
    settings: LiveSettings,
    interfaces: Vec<Interface>,
    own_export: Vec<OwnEnd>,
    next_scan: Instant,
    next_publish: Instant,
    /// What was warned about and has not changed since.
    known_problems: HashSet<String>,
    /// Told which interfaces are captured whenever that changes.
    tell: Tell,
}

/// Who wants to know which interfaces are captured.
pub type Tell = Box<dyn Fn(Vec<InterfaceName>) + Send>;

struct Interface {
    name: String,
    kind: String,
    index: u32,
    mtu: u32,
    /// Compared with the source of Ethernet frames to know which way they go.
    mac: Option<[u8; 6]>,
    capture: Capture<Active>,
    link_type: LinkType,
    /// libpcap's count wraps at 32 bits.
    dropped: u32,
    /// Captured since the last publishing: packets, and octets on the wire.
    captured: (u64, u64),
    metrics: InterfaceMetrics,
}

impl Live {
    /// Opens the captures that are to be had now.
    ///
    /// # Errors
    /// No permission, no interface, an interface called by its name that is not there, or a bad filter.
    pub fn open(
        settings: LiveSettings,
        own_export: Vec<OwnEnd>,
        tell: Tell,
        metrics: &mut Metrics,
    ) -> anyhow::Result<Self> {
        let links = netlink::links()?;
        for pattern in &settings.patterns {
            let Some(name) = pattern.name() else { continue };
            match links.iter().find(|link| link.name == name) {
                Some(link) if link.up => {}
                Some(_) => bail!("interface {name} is down; allowed are interfaces that are up"),
                None => bail!(
                    "interface {name} does not exist; there are {}",
                    names(&links)
                ),
            }
        }
        let mut live = Self {
            settings,
            interfaces: Vec::new(),
            own_export,
            next_scan: now(),
            next_publish: now(),
            known_problems: HashSet::new(),
            tell,
        };
        let first_problem = live.scan(metrics)?;
        if live.interfaces.is_empty() {
            return Err(first_problem.unwrap_or_else(|| {
                anyhow!("no interface to capture is up; there are {}", names(&links))
            }));
        }
        // What was named has to work from the start; what a pattern found may come and go.
        if let Some(problem) = first_problem
            && live.settings.patterns.iter().any(|p| p.name().is_some())
        {
            return Err(problem);
        }
        Ok(live)
    }

    /// Meters until the stop. `each_round` is called at least every 100 ms, and may end it by returning
    /// false.
    pub fn run<S: RecordSink>(
        mut self,
        pipeline: &mut Pipeline,
        sink: &mut S,
        stop: &Stop,
        metrics: &mut Metrics,
        mut each_round: impl FnMut(&mut Pipeline, &mut S, &Metrics, bool) -> Option<Vec<OwnEnd>>,
    ) {
        let mut more = false;
        while !stop.is_set() {
            if !more {
                self.wait(stop);
            }
            more = self.read(pipeline, sink, metrics);
            pipeline.tick(wall_clock_ns(CLOCK_LAG), sink);
            let publish = now() >= self.next_publish;
            let changed = {
                let _as_one = publish.then(|| metrics.change());
                if publish {
                    self.next_publish = now() + PUBLISH;
                    self.publish_counts();
                }
                each_round(pipeline, sink, metrics, publish)
            };
            if let Some(own_export) = changed {
                self.leave_out(own_export);
            }
            if now() >= self.next_scan
                && let Err(error) = self.scan(metrics)
            {
                self.complain("interfaces", &error);
            }
        }
        self.drain(pipeline, sink, metrics);
    }

    /// Reads what came in before the stop.
    fn drain(&mut self, pipeline: &mut Pipeline, sink: &mut impl RecordSink, metrics: &Metrics) {
        let since = now();
        loop {
            let more = self.read(pipeline, sink, metrics);
            let elapsed = now() - since;
            if elapsed >= DRAIN.end || (elapsed >= DRAIN.start && !more) {
                break;
            }
            if !more {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.publish_counts();
    }

    /// Waits for frames, the stop, or the end of the kernel's timeout.
    fn wait(&self, stop: &Stop) {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(self.interfaces.len() + 1);
        fds.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        for interface in &self.interfaces {
            fds.push(PollFd::new(interface.capture.as_fd(), PollFlags::POLLIN));
        }
        // Interrupted or failed, the reads that follow tell.
        poll(&mut fds, PollTimeout::from(KERNEL_TIMEOUT_MS)).ok();
    }

    /// One turn of every interface. True if any may have more to read.
    fn read(
        &mut self,
        pipeline: &mut Pipeline,
        sink: &mut impl RecordSink,
        metrics: &Metrics,
    ) -> bool {
        let mut more = false;
        let mut failed = Vec::new();
        for interface in &mut self.interfaces {
            match interface.read(pipeline, sink) {
                Ok(count) => more |= count >= ROUND,
                Err(error) => failed.push((interface.index, words(&error))),
            }
        }
        for (index, problem) in failed {
            self.close(index, &problem, metrics);
        }
        more
    }

    fn close(&mut self, index: u32, problem: &str, metrics: &Metrics) {
        if let Some(at) = self.interfaces.iter().position(|open| open.index == index) {
            let mut closed = self.interfaces.swap_remove(at);
            closed.publish_counts();
            self.next_publish = now();
            metrics.interface_failed();
            metrics.interfaces_captured(self.interfaces.len());
            warn!(
                interface = closed.name,
                problem, "capture ended; looked for again every 10 s"
            );
        }
    }

    /// Opens interfaces that have come, closes those that have gone. Gives the first reason why one could not
    /// be opened.
    fn scan(&mut self, metrics: &mut Metrics) -> anyhow::Result<Option<anyhow::Error>> {
        self.next_scan = now() + RESCAN;
        let links = netlink::links()?;
        let selection = select(
            &links,
            &netlink::default_route_interfaces()?,
            &self.settings.patterns,
        );
        let gone: Vec<u32> = self
            .interfaces
            .iter()
            .map(|open| open.index)
            .filter(|index| !selection.links.iter().any(|link| link.index == *index))
            .collect();
        for index in gone {
            self.close(
                index,
                "the interface is gone, down or no longer chosen",
                metrics,
            );
        }
        let new: Vec<&Link> = selection
            .links
            .into_iter()
            .filter(|link| !self.interfaces.iter().any(|open| open.index == link.index))
            .collect();
        if new.is_empty() {
            return Ok(None);
        }
        let mut first_problem = None;
        let raised = permission::raise()?;
        for link in new {
            if self.interfaces.len() >= self.settings.max_interfaces {
                let bound = self.settings.max_interfaces;
                let problem = anyhow!(
                    "interface {}: {bound} are captured already, as many as max_interfaces allows",
                    link.name
                );
                metrics.interface_failed();
                self.complain(&link.name, &problem);
                continue;
            }
            match Interface::open(link, &self.settings, &self.own_export, metrics) {
                Ok(interface) => {
                    info!(
                        interface = link.name,
                        index = link.index,
                        mtu = link.mtu,
                        chosen = selection.why,
                        "capturing"
                    );
                    self.known_problems.remove(&link.name);
                    self.interfaces.push(interface);
                }
                Err(problem) => {
                    metrics.interface_failed();
                    self.complain(&link.name, &problem);
                    first_problem.get_or_insert(problem);
                }
            }
        }
        drop(raised);
        metrics.interfaces_captured(self.interfaces.len());
        (self.tell)(self.interfaces.iter().map(Interface::named).collect());
        Ok(first_problem)
    }

    /// Says a problem once; the counter says how often.
    fn complain(&mut self, subject: &str, problem: &anyhow::Error) {
        // Names of interfaces are chosen by others and may be ever new ones.
        if self.known_problems.len() < 1024 && self.known_problems.insert(subject.to_owned()) {
            warn!(subject, %problem, "cannot capture; tried again every 10 s");
        }
    }

    /// Leaves out the probe's own export, in the kernel.
    fn leave_out(&mut self, own_export: Vec<OwnEnd>) {
        self.own_export = own_export;
        for interface in &mut self.interfaces {
            let filter = filter::expression(
                interface.link_type,
                self.settings.filter.as_deref(),
                &self.own_export,
            );
            if let Err(error) = interface.capture.filter(&filter, true) {
                warn!(interface = interface.name, %error, "the filter cannot be changed");
            }
        }
    }

    fn publish_counts(&mut self) {
        for interface in &mut self.interfaces {
            interface.publish_counts();
        }
    }
}

impl Interface {
    /// Its row in the interface table: what it is, is its description.
    fn named(&self) -> InterfaceName {
        InterfaceName {
            index: self.index,
            name: self.name.clone(),
            description: self.kind.clone(),
        }
    }

    fn open(
        link: &Link,
        settings: &LiveSettings,
        own_export: &[OwnEnd],
        metrics: &mut Metrics,
    ) -> anyhow::Result<Self> {
        let problem = |error: &pcap::Error| anyhow!("interface {}: {}", link.name, words(error));
        let mut capture = Capture::from_device(link.name.as_str())
            .map(|capture| {
                capture
                    .snaplen(settings.snaplen)
                    .buffer_size(settings.buffer_octets)
                    .promisc(settings.promiscuous)
                    .timeout(i32::from(KERNEL_TIMEOUT_MS))
                    .precision(Precision::Nano)
            })
            .and_then(Capture::open)
            .and_then(Capture::setnonblock)
            .map_err(|error| problem(&error))?;
        let datalink = capture.get_datalink();
        let link_type = LinkType::from_dlt(datalink.0).ok_or_else(|| {
            let kind = datalink
                .get_name()
                .unwrap_or_else(|_| datalink.0.to_string());
            anyhow!("interface {}: link type {kind} is not known", link.name)
        })?;
        let expression = filter::expression(link_type, settings.filter.as_deref(), own_export);
        capture
            .filter(&expression, true)
            .map_err(|error| match &settings.filter {
                Some(given) => anyhow!("filter {given:?}: {}", words(&error)),
                None => problem(&error),
            })?;
        Ok(Self {
            name: link.name.clone(),
            kind: if link.kind.is_empty() {
                "device".to_owned()
            } else {
                link.kind.clone()
            },
            index: link.index,
            mtu: link.mtu,
            mac: link.mac,
            capture,
            link_type,
            dropped: 0,
            captured: (0, 0),
            metrics: metrics.interface(&link.name),
        })
    }

    fn read(
        &mut self,
        pipeline: &mut Pipeline,
        sink: &mut impl RecordSink,
    ) -> Result<usize, pcap::Error> {
        let (link_type, mac) = (self.link_type, self.mac);
        let mut sighting = Sighting {
            interface: self.index,
            egress: false,
            mtu: self.mtu,
        };
        let (mut packets, mut octets) = (0, 0);
        let outcome = self.capture.dispatch(Some(ROUND), |packet| {
            let frame = frame(&packet, link_type);
            packets += 1;
            octets += u64::from(frame.wire_octets);
            sighting.egress = is_egress(frame.captured, link_type, mac);
            pipeline.frame(&frame, sighting, sink);
        });
        self.captured = (self.captured.0 + packets, self.captured.1 + octets);
        outcome
    }

    fn publish_counts(&mut self) {
        let (packets, octets) = std::mem::take(&mut self.captured);
        self.metrics.captured(packets, octets);
        if let Ok(stats) = self.capture.stats() {
            let new = stats.dropped.wrapping_sub(self.dropped);
            self.dropped = stats.dropped;
            self.metrics.dropped(u64::from(new));
        }
    }
}

/// True for a frame that the node sent: from the interface's own address, or marked so by the kernel.
#[inline]
fn is_egress(frame: &[u8], link_type: LinkType, mac: Option<[u8; 6]>) -> bool {
    const OUTGOING: u8 = 4;
    match link_type {
        LinkType::Ethernet => {
            mac.is_some() && frame.get(6..12) == mac.as_ref().map(<[u8; 6]>::as_slice)
        }
        LinkType::LinuxSll => frame.get(1) == Some(&OUTGOING),
        LinkType::LinuxSll2 => frame.get(10) == Some(&OUTGOING),
        _ => false,
    }
}

fn names(links: &[Link]) -> String {
    let names: Vec<_> = links
        .iter()
        .filter(|link| link.up)
        .map(|link| link.name.as_str())
        .collect();
    names.join(", ")
}

#[expect(
    clippy::disallowed_methods,
    reason = "when to poll, scan and publish is of this machine's time"
)]
fn now() -> Instant {
    Instant::now()
}

/// The clock that packets are stamped with, some time ago.
#[expect(
    clippy::disallowed_methods,
    reason = "live capture is where wall time enters"
)]
fn wall_clock_ns(ago: Duration) -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.saturating_sub(ago).as_nanos()).ok())
        .unwrap_or_default()
}
