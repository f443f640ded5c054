//! Merges the layers of the settings and keeps the origin of each value.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use config::{Config, ConfigError, Source};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::sources::{self, Values};
use crate::exit::BadSettings;

/// Returns the settings, and the environment variables with the prefix that name no setting.
pub(super) fn load<S>(
    file: Option<&Path>,
    env_prefix: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
    flags: &impl Serialize,
) -> Result<(S, Vec<String>), BadSettings>
where
    S: Serialize + DeserializeOwned + Default,
{
    let known = sources::fields(&S::default())?;
    let file = file.map_or_else(|| Ok(Values::new()), |path| sources::file(path, &known))?;
    let (environment, unknown) = sources::environment(env_prefix, environment, &known)?;
    let flags = sources::flags(&sources::fields(flags)?, &known);

    let mut builder = Config::builder();
    let mut origins = BTreeMap::new();
    for layer in [sources::defaults(&known), file, environment, flags] {
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
        BadSettings::new(message(&error, &origins, |setting| {
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

/// For example `max_flows: invalid string "many": must be an integer (from "probe.yaml")`. For an
/// enum, `config` does not list the variants. `refusal` returns the error of that setting alone,
/// which does.
fn message(
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
        } => (key, format!("invalid {unexpected}: must be {expected}")),
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

    /// Serializes like a clap structure.
    #[derive(Default, Serialize)]
    struct Flags {
        config: Option<String>,
        check: bool,
        interface: Vec<String>,
        max_flows: Option<u32>,
        buffer: Option<Size>,
        biflow: Option<bool>,
    }

    #[derive(Default)]
    struct Sources<'a> {
        file: Option<&'a str>,
        environment: &'a [(&'a str, &'a str)],
        flags: Flags,
    }

    impl Sources<'_> {
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
    fn without_any_source_the_defaults_hold() {
        assert_eq!(
            Sources::default().load().unwrap(),
            (Settings::default(), Vec::new())
        );
        for file in ["", "\n# only a comment\n"] {
            let sources = Sources {
                file: Some(file),
                ..Sources::default()
            };
            assert_eq!(sources.load().unwrap().0, Settings::default());
        }
    }

    #[test]
    fn each_layer_overrides_the_one_below() {
        let sources = Sources {
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
        assert_eq!(sources.load().unwrap().0, expected);
    }

    #[test]
    fn a_switch_that_is_false_overrides_the_other_layers() {
        for (environment, flag, expected) in [
            (None, None, true),
            (None, Some(false), false),
            (Some("false"), None, false),
            (Some("false"), Some(true), true),
            (Some("true"), Some(false), false),
        ] {
            let variable = environment.map(|value| ("KIPFIX_PROBE__BIFLOW", value));
            let sources = Sources {
                file: Some("biflow: true"),
                environment: variable.as_slice(),
                flags: Flags {
                    biflow: flag,
                    ..Flags::default()
                },
            };
            assert_eq!(sources.load().unwrap().0.biflow, expected);
        }
    }

    #[test]
    fn a_list_is_replaced_as_a_whole_by_any_layer() {
        let lists = |file, environment, flags: &[&str]| {
            let interface = flags.iter().map(|&name| name.to_owned()).collect();
            let flags = Flags {
                interface,
                ..Flags::default()
            };
            Sources {
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
    fn variables_that_a_service_injects_are_ignored_and_typos_are_reported() {
        let sources = Sources {
            environment: &[
                ("KIPFIX_PROBE_PORT", "tcp://10.96.0.7:4739"),
                ("KIPFIX_PORT", "tcp://10.96.0.7:4739"),
                ("KIPFIX_PROBE_SERVICE_HOST", "10.96.0.7"),
                ("KIPFIX_PROBE__MAX_FLOW", "1"),
                ("PATH", "/bin"),
            ],
            ..Sources::default()
        };
        let unknown = vec!["KIPFIX_PROBE__MAX_FLOW".to_owned()];
        assert_eq!(sources.load().unwrap(), (Settings::default(), unknown));
    }

    #[test]
    fn the_error_for_an_unknown_key_lists_the_allowed_ones() {
        let refused = Sources {
            file: Some("max_flow: 1"),
            ..Sources::default()
        }
        .refused();
        assert_eq!(
            refused,
            "unknown setting \"max_flow\" in \"FILE\": must be one of admin, biflow, buffer, families, \
             idle_timeout, interface, kubernetes, log_format, max_flows, node_name, observation_domain"
        );
        let refused = Sources {
            file: Some("families: [{name: x, label: [y]}]"),
            ..Sources::default()
        }
        .refused();
        assert_eq!(
            refused,
            "families[0]: unknown field `label`, expected `name` or `labels` (from \"FILE\")"
        );
    }

    #[test]
    fn the_error_for_an_invalid_value_has_its_setting_and_its_origin() {
        let file = |text| {
            Sources {
                file: Some(text),
                ..Sources::default()
            }
            .refused()
        };
        let environment = |key, value| {
            Sources {
                environment: &[(key, value)],
                ..Sources::default()
            }
            .refused()
        };
        assert_eq!(
            file("max_flows: many"),
            "max_flows: invalid string \"many\": must be an integer (from \"FILE\")"
        );
        assert_eq!(
            file("idle_timeout: 15"),
            "idle_timeout: invalid duration \"15\": must be numbers with ms, s, m, h or d, such as \
             100ms, 60s, 1h30m (from \"FILE\")"
        );
        assert_eq!(
            environment("KIPFIX_PROBE__BUFFER", "32 potatoes"),
            "buffer: invalid size \"32 potatoes\": must be bytes, or a number with K, M or G (powers \
             of 1024), such as 1400, 64K, 32MiB (from KIPFIX_PROBE__BUFFER in the environment)"
        );
        assert_eq!(
            environment("KIPFIX_PROBE__LOG_FORMAT", "xml"),
            "log_format: invalid log format \"xml\": must be text or json \
             (from KIPFIX_PROBE__LOG_FORMAT in the environment)"
        );
        assert_eq!(
            environment("KIPFIX_PROBE__KUBERNETES", "never"),
            "kubernetes: unknown variant `never`, expected `auto` or `off` \
             (from KIPFIX_PROBE__KUBERNETES in the environment)"
        );
        assert_eq!(
            environment("KIPFIX_PROBE__ADMIN", "localhost"),
            "admin: invalid listen address \"localhost\": must be ADDRESS:PORT, such as \
             127.0.0.1:8080, or [::]:8080 for all addresses (from KIPFIX_PROBE__ADMIN in the \
             environment)"
        );
    }

    #[test]
    fn a_file_that_is_not_a_yaml_map_is_refused() {
        for text in [
            "[1, 2]",
            "just words",
            "a: b: c",
            "a: [",
            "max_flows: 1\nmax_flows: 2",
        ] {
            let refused = Sources {
                file: Some(text),
                ..Sources::default()
            }
            .refused();
            assert!(
                refused.starts_with("invalid config file \"FILE\": must be a YAML map"),
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
            "cannot read the config file \"/nowhere/probe.yaml\": No such file or directory (os error 2)"
        );
    }

    #[test]
    fn the_output_of_check_is_a_file_with_the_same_settings() {
        let settings = Settings {
            interface: vec![
                "eth*".into(),
                "yes".into(),
                "1".into(),
                "a \"b\" \\ #\n\u{7f}\u{85}\u{feff}é".into(),
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
            Sources {
                file: Some(&text),
                ..Sources::default()
            }
            .load()
            .unwrap()
            .0,
            settings,
            "{text}"
        );
    }
}
