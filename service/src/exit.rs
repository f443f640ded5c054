//! The first and the last thing a daemon does: read its command line, and say in one sentence on
//! stderr why it ends when it was not asked to.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | asked to stop, or done with what `--read` named |
//! | 64 | bad settings (`EX_USAGE` of sysexits.h) |
//! | 1 | could not start, or a stage died |

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::settings::BadSettings;

/// Why the process ends, by consequence.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be: a sentence that names the setting, the value and what is
    /// allowed. Exit code 64.
    BadSettings(String),
    /// It could not start, or a stage died. Exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// The exit code of the process.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::BadSettings(_) => 64,
            Self::Failed(_) => 1,
        }
    }

    /// The one line for stderr, without the program's name.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::BadSettings(sentence) => one_line(sentence),
            Self::Failed(error) => one_line(&format!("{error:#}")),
        }
    }
}

impl From<BadSettings> for Failure {
    fn from(bad: BadSettings) -> Self {
        Self::BadSettings(bad.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs `main` and turns its outcome into the exit code, saying a failure once on stderr.
pub fn run(main: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    match main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let line = format!("{}: {}\n", program(), failure.sentence());
            // Nobody is left to tell when stderr is closed: the exit code still says it.
            std::io::stderr().write_all(line.as_bytes()).ok();
            ExitCode::from(failure.code())
        }
    }
}

/// Reads the command line. For `--help` and `--version` it prints them and ends the process with 0.
///
/// # Errors
/// [`Failure::BadSettings`] for what the flags do not allow (`clap` alone would exit with 2).
pub fn parse<F: Parser>() -> Result<F, Failure> {
    parse_from(std::env::args_os()).map_err(|ending| match ending {
        Ending::Bad(failure) => failure,
        Ending::Printed => std::process::exit(0),
    })
}

enum Ending {
    Bad(Failure),
    Printed,
}

fn parse_from<F: Parser>(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<F, Ending> {
    F::try_parse_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // `--help | head` closes stdout early: that is no failure.
            error.print().ok();
            Ending::Printed
        }
        _ => Ending::Bad(Failure::BadSettings(usage_sentence(&error.to_string()))),
    })
}

/// The first paragraph of `clap`'s message says what is wrong, the rest repeats the usage.
fn usage_sentence(message: &str) -> String {
    let paragraph = message.split("\n\n").next().unwrap_or(message);
    let paragraph = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
    format!(
        "{}; --help shows what is allowed",
        one_line(paragraph).trim_end_matches('.')
    )
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
    use super::*;

    #[derive(Parser, Debug)]
    struct Flags {
        /// Most flows.
        #[arg(long, value_name = "N")]
        max_flows: Option<u32>,
    }

    fn parsed(arguments: &[&str]) -> Result<Flags, Ending> {
        parse_from(arguments.iter().map(Into::into))
    }

    #[test]
    fn a_bad_flag_value_is_one_sentence_and_code_64() {
        let Err(Ending::Bad(failure)) = parsed(&["probe", "--max-flows", "many"]) else {
            panic!("accepted");
        };
        assert_eq!(failure.code(), 64);
        assert_eq!(
            failure.sentence(),
            "invalid value 'many' for '--max-flows <N>': invalid digit found in string; --help shows what is allowed"
        );
    }

    #[test]
    fn an_unknown_flag_is_bad_settings() {
        let Err(Ending::Bad(failure)) = parsed(&["probe", "--max-flow", "1"]) else {
            panic!("accepted");
        };
        assert!(
            failure
                .sentence()
                .starts_with("unexpected argument '--max-flow' found")
        );
    }

    #[test]
    fn help_and_version_are_no_failure() {
        assert!(matches!(parsed(&["probe", "--help"]), Err(Ending::Printed)));
        assert_eq!(
            parsed(&["probe", "--max-flows", "7"])
                .ok()
                .unwrap()
                .max_flows,
            Some(7)
        );
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
            run(|| Err(Failure::BadSettings("x".into()))),
            ExitCode::from(64)
        );
        assert_eq!(run(|| Err(anyhow::anyhow!("x").into())), ExitCode::from(1));
    }
}
