//! The file of `--state`: templates, options data and sequence numbers of exporters over a restart.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowproto::collector::State;
use kipfix_service::sync::lock;

use super::kept_file::KeptFile;
use crate::clock;
use crate::outputs::Outputs;
use crate::pipeline::Pipeline;

/// Maximum size of a file that is read.
const MAX_OCTETS: u64 = 1 << 30;
/// Interval at which the file is written.
const INTERVAL: Duration = Duration::from_secs(60);

type Pipelines<'a> = &'a [Arc<Mutex<Pipeline<Outputs>>>];

/// The file, if there is one.
#[derive(Debug)]
pub(super) struct StateFile(Option<KeptFile>);

impl StateFile {
    pub(super) fn new(path: Option<&Path>) -> Self {
        Self(path.map(|path| KeptFile::new("state", path, MAX_OCTETS, INTERVAL)))
    }

    /// Restores the state in every pipeline: the kernel may give an exporter to any of them. A file
    /// that cannot be used is ignored.
    pub(super) fn load(&self, pipelines: Pipelines<'_>, max_age_milliseconds: u64) {
        let Some(file) = &self.0 else {
            return;
        };
        file.load(|octets| {
            let now = clock::wall_milliseconds();
            let state = State::from_octets(octets, now, max_age_milliseconds)?;
            for pipeline in pipelines {
                lock(pipeline).restore(&state, clock::now());
            }
            Ok(format!("{} sessions", state.sessions()))
        });
    }

    /// Writes the state of all pipelines if its interval is over.
    pub(super) fn save_if_due(&mut self, pipelines: Pipelines<'_>) {
        if self.0.as_ref().is_some_and(KeptFile::is_due) {
            self.save(pipelines);
        }
    }

    /// Writes the state of all pipelines.
    pub(super) fn save(&mut self, pipelines: Pipelines<'_>) {
        let Some(file) = &mut self.0 else {
            return;
        };
        let mut state = State::default();
        for pipeline in pipelines {
            let of_pipeline = lock(pipeline).state(clock::now());
            state.merge(of_pipeline);
        }
        let octets = state.to_octets(clock::wall_milliseconds());
        file.save(|out| out.write_all(&octets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_that_is_broken_or_too_old_is_refused() {
        let state = State::default().to_octets(clock::wall_milliseconds());
        let old = State::default().to_octets(0);
        let read = |octets| State::from_octets(octets, clock::wall_milliseconds(), 60_000);
        assert!(read(&state).is_ok());
        for (octets, reason) in [
            (&b"something else"[..], "not a state file"),
            (&state[..state.len() - 1], "incomplete or corrupt"),
            (&old, "too old"),
        ] {
            let error = read(octets).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
