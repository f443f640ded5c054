//! IPFIX files (RFC 5655). Runs in a thread of its own because disks can block. Every file starts
//! with templates and can be read alone. It is written with the suffix `.part` and renamed when it
//! is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use flowproto::Address;
use flowproto::exporter::OutgoingMessage;
use tracing::warn;

use crate::clock::monotonic;
use crate::counters::{LossReason, TargetCounters, to_u64};
use crate::exporter::Exporter;
use crate::rotation::{RotatedFiles, Rotation};
use crate::session::{Encoding, MessageSink, RecordOf, SessionStart, TransportSession};

/// Maximum length of a Message, octets.
const MESSAGE_OCTETS: usize = 8192;
/// Interval between attempts to open a file.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);

/// A target of files.
#[derive(Debug)]
pub struct FileExporter<E: Encoding> {
    encoding: E,
    path: PathBuf,
    rotation: Rotation,
    counters: TargetCounters,
    open: Option<(OpenFile, E::Session)>,
    /// When a file could not be opened.
    open_failed: Option<Instant>,
    warned: bool,
    rotated: RotatedFiles,
}

/// The file being written.
#[derive(Debug)]
struct OpenFile {
    file: File,
    octets: u64,
    records: u64,
    /// When it was started, milliseconds since the epoch.
    start: u64,
    failed: Option<io::Error>,
}

impl<E: Encoding> FileExporter<E> {
    /// Opens the file.
    ///
    /// # Errors
    /// The file cannot be created, or there is something else than a regular file: a device, for
    /// example, which the complete file would replace.
    pub fn new(
        path: PathBuf,
        rotation: Rotation,
        encoding: E,
        counters: TargetCounters,
        now_milliseconds: u64,
    ) -> io::Result<Self> {
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::other("not a regular file"));
        }
        let mut target = Self {
            encoding,
            rotated: RotatedFiles::new(path.clone()),
            path,
            rotation,
            counters,
            open: None,
            open_failed: None,
            warned: false,
        };
        target.begin(now_milliseconds)?;
        Ok(target)
    }

    fn part(&self) -> PathBuf {
        with_suffix(&self.path, "part")
    }

    fn begin(&mut self, now_milliseconds: u64) -> io::Result<()> {
        let part = self.part();
        if let Ok(metadata) = part.metadata() {
            // A killed process leaves a file that is complete except for its last Message.
            let kept = if self.rotation.rotates() {
                let written = metadata.modified()?.duration_since(UNIX_EPOCH);
                let seconds = written.map_or(0, |written| written.as_secs());
                self.rotated.next_name(seconds.saturating_mul(1000))
            } else {
                with_suffix(&self.path, "interrupted")
            };
            fs::rename(&part, &kept)?;
            warn!(file = %kept.display(), "kept an interrupted export file");
        }
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(&part)?;
        self.counters.connected();
        let session = self.encoding.begin(SessionStart {
            exporter_address: Address::UNSPECIFIED,
            max_message_octets: MESSAGE_OCTETS,
            reliable: true,
            now_milliseconds,
        });
        let open = OpenFile {
            file,
            octets: 0,
            records: 0,
            start: now_milliseconds,
            failed: None,
        };
        self.open = Some((open, session));
        Ok(())
    }

    /// Opens a file if there is none. False if that fails.
    fn ensure_open(&mut self, now_milliseconds: u64) -> bool {
        if self.open.is_some() {
            return true;
        }
        let now = monotonic();
        if self
            .open_failed
            .is_some_and(|failed| now - failed < REOPEN_INTERVAL)
        {
            return false;
        }
        match self.begin(now_milliseconds) {
            Ok(()) => true,
            Err(error) => {
                self.open_failed = Some(now);
                self.warn_once(&error);
                false
            }
        }
    }

    /// Lets the session write to the file.
    fn with_session<T>(
        &mut self,
        write: impl FnOnce(&mut E::Session, &mut MessageSink<'_>) -> T,
    ) -> Option<T> {
        let (open, session) = self.open.as_mut()?;
        let counters = &self.counters;
        let result = write(session, &mut |message| open.write(message, counters));
        if let Some(error) = open.failed.take() {
            // A Message that is not in the file may have had its templates.
            session.refresh();
            self.warn_once(&error);
        }
        Some(result)
    }

    /// Logs a problem once. The counters have every occurrence.
    fn warn_once(&mut self, error: &io::Error) {
        if !self.warned {
            self.warned = true;
            let file = self.path.display();
            warn!(
                %file,
                %error,
                "cannot write the export file (logged once, see target_records_lost_total)"
            );
        }
    }

    /// True if the next Message could exceed the maximum size, or if the time of the file is over.
    fn is_due(&self, now_milliseconds: u64) -> bool {
        let Some((open, _)) = &self.open else {
            return false;
        };
        let long = |size: u64| open.octets.saturating_add(2 * to_u64(MESSAGE_OCTETS)) > size;
        let is_over = self.rotation.is_over(open.start, now_milliseconds);
        is_over || self.rotation.size.is_some_and(long)
    }

    /// Completes the file and gives it its final name.
    fn finish_file(&mut self, now_milliseconds: u64) {
        self.with_session(|session, send| session.flush(now_milliseconds, send));
        let Some((open, _)) = self.open.take() else {
            return;
        };
        self.counters.disconnected();
        let part = self.part();
        let finished = if self.rotation.rotates() && open.records == 0 {
            fs::remove_file(&part)
        } else {
            let name = if self.rotation.rotates() {
                self.rotated.next_name(open.start)
            } else {
                self.path.clone()
            };
            open.file
                .sync_data()
                .and_then(|()| fs::rename(&part, &name))
        };
        match finished {
            Ok(()) => {
                self.counters.file_finished();
                self.warned = false;
            }
            Err(error) => self.warn_once(&error),
        }
        if let Some(keep) = self.rotation.keep {
            self.rotated.remove_old(keep);
        }
    }
}

impl<E: Encoding> Exporter<RecordOf<E>> for FileExporter<E> {
    fn export(&mut self, records: &[RecordOf<E>], now_milliseconds: u64) {
        for (at, record) in records.iter().enumerate() {
            if !self.ensure_open(now_milliseconds) {
                let left = to_u64(records.len().saturating_sub(at));
                self.counters.records_lost(LossReason::Failed, left);
                return;
            }
            let added =
                self.with_session(|session, send| session.add(record, now_milliseconds, send));
            if let Some(Err(reason)) = added {
                self.counters.records_lost(reason.into(), 1);
            }
            if let Some((open, _)) = &mut self.open {
                open.records = open.records.saturating_add(1);
            }
            if self.is_due(now_milliseconds) {
                self.finish_file(now_milliseconds);
            }
        }
    }

    fn flush(&mut self, now_milliseconds: u64) {
        if self.is_due(now_milliseconds) {
            self.finish_file(now_milliseconds);
        }
        if let Some((_, session)) = &mut self.open {
            self.encoding.renew(session, &self.counters);
        }
        self.with_session(|session, send| session.flush(now_milliseconds, send));
    }

    fn finish(&mut self, now_milliseconds: u64) {
        if let Some((_, session)) = &mut self.open {
            self.encoding.renew(session, &self.counters);
        }
        self.finish_file(now_milliseconds);
    }
}

impl OpenFile {
    fn write(&mut self, message: OutgoingMessage<'_>, counters: &TargetCounters) {
        let octets = to_u64(message.octets.len());
        match self.file.write_all(message.octets) {
            Ok(()) => {
                self.octets = self.octets.saturating_add(octets);
                counters.message_sent(message.weight, octets);
            }
            Err(error) => {
                counters.lost(LossReason::Failed, message.weight);
                // A part of a Message would make the rest of the file unreadable.
                let truncated = self.file.set_len(self.octets);
                let end = io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.octets));
                self.failed = Some(truncated.and(end.map(drop)).err().unwrap_or(error));
            }
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_encoding::Plain;
    use flowproto::FlowRecord;
    use kipfix_service::settings::Span;
    use std::num::NonZeroUsize;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_has_its_final_name_only_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.ipfix");
        fs::write(folder.path().join("flows.ipfix.part"), b"left over").unwrap();
        let counters = TargetCounters::for_tests();
        let mut target =
            FileExporter::new(path, Rotation::default(), Plain, counters.clone(), 1).unwrap();
        target.export(&[FlowRecord::default()], 1);
        assert_eq!(
            names(folder.path()),
            ["flows.ipfix.interrupted", "flows.ipfix.part"]
        );
        target.finish(2);
        assert_eq!(
            names(folder.path()),
            ["flows.ipfix", "flows.ipfix.interrupted"]
        );
        assert_eq!((counters.sent(), counters.total_lost()), (1, 0));
    }

    #[test]
    fn interrupted_files_are_kept_among_those_that_rotate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.ipfix");
        let rotation = Rotation {
            every: Some(Span::from_secs(60)),
            ..Rotation::default()
        };
        for life in 0..3 {
            let counters = TargetCounters::for_tests();
            let target = FileExporter::new(path.clone(), rotation, Plain, counters, 1);
            let mut target = target.unwrap();
            target.export(&vec![FlowRecord::default(); 10 + life], 1);
            target.flush(2);
            // Not finished, as by a killed process.
            drop(target);
        }
        let mut octets: Vec<u64> = names(folder.path())
            .iter()
            .map(|name| fs::metadata(folder.path().join(name)).unwrap().len())
            .collect();
        octets.sort_unstable();
        octets.dedup();
        assert_eq!(octets.len(), 3, "{:?}", names(folder.path()));
        assert_eq!(names(folder.path()).last().unwrap(), "flows.ipfix.part");
    }

    #[test]
    fn templates_that_could_not_be_written_are_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.ipfix");
        let counters = TargetCounters::for_tests();
        let rotation = Rotation::default();
        let mut target =
            FileExporter::new(path.clone(), rotation, Plain, counters.clone(), 1).unwrap();
        // Writing to a file that is open for reading fails, as on a full disk.
        let mut handle = File::open(target.part()).unwrap();
        let mut swap = |target: &mut FileExporter<Plain>| {
            let (open, _) = target.open.as_mut().unwrap();
            std::mem::swap(&mut open.file, &mut handle);
        };
        swap(&mut target);
        target.export(&[FlowRecord::default()], 1);
        target.flush(2);
        assert_eq!((counters.sent(), counters.total_lost()), (0, 1));
        swap(&mut target);
        target.export(&[FlowRecord::default()], 3);
        target.finish(4);
        assert_eq!((counters.sent(), counters.total_lost()), (1, 1));
        let octets = fs::read(path).unwrap();
        // IPFIX that starts with templates.
        assert_eq!((&octets[..2], &octets[16..18]), (&[0, 10][..], &[0, 2][..]));
    }

    #[test]
    fn a_device_or_a_folder_is_not_replaced_by_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("device");
        // What a device is, too: neither a regular file nor a folder.
        let _socket = std::os::unix::net::UnixListener::bind(&device).unwrap();
        for path in [device.as_path(), folder.path()] {
            let counters = TargetCounters::for_tests();
            let path = path.to_owned();
            let target = FileExporter::new(path, Rotation::default(), Plain, counters, 1);
            assert_eq!(target.unwrap_err().to_string(), "not a regular file");
        }
        assert_eq!(names(folder.path()), ["device"]);
    }

    #[test]
    fn files_rotate_by_size_and_time_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.ipfix");
        fs::write(folder.path().join("flows.other.ipfix"), b"not ours").unwrap();
        let rotation = Rotation {
            size: Some(1 << 16),
            every: Some(Span::from_secs(60)),
            keep: NonZeroUsize::new(3),
        };
        let counters = TargetCounters::for_tests();
        let mut target = FileExporter::new(path, rotation, Plain, counters.clone(), 0).unwrap();
        let records = vec![FlowRecord::default(); 1000];
        let start = 1_700_000_000_000;
        for minute in 0..3 {
            for _ in 0..3 {
                target.export(&records, start + minute * 60_000);
            }
            target.flush(start + minute * 60_000);
        }
        target.finish(start + 3 * 60_000);
        assert_eq!((counters.sent(), counters.total_lost()), (9000, 0));
        let left = names(folder.path());
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(left.contains(&"flows.other.ipfix".to_owned()));
        assert!(left[0].starts_with("flows.20231114T221520Z-"), "{left:?}");
        for name in left.iter().filter(|name| !name.contains("other")) {
            let octets = fs::read(folder.path().join(name)).unwrap();
            assert!(octets.len() <= 1 << 16, "{name}: {}", octets.len());
            // IPFIX that starts with templates.
            assert_eq!((&octets[..2], &octets[16..18]), (&[0, 10][..], &[0, 2][..]));
        }
    }
}
