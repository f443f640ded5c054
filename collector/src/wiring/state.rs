//! The file of `--state`: templates, options data and sequence numbers of exporters over a restart.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use flowproto::collector::State;
use kipfix_service::sync::lock;

use crate::clock;
use crate::outputs::Outputs;
use crate::pipeline::Pipeline;

/// Maximum size of a file that is read.
const MAX_OCTETS: u64 = 1 << 30;

type Pipelines<'a> = &'a [Arc<Mutex<Pipeline<Outputs>>>];

/// The file, if there is one.
#[derive(Debug)]
pub(super) struct StateFile {
    path: Option<PathBuf>,
    /// The last attempt to write it failed.
    is_failing: bool,
}

impl StateFile {
    pub(super) fn new(path: Option<&Path>) -> Self {
        Self {
            path: path.map(Path::to_owned),
            is_failing: false,
        }
    }

    /// Restores the state in every pipeline: the kernel may give an exporter to any of them. A file that
    /// cannot be used is ignored.
    pub(super) fn load(&self, pipelines: Pipelines<'_>, max_age_milliseconds: u64) {
        let Some(path) = &self.path else {
            return;
        };
        let file = path.display();
        match read(path, max_age_milliseconds) {
            Ok(None) => tracing::info!(%file, "state: no file yet"),
            Ok(Some(state)) => {
                for pipeline in pipelines {
                    lock(pipeline).restore(&state, clock::now());
                }
                let sessions = state.sessions();
                tracing::info!(%file, sessions, "state: restored");
            }
            Err(error) => tracing::warn!(%file, "state: ignored: {error:#}"),
        }
    }

    /// Writes the state of all pipelines.
    pub(super) fn save(&mut self, pipelines: Pipelines<'_>) {
        let Some(path) = &self.path else {
            return;
        };
        let mut state = State::default();
        for pipeline in pipelines {
            let of_pipeline = lock(pipeline).state(clock::now());
            state.merge(of_pipeline);
        }
        let octets = state.to_octets(clock::wall_milliseconds());
        let file = path.display();
        let result = write(path, &octets);
        // Each change is logged, not each minute.
        match (&result, self.is_failing) {
            (Ok(()), true) => tracing::info!(%file, "state: written again"),
            (Err(error), false) => tracing::warn!(%file, "state: cannot be written: {error:#}"),
            _ => {}
        }
        self.is_failing = result.is_err();
    }
}

/// `None` if there is no file.
fn read(path: &Path, max_age_milliseconds: u64) -> anyhow::Result<Option<State>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut octets = Vec::new();
    file.take(MAX_OCTETS).read_to_end(&mut octets)?;
    let now = clock::wall_milliseconds();
    let state = State::from_octets(&octets, now, max_age_milliseconds)?;
    Ok(Some(state))
}

/// Replaces the file as a whole: after a crash it is the old one or the new one.
fn write(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().context("it has no file name")?;
    let mut temporary = name.to_owned();
    temporary.push(".new");
    let temporary = path.with_file_name(temporary);
    let mut file = File::create(&temporary)?;
    file.write_all(octets)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_broken_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        assert!(read(&path, 1000).unwrap().is_none());
        let state = State::default().to_octets(clock::wall_milliseconds());
        for _ in 0..2 {
            write(&path, &state).unwrap();
            assert!(read(&path, 60_000).unwrap().is_some());
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        let old = State::default().to_octets(0);
        for (octets, reason) in [
            (&b"something else"[..], "not a state file"),
            (&state[..state.len() - 1], "incomplete or corrupt"),
            (&old, "too old"),
        ] {
            std::fs::write(&path, octets).unwrap();
            let error = read(&path, 60_000).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        assert!(write(Path::new("/"), &state).is_err());
        assert!(write(&directory.path().join("none/state"), &state).is_err());
    }
}
