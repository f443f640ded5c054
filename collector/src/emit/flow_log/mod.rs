//! The flow log: records as lines → a queue bounded in octets → one writer thread → stdout or a
//! file.
//!
//! [`LineSettings`] select the records and what a line contains. Live, lines that do not fit into the
//! queue are dropped and counted; from a savefile, the reader waits. A failed write is logged once
//! and counted, and collecting continues.

mod counts;
mod file;
mod format;
mod kubezonnet;
mod line;
mod lines;
mod logfmt;
mod members;
mod sink;
mod target;
mod writer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use kipfix_export::counters::to_u64;
use kipfix_service::signals::{Hangups, Stop};

use super::{OverflowPolicy, ReadCounts};
use crate::clock;
use crate::pipeline::{DecidedRecord, WholeRecord};
use crate::snapshots::Snapshots;
use counts::Shared;
pub use counts::{FlowLogCounts, LeftOut};
use file::LogFile;
pub use format::{FlowLogFormat, SelectedMembers};
pub use line::is_added_member;
pub use sink::{FlowLogSink, LineSettings};
pub use target::{FlowLogTarget, FlowLogTargetKind};

/// Appends a record as a line of JSON with all members. What is too long is left out.
pub(crate) fn write_line(
    record: &DecidedRecord<'_>,
    whole: &WholeRecord<'_>,
    snapshots: &Snapshots,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    line::write_members(record, whole, snapshots, out);
    out.extend_from_slice(b"}\n");
}

/// The open flow log.
#[derive(Debug)]
pub struct FlowLog {
    settings: Arc<LineSettings>,
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
    policy: OverflowPolicy,
}

/// How a flow log is opened.
#[derive(Clone, Debug)]
pub struct FlowLogSettings {
    /// Where lines are written.
    pub target: FlowLogTarget,
    /// Maximum size of the queue, octets.
    pub queue_octets: u64,
    /// What happens when the queue is full.
    pub policy: OverflowPolicy,
    /// The lines.
    pub lines: LineSettings,
}

impl FlowLog {
    /// Opens the target and starts the writer. The file is opened again after each of `hangups`.
    /// `stop` is set if the writer dies.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn open(settings: FlowLogSettings, hangups: Hangups, stop: &Stop) -> std::io::Result<Self> {
        let file = LogFile::open(&settings.target, clock::wall_milliseconds())?;
        let queue_octets = usize::try_from(settings.queue_octets).unwrap_or(usize::MAX);
        let shared = Arc::new(Shared::new(queue_octets));
        let writer = std::thread::Builder::new().name("flow-log".into()).spawn({
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            move || writer::run(file, &shared, hangups, stop)
        })?;
        Ok(Self {
            settings: Arc::new(settings.lines),
            shared,
            writer,
            policy: settings.policy,
        })
    }

    /// A sink for one pipeline.
    #[must_use]
    pub fn sink(&self) -> FlowLogSink {
        let (settings, shared) = (Arc::clone(&self.settings), Arc::clone(&self.shared));
        FlowLogSink::new(settings, shared, self.policy)
    }

    /// A function that reads the counts.
    #[must_use]
    pub fn counts(&self) -> ReadCounts<FlowLogCounts> {
        let shared = Arc::clone(&self.shared);
        Box::new(move || shared.counts())
    }

    /// Waits until everything is written, for `timeout` if there is one. Every [`FlowLogSink`] must
    /// be flushed before.
    pub fn finish(self, timeout: Option<Duration>) {
        self.shared.queue.close();
        let began = clock::monotonic();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &str, queue_octets: u64) -> FlowLog {
        let settings = FlowLogSettings {
            target: format!("file:{path}").parse().unwrap(),
            queue_octets,
            policy: OverflowPolicy::Block,
            lines: LineSettings::default(),
        };
        let stop = Stop::new().unwrap();
        FlowLog::open(settings, Hangups::default(), &stop).unwrap()
    }

    fn write_lines(log: &FlowLog, lines: usize) {
        let mut sink = log.sink();
        for line in 0..lines {
            sink.write_line(format!("{{\"line\":{line}}}").as_bytes());
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
    fn rotated_files_have_all_lines_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.json");
        let log = open(&format!("{}?rotate-size=64K", path.display()), 1 << 20);
        let counts = log.counts();
        write_lines(&log, 20_000);
        log.finish(None);
        assert_eq!(counts().written, 20_000);
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(u64::try_from(names.len()).unwrap(), counts().rotated + 1);
        assert!(names.len() > 2);
        names.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
        let mut lines = 0;
        for name in &names {
            let text = std::fs::read_to_string(name).unwrap();
            assert!(text.len() <= 64 << 10 && text.ends_with("}\n"));
            lines += text.lines().count();
        }
        assert_eq!(lines, 20_000);
    }

    #[test]
    fn a_full_disk_loses_lines_and_counts_them() {
        let log = open("/dev/full", 1 << 20);
        let counts = log.counts();
        write_lines(&log, 10);
        log.finish(None);
        assert_eq!((counts().written, counts().write_failed), (0, 10));
    }
}
