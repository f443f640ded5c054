//! The layers of the settings, each value with the place it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::BadSettings;

/// Settings by their key, each knowing where it came from.
type Values = Map<String, Value>;

/// The settings, and the names of environment variables with our prefix that are none.
pub(super) fn load<S>(
    file: Option<&Path>,
    env_prefix: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
    flags: &impl Serialize,
) -> Result<(S, Vec<String>), BadSettings>
where
    S: Serialize + DeserializeOwned + Default,
{
    let known = fields(&S::default())?;
    let file = file.map_or_else(|| Ok(Values::new()), |path| from_file(path, &known))?;
    let (environment, unknown) = from_environment(env_prefix, environment, &known)?;
    let flags = from_flags(&fields(flags)?, &known);

    let defaults = known
        .iter()
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect();
    let mut builder = Config::builder();
    let mut origins = BTreeMap::new();
    for layer in [defaults, file, environment, flags] {
        for (key, value) in &layer {
            if let Some(origin) = value.origin() {
                origins.insert(key.clone(), origin.to_owned());
            }
        }
        builder = builder.add_source(Layer(layer));
    }
    let layered = builder
        .build()
        .map_err(|error| BadSettings::new(error.to_string()))?;
    let settings = layered.clone().try_deserialize().map_err(|error| {
        BadSettings::new(sentence(&error, &origins, |setting| {
            let mut only_this = known.clone();
            only_this.insert(setting.to_owned(), Json::String(layered.get(setting).ok()?));
            serde_json::from_value::<S>(Json::Object(only_this)).err()
        }))
    })?;
    Ok((settings, unknown))
}

#[derive(Clone, Debug)]
struct Layer(Values);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Values, ConfigError> {
        Ok(self.0.clone())
    }
}

fn fields(settings: &impl Serialize) -> Result<serde_json::Map<String, Json>, BadSettings> {
    match serde_json::to_value(settings) {
        Ok(Json::Object(fields)) => Ok(fields),
        Ok(_) => Err(BadSettings::new(
            "settings are not a map of names to values",
        )),
        Err(error) => Err(BadSettings::new(format!(
            "settings cannot be layered: {error}"
        ))),
    }
}

fn from_file(path: &Path, known: &serde_json::Map<String, Json>) -> Result<Values, BadSettings> {
    let name = path.display().to_string();
    // Read here and not by the crate, which only opens regular files: /dev/stdin is fine as well.
    let text = std::fs::read_to_string(path)
        .map_err(|error| BadSettings::new(format!("config: {name:?} cannot be read: {error}")))?;
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(Values::new());
    }
    let values = File::from_str(&text, FileFormat::Yaml)
        .collect()
        .map_err(|error| {
            BadSettings::new(format!(
                "config: {name:?} is no YAML map of settings: {error}"
            ))
        })?;
    if let Some(key) = values.keys().find(|key| !known.contains_key(*key)) {
        let allowed = known
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        return Err(BadSettings::new(format!(
            "unknown setting {key:?} in {name:?}: allowed are {allowed}"
        )));
    }
    Ok(values
        .into_iter()
        .map(|(key, value)| (key, Value::new(Some(&format!("{name:?}")), value.kind)))
        .collect())
}

fn from_environment(
    prefix: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
    known: &serde_json::Map<String, Json>,
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
                "{variable} in the environment is no UTF-8: {value:?}"
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

fn from_flags(
    flags: &serde_json::Map<String, Json>,
    known: &serde_json::Map<String, Json>,
) -> Values {
    flags
        .iter()
        .filter(|(key, _)| known.contains_key(*key))
        .filter(|(_, value)| match value {
            Json::Null | Json::Bool(false) => false,
            Json::Array(items) => !items.is_empty(),
            _ => true,
        })
        .map(|(key, value)| {
            let origin = format!("the flag --{}", key.replace('_', "-"));
            (key.clone(), Value::new(Some(&origin), plain(value).kind))
        })
        .collect()
}

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

/// `max_flows: "many" is not allowed, it takes an integer (from "probe.yaml")`. Of an enum, this
/// crate does not say what is allowed; `refusal` of that one setting does.
fn sentence(
    error: &ConfigError,
    origins: &BTreeMap<String, String>,
    refusal: impl Fn(&str) -> Option<serde_json::Error>,
) -> String {
    let (key, reason) = match error {
        ConfigError::Type {
            key: Some(key),
            unexpected,
            expected,
            ..
        } => (
            key,
            format!("{unexpected} is not allowed, it takes {expected}"),
        ),
        ConfigError::At {
            key: Some(key),
            error,
            ..
        } => (
            key,
            refusal(key).map_or_else(|| error.to_string(), |refused| refused.to_string()),
        ),
        other => return other.to_string(),
    };
    let setting = key.split(['.', '[']).next().unwrap_or(key);
    origins.get(setting).map_or_else(
        || format!("{key}: {reason}"),
        |origin| format!("{key}: {reason} (from {origin})"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde::Deserialize;

    use super::super::{ListenAddress, Size, Span, yaml};
    use super::*;
    use crate::logs::LogFormat;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        interface: Vec<String>,
        max_flows: u32,
        buffer: Size,
        idle_timeout: Span,
        log_format: LogFormat,
        biflow: bool,
        kubernetes: Mode,
        node_name: Option<String>,
        observation_domain: Option<u32>,
        admin: ListenAddress,
        families: Vec<Family>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Auto,
        Off,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Family {
        name: String,
        labels: Vec<String>,
    }

    impl Default for Settings {
        fn default() -> Self {
            Self {
                interface: vec!["eth0".into()],
                max_flows: 262_144,
                buffer: Size::from_bytes(32 << 20),
                idle_timeout: Span::from_secs(15),
                log_format: LogFormat::Text,
                biflow: false,
                kubernetes: Mode::Auto,
                node_name: None,
                observation_domain: None,
                admin: "127.0.0.1:9473".parse().unwrap(),
                families: Vec::new(),
            }
        }
    }

    /// As a clap struct would serialize.
    #[derive(Default, Serialize)]
    struct Flags {
        config: Option<String>,
        check: bool,
        interface: Vec<String>,
        max_flows: Option<u32>,
        buffer: Option<Size>,
        biflow: bool,
    }

    #[derive(Default)]
    struct Given<'a> {
        file: Option<&'a str>,
        environment: &'a [(&'a str, &'a str)],
        flags: Flags,
    }

    impl Given<'_> {
        fn load(&self) -> Result<(Settings, Vec<String>), String> {
            let file = self.file.map(|text| {
                let mut file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
                file.write_all(text.as_bytes()).unwrap();
                file
            });
            let path = file.as_ref().map(|file| file.path());
            let environment = self.environment.iter().map(|(k, v)| (k.into(), v.into()));
            load(path, "KIPFIX_PROBE__", environment, &self.flags).map_err(|bad| {
                let name = path.map_or_else(String::new, |path| path.display().to_string());
                if name.is_empty() {
                    bad.to_string()
                } else {
                    bad.to_string().replace(&name, "FILE")
                }
            })
        }

        fn refused(&self) -> String {
            self.load().unwrap_err()
        }
    }

    #[test]
    fn nothing_given_is_the_defaults() {
        assert_eq!(
            Given::default().load().unwrap(),
            (Settings::default(), Vec::new())
        );
        for file in ["", "\n# only a comment\n"] {
            let given = Given {
                file: Some(file),
                ..Given::default()
            };
            assert_eq!(given.load().unwrap().0, Settings::default());
        }
    }

    #[test]
    fn each_layer_wins_over_the_one_below() {
        let given = Given {
            file: Some(
                "max_flows: 1\nbuffer: 1MiB\nidle_timeout: 5s\nnode_name: file\nbiflow: true",
            ),
            environment: &[
                ("KIPFIX_PROBE__MAX_FLOWS", "2"),
                ("KIPFIX_PROBE__BUFFER", "2MiB"),
                ("KIPFIX_PROBE__OBSERVATION_DOMAIN", "7"),
            ],
            flags: Flags {
                max_flows: Some(3),
                ..Flags::default()
            },
        };
        let expected = Settings {
            max_flows: 3,
            buffer: Size::from_bytes(2 << 20),
            idle_timeout: Span::from_secs(5),
            node_name: Some("file".into()),
            observation_domain: Some(7),
            biflow: true,
            ..Settings::default()
        };
        assert_eq!(given.load().unwrap().0, expected);
    }

    #[test]
    fn a_list_is_replaced_as_a_whole_by_any_layer() {
        let lists = |file, environment, flags: &[&str]| {
            let interface = flags.iter().map(|&name| name.to_owned()).collect();
            let flags = Flags {
                interface,
                ..Flags::default()
            };
            Given {
                file,
                environment,
                flags,
            }
            .load()
            .unwrap()
            .0
            .interface
        };
        let file = Some("interface: [a, b, c]");
        let environment: &[_] = &[("KIPFIX_PROBE__INTERFACE", "ens5, ens6,")];
        assert_eq!(lists(file, &[], &[]), ["a", "b", "c"]);
        assert_eq!(lists(file, environment, &[]), ["ens5", "ens6"]);
        assert_eq!(lists(file, environment, &["eth9"]), ["eth9"]);
        assert!(lists(Some("interface: []"), &[], &[]).is_empty());
    }

    #[test]
    fn variables_that_a_service_injects_are_left_alone_and_typos_are_reported() {
        let given = Given {
            environment: &[
                ("KIPFIX_PROBE_PORT", "tcp://10.96.0.7:4739"),
                ("KIPFIX_PORT", "tcp://10.96.0.7:4739"),
                ("KIPFIX_PROBE_SERVICE_HOST", "10.96.0.7"),
                ("KIPFIX_PROBE__MAX_FLOW", "1"),
                ("PATH", "/bin"),
            ],
            ..Given::default()
        };
        let unknown = vec!["KIPFIX_PROBE__MAX_FLOW".to_owned()];
        assert_eq!(given.load().unwrap(), (Settings::default(), unknown));
    }

    #[test]
    fn an_unknown_key_in_the_file_is_named_with_what_is_allowed() {
        let refused = Given {
            file: Some("max_flow: 1"),
            ..Given::default()
        }
        .refused();
        assert_eq!(
            refused,
            "unknown setting \"max_flow\" in \"FILE\": allowed are admin, biflow, buffer, families, \
             idle_timeout, interface, kubernetes, log_format, max_flows, node_name, observation_domain"
        );
        let refused = Given {
            file: Some("families: [{name: x, label: [y]}]"),
            ..Given::default()
        }
        .refused();
        assert_eq!(
            refused,
            "families[0]: unknown field `label`, expected `name` or `labels` (from \"FILE\")"
        );
    }

    #[test]
    fn a_value_that_is_not_allowed_is_named_with_its_setting_and_its_place() {
        let file = |text| {
            Given {
                file: Some(text),
                ..Given::default()
            }
            .refused()
        };
        let environment = |key, value| {
            Given {
                environment: &[(key, value)],
                ..Given::default()
            }
            .refused()
        };
        assert_eq!(
            file("max_flows: many"),
            "max_flows: string \"many\" is not allowed, it takes an integer (from \"FILE\")"
        );
        assert_eq!(
            file("idle_timeout: 15"),
            "idle_timeout: \"15\" is no duration: allowed are numbers with ms, s, m, h or d, such as \
             100ms, 60s, 1h30m (from \"FILE\")"
        );
        assert_eq!(
            environment("KIPFIX_PROBE__BUFFER", "32 potatoes"),
            "buffer: \"32 potatoes\" is no size: allowed are bytes, or a number with K, M or G \
             (powers of 1024), such as 1400, 64K, 32MiB (from KIPFIX_PROBE__BUFFER in the environment)"
        );
        assert_eq!(
            environment("KIPFIX_PROBE__LOG_FORMAT", "xml"),
            "log_format: \"xml\" is no log format: allowed are text, json \
             (from KIPFIX_PROBE__LOG_FORMAT in the environment)"
        );
        assert_eq!(
            environment("KIPFIX_PROBE__KUBERNETES", "never"),
            "kubernetes: unknown variant `never`, expected `auto` or `off` \
             (from KIPFIX_PROBE__KUBERNETES in the environment)"
        );
        assert_eq!(
            environment("KIPFIX_PROBE__ADMIN", "localhost"),
            "admin: \"localhost\" is no address to listen on: allowed is ADDRESS:PORT, such as \
             127.0.0.1:8080, [::]:8080 for all (from KIPFIX_PROBE__ADMIN in the environment)"
        );
    }

    #[test]
    fn a_file_that_is_no_yaml_map_is_refused() {
        for text in [
            "[1, 2]",
            "just words",
            "a: b: c",
            "a: [",
            "max_flows: 1\nmax_flows: 2",
        ] {
            let refused = Given {
                file: Some(text),
                ..Given::default()
            }
            .refused();
            assert!(
                refused.starts_with("config: \"FILE\" is no YAML map"),
                "{text:?}: {refused}"
            );
        }
        let absent = load::<Settings>(
            Some(Path::new("/nowhere/probe.yaml")),
            "KIPFIX_PROBE__",
            std::iter::empty(),
            &Flags::default(),
        );
        assert_eq!(
            absent.unwrap_err().to_string(),
            "config: \"/nowhere/probe.yaml\" cannot be read: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn what_check_prints_is_a_file_with_the_same_settings() {
        let settings = Settings {
            interface: vec![
                "eth*".into(),
                "yes".into(),
                "1".into(),
                "a \"b\" \\ #\n\u{7f}é".into(),
            ],
            node_name: Some("null".into()),
            families: vec![
                Family {
                    name: "bytes: {all}".into(),
                    labels: vec!["a".into(), "b".into()],
                },
                Family {
                    name: "~".into(),
                    labels: vec![],
                },
            ],
            ..Settings::default()
        };
        let text = yaml::text(&settings).unwrap();
        assert_eq!(
            Given {
                file: Some(&text),
                ..Given::default()
            }
            .load()
            .unwrap()
            .0,
            settings,
            "{text}"
        );
    }
}
