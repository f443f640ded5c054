//! The thread that writes the lines of the flow log.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use kipfix_service::signals::Stop;

use super::super::double_buffer::{Batch, ConsumerGuard};
use super::{Lines, Shared, to_u64};

/// Octets of one write. A failed write loses its lines only.
const WRITE_OCTETS: usize = 64 << 10;
/// How often a closed queue is noticed if nothing is added.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Writes lines until the queue is closed and empty.
pub(super) fn run(file: File, shared: &Shared, stop: Stop) {
    let _guard = ConsumerGuard(&shared.queue, stop);
    let metadata = file.metadata().ok();
    let length = metadata.filter(Metadata::is_file).map(|m| m.len());
    let mut writer = Writer {
        file,
        length,
        has_warned: false,
    };
    let mut lines = Lines::default();
    while shared.queue.swap(&mut lines, POLL_INTERVAL) {
        writer.write_all(&lines, shared);
        lines.clear();
    }
}

struct Writer {
    file: File,
    /// Length of a regular file up to its last complete line.
    length: Option<u64>,
    has_warned: bool,
}

impl Writer {
    fn write_all(&mut self, lines: &Lines, shared: &Shared) {
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
            let counter = match self.write(text, shared) {
                Ok(()) => &shared.written,
                Err(error) => {
                    self.on_failure(&error, shared);
                    &shared.write_failed
                }
            };
            counter.fetch_add(to_u64(count), Ordering::AcqRel);
            shared.queued.fetch_sub(to_u64(count), Ordering::AcqRel);
            let octets = to_u64(text.len());
            shared.queued_octets.fetch_sub(octets, Ordering::AcqRel);
        }
    }

    fn write(&mut self, text: &[u8], shared: &Shared) -> io::Result<()> {
        if shared.is_closed.load(Ordering::Acquire) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.file.write_all(text)?;
        self.length = self
            .length
            .map(|end| end.saturating_add(to_u64(text.len())));
        Ok(())
    }

    fn on_failure(&mut self, error: &io::Error, shared: &Shared) {
        let is_closed = error.kind() == ErrorKind::BrokenPipe;
        shared.is_closed.fetch_or(is_closed, Ordering::AcqRel);
        if let Some(length) = self.length {
            // A partial line is removed. If that fails, too, the counters still have the loss.
            self.file.set_len(length).ok();
        }
        if !std::mem::replace(&mut self.has_warned, true) {
            if is_closed {
                tracing::warn!("flow log is not read any more");
            } else {
                tracing::error!(%error, "cannot write the flow log (logged once; see flow_log_dropped_total)");
            }
        }
    }
}
