//! IPFIX over TCP and TLS (RFC 7011 §10.4), for a thread of its own ([`crate::queued`]): it may wait here for
//! as long as it takes, what comes meanwhile is in the queue.
//!
//! A connection is one Transport Session: templates go out anew and the sequence begins at 0. What was
//! written counts as sent once the other host has acknowledged it; when the connection breaks, what it has not
//! acknowledged is lost, and counted so: to send it again could count it twice. When the other side closes its way
//! in order, ours is still open: what there is goes out, and a collector that reads on loses nothing.

mod connection;
#[cfg(test)]
mod tests;

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowproto::Address;
use tracing::{info, warn};

use crate::counters::{ConnectionFailure, Loss, TargetCounters, wide};
use crate::names::Name;
use crate::own_export::{OwnEnd, OwnExport};
use crate::pace::Pace;
use crate::queued::Ending;
use crate::target::Credentials;
use crate::{Encoding, Exporter, RecordOf, Session, SessionStart, monotonic};
use connection::{Connection, Failure};

/// Octets of a Message at the most: few system calls, and nobody's buffer is too small.
const MESSAGE_OCTETS: usize = 8192;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
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
    fn ready(&mut self, now_milliseconds: u64) -> bool {
        if let Some(connection) = &mut self.connection {
            match connection.listen() {
                Ok(()) => return true,
                // It may still read what it is sent, to stop without a loss.
                Err(failure) if connection.other_side_is_done() => {
                    if self.part(now_milliseconds) {
                        self.dialer.complain(&failure);
                        self.dialer.pause();
                    }
                }
                Err(failure) => self.break_off(failure),
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

    /// Ends a connection as it should be: what is left goes out, and is waited for. False where it broke over
    /// that.
    fn part(&mut self, now_milliseconds: u64) -> bool {
        if let Some(session) = &mut self.session {
            self.encoding.renew(session, &self.dialer.counters);
        }
        self.with_session(|session, send| session.close(now_milliseconds, send));
        let Some(mut connection) = self.connection.take() else {
            return false;
        };
        self.session = None;
        connection.close(&self.dialer.ending);
        connection.lose(&self.dialer.counters);
        self.dialer.disconnected(&connection);
        true
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
            if (at == 0 || self.connection.is_none()) && !self.ready(now_milliseconds) {
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
        if !self.ready(now_milliseconds) {
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
        if self.connection.is_some() && self.ready(now_milliseconds) {
            self.part(now_milliseconds);
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
