//! A target that is open.

use std::fmt::Debug;
use std::time::Duration;

/// How long a record may wait for others to fill its Message, and the interval of checks for due
/// templates.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(250);

/// How long a target may take to send its records when the process stops.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// An open target. It reports no errors to the caller: records that it cannot deliver are counted
/// by reason.
pub trait Exporter<R>: Send + Debug {
    /// Takes records and sends them, at the latest with the next flush.
    fn export(&mut self, records: &[R], now_milliseconds: u64);

    /// Sends what is buffered, and templates if they are due. Called every [`FLUSH_INTERVAL`].
    fn flush(&mut self, now_milliseconds: u64);

    /// Settles the outcome of what was sent last. Called when there was no record for a while.
    fn settle(&mut self) {}

    /// Sends what is left and ends the session, within [`SHUTDOWN_TIMEOUT`].
    fn finish(&mut self, now_milliseconds: u64);
}

/// Finishes several targets in parallel, so that each has the whole [`SHUTDOWN_TIMEOUT`].
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
