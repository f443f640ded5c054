//! IPFIX Messages in UDP datagrams. Sending never waits for the target: what the network refuses is lost and
//! counted by reason, and the sequence numbers tell the collector how much it missed (RFC 7011 §10.3.2).
//! Only from a savefile, where nobody is kept waiting, a full send buffer is waited for.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flowproto::exporter::{ExportSession, ExportSettings, OutgoingMessage};
use flowproto::{Address, FlowRecord};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;
use tracing::{info, warn};

use super::names::Name;
use crate::metrics::{Loss, TargetMetrics};

/// Room for bursts in the kernel, as far as it allows (`net.core.wmem_max`).
const SEND_BUFFER_OCTETS: usize = 4 << 20;
/// How long a full send buffer is waited for, where it is.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);
/// How soon a socket that could not be opened is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// Pacing sleeps for so much at once: few wake-ups, and bursts that the smallest usual receive buffer holds.
const PACE_STEP: Duration = Duration::from_millis(4);
/// How long to wait before a send is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(1);

/// Source addresses and ports of this probe's own export, which is not to be metered.
#[derive(Debug, Default)]
pub struct OwnExport {
    sources: Mutex<Vec<(Address, u16)>>,
    revision: AtomicU64,
}

impl OwnExport {
    /// Changes whenever a source does.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// All sources: address and UDP port.
    #[must_use]
    pub fn sources(&self) -> Vec<(Address, u16)> {
        self.sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, old: Option<SocketAddr>, new: SocketAddr) {
        let source = |address: SocketAddr| (Address::from(address.ip()), address.port());
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = old {
            let old = source(old);
            sources.retain(|known| *known != old);
        }
        let new = source(new);
        if !sources.contains(&new) {
            sources.push(new);
        }
        self.revision.fetch_add(1, Ordering::Release);
    }
}

/// How a UDP target is sent to.
#[derive(Clone, Debug)]
pub struct UdpSettings {
    /// Who exports.
    pub session: ExportSettings,
    /// Records a second at the most; 0 unpaced.
    pub records_per_second: u32,
    /// Wait for room in the send buffer instead of losing a Message.
    pub wait: bool,
}

/// One UDP target: its Transport Session and its socket.
#[derive(Debug)]
pub struct UdpTarget {
    session: Option<ExportSession>,
    settings: UdpSettings,
    sender: Sender,
}

#[derive(Debug)]
struct Sender {
    name: Name,
    socket: Option<Connected>,
    /// Kept over reconnections, so that the Transport Session stays the same one.
    source_port: u16,
    tried: Option<Instant>,
    own_export: Arc<OwnExport>,
    metrics: TargetMetrics,
    pace: Option<Pace>,
    wait: bool,
    /// The last Message, which is lost after all if the next send is told "refused".
    unsettled: Option<Sent>,
    complained: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    records: u64,
    octets: u64,
}

#[derive(Debug)]
struct Connected {
    socket: UdpSocket,
    remote: SocketAddr,
    local: SocketAddr,
}

impl UdpTarget {
    /// A target that nothing was sent to. Opens its socket if its address is known.
    #[must_use]
    pub fn new(
        name: Name,
        settings: UdpSettings,
        own_export: Arc<OwnExport>,
        metrics: TargetMetrics,
    ) -> Self {
        let mut target = Self {
            session: None,
            sender: Sender {
                name,
                socket: None,
                source_port: 0,
                tried: None,
                own_export,
                metrics,
                pace: Pace::new(settings.records_per_second),
                wait: settings.wait,
                unsettled: None,
                complained: false,
            },
            settings,
        };
        target.ready(0);
        target
    }

    pub(super) const fn metrics(&self) -> &TargetMetrics {
        &self.sender.metrics
    }

    /// Sends records, in Messages as full as they may be.
    pub fn export(&mut self, records: &[FlowRecord], now_milliseconds: u64) {
        if !self.ready(now_milliseconds) {
            let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
            self.sender
                .metrics
                .records_lost(self.sender.absence(), count);
            return;
        }
        let sender = &mut self.sender;
        if let Some(session) = &mut self.session {
            let mut send = |message: OutgoingMessage<'_>| sender.send(message);
            for record in records {
                session.add(record, now_milliseconds, &mut send);
            }
        }
    }

    /// Sends what is gathered, and templates when they are due.
    pub fn flush(&mut self, now_milliseconds: u64) {
        if self.ready(now_milliseconds) {
            self.send_gathered(now_milliseconds);
        }
    }

    fn send_gathered(&mut self, now_milliseconds: u64) {
        let sender = &mut self.sender;
        if let Some(session) = &mut self.session {
            session.flush(now_milliseconds, &mut |message| sender.send(message));
        }
    }

    /// Learns what became of the last Message.
    pub fn settle(&mut self) {
        let refused = self
            .sender
            .socket
            .as_ref()
            .and_then(|connected| connected.socket.take_error().ok().flatten());
        self.sender.settle(refused.as_ref());
    }

    /// Sees to it that there is a socket to where the target is now, and a session that knows its address.
    fn ready(&mut self, now_milliseconds: u64) -> bool {
        if self.sender.must_move() {
            // What was gathered belongs to the session that ends here.
            self.send_gathered(now_milliseconds);
        }
        if self.sender.connect() || self.session.is_none() {
            let Some(connected) = &self.sender.socket else {
                return false;
            };
            // Where the target is now, nobody knows the templates.
            self.session = Some(ExportSession::new(ExportSettings {
                exporter_address: Address::from(connected.local.ip()),
                ..self.settings.session.clone()
            }));
        }
        self.sender.socket.is_some()
    }
}

impl Sender {
    /// True if the target is known to be elsewhere now.
    fn must_move(&self) -> bool {
        match (&self.socket, self.name.address()) {
            (Some(open), Some(remote)) => open.remote != remote,
            _ => false,
        }
    }

    /// Opens the socket, anew if the target has moved. True if it did.
    fn connect(&mut self) -> bool {
        let Some(remote) = self.name.address() else {
            return false;
        };
        if self
            .socket
            .as_ref()
            .is_some_and(|open| open.remote == remote)
        {
            return false;
        }
        let now = now();
        if self.tried.is_some_and(|tried| now - tried < REOPEN_AFTER) {
            return false;
        }
        self.tried = Some(now);
        let old = self.socket.take().map(|open| open.local);
        match open(remote, self.source_port) {
            Ok(connected) => {
                info!(to = %remote, source = %connected.local, "exporting");
                self.own_export.replace(old, connected.local);
                self.source_port = connected.local.port();
                self.socket = Some(connected);
                self.complained = false;
                true
            }
            Err(error) => {
                self.complain("cannot open a socket to the export target", &error);
                false
            }
        }
    }

    fn absence(&self) -> Loss {
        if self.name.address().is_none() {
            Loss::Unresolved
        } else {
            Loss::Unreachable
        }
    }

    fn send(&mut self, message: OutgoingMessage<'_>) {
        let sent = Sent {
            records: u64::from(message.records),
            octets: u64::try_from(message.octets.len()).unwrap_or(u64::MAX),
        };
        let Some(connected) = &self.socket else {
            self.metrics.records_lost(self.absence(), sent.records);
            return;
        };
        if let Some(pace) = &mut self.pace {
            pace.wait_for(message.records);
        }
        let mut outcome = connected.socket.send(message.octets);
        if let Err(error) = &outcome
            && error.kind() == ErrorKind::ConnectionRefused
        {
            // The kernel tells of the Message before, and has not sent this one.
            let refused = io::Error::from(ErrorKind::ConnectionRefused);
            outcome = connected.socket.send(message.octets);
            self.settle(Some(&refused));
        }
        if self.wait {
            outcome = self.wait_for_room(message.octets, outcome);
        }
        match outcome {
            Ok(_) => {
                self.settle(None);
                self.unsettled = Some(sent);
            }
            Err(error) => {
                self.settle(None);
                self.metrics.records_lost(reason(&error), sent.records);
                self.complain("export target cannot be sent to", &error);
            }
        }
    }

    /// Sends again as soon as the kernel has room.
    fn wait_for_room(&self, octets: &[u8], mut outcome: io::Result<usize>) -> io::Result<usize> {
        let Some(connected) = &self.socket else {
            return outcome;
        };
        let since = now();
        while let Err(error) = &outcome
            && reason(error) == Loss::SendBufferFull
            && now() - since < WAIT_FOR_ROOM
        {
            let mut fds = [PollFd::new(connected.socket.as_fd(), PollFlags::POLLOUT)];
            // ENOBUFS, unlike EAGAIN, cannot be polled for; either way the send is simply tried again.
            poll(&mut fds, PollTimeout::from(10_u8)).ok();
            std::thread::sleep(RETRY_AFTER);
            outcome = connected.socket.send(octets);
        }
        outcome
    }

    fn settle(&mut self, error: Option<&io::Error>) {
        if let Some(sent) = self.unsettled.take() {
            match error {
                None => self.metrics.message_sent(sent.records, sent.octets),
                Some(error) => self.metrics.records_lost(reason(error), sent.records),
            }
        }
        if let Some(error) = error {
            self.complain("export target refuses", error);
        }
    }

    /// Says once what is wrong; the counters say how often.
    fn complain(&mut self, what: &'static str, error: &io::Error) {
        if !self.complained {
            self.complained = true;
            let to = self.name.address();
            warn!(?to, %error, "{what}; said once, counted always");
        }
    }
}

fn open(remote: SocketAddr, source_port: u16) -> io::Result<Connected> {
    let any = if remote.is_ipv4() {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, source_port))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, source_port))
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    // As much as the kernel allows; what it gives is enough to begin with.
    SockRef::from(&socket)
        .set_send_buffer_size(SEND_BUFFER_OCTETS)
        .ok();
    socket.connect(remote)?;
    let local = socket.local_addr()?;
    Ok(Connected {
        socket,
        remote,
        local,
    })
}

fn reason(error: &io::Error) -> Loss {
    match error.kind() {
        ErrorKind::ConnectionRefused => Loss::Refused,
        ErrorKind::WouldBlock => Loss::SendBufferFull,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
            Loss::Unreachable
        }
        _ => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOBUFS) => Loss::SendBufferFull,
            Some(Errno::EMSGSIZE) => Loss::TooLong,
            _ => Loss::Failed,
        },
    }
}

/// Spreads records over time, for receivers whose buffer a savefile would overrun.
#[derive(Debug)]
struct Pace {
    per_record: Duration,
    next: Option<Instant>,
}

impl Pace {
    fn new(records_per_second: u32) -> Option<Self> {
        let per_record = Duration::from_secs(1).checked_div(records_per_second)?;
        Some(Self {
            per_record,
            next: None,
        })
    }

    fn wait_for(&mut self, records: u32) {
        let now = now();
        // What was not used of the past is lost, but for a little: sleeps are late.
        let earliest = now.checked_sub(PACE_STEP * 2).unwrap_or(now);
        let next = self.next.unwrap_or(now).max(earliest);
        if let Some(early) = next.checked_duration_since(now)
            && early >= PACE_STEP
        {
            std::thread::sleep(early);
        }
        self.next = Some(next + self.per_record * records);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "pacing and retries are of this machine's time; no record depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Capacities, Metrics};

    #[test]
    fn a_target_that_moves_gets_templates_and_loses_no_record() {
        let listen = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (old, new) = (listen(), listen());
        let metrics = Metrics::new(Capacities {
            conversations: 1,
            fragments: 1,
            queue_records: 1,
            interfaces: 1,
        });
        let metrics = metrics.unwrap().target("target");
        let name = Name::new("127.0.0.1", old.local_addr().unwrap().port());
        let settings = UdpSettings {
            session: ExportSettings::default(),
            records_per_second: 0,
            wait: true,
        };
        let own_export = Arc::new(OwnExport::default());
        let mut target = UdpTarget::new(
            name.clone(),
            settings,
            Arc::clone(&own_export),
            metrics.clone(),
        );
        let record = FlowRecord::default();
        target.export(std::slice::from_ref(&record), 1000);
        name.move_to(new.local_addr().unwrap());
        // A socket is not opened twice within a second.
        target.sender.tried = None;
        target.export(&[record], 1001);
        target.flush(1001);
        target.settle();

        assert_eq!((metrics.sent(), metrics.lost()), (2, 0));
        assert_eq!(own_export.sources().len(), 1);
        let mut buffer = [0; 1500];
        for socket in [old, new] {
            let octets = socket.recv(&mut buffer).unwrap();
            // Behind the header: the Options Template Set that every session begins with.
            assert_eq!((buffer[16..18].to_vec(), octets > 60), (vec![0, 3], true));
        }
    }
}
