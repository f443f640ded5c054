//! The thread that writes the lines of the flow log.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kipfix_service::signals::{Hangups, Stop};

use super::counts::Shared;
use super::file::LogFile;
use super::lines::Lines;
use super::to_u64;
use crate::clock;
use crate::emit::double_buffer::{Batch, ConsumerGuard};

/// Octets of one write. A failed write loses its lines only.
const WRITE_OCTETS: usize = 64 << 10;
/// Maximum time until a closed queue, a request to open the file again, or the end of a file's
/// duration is noticed if nothing is added.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Writes lines until the queue is closed and empty. The file is opened again after each of
/// `hangups`.
pub(super) fn run(file: LogFile, shared: &Shared, mut hangups: Hangups, stop: Stop) {
    let _guard = ConsumerGuard(&shared.queue, stop);
    let mut writer = Writer {
        file,
        shared,
        has_warned: false,
    };
    let mut lines = Lines::default();
    while shared.queue.swap(&mut lines, POLL_INTERVAL) {
        if hangups.take() {
            writer.reopen();
        }
        writer.rotate_if_due(0);
        writer.write_all(&lines);
        lines.clear();
    }
}

struct Writer<'a> {
    file: LogFile,
    shared: &'a Shared,
    has_warned: bool,
}

impl Writer<'_> {
    fn write_all(&mut self, lines: &Lines) {
        let shared = self.shared;
        let mut first = 0;
        let mut begin = 0;
        while first < lines.len() {
            let rest = lines.ends.get(first..).unwrap_or_default();
            let fitting = rest.partition_point(|end| end.saturating_sub(begin) <= WRITE_OCTETS);
            let count = fitting.max(1);
            first = first.saturating_add(count);
            let end = lines.octets_of(first);
            let text = lines.text.get(begin..end).unwrap_or_default();
            begin = end;
            let counter = match self.write(text) {
                Ok(()) => &shared.written,
                Err(error) => {
                    self.on_failure(&error);
                    &shared.write_failed
                }
            };
            counter.fetch_add(to_u64(count), Ordering::AcqRel);
            shared.queued.fetch_sub(to_u64(count), Ordering::AcqRel);
            let octets = to_u64(text.len());
            shared.queued_octets.fetch_sub(octets, Ordering::AcqRel);
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.rotate_if_due(text.len());
        self.file.write(text)
    }

    fn rotate_if_due(&mut self, more: usize) {
        let result = self.file.rotate_if_due(more, clock::wall_milliseconds());
        let rotated = &self.shared.rotated;
        self.count(result, rotated, "cannot rotate the flow log");
    }

    fn reopen(&mut self) {
        let result = self.file.reopen(clock::wall_milliseconds());
        if matches!(result, Ok(true)) {
            tracing::info!("flow log opened again");
        }
        let reopened = &self.shared.reopened;
        self.count(result, reopened, "cannot open the flow log again");
    }

    fn count(&mut self, result: io::Result<bool>, counter: &AtomicU64, problem: &str) {
        match result {
            Ok(is_done) => drop(counter.fetch_add(is_done.into(), Ordering::AcqRel)),
            Err(error) => {
                self.shared.rotation_failed.fetch_add(1, Ordering::AcqRel);
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::error!(
                        %error,
                        "{problem} (logged once; see flow_log_rotation_failed_total)"
                    );
                }
            }
        }
    }

    fn on_failure(&mut self, error: &io::Error) {
        let is_closed = error.kind() == ErrorKind::BrokenPipe;
        self.shared.is_closed.fetch_or(is_closed, Ordering::AcqRel);
        self.file.remove_partial_line();
        if !std::mem::replace(&mut self.has_warned, true) {
            if is_closed {
                tracing::warn!("flow log is not read any more");
            } else {
                tracing::error!(
                    %error,
                    "cannot write the flow log (logged once; see flow_log_dropped_total)"
                );
            }
        }
    }
}
