//! The layers of the settings of a daemon.

use std::io::Write;
use std::path::Path;

use clap::{Args, Parser};
use serde::{Deserialize, Serialize};

use super::command_line::CommandLine;
use super::*;
use crate::logs::LogFormat;

#[derive(Debug, Clone, PartialEq, Args, Serialize)]
struct Settings {
    #[arg(long, default_value = "eth0")]
    interface: Vec<String>,
    #[arg(long, default_value_t = 262_144, value_parser = within(1, u32::MAX))]
    max_flows: u32,
    #[arg(long, default_value = "32MiB")]
    buffer: Size,
    #[arg(long, default_value = "15s")]
    idle_timeout: Span,
    #[arg(long, default_value = "text")]
    log_format: LogFormat,
    #[arg(long)]
    biflow: bool,
    #[arg(long, default_value = "auto")]
    kubernetes: Mode,
    #[arg(long)]
    node_name: Option<String>,
    #[arg(long)]
    observation_domain: Option<u32>,
    #[arg(long, default_value = "127.0.0.1:9473")]
    admin: ListenAddress,
    #[arg(long, value_parser = family)]
    families: Vec<Family>,
}

#[derive(Debug, Clone, PartialEq, Serialize, clap::ValueEnum)]
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
    limit: Option<u32>,
}

fn family(text: &str) -> Result<Family, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

impl Default for Settings {
    fn default() -> Self {
        defaults()
    }
}

#[derive(Parser, Debug)]
struct Flags {
    #[arg(long)]
    check: bool,
}

impl Daemon for Flags {
    type Settings = Settings;
    const NAME: &'static str = "probe";
    const ENVIRONMENT_PREFIX: &'static str = "KIPFIX_PROBE__";
}

/// The settings of a command line.
fn given(flags: &[&str]) -> Result<layer::Layer, Failure> {
    let arguments = ["probe"].iter().chain(flags);
    let matches = Flags::whole_command().get_matches_from(arguments);
    Ok(CommandLine::<Flags>::of(&matches)?.given)
}

#[derive(Default)]
struct Sources<'a> {
    file: Option<&'a str>,
    environment: &'a [(&'a str, &'a str)],
    flags: &'a [&'a str],
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
        let given = given(self.flags).map_err(|failure| failure.sentence())?;
        layers::load(path, "KIPFIX_PROBE__", environment, &given).map_err(|bad| {
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
        file: Some("max_flows: 1\nbuffer: 1MiB\nidle_timeout: 5s\nnode_name: file\nbiflow: true"),
        environment: &[
            ("KIPFIX_PROBE__MAX_FLOWS", "2"),
            ("KIPFIX_PROBE__BUFFER", "2MiB"),
            ("KIPFIX_PROBE__OBSERVATION_DOMAIN", "7"),
        ],
        flags: &["--max-flows", "3"],
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
fn an_integer_in_the_notation_of_a_float_is_an_integer() {
    let sources = Sources {
        file: Some("max_flows: 1e+06\nfamilies: [{name: x, labels: [], limit: 2e+06}]"),
        ..Sources::default()
    };
    let settings = sources.load().unwrap().0;
    assert_eq!(settings.max_flows, 1_000_000);
    assert_eq!(settings.families[0].limit, Some(2_000_000));
}

#[test]
fn words_for_truth_values_are_text_for_a_setting_with_other_values() {
    let sources = Sources {
        file: Some("kubernetes: off\nbiflow: on\nnode_name: yes"),
        ..Sources::default()
    };
    let settings = sources.load().unwrap().0;
    assert_eq!(settings.kubernetes, Mode::Off);
    assert!(settings.biflow);
    assert_eq!(settings.node_name.as_deref(), Some("yes"));
}

#[test]
fn a_list_takes_a_list_and_another_setting_a_single_value() {
    for (file, reason) in [
        (
            "interface: eth0",
            "invalid interface \"eth0\": must be a list",
        ),
        (
            "max_flows: [1]",
            "invalid max_flows [1]: must be a single value",
        ),
    ] {
        let sources = Sources {
            file: Some(file),
            ..Sources::default()
        };
        let refused = sources.refused();
        assert!(refused.starts_with(reason), "{refused}");
    }
}

#[test]
fn a_switch_that_is_false_overrides_the_other_layers() {
    let cases: [(_, &[&str], _); 6] = [
        (None, &[], true),
        (None, &["--biflow=false"], false),
        (Some("false"), &[], false),
        (Some("false"), &["--biflow"], true),
        (Some("no"), &["--biflow", "on"], true),
        (Some("true"), &["--biflow", "false"], false),
    ];
    for (environment, flags, expected) in cases {
        let variable = environment.map(|value| ("KIPFIX_PROBE__BIFLOW", value));
        let sources = Sources {
            file: Some("biflow: true"),
            environment: variable.as_slice(),
            flags,
        };
        assert_eq!(sources.load().unwrap().0.biflow, expected);
    }
}

#[test]
fn a_list_is_replaced_as_a_whole_by_any_layer() {
    let lists = |file, environment, flags| {
        let sources = Sources {
            file,
            environment,
            flags,
        };
        sources.load().unwrap().0.interface
    };
    let file = Some("interface: [a, b, c]");
    let environment: &[_] = &[("KIPFIX_PROBE__INTERFACE", "ens5, ens6,")];
    assert_eq!(lists(file, &[], &[]), ["a", "b", "c"]);
    assert_eq!(lists(file, environment, &[]), ["ens5", "ens6"]);
    assert_eq!(lists(file, environment, &["--interface=eth9"]), ["eth9"]);
    // A list in JSON, for items with commas. A pattern can begin with a bracket, too.
    type Variables = [(&'static str, &'static str)];
    let cases: [(&Variables, &[&str]); 3] = [
        (
            &[("KIPFIX_PROBE__INTERFACE", r#"["a,b", "c"]"#)],
            &["a,b", "c"],
        ),
        (
            &[("KIPFIX_PROBE__INTERFACE", "[ab]0,[1]")],
            &["[ab]0", "[1]"],
        ),
        (&[("KIPFIX_PROBE__INTERFACE", "[]")], &[]),
    ];
    for (environment, expected) in cases {
        assert_eq!(lists(file, environment, &[]), expected);
    }
    assert!(lists(Some("interface: []"), &[], &[]).is_empty());
    assert!(lists(file, &[("KIPFIX_PROBE__INTERFACE", "")], &[]).is_empty());
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
fn the_error_for_an_unknown_key_has_a_similar_one_or_lists_the_allowed_ones() {
    let refused = Sources {
        file: Some("max_flow: 1"),
        ..Sources::default()
    }
    .refused();
    assert_eq!(
        refused,
        "unknown setting \"max_flow\" in \"FILE\"; similar: max_flows"
    );
    let refused = Sources {
        file: Some("capacity: 1"),
        ..Sources::default()
    }
    .refused();
    assert_eq!(
        refused,
        "unknown setting \"capacity\" in \"FILE\": must be one of admin, biflow, buffer, families, \
         idle_timeout, interface, kubernetes, log_format, max_flows, node_name, observation_domain"
    );
    let refused = Sources {
        file: Some("families: [{name: x, label: [a]}]"),
        ..Sources::default()
    }
    .refused();
    assert_eq!(
        refused,
        "invalid families \"{\\\"label\\\":[\\\"a\\\"],\\\"name\\\":\\\"x\\\"}\": unknown field `label`, \
         expected one of `name`, `labels`, `limit` (from \"FILE\")"
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
        "invalid max_flows \"many\": must be 1–4294967295 (from \"FILE\")"
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
        "invalid log_format \"xml\": must be text or json \
         (from KIPFIX_PROBE__LOG_FORMAT in the environment)"
    );
    assert_eq!(
        environment("KIPFIX_PROBE__KUBERNETES", "never"),
        "invalid kubernetes \"never\": must be auto or off \
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
    let absent = layers::load::<Settings>(
        Some(Path::new("/nowhere/probe.yaml")),
        "KIPFIX_PROBE__",
        std::iter::empty(),
        &layer::Layer::default(),
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
                limit: None,
            },
            Family {
                name: "~".into(),
                labels: vec![],
                limit: Some(7),
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
