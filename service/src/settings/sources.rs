//! The layers of the settings as maps: defaults, file, environment, flags.

use std::ffi::OsString;
use std::path::Path;

use config::{Map, Value, ValueKind};
use serde::Serialize;
use serde_json::Value as Json;

use crate::exit::BadSettings;

/// Settings by their key, each with its origin.
pub(super) type Values = Map<String, Value>;

/// A serialized settings structure.
pub(super) type Fields = serde_json::Map<String, Json>;

/// Serializes a settings structure or a flags structure to a map.
pub(super) fn fields(settings: &impl Serialize) -> Result<Fields, BadSettings> {
    match serde_json::to_value(settings) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(BadSettings::new("invalid settings: must be a map")),
        Err(error) => Err(BadSettings::new(format!("invalid settings: {error}"))),
    }
}

/// The default values. They have no origin.
pub(super) fn defaults(known: &Fields) -> Values {
    let values = known.iter();
    values
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect()
}

/// The values of a YAML file.
pub(super) fn file(path: &Path, known: &Fields) -> Result<Values, BadSettings> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        BadSettings::new(format!("cannot read the config file {name:?}: {error}"))
    })?;
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(blank) {
        return Ok(Values::new());
    }
    let values: Fields = serde_saphyr::from_str(&text).map_err(|error| {
        let error = error.without_snippet();
        BadSettings::new(format!(
            "invalid config file {name:?}: must be a YAML map of settings: {error}"
        ))
    })?;
    if let Some(key) = values.keys().find(|key| !known.contains_key(*key)) {
        let allowed = known.keys().map(String::as_str).collect::<Vec<_>>();
        let allowed = allowed.join(", ");
        return Err(BadSettings::new(format!(
            "unknown setting {key:?} in {name:?}: must be one of {allowed}"
        )));
    }
    let origin = format!("{name:?}");
    let values = values.into_iter();
    Ok(values
        .map(|(key, value)| (key, Value::new(Some(&origin), plain(&value).kind)))
        .collect())
}

/// The values of environment variables with the prefix, and the variables that name no setting.
pub(super) fn environment(
    prefix: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
    known: &Fields,
) -> Result<(Values, Vec<String>), BadSettings> {
    let (mut values, mut unknown) = (Values::new(), Vec::new());
    for (variable, value) in environment {
        let Some(variable) = variable.to_str().filter(|name| name.starts_with(prefix)) else {
            continue;
        };
        let key = variable
            .strip_prefix(prefix)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let Some(default) = known.get(&key) else {
            unknown.push(variable.to_owned());
            continue;
        };
        let value = value.into_string().map_err(|value| {
            BadSettings::new(format!(
                "invalid environment variable {variable}={value:?}: must be UTF-8"
            ))
        })?;
        let origin = format!("{variable} in the environment");
        let kind = if default.is_array() {
            let items = value
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            ValueKind::Array(items.map(|item| Value::new(Some(&origin), item)).collect())
        } else {
            ValueKind::String(value)
        };
        values.insert(key, Value::new(Some(&origin), kind));
    }
    unknown.sort();
    Ok((values, unknown))
}

/// The values of the flags that are set.
pub(super) fn flags(flags: &Fields, known: &Fields) -> Values {
    flags
        .iter()
        .filter(|(key, _)| known.contains_key(*key))
        .filter(|(_, value)| match value {
            Json::Null => false,
            Json::Array(items) => !items.is_empty(),
            _ => true,
        })
        .map(|(key, value)| {
            let origin = format!("the flag --{}", key.replace('_', "-"));
            (key.clone(), Value::new(Some(&origin), plain(value).kind))
        })
        .collect()
}

/// Converts a value, without an origin.
fn plain(value: &Json) -> Value {
    let kind = match value {
        Json::Null => ValueKind::Nil,
        Json::Bool(value) => ValueKind::Boolean(*value),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => ValueKind::U64(value),
            (None, Some(value)) => ValueKind::I64(value),
            (None, None) => ValueKind::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => ValueKind::Array(items.iter().map(plain).collect()),
        Json::Object(fields) => ValueKind::Table(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect(),
        ),
    };
    Value::new(None, kind)
}
