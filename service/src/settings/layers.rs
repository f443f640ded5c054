//! Merges the layers of the settings. The flags of the settings parse the values of all layers, so
//! that a value means the same in each of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::{Args, Command};
use config::{Config, Map, Source as _, Value, ValueKind};

use super::flags::{self, is_list};
use super::layer::Layer;
use super::sources;
use crate::exit::BadSettings;
use crate::refusal;

/// Returns the settings, and the environment variables with the prefix that name no setting.
pub(super) fn load<S: Args>(
    file: Option<&Path>,
    prefix: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
    given: &Layer,
) -> Result<(S, Vec<String>), BadSettings> {
    let command = parser::<S>();
    let file = match file {
        Some(path) => sources::file(path, &command)?,
        None => Layer::default(),
    };
    let (environment, unknown) = sources::environment(prefix, environment, &command)?;
    let layers = Config::builder().add_source(file).add_source(environment);
    let layered = layers.add_source(given.clone()).build();
    let layered = layered.and_then(|layered| layered.collect());
    let layered = layered.map_err(BadSettings::new)?;
    let matches = command.try_get_matches_from(arguments(&layered));
    let settings = matches.and_then(|matches| S::from_arg_matches(&matches));
    let settings = settings.map_err(|error| BadSettings::new(message(&error, &layered)))?;
    Ok((settings, unknown))
}

/// Returns the default settings.
#[must_use]
pub fn defaults<S: Args>() -> S {
    let matches = parser::<S>().get_matches_from(Vec::<OsString>::new());
    // It cannot fail: each daemon has a test of its defaults.
    S::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The flags of the settings, where a list may be empty.
fn parser<S: Args>() -> Command {
    let command = flags::command::<S>("settings").no_binary_name(true);
    command.mut_args(|argument| {
        let argument = argument.require_equals(true);
        if is_list(&argument) {
            argument.num_args(0..=1)
        } else {
            argument
        }
    })
}

/// The values as a command line: `--workers=2 --listen=udp://[::]:4739`.
fn arguments(layered: &Map<String, Value>) -> Vec<OsString> {
    let mut arguments = Vec::new();
    // In order of the keys, so that always the same one of several mistakes is reported.
    for (key, value) in layered.iter().collect::<BTreeMap<_, _>>() {
        let flag = format!("--{}", key.replace('_', "-"));
        match &value.kind {
            ValueKind::Array(values) if values.is_empty() => arguments.push(flag.into()),
            ValueKind::Array(values) => {
                arguments.extend(values.iter().map(|value| format!("{flag}={value}").into()));
            }
            _ => {}
        }
    }
    arguments
}

/// For example `invalid max_flows "many": must be 1–4294967295 (from "probe.yaml")`.
fn message(error: &clap::Error, layered: &Map<String, Value>) -> String {
    let mut from = String::new();
    let sentence = refusal::sentence(error, |flag| {
        let key = flag.replace('-', "_");
        if let Some(origin) = layered.get(&key).and_then(Value::origin) {
            from = format!(" (from {origin})");
        }
        key
    });
    sentence.unwrap_or_else(|| error.to_string()) + &from
}
