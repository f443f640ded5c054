//! Settings from defaults, a file, the environment and flags; later sources override earlier ones.
//! The flag `--max-flows` is the key `max_flows` in the YAML file and `KIPFIX_PROBE__MAX_FLOWS` in
//! the environment.
//!
//! A field of a `clap` structure is a setting: its default value, its parser with the range of
//! values, and its help text. The flags of the settings parse the values of all layers.
//!
//! An invalid value gives one sentence with the setting, the value, its origin and the allowed
//! values. The daemons check combinations of settings after [`CommandLine::load`].

mod command_line;
mod flags;
mod layer;
mod layers;
mod listen_address;
mod size;
mod sources;
mod span;
#[cfg(test)]
mod tests;
mod text;
mod within;
mod yaml;

use std::io::Write;

use serde::Serialize;

use crate::exit::{Failure, check_stdout};

pub use crate::exit::BadSettings;
pub use command_line::{CommandLine, Daemon};
pub use layers::defaults;
pub use listen_address::ListenAddress;
pub use size::Size;
pub use span::Span;
pub use within::{Within, within};

/// Prints the effective settings on stdout, for `--check`. The output is a valid settings file.
///
/// # Errors
/// If stdout cannot be written, e.g. because the disk is full. A closed pipe is not an error.
pub fn print<S: Serialize>(settings: &S) -> Result<(), Failure> {
    let text = yaml::text(settings).map_err(anyhow::Error::from)?;
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    check_stdout(written, "cannot write the settings to stdout")
}
