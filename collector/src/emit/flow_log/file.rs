//! The file of the flow log: appended to, renamed when it is complete, opened again on request.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use kipfix_export::rotation::{RotatedFiles, Rotation};

use super::target::{FlowLogTarget, FlowLogTargetKind};
use super::to_u64;

/// The open target.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    /// Length of a regular file up to its last complete line.
    length: Option<u64>,
    /// When the file was started, milliseconds since the epoch.
    started: u64,
    /// `None` for stdout.
    named: Option<NamedFile>,
}

#[derive(Debug)]
struct NamedFile {
    path: PathBuf,
    rotation: Rotation,
    complete: RotatedFiles,
}

impl LogFile {
    /// Opens a target. `now` is in milliseconds since the epoch.
    pub(super) fn open(target: &FlowLogTarget, now: u64) -> io::Result<Self> {
        let (file, named) = match &target.kind {
            FlowLogTargetKind::Stdout => {
                let stdout = io::stdout().as_fd().try_clone_to_owned()?;
                (File::from(stdout), None)
            }
            FlowLogTargetKind::File { path, rotation } => {
                let named = NamedFile {
                    path: path.clone(),
                    rotation: *rotation,
                    complete: RotatedFiles::new(path.clone()),
                };
                (append(path)?, Some(named))
            }
        };
        let mut log = Self {
            file,
            length: None,
            started: now,
            named,
        };
        log.measure(now);
        let rotates = log.named.as_ref().is_some_and(|n| n.rotation.rotates());
        if rotates && log.length.is_none() {
            return Err(io::Error::other("only a regular file can be rotated"));
        }
        Ok(log)
    }

    /// Learns the length of the file. A file with lines was started when it was last written.
    fn measure(&mut self, now: u64) {
        let metadata = self.file.metadata().ok().filter(Metadata::is_file);
        self.length = metadata.as_ref().map(Metadata::len);
        self.started = match &metadata {
            Some(metadata) if metadata.len() > 0 => written_at(metadata).unwrap_or(now),
            _ => now,
        };
    }

    /// Appends complete lines.
    pub(super) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text)?;
        let octets = to_u64(text.len());
        self.length = self.length.map(|end| end.saturating_add(octets));
        Ok(())
    }

    /// Removes a partial line. If that fails, too, the counters still have the loss.
    pub(super) fn remove_partial_line(&self) {
        if let Some(length) = self.length {
            self.file.set_len(length).ok();
        }
    }

    /// Starts the next file if this one is complete, given that `more` octets are to be written.
    /// Returns whether it has. After an error, lines are still written to the current file.
    pub(super) fn rotate_if_due(&mut self, more: usize, now: u64) -> io::Result<bool> {
        let (Some(named), Some(length)) = (&mut self.named, self.length) else {
            return Ok(false);
        };
        if length == 0 {
            self.started = now;
            return Ok(false);
        }
        let size = named.rotation.size;
        let is_full = size.is_some_and(|size| length.saturating_add(to_u64(more)) > size);
        if !is_full && !named.rotation.is_over(self.started, now) {
            return Ok(false);
        }
        let complete = named.complete.next_name(self.started);
        match fs::rename(&named.path, complete) {
            // Another program has renamed it.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file = append(&named.path)?;
        if let Some(keep) = named.rotation.keep {
            named.complete.remove_old(keep);
        }
        self.measure(now);
        Ok(true)
    }

    /// Opens the file again by its name, because another program has renamed it. Returns whether it
    /// has a name. After an error, lines are still written to the current file.
    pub(super) fn reopen(&mut self, now: u64) -> io::Result<bool> {
        let Some(named) = &self.named else {
            return Ok(false);
        };
        self.file = append(&named.path)?;
        self.measure(now);
        Ok(true)
    }
}

fn append(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

fn written_at(metadata: &Metadata) -> Option<u64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn open(path: &Path, parameters: &str) -> io::Result<LogFile> {
        let target = format!("file:{}{parameters}", path.display());
        LogFile::open(&target.parse().unwrap(), NOW)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_renamed_before_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.log");
        let mut log = open(&path, "?rotate-size=64K&keep=2").unwrap();
        let line = vec![b'x'; 40 << 10];
        for number in 0..5 {
            let rotated = log.rotate_if_due(line.len(), NOW).unwrap();
            assert_eq!(rotated, number > 0);
            log.write(&line).unwrap();
        }
        assert_eq!(
            names(folder.path()),
            [
                "flows.20231114T221320Z-2.log",
                "flows.20231114T221320Z-3.log",
                "flows.log"
            ]
        );
    }

    #[test]
    fn an_old_file_is_renamed_and_an_empty_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.log");
        let mut log = open(&path, "?rotate-every=1m").unwrap();
        assert!(!log.rotate_if_due(0, NOW + 600_000).unwrap());
        log.write(b"line\n").unwrap();
        assert!(!log.rotate_if_due(0, NOW + 600_001).unwrap());
        assert!(log.rotate_if_due(0, NOW + 660_000).unwrap());
        let left = names(folder.path());
        assert_eq!(left, ["flows.20231114T222320Z.log", "flows.log"]);
    }

    #[test]
    fn a_file_of_an_earlier_process_is_as_old_as_its_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.log");
        fs::write(&path, "line\n").unwrap();
        let day = std::time::Duration::from_millis(NOW - 86_400_000);
        let file = File::options().append(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH + day).unwrap();
        let mut log = open(&path, "?rotate-every=1h").unwrap();
        assert!(log.rotate_if_due(0, NOW).unwrap());
        let left = names(folder.path());
        assert_eq!(left, ["flows.20231113T221320Z.log", "flows.log"]);
    }

    #[test]
    fn a_file_that_was_renamed_is_opened_again_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("flows"), folder.path().join("flows.1"));
        let mut log = open(&path, "").unwrap();
        log.write(b"1\n").unwrap();
        fs::rename(&path, &old).unwrap();
        log.write(b"2\n").unwrap();
        assert!(log.reopen(NOW).unwrap());
        log.write(b"3\n").unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"1\n2\n");
        assert_eq!(fs::read(&path).unwrap(), b"3\n");
    }

    #[test]
    fn a_failed_rotation_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let mut log = open(&inner.join("flows.log"), "?rotate-size=64K").unwrap();
        log.write(b"1\n").unwrap();
        let moved = folder.path().join("moved");
        fs::rename(&inner, &moved).unwrap();
        assert!(log.rotate_if_due(1 << 16, NOW).is_err());
        log.write(b"2\n").unwrap();
        fs::rename(&moved, &inner).unwrap();
        assert!(log.rotate_if_due(1 << 16, NOW).unwrap());
        log.write(b"3\n").unwrap();
        // The first attempt took a name.
        let complete = inner.join("flows.20231114T221320Z-1.log");
        assert_eq!(fs::read(complete).unwrap(), b"1\n2\n");
        assert_eq!(fs::read(inner.join("flows.log")).unwrap(), b"3\n");
    }

    #[test]
    fn only_a_regular_file_can_be_rotated() {
        let null = Path::new("/dev/null");
        assert!(open(null, "").is_ok());
        let error = open(null, "?rotate-size=1M").unwrap_err();
        assert!(error.to_string().contains("regular file"), "{error}");
    }
}
