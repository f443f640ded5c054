//! The file of `--history-file`: the history over a restart.

use std::path::Path;
use std::time::Duration;

use super::kept_file::KeptFile;
use crate::clock;
use crate::history::History;

/// Interval at which the file is written.
const INTERVAL: Duration = Duration::from_secs(300);

/// The file, if there is one.
#[derive(Debug)]
pub(super) struct HistoryFile<'a>(Option<(KeptFile, &'a History)>);

impl<'a> HistoryFile<'a> {
    pub(super) fn new(path: Option<&Path>, history: Option<&'a History>) -> Self {
        Self(path.zip(history).map(|(path, history)| {
            let memory = u64::try_from(history.settings().max_octets).unwrap_or(u64::MAX);
            // A history of the same size is smaller in a file than in memory.
            let file = KeptFile::new("history_file", path, memory, INTERVAL);
            (file, history)
        }))
    }

    /// Restores the history. A file that cannot be used is ignored.
    pub(super) fn load(&self) {
        let Some((file, history)) = &self.0 else {
            return;
        };
        file.load(|octets| {
            let now = clock::wall_milliseconds();
            let from = history.restore(octets, now)?;
            Ok(format!("the last {} s", now.saturating_sub(from) / 1000))
        });
    }

    /// Writes the history if its interval is over.
    pub(super) fn save_if_due(&mut self) {
        if self.0.as_ref().is_some_and(|(file, _)| file.is_due()) {
            self.save();
        }
    }

    /// Writes the history.
    pub(super) fn save(&mut self) {
        if let Some((file, history)) = &mut self.0 {
            file.save(|out| history.write(out));
        }
    }
}
