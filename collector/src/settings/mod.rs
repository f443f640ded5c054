//! Settings: flags with their meaning, default and range, and the rules between them.
//!
//! Defaults < `--config FILE` (YAML, keys as the flags with `_`) < environment
//! (`KIPFIX_COLLECTOR__…`) < flags. A field of a group is a setting and its flag.

mod attribution;
mod check;
mod decoder;
mod exporters;
mod external;
mod flags;
mod history;
mod http;
mod input;
mod label_selector;
mod metrics;
mod output;
mod parts;
mod reload;

pub use attribution::AttributionFlags;
use clap::Args;
pub use decoder::DecoderFlags;
pub use external::ExternalFlags;
pub use flags::{Flags, Task};
pub use history::HistoryFlags;
pub use http::{HttpFlags, HttpTlsFlags};
pub use input::InputFlags;
use kipfix_service::exit::Failure;
use kipfix_service::logs::LogFormat;
use kipfix_service::settings::{self, CommandLine};
pub use label_selector::LabelSelector;
pub use metrics::MetricFlags;
pub use output::OutputFlags;
pub use reload::{RELOADED, SettingsChange};
use serde::Serialize;

/// The effective settings, in groups.
#[derive(Clone, Debug, Args, Serialize)]
#[expect(missing_docs, reason = "each group has its own description")]
pub struct Settings {
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub attribution: AttributionFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub external: ExternalFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub http: HttpFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub history: HistoryFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub output: OutputFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub metrics: MetricFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub decoder: DecoderFlags,
    /// Format of the log on stderr: text or json. RUST_LOG sets the level
    #[arg(
        long,
        value_name = "FORMAT",
        hide_possible_values = true,
        default_value = "text",
        help_heading = "General"
    )]
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        settings::defaults()
    }
}

impl Settings {
    /// Layers the settings and checks them.
    ///
    /// # Errors
    /// A message that names the setting, the value and what is allowed.
    pub fn load(command_line: &CommandLine<Flags>) -> Result<Self, Failure> {
        let settings = command_line.load(command_line.flags.config.as_deref())?;
        settings.check()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use kipfix_service::settings::Daemon;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::whole_command().debug_assert();
    }
}
