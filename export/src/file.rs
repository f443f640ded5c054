//! IPFIX files (RFC 5655), for a thread of its own, since disks can block. Every file begins with templates and
//! can be read alone. It is written under its name with `.part` behind it and renamed when it is finished, so
//! that a name without `.part` is a whole file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flowproto::Address;
use flowproto::exporter::OutgoingMessage;
use tracing::{info, warn};

use crate::counters::{Loss, TargetCounters, wide};
use crate::target::Rotation;
use crate::{Encoding, Exporter, RecordOf, Session, SessionStart, monotonic};

/// Octets of a Message at the most.
const MESSAGE_OCTETS: usize = 8192;
/// How soon a file that could not be opened is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// A target that is files.
#[derive(Debug)]
pub struct FileExporter<E: Encoding> {
    encoding: E,
    path: PathBuf,
    rotation: Rotation,
    counters: TargetCounters,
    open: Option<(Open, E::Session)>,
    /// When a file could not be made.
    tried: Option<Instant>,
    complained: bool,
    /// Time and number in the name of the last file.
    last: Option<(String, u32)>,
}

/// The file being written.
#[derive(Debug)]
struct Open {
    file: File,
    octets: u64,
    records: u64,
    /// When it began, milliseconds since the epoch.
    began: u64,
    failed: Option<io::Error>,
}

impl<E: Encoding> FileExporter<E> {
    /// Opens the file, which shows at once whether it can be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(
        path: PathBuf,
        rotation: Rotation,
        encoding: E,
        counters: TargetCounters,
        now_milliseconds: u64,
    ) -> io::Result<Self> {
        let mut target = Self {
            encoding,
            path,
            rotation,
            counters,
            open: None,
            tried: None,
            complained: false,
            last: None,
        };
        target.begin(now_milliseconds)?;
        Ok(target)
    }

    fn part(&self) -> PathBuf {
        with_suffix(&self.path, "part")
    }

    fn begin(&mut self, now_milliseconds: u64) -> io::Result<()> {
        let part = self.part();
        if part.exists() {
            // What a killed process left is whole but for its last Message.
            let kept = with_suffix(&self.path, "interrupted");
            fs::rename(&part, &kept)?;
            warn!(file = %kept.display(), "an interrupted export file was found and kept");
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
        let open = Open {
            file,
            octets: 0,
            records: 0,
            began: now_milliseconds,
            failed: None,
        };
        self.open = Some((open, session));
        Ok(())
    }

    /// Sees to it that a file is open.
    fn ready(&mut self, now_milliseconds: u64) -> bool {
        if self.open.is_some() {
            return true;
        }
        let now = monotonic();
        if self.tried.is_some_and(|tried| now - tried < REOPEN_AFTER) {
            return false;
        }
        match self.begin(now_milliseconds) {
            Ok(()) => true,
            Err(error) => {
                self.tried = Some(now);
                self.complain(&error);
                false
            }
        }
    }

    /// Writes through the session, and counts what became of it.
    fn with_session<T>(
        &mut self,
        write: impl FnOnce(&mut E::Session, &mut crate::Send<'_>) -> T,
    ) -> Option<T> {
        let (open, session) = self.open.as_mut()?;
        let counters = &self.counters;
        let result = write(session, &mut |message| open.write(message, counters));
        if let Some(error) = open.failed.take() {
            self.complain(&error);
        }
        Some(result)
    }

    fn complain(&mut self, error: &io::Error) {
        if !self.complained {
            self.complained = true;
            let file = self.path.display();
            warn!(%file, %error, "the export file cannot be written; said once, counted always");
        }
    }

    /// True where the next Message could make the file too long, or its time is over.
    fn is_due(&self, now_milliseconds: u64) -> bool {
        let Some((open, _)) = &self.open else {
            return false;
        };
        let long = |size: u64| open.octets.saturating_add(2 * wide(MESSAGE_OCTETS)) > size;
        let old = |every: u64| now_milliseconds / every != open.began / every;
        let every = |span: kipfix_service::settings::Span| {
            u64::try_from(span.duration().as_millis()).unwrap_or(u64::MAX)
        };
        self.rotation.size.is_some_and(long) || self.rotation.every.map(every).is_some_and(old)
    }

    /// Finishes the file: it gets its name.
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
            let name = self.name(open.began);
            open.file
                .sync_data()
                .and_then(|()| fs::rename(&part, &name))
        };
        match finished {
            Ok(()) => {
                self.counters.file_finished();
                self.complained = false;
            }
            Err(error) => self.complain(&error),
        }
        self.remove_old();
    }

    /// The final name of a file that began at `began`, milliseconds since the epoch. Files of one second are
    /// numbered on.
    fn name(&mut self, began: u64) -> PathBuf {
        if !self.rotation.rotates() {
            return self.path.clone();
        }
        let time = time_of(began / 1000);
        let first = match &self.last {
            Some((last, number)) if *last == time => number.saturating_add(1),
            _ => 0,
        };
        for number in first..u32::MAX {
            let path = match number {
                0 => self.numbered(&time),
                _ => self.numbered(&format!("{time}-{number}")),
            };
            if !path.exists() {
                self.last = Some((time, number));
                return path;
            }
        }
        self.path.clone()
    }

    /// `flows.ipfix` → `flows.MIDDLE.ipfix`.
    fn numbered(&self, middle: &str) -> PathBuf {
        let (stem, extension) = self.stem_and_extension();
        self.path
            .with_file_name(format!("{stem}.{middle}{extension}"))
    }

    fn stem_and_extension(&self) -> (String, String) {
        let text =
            |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        let extension = text(self.path.extension()).map(|extension| format!(".{extension}"));
        (
            text(self.path.file_stem()).unwrap_or_default(),
            extension.unwrap_or_default(),
        )
    }

    /// Removes finished files beyond those that are kept.
    fn remove_old(&self) {
        let Some(keep) = self.rotation.keep else {
            return;
        };
        let (stem, extension) = self.stem_and_extension();
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else {
            return;
        };
        let mut finished: Vec<(String, u32, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let middle = name
                    .strip_prefix(&stem)?
                    .strip_prefix('.')?
                    .strip_suffix(&extension)?;
                let (time, number) = middle.split_once('-').unwrap_or((middle, "0"));
                is_time(time).then_some((time.to_owned(), number.parse().ok()?, entry.path()))
            })
            .collect();
        finished.sort_unstable();
        let surplus = finished.len().saturating_sub(keep.get());
        for (_, _, path) in finished.drain(..surplus) {
            match fs::remove_file(&path) {
                Ok(()) => info!(file = %path.display(), "removed an old export file"),
                Err(error) => warn!(file = %path.display(), %error, "cannot remove"),
            }
        }
    }
}

impl<E: Encoding> Exporter<RecordOf<E>> for FileExporter<E> {
    fn export(&mut self, records: &[RecordOf<E>], now_milliseconds: u64) {
        for (at, record) in records.iter().enumerate() {
            if !self.ready(now_milliseconds) {
                let left = wide(records.len().saturating_sub(at));
                self.counters.records_lost(Loss::Failed, left);
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

impl Open {
    fn write(&mut self, message: OutgoingMessage<'_>, counters: &TargetCounters) {
        let octets = wide(message.octets.len());
        match self.file.write_all(message.octets) {
            Ok(()) => {
                self.octets = self.octets.saturating_add(octets);
                counters.message_sent(message.weight, octets);
            }
            Err(error) => {
                counters.lost(Loss::Failed, message.weight);
                // Half a Message would make what follows unreadable.
                let whole = self.file.set_len(self.octets);
                let end = io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.octets));
                self.failed = Some(whole.and(end.map(drop)).err().unwrap_or(error));
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

/// Seconds since the epoch as `20231114T221320Z`.
fn time_of(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01 in eras of 400 years, which all have as many days.
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn is_time(text: &str) -> bool {
    let pattern = "00000000T000000Z";
    text.len() == pattern.len()
        && text.chars().zip(pattern.chars()).all(
            |(c, p)| {
                if p == '0' { c.is_ascii_digit() } else { c == p }
            },
        )
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
    fn a_file_has_its_name_only_when_it_is_finished() {
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
            // IPFIX, and templates at its head.
            assert_eq!((&octets[..2], &octets[16..18]), (&[0, 10][..], &[0, 3][..]));
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time_of(0), "19700101T000000Z");
        assert_eq!(time_of(1_709_164_799), "20240228T235959Z");
        assert_eq!(time_of(1_709_164_800), "20240229T000000Z");
        assert_eq!(time_of(1_735_689_599), "20241231T235959Z");
        assert!(is_time(&time_of(4_000_000_000)));
    }
}
