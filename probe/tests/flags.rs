//! Every flag with every kind of value, and in every layer of the settings.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use kipfix_probe::settings::Flags;
use kipfix_service::settings::Daemon as _;

/// A flag, values that it takes, of which no two mean the same, and values that it refuses.
struct Values {
    flag: &'static str,
    valid: &'static [&'static str],
    invalid: &'static [&'static str],
}

const fn values(
    flag: &'static str,
    valid: &'static [&'static str],
    invalid: &'static [&'static str],
) -> Values {
    Values {
        flag,
        valid,
        invalid,
    }
}

const BOOLS: &[&str] = &["true", "false"];
const NO_BOOLS: &[&str] = &["maybe", "2", ""];
const COUNTS: &[&str] = &["1", "1000"];
const NO_COUNTS: &[&str] = &["0", "-1", "many", "1.5", "99999999999999999999", ""];
const SPANS: &[&str] = &["1500ms", "10s", "15s"];
const NO_SPANS: &[&str] = &["10", "ten", "-1s", "1ms", ""];

const ALL: [Values; 30] = [
    values(
        "interface",
        &["eth0", "eth*", "veth[0-9]+"],
        &["(", "eth[", ""],
    ),
    values("read", &["a.pcap", "-"], &[""]),
    values(
        "filter",
        &["tcp", "vlan and udp port 53"],
        &["port of call"],
    ),
    values("snaplen", &["64", "65535"], &["63", "65536", "-1", "x", ""]),
    values("buffer", &["1MiB", "64MiB"], &["1KiB", "2GiB", "x", ""]),
    values("promiscuous", BOOLS, NO_BOOLS),
    values("conntrack", BOOLS, NO_BOOLS),
    values("max-interfaces", COUNTS, NO_COUNTS),
    values("active-timeout", &["20s", "5m"], &["1s", "20", "x", ""]),
    values("idle-timeout", SPANS, NO_SPANS),
    values("connection-timeout", SPANS, NO_SPANS),
    values("max-flows", COUNTS, NO_COUNTS),
    values(
        "tunnel-port",
        &["vxlan=8473", "geneve=6082", "gtp-u=1", "vxlan-gpe=none"],
        &["8473", "vxlan=0", "vxlan=65536", "gtp=1", "geneve=4789", ""],
    ),
    values("max-fragments", COUNTS, NO_COUNTS),
    values("packet-correction", BOOLS, NO_BOOLS),
    values("tcp-health", BOOLS, NO_BOOLS),
    values("threads", &["1", "64"], &["0", "65", "two", ""]),
    values("translations", &["auto", "off"], &["on", "true", ""]),
    values("names", &["auto", "off"], &["on", "true", ""]),
    values("max-names", COUNTS, NO_COUNTS),
    values("dns-metering", BOOLS, NO_BOOLS),
    values("http-metering", BOOLS, NO_BOOLS),
    values(
        "sampling",
        &["1:1", "1:100", "hash:10"],
        &["2:1", "hash:0", "1:0", "100", ""],
    ),
    values("biflow", BOOLS, NO_BOOLS),
    values(
        "export",
        &["stdout:", "udp://c:4739?version=9", "file:/tmp/x.ipfix"],
        &["c:4739", "udp://c", "http://c:1", "udp://c:1?version=8", ""],
    ),
    values("queue", COUNTS, NO_COUNTS),
    values("observation-domain", COUNTS, NO_COUNTS),
    values("node-name", &["a", "node-1.example"], &[""]),
    values(
        "admin",
        &["127.0.0.1:1", "[::1]:9473"],
        &["9473", "127.0.0.1", "host:1", ""],
    ),
    values("log-format", &["text", "json"], &["xml", ""]),
];

/// Runs the probe with `--check` and a settings file.
fn check(flags: &[String], file: &str, environment: &[(String, String)]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kipfix-probe"))
        .args(["--check", "--config", "/dev/stdin"])
        .args(flags)
        .env("NODE_NAME", "node")
        .envs(environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(file.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// The effective settings.
fn effective(flags: &[String], file: &str, environment: &[(String, String)]) -> String {
    let output = check(flags, file, environment);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{flags:?} {file:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn flag(name: &str, value: &str) -> Vec<String> {
    vec![format!("--{name}={value}")]
}

/// The lines of one setting in a settings file.
fn setting<'a>(settings: &'a str, name: &str) -> String {
    let key = format!("{}:", name.replace('-', "_"));
    let is_key = |line: &&'a str| line.starts_with(&key);
    let mut lines = settings.lines().skip_while(|line| !is_key(line));
    let first = lines.next().unwrap_or_else(|| panic!("{name}: {settings}"));
    let rest = lines.take_while(|line| line.starts_with([' ', '-']));
    std::iter::once(first)
        .chain(rest)
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn every_flag_has_values_here() {
    let command = Flags::whole_command();
    let mut flags: Vec<_> = command
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|name| !["config", "check", "help", "version"].contains(name))
        // The files of TLS are checked together.
        .filter(|name| !name.starts_with("admin-"))
        .collect();
    let mut here = ALL.map(|values| values.flag).to_vec();
    flags.sort_unstable();
    here.sort_unstable();
    assert_eq!(flags, here);
}

#[test]
fn every_value_of_a_flag_is_effective_and_overrides_the_other_layers() {
    for Values {
        flag: name, valid, ..
    } in ALL
    {
        let of = |value: &str| setting(&effective(&flag(name, value), "", &[]), name);
        for value in valid {
            let by_flag = of(value);
            let separate = [format!("--{name}"), (*value).to_owned()];
            let by_separate = setting(&effective(&separate, "", &[]), name);
            assert_eq!(by_separate, by_flag, "--{name} {value}");
            let by_file = setting(&effective(&[], &by_flag, &[]), name);
            assert_eq!(by_file, by_flag, "{name} in a file");
            let variable = format!("KIPFIX_PROBE__{}", name.replace('-', "_").to_uppercase());
            let environment = [(variable, (*value).to_owned())];
            let by_environment = setting(&effective(&[], "", &environment), name);
            assert_eq!(by_environment, by_flag, "{name} in the environment");
            for other in valid.iter().filter(|other| *other != value) {
                let lower = of(other);
                assert_ne!(lower, by_flag, "{name}: {value}, {other}");
                let layered = setting(&effective(&flag(name, value), &lower, &[]), name);
                assert_eq!(layered, by_flag, "--{name} {value} and {other} in a file");
                let layered = setting(&effective(&[], &lower, &environment), name);
                assert_eq!(layered, by_flag, "{value} in the environment over {other}");
            }
        }
    }
}

#[test]
fn invalid_values_are_refused_by_name() {
    for Values {
        flag: name,
        invalid,
        ..
    } in ALL
    {
        for value in invalid {
            let output = check(&flag(name, value), "", &[]);
            assert_eq!(output.status.code(), Some(64), "--{name}={value}");
            let message = String::from_utf8(output.stderr).unwrap();
            let key = name.replace('-', "_");
            assert!(
                message.contains(name) || message.contains(&key),
                "--{name}={value}: {message}"
            );
        }
    }
}

#[test]
fn a_switch_without_a_value_is_true() {
    for name in [
        "promiscuous",
        "packet-correction",
        "tcp-health",
        "dns-metering",
        "http-metering",
        "biflow",
    ] {
        let off = format!("{}: false\n", name.replace('-', "_"));
        let alone = effective(&[format!("--{name}")], &off, &[]);
        assert_eq!(setting(&alone, name), off.replace("false", "true"));
        let before_another = [format!("--{name}"), "--queue=1".to_owned()];
        let settings = effective(&before_another, &off, &[]);
        assert_eq!(setting(&settings, name), off.replace("false", "true"));
    }
}
