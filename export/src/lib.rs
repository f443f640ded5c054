//! The sending side of an Exporting Process, for whoever has records: the probe (flow records as metered)
//! and the collector (records it passes on).
//!
//! * [`target`]: what an export URL may say;
//! * [`names`]: host names of targets, looked up apart from all else;
//! * [`udp`], [`stream`] (TCP and TLS), [`file`](mod@file): Messages over each transport, and what becomes of them;
//! * [`spread`]: one target that is several addresses;
//! * [`queued`]: a thread and a bounded queue for a target that can block;
//! * [`counters`]: the metrics of every target, under the prefix of the binary;
//! * [`Prepared`] puts them together.
//!
//! What a record is, and how it becomes Messages, is the caller's [`Encoding`]. Nothing here is locked per
//! record, and nothing allocates once it is warm.

pub mod counters;
pub mod file;
pub mod names;
mod open;
pub mod own_export;
mod pace;
pub mod queued;
pub mod spread;
pub mod stream;
pub mod target;
#[cfg(test)]
mod test_encoding;
pub mod tls;
pub mod udp;
mod unacknowledged;

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flowproto::exporter::{ExportSession, OutgoingMessage, Unsupported};
use flowproto::{Address, FlowKey, FlowRecord};

use counters::TargetCounters;

pub use open::{Opener, Prepared};

/// How long a record may wait for others to fill its Message, and how soon a template refresh is noticed.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// Where finished Messages go.
pub type Send<'a> = dyn FnMut(OutgoingMessage<'_>) + 'a;

/// One Transport Session: writes records into Messages.
pub trait Session: std::marker::Send + Debug {
    /// What is exported.
    type Record: Clone + std::marker::Send + 'static;

    /// Appends a record to the Message being filled; Messages that become full go to `send`.
    /// `now_milliseconds` since the epoch becomes the export time.
    ///
    /// # Errors
    /// The version of the protocol has no place for such a record.
    fn add(
        &mut self,
        record: &Self::Record,
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) -> Result<(), Unsupported>;

    /// Sends what is gathered, and templates and options data that are due.
    fn flush(&mut self, now_milliseconds: u64, send: &mut Send<'_>);

    /// Sends what is gathered, and withdraws the templates where the transport is told of that (RFC 7011 §8.1).
    fn close(&mut self, now_milliseconds: u64, send: &mut Send<'_>);

    /// Templates and options data are due: the receiver may have been restarted.
    fn refresh(&mut self);

    /// No Message is longer than this from now on.
    fn limit_message_octets(&mut self, octets: usize);
}

/// Flow records as they are.
impl Session for ExportSession {
    type Record = FlowRecord;

    #[inline]
    fn add(
        &mut self,
        record: &FlowRecord,
        now_milliseconds: u64,
        send: &mut Send<'_>,
    ) -> Result<(), Unsupported> {
        Self::add(self, record, now_milliseconds, send)
    }

    fn flush(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        Self::flush(self, now_milliseconds, send);
    }

    fn close(&mut self, now_milliseconds: u64, send: &mut Send<'_>) {
        Self::close(self, now_milliseconds, send);
    }

    fn refresh(&mut self) {
        Self::refresh(self);
    }

    fn limit_message_octets(&mut self, octets: usize) {
        Self::limit_message_octets(self, octets);
    }
}

/// What a session is told of its transport.
#[derive(Clone, Copy, Debug)]
pub struct SessionStart {
    /// The address that Messages leave from; unspecified for a file.
    pub exporter_address: Address,
    /// Octets of a Message at the most.
    pub max_message_octets: usize,
    /// The transport loses nothing and keeps the order (TCP, TLS, files): templates go out once.
    pub reliable: bool,
    /// Milliseconds since the epoch.
    pub now_milliseconds: u64,
}

/// How records become Messages. Every connection, address and file gets a session of its own.
pub trait Encoding: Clone + std::marker::Send + Debug + 'static {
    /// One Transport Session.
    type Session: Session + 'static;

    /// A session that has sent nothing.
    fn begin(&self, start: SessionStart) -> Self::Session;

    /// Called before each flush, four times a second: what options data say may be renewed here.
    fn renew(&self, _session: &mut Self::Session, _counters: &TargetCounters) {}

    /// The flow that a record is of: a target with several addresses is chosen by it.
    fn flow_key(record: &RecordOf<Self>) -> FlowKey;
}

/// What an encoding takes.
pub type RecordOf<E> = <<E as Encoding>::Session as Session>::Record;

/// One target, ready to take records. Nothing here is an error to the caller: what does not get through is
/// counted by reason.
pub trait Exporter<R>: std::marker::Send + Debug {
    /// Takes records, sends them sooner or later.
    fn export(&mut self, records: &[R], now_milliseconds: u64);

    /// Sends what is gathered, and templates when they are due. To be called every [`FLUSH_INTERVAL`].
    fn flush(&mut self, now_milliseconds: u64);

    /// Learns what became of what was sent last. To be called when no record has come for a while.
    fn settle(&mut self) {}

    /// Sends what is left and ends the session, within [`END_WITHIN`].
    fn finish(&mut self, now_milliseconds: u64);
}

/// How long a target that is asked to end may still try to get its records out.
pub const END_WITHIN: Duration = Duration::from_secs(5);

/// Ends several targets at the same time, so that all of them have the whole of [`END_WITHIN`].
pub fn finish_all<'a, R: 'static>(
    exporters: impl Iterator<Item = &'a mut Box<dyn Exporter<R>>>,
    now_milliseconds: u64,
) {
    std::thread::scope(|scope| {
        for exporter in exporters {
            scope.spawn(move || exporter.finish(now_milliseconds));
        }
    });
}

/// Milliseconds since the epoch, for the export time of Messages.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the Exporting Process is where wall time enters: RFC 7011 §3.1 asks when a Message left"
)]
pub fn wall_clock_milliseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "pacing, retries and timeouts are of this machine's time; no record depends on it"
)]
fn monotonic() -> Instant {
    Instant::now()
}
