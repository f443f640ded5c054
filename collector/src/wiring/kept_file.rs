//! A file in which something is kept over a restart. It is written as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::clock;

/// The file of a setting.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    /// The setting.
    name: &'static str,
    /// Maximum size of a file that is read.
    max_octets: u64,
    /// Time between two writes.
    interval: Duration,
    /// When it was last written.
    saved: Instant,
    /// The last attempt to write it failed.
    is_failing: bool,
}

impl KeptFile {
    /// The file of the setting `name`. What it has beyond `max_octets` is not read.
    pub(super) fn new(
        name: &'static str,
        path: &Path,
        max_octets: u64,
        interval: Duration,
    ) -> Self {
        Self {
            path: path.to_owned(),
            name,
            max_octets,
            interval,
            saved: clock::monotonic(),
            is_failing: false,
        }
    }

    /// Restores from the file. `restore` gets its octets, and returns what the log reports. A file
    /// that cannot be used is ignored.
    pub(super) fn load(&self, restore: impl FnOnce(&[u8]) -> anyhow::Result<String>) {
        let (file, name) = (self.path.display(), self.name);
        let restored = match self.read() {
            Ok(octets) => octets.map(|octets| restore(&octets)).transpose(),
            Err(error) => Err(error),
        };
        match restored {
            Ok(Some(restored)) => tracing::info!(%file, "{name}: restored {restored}"),
            Ok(None) if self.has_folder() => tracing::info!(%file, "{name}: no file yet"),
            Ok(None) => tracing::warn!(%file, "{name}: its folder does not exist"),
            Err(error) => tracing::warn!(%file, "{name}: ignored: {error:#}"),
        }
    }

    /// True if its interval is over.
    pub(super) fn is_due(&self) -> bool {
        self.saved.elapsed() >= self.interval
    }

    /// Replaces the file. Failures are logged once.
    pub(super) fn save(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        self.saved = clock::monotonic();
        let result = self.replace(write);
        let (file, name) = (self.path.display(), self.name);
        // Each change is logged, not each attempt.
        match (&result, self.is_failing) {
            (Ok(()), true) => tracing::info!(%file, "{name}: written again"),
            (Err(error), false) => {
                tracing::warn!(%file, "{name}: cannot be written: {error:#}");
            }
            _ => {}
        }
        self.is_failing = result.is_err();
    }

    fn has_folder(&self) -> bool {
        let folder = self.path.parent();
        folder.is_some_and(|folder| folder.as_os_str().is_empty() || folder.is_dir())
    }

    /// `None` if there is no file.
    fn read(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut octets = Vec::new();
        file.take(self.max_octets).read_to_end(&mut octets)?;
        Ok(Some(octets))
    }

    /// After a crash, the file is the old one or the new one.
    fn replace(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
        let name = self.path.file_name().context("it has no file name")?;
        let metadata = self.path.metadata();
        // A device would be replaced by a file.
        let is_replaceable = metadata.map_or(true, |metadata| metadata.is_file());
        anyhow::ensure!(is_replaceable, "not a regular file");
        let mut temporary = name.to_owned();
        temporary.push(".new");
        let temporary = self.path.with_file_name(temporary);
        // For its own user only: it lists which workloads communicate.
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kept(path: &Path) -> KeptFile {
        KeptFile::new("state", path, 5, Duration::ZERO)
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = kept(&directory.path().join("state"));
        assert!(file.read().unwrap().is_none());
        for content in [&b"first"[..], b"second"] {
            file.replace(|out| out.write_all(content)).unwrap();
            let read = file.read().unwrap().unwrap();
            assert_eq!(read, content[..5]);
            let mode = file.path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
        }
        let failed = file.replace(|out| {
            out.write_all(b"third")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert!(failed.is_err());
        assert_eq!(file.read().unwrap().unwrap(), b"secon");
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in ["/", "none/state", "socket"] {
            let file = kept(&directory.path().join(path));
            assert!(file.replace(|_| Ok(())).is_err());
        }
        assert!(!socket.is_file());
    }

    #[test]
    fn a_failure_is_noticed_and_ends_with_the_next_success() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = kept(&directory.path().join("state"));
        file.save(|_| Err(ErrorKind::StorageFull.into()));
        assert!(file.is_failing);
        file.save(|_| Ok(()));
        assert!(!file.is_failing);
        file.load(|octets| {
            assert!(octets.is_empty());
            Ok("nothing".into())
        });
    }
}
