//! The socket of a UDP target, and the outcome of what it sends.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use flowproto::exporter::{OutgoingMessage, Weight};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::net::sockopt;
use socket2::SockRef;
use tracing::{info, warn};

use super::UdpSettings;
use crate::clock::monotonic;
use crate::counters::{LossReason, to_u64};
use crate::destination::Destination;
use crate::own_endpoints::OwnEndpoint;
use crate::rate_limit::RateLimit;

/// Requested send buffer, octets. The kernel limits it to `net.core.wmem_max`.
const SEND_BUFFER_OCTETS: usize = 4 << 20;
/// How long to wait for room in the send buffer, for a savefile.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval between attempts to open a socket.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before a send is retried.
const SEND_RETRY_INTERVAL: Duration = Duration::from_millis(1);
/// A receiver whose port was closed may come back without its templates, and a Message that was not
/// sent may have had them. They are sent at this interval …
const TEMPLATE_REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// … for this long after the last failure. Hosts refuse about once per second, not every datagram.
const TEMPLATE_REFRESH_TIME: Duration = Duration::from_secs(10);
/// Minimum length of Messages, octets. A longer one may be fragmented if the path requires it (RFC
/// 7011 §10.3.3).
const MIN_MESSAGE_OCTETS: usize = 512;
/// IP and UDP headers before a Message.
const HEADERS_V4: usize = 20 + 8;
const HEADERS_V6: usize = 40 + 8;

/// Sends Messages to a UDP target and counts their outcome.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) destination: Destination,
    socket: Option<ConnectedSocket>,
    /// Kept over reconnections, so that the Transport Session stays the same.
    source_port: u16,
    open_attempt: Option<Instant>,
    rate_limit: Option<RateLimit>,
    wait: bool,
    /// The last Message, which is lost if the next send reports a refusal.
    unsettled: Option<(Weight, u64)>,
    warned: bool,
    /// A Message was longer than the path MTU.
    pub(super) too_long: bool,
    /// Time of the last failure, and of the last template refresh for it.
    failed: Option<Instant>,
    refreshed: Option<Instant>,
}

#[derive(Debug)]
struct ConnectedSocket {
    socket: UdpSocket,
    remote: SocketAddr,
    local: SocketAddr,
}

impl Sender {
    pub(super) fn new(destination: Destination, settings: UdpSettings) -> Self {
        let deadline = destination.deadline.clone();
        Self {
            destination,
            socket: None,
            source_port: settings.source_port,
            open_attempt: None,
            rate_limit: RateLimit::new(settings.records_per_second, deadline),
            wait: settings.wait,
            unsettled: None,
            warned: false,
            too_long: false,
            failed: None,
            refreshed: None,
        }
    }

    pub(super) fn host(&self) -> &str {
        self.destination.name.host()
    }

    pub(super) const fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        self.socket.as_ref().map(|open| open.local)
    }

    /// True if the target has another address than the socket.
    pub(super) fn has_moved(&self) -> bool {
        match (&self.socket, self.destination.name.address()) {
            (Some(open), Some(remote)) => open.remote != remote,
            _ => false,
        }
    }

    /// Opens the socket, or another one if the target has moved. True if it did.
    pub(super) fn connect(&mut self) -> bool {
        let Some(remote) = self.destination.name.address() else {
            return false;
        };
        if self
            .socket
            .as_ref()
            .is_some_and(|open| open.remote == remote)
        {
            return false;
        }
        let now = monotonic();
        let is_recent = |attempt: Instant| now - attempt < REOPEN_INTERVAL;
        if self.open_attempt.is_some_and(is_recent) {
            return false;
        }
        self.open_attempt = Some(now);
        self.disconnect();
        match ConnectedSocket::open(remote, self.source_port) {
            Ok(open) => {
                info!(to = %remote, source = %open.local, "exporting");
                self.destination
                    .own_endpoints
                    .replace(None, Some(OwnEndpoint::udp(open.local)));
                self.source_port = open.local.port();
                self.socket = Some(open);
                self.destination.counters.connected();
                self.warned = false;
                true
            }
            Err(error) => {
                self.warn_once("cannot open a socket to the export target", &error);
                false
            }
        }
    }

    pub(super) fn disconnect(&mut self) {
        if let Some(open) = self.socket.take() {
            self.destination
                .own_endpoints
                .replace(Some(OwnEndpoint::udp(open.local)), None);
            self.destination.counters.disconnected();
        }
    }

    pub(super) fn send(&mut self, message: OutgoingMessage<'_>) {
        let weight = message.weight;
        let Some(open) = &self.socket else {
            let reason = self.destination.unavailable();
            self.destination.counters.lost(reason, weight);
            return;
        };
        if let Some(limit) = &mut self.rate_limit {
            limit.wait_for(weight.records);
        }
        let mut outcome = open.socket.send(message.octets);
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::ConnectionRefused
        {
            // The refusal is that of the previous Message, and this one was not sent.
            let refused = io::Error::from(ErrorKind::ConnectionRefused);
            outcome = open.socket.send(message.octets);
            self.settle(Some(&refused));
        }
        if self.wait {
            outcome = self.wait_for_room(message.octets, outcome);
        }
        match outcome {
            Ok(octets) => {
                self.settle(None);
                self.unsettled = Some((weight, to_u64(octets)));
            }
            Err(error) => {
                self.settle(None);
                let reason = loss_reason(&error);
                self.too_long |= reason == LossReason::TooLong;
                self.failed = Some(monotonic());
                self.destination.counters.lost(reason, weight);
                self.warn_once("cannot send to the export target", &error);
            }
        }
    }

    /// Sends again as soon as the kernel has room.
    fn wait_for_room(&self, octets: &[u8], mut outcome: io::Result<usize>) -> io::Result<usize> {
        let Some(open) = &self.socket else {
            return outcome;
        };
        let start = monotonic();
        while let Err(error) = &outcome
            && loss_reason(error) == LossReason::SendBufferFull
            && monotonic() - start < ROOM_TIMEOUT
            && !self.destination.deadline.is_over()
        {
            let mut fds = [PollFd::new(open.socket.as_fd(), PollFlags::POLLOUT)];
            // ENOBUFS, unlike EAGAIN, cannot be polled for. In both cases the send is retried.
            poll(&mut fds, PollTimeout::from(10_u8)).ok();
            std::thread::sleep(SEND_RETRY_INTERVAL);
            outcome = open.socket.send(octets);
        }
        outcome
    }

    /// Settles the last Message by the pending error of the socket.
    pub(super) fn settle_pending(&mut self) {
        let error = self
            .socket
            .as_ref()
            .and_then(|open| open.socket.take_error().ok().flatten());
        self.settle(error.as_ref());
    }

    fn settle(&mut self, error: Option<&io::Error>) {
        if let Some((weight, octets)) = self.unsettled.take() {
            match error {
                None => self.destination.counters.message_sent(weight, octets),
                Some(error) => self.destination.counters.lost(loss_reason(error), weight),
            }
        }
        if let Some(error) = error {
            self.failed = Some(monotonic());
            self.warn_once("the export target refuses", error);
        }
    }

    /// True once per second for a while after a failure.
    pub(super) fn needs_template_refresh(&mut self) -> bool {
        let now = monotonic();
        let within = |time: Option<Instant>, span| time.is_some_and(|time| now - time < span);
        let due = within(self.failed, TEMPLATE_REFRESH_TIME)
            && !within(self.refreshed, TEMPLATE_REFRESH_INTERVAL);
        if due {
            self.refreshed = Some(now);
        }
        due
    }

    /// Logs a problem once. The counters have every occurrence.
    fn warn_once(&mut self, problem: &'static str, error: &io::Error) {
        if !self.warned {
            self.warned = true;
            let to = self.destination.name.address().map(tracing::field::display);
            warn!(to, %error, "{problem} (logged once, see target_records_lost_total)");
        }
    }

    /// Maximum length of a Message on the path, octets; `None` if the kernel does not know.
    pub(super) fn path_message_octets(&self) -> Option<usize> {
        let open = self.socket.as_ref()?;
        let (mtu, headers) = if open.remote.is_ipv4() {
            (sockopt::ip_mtu(&open.socket), HEADERS_V4)
        } else {
            (sockopt::ipv6_mtu(&open.socket), HEADERS_V6)
        };
        let mtu = usize::try_from(mtu.ok()?).ok()?;
        Some(mtu.saturating_sub(headers).max(MIN_MESSAGE_OCTETS))
    }

    /// Sends over another socket. Returns the previous one.
    #[cfg(test)]
    pub(super) fn replace_socket(&mut self, socket: UdpSocket) -> Option<UdpSocket> {
        let open = self.socket.as_mut()?;
        Some(std::mem::replace(&mut open.socket, socket))
    }

    /// Permits another attempt to open a socket at once.
    #[cfg(test)]
    pub(super) fn forget_attempt(&mut self) {
        self.open_attempt = None;
    }
}

impl ConnectedSocket {
    fn open(remote: SocketAddr, source_port: u16) -> io::Result<Self> {
        let any = |port| {
            if remote.is_ipv4() {
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
            } else {
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
            }
        };
        // If the port is in use, any other will do.
        let socket = UdpSocket::bind(any(source_port)).or_else(|error| match source_port {
            0 => Err(error),
            _ => UdpSocket::bind(any(0)),
        })?;
        socket.set_nonblocking(true)?;
        // A smaller buffer is sufficient to start with.
        SockRef::from(&socket)
            .set_send_buffer_size(SEND_BUFFER_OCTETS)
            .ok();
        socket.connect(remote)?;
        let local = socket.local_addr()?;
        Ok(Self {
            socket,
            remote,
            local,
        })
    }
}

fn loss_reason(error: &io::Error) -> LossReason {
    match error.kind() {
        ErrorKind::ConnectionRefused => LossReason::Refused,
        ErrorKind::WouldBlock => LossReason::SendBufferFull,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
            LossReason::Unreachable
        }
        _ => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOBUFS) => LossReason::SendBufferFull,
            Some(Errno::EMSGSIZE) => LossReason::TooLong,
            _ => LossReason::Failed,
        },
    }
}
