//! Logging on stderr, one line per event, filtered by `RUST_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::BadSettings;

/// The format of a log line. Default: text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object per line.
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
                "invalid log format {text:?}: must be text or json"
            ))),
        }
    }
}

crate::text_setting!(LogFormat);

/// Starts logging. `RUST_LOG` is the filter; `default` is the filter if it is not set or invalid.
/// Colours are used on a terminal only. A closed or full stderr loses lines, but is not an error.
/// Later calls have no effect.
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
        // `tracing-subscriber` reports a failed write with eprintln!, which panics if stderr is closed.
        .log_internal_errors(false);
    // An error means that a subscriber is installed already, as in tests.
    match format {
        LogFormat::Text => subscriber.try_init().ok(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init().ok(),
    };
    if let Some(error) = refused {
        tracing::warn!(RUST_LOG = wanted, %error, "invalid RUST_LOG, using the default filter");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_parses_its_own_text_and_refuses_others() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse::<LogFormat>().unwrap(), format);
        }
        let error = "xml".parse::<LogFormat>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid log format \"xml\": must be text or json"
        );
    }

    #[test]
    fn starting_twice_is_harmless() {
        init(LogFormat::Json, "info");
        init(LogFormat::Text, "info");
        tracing::info!("still here");
    }
}
