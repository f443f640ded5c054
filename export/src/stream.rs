//! IPFIX over TCP and TLS (RFC 7011 §10.4), for a thread of its own ([`crate::queued`]): it may wait here for
//! as long as it takes, what comes meanwhile is in the queue.
//!
//! A connection is one Transport Session: templates go out anew and the sequence begins at 0. What was
//! written counts as sent once the other host has acknowledged it; when the connection breaks, what it has not
//! acknowledged is lost, and counted so: to send it again could count it twice.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowproto::Address;
use flowproto::exporter::{OutgoingMessage, Weight};
use nix::sys::socket::{MsgFlags, recv};
use rustls::ClientConnection;
use socket2::{SockRef, TcpKeepalive};
use tracing::{info, warn};

use crate::counters::{ConnectionFailure, Loss, TargetCounters, wide};
use crate::names::Name;
use crate::own_export::{OwnEnd, OwnExport};
use crate::pace::Pace;
use crate::queued::Ending;
use crate::target::Credentials;
use crate::{Encoding, Exporter, RecordOf, Session, SessionStart, monotonic, tls, unacknowledged};

/// Octets of a Message at the most: few system calls, and nobody's buffer is too small.
const MESSAGE_OCTETS: usize = 8192;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// In TLS 1.3 this side is done before the other one has looked at its certificate. So nothing is sent until
/// the other side has said something, or nothing for so long.
const REFUSAL_WITHIN: Duration = Duration::from_secs(1);
/// A target that takes nothing for so long is away.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How soon a wait notices that it is to end.
const LOOK_UP: Duration = Duration::from_millis(200);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A connection that held for so long was a good one: what comes next is told anew.
const GOOD_AFTER: Duration = Duration::from_secs(30);
/// Offline, a target that is away for so long is not waited for any more.
const OFFLINE_PATIENCE: Duration = Duration::from_secs(10);

/// How a stream target is sent to.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// TLS, with these; TCP without.
    pub credentials: Option<Credentials>,
    /// Records a second at the most; 0 unpaced.
    pub records_per_second: u32,
    /// Nobody is kept waiting by a target that is away for a while, but not for ever.
    pub offline: bool,
}

/// One TCP or TLS destination: its Transport Session and its connection.
#[derive(Debug)]
pub struct StreamExporter<E: Encoding> {
    encoding: E,
    settings: StreamSettings,
    session: Option<E::Session>,
    connection: Option<Connection>,
    dialer: Dialer,
    pace: Option<Pace>,
}

/// What there is of a target without a connection.
#[derive(Debug)]
struct Dialer {
    name: Name,
    ending: Ending,
    own_export: Arc<OwnExport>,
    counters: TargetCounters,
    /// Which of the name's addresses is tried next.
    turn: usize,
    backoff: Duration,
    /// When there was a connection last, or when the first one was tried.
    away_since: Option<Instant>,
    complained: Option<ConnectionFailure>,
}

/// What stands in the way of a connection.
struct Failure {
    reason: ConnectionFailure,
    error: anyhow::Error,
}

impl Failure {
    fn new(reason: ConnectionFailure, error: impl Into<anyhow::Error>) -> Self {
        Self {
            reason,
            error: error.into(),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let reason = match error.kind() {
            ErrorKind::ConnectionRefused => ConnectionFailure::Refused,
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
                ConnectionFailure::Unreachable
            }
            ErrorKind::TimedOut | ErrorKind::WouldBlock => ConnectionFailure::TimedOut,
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof => ConnectionFailure::Closed,
            _ => ConnectionFailure::Failed,
        };
        Self::new(reason, error)
    }
}

impl From<rustls::Error> for Failure {
    fn from(error: rustls::Error) -> Self {
        Self::new(tls::reason(&error), error)
    }
}

impl<E: Encoding> StreamExporter<E> {
    /// A destination that is not connected yet.
    #[must_use]
    pub fn new(
        name: Name,
        encoding: E,
        settings: StreamSettings,
        ending: Ending,
        own_export: Arc<OwnExport>,
        counters: TargetCounters,
    ) -> Self {
        Self {
            encoding,
            pace: Pace::new(settings.records_per_second),
            settings,
            session: None,
            connection: None,
            dialer: Dialer {
                name,
                ending,
                own_export,
                counters,
                turn: 0,
                backoff: FIRST_BACKOFF,
                away_since: None,
                complained: None,
            },
        }
    }

    /// Connects, however long that takes. False where it is not waited for any longer.
    fn ready(&mut self) -> bool {
        if let Some(connection) = &mut self.connection {
            if let Err(failure) = connection.listen() {
                self.break_off(failure);
            } else {
                return true;
            }
        }
        loop {
            if self.dialer.ending.is_over() {
                return false;
            }
            let away_since = *self.dialer.away_since.get_or_insert_with(monotonic);
            match self.dialer.dial(self.settings.credentials.as_ref()) {
                Ok(connection) => {
                    self.session = Some(self.encoding.begin(SessionStart {
                        exporter_address: Address::from(connection.local.ip()),
                        max_message_octets: MESSAGE_OCTETS,
                        reliable: true,
                        now_milliseconds: crate::wall_clock_milliseconds(),
                    }));
                    self.connection = Some(connection);
                    return true;
                }
                Err(failure) => self.dialer.complain(&failure),
            }
            let ending = self.dialer.ending.left().is_some();
            let impatient = self.settings.offline && away_since.elapsed() >= OFFLINE_PATIENCE;
            if ending || impatient {
                return false;
            }
            self.dialer.pause();
        }
    }

    /// Ends a connection that does not work. What it has not delivered is lost.
    fn break_off(&mut self, failure: Failure) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        connection.settle();
        let counters = &self.dialer.counters;
        connection.lose(counters);
        if let Some(mut session) = self.session.take() {
            // The Message that was being filled goes with the session.
            session.flush(0, &mut |message| {
                counters.lost(Loss::ConnectionLost, message.weight);
            });
        }
        self.dialer.disconnected(&connection);
        self.dialer.complain(&failure);
        self.dialer.pause();
    }

    /// Lets the session write, and ends the connection if that does not work.
    fn with_session<T>(
        &mut self,
        write: impl FnOnce(&mut E::Session, &mut crate::Send<'_>) -> T,
    ) -> Option<T> {
        let (Some(session), Some(connection)) = (&mut self.session, &mut self.connection) else {
            return None;
        };
        let mut failure = None;
        let (pace, counters) = (&mut self.pace, &self.dialer.counters);
        let result = write(session, &mut |message| {
            if failure.is_some() {
                counters.lost(Loss::ConnectionLost, message.weight);
                return;
            }
            if let Some(pace) = pace {
                pace.wait_for(message.weight.records);
            }
            failure = connection.send(message).err();
        });
        if let Some(failure) = failure {
            self.break_off(failure);
        }
        Some(result)
    }

    fn lose(&self, records: usize) {
        let reason = if self.dialer.name.address().is_none() {
            Loss::Unresolved
        } else {
            Loss::Unreachable
        };
        self.dialer.counters.records_lost(reason, wide(records));
    }
}

impl<E: Encoding> Exporter<RecordOf<E>> for StreamExporter<E> {
    fn export(&mut self, records: &[RecordOf<E>], now_milliseconds: u64) {
        for (at, record) in records.iter().enumerate() {
            if (at == 0 || self.connection.is_none()) && !self.ready() {
                self.lose(records.len().saturating_sub(at));
                return;
            }
            let added =
                self.with_session(|session, send| session.add(record, now_milliseconds, send));
            if let Some(Err(reason)) = added {
                self.dialer.counters.records_lost(reason.into(), 1);
            }
        }
        if let Some(connection) = &mut self.connection {
            connection.settle();
        }
    }

    fn flush(&mut self, now_milliseconds: u64) {
        // A target that is not there is looked for when there is something to send.
        if self.connection.is_none() && self.dialer.away_since.is_some() {
            return;
        }
        if !self.ready() {
            return;
        }
        if let Some(session) = &mut self.session {
            self.encoding.renew(session, &self.dialer.counters);
        }
        self.with_session(|session, send| session.flush(now_milliseconds, send));
        if let Some(connection) = &mut self.connection {
            connection.settle();
        }
    }

    fn finish(&mut self, now_milliseconds: u64) {
        if self.connection.is_some() && self.ready() {
            if let Some(session) = &mut self.session {
                self.encoding.renew(session, &self.dialer.counters);
            }
            self.with_session(|session, send| session.close(now_milliseconds, send));
        }
        if let Some(mut connection) = self.connection.take() {
            connection.close(&self.dialer.ending);
            connection.lose(&self.dialer.counters);
            self.dialer.disconnected(&connection);
        }
    }
}

impl Dialer {
    /// Makes a connection to one of the addresses.
    fn dial(&mut self, credentials: Option<&Credentials>) -> Result<Connection, Failure> {
        let addresses = self.name.addresses();
        let at = self.turn.checked_rem(addresses.len()).unwrap_or_default();
        let Some(remote) = addresses.get(at).copied() else {
            let unknown = anyhow::anyhow!("the name {:?} is not known", self.name.host());
            return Err(Failure::new(ConnectionFailure::Unresolved, unknown));
        };
        // The next try is at the next address, the one after a good connection at the first again.
        self.turn = at.saturating_add(1);
        let within = self.ending.left().map_or(CONNECT_WITHIN, |left| {
            left.clamp(Duration::from_millis(1), CONNECT_WITHIN)
        });
        let socket = TcpStream::connect_timeout(&remote, within)?;
        let local = socket.local_addr()?;
        self.own_export.replace(None, Some(OwnEnd::tcp(local)));
        let connection = Connection::new(socket, (local, remote), self.counters.clone())
            .and_then(|connection| connection.secure(credentials, self.name.host(), &self.ending));
        match connection {
            Ok(connection) => {
                info!(to = %remote, source = %local, tls = credentials.is_some(), "exporting");
                self.counters.connected();
                self.turn = 0;
                self.away_since = None;
                Ok(connection)
            }
            Err(failure) => {
                self.own_export.replace(Some(OwnEnd::tcp(local)), None);
                Err(failure)
            }
        }
    }

    fn disconnected(&mut self, connection: &Connection) {
        self.counters.disconnected();
        self.own_export
            .replace(Some(OwnEnd::tcp(connection.local)), None);
        self.away_since = Some(monotonic());
        if connection.since.elapsed() >= GOOD_AFTER {
            self.backoff = FIRST_BACKOFF;
            self.complained = None;
        }
    }

    /// Counts a failure, and says it if it is another one than the last.
    fn complain(&mut self, failure: &Failure) {
        self.counters.connection_failed(failure.reason);
        if self.complained != Some(failure.reason) {
            self.complained = Some(failure.reason);
            warn!(
                host = self.name.host(),
                reason = failure.reason.as_str(),
                "export target: {:#}; tried again, said once, counted always",
                failure.error
            );
        }
    }

    /// Waits before the next try: twice as long each time, less up to a quarter, so that probes that lost the
    /// same collector do not come back at once.
    fn pause(&mut self) {
        let spread = crate::wall_clock_milliseconds().wrapping_mul(0x9e37_79b9) % 256;
        let less = self.backoff.as_millis() / 4 * u128::from(spread) / 256;
        let less = Duration::from_millis(u64::try_from(less).unwrap_or_default());
        self.ending.sleep(self.backoff.saturating_sub(less));
        self.backoff = self.backoff.saturating_mul(2).min(LONGEST_BACKOFF);
    }
}

/// One connection.
#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    local: SocketAddr,
    remote: SocketAddr,
    since: Instant,
    /// Octets that the kernel has taken.
    written: u64,
    /// Messages that the other host has not acknowledged, with the end of each in the stream.
    unsettled: VecDeque<Written>,
    /// This side has said that it is done.
    ended: bool,
    /// The other side broke it off.
    reset: bool,
    counters: TargetCounters,
    ending: Ending,
}

#[derive(Debug)]
struct Written {
    end: u64,
    weight: Weight,
    octets: u64,
}

impl Connection {
    fn new(
        socket: TcpStream,
        (local, remote): (SocketAddr, SocketAddr),
        counters: TargetCounters,
    ) -> Result<Self, Failure> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(LOOK_UP))?;
        socket.set_read_timeout(Some(LOOK_UP))?;
        let options = SockRef::from(&socket);
        options.set_tcp_user_timeout(Some(STALLED_AFTER))?;
        let keepalive = TcpKeepalive::new()
            .with_time(STALLED_AFTER)
            .with_interval(STALLED_AFTER / 3)
            .with_retries(3);
        options.set_tcp_keepalive(&keepalive)?;
        Ok(Self {
            socket,
            tls: None,
            local,
            remote,
            since: monotonic(),
            written: 0,
            unsettled: VecDeque::new(),
            ended: false,
            reset: false,
            counters,
            ending: Ending::default(),
        })
    }

    /// The TLS handshake, where there is to be one.
    fn secure(
        mut self,
        credentials: Option<&Credentials>,
        host: &str,
        ending: &Ending,
    ) -> Result<Self, Failure> {
        self.ending = ending.clone();
        let Some(credentials) = credentials else {
            return Ok(self);
        };
        let mut tls = tls::client(credentials, host)
            .map_err(|error| Failure::new(ConnectionFailure::BadCredentials, error))?;
        let began = monotonic();
        while tls.is_handshaking() {
            if tls.wants_write() {
                tls.write_tls(&mut Patient(&mut self))?;
            } else {
                self.hear(&mut tls, began + HANDSHAKE_WITHIN)?;
            }
        }
        while tls.wants_write() {
            tls.write_tls(&mut Patient(&mut self))?;
        }
        match self.hear(&mut tls, monotonic() + REFUSAL_WITHIN) {
            Ok(()) => {}
            Err(failure) if failure.reason == ConnectionFailure::TimedOut => {}
            Err(failure) if failure.reason == ConnectionFailure::Closed => {
                return Err(Failure::new(
                    ConnectionFailure::CertificateRefused,
                    failure.error.context("closed right after the handshake"),
                ));
            }
            Err(failure) => return Err(failure),
        }
        self.tls = Some(Box::new(tls));
        Ok(self)
    }

    /// Reads what the other side says, until `deadline`.
    fn hear(&mut self, tls: &mut ClientConnection, deadline: Instant) -> Result<(), Failure> {
        loop {
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(_) => {
                    return match tls.process_new_packets() {
                        Ok(_) => Ok(()),
                        Err(error) => {
                            // The other side is told why.
                            tls.write_tls(&mut Patient(self)).ok();
                            Err(error.into())
                        }
                    };
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if monotonic() >= deadline || self.ending.is_over() {
                        return Err(io::Error::from(ErrorKind::TimedOut).into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Notices that the other side has closed, and reads what nobody asked it to say.
    fn listen(&mut self) -> Result<(), Failure> {
        let mut octets = [0_u8; 2048];
        loop {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
            match recv(self.socket.as_raw_fd(), &mut octets, flags).map_err(io::Error::from) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.reset = true;
                    return Err(error.into());
                }
            }
            if let Some(tls) = &mut self.tls {
                tls.read_tls(&mut self.socket)?;
                if tls.process_new_packets()?.peer_has_closed() {
                    return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
                }
            } else {
                // How much does not matter: it is asked again.
                let _octets = self.socket.read(&mut octets)?;
            }
        }
    }

    fn send(&mut self, message: OutgoingMessage<'_>) -> Result<(), Failure> {
        let weight = message.weight;
        if let Err(error) = self.write(message.octets) {
            self.counters.lost(Loss::ConnectionLost, weight);
            return Err(error.into());
        }
        self.counters
            .waiting(i64::try_from(weight.records).unwrap_or_default());
        self.unsettled.push_back(Written {
            end: self.written,
            weight,
            octets: wide(message.octets.len()),
        });
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let Some(mut tls) = self.tls.take() else {
            return Patient(self).write_all(octets);
        };
        let mut outcome = tls.writer().write_all(octets);
        while outcome.is_ok() && tls.wants_write() {
            outcome = tls.write_tls(&mut Patient(self)).map(drop);
        }
        self.tls = Some(tls);
        outcome
    }

    /// Counts as sent what the other host has acknowledged.
    fn settle(&mut self) {
        if self.unsettled.is_empty() {
            return;
        }
        let acknowledged = match unacknowledged::octets(self.local, self.remote) {
            Ok(waiting) => self.written.saturating_sub(waiting),
            // The kernel has forgotten the connection: it was reset, or it ended and all was acknowledged.
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                let in_order = self.ended && !self.reset;
                if !in_order || !matches!(self.socket.take_error(), Ok(None)) {
                    return;
                }
                self.written
            }
            // A kernel that does not tell: what it took is taken for sent.
            Err(_) => self.written,
        };
        while let Some(first) = self.unsettled.front()
            && first.end <= acknowledged
        {
            let Written { weight, octets, .. } = *first;
            self.counters.message_sent(weight, octets);
            self.counters
                .waiting(-i64::try_from(weight.records).unwrap_or_default());
            self.unsettled.pop_front();
        }
    }

    /// Gives up what the other host has not acknowledged.
    fn lose(&mut self, counters: &TargetCounters) {
        for written in self.unsettled.drain(..) {
            counters.lost(Loss::ConnectionLost, written.weight);
            counters.waiting(-i64::try_from(written.weight.records).unwrap_or_default());
        }
    }

    /// Ends it as it should be, and waits for what is still on its way.
    fn close(&mut self, ending: &Ending) {
        if let Some(mut tls) = self.tls.take() {
            tls.send_close_notify();
            while tls.wants_write() {
                if tls.write_tls(&mut Patient(self)).is_err() {
                    break;
                }
            }
        }
        self.ended = self.socket.shutdown(Shutdown::Write).is_ok();
        let began = monotonic();
        self.settle();
        while !self.unsettled.is_empty()
            && !ending.is_over()
            && began.elapsed() < OFFLINE_PATIENCE
            && self.listen().is_ok()
        {
            std::thread::sleep(Duration::from_millis(2));
            self.settle();
        }
        self.settle();
    }
}

/// Writes to the socket, waiting for room for as long as the target may stall.
struct Patient<'a>(&'a mut Connection);

impl Write for Patient<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let began = monotonic();
        loop {
            match self.0.socket.write(octets) {
                Ok(taken) => {
                    self.0.written = self.0.written.saturating_add(wide(taken));
                    return Ok(taken);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if began.elapsed() >= STALLED_AFTER || self.0.ending.is_over() {
                        return Err(io::Error::from(ErrorKind::TimedOut));
                    }
                    self.0.settle();
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queued::{Patience, Queued};
    use crate::test_encoding::Plain;
    use flowproto::FlowRecord;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig, ServerConnection};
    use std::net::TcpListener;
    use std::path::{Path, PathBuf};
    use std::thread::JoinHandle;

    fn exporter(port: u16, host: &str, credentials: Option<Credentials>) -> StreamExporter<Plain> {
        let settings = StreamSettings {
            credentials,
            records_per_second: 0,
            offline: false,
        };
        StreamExporter::new(
            Name::fixed(host, ([127, 0, 0, 1], port).into()),
            Plain,
            settings,
            Ending::default(),
            Arc::default(),
            TargetCounters::for_tests(),
        )
    }

    /// Flow records and the sequence number of every IPFIX Message in a stream, whole ones only.
    fn messages(mut stream: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let mut messages = Vec::new();
        while let Some(head) = stream.get(..16) {
            assert_eq!(head[..2], [0, 10], "a Message begins here");
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let Some(message) = stream.get(..length) else {
                break;
            };
            let sequence = u32::from_be_bytes(head[8..12].try_into().unwrap());
            messages.push((sequence, message.to_vec()));
            stream = &stream[length..];
        }
        messages
    }

    /// Flow records in a stream of Messages.
    fn records(stream: &[u8]) -> u64 {
        struct Count(u64);
        impl flowproto::collector::RecordSink for Count {
            fn message(&mut self, _: &flowproto::collector::Message<'_>) {}
            fn record(
                &mut self,
                _: &flowproto::collector::Message<'_>,
                _: &FlowRecord,
                _: flowproto::template::Fields<'_>,
            ) {
                self.0 += 1;
            }
        }
        let mut process = flowproto::collector::CollectingProcess::new(Default::default());
        let mut count = Count(0);
        for (_, message) in messages(stream) {
            process.receive("192.0.2.1:1".parse().unwrap(), &message, 0, &mut count);
        }
        process.expire(u64::MAX);
        assert_eq!(process.counters().sequence.gaps, 0);
        assert_eq!(process.counters().unusable, [0; 7]);
        count.0
    }

    #[test]
    fn every_connection_begins_with_templates_and_sequence_0_and_ends_with_withdrawals() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut target = exporter(listener.local_addr().unwrap().port(), "127.0.0.1", None);
        let counters = target.dialer.counters.clone();
        target.export(&vec![FlowRecord::default(); 500], 1000);
        let (mut first, _) = listener.accept().unwrap();
        let reader = std::thread::spawn(move || {
            let mut taken = vec![0; 20_000];
            first.read_exact(&mut taken).unwrap();
            taken
        });
        let taken = reader.join().unwrap();
        let sequences: Vec<u32> = messages(&taken).iter().map(|(s, _)| *s).collect();
        assert_eq!(sequences[0], 0);
        assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]));
        // The other side is gone; what comes now goes over a new connection.
        let reader = std::thread::spawn(move || {
            let mut taken = Vec::new();
            listener
                .accept()
                .unwrap()
                .0
                .read_to_end(&mut taken)
                .unwrap();
            taken
        });
        let away = monotonic();
        while target.connection.as_mut().unwrap().listen().is_ok() {
            assert!(away.elapsed() < Duration::from_secs(5));
            std::thread::sleep(Duration::from_millis(1));
        }
        target.export(&vec![FlowRecord::default(); 500], 2000);
        target.finish(2000);
        let taken = reader.join().unwrap();
        assert_eq!(records(&taken), 500);
        let messages = messages(&taken);
        assert_eq!((messages[0].0, &messages[0].1[16..18]), (0, &[0, 3][..]));
        // The last counts, All Templates Withdrawal, All Options Templates Withdrawal (RFC 7011 §8.1).
        let end = &messages.last().unwrap().1;
        assert_eq!(end[16..20], [2, 8, 0, 56]);
        let withdrawals = [0, 2, 0, 8, 0, 2, 0, 0, 0, 3, 0, 8, 0, 3, 0, 0];
        assert!(end.ends_with(&withdrawals), "{end:?}");
        let lost = counters.lost_for(Loss::ConnectionLost);
        assert_eq!(counters.sent() + lost, 1000);
        assert!(lost <= 500);
        assert_eq!(counters.failures_for(ConnectionFailure::Closed), 1);
    }

    /// One side of a connection that stops reading, so that the other side has to stop sending, and dies: what
    /// it read, and what its kernel had acknowledged.
    fn die(mut socket: TcpStream, mut tls: Option<ServerConnection>) -> Vec<u8> {
        let (mut stream, mut buffer) = (Vec::new(), vec![0; 8 << 20]);
        let mut decrypted = |octets: &[u8]| match &mut tls {
            None => octets.to_vec(),
            Some(tls) => decrypt(tls, octets),
        };
        while stream.len() < 200_000 {
            let read = socket.read(&mut buffer[..4096]).unwrap();
            stream.extend(decrypted(&buffer[..read]));
        }
        // What there is no room for waits on the other side, and is not acknowledged.
        std::thread::sleep(Duration::from_millis(800));
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
        let unread = recv(socket.as_raw_fd(), &mut buffer, flags).unwrap_or_default();
        assert!(unread < buffer.len());
        stream.extend(decrypted(&buffer[..unread]));
        stream
    }

    /// What a side of TLS makes of octets of the wire.
    fn decrypt(tls: &mut ServerConnection, mut octets: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !octets.is_empty() {
            tls.read_tls(&mut octets).unwrap();
            let state = tls.process_new_packets().unwrap();
            let mut part = vec![0; state.plaintext_bytes_to_read()];
            tls.reader().read_exact(&mut part).unwrap();
            plain.extend(part);
        }
        plain
    }

    fn what_is_lost_is_what_the_counters_say(config: Option<Arc<ServerConfig>>, target: Listening) {
        let (listener, target) = target;
        let port = listener.local_addr().unwrap().port();
        let counters = target.dialer.counters.clone();
        let ending = target.dialer.ending.clone();
        let mut queued =
            Queued::start(target, ending, 2000, Patience::Lose, counters.clone()).unwrap();
        let server = std::thread::spawn(move || {
            let accept = |listener: &TcpListener| {
                let (mut socket, _) = listener.accept().unwrap();
                let tls = config.clone().map(|config| {
                    let mut tls = ServerConnection::new(config).unwrap();
                    while tls.is_handshaking() {
                        tls.complete_io(&mut socket).unwrap();
                    }
                    tls.write_tls(&mut socket).unwrap();
                    tls
                });
                (socket, tls)
            };
            // It reads for a while and dies; nobody listens for a while; it is back.
            let (socket, tls) = accept(&listener);
            drop(listener);
            let before = die(socket, tls);
            std::thread::sleep(Duration::from_millis(300));
            let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
            let (mut socket, mut tls) = accept(&listener);
            let mut after = Vec::new();
            match &mut tls {
                None => socket.read_to_end(&mut after).unwrap(),
                Some(tls) => rustls::Stream::new(tls, &mut socket)
                    .read_to_end(&mut after)
                    .unwrap(),
            };
            (before, after)
        });
        let mut made = 0;
        while !server.is_finished() && made < 1_000_000 {
            queued.export(&vec![FlowRecord::default(); 500], 0);
            made += 500;
            std::thread::sleep(Duration::from_millis(1));
            if counters.failures_for(ConnectionFailure::Closed) > 0 && counters.connections() > 0 {
                break;
            }
        }
        for _ in 0..20 {
            queued.export(&vec![FlowRecord::default(); 50], 0);
            made += 50;
        }
        queued.finish(0);
        let (before, after) = server.join().unwrap();
        let (sent, lost) = (counters.sent(), counters.total_lost());
        assert_eq!(sent + lost, made, "nothing is lost in silence");
        assert_eq!(sent, records(&before) + records(&after));
        assert!(counters.lost_for(Loss::ConnectionLost) > 0);
        assert!(counters.lost_for(Loss::QueueFull) > 0);
        assert!(records(&after) > 0);
    }

    type Listening = (TcpListener, StreamExporter<Plain>);

    #[test]
    fn over_tcp_a_target_that_dies_and_comes_back_has_what_the_counters_say() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = exporter(listener.local_addr().unwrap().port(), "127.0.0.1", None);
        what_is_lost_is_what_the_counters_say(None, (listener, target));
    }

    #[test]
    fn over_tls_a_target_that_dies_and_comes_back_has_what_the_counters_say() {
        let certificates = Certificates::new();
        certificates.issue("server", "collector.example", 2100);
        certificates.issue("probe", "node-a", 2100);
        let path = |name: &str| certificates.path(name);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let credentials = Credentials {
            ca: Some(path("ca.pem")),
            cert: Some(path("probe.pem")),
            key: Some(path("probe.key")),
        };
        let port = listener.local_addr().unwrap().port();
        let target = exporter(port, "collector.example", Some(credentials));
        let config = server_config(&path("server.pem"), &path("server.key"), &path("ca.pem"));
        what_is_lost_is_what_the_counters_say(Some(config), (listener, target));
    }

    #[test]
    fn a_target_that_takes_nothing_does_not_hold_up_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = exporter(listener.local_addr().unwrap().port(), "127.0.0.1", None);
        let counters = target.dialer.counters.clone();
        let ending = target.dialer.ending.clone();
        let mut queued =
            Queued::start(target, ending, 100_000, Patience::Lose, counters.clone()).unwrap();
        let records = vec![FlowRecord::default(); 1000];
        for _ in 0..200 {
            queued.export(&records, 0);
        }
        std::thread::sleep(Duration::from_millis(300));
        let began = monotonic();
        queued.finish(0);
        assert!(began.elapsed() < Duration::from_secs(8));
        assert_eq!(counters.sent() + counters.total_lost(), 200_000);
    }

    /// Certificates of a test, made here.
    struct Certificates {
        folder: tempfile::TempDir,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Certificates {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut authority = CertificateParams::default();
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let certificate = authority.self_signed(&key).unwrap();
            std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
            Self {
                folder,
                issuer: Issuer::new(authority, key),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// `NAME.pem` and `NAME.key`, for a host, valid until a year.
        fn issue(&self, name: &str, host: &str, until: i32) {
            let mut params = CertificateParams::new([host.to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
        }
    }

    /// How a TLS server is that asks for client certificates of an authority.
    fn server_config(certificate: &Path, key: &Path, client_ca: &Path) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(client_ca).unwrap())
            .unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_file(certificate).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            );
        Arc::new(config.unwrap())
    }

    /// Such a server, which reads one connection to its end.
    fn server(certificate: &Path, key: &Path, client_ca: &Path) -> (u16, JoinHandle<Vec<u8>>) {
        let config = server_config(certificate, key, client_ca);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut tls = ServerConnection::new(config).unwrap();
            let mut taken = Vec::new();
            rustls::Stream::new(&mut tls, &mut socket)
                .read_to_end(&mut taken)
                .ok();
            tls.write_tls(&mut socket).ok();
            taken
        });
        (port, thread)
    }

    #[test]
    fn tls_with_certificates_on_both_sides_delivers_everything() {
        let certificates = Certificates::new();
        certificates.issue("server", "collector.example", 2100);
        certificates.issue("probe", "node-a", 2100);
        let path = |name: &str| certificates.path(name);
        let (port, server) = server(&path("server.pem"), &path("server.key"), &path("ca.pem"));
        let credentials = Credentials {
            ca: Some(path("ca.pem")),
            cert: Some(path("probe.pem")),
            key: Some(path("probe.key")),
        };
        let mut target = exporter(port, "collector.example", Some(credentials));
        let counters = target.dialer.counters.clone();
        target.export(&vec![FlowRecord::default(); 5000], 1000);
        target.finish(1000);
        assert_eq!(records(&server.join().unwrap()), 5000);
        assert_eq!((counters.sent(), counters.total_lost()), (5000, 0));
    }

    #[test]
    fn what_tls_does_not_accept_is_refused_with_its_reason_and_nothing_is_sent() {
        let ours = Certificates::new();
        let others = Certificates::new();
        ours.issue("server", "collector.example", 2100);
        ours.issue("expired", "collector.example", 2021);
        ours.issue("probe", "node-a", 2100);
        others.issue("probe", "node-a", 2100);
        let path = |name: &str| ours.path(name);
        let with_client = |ca: PathBuf, client: &Certificates| Credentials {
            ca: Some(ca),
            cert: Some(client.path("probe.pem")),
            key: Some(client.path("probe.key")),
        };
        let good = || with_client(path("ca.pem"), &ours);
        use ConnectionFailure as Reason;
        for (server_certificate, host, credentials, reason) in [
            (
                "server",
                "collector.example",
                with_client(others.path("ca.pem"), &ours),
                Reason::UnknownAuthority,
            ),
            (
                "expired",
                "collector.example",
                good(),
                Reason::CertificateExpired,
            ),
            ("server", "another.example", good(), Reason::WrongName),
            (
                "server",
                "collector.example",
                Credentials {
                    ca: Some(path("ca.pem")),
                    cert: None,
                    key: None,
                },
                Reason::CertificateRefused,
            ),
            (
                "server",
                "collector.example",
                with_client(path("ca.pem"), &others),
                Reason::CertificateRefused,
            ),
            (
                "server",
                "collector.example",
                Credentials {
                    ca: Some(path("nothing.pem")),
                    cert: None,
                    key: None,
                },
                Reason::BadCredentials,
            ),
        ] {
            let certificate = path(&format!("{server_certificate}.pem"));
            let key = path(&format!("{server_certificate}.key"));
            let (port, server) = server(&certificate, &key, &path("ca.pem"));
            let mut target = exporter(port, host, Some(credentials));
            let counters = target.dialer.counters.clone();
            // Asked to end: one try, and what it has is lost.
            target.dialer.ending.begin();
            target.export(&[FlowRecord::default()], 1000);
            target.finish(1000);
            assert_eq!(counters.failures_for(reason), 1, "{reason:?}");
            assert_eq!(counters.lost_for(Loss::Unreachable), 1, "{reason:?}");
            assert_eq!(counters.sent(), 0);
            assert_eq!(server.join().unwrap(), b"", "{reason:?}");
        }
    }
}
