//! The flags of settings.

use clap::{Arg, ArgAction, Args, Command};

/// Returns a command with the flags of settings. Their help texts end with `[default: VALUE]`.
pub(super) fn command<S: Args>(name: &'static str) -> Command {
    S::augment_args(Command::new(name)).mut_args(|argument| {
        let argument = match argument.get_action() {
            ArgAction::SetTrue => switch(argument),
            _ => argument,
        };
        with_default(argument)
    })
}

/// Makes a `bool` take an optional value, so that a flag can override another layer with `false`.
fn switch(argument: Arg) -> Arg {
    let parser = |text: &str| truth(text).ok_or("must be true or false");
    let argument = if argument.get_default_values().is_empty() {
        argument.default_value("false")
    } else {
        argument
    };
    argument
        .action(ArgAction::Set)
        .num_args(0..=1)
        .default_missing_value("true")
        .value_name("BOOL")
        .hide_possible_values(true)
        .value_parser(parser)
}

/// The truth value of a word, as in YAML 1.1.
fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Adds the default value to the help text, unless the text has one. `clap` would give it a paragraph
/// of its own.
fn with_default(argument: Arg) -> Arg {
    let argument = argument.hide_default_value(true);
    let help = argument.get_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    let defaults = argument.get_default_values().iter();
    let defaults: Vec<_> = defaults
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if defaults.is_empty() || help.contains("[default:") {
        argument
    } else {
        argument.help(format!("{help} [default: {}]", defaults.join(", ")))
    }
}

/// True if the setting of an argument is a list.
pub(super) fn is_list(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Append)
}
