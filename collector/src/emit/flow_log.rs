//! The flow log: lines → a bounded queue → one writer thread → stdout or a file.
//!
//! A worker collects lines in its own [`LineBuffer`] and hands it over full; the buffers come back, so
//! logging does not allocate either. Live, a full queue drops lines and counts them; from a savefile
//! the reader waits. A write that fails is said once and counted; collecting goes on.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A buffer goes to the writer when it has grown to this.
const BUFFER_OCTETS: usize = 64 << 10;
/// Room for the line that makes it full.
const LAST_LINE_OCTETS: usize = 8 << 10;

/// Where the flow log goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FlowLogTarget {
    /// `stdout:`
    Stdout,
    /// `file:PATH`, appended to.
    File(PathBuf),
}

impl std::str::FromStr for FlowLogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("stdout", "")) => Ok(Self::Stdout),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(format!(
                "{text:?} is no target of a flow log: allowed are stdout: and file:PATH"
            )),
        }
    }
}

impl TryFrom<String> for FlowLogTarget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FlowLogTarget> for String {
    fn from(target: FlowLogTarget) -> Self {
        target.to_string()
    }
}

impl std::fmt::Display for FlowLogTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout:"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// What happens when the writer is slower than the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Records wait for the writer: from savefiles.
    Wait,
    /// Lines are dropped and counted: live.
    Drop,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowLogCounts {
    /// Lines handed to the log.
    pub lines: u64,
    /// Lines written.
    pub written: u64,
    /// Lines dropped because the queue was full.
    pub queue_full: u64,
    /// Lines lost because writing failed.
    pub write_failed: u64,
    /// Buffers in the queue, or being written.
    pub queued_buffers: u64,
}

#[derive(Debug, Default)]
struct State {
    lines: AtomicU64,
    written: AtomicU64,
    queue_full: AtomicU64,
    write_failed: AtomicU64,
    queued_buffers: AtomicU64,
    closed: AtomicBool,
    spare: Mutex<Vec<Vec<u8>>>,
}

struct Batch {
    lines: u64,
    text: Vec<u8>,
}

/// The open flow log.
#[derive(Debug)]
pub struct FlowLog {
    sender: SyncSender<Batch>,
    state: Arc<State>,
    writer: JoinHandle<()>,
    patience: Patience,
}

impl FlowLog {
    /// Opens the target and starts the writer. At most `queue_octets` wait for it.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread started.
    pub fn open(
        target: &FlowLogTarget,
        queue_octets: u64,
        patience: Patience,
    ) -> std::io::Result<Self> {
        let file = match target {
            FlowLogTarget::Stdout => File::from(std::io::stdout().as_fd().try_clone_to_owned()?),
            FlowLogTarget::File(path) => File::options().append(true).create(true).open(path)?,
        };
        let buffers = usize::try_from(queue_octets).unwrap_or(usize::MAX) / BUFFER_OCTETS;
        let (sender, receiver) = sync_channel(buffers.max(1));
        let state = Arc::new(State::default());
        let writer = std::thread::Builder::new().name("flow-log".into()).spawn({
            let state = Arc::clone(&state);
            move || write_all(file, &receiver, &state)
        })?;
        Ok(Self {
            sender,
            state,
            writer,
            patience,
        })
    }

    /// A buffer for one worker.
    #[must_use]
    pub fn buffer(&self) -> LineBuffer {
        LineBuffer {
            text: Vec::with_capacity(BUFFER_OCTETS + LAST_LINE_OCTETS),
            lines: 0,
            sender: self.sender.clone(),
            state: Arc::clone(&self.state),
            patience: self.patience,
        }
    }

    /// Reads the counts whenever they are asked for.
    pub fn counts(&self) -> impl Fn() -> FlowLogCounts + Send + Sync + use<> {
        let state = Arc::clone(&self.state);
        move || {
            let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
            FlowLogCounts {
                lines: read(&state.lines),
                written: read(&state.written),
                queue_full: read(&state.queue_full),
                write_failed: read(&state.write_failed),
                queued_buffers: read(&state.queued_buffers),
            }
        }
    }

    /// Waits until everything handed over is written, for `patience` if there is one. Every
    /// [`LineBuffer`] must be gone before.
    pub fn finish(self, patience: Option<Duration>) {
        drop(self.sender);
        let began = crate::live::monotonic();
        while !self.writer.is_finished() {
            if patience.is_some_and(|patience| began.elapsed() > patience) {
                tracing::error!("the flow log is not read, its last lines are lost");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.writer.join().is_err() {
            tracing::error!("the flow log's writer died");
        }
    }
}

/// The lines of one worker on their way to the writer.
#[derive(Debug)]
pub struct LineBuffer {
    text: Vec<u8>,
    lines: u64,
    sender: SyncSender<Batch>,
    state: Arc<State>,
    patience: Patience,
}

impl LineBuffer {
    /// Where the next line is written, its line end included.
    pub const fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// A line is complete.
    pub fn end_line(&mut self) {
        self.lines += 1;
        if self.text.len() >= BUFFER_OCTETS {
            self.flush();
        }
    }

    /// Hands over what there is, if the writer has nothing else to do. Otherwise the buffer fills up, so
    /// that the queue is made of full ones.
    pub fn flush_if_idle(&mut self) {
        if self.state.queued_buffers.load(Ordering::Acquire) == 0 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.lines == 0 {
            return;
        }
        let spare = self
            .state
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let next = spare.unwrap_or_else(|| Vec::with_capacity(BUFFER_OCTETS + LAST_LINE_OCTETS));
        let batch = Batch {
            lines: std::mem::take(&mut self.lines),
            text: std::mem::replace(&mut self.text, next),
        };
        let lines = batch.lines;
        self.state.lines.fetch_add(lines, Ordering::AcqRel);
        self.state.queued_buffers.fetch_add(1, Ordering::AcqRel);
        let refused = match self.patience {
            Patience::Wait => self.sender.send(batch).err().map(|refused| refused.0),
            Patience::Drop => match self.sender.try_send(batch) {
                Ok(()) => None,
                Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => Some(batch),
            },
        };
        if let Some(batch) = refused {
            self.state.queued_buffers.fetch_sub(1, Ordering::AcqRel);
            self.state.queue_full.fetch_add(lines, Ordering::AcqRel);
            recycle(&self.state, batch.text);
        }
    }

    /// Whether the reader of stdout went away, so that no line will ever be read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.closed.load(Ordering::Acquire)
    }
}

impl Drop for LineBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

fn recycle(state: &State, mut text: Vec<u8>) {
    text.clear();
    let mut spare = state.spare.lock().unwrap_or_else(PoisonError::into_inner);
    // As many as may be under way at once; a line of unusual length does not keep its room.
    if spare.len() < 16 && text.capacity() <= 4 * BUFFER_OCTETS {
        spare.push(text);
    }
}

fn write_all(mut file: File, receiver: &Receiver<Batch>, state: &State) {
    let mut said = false;
    // Where a regular file ends after the last whole batch: half a line is cut off again.
    let mut whole = file
        .metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|m| m.len());
    for batch in receiver {
        let outcome = if state.closed.load(Ordering::Acquire) {
            Err(ErrorKind::BrokenPipe.into())
        } else {
            file.write_all(&batch.text)
        };
        match outcome {
            Ok(()) => {
                state.written.fetch_add(batch.lines, Ordering::AcqRel);
                let length = u64::try_from(batch.text.len()).unwrap_or(0);
                whole = whole.map(|end| end.saturating_add(length));
            }
            Err(error) => {
                state.write_failed.fetch_add(batch.lines, Ordering::AcqRel);
                let closed = error.kind() == ErrorKind::BrokenPipe;
                state.closed.fetch_or(closed, Ordering::AcqRel);
                if let Some(end) = whole {
                    file.set_len(end).ok();
                }
                match (said, closed) {
                    (true, _) => {}
                    (false, true) => tracing::warn!("nobody reads the flow log any more"),
                    (false, false) => tracing::error!(
                        %error,
                        "the flow log cannot be written, its lines are lost and counted"
                    ),
                }
                said = true;
            }
        }
        state.queued_buffers.fetch_sub(1, Ordering::AcqRel);
        recycle(state, batch.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_lines(log: &FlowLog, lines: usize) {
        let mut buffer = log.buffer();
        for line in 0..lines {
            writeln!(buffer.text(), "{{\"line\":{line}}}").unwrap();
            buffer.end_line();
        }
    }

    #[test]
    fn every_line_reaches_the_file_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.json");
        let target = FlowLogTarget::File(path.clone());
        for _ in 0..2 {
            let log = FlowLog::open(&target, 1 << 20, Patience::Wait).unwrap();
            let counts = log.counts();
            log_lines(&log, 20_000);
            log.finish(None);
            assert_eq!((counts().lines, counts().written), (20_000, 20_000));
            assert_eq!(counts().queued_buffers, 0);
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 40_000);
        assert_eq!(text.lines().nth(39_999).unwrap(), "{\"line\":19999}");
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let target = FlowLogTarget::File("/dev/full".into());
        let log = FlowLog::open(&target, 1 << 20, Patience::Wait).unwrap();
        let counts = log.counts();
        log_lines(&log, 10);
        log.finish(None);
        assert_eq!((counts().written, counts().write_failed), (0, 10));
    }

    #[test]
    fn a_target_reads_what_it_writes_and_names_what_is_allowed() {
        for text in ["stdout:", "file:/var/log/flows.json"] {
            assert_eq!(text.parse::<FlowLogTarget>().unwrap().to_string(), text);
        }
        for text in ["stdout", "file:", "stdout:x", "/tmp/x", ""] {
            let said = text.parse::<FlowLogTarget>().unwrap_err();
            assert!(said.contains("stdout: and file:PATH"), "{said}");
        }
    }
}
