//! The state of the settings file, for `/metrics` and `/readyz`.

use std::sync::Mutex;

use kipfix_service::sync::lock;

use crate::metrics::SettingsCounts;

/// What became of the settings when they were last read.
#[derive(Debug)]
pub struct SettingsStatus(Mutex<State>);

#[derive(Debug)]
struct State {
    loaded_seconds: u64,
    /// Why the file is not used.
    error: Option<String>,
    /// Settings that were changed and need a restart.
    needing_restart: Vec<String>,
}

impl SettingsStatus {
    /// The settings of the start are in use. `now` is in seconds since the epoch.
    #[must_use]
    pub const fn new(now: u64) -> Self {
        Self(Mutex::new(State {
            loaded_seconds: now,
            error: None,
            needing_restart: Vec::new(),
        }))
    }

    /// The file was read and used at `now`, except for `needing_restart`.
    pub fn on_success(&self, now: u64, needing_restart: Vec<String>) {
        *lock(&self.0) = State {
            loaded_seconds: now,
            error: None,
            needing_restart,
        };
    }

    /// The file cannot be used.
    pub fn on_failure(&self, error: String) {
        lock(&self.0).error = Some(error);
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> SettingsCounts {
        let state = lock(&self.0);
        SettingsCounts {
            is_current: state.error.is_none(),
            loaded_seconds: state.loaded_seconds,
            needing_restart: u64::try_from(state.needing_restart.len()).unwrap_or(u64::MAX),
        }
    }

    /// Sentences for `/readyz`.
    pub(super) fn notes(&self) -> Vec<String> {
        let state = lock(&self.0);
        let error = state.error.iter();
        let mut notes: Vec<String> = error
            .map(|error| format!("settings: changed file not used: {error}"))
            .collect();
        if !state.needing_restart.is_empty() {
            let names = state.needing_restart.join(", ");
            notes.push(format!("settings: changed, need a restart: {names}"));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reload_decides() {
        let status = SettingsStatus::new(5);
        assert!(status.counts().is_current && status.notes().is_empty());
        status.on_failure("bad".into());
        assert!(!status.counts().is_current);
        assert_eq!(status.counts().loaded_seconds, 5);
        assert_eq!(status.notes(), ["settings: changed file not used: bad"]);
        status.on_success(9, vec!["listen".into(), "workers".into()]);
        let counts = status.counts();
        assert_eq!((counts.is_current, counts.loaded_seconds), (true, 9));
        assert_eq!(counts.needing_restart, 2);
        let expected = "settings: changed, need a restart: listen, workers";
        assert_eq!(status.notes(), [expected]);
    }
}
