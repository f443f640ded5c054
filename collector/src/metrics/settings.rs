//! Self-metrics of the settings: whether the file was last used, and what needs a restart.

use kipfix_service::metric_maker::{MetricMaker, level};
use prometheus::IntGauge;

/// The state of the settings file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettingsCounts {
    /// The file could be used when it was last read.
    pub is_current: bool,
    /// When the file was last read and used, seconds since the epoch.
    pub loaded_seconds: u64,
    /// Settings that were changed and need a restart.
    pub needing_restart: u64,
}

#[derive(Debug)]
pub(super) struct SettingsMetrics {
    successful: IntGauge,
    timestamp: IntGauge,
    needing_restart: IntGauge,
}

impl SettingsMetrics {
    pub(super) fn new(make: &MetricMaker) -> prometheus::Result<Self> {
        Ok(Self {
            successful: make.gauge(
                "settings_last_reload_successful",
                "1 if the settings could be used when they were last read, at the start or because of \
                 SIGHUP or a changed file; 0 if the previous ones are in use.",
            )?,
            timestamp: make.gauge(
                "settings_last_reload_success_timestamp_seconds",
                "When the settings were last read and used.",
            )?,
            needing_restart: make.gauge(
                "settings_needing_restart",
                "Settings that were changed in the file and take effect after a restart.",
            )?,
        })
    }

    pub(super) fn publish(&self, counts: &SettingsCounts) {
        self.successful.set(counts.is_current.into());
        self.timestamp.set(level(counts.loaded_seconds));
        self.needing_restart.set(level(counts.needing_restart));
    }
}
