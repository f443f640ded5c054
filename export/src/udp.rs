//! Messages in UDP datagrams. Sending never waits for the target: what the network refuses is lost and
//! counted by reason, and the sequence numbers tell the collector how much it missed (RFC 7011 §10.3.2).
//! Only from a savefile, where nobody is kept waiting, a full send buffer is waited for.
//!
//! A Message is no longer than the path takes (RFC 7011 §10.3.3): the kernel learns the path's MTU, and is
//! asked for it before each flush.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowproto::Address;
use flowproto::exporter::{OutgoingMessage, Weight};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::net::sockopt;
use socket2::SockRef;
use tracing::{info, warn};

use crate::counters::{Loss, TargetCounters, wide};
use crate::names::Name;
use crate::own_export::{OwnEnd, OwnExport};
use crate::pace::Pace;
use crate::{Encoding, Exporter, RecordOf, Session, SessionStart, monotonic};

/// Room for bursts in the kernel, as far as it allows (`net.core.wmem_max`).
const SEND_BUFFER_OCTETS: usize = 4 << 20;
/// How long a full send buffer is waited for, where it is.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);
/// How soon a socket that could not be opened is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// How long to wait before a send is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(1);
/// A receiver that was not there may come back without its templates: they go out so often …
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// … for so long after the last refusal. Hosts refuse about once a second, not every datagram.
const REFRESH_FOR: Duration = Duration::from_secs(10);
/// RFC 7011 §10.3.3: where even this does not fit, it may be fragmented.
const MINIMUM_MESSAGE: usize = 512;
/// IP and UDP headers in front of a Message.
const HEADERS_V4: usize = 20 + 8;
const HEADERS_V6: usize = 40 + 8;

/// How a UDP target is sent to.
#[derive(Clone, Copy, Debug)]
pub struct UdpSettings {
    /// Octets of a Message at the most.
    pub max_message_octets: usize,
    /// Records a second at the most; 0 unpaced.
    pub records_per_second: u32,
    /// Wait for room in the send buffer instead of losing a Message.
    pub wait: bool,
    /// The source port to have if it is free, so that the session outlives a restart; 0 any.
    pub source_port: u16,
}

/// One UDP destination: its Transport Session and its socket.
#[derive(Debug)]
pub struct UdpExporter<E: Encoding> {
    encoding: E,
    session: Option<E::Session>,
    settings: UdpSettings,
    message_octets: usize,
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
    counters: TargetCounters,
    pace: Option<Pace>,
    wait: bool,
    /// The last Message, which is lost after all if the next send is told "refused".
    unsettled: Option<(Weight, u64)>,
    complained: bool,
    /// A Message was longer than the path takes.
    too_long: bool,
    /// When the target was last told to be absent, and when templates went out for that.
    refused: Option<Instant>,
    refreshed: Option<Instant>,
}

#[derive(Debug)]
struct Connected {
    socket: UdpSocket,
    remote: SocketAddr,
    local: SocketAddr,
}

impl<E: Encoding> UdpExporter<E> {
    /// A destination that nothing was sent to. Opens its socket if its address is known.
    #[must_use]
    pub fn new(
        name: Name,
        encoding: E,
        settings: UdpSettings,
        own_export: Arc<OwnExport>,
        counters: TargetCounters,
    ) -> Self {
        let mut target = Self {
            encoding,
            session: None,
            message_octets: settings.max_message_octets,
            sender: Sender {
                name,
                socket: None,
                source_port: settings.source_port,
                tried: None,
                own_export,
                counters,
                pace: Pace::new(settings.records_per_second),
                wait: settings.wait,
                unsettled: None,
                complained: false,
                too_long: false,
                refused: None,
                refreshed: None,
            },
            settings,
        };
        target.ready(0);
        target
    }

    fn send_gathered(&mut self, now_milliseconds: u64) {
        let sender = &mut self.sender;
        if let Some(session) = &mut self.session {
            session.flush(now_milliseconds, &mut |message| sender.send(message));
        }
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
            self.message_octets = connected.message_octets(self.settings.max_message_octets);
            // Where the target is now, nobody knows the templates.
            self.session = Some(self.encoding.begin(SessionStart {
                exporter_address: Address::from(connected.local.ip()),
                max_message_octets: self.message_octets,
                reliable: false,
                now_milliseconds,
            }));
        }
        self.sender.socket.is_some()
    }

    /// Messages become shorter, or longer again, as the path does.
    fn fit_path(&mut self) {
        let Some(connected) = &self.sender.socket else {
            return;
        };
        self.sender.too_long = false;
        let octets = connected.message_octets(self.settings.max_message_octets);
        if octets != self.message_octets
            && let Some(session) = &mut self.session
        {
            info!(to = %connected.remote, octets, "the path takes Messages of another length");
            self.message_octets = octets;
            session.limit_message_octets(octets);
        }
    }
}

impl<E: Encoding> Exporter<RecordOf<E>> for UdpExporter<E> {
    fn export(&mut self, records: &[RecordOf<E>], now_milliseconds: u64) {
        if !self.ready(now_milliseconds) {
            let reason = self.sender.absence();
            let counters = &self.sender.counters;
            counters.records_lost(reason, wide(records.len()));
            return;
        }
        let sender = &mut self.sender;
        if let Some(session) = &mut self.session {
            for record in records {
                let mut send = |message: OutgoingMessage<'_>| sender.send(message);
                if let Err(reason) = session.add(record, now_milliseconds, &mut send) {
                    sender.counters.records_lost(reason.into(), 1);
                }
            }
        }
        if self.sender.too_long {
            self.fit_path();
        }
    }

    fn flush(&mut self, now_milliseconds: u64) {
        if self.ready(now_milliseconds) {
            self.fit_path();
            if let Some(session) = &mut self.session {
                self.encoding.renew(session, &self.sender.counters);
                if self.sender.may_have_lost_templates() {
                    session.refresh();
                }
            }
            self.send_gathered(now_milliseconds);
        }
    }

    fn settle(&mut self) {
        let refused = self
            .sender
            .socket
            .as_ref()
            .and_then(|connected| connected.socket.take_error().ok().flatten());
        self.sender.settle(refused.as_ref());
    }

    fn finish(&mut self, now_milliseconds: u64) {
        if self.ready(now_milliseconds) {
            let sender = &mut self.sender;
            if let Some(session) = &mut self.session {
                self.encoding.renew(session, &sender.counters);
                session.close(now_milliseconds, &mut |message| sender.send(message));
            }
        }
        self.settle();
        self.sender.disconnect();
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
        let now = monotonic();
        if self.tried.is_some_and(|tried| now - tried < REOPEN_AFTER) {
            return false;
        }
        self.tried = Some(now);
        self.disconnect();
        match open(remote, self.source_port) {
            Ok(connected) => {
                info!(to = %remote, source = %connected.local, "exporting");
                self.own_export
                    .replace(None, Some(OwnEnd::udp(connected.local)));
                self.source_port = connected.local.port();
                self.socket = Some(connected);
                self.counters.connected();
                self.complained = false;
                true
            }
            Err(error) => {
                self.complain("cannot open a socket to the export target", &error);
                false
            }
        }
    }

    fn disconnect(&mut self) {
        if let Some(open) = self.socket.take() {
            self.own_export.replace(Some(OwnEnd::udp(open.local)), None);
            self.counters.disconnected();
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
        let weight = message.weight;
        let Some(connected) = &self.socket else {
            self.counters.lost(self.absence(), weight);
            return;
        };
        if let Some(pace) = &mut self.pace {
            pace.wait_for(weight.records);
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
            Ok(octets) => {
                self.settle(None);
                self.unsettled = Some((weight, wide(octets)));
            }
            Err(error) => {
                self.settle(None);
                let reason = reason(&error);
                self.too_long |= reason == Loss::TooLong;
                self.counters.lost(reason, weight);
                self.complain("export target cannot be sent to", &error);
            }
        }
    }

    /// Sends again as soon as the kernel has room.
    fn wait_for_room(&self, octets: &[u8], mut outcome: io::Result<usize>) -> io::Result<usize> {
        let Some(connected) = &self.socket else {
            return outcome;
        };
        let since = monotonic();
        while let Err(error) = &outcome
            && reason(error) == Loss::SendBufferFull
            && monotonic() - since < WAIT_FOR_ROOM
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
        if let Some((weight, octets)) = self.unsettled.take() {
            match error {
                None => self.counters.message_sent(weight, octets),
                Some(error) => self.counters.lost(reason(error), weight),
            }
        }
        if let Some(error) = error {
            self.refused = Some(monotonic());
            self.complain("export target refuses", error);
        }
    }

    /// True where the target was absent a moment ago, once a second.
    fn may_have_lost_templates(&mut self) -> bool {
        let now = monotonic();
        let within = |time: Option<Instant>, span| time.is_some_and(|time| now - time < span);
        let due = within(self.refused, REFRESH_FOR) && !within(self.refreshed, REFRESH_EVERY);
        if due {
            self.refreshed = Some(now);
        }
        due
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

impl Connected {
    /// Octets of a Message that the path takes, `ceiling` at the most.
    fn message_octets(&self, ceiling: usize) -> usize {
        let (mtu, headers) = if self.remote.is_ipv4() {
            (sockopt::ip_mtu(&self.socket), HEADERS_V4)
        } else {
            (sockopt::ipv6_mtu(&self.socket), HEADERS_V6)
        };
        let Some(mtu) = mtu.ok().and_then(|mtu| usize::try_from(mtu).ok()) else {
            return ceiling;
        };
        mtu.saturating_sub(headers)
            .max(MINIMUM_MESSAGE)
            .min(ceiling)
    }
}

fn open(remote: SocketAddr, source_port: u16) -> io::Result<Connected> {
    let any = |port| {
        if remote.is_ipv4() {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
        }
    };
    // Somebody else may have the port; then any will do.
    let socket = UdpSocket::bind(any(source_port)).or_else(|error| match source_port {
        0 => Err(error),
        _ => UdpSocket::bind(any(0)),
    })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_encoding::Plain;
    use flowproto::FlowRecord;
    use flowproto::collector::Fields;
    use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink};

    #[test]
    fn a_target_that_dies_and_comes_back_has_what_the_counters_say() {
        let listen = |port: u16| UdpSocket::bind(("127.0.0.1", port)).unwrap();
        // Sequence numbers count every Data Record, and go on while nobody hears them.
        let heard = |socket: &UdpSocket, process: &mut CollectingProcess, heard: &mut Heard| {
            socket.set_nonblocking(true).unwrap();
            let mut buffer = [0; 1500];
            while let Ok(length) = socket.recv(&mut buffer) {
                let exporter = "192.0.2.1:1".parse().unwrap();
                process.receive(exporter, &buffer[..length], 0, heard);
            }
        };
        let counters = TargetCounters::for_tests();
        let receiver = listen(0);
        let port = receiver.local_addr().unwrap().port();
        let settings = UdpSettings {
            max_message_octets: 1400,
            records_per_second: 0,
            wait: false,
            source_port: 0,
        };
        let name = Name::new("127.0.0.1", port);
        let mut target = UdpExporter::new(name, Plain, settings, Arc::default(), counters.clone());
        let (mut process, mut records) = (CollectingProcess::new(Limits::default()), Heard(0));
        let round = vec![FlowRecord::default(); 1000];
        target.export(&round, 1000);
        target.flush(1000);
        heard(&receiver, &mut process, &mut records);
        drop(receiver);
        target.export(&round, 1001);
        target.flush(1001);
        let receiver = listen(port);
        target.export(&round, 1002);
        target.flush(1002);
        target.finish(1002);
        heard(&receiver, &mut process, &mut records);

        assert_eq!(counters.sent() + counters.total_lost(), 3000);
        assert_eq!(counters.sent(), records.0);
        assert_eq!(counters.lost_for(Loss::Refused), counters.total_lost());
        process.expire(u64::MAX);
        // The receiver that came back was given templates at once.
        assert!(process.counters().templates > 2);
        // What the sequence numbers miss is what was lost, and the options data in between.
        let missed = process.counters().sequence.lost - counters.total_lost();
        assert!(missed <= 10, "{missed}");
        assert!((900..1100).contains(&counters.total_lost()));
    }

    struct Heard(u64);

    impl RecordSink for Heard {
        fn message(&mut self, _: &Message<'_>) {}
        fn record(&mut self, _: &Message<'_>, _: &FlowRecord, _: Fields<'_>) {
            self.0 += 1;
        }
    }

    #[test]
    fn a_target_that_moves_gets_templates_and_loses_no_record() {
        let listen = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (old, new) = (listen(), listen());
        let counters = TargetCounters::for_tests();
        let name = Name::new("127.0.0.1", old.local_addr().unwrap().port());
        let settings = UdpSettings {
            max_message_octets: 1400,
            records_per_second: 0,
            wait: true,
            source_port: 0,
        };
        let own_export = Arc::new(OwnExport::default());
        let mut target = UdpExporter::new(
            name.clone(),
            Plain,
            settings,
            Arc::clone(&own_export),
            counters.clone(),
        );
        let record = FlowRecord::default();
        target.export(std::slice::from_ref(&record), 1000);
        let before = own_export.ends();
        name.move_to(&[new.local_addr().unwrap()]);
        // A socket is not opened twice within a second.
        target.sender.tried = None;
        target.export(&[record], 1001);
        assert_eq!(own_export.ends(), before, "the source port stays");
        target.finish(1001);

        assert_eq!((counters.sent(), counters.total_lost()), (2, 0));
        assert_eq!(own_export.ends(), []);
        let mut buffer = [0; 1500];
        for socket in [old, new] {
            let octets = socket.recv(&mut buffer).unwrap();
            // Behind the header: the Options Template Set that every session begins with.
            assert_eq!((buffer[16..18].to_vec(), octets > 60), (vec![0, 3], true));
        }
    }
}
