//! One connection, TCP or TLS, and the Messages that the other host has not acknowledged yet.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use flowproto::exporter::{OutgoingMessage, Weight};
use nix::sys::socket::{MsgFlags, recv};
use rustls::ClientConnection;
use socket2::{SockRef, TcpKeepalive};

use crate::clock::monotonic;
use crate::counters::{ConnectionFailure, LossReason, TargetCounters, to_u64};
use crate::destination::Destination;
use crate::shutdown::ShutdownDeadline;
use crate::tcp_diag::TcpDiagnostics;
use crate::tls::{self, Credentials};

/// For a savefile, how long an unreachable target, or the acknowledgement of its last Messages, is
/// waited for.
pub(super) const OFFLINE_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// In TLS 1.3 the client completes the handshake before the server has verified its certificate. So
/// nothing is sent until the server has sent something, or nothing for this long.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// A target that accepts no data for this long is unreachable.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval at which blocked reads and writes check for the shutdown.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Interval between queries of the last acknowledgements.
const SETTLE_INTERVAL: Duration = Duration::from_millis(2);

/// Why a connection failed.
pub(super) struct Failure {
    pub(super) reason: ConnectionFailure,
    pub(super) error: anyhow::Error,
}

impl Failure {
    pub(super) fn new(reason: ConnectionFailure, error: impl Into<anyhow::Error>) -> Self {
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
        let text = kipfix_service::tls_error::describe(&error);
        Self::new(tls::reason(&error), anyhow::Error::msg(text))
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    pub(super) local: SocketAddr,
    pub(super) since: Instant,
    /// `None` if the kernel has none: what it has accepted counts as sent.
    diagnostics: Option<TcpDiagnostics>,
    /// Octets that the kernel has accepted.
    written: u64,
    /// Messages that the other host has not acknowledged.
    unsettled: VecDeque<UnsettledMessage>,
    /// This side has closed its direction.
    closed: bool,
    /// The other side has closed its direction.
    peer_closed: bool,
    /// The connection was reset.
    reset: bool,
    counters: TargetCounters,
    deadline: ShutdownDeadline,
}

#[derive(Debug)]
struct UnsettledMessage {
    /// Position of its end in the stream.
    end: u64,
    weight: Weight,
    octets: u64,
}

impl Connection {
    pub(super) fn new(
        socket: TcpStream,
        (local, remote): (SocketAddr, SocketAddr),
        destination: &Destination,
    ) -> Result<Self, Failure> {
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(POLL_INTERVAL))?;
        socket.set_read_timeout(Some(POLL_INTERVAL))?;
        let options = SockRef::from(&socket);
        options.set_tcp_user_timeout(Some(STALL_TIMEOUT))?;
        let keepalive = TcpKeepalive::new()
            .with_time(STALL_TIMEOUT)
            .with_interval(STALL_TIMEOUT / 3)
            .with_retries(3);
        options.set_tcp_keepalive(&keepalive)?;
        let mut connection = Self {
            socket,
            tls: None,
            local,
            since: monotonic(),
            diagnostics: TcpDiagnostics::open(local, remote).ok(),
            written: 0,
            unsettled: VecDeque::new(),
            closed: false,
            peer_closed: false,
            reset: false,
            counters: destination.counters.clone(),
            deadline: destination.deadline.clone(),
        };
        // The kernel knows no connection that was reset meanwhile, either.
        if connection.diagnostics.is_none() {
            connection.poll_peer()?;
        }
        Ok(connection)
    }

    /// Pretends that the kernel has no diagnostics.
    #[cfg(test)]
    pub(super) fn without_diagnostics(&mut self) {
        self.diagnostics = None;
    }

    /// Returns the number of Messages that do not count as sent yet.
    #[cfg(test)]
    pub(super) fn unsettled_messages(&self) -> usize {
        self.unsettled.len()
    }

    /// Performs the TLS handshake, if there are credentials.
    pub(super) fn secure(
        mut self,
        credentials: Option<&Credentials>,
        host: &str,
    ) -> Result<Self, Failure> {
        let Some(credentials) = credentials else {
            return Ok(self);
        };
        let mut tls = tls::client(credentials, host)
            .map_err(|error| Failure::new(ConnectionFailure::BadCredentials, error))?;
        let start = monotonic();
        while tls.is_handshaking() {
            if tls.wants_write() {
                tls.write_tls(&mut BlockingWriter(&mut self))?;
            } else {
                self.read_tls(&mut tls, start + HANDSHAKE_TIMEOUT)?;
            }
        }
        while tls.wants_write() {
            tls.write_tls(&mut BlockingWriter(&mut self))?;
        }
        match self.read_tls(&mut tls, monotonic() + REFUSAL_TIMEOUT) {
            Ok(()) => {}
            Err(failure) if failure.reason == ConnectionFailure::TimedOut => {}
            Err(failure) if failure.reason == ConnectionFailure::Closed => {
                return Err(Failure::new(
                    ConnectionFailure::CertificateRefused,
                    failure.error.context("closed after the handshake"),
                ));
            }
            Err(failure) => return Err(failure),
        }
        self.tls = Some(Box::new(tls));
        Ok(self)
    }

    /// Reads from the other side until `deadline`.
    fn read_tls(&mut self, tls: &mut ClientConnection, deadline: Instant) -> Result<(), Failure> {
        loop {
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(_) => {
                    return match tls.process_new_packets() {
                        Ok(_) => Ok(()),
                        Err(error) => {
                            // Sends an alert with the reason.
                            tls.write_tls(&mut BlockingWriter(self)).ok();
                            Err(error.into())
                        }
                    };
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if monotonic() >= deadline || self.deadline.is_over() {
                        return Err(io::Error::from(ErrorKind::TimedOut).into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// True if the other side has closed its direction in order.
    pub(super) const fn peer_has_closed(&self) -> bool {
        self.peer_closed
    }

    /// Detects that the other side has closed, and discards what it sends.
    pub(super) fn poll_peer(&mut self) -> Result<(), Failure> {
        let mut octets = [0_u8; 2048];
        loop {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
            match recv(self.socket.as_raw_fd(), &mut octets, flags).map_err(io::Error::from) {
                Ok(0) => return Err(self.on_peer_close()),
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
                    return Err(self.on_peer_close());
                }
            } else {
                // The number does not matter: the loop reads again.
                let _octets = self.socket.read(&mut octets)?;
            }
        }
    }

    fn on_peer_close(&mut self) -> Failure {
        self.peer_closed = true;
        io::Error::from(ErrorKind::UnexpectedEof).into()
    }

    pub(super) fn send(&mut self, message: OutgoingMessage<'_>) -> Result<(), Failure> {
        let weight = message.weight;
        if let Err(error) = self.write(message.octets) {
            self.counters.lost(LossReason::ConnectionLost, weight);
            return Err(error.into());
        }
        self.counters
            .waiting(i64::try_from(weight.records).unwrap_or_default());
        self.unsettled.push_back(UnsettledMessage {
            end: self.written,
            weight,
            octets: to_u64(message.octets.len()),
        });
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let Some(mut tls) = self.tls.take() else {
            return BlockingWriter(self).write_all(octets);
        };
        let mut outcome = tls.writer().write_all(octets);
        while outcome.is_ok() && tls.wants_write() {
            outcome = tls.write_tls(&mut BlockingWriter(self)).map(drop);
        }
        self.tls = Some(tls);
        outcome
    }

    /// Counts as sent what the other host has acknowledged.
    pub(super) fn settle(&mut self) {
        if self.unsettled.is_empty() {
            return;
        }
        let unacknowledged = match &mut self.diagnostics {
            None => Ok(0),
            Some(diagnostics) => diagnostics.unacknowledged_octets(),
        };
        let acknowledged = match unacknowledged {
            Ok(waiting) => self.written.saturating_sub(waiting),
            // The kernel has no such connection: it was reset, or it ended and all was
            // acknowledged.
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                let in_order = self.closed && !self.reset;
                if !in_order || !matches!(self.socket.take_error(), Ok(None)) {
                    self.reset = true;
                    return;
                }
                self.written
            }
            // The kernel does not answer: what it accepted counts as sent.
            Err(_) => self.written,
        };
        while let Some(first) = self.unsettled.front()
            && first.end <= acknowledged
        {
            let UnsettledMessage { weight, octets, .. } = *first;
            self.counters.message_sent(weight, octets);
            self.counters
                .waiting(-i64::try_from(weight.records).unwrap_or_default());
            self.unsettled.pop_front();
        }
    }

    /// Counts Messages without an acknowledgement as lost.
    pub(super) fn lose(&mut self) {
        for message in self.unsettled.drain(..) {
            self.counters
                .lost(LossReason::ConnectionLost, message.weight);
            self.counters
                .waiting(-i64::try_from(message.weight.records).unwrap_or_default());
        }
    }

    /// Closes in order, and waits for outstanding acknowledgements. What is not acknowledged then
    /// is lost.
    pub(super) fn close(&mut self) {
        if let Some(mut tls) = self.tls.take() {
            tls.send_close_notify();
            while tls.wants_write() {
                if tls.write_tls(&mut BlockingWriter(self)).is_err() {
                    break;
                }
            }
        }
        self.closed = self.socket.shutdown(Shutdown::Write).is_ok();
        let start = monotonic();
        self.settle();
        while !self.unsettled.is_empty()
            && !self.reset
            && !self.deadline.is_over()
            && start.elapsed() < OFFLINE_TIMEOUT
        {
            std::thread::sleep(SETTLE_INTERVAL);
            // A host still acknowledges after the other side has closed its direction.
            self.poll_peer().ok();
            self.settle();
        }
        self.lose();
    }
}

/// Writes to the socket, and waits for room for up to the stall timeout.
struct BlockingWriter<'a>(&'a mut Connection);

impl Write for BlockingWriter<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let start = monotonic();
        loop {
            match self.0.socket.write(octets) {
                Ok(taken) => {
                    self.0.written = self.0.written.saturating_add(to_u64(taken));
                    return Ok(taken);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if start.elapsed() >= STALL_TIMEOUT || self.0.deadline.is_over() {
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
