//! The sentence for a value that the command line refuses.

use std::error::Error as _;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Returns `invalid NAME "VALUE": must be …` for an invalid value of a flag. `name` returns the
/// name of the setting for the flag, which is without dashes. `None` for other errors.
pub(crate) fn sentence(error: &Error, name: impl FnOnce(&str) -> String) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let value = text(ContextKind::InvalidValue)?;
    let flag = flag(text(ContextKind::InvalidArg)?)?;
    let reason = match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::ValueValidation, _) => error.source()?.to_string(),
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(allowed))) => one_of(allowed),
        (ErrorKind::InvalidValue, _) => "must not be empty".to_owned(),
        _ => return None,
    };
    let name = name(flag);
    // Values with a syntax of their own have the whole sentence already.
    Some(if reason.starts_with("invalid ") {
        format!("{name}: {reason}")
    } else {
        format!("invalid {name} {value:?}: {reason}")
    })
}

/// The name of the flag in `--workers <N>` or `--biflow[=<BOOL>]`.
fn flag(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix("--")?;
    name.split([' ', '=', '[']).next()
}

fn one_of(allowed: &[String]) -> String {
    match allowed {
        [] => "must not be empty".to_owned(),
        [only] => format!("must be {only}"),
        [others @ .., last] => format!("must be {} or {last}", others.join(", ")),
    }
}
