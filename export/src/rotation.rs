//! Files that follow each other: when the next one starts, their names, and how many are kept.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, civil};
use kipfix_service::settings::Span;
use tracing::{info, warn};

/// Time in the names of rotated files, UTC.
const TIME_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// When a file is complete and the next one starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Maximum size, octets.
    pub size: Option<u64>,
    /// Duration of a file.
    pub every: Option<Span>,
    /// Number of complete files to keep. Older ones are removed. Default: all.
    pub keep: Option<NonZeroUsize>,
}

impl Rotation {
    /// True if there is more than one file.
    #[must_use]
    pub const fn rotates(&self) -> bool {
        self.size.is_some() || self.every.is_some()
    }

    /// True if a file that was started at `start` is complete at `now`, milliseconds since the
    /// epoch. Files end at multiples of their duration.
    #[must_use]
    pub fn is_over(&self, start: u64, now: u64) -> bool {
        let every = self.every.map(Span::milliseconds);
        every.is_some_and(|every| start.checked_div(every) != now.checked_div(every))
    }
}

/// The names of complete files: `flows.json` → `flows.20231114T221320Z.json`.
#[derive(Debug)]
pub struct RotatedFiles {
    path: PathBuf,
    /// Time and number in the name of the last file.
    last: Option<(String, u32)>,
}

impl RotatedFiles {
    /// Names that are made from `path`.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, last: None }
    }

    /// The name of a file that was started at `start`, milliseconds since the epoch. Files of the
    /// same second are numbered.
    pub fn next_name(&mut self, start: u64) -> PathBuf {
        let time = time_of(start / 1000);
        let first = match &self.last {
            Some((last, number)) if *last == time => number.saturating_add(1),
            _ => 0,
        };
        for number in first..u32::MAX {
            let path = match number {
                0 => self.with_middle(&time),
                _ => self.with_middle(&format!("{time}-{number}")),
            };
            if !path.exists() {
                self.last = Some((time, number));
                return path;
            }
        }
        self.path.clone()
    }

    /// Removes the oldest complete files, so that `keep` remain.
    pub fn remove_old(&self, keep: NonZeroUsize) {
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
            let file = path.display();
            match fs::remove_file(&path) {
                Ok(()) => info!(%file, "removed an old file"),
                Err(error) => warn!(%file, %error, "cannot remove an old file"),
            }
        }
    }

    /// `flows.json` → `flows.MIDDLE.json`.
    fn with_middle(&self, middle: &str) -> PathBuf {
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
}

/// Formats seconds since the epoch as `20231114T221320Z`.
fn time_of(seconds: u64) -> String {
    let timestamp = i64::try_from(seconds).ok().map(Timestamp::from_second);
    match timestamp {
        Some(Ok(timestamp)) => timestamp.strftime(TIME_FORMAT).to_string(),
        // After the year 9999.
        _ => seconds.to_string(),
    }
}

/// True for a text that [`time_of`] could have made.
fn is_time(text: &str) -> bool {
    civil::DateTime::strptime(TIME_FORMAT, text)
        .is_ok_and(|time| time.strftime(TIME_FORMAT).to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_gregorian_calendar() {
        assert_eq!(time_of(0), "19700101T000000Z");
        assert_eq!(time_of(1_709_164_799), "20240228T235959Z");
        assert_eq!(time_of(1_709_164_800), "20240229T000000Z");
        assert_eq!(time_of(1_735_689_599), "20241231T235959Z");
        assert!(is_time(&time_of(4_000_000_000)));
    }

    #[test]
    fn a_file_is_over_at_a_multiple_of_its_duration() {
        let rotation = Rotation {
            every: Some(Span::from_secs(60)),
            ..Rotation::default()
        };
        assert!(!rotation.is_over(60_000, 119_999));
        assert!(rotation.is_over(119_999, 120_000));
        assert!(!Rotation::default().is_over(0, u64::MAX));
    }
}
