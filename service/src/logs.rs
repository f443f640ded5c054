//! Logging on stderr, one line per event, filtered by `RUST_LOG`.

use std::io::IsTerminal;

use clap::ValueEnum;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// The format of a log line. Default: text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Human-readable text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging. `RUST_LOG` is the filter; `default` is the filter if it is not set or invalid.
/// `quiet`: targets that are off unless `RUST_LOG` names them. Colours are used on a terminal only.
/// A closed or full stderr loses lines, but is not an error. Later calls have no effect.
pub fn init(format: LogFormat, default: &str, quiet: &[&str]) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let default = || EnvFilter::new(directives(default, quiet));
    let (filter, refused) = match EnvFilter::try_new(directives(&wanted, quiet)) {
        Ok(filter) if !wanted.is_empty() => (filter, None),
        Ok(_) => (default(), None),
        Err(error) => (default(), Some(error)),
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // `tracing-subscriber` reports a failed write with eprintln!, which panics if stderr is
        // closed.
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

/// A filter, with `quiet` targets off unless it names them.
fn directives(filter: &str, quiet: &[&str]) -> String {
    let unnamed = quiet.iter().filter(|target| !filter.contains(**target));
    let off = unnamed.map(|target| format!("{target}=off"));
    let all: Vec<_> = off.chain([filter.to_owned()]).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_target_is_off_unless_the_filter_names_it() {
        let quiet = ["client", "runtime"];
        assert_eq!(directives("debug", &quiet), "client=off,runtime=off,debug");
        let named = directives("info,client=warn", &quiet);
        assert_eq!(named, "runtime=off,info,client=warn");
        EnvFilter::try_new(named).unwrap();
        EnvFilter::try_new(directives("", &quiet)).unwrap();
    }

    #[test]
    fn starting_twice_is_harmless() {
        init(LogFormat::Json, "info", &[]);
        init(LogFormat::Text, "info", &[]);
        tracing::info!("still here");
    }
}
