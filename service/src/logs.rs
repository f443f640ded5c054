//! Logs: one line an event on stderr, filtered by `RUST_LOG`.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::settings::BadSettings;

/// How a log line is written. Default: text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl std::str::FromStr for LogFormat {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(BadSettings::new(format!(
                "{text:?} is no log format: allowed are text, json"
            ))),
        }
    }
}

impl TryFrom<String> for LogFormat {
    type Error = BadSettings;

    fn try_from(text: String) -> Result<Self, BadSettings> {
        text.parse()
    }
}

impl From<LogFormat> for String {
    fn from(format: LogFormat) -> Self {
        format.to_string()
    }
}

/// Starts logging. `RUST_LOG` says what is logged, by default what `default` says; a `RUST_LOG` that cannot
/// be read is warned about and the default used. Colours only on a terminal. A closed or full stderr loses lines,
/// never the process. Later calls change nothing.
pub fn init(format: LogFormat, default: &str) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let (filter, refused) = match EnvFilter::try_new(&wanted) {
        Ok(filter) if !wanted.is_empty() => (filter, None),
        Ok(_) => (EnvFilter::new(default), None),
        Err(error) => (EnvFilter::new(default), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // The crate would report a failed write with eprintln!, which panics on a closed stderr.
        .log_internal_errors(false);
    // An error means that a subscriber is there already, as in tests.
    match format {
        LogFormat::Text => subscriber.try_init().ok(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init().ok(),
    };
    if let Some(error) = refused {
        tracing::warn!(RUST_LOG = wanted, %error, "RUST_LOG cannot be read, logging as by default");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_reads_what_it_writes_and_names_what_is_allowed() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse::<LogFormat>().unwrap(), format);
        }
        let error = "xml".parse::<LogFormat>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"xml\" is no log format: allowed are text, json"
        );
    }

    #[test]
    fn starting_twice_is_harmless() {
        init(LogFormat::Json, "info");
        init(LogFormat::Text, "info");
        tracing::info!("still here");
    }
}
