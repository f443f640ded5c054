//! Settings from defaults, a file, the environment and flags; later sources override earlier ones.
//! The flag `--max-flows` is the key `max_flows` in the YAML file and `KIPFIX_PROBE__MAX_FLOWS` in
//! the environment.
//!
//! An invalid value gives one sentence with the setting, the value, its origin and the allowed
//! values. The daemons check combinations of settings after [`load`].
//!
//! The `config` crate merges the layers and converts scalars (`"5"` from the environment is a number
//! where a number is expected). YAML is parsed by `serde-saphyr`, like the inventory file.

mod layers;
mod listen_address;
mod size;
mod sources;
mod span;
mod text;
mod yaml;

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::exit::Failure;

pub use crate::exit::BadSettings;
pub use listen_address::ListenAddress;
pub use size::Size;
pub use span::Span;

/// Loads the settings of the daemon `name`.
///
/// - `S::default()` serializes to a map of *all* settings. An absent value must be `null`, not a
///   skipped field. A field that serializes to a list can be repeated.
/// - `file` is YAML with those keys. An unknown key is an error. An empty file is valid.
/// - Environment variables start with `env_prefix`. Lists are separated by commas. An unknown name
///   is a warning on stderr, because Kubernetes injects variables, too.
/// - `flags` is the parsed command line. `None` and the empty list mean "not set". A switch is an
///   `Option<bool>`, so that `false` overrides the other layers. Fields that are not settings
///   (`config`, `check`) are ignored.
///
/// A list replaces the list of the layer below.
///
/// # Errors
/// For the first value that is not allowed.
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
            format!("{name}: warning: ignoring environment variable {variable}: unknown setting\n");
        // Logging has not started: its format is a setting. A closed stderr is not an error.
        std::io::stderr().write_all(line.as_bytes()).ok();
    }
    Ok(settings)
}

/// Prints the effective settings on stdout, for `--check`. The output is a valid settings file.
///
/// # Errors
/// If stdout cannot be written, e.g. because the disk is full. A closed pipe is not an error.
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
