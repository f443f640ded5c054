//! The flow log: records as lines of JSON → a queue bounded in octets → one writer thread → stdout or a file.
//!
//! Live, lines that do not fit into the queue are dropped and counted; from a savefile, the reader waits. A failed write
//! is logged once and counted, and collecting continues.

mod line;
mod members;
mod writer;

pub(crate) use line::write as write_line;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kipfix_export::counters::to_u64;
use kipfix_service::signals::Stop;
use serde::{Deserialize, Serialize};

use super::OverflowPolicy;
use super::double_buffer::{Batch, DoubleBuffer};
use crate::pipeline::DecidedRecord;
use crate::snapshots::Snapshots;

/// Octets of lines that a sink collects before it hands them over.
const STAGE_OCTETS: usize = 64 << 10;
/// Room of a stage; more is released after a line of unusual length.
const MAX_STAGE_OCTETS: usize = 4 * STAGE_OCTETS;

/// The target of the flow log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FlowLogTarget {
    /// `stdout:`
    Stdout,
    /// `file:PATH`, to which lines are appended.
    File(PathBuf),
}

impl std::str::FromStr for FlowLogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("stdout", "")) => Ok(Self::Stdout),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(format!(
                "invalid flow log target {text:?}: must be stdout: or file:PATH"
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

/// Counts of lines: `lines` = `written` + `queue_full` + `write_failed` + `queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowLogCounts {
    /// Lines handed to the log.
    pub lines: u64,
    /// Lines written.
    pub written: u64,
    /// Lines dropped because the queue was full.
    pub queue_full: u64,
    /// Lines lost because a write failed.
    pub write_failed: u64,
    /// Lines that were truncated because they were too long.
    pub truncated: u64,
    /// Lines in the queue, or being written.
    pub queued: u64,
    /// Octets of these.
    pub queued_octets: u64,
}

/// What sinks and writer share.
#[derive(Debug)]
struct Shared {
    queue: DoubleBuffer<Lines>,
    lines: AtomicU64,
    written: AtomicU64,
    queue_full: AtomicU64,
    write_failed: AtomicU64,
    truncated: AtomicU64,
    queued: AtomicU64,
    queued_octets: AtomicU64,
    /// The reader of stdout has gone.
    is_closed: AtomicBool,
}

impl Shared {
    fn new(queue_octets: usize) -> Self {
        Self {
            // Of the two buffers one is filled while the other is written.
            queue: DoubleBuffer::new((queue_octets / 2).max(line::MAX_LINE_OCTETS)),
            lines: AtomicU64::new(0),
            written: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            write_failed: AtomicU64::new(0),
            truncated: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            queued_octets: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    fn counts(&self) -> FlowLogCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        FlowLogCounts {
            lines: read(&self.lines),
            written: read(&self.written),
            queue_full: read(&self.queue_full),
            write_failed: read(&self.write_failed),
            truncated: read(&self.truncated),
            queued: read(&self.queued),
            queued_octets: read(&self.queued_octets),
        }
    }
}

/// Complete lines, one after the other.
#[derive(Debug, Default)]
struct Lines {
    text: Vec<u8>,
    /// End of each line in the text.
    ends: Vec<usize>,
}

impl Lines {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Octets of the first `count` lines.
    fn octets_of(&self, count: usize) -> usize {
        let last = count.checked_sub(1).and_then(|last| self.ends.get(last));
        last.copied().unwrap_or_default()
    }
}

impl Batch for Lines {
    fn len(&self) -> usize {
        self.ends.len()
    }

    /// Octets.
    fn size(&self) -> usize {
        self.text.len()
    }

    fn append(&mut self, more: &Self, bound: usize) -> usize {
        let begin = self.text.len();
        let room = bound.saturating_sub(begin);
        let count = more.ends.partition_point(|end| *end <= room);
        let text = more.text.get(..more.octets_of(count));
        self.text.extend_from_slice(text.unwrap_or_default());
        let ends = more.ends.iter().take(count);
        self.ends.extend(ends.map(|end| end.saturating_add(begin)));
        count
    }
}

/// The open flow log.
#[derive(Debug)]
pub struct FlowLog {
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
    policy: OverflowPolicy,
}

impl FlowLog {
    /// Opens the target and starts the writer. The queue is bounded by `queue_octets`. `stop` is set if the writer dies.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn open(
        target: &FlowLogTarget,
        queue_octets: u64,
        policy: OverflowPolicy,
        stop: &Stop,
    ) -> std::io::Result<Self> {
        let file = match target {
            FlowLogTarget::Stdout => File::from(std::io::stdout().as_fd().try_clone_to_owned()?),
            FlowLogTarget::File(path) => File::options().append(true).create(true).open(path)?,
        };
        let queue_octets = usize::try_from(queue_octets).unwrap_or(usize::MAX);
        let shared = Arc::new(Shared::new(queue_octets));
        let writer = std::thread::Builder::new().name("flow-log".into()).spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            move || writer::run(file, &shared, stop)
        })?;
        Ok(Self {
            shared,
            writer,
            policy,
        })
    }

    /// A sink for one pipeline.
    #[must_use]
    pub fn sink(&self) -> FlowLogSink {
        FlowLogSink {
            stage: Lines::default(),
            shared: Arc::clone(&self.shared),
            policy: self.policy,
        }
    }

    /// A function that reads the counts.
    pub fn counts(&self) -> impl Fn() -> FlowLogCounts + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.counts()
    }

    /// Waits until everything is written, for `timeout` if there is one. Every [`FlowLogSink`] must be flushed before.
    pub fn finish(self, timeout: Option<Duration>) {
        self.shared.queue.close();
        let began = crate::clock::monotonic();
        while !self.writer.is_finished() {
            if timeout.is_some_and(|timeout| began.elapsed() > timeout) {
                let lines = self.shared.queued.load(Ordering::Acquire);
                tracing::error!(lines, "flow log is not read; its last lines are lost");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.writer.join().is_err() {
            tracing::error!("flow log writer died");
        }
    }
}

/// The records of one pipeline on their way to the writer.
#[derive(Debug)]
pub struct FlowLogSink {
    stage: Lines,
    shared: Arc<Shared>,
    policy: OverflowPolicy,
}

impl FlowLogSink {
    /// Writes the line of a record. The opposite direction of a biflow is part of its record's line.
    pub fn accept(&mut self, record: &DecidedRecord<'_>, snapshots: &Snapshots) {
        let Some(whole) = record.whole.filter(|_| record.flow.is_forward()) else {
            return;
        };
        let out = &mut self.stage.text;
        if line::write(record, &whole, snapshots, out) {
            self.shared.truncated.fetch_add(1, Ordering::AcqRel);
        }
        self.end_line();
    }

    fn end_line(&mut self) {
        self.stage.ends.push(self.stage.text.len());
        if self.stage.text.len() >= STAGE_OCTETS {
            self.flush();
        }
    }

    /// Hands the lines over.
    pub fn flush(&mut self) {
        let staged = self.stage.len();
        if staged == 0 {
            return;
        }
        let shared = &self.shared;
        shared.queue.push(&self.stage, self.policy, |added| {
            shared.lines.fetch_add(to_u64(staged), Ordering::AcqRel);
            shared.queued.fetch_add(to_u64(added), Ordering::AcqRel);
            let octets = to_u64(self.stage.octets_of(added));
            shared.queued_octets.fetch_add(octets, Ordering::AcqRel);
            let dropped = to_u64(staged.saturating_sub(added));
            shared.queue_full.fetch_add(dropped, Ordering::AcqRel);
        });
        self.stage.clear();
        if self.stage.text.capacity() > MAX_STAGE_OCTETS {
            self.stage.text.shrink_to(MAX_STAGE_OCTETS);
        }
    }

    /// True if the reader of stdout has gone, so that no line will be read.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn open(path: &str, queue_octets: u64) -> FlowLog {
        let target = FlowLogTarget::File(path.into());
        let stop = Stop::new().unwrap();
        FlowLog::open(&target, queue_octets, OverflowPolicy::Block, &stop).unwrap()
    }

    fn write_lines(log: &FlowLog, lines: usize) {
        let mut sink = log.sink();
        for line in 0..lines {
            writeln!(sink.stage.text, "{{\"line\":{line}}}").unwrap();
            sink.end_line();
        }
        sink.flush();
    }

    #[test]
    fn every_line_reaches_the_file_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.json");
        for _ in 0..2 {
            let log = open(path.to_str().unwrap(), 1 << 20);
            let counts = log.counts();
            write_lines(&log, 20_000);
            log.finish(None);
            assert_eq!((counts().lines, counts().written), (20_000, 20_000));
            assert_eq!((counts().queued, counts().queued_octets), (0, 0));
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 40_000);
        assert_eq!(text.lines().nth(39_999).unwrap(), "{\"line\":19999}");
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let log = open("/dev/full", 1 << 20);
        let counts = log.counts();
        write_lines(&log, 10);
        log.finish(None);
        assert_eq!((counts().written, counts().write_failed), (0, 10));
    }

    #[test]
    fn a_full_queue_drops_whole_lines_and_counts_them() {
        let shared = Arc::new(Shared::new(0));
        let mut sink = FlowLogSink {
            stage: Lines::default(),
            shared: Arc::clone(&shared),
            policy: OverflowPolicy::Drop,
        };
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..100 {
            sink.stage.text.extend_from_slice(&line);
            sink.end_line();
        }
        sink.flush();
        let counts = shared.counts();
        let fitting = u64::try_from(line::MAX_LINE_OCTETS).unwrap() / 1000;
        assert_eq!((counts.lines, counts.queued), (100, fitting));
        assert_eq!(counts.queued_octets, fitting * 1000);
        assert_eq!(counts.queue_full, 100 - fitting);
        let mut queued = Lines::default();
        assert!(shared.queue.swap(&mut queued, Duration::ZERO));
        assert!(queued.text.ends_with(b"x\n"));
    }

    #[test]
    fn a_target_is_written_as_it_was_read_and_an_invalid_one_names_what_is_allowed() {
        for text in ["stdout:", "file:/var/log/flows.json"] {
            assert_eq!(text.parse::<FlowLogTarget>().unwrap().to_string(), text);
        }
        for text in ["stdout", "file:", "stdout:x", "/tmp/x", ""] {
            let error = text.parse::<FlowLogTarget>().unwrap_err();
            assert!(error.contains("stdout: or file:PATH"), "{error}");
        }
    }
}
