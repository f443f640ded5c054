//! The command line of a daemon: its settings, and flags that are not settings.

use std::io::Write as _;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Parser};
use serde::Serialize;

use super::BadSettings;
use super::flags::command;
use super::layer::Layer;
use super::layers;
use crate::exit::{self, Failure};

/// A daemon with settings. The fields of the type itself are flags that are not settings, such as
/// `--check`.
pub trait Daemon: Parser + Args {
    /// The settings, and their flags. The id of an argument is the key of its setting. A list is
    /// repeatable. A `bool` takes an optional value.
    type Settings: Args + Serialize;

    /// Name of the program.
    const NAME: &'static str;

    /// Prefix of the settings in the environment, for example `KIPFIX_PROBE__`.
    const ENVIRONMENT_PREFIX: &'static str;

    /// Returns the whole command line.
    fn whole_command() -> Command {
        Self::augment_args(command::<Self::Settings>(Self::NAME))
    }
}

/// The parsed command line of a daemon.
#[derive(Debug)]
pub struct CommandLine<D> {
    /// The flags that are not settings.
    pub flags: D,
    /// The settings whose flags are given.
    pub(super) given: Layer,
}

impl<D: Daemon> CommandLine<D> {
    /// Parses the command line of the process. `--help` and `--version` print their text and exit
    /// with code 0.
    ///
    /// # Errors
    /// A flag is unknown, or its value is invalid.
    pub fn parse() -> Result<Self, Failure> {
        Self::of(&exit::parse(D::whole_command())?)
    }

    /// The flags of a parsed command line.
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let flags = D::from_arg_matches(matches);
        let flags = flags.map_err(BadSettings::new)?;
        let settings = command::<D::Settings>("");
        let keys = settings
            .get_arguments()
            .map(|argument| argument.get_id().as_str());
        let keys = keys.filter(|key| matches.value_source(key) == Some(ValueSource::CommandLine));
        let mut given = Layer::default();
        for key in keys {
            let flag = format!("--{}", key.replace('_', "-"));
            let values = matches.get_raw(key).into_iter().flatten();
            let values = values.map(|value| {
                let text = value.to_str().map(ToOwned::to_owned);
                text.ok_or_else(|| {
                    BadSettings::new(format!("invalid {flag} {value:?}: must be UTF-8"))
                })
            });
            let values = values.collect::<Result<_, _>>()?;
            given.insert(key, values, format!("the flag {flag}"));
        }
        Ok(Self { flags, given })
    }

    /// True if the flag of a setting is given.
    #[must_use]
    pub fn is_given(&self, key: &str) -> bool {
        self.given.contains(key)
    }

    /// Loads the settings: defaults < `file` < environment < flags. A list replaces that of the
    /// layer below. Unknown names in the environment are warnings on stderr.
    ///
    /// # Errors
    /// The file cannot be read, has an unknown key, or a value is invalid.
    pub fn load(&self, file: Option<&Path>) -> Result<D::Settings, BadSettings> {
        let prefix = D::ENVIRONMENT_PREFIX;
        let environment = std::env::vars_os();
        let (settings, unknown) = layers::load(file, prefix, environment, &self.given)?;
        for variable in unknown {
            let line = format!(
                "{}: warning: ignoring environment variable {variable}: unknown setting\n",
                D::NAME
            );
            // Logging has not started: its format is a setting. A closed stderr is not an error.
            std::io::stderr().write_all(line.as_bytes()).ok();
        }
        Ok(settings)
    }
}
