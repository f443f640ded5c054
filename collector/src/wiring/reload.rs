//! Reads the settings again on SIGHUP and when their file changes.

use std::sync::Arc;

use kipfix_service::exit::Failure;
use kipfix_service::file_stamp::FileStamp;
use kipfix_service::settings::{BadSettings, CommandLine};
use kipfix_service::signals::Hangups;

use super::{warn_of_names, warn_of_unknown_fields};
use crate::clock;
use crate::inventory::KeptLabels;
use crate::serve::Scrape;
use crate::settings::{Flags, Settings, SettingsChange};

/// Applies changed settings. A file that cannot be used changes nothing.
#[derive(Debug)]
pub(super) struct Reloader<'a> {
    command_line: &'a CommandLine<Flags>,
    hangups: Hangups,
    /// Version of the file at the last attempt to read it.
    stamp: Option<FileStamp>,
    /// The labels that are kept since the start.
    kept: KeptLabels,
    /// The settings of the start. Those that need a restart are still in use.
    started: Settings,
    /// The settings that are in use, as far as they can be reloaded.
    current: Settings,
}

impl<'a> Reloader<'a> {
    /// `stamp` is that of the file before `settings` were loaded from it.
    pub(super) fn new(
        command_line: &'a CommandLine<Flags>,
        settings: &Settings,
        stamp: Option<FileStamp>,
        hangups: Hangups,
    ) -> Result<Self, BadSettings> {
        Ok(Self {
            command_line,
            kept: settings.kept_labels()?,
            hangups,
            stamp,
            started: settings.clone(),
            current: settings.clone(),
        })
    }

    /// The version of the settings file.
    pub(super) fn stamp(command_line: &CommandLine<Flags>) -> Option<FileStamp> {
        command_line.flags.config.as_deref().and_then(FileStamp::of)
    }

    /// Reads the settings again if that was requested, or if their file has changed.
    pub(super) fn poll(&mut self, scrape: &Scrape) {
        // Taken before the file is read, so that a change while it is read is detected.
        let stamp = Self::stamp(self.command_line);
        let is_requested = self.hangups.take();
        if !is_requested && stamp == self.stamp {
            return;
        }
        self.stamp = stamp;
        match self.reload(scrape) {
            Ok(needing_restart) => {
                let now = clock::wall_milliseconds() / 1000;
                scrape.settings.on_success(now, needing_restart);
            }
            Err(error) => {
                let error = error.sentence();
                tracing::error!(
                    error,
                    "settings not reloaded; the previous ones stay in use"
                );
                scrape.settings.on_failure(error);
            }
        }
    }

    /// Returns the settings that need a restart.
    fn reload(&mut self, scrape: &Scrape) -> Result<Vec<String>, Failure> {
        let new = Settings::load(self.command_line)?;
        let families = new.families()?;
        let lines = new.flow_log_lines();
        self.check_labels(&new.labels_read()?)?;
        let changed = SettingsChange::between(&self.current, &new).reloaded;
        if self.current.families()? != families {
            scrape.replace_families(&families);
            warn_of_names(&new)?;
        }
        if self.current.flow_log_lines() != lines {
            scrape.replace_lines(&Arc::new(lines));
            warn_of_unknown_fields(&new);
        }
        let started = SettingsChange::between(&self.started, &new);
        let needing_restart = started.needing_restart;
        self.current = new;
        scrape.metrics.set_limits(&self.reloaded_limits());
        tracing::info!(changed = changed.join(","), "settings reloaded");
        if !needing_restart.is_empty() {
            let settings = needing_restart.join(",");
            tracing::warn!(settings, "changed settings need a restart");
        }
        Ok(needing_restart)
    }

    /// Refuses families and filters that read labels which are not kept since the start.
    fn check_labels(&self, read: &KeptLabels) -> Result<(), BadSettings> {
        for (setting, kept, read) in [
            ("pod_labels", &self.kept.pods, &read.pods),
            ("namespace_labels", &self.kept.namespaces, &read.namespaces),
        ] {
            if let Some(key) = read.iter().find(|key| !kept.contains(key)) {
                return Err(BadSettings::new(format!(
                    "metrics: label {key:?} is not kept since the start: needs {setting} and a restart"
                )));
            }
        }
        Ok(())
    }

    /// The bounds in use: those of the start, but for the ones that are reloaded.
    fn reloaded_limits(&self) -> Vec<(&'static str, u64)> {
        let mut in_use = self.started.clone();
        in_use.metrics.max_series = self.current.metrics.max_series;
        in_use.limits()
    }
}
