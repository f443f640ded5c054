//! IPFIX over TCP and TLS (RFC 7011 §10.4). Runs in a thread of its own ([`crate::queued`]) because
//! it may block for any time.
//!
//! A connection is one Transport Session: templates are sent again and the sequence starts at 0. A
//! Message counts as sent when the other host has acknowledged it (on a kernel without diagnostics
//! of sockets, when the kernel has accepted it). When the connection breaks,
//! Messages without an acknowledgement are lost and counted: sending them again could duplicate
//! them. When the other side closes its direction in order, what is left is still sent, and a
//! collector that continues to read loses nothing.

mod connection;
mod dialer;
#[cfg(test)]
mod tests;

use flowproto::Address;

use crate::clock::{monotonic, wall_clock_milliseconds};
use crate::counters::{LossReason, to_u64};
use crate::destination::Destination;
use crate::exporter::Exporter;
use crate::rate_limit::RateLimit;
use crate::session::{Encoding, MessageSink, RecordOf, SessionStart, TransportSession};
use crate::tls::Credentials;
use connection::{Connection, Failure, OFFLINE_TIMEOUT};
use dialer::Dialer;

/// Maximum length of a Message, octets: few system calls, and within the buffer of any receiver.
const MESSAGE_OCTETS: usize = 8192;

/// Parameters of a stream target.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// TLS with these credentials; TCP without.
    pub credentials: Option<Credentials>,
    /// Maximum rate, records per second; 0 is unlimited.
    pub records_per_second: u32,
    /// Records come from a file: an unreachable target is waited for, but not forever.
    pub offline: bool,
}

/// A TCP or TLS destination: its Transport Session and its connection.
#[derive(Debug)]
pub struct StreamExporter<E: Encoding> {
    encoding: E,
    settings: StreamSettings,
    session: Option<E::Session>,
    connection: Option<Connection>,
    dialer: Dialer,
    rate_limit: Option<RateLimit>,
}

impl<E: Encoding> StreamExporter<E> {
    /// Creates a destination that is not connected yet.
    #[must_use]
    pub fn new(destination: Destination, encoding: E, settings: StreamSettings) -> Self {
        Self {
            encoding,
            rate_limit: RateLimit::new(settings.records_per_second, destination.deadline.clone()),
            settings,
            session: None,
            connection: None,
            dialer: Dialer::new(destination),
        }
    }

    /// Connects, however long that takes. False if the target is not waited for any longer.
    fn ensure_connected(&mut self, now_milliseconds: u64) -> bool {
        if let Some(connection) = &mut self.connection {
            match connection.poll_peer() {
                Ok(()) => return true,
                // It may still read what it is sent, to stop without a loss.
                Err(failure) if connection.peer_has_closed() => {
                    if self.close(now_milliseconds) {
                        self.dialer.report(&failure);
                        self.dialer.back_off();
                    }
                }
                Err(failure) => self.abort(failure),
            }
        }
        loop {
            if self.dialer.destination.deadline.is_over() {
                return false;
            }
            let disconnected = *self.dialer.disconnected.get_or_insert_with(monotonic);
            match self.dialer.dial(self.settings.credentials.as_ref()) {
                Ok(connection) => {
                    self.session = Some(self.encoding.begin(SessionStart {
                        exporter_address: Address::from(connection.local.ip()),
                        max_message_octets: MESSAGE_OCTETS,
                        reliable: true,
                        now_milliseconds: wall_clock_milliseconds(),
                    }));
                    self.connection = Some(connection);
                    return true;
                }
                Err(failure) => self.dialer.report(&failure),
            }
            let is_shutdown = self.dialer.destination.deadline.left().is_some();
            let is_late = self.settings.offline && disconnected.elapsed() >= OFFLINE_TIMEOUT;
            if is_shutdown || is_late {
                return false;
            }
            self.dialer.back_off();
        }
    }

    /// Ends a connection that failed. What it has not delivered is lost.
    fn abort(&mut self, failure: Failure) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        connection.settle();
        connection.lose();
        let counters = &self.dialer.destination.counters;
        if let Some(mut session) = self.session.take() {
            // The current Message is lost with the session.
            session.flush(0, &mut |message| {
                counters.lost(LossReason::ConnectionLost, message.weight);
            });
        }
        self.dialer.on_disconnect(&connection);
        self.dialer.report(&failure);
        self.dialer.back_off();
    }

    /// Ends a connection in order: sends what is left and waits for acknowledgements. False if the
    /// connection broke meanwhile.
    fn close(&mut self, now_milliseconds: u64) -> bool {
        if let Some(session) = &mut self.session {
            self.encoding
                .renew(session, &self.dialer.destination.counters);
        }
        self.with_session(|session, send| session.close(now_milliseconds, send));
        let Some(mut connection) = self.connection.take() else {
            return false;
        };
        self.session = None;
        connection.close();
        self.dialer.on_disconnect(&connection);
        true
    }

    /// Lets the session write, and ends the connection if that fails.
    fn with_session<T>(
        &mut self,
        write: impl FnOnce(&mut E::Session, &mut MessageSink<'_>) -> T,
    ) -> Option<T> {
        let (Some(session), Some(connection)) = (&mut self.session, &mut self.connection) else {
            return None;
        };
        let mut failure = None;
        let (rate_limit, counters) = (&mut self.rate_limit, &self.dialer.destination.counters);
        let result = write(session, &mut |message| {
            if failure.is_some() {
                counters.lost(LossReason::ConnectionLost, message.weight);
                return;
            }
            if let Some(limit) = rate_limit {
                limit.wait_for(message.weight.records);
            }
            failure = connection.send(message).err();
        });
        if let Some(failure) = failure {
            self.abort(failure);
        }
        Some(result)
    }
}

impl<E: Encoding> Exporter<RecordOf<E>> for StreamExporter<E> {
    fn export(&mut self, records: &[RecordOf<E>], now_milliseconds: u64) {
        for (at, record) in records.iter().enumerate() {
            if (at == 0 || self.connection.is_none()) && !self.ensure_connected(now_milliseconds) {
                let left = to_u64(records.len().saturating_sub(at));
                let reason = self.dialer.destination.unavailable();
                self.dialer.destination.counters.records_lost(reason, left);
                return;
            }
            let added =
                self.with_session(|session, send| session.add(record, now_milliseconds, send));
            if let Some(Err(reason)) = added {
                self.dialer
                    .destination
                    .counters
                    .records_lost(reason.into(), 1);
            }
        }
        if let Some(connection) = &mut self.connection {
            connection.settle();
        }
    }

    fn flush(&mut self, now_milliseconds: u64) {
        // An unreachable target is retried when there is a record to send.
        if self.connection.is_none() && self.dialer.disconnected.is_some() {
            return;
        }
        if !self.ensure_connected(now_milliseconds) {
            return;
        }
        if let Some(session) = &mut self.session {
            self.encoding
                .renew(session, &self.dialer.destination.counters);
        }
        self.with_session(|session, send| session.flush(now_milliseconds, send));
        if let Some(connection) = &mut self.connection {
            connection.settle();
        }
    }

    fn finish(&mut self, now_milliseconds: u64) {
        if self.connection.is_some() && self.ensure_connected(now_milliseconds) {
            self.close(now_milliseconds);
        }
    }
}
