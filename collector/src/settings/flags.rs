//! The command line: flags that are not settings.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use kipfix_service::settings::Daemon;

use super::Settings;
use crate::top::TopFlags;

const AFTER_HELP: &str = "\
Examples:
  kipfix-collector --inventory cluster.yaml --flow-log file:/var/log/flows.json
      listen on UDP 4739 and 2055, attribute by the file, serve http://HOST:8080/metrics
  kipfix-collector --read export.pcap --flow-log stdout: --print-metrics
      print every record of a capture as JSON, then the counters, and exit
  kipfix-collector --read export.pcap --explain
      print every message, set and record of a capture, and every violation of the protocol

Every flag can also be set in the --config file (max_series: 50000) and in the environment
(KIPFIX_COLLECTOR__MAX_SERIES=50000, lists separated by commas). Flags override the environment,
which overrides the file. Durations have a unit: 100ms, 60s, 1h30m, 2d. Sizes can have K, M or G.
Exit codes: 0 stopped on request, or all files were read; 64 invalid settings; 1 cannot start, a
stage failed, or a file was not read to its end.";

/// Collects NetFlow and IPFIX, attributes flows to Kubernetes workloads, and serves Prometheus counters.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = AFTER_HELP,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
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

    const NAME: &'static str = "kipfix-collector";
    const ENVIRONMENT_PREFIX: &'static str = "KIPFIX_COLLECTOR__";
}

/// What the program can do instead of collecting.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Show the traffic of a cluster as a live table, from the API of a collector.
    ///
    /// Keys: q quits, Tab shows the next view, the arrows left and right select the column of the order,
    /// r reverses it, / filters rows by text, p pauses. A narrow terminal shows fewer columns, always with
    /// that of the order.
    Top(TopFlags),
}
