//! Every flag of both daemons with every kind of value: it is in force, or it is refused by name.
//! The flag, the environment and the file agree.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "test code"
)]

use std::collections::BTreeMap;
use std::process::{Command, Output};

use clap::Arg;
use kipfix_service::settings::{Daemon as _, Size, Span};
use kipfix_tests::program;
use serde_json::Value as Json;

const SWITCHES: &[&str] = &["true", "false", "yes", "off", "1", "TRUE", "maybe", ""];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "17",
    "100",
    "70000",
    "4294967296",
    "18446744073709551616",
    "-1",
    "1.5",
    "many",
    "",
];
const SIZES: &[&str] = &[
    "0", "4096", "64K", "2MiB", "1G", "9999999G", "-1", "1.5M", "much", "",
];
const SPANS: &[&str] = &[
    "0s", "1ms", "7s", "5m", "1h30m", "2d", "400d", "7", "-1s", "soon", "",
];
const FILES: &[&str] = &["/nowhere/some.file", "relative.file", "a b", ""];
const LABELS: &[&str] = &["team", "example.com/team", "a b", ""];
const DIRECTIONS: &[&str] = &["both", "ingress", "egress", "out", ""];
const TARGETS: &[&str] = &[
    "udp://192.0.2.1:4739",
    "udp://[2001:db8::1]:4739",
    "udp://collector.example:4739",
    "udp://192.0.2.1",
    "udp://192.0.2.1:70000",
    "192.0.2.1:4739",
    "http://192.0.2.1:4739",
    "",
];
const ADDRESSES: &[&str] = &[
    "127.0.0.1:8081",
    "[::1]:8081",
    "0.0.0.0:0",
    "127.0.0.1",
    "localhost:80",
    ":8080",
    "127.0.0.1:70000",
    "",
];

/// Values of a flag, some of them invalid.
fn samples(argument: &Arg) -> &'static [&'static str] {
    match argument.get_long().unwrap_or_default() {
        "interface" => &["lo", "eth*", "eth[0-9]+", "eth[", ""],
        "filter" => &["tcp port 80", "tcp prot 80", ""],
        "sampling" => &["1:1", "1:100", "hash:10", "hash:0", "1:0", "2:3", "100", ""],
        "export" | "replicate" => TARGETS,
        "forward" => &[
            "udp://192.0.2.1:4739",
            "kafka://broker/topic?records-per-message=1",
            "kafka://broker/topic?records-per-message=10000",
            "kafka://broker/topic?records-per-message=0",
            "kafka://broker/topic?records-per-message=10001",
            "kafka://broker/topic?records-per-message=1.5",
            "kafka://broker/topic?records-per-message=",
            "udp://collector.example:4739",
            "udp://192.0.2.1:70000",
            "http://192.0.2.1:4739",
            "",
        ],
        "tunnel-port" => &[
            "vxlan=8473",
            "geneve=none",
            "fou=5555",
            "vxlan=0",
            "vxlan",
            "sctp=1",
            "",
        ],
        "node-name" | "cluster-name" => &["a", "node-1.example", "a\"b", ""],
        "admin" | "http" => ADDRESSES,
        "listen" => &[
            "udp://127.0.0.1:4000",
            "udp://[::]:4000",
            "tcp://127.0.0.1:4000",
            "udp://127.0.0.1",
            "sctp://127.0.0.1:4000",
            "",
        ],
        "allow-exporters" => &["10.0.0.0/8", "10.1.2.3", "nodes", "pods", "10.0.0.0/33", ""],
        "kubernetes" => &["auto", "off", "/nowhere/kubeconfig", ""],
        "tunnel-cidr" => &["10.0.0.0/8", "fd00::/8", "10.0.0.0/33", "10.0.0.1", ""],
        "cidr" => &[
            "192.0.2.0/24=office",
            "192.0.2.0/24",
            "192.0.2.0/24=",
            "=a",
            "",
        ],
        "node-pool-labels" | "namespace-label" | "workload-labels" | "pod-labels"
        | "namespace-labels" => LABELS,
        "probe-selector" => &["app=probe", "app=probe,tier=x", "app", "=x", ""],
        "flow-log" => &[
            "stdout:",
            "file:/nowhere/flows.json",
            "file:/nowhere/flows.json?rotate-size=1M&keep=3",
            "file:/nowhere/flows.json?keep=3",
            "stderr:",
            "file:",
            "",
        ],
        "forward-records" | "flow-log-records" => &["counted", "all", "none", ""],
        "flow-log-format" => &["json", "logfmt", "kubezonnet", "xml", ""],
        "flow-log-fields" => &["octetDeltaCount", "32473:15", "a b", "a\"b", ""],
        "flow-log-filter" => &[
            "src.namespace == \"shop\" && port in [53, 443]",
            "port == http",
            "tcp_end == \"reset\"",
            "tcp_end == \"ended\"",
            "",
        ],
        "metrics" => &[
            r#"{"name":"example","help":"Octets.","value":"bytes","labels":["src.namespace"]}"#,
            r#"{"name":"example"}"#,
            "bytes",
            "",
        ],
        "preset" => &["workloads", "external", "pods", ""],
        "flow-direction" | "node-flow-direction" => DIRECTIONS,
        "translations" | "names" => &["auto", "off", "on", ""],
        "host-wildcard" => &[
            "*.example.com",
            "*.a.b.example",
            "example.com",
            "*.",
            "*",
            "",
        ],
        "probe-namespace" => &["kipfix", "a b", ""],
        "history" => &[
            "ring",
            "prometheus=http://127.0.0.1:9090",
            "clickhouse=http://127.0.0.1:8123/flows",
            "prometheus=",
            "",
        ],
        "history-rings" => &["10s/15m", "1m/6h", "10s", "15m/10s", ""],
        "log-format" => &["text", "json", "xml", ""],
        _ => by_kind(argument),
    }
}

fn by_kind(argument: &Arg) -> &'static [&'static str] {
    let kinds = argument.get_value_names().unwrap_or_default();
    match kinds.first().map(clap::builder::Str::as_str) {
        None | Some("BOOL" | "true|false") => SWITCHES,
        Some("N" | "OCTETS" | "PERCENT") => NUMBERS,
        Some("SIZE") => SIZES,
        Some("DURATION") => SPANS,
        Some("FILE") => FILES,
        kind => panic!("{:?} has no samples of {kind:?}", argument.get_long()),
    }
}

/// Flags that another one requires.
fn context(flag: &str) -> &'static [&'static str] {
    match flag {
        "explain" | "print-metrics" => &["--read=-"],
        "compare" => &["--read=-", "--explain"],
        "flow-log-fields" | "flow-log-filter" => &["--flow-log=stdout:"],
        "observer-timeout" => &["--deleted-pods-kept=2h"],
        "admin-tls-cert" => &["--admin-tls-key=key.pem"],
        "admin-tls-key" => &["--admin-tls-cert=cert.pem"],
        "admin-client-ca" => &["--admin-tls-cert=cert.pem", "--admin-tls-key=key.pem"],
        "http-tls-cert" => &["--http-tls-key=key.pem"],
        "http-tls-key" => &["--http-tls-cert=cert.pem"],
        "http-client-ca" => &["--http-tls-cert=cert.pem", "--http-tls-key=key.pem"],
        _ => &[],
    }
}

struct Daemon {
    make: fn() -> Command,
    prefix: &'static str,
    flags: clap::Command,
}

fn daemons() -> [Daemon; 2] {
    let built = |mut command: clap::Command| {
        command.build();
        command
    };
    [
        Daemon {
            make: program::probe,
            prefix: "KIPFIX_PROBE__",
            flags: built(kipfix_probe::settings::Flags::whole_command()),
        },
        Daemon {
            make: program::collector,
            prefix: "KIPFIX_COLLECTOR__",
            flags: built(kipfix_collector::settings::Flags::whole_command()),
        },
    ]
}

/// A value, and where it comes from.
#[derive(Clone, Copy, Debug)]
enum Layer<'a> {
    Flag(&'a str),
    Environment(&'a str),
    File(&'a str),
}

/// A setting of a daemon.
struct Setting<'a> {
    daemon: &'a Daemon,
    flag: String,
    is_list: bool,
}

impl Setting<'_> {
    fn key(&self) -> String {
        self.flag.replace('-', "_")
    }

    /// The effective value, or the refusal.
    fn check(&self, layers: &[Layer<'_>]) -> Result<Json, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = (self.daemon.make)();
        command.arg("--check").args(context(&self.flag));
        command.env("NODE_NAME", "from-the-environment");
        command.env_remove("KIPFIX_COLLECTOR__SERIES_BIRTH");
        for layer in layers {
            match layer {
                Layer::Flag(value) => {
                    command.arg(format!("--{}={value}", self.flag));
                }
                Layer::Environment(value) => {
                    let variable = self.daemon.prefix.to_owned() + &self.key().to_uppercase();
                    command.env(variable, value);
                }
                Layer::File(value) => {
                    let path = folder.path().join("settings.yaml");
                    std::fs::write(&path, self.line(value)).unwrap();
                    command.arg("--config").arg(path);
                }
            }
        }
        self.effective(&program::ended(&mut command))
    }

    /// The setting in a file: a number or a truth value without quotes.
    fn line(&self, value: &str) -> String {
        let is_plain = value.parse::<u64>().is_ok() || value.parse::<bool>().is_ok();
        let quoted = serde_json::to_string(value).unwrap();
        let value = if is_plain { value.to_owned() } else { quoted };
        let value = if self.is_list {
            format!("[{value}]")
        } else {
            value
        };
        format!("{}: {value}\n", self.key())
    }

    fn effective(&self, output: &Output) -> Result<Json, String> {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            let text = String::from_utf8(output.stdout.clone()).unwrap();
            let settings: BTreeMap<String, Json> = serde_saphyr::from_str(&text).unwrap();
            return Ok(settings[&self.key()].clone());
        }
        assert_eq!(output.status.code(), Some(64), "--{}: {stderr}", self.flag);
        Err(stderr)
    }
}

/// The truth value of a word.
fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// True if only some layers accept a value: an empty one is the empty list in the environment.
fn depends_on_layer(value: &str, setting: &Setting<'_>) -> bool {
    value.is_empty() && setting.is_list
}

/// True if the effective value is what was given.
fn is_same(given: &str, effective: &Json) -> bool {
    match effective {
        Json::Bool(value) => truth(given) == Some(*value),
        Json::Number(value) => given.parse().ok() == value.as_u64(),
        Json::Array(items) => match items.as_slice() {
            [] => given.is_empty(),
            [item] => is_same(given, item),
            _ => false,
        },
        Json::String(text) => {
            let equal_spans = || Some(given.parse::<Span>().ok()? == text.parse().ok()?);
            let equal_sizes = || Some(given.parse::<Size>().ok()? == text.parse().ok()?);
            let is_host = format!("{given}/32") == *text;
            text == given || is_host || equal_spans() == Some(true) || equal_sizes() == Some(true)
        }
        Json::Null => given.is_empty(),
        Json::Object(members) => {
            let given: Json = serde_json::from_str(given).unwrap_or_default();
            let Json::Object(given) = given else {
                return false;
            };
            given
                .iter()
                .all(|(name, value)| members.get(name) == Some(value))
        }
    }
}

/// The settings of a daemon, each with its values.
fn each(daemon: &Daemon, mut test: impl FnMut(&Setting<'_>, &[&str])) {
    let mut settings = 0;
    for argument in daemon.flags.get_arguments() {
        let flag = argument.get_long().unwrap_or_default();
        if matches!(flag, "config" | "check" | "help" | "version") {
            continue;
        }
        settings += 1;
        let setting = Setting {
            daemon,
            flag: flag.to_owned(),
            is_list: matches!(argument.get_action(), clap::ArgAction::Append),
        };
        test(&setting, samples(argument));
    }
    assert!(settings > 20, "{settings}");
}

#[test]
fn a_value_of_any_layer_is_in_force_or_is_refused_by_name() {
    let mut wrong = Vec::new();
    for daemon in &daemons() {
        each(daemon, |setting, values| {
            let default = setting.check(&[]);
            let mut changed = false;
            for value in values {
                let layers = [
                    Layer::Flag(value),
                    Layer::Environment(value),
                    Layer::File(value),
                ];
                let results = layers.map(|layer| setting.check(&[layer]));
                for (layer, result) in layers.iter().zip(&results) {
                    match result {
                        Ok(effective) if is_same(value, effective) => {
                            changed |= default.as_ref() != Ok(effective);
                        }
                        Ok(effective) => {
                            wrong.push(format!("--{}: {layer:?} is {effective}", setting.flag));
                        }
                        Err(refusal) => {
                            let variable = setting.key().to_uppercase();
                            let flag = format!("--{}", setting.flag);
                            let names = [flag, setting.key(), variable];
                            if !names.iter().any(|name| refusal.contains(name.as_str())) {
                                wrong.push(format!("{layer:?} of --{}: {refusal}", setting.flag));
                            }
                        }
                    }
                }
                let is_split =
                    results.iter().any(Result::is_ok) && results.iter().any(Result::is_err);
                if is_split && !depends_on_layer(value, setting) {
                    let accepted = results.map(|result| result.is_ok());
                    wrong.push(format!(
                        "--{}={value:?}: accepted by flag, environment, file: {accepted:?}",
                        setting.flag
                    ));
                }
            }
            if !changed {
                wrong.push(format!("--{}: no value changes it", setting.flag));
            }
        });
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_flag_overrides_the_environment_and_that_the_file_also_with_the_default_value() {
    for daemon in &daemons() {
        each(daemon, |setting, values| {
            let accepted = |value: &&&str| setting.check(&[Layer::Flag(value)]).is_ok();
            let accepted: Vec<&str> = values
                .iter()
                .filter(|value| !value.is_empty())
                .filter(accepted)
                .copied()
                .collect();
            let (Some(first), Some(last)) = (accepted.first(), accepted.last()) else {
                panic!("--{} accepts no value", setting.flag);
            };
            for (above, below) in [(first, last), (last, first)] {
                let over_environment = [Layer::Flag(above), Layer::Environment(below)];
                let over_file = [Layer::Environment(above), Layer::File(below)];
                for layers in [over_environment, over_file] {
                    let effective = setting.check(&layers).unwrap();
                    assert!(
                        is_same(above, &effective),
                        "--{}: {layers:?} is {effective}",
                        setting.flag
                    );
                }
            }
        });
    }
}
