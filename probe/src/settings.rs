//! Settings of the probe: flags with their meaning, default and range, and the rules between them.
//! A field of a group is a setting and its flag.

mod admin;
mod capture;
mod cross_check;
mod exporting;
mod metering;
mod stages;
mod top_flags;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use kipfix_export::identity::stable_hash;
use kipfix_service::exit::Failure;
use kipfix_service::logs::LogFormat;
use kipfix_service::settings::{self, CommandLine, Daemon, ListenAddress, Within, within};
use serde::Serialize;

pub use admin::{AdminFlags, AdminTlsFlags};
pub use capture::CaptureFlags;
pub use exporting::ExportingFlags;
pub use metering::{Learning, MeteringFlags};
pub use top_flags::{TopFlags, TopView};

/// Meters the packets of a node's interfaces, or of a capture file, into flow records and exports
/// them as IPFIX.
///
/// Without --interface, captures every interface that is up and has a default route. The only
/// capability it needs is CAP_NET_RAW.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Examples:
  kipfix-probe --interface eth0 --export udp://collector.example:4739
      meter eth0 and export to a collector
  kipfix-probe --export tls://collector:4740?ca=ca.pem --export udp://127.0.0.1:2055?version=9
      export IPFIX over TLS to one collector and NetFlow v9 to another
  kipfix-probe --read capture.pcap --export stdout:
      print the flow records of a capture file, one JSON object a line

Every flag can also be set in the --config file (max_flows: 100000) and in the environment
(KIPFIX_PROBE__MAX_FLOWS=100000, lists separated by commas). Flags override the environment, which
overrides the file. Durations have a unit: 100ms, 60s, 1h30m, 2d. Sizes can have K, M or G.
Exit codes: 0 stopped on request, or the file was read; 64 invalid settings; 1 cannot start, a stage
failed, or the file was not read to its end."
)]
pub struct Flags {
    /// Settings file in YAML, with the names of these flags, _ instead of -
    #[arg(long, value_name = "FILE", help_heading = "General", display_order = 0)]
    pub config: Option<PathBuf>,
    /// Print the effective settings as a valid --config file, and exit
    #[arg(long, help_heading = "General", display_order = 1)]
    pub check: bool,

    /// Another task instead.
    #[command(subcommand)]
    pub task: Option<Task>,
}

impl Daemon for Flags {
    type Settings = Settings;

    const NAME: &'static str = "kipfix-probe";
    const ENVIRONMENT_PREFIX: &'static str = "KIPFIX_PROBE__";
}

/// What a probe can do instead of exporting.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Show the traffic of this machine, or of a capture file, as a live table.
    ///
    /// Nothing is exported. Keys: q quits, Tab shows the next view, the arrows left and right select the
    /// column of the order, r reverses it, / filters rows by text, p pauses. A narrow terminal shows
    /// fewer columns, always with that of the order.
    Top(TopFlags),
}

/// The effective settings, in groups.
#[derive(Clone, Debug, Args, Serialize)]
#[expect(missing_docs, reason = "each group has its own description")]
pub struct Settings {
    #[command(flatten)]
    #[serde(flatten)]
    pub capture: CaptureFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub metering: MeteringFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub exporting: ExportingFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub admin: AdminFlags,
    /// Format of the log on stderr: text or json. RUST_LOG sets the level
    #[arg(
        long,
        value_name = "FORMAT",
        hide_possible_values = true,
        default_value = "text",
        help_heading = "General"
    )]
    pub log_format: LogFormat,
}

impl Default for Settings {
    fn default() -> Self {
        settings::defaults()
    }
}

impl Settings {
    /// Reads all layers, adds defaults that depend on the machine, and checks combinations.
    ///
    /// # Errors
    /// A value is invalid, or contradicts another one.
    pub fn load(command_line: &CommandLine<Flags>) -> Result<Self, Failure> {
        let mut settings: Self = command_line.load(command_line.flags.config.as_deref())?;
        settings.cross_check()?;
        if settings.admin.admin.is_none() && settings.capture.read.is_none() {
            settings.admin.admin = Some(ListenAddress(([127, 0, 0, 1], 9473).into()));
        }
        let node_name = settings.exporting.node_name.get_or_insert_with(this_node);
        let domain = observation_domain(node_name);
        settings.exporting.observation_domain.get_or_insert(domain);
        Ok(settings)
    }
}

/// Parser of a number of things, 1 to `most`.
const fn count(most: usize) -> Within<NonZeroUsize> {
    let one = NonZeroUsize::MIN;
    within(one, one.saturating_add(most.saturating_sub(1)))
}

fn this_node() -> String {
    std::env::var("NODE_NAME")
        .ok()
        .filter(|name| !name.is_empty())
        .or_else(|| nix::unistd::gethostname().ok()?.into_string().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// An Observation Domain ID that a node keeps over restarts: a hash of its name. Two nodes may
/// share one, because collectors distinguish domains by exporter address, and here also by
/// announced name.
fn observation_domain(node_name: &str) -> NonZeroU32 {
    NonZeroU32::new(stable_hash(node_name)).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Flags::whole_command().debug_assert();
    }

    #[test]
    fn a_node_keeps_its_observation_domain() {
        assert_eq!(observation_domain("node-a"), observation_domain("node-a"));
        assert_ne!(observation_domain("node-a"), observation_domain("node-b"));
    }
}
