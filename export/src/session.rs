//! How records become Messages: a Transport Session per connection, address or file, created by the
//! caller's [`Encoding`].

use std::fmt::Debug;

use flowproto::exporter::{ExportSession, OutgoingMessage, Unsupported};
use flowproto::{Address, FlowKey, FlowRecord};

use crate::counters::TargetCounters;

/// Receives finished Messages.
pub type MessageSink<'a> = dyn FnMut(OutgoingMessage<'_>) + 'a;

/// A Transport Session: writes records into Messages.
pub trait TransportSession: Send + Debug {
    /// What is exported.
    type Record: Clone + Send + 'static;

    /// Appends a record to the current Message. Messages that become full go to `send`. The export
    /// time is `now_milliseconds` since the epoch.
    ///
    /// # Errors
    /// The version of the protocol cannot carry the record.
    fn add(
        &mut self,
        record: &Self::Record,
        now_milliseconds: u64,
        send: &mut MessageSink<'_>,
    ) -> Result<(), Unsupported>;

    /// Sends the current Message, and templates and options data that are due.
    fn flush(&mut self, now_milliseconds: u64, send: &mut MessageSink<'_>);

    /// Sends the current Message, and withdraws the templates if the transport is reliable
    /// (RFC 7011 §8.1).
    fn close(&mut self, now_milliseconds: u64, send: &mut MessageSink<'_>);

    /// Makes templates and options data due, because the receiver may have restarted.
    fn refresh(&mut self);

    /// Limits the length of Messages from now on.
    fn limit_message_octets(&mut self, octets: usize);
}

impl TransportSession for ExportSession {
    type Record = FlowRecord;

    #[inline]
    fn add(
        &mut self,
        record: &FlowRecord,
        now_milliseconds: u64,
        send: &mut MessageSink<'_>,
    ) -> Result<(), Unsupported> {
        Self::add(self, record, now_milliseconds, send)
    }

    fn flush(&mut self, now_milliseconds: u64, send: &mut MessageSink<'_>) {
        Self::flush(self, now_milliseconds, send);
    }

    fn close(&mut self, now_milliseconds: u64, send: &mut MessageSink<'_>) {
        Self::close(self, now_milliseconds, send);
    }

    fn refresh(&mut self) {
        Self::refresh(self);
    }

    fn limit_message_octets(&mut self, octets: usize) {
        Self::limit_message_octets(self, octets);
    }
}

/// What a session needs to know of its transport.
#[derive(Clone, Copy, Debug)]
pub struct SessionStart {
    /// Source address of the Messages; unspecified for a file.
    pub exporter_address: Address,
    /// Maximum length of a Message, octets.
    pub max_message_octets: usize,
    /// The transport is reliable and in order (TCP, TLS, files), so templates are sent once.
    pub reliable: bool,
    /// Milliseconds since the epoch.
    pub now_milliseconds: u64,
}

/// Creates the Transport Sessions of a target.
pub trait Encoding: Clone + Send + Debug + 'static {
    /// A Transport Session.
    type Session: TransportSession + 'static;

    /// Creates a session that has sent nothing.
    fn begin(&self, start: SessionStart) -> Self::Session;

    /// Updates the options data of a session. Called before each flush, four times per second.
    fn renew(&self, _session: &mut Self::Session, _counters: &TargetCounters) {}

    /// The flow of a record, which selects one of several addresses of a target.
    fn flow_key(record: &RecordOf<Self>) -> FlowKey;
}

/// The record type of an encoding.
pub type RecordOf<E> = <<E as Encoding>::Session as TransportSession>::Record;
