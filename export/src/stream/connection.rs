//! One connection: TCP or TLS over it, and which Messages the other host has acknowledged.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use flowproto::exporter::{OutgoingMessage, Weight};
use nix::sys::socket::{MsgFlags, recv};
use rustls::ClientConnection;
use socket2::{SockRef, TcpKeepalive};

use super::OFFLINE_PATIENCE;
use crate::counters::{ConnectionFailure, Loss, TargetCounters, wide};
use crate::queued::Ending;
use crate::target::Credentials;
use crate::{monotonic, tls, unacknowledged};

const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// In TLS 1.3 this side is done before the other one has looked at its certificate. So nothing is sent until
/// the other side has said something, or nothing for so long.
const REFUSAL_WITHIN: Duration = Duration::from_secs(1);
/// A target that takes nothing for so long is away.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// How soon a wait notices that it is to end.
const LOOK_UP: Duration = Duration::from_millis(200);

/// What stands in the way of a connection.
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
        Self::new(tls::reason(&error), error)
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    pub(super) local: SocketAddr,
    remote: SocketAddr,
    pub(super) since: Instant,
    /// Octets that the kernel has taken.
    written: u64,
    /// Messages that the other host has not acknowledged, with the end of each in the stream.
    unsettled: VecDeque<Written>,
    /// This side has said that it is done.
    ended: bool,
    /// The other side has.
    heard_end: bool,
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
    pub(super) fn new(
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
            heard_end: false,
            reset: false,
            counters,
            ending: Ending::default(),
        })
    }

    /// The TLS handshake, where there is to be one.
    pub(super) fn secure(
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

    /// Whether the other side has said that it sends nothing more.
    pub(super) const fn other_side_is_done(&self) -> bool {
        self.heard_end
    }

    /// Notices that the other side has closed, and reads what nobody asked it to say.
    pub(super) fn listen(&mut self) -> Result<(), Failure> {
        let mut octets = [0_u8; 2048];
        loop {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
            match recv(self.socket.as_raw_fd(), &mut octets, flags).map_err(io::Error::from) {
                Ok(0) => return Err(self.hear_end()),
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
                    return Err(self.hear_end());
                }
            } else {
                // How much does not matter: it is asked again.
                let _octets = self.socket.read(&mut octets)?;
            }
        }
    }

    fn hear_end(&mut self) -> Failure {
        self.heard_end = true;
        io::Error::from(ErrorKind::UnexpectedEof).into()
    }

    pub(super) fn send(&mut self, message: OutgoingMessage<'_>) -> Result<(), Failure> {
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
    pub(super) fn settle(&mut self) {
        if self.unsettled.is_empty() {
            return;
        }
        let acknowledged = match unacknowledged::octets(self.local, self.remote) {
            Ok(waiting) => self.written.saturating_sub(waiting),
            // The kernel has forgotten the connection: it was reset, or it ended and all was acknowledged.
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                let in_order = self.ended && !self.reset;
                if !in_order || !matches!(self.socket.take_error(), Ok(None)) {
                    self.reset = true;
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
    pub(super) fn lose(&mut self, counters: &TargetCounters) {
        for written in self.unsettled.drain(..) {
            counters.lost(Loss::ConnectionLost, written.weight);
            counters.waiting(-i64::try_from(written.weight.records).unwrap_or_default());
        }
    }

    /// Ends it as it should be, and waits for what is still on its way.
    pub(super) fn close(&mut self, ending: &Ending) {
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
            && !self.reset
            && !ending.is_over()
            && began.elapsed() < OFFLINE_PATIENCE
        {
            std::thread::sleep(Duration::from_millis(2));
            // That the other side has said all it has to say is no reason not to wait: its host still answers.
            self.listen().ok();
            self.settle();
        }
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
