//! The layers of the settings: file and environment.

use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, Command};
use serde_json::Value as Json;

use super::flags::is_list;
use super::layer::Layer;
use crate::exit::BadSettings;
use crate::similar::{hint, similar};

/// The argument of a setting.
fn find<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|argument| argument.get_id() == key)
}

/// The values of a YAML file.
pub(super) fn file(path: &Path, command: &Command) -> Result<Layer, BadSettings> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        BadSettings::new(format!("cannot read the config file {name:?}: {error}"))
    })?;
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(blank) {
        return Ok(Layer::default());
    }
    // Words such as off and on stay text: their setting knows what they mean.
    let options = serde_saphyr::options! { strict_booleans: true };
    let settings: serde_json::Map<String, Json> =
        serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
            let error = error.without_snippet();
            BadSettings::new(format!(
                "invalid config file {name:?}: must be a YAML map of settings: {error}"
            ))
        })?;
    let mut layer = Layer::default();
    for (key, value) in settings {
        let Some(argument) = find(command, &key) else {
            let keys = keys(command);
            let end = match similar(&key, keys.iter().copied()) {
                Some(similar) => hint(similar),
                None => format!(": must be one of {}", keys.join(", ")),
            };
            return Err(BadSettings::new(format!(
                "unknown setting {key:?} in {name:?}{end}"
            )));
        };
        let values = match value {
            // As `--check` prints an optional setting without a value.
            Json::Null => continue,
            Json::Array(items) if is_list(argument) => items.into_iter().map(text_of).collect(),
            value if is_list(argument) || value.is_array() => {
                let form = if is_list(argument) {
                    "a list"
                } else {
                    "a single value"
                };
                return Err(BadSettings::new(format!(
                    "invalid {key} {value}: must be {form} (from {name:?})"
                )));
            }
            value => vec![text_of(value)],
        };
        layer.insert(&key, values, format!("{name:?}"));
    }
    Ok(layer)
}

/// The keys of the settings.
fn keys(command: &Command) -> Vec<&str> {
    let keys = command
        .get_arguments()
        .map(|argument| argument.get_id().as_str());
    let mut keys: Vec<&str> = keys.filter(|key| *key != "help").collect();
    keys.sort_unstable();
    keys
}

/// A value as its flag takes it. A map is JSON.
fn text_of(value: Json) -> String {
    match with_integers(value) {
        Json::String(text) => text,
        value => value.to_string(),
    }
}

/// Tools that write YAML from JSON write large integers as 1e+06.
fn with_integers(value: Json) -> Json {
    match value {
        Json::Number(number) if number.is_f64() => {
            let integer = number
                .as_f64()
                .and_then(|float| float.to_string().parse().ok());
            integer.map_or(Json::Number(number), |integer: u64| integer.into())
        }
        Json::Array(items) => items.into_iter().map(with_integers).collect(),
        Json::Object(members) => {
            let members = members.into_iter();
            members
                .map(|(key, value)| (key, with_integers(value)))
                .collect()
        }
        value => value,
    }
}

/// The values of environment variables with the prefix, and the variables that name no setting.
pub(super) fn environment(
    prefix: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
    command: &Command,
) -> Result<(Layer, Vec<String>), BadSettings> {
    let (mut layer, mut unknown) = (Layer::default(), Vec::new());
    for (variable, value) in environment {
        let Some(variable) = variable.to_str().filter(|name| name.starts_with(prefix)) else {
            continue;
        };
        let key = variable.strip_prefix(prefix).unwrap_or_default();
        let key = key.to_ascii_lowercase();
        let Some(argument) = find(command, &key) else {
            unknown.push(variable.to_owned());
            continue;
        };
        let value = value.into_string().map_err(|value| {
            BadSettings::new(format!(
                "invalid environment variable {variable}={value:?}: must be UTF-8"
            ))
        })?;
        let values = if is_list(argument) {
            items(&value)
        } else {
            vec![value]
        };
        layer.insert(&key, values, format!("{variable} in the environment"));
    }
    unknown.sort();
    Ok((layer, unknown))
}

/// The items of a list in the environment: a list in JSON, or separated by commas.
fn items(value: &str) -> Vec<String> {
    // A pattern can begin with a bracket, too.
    if let Ok(Json::Array(items)) = serde_json::from_str(value)
        && items
            .iter()
            .all(|item| item.is_string() || item.is_object())
    {
        return items.into_iter().map(text_of).collect();
    }
    let mut depth = 0usize;
    // The commas of a JSON object do not separate items.
    let items = value.split(|character| {
        match character {
            '{' => depth = depth.saturating_add(1),
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    let items = items.map(str::trim);
    let items = items.filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}
