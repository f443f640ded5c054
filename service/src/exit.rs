//! The command line and the exit code of a daemon. An error is one sentence on stderr.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | stopped by a signal, or `--read` is complete |
//! | 64 | invalid settings (`EX_USAGE` of sysexits.h) |
//! | 1 | startup failed, or a stage failed |

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};

use crate::{refusal, similar};

/// Invalid settings: a sentence with the setting, the value and the allowed values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSettings(String);

impl BadSettings {
    /// Creates the error from a sentence without a capital at its start and a full stop at its end.
    #[must_use]
    pub fn new(sentence: impl ToString) -> Self {
        Self(sentence.to_string())
    }

    /// Returns the error with this sentence if `is_invalid`, for the rules between settings.
    ///
    /// # Errors
    /// `is_invalid` is true.
    pub fn when(is_invalid: bool, sentence: impl ToString) -> Result<(), Self> {
        if is_invalid {
            Err(Self::new(sentence))
        } else {
            Ok(())
        }
    }
}

/// The reason for a failed exit, by its exit code.
#[derive(Debug)]
pub enum Failure {
    /// Invalid settings. Exit code 64.
    BadSettings(BadSettings),
    /// Startup failed, or a stage failed. Exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// Returns the exit code of the process.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::BadSettings(_) => 64,
            Self::Failed(_) => 1,
        }
    }

    /// Returns the line for stderr, without the name of the program.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::BadSettings(BadSettings(sentence)) => one_line(sentence),
            Self::Failed(error) => one_line(&format!("{error:#}")),
        }
    }
}

/// The result of writing to stdout, with what has failed. A closed pipe is not a failure.
///
/// # Errors
/// Stdout cannot be written, e.g. because the disk is full.
pub fn check_stdout(written: std::io::Result<()>, failure: &'static str) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context(failure).into())
        }
        _ => Ok(()),
    }
}

impl From<BadSettings> for Failure {
    fn from(bad: BadSettings) -> Self {
        Self::BadSettings(bad)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs `main` and returns its exit code. Writes a failure to stderr.
pub fn run(main: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    match main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let line = format!("{}: {}\n", program(), failure.sentence());
            // If stderr is closed, the exit code alone reports the failure.
            std::io::stderr().write_all(line.as_bytes()).ok();
            ExitCode::from(failure.code())
        }
    }
}

/// Parses the command line. `--help` and `--version` print their text and exit with code 0.
///
/// # Errors
/// [`Failure::BadSettings`] for invalid flags (`clap` alone would exit with code 2).
pub fn parse(command: Command) -> Result<ArgMatches, Failure> {
    parse_from(command, std::env::args_os()).map_err(|ending| match ending {
        Ending::Bad(failure) => failure,
        Ending::Printed => std::process::exit(0),
    })
}

enum Ending {
    Bad(Failure),
    Printed,
}

fn parse_from(
    command: Command,
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<ArgMatches, Ending> {
    let matches = command.try_get_matches_from(arguments);
    matches.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // `--help | head` closes stdout early, which is not a failure.
            error.print().ok();
            Ending::Printed
        }
        _ => {
            let refused = refusal::sentence(&error, |flag| format!("--{flag}"));
            let sentence = refused.unwrap_or_else(|| first_paragraph(&error.to_string()));
            let end = match error.get(ContextKind::SuggestedArg) {
                Some(ContextValue::String(flag)) => similar::hint(flag),
                _ => String::new(),
            };
            Ending::Bad(BadSettings::new(format!("{sentence}{end} (see --help)")).into())
        }
    })
}

/// Returns the first paragraph of `clap`'s message. The rest repeats the usage.
fn first_paragraph(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let paragraph = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
    one_line(paragraph).trim_end_matches('.').to_owned()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn program() -> String {
    std::env::args_os()
        .next()
        .and_then(|path| {
            Path::new(&path)
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
        })
        .unwrap_or_else(|| "kipfix".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;
    use crate::settings::within;

    fn parsed(arguments: &[&str]) -> Result<ArgMatches, Ending> {
        let limit = Arg::new("max_flows").long("max-flows");
        let limit = limit.value_name("N").value_parser(within(1u32, 10));
        let command = Command::new("probe").arg(limit);
        parse_from(command, arguments.iter().map(Into::into))
    }

    #[test]
    fn a_bad_flag_value_is_one_sentence_and_code_64() {
        let Err(Ending::Bad(failure)) = parsed(&["probe", "--max-flows", "many"]) else {
            panic!("accepted");
        };
        assert_eq!(failure.code(), 64);
        assert_eq!(
            failure.sentence(),
            "invalid --max-flows \"many\": must be 1–10 (see --help)"
        );
    }

    #[test]
    fn an_unknown_flag_is_bad_settings() {
        let Err(Ending::Bad(failure)) = parsed(&["probe", "--max-flow", "1"]) else {
            panic!("accepted");
        };
        assert_eq!(
            failure.sentence(),
            "unexpected argument '--max-flow' found; similar: --max-flows (see --help)"
        );
    }

    #[test]
    fn help_and_version_are_not_failures() {
        assert!(matches!(parsed(&["probe", "--help"]), Err(Ending::Printed)));
        let matches = parsed(&["probe", "--max-flows", "7"]).ok().unwrap();
        assert_eq!(matches.get_one("max_flows"), Some(&7_u32));
    }

    #[test]
    fn a_failure_with_causes_is_one_line() {
        let error = anyhow::anyhow!("port in use\n  by another").context("cannot listen");
        assert_eq!(
            Failure::from(error).sentence(),
            "cannot listen: port in use by another"
        );
    }

    #[test]
    fn exit_codes_follow_the_failure() {
        assert_eq!(run(|| Ok(())), ExitCode::SUCCESS);
        assert_eq!(
            run(|| Err(BadSettings::new("x").into())),
            ExitCode::from(64)
        );
        assert_eq!(run(|| Err(anyhow::anyhow!("x").into())), ExitCode::from(1));
    }
}
