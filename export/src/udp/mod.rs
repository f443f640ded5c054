//! Messages over UDP. Sending never waits for the target: a Message that the network refuses is
//! lost and counted by reason, and sequence numbers report the loss to the collector (RFC 7011
//! §10.3.2). Only the rate of a target, and for a savefile a full send buffer, are waited for. Such
//! targets have a thread of their own ([`crate::queued`]) if they could delay another one.
//!
//! A Message is not longer than the path MTU (RFC 7011 §10.3.3). The kernel learns it, and is asked
//! for it before each flush.

mod socket;
#[cfg(test)]
mod tests;

use flowproto::Address;
use flowproto::exporter::OutgoingMessage;
use tracing::info;

use crate::counters::to_u64;
use crate::destination::Destination;
use crate::exporter::Exporter;
use crate::session::{Encoding, RecordOf, SessionStart, TransportSession};
use socket::Sender;

/// Parameters of a UDP target.
#[derive(Clone, Copy, Debug)]
pub struct UdpSettings {
    /// Maximum length of a Message, octets.
    pub max_message_octets: usize,
    /// Maximum rate, records per second; 0 is unlimited.
    pub records_per_second: u32,
    /// Wait for room in the send buffer instead of losing a Message.
    pub wait: bool,
    /// Preferred source port, so that the session outlives a restart; 0 is any.
    pub source_port: u16,
}

/// A UDP destination: its Transport Session and its socket.
#[derive(Debug)]
pub struct UdpExporter<E: Encoding> {
    encoding: E,
    session: Option<E::Session>,
    settings: UdpSettings,
    message_octets: usize,
    sender: Sender,
}

impl<E: Encoding> UdpExporter<E> {
    /// Creates a destination, and opens its socket if its address is known.
    #[must_use]
    pub fn new(destination: Destination, encoding: E, settings: UdpSettings) -> Self {
        let mut target = Self {
            encoding,
            session: None,
            message_octets: settings.max_message_octets,
            sender: Sender::new(destination, settings),
            settings,
        };
        target.ensure_open(0);
        target
    }

    fn send_buffered(&mut self, now_milliseconds: u64) {
        let sender = &mut self.sender;
        if let Some(session) = &mut self.session {
            session.flush(now_milliseconds, &mut |message| sender.send(message));
        }
    }

    /// Opens the socket to the current address of the target, and a session for it. False if there
    /// is no socket.
    fn ensure_open(&mut self, now_milliseconds: u64) -> bool {
        if self.sender.has_moved() {
            // Buffered records belong to the session that ends here.
            self.send_buffered(now_milliseconds);
        }
        if self.sender.connect() || self.session.is_none() {
            let Some(local) = self.sender.local_address() else {
                return false;
            };
            self.message_octets = self.path_message_octets();
            // The host at the new address has no templates.
            self.session = Some(self.encoding.begin(SessionStart {
                exporter_address: Address::from(local.ip()),
                max_message_octets: self.message_octets,
                reliable: false,
                now_milliseconds,
            }));
        }
        self.sender.is_open()
    }

    fn path_message_octets(&self) -> usize {
        self.sender
            .path_message_octets()
            .map_or(self.settings.max_message_octets, |octets| {
                octets.min(self.settings.max_message_octets)
            })
    }

    /// Adapts the length of Messages to the path MTU.
    fn follow_path_mtu(&mut self) {
        let octets = self.path_message_octets();
        self.sender.too_long = false;
        if octets != self.message_octets
            && let Some(session) = &mut self.session
        {
            info!(
                target = self.sender.host(),
                message_octets = octets,
                "path MTU changed"
            );
            self.message_octets = octets;
            session.limit_message_octets(octets);
        }
    }
}

impl<E: Encoding> Exporter<RecordOf<E>> for UdpExporter<E> {
    fn export(&mut self, records: &[RecordOf<E>], now_milliseconds: u64) {
        if !self.ensure_open(now_milliseconds) {
            let reason = self.sender.destination.unavailable();
            let counters = &self.sender.destination.counters;
            counters.records_lost(reason, to_u64(records.len()));
            return;
        }
        let sender = &mut self.sender;
        if let Some(session) = &mut self.session {
            for record in records {
                let mut send = |message: OutgoingMessage<'_>| sender.send(message);
                if let Err(reason) = session.add(record, now_milliseconds, &mut send) {
                    sender.destination.counters.records_lost(reason.into(), 1);
                }
            }
        }
        if self.sender.too_long {
            self.follow_path_mtu();
        }
    }

    fn flush(&mut self, now_milliseconds: u64) {
        if self.ensure_open(now_milliseconds) {
            self.follow_path_mtu();
            if let Some(session) = &mut self.session {
                self.encoding
                    .renew(session, &self.sender.destination.counters);
                if self.sender.needs_template_refresh() {
                    session.refresh();
                }
            }
            self.send_buffered(now_milliseconds);
        }
    }

    fn settle(&mut self) {
        self.sender.settle_pending();
    }

    fn finish(&mut self, now_milliseconds: u64) {
        if self.ensure_open(now_milliseconds) {
            let sender = &mut self.sender;
            if let Some(session) = &mut self.session {
                self.encoding.renew(session, &sender.destination.counters);
                session.close(now_milliseconds, &mut |message| sender.send(message));
            }
        }
        self.settle();
        self.sender.disconnect();
    }
}
