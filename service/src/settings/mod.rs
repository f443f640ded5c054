//! Settings: defaults < file < environment < flags. One name everywhere: the flag `--max-flows` is the
//! key `max_flows` in the YAML file and `KIPFIX_PROBE__MAX_FLOWS` in the environment.
//!
//! What cannot be is refused in one sentence that names the setting, the value, where it came from and
//! what is allowed. Checks between settings are the owner's, after [`load`].

mod layers;
mod listen_address;
mod size;
mod span;
mod yaml;

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::Failure;

pub use listen_address::ListenAddress;
pub use size::Size;
pub use span::Span;

/// A sentence that names the setting, the value and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSettings(String);

impl BadSettings {
    /// From the sentence: no capital at its start, no full stop at its end.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Layers the settings of the daemon `name`.
///
/// - `S::default()` serializes to a map of *all* settings: what is not in it is unknown, so an absent
///   value is a `null`, never a skipped field. A field that serializes to a list can be repeated.
/// - `file` is YAML with those keys; an unknown key is an error. An empty file changes nothing.
/// - Environment variables are those that begin with `env_prefix`; lists are separated by commas. An
///   unknown name is only warned about on stderr, since others inject variables too.
/// - `flags` is the parsed command line. `None`, `false` and the empty list mean "not given"; a field
///   that is no setting (`config`, `check`) is passed over.
///
/// Each layer replaces a list as a whole.
///
/// # Errors
/// The sentence for the first thing that is not allowed.
pub fn load<S>(
    name: &str,
    file: Option<&Path>,
    env_prefix: &str,
    flags: &impl Serialize,
) -> Result<S, BadSettings>
where
    S: Serialize + DeserializeOwned + Default,
{
    let environment = std::env::vars_os();
    let (settings, unknown) = layers::load(file, env_prefix, environment, flags)?;
    for variable in unknown {
        let line =
            format!("{name}: warning: {variable} in the environment names no setting, ignored\n");
        // Logs are not started yet: their format is a setting. A closed stderr is nobody to warn.
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
    Ok(settings)
}

/// Prints the effective settings on stdout, for `--check`, as YAML that is a valid file again.
///
/// # Errors
/// stdout cannot be written, e.g. a full disk; a reader that closed it early is none.
pub fn print<S: Serialize>(settings: &S) -> Result<(), Failure> {
    let text = yaml::text(settings).map_err(anyhow::Error::from)?;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow::Error::new(error)
            .context("cannot write the settings to stdout")
            .into()),
        _ => Ok(()),
    }
}
