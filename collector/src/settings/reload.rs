//! Settings that can be changed without a restart.

use serde_json::{Map, Value};

use super::Settings;

/// The settings that take effect when the file of `--config` is read again.
pub const RELOADED: [&str; 9] = [
    "preset",
    "metrics",
    "max_series",
    "series_idle",
    "flow_log_format",
    "flow_log_fields",
    "flow_log_records",
    "flow_log_filter",
    "flow_log_sample",
];

/// The settings that differ between two versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// Those of [`RELOADED`].
    pub reloaded: Vec<String>,
    /// Those that take effect after a restart.
    pub needing_restart: Vec<String>,
}

impl SettingsChange {
    /// What differs.
    #[must_use]
    pub fn between(old: &Settings, new: &Settings) -> Self {
        let (old, new) = (values(old), values(new));
        let changed = new
            .iter()
            .filter(|(name, value)| old.get(*name) != Some(value));
        let names = changed.map(|(name, _)| name.clone());
        let (reloaded, needing_restart) = names.partition(|name| RELOADED.contains(&name.as_str()));
        Self {
            reloaded,
            needing_restart,
        }
    }
}

fn values(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(values)) => values,
        // Settings are printed as a map by `--check`.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reloaded_setting_exists() {
        let values = values(&Settings::default());
        assert!(RELOADED.iter().all(|name| values.contains_key(*name)));
    }

    #[test]
    fn a_change_is_reloaded_or_needs_a_restart() {
        let old = Settings::default();
        assert_eq!(
            SettingsChange::between(&old, &old),
            SettingsChange::default()
        );
        let mut new = old.clone();
        new.input.workers = 2;
        new.metrics.max_series = 5;
        new.output.flow_log_filter = "port == 53".parse().ok();
        let change = SettingsChange::between(&old, &new);
        assert_eq!(change.reloaded, ["flow_log_filter", "max_series"]);
        assert_eq!(change.needing_restart, ["workers"]);
    }
}
