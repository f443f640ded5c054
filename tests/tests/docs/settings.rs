//! `docs/settings.md`: the flags of both daemons, from `--help`.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, Args, Command};
use kipfix_service::settings::Daemon as _;
use serde_json::{Value, json};

use crate::generated::table;

const HEAD: &str = "\
# Settings

Generated from the code by `make docs`. `--help` has the same text.

The flag `--max-flows` is the key `max_flows` in the YAML file of `--config`, and the variable `KIPFIX_PROBE__MAX_FLOWS` (or
`KIPFIX_COLLECTOR__…`) in the environment. A repeatable flag is a list in the file, and
separated by commas in the environment, or there a list in JSON if items contain commas.
`[]` in the file, or an empty variable, is the empty list, also if the default is not empty.
Flags override the environment, which overrides the file, which overrides the defaults. An unknown key in the file is an error. An
unknown variable is a warning. `--check` prints the effective settings as a valid file and exits. A BOOL is true or false, or
yes, no, on, off, 1 or 0.

Sizes are bytes, or a number with `K`, `M` or `G` (powers of 1024). Durations have a unit: `100ms`, `60s`, `1h30m`, `2d`.
";

/// Which settings are reloaded.
fn reload() -> String {
    let keys = kipfix_collector::settings::RELOADED.map(|key| format!("`{key}`"));
    format!(
        "\n## Reload\n\n\
         The collector reads its settings again on SIGHUP and when the file of `--config` changes: {}. \n\
         Changes of other settings are logged, counted in `kipfix_collector_settings_needing_restart` and listed by\n\
         `/readyz`; they need a restart. Metric families with the same name, value, type, labels and filter keep their series.\n\
         New ones begin at 0. A file with an error changes nothing: `kipfix_collector_settings_last_reload_successful` is 0, and\n\
         the log and `/readyz` have the reason. Flags and variables still override the file. In the Helm chart, a change of these\n\
         settings alone does not restart the collector. The kubelet updates the mounted file within about a minute (its sync\n\
         period plus the delay of its cache), then the collector reloads it within a second.\n",
        keys.join(", ")
    )
}

pub(crate) fn page() -> String {
    let mut text = HEAD.to_owned() + &reload();
    for command in [
        kipfix_probe::settings::Flags::whole_command(),
        kipfix_collector::settings::Flags::whole_command(),
    ] {
        text += &section(&command);
        for task in command.get_subcommands() {
            text += &task_section(command.get_name(), task);
        }
    }
    text
}

/// The schema of the chart's values, with the keys of the settings of the probe and of the collector, and
/// the allowed values of those that have a list of them.
pub(crate) fn values_schema(text: &str) -> String {
    const KEYS: &str = r#""propertyNames": {"enum": ["#;
    const VALUES: &str = r#""properties": {""#;
    let mut commands = [
        kipfix_probe::settings::Settings::augment_args(Command::new("")),
        kipfix_collector::settings::Settings::augment_args(Command::new("")),
    ]
    .into_iter();
    let mut values = None;
    let line = |line: &str| {
        if let Some((indent, _)) = line.split_once(KEYS) {
            let command = commands.next().expect("two lists of settings");
            values = Some(allowed_values(&command));
            format!(
                "{indent}\"propertyNames\": {{\"enum\": {}}},\n",
                keys(&command)
            )
        } else if let Some((indent, _)) = line.split_once(VALUES) {
            let values = values.take().expect("a line after that of the keys");
            format!("{indent}\"properties\": {values},\n")
        } else {
            format!("{line}\n")
        }
    };
    let text: String = text.lines().map(line).collect();
    assert!(commands.next().is_none(), "a list of settings is missing");
    assert_eq!(values, None, "allowed values are missing");
    text
}

/// The keys of settings, without those of a run over savefiles, which a pod has none of.
fn keys(command: &Command) -> String {
    const OF_SAVEFILES: [&str; 4] = ["read", "explain", "compare", "print_metrics"];
    let arguments = command.get_arguments();
    let keys = arguments.map(|argument| argument.get_id().as_str());
    let keys: BTreeSet<&str> = keys.filter(|key| !OF_SAVEFILES.contains(key)).collect();
    json!(keys).to_string()
}

/// The allowed values of settings that have a list of them. An unset value is null, and helm reads `off`
/// without quotes as false.
fn allowed_values(command: &Command) -> String {
    let mut settings = serde_json::Map::new();
    for argument in command.get_arguments() {
        let values = argument.get_possible_values();
        let mut names: Vec<Value> = values.iter().map(|value| json!(value.get_name())).collect();
        if names.is_empty() || names == ["true", "false"] {
            continue;
        }
        if values.iter().any(|value| value.matches("false", false)) {
            names.push(json!(false));
        }
        let mut schema = if matches!(argument.get_action(), ArgAction::Append) {
            json!({"items": {"enum": names}, "type": ["array", "null"]})
        } else {
            names.push(Value::Null);
            json!({"enum": names})
        };
        let help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        schema["description"] = json!(help.split_whitespace().collect::<Vec<_>>().join(" "));
        settings.insert(argument.get_id().to_string(), schema);
    }
    Value::Object(settings).to_string()
}

/// A subcommand. Its flags are not settings.
fn task_section(program: &str, task: &Command) -> String {
    let about = task.get_about().map(ToString::to_string);
    let rows: Vec<Vec<String>> = task.get_arguments().map(row).collect();
    let name = task.get_name();
    let mut text = format!("\n## {program} {name}\n\n{}.", about.unwrap_or_default());
    text += " These flags are not settings: they are on the command line only.\n\n";
    text + &table(&["flag", "default", "description"], &rows)
}

fn section(command: &Command) -> String {
    let mut text = format!("\n## {}\n", command.get_name());
    let mut headings: Vec<&str> = Vec::new();
    for argument in command.get_arguments() {
        let heading = argument.get_help_heading().unwrap_or("Other");
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let of_heading = command
            .get_arguments()
            .filter(|argument| argument.get_help_heading().unwrap_or("Other") == heading);
        let rows: Vec<Vec<String>> = of_heading.map(row).collect();
        text += &format!("\n### {heading}\n\n");
        text += &table(&["flag", "default", "description"], &rows);
    }
    text
}

fn row(argument: &Arg) -> Vec<String> {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let help = help.replace("\n- ", "<br>- ");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (what, default) = match help.rsplit_once(" [default: ") {
        Some((what, default)) => (what.to_owned(), default.trim_end_matches(']').to_owned()),
        None => (help, default_of(argument)),
    };
    let takes_value = argument.get_action().takes_values();
    let name = argument.get_long().unwrap_or_default();
    let values = argument.get_value_names().unwrap_or_default();
    let flag = match values.first().filter(|_| takes_value) {
        Some(value) => format!("`--{name} {value}`"),
        None => format!("`--{name}`"),
    };
    vec![flag, default, escaped(&what)]
}

fn default_of(argument: &Arg) -> String {
    let values = argument.get_default_values().iter();
    let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
    let is_switch = !argument.get_action().takes_values();
    if is_switch {
        String::new()
    } else {
        values.join(" ")
    }
}

/// Escapes Markdown outside of code.
fn escaped(text: &str) -> String {
    let escaped = text.replace('<', "&lt;").replace('*', "\\*");
    escaped.replace("&lt;br>", "<br>")
}
