//! The capture of one interface by libpcap.
//!
//! A kernel filter is always set: without one the kernel copies whole packets, whatever the snap
//! length is. Immediate mode is never requested: it triples the kernel time per packet.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{anyhow, bail};
use flowproto::exporter::InterfaceName;
use kipfix_export::own_endpoints::OwnEndpoint;
use pcap::{Active, Capture, Precision};
use tracing::warn;

use super::clock::wall_clock_ns;
use super::filter;
use super::frame::{CopyDetection, Frame, LinkType, ObservationPoint};
use super::libpcap::{error_message, frame, link_type_name};
use super::netlink::Link;
use super::payload_filter::{self, Payloads};
use super::share::Share;

/// The kernel hands over a partly filled block of its buffer after this many milliseconds.
pub(super) const KERNEL_TIMEOUT_MS: u8 = 100;

/// How interfaces are captured.
#[derive(Clone, Debug)]
pub(super) struct CaptureSettings {
    /// pcap-filter(7) expression. Default: all IP packets.
    pub(super) filter: Option<String>,
    /// Octets captured of each frame.
    pub(super) snaplen: i32,
    /// Kernel buffer of an interface, octets.
    pub(super) buffer_octets: i32,
    /// Capture frames that are not addressed to the node, too.
    pub(super) promiscuous: bool,
    /// Payloads of which more octets are captured.
    pub(super) payloads: Payloads,
    /// The packets that are captured.
    pub(super) share: Share,
}

/// An interface with an open capture.
pub(super) struct Interface {
    link: Link,
    capture: Capture<Active>,
    link_type: LinkType,
    /// When the observation started, or had its last gap, nanoseconds since the epoch.
    start_ns: u64,
    /// Kernel drops at the last query. libpcap's counter wraps at 32 bits.
    dropped: u32,
}

/// What one round of reading an interface yielded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// Frames.
    pub(super) frames: u64,
    /// Octets of those frames on the wire.
    pub(super) octets: u64,
    /// Octets of those frames that were captured.
    pub(super) captured_octets: u64,
}

impl Round {
    /// Adds the round of another interface.
    pub(super) const fn add(&mut self, other: Self) {
        self.frames = self.frames.saturating_add(other.frames);
        self.octets = self.octets.saturating_add(other.octets);
        self.captured_octets = self.captured_octets.saturating_add(other.captured_octets);
    }
}

impl Interface {
    /// Opens the capture of an interface.
    ///
    /// # Errors
    /// Missing permission, an unsupported link type, or an invalid filter.
    pub(super) fn open(
        link: &Link,
        settings: &CaptureSettings,
        own_endpoints: &[OwnEndpoint],
    ) -> anyhow::Result<Self> {
        let payload_snaplen = i32::try_from(settings.payloads.snaplen())?;
        if settings.payloads.is_empty() || settings.snaplen >= payload_snaplen {
            return Self::open_with(link, settings, own_endpoints);
        }
        let longer = CaptureSettings {
            snaplen: payload_snaplen,
            ..settings.clone()
        };
        let opened = Self::open_with(link, &longer, own_endpoints)?;
        match opened.shorten(settings, own_endpoints) {
            Ok(()) => Ok(opened),
            Err(problem) => {
                let interface = &link.name;
                warn!(interface, %problem, "payloads are captured up to the snap length only");
                Self::open_with(link, settings, own_endpoints)
            }
        }
    }

    /// Limits other packets than those with payloads to the snap length.
    fn shorten(
        &self,
        settings: &CaptureSettings,
        own_endpoints: &[OwnEndpoint],
    ) -> std::io::Result<()> {
        if matches!(self.link_type, LinkType::LinuxSll | LinkType::LinuxSll2) {
            // libpcap makes the header of such frames, which the kernel does not know.
            return Err(std::io::Error::other("cooked link type"));
        }
        let given = settings.filter.as_deref();
        let expression = filter::expression(self.link_type, given, own_endpoints, settings.share);
        let snaplen = u32::try_from(settings.snaplen).map_err(std::io::Error::other)?;
        payload_filter::attach(&self.capture, &expression, settings.payloads, snaplen)
    }

    fn open_with(
        link: &Link,
        settings: &CaptureSettings,
        own_endpoints: &[OwnEndpoint],
    ) -> anyhow::Result<Self> {
        let failure =
            |error: &pcap::Error| anyhow!("interface {}: {}", link.name, error_message(error));
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
            .map_err(|error| failure(&error))?;
        let datalink = capture.get_datalink();
        let link_type = LinkType::from_dlt(datalink.0);
        if matches!(link_type, LinkType::Offline(_) | LinkType::Unsupported) {
            let name = link_type_name(datalink);
            bail!("interface {}: unsupported link type {name}", link.name);
        }
        let expression = filter::expression(
            link_type,
            settings.filter.as_deref(),
            own_endpoints,
            settings.share,
        );
        capture
            .filter(&expression, true)
            .map_err(|error| match &settings.filter {
                Some(given) => anyhow!("filter {given:?}: {}", error_message(&error)),
                None => failure(&error),
            })?;
        Ok(Self {
            link: link.clone(),
            capture,
            link_type,
            start_ns: wall_clock_ns(),
            dropped: 0,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.link.name
    }

    pub(super) const fn index(&self) -> u32 {
        self.link.index
    }

    /// Its row in the interface table of the export.
    pub(super) fn row(&self) -> InterfaceName {
        let kind = self.link.kind.as_str();
        InterfaceName {
            index: self.link.index,
            name: self.link.name.clone(),
            description: if kind.is_empty() { "device" } else { kind }.to_owned(),
        }
    }

    /// Hands out up to `max_frames` frames that wait in the kernel's buffer.
    pub(super) fn dispatch(
        &mut self,
        max_frames: usize,
        copies: CopyDetection,
        each: &mut impl FnMut(&Frame<'_>, ObservationPoint),
    ) -> (Round, Result<(), pcap::Error>) {
        let (link_type, mac) = (self.link_type, self.link.mac);
        let mut point = ObservationPoint {
            interface: self.link.index,
            egress: false,
            mtu: self.link.mtu,
            start_ns: self.start_ns,
            copies,
        };
        let mut round = Round::default();
        let outcome = self.capture.dispatch(Some(max_frames), |packet| {
            let frame = frame(&packet, link_type);
            round.frames += 1;
            round.octets += u64::from(frame.wire_octets);
            round.captured_octets += u64::from(packet.header.caplen);
            point.egress = is_egress(frame.captured, link_type, mac);
            each(&frame, point);
        });
        (round, outcome.map(drop))
    }

    /// Frames that the kernel dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        let Ok(stats) = self.capture.stats() else {
            return 0;
        };
        let new = stats.dropped.wrapping_sub(self.dropped);
        self.dropped = stats.dropped;
        if new > 0 {
            // The first packet of a conversation may be among the dropped ones.
            self.start_ns = wall_clock_ns();
        }
        u64::from(new)
    }
}

impl AsFd for Interface {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.capture.as_fd()
    }
}

/// True for a frame that the node sent: from the interface's own address, or marked by the kernel.
#[inline]
fn is_egress(frame: &[u8], link_type: LinkType, mac: Option<[u8; 6]>) -> bool {
    match link_type {
        LinkType::Ethernet => {
            mac.is_some() && frame.get(6..12) == mac.as_ref().map(<[u8; 6]>::as_slice)
        }
        _ => link_type.is_outgoing(frame),
    }
}
