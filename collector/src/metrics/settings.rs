//! Self-metrics of the settings: whether the file was last used, and what needs a restart.

use kipfix_service::metric_table::Declarations;

use super::Totals;

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

pub(super) fn declare(table: &mut Declarations<'_, Totals>) {
    table.gauge(
        "settings_last_reload_successful",
        "1 if the settings could be used when they were last read, at the start or because of \
         SIGHUP or a changed file; 0 if the previous ones are in use.",
        |t| t.settings.is_current,
    );
    table.gauge(
        "settings_last_reload_success_timestamp_seconds",
        "When the settings were last read and used.",
        |t| t.settings.loaded_seconds,
    );
    table.gauge(
        "settings_needing_restart",
        "Settings that were changed in the file and take effect after a restart.",
        |t| t.settings.needing_restart,
    );
}
