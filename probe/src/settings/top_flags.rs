//! The command line of `top`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kipfix_service::settings::{BadSettings, Span};

use super::Settings;
use crate::capture::interfaces::Pattern;

/// Active and idle timeout: records must arrive while they are of interest.
const REPORT_INTERVAL: Span = Span::from_secs(1);

/// Show the traffic of this machine, or of a capture file, as a live table.
///
/// Nothing is exported. Keys: q quits, Tab shows the next view, the arrows left and right select the
/// column of the order, r reverses it, / filters rows by text, p pauses.
#[derive(Clone, Debug, Args)]
pub struct TopFlags {
    /// Interface to capture: a name, a glob (eth*) or a regular expression (eth[0-9]+); repeatable
    /// [default: every interface that is up and has a default route]
    #[arg(long, short, value_name = "PATTERN")]
    interface: Vec<Pattern>,
    /// Capture file to read instead, pcap or pcapng; '-' is stdin
    #[arg(long, short, value_name = "FILE")]
    pub read: Option<PathBuf>,
    /// Packets to meter, as a pcap-filter(7) expression [default: all IP packets]
    #[arg(long, value_name = "BPF")]
    filter: Option<String>,
    /// What is shown first: conversations, hosts or ports
    #[arg(
        long,
        value_name = "VIEW",
        default_value = "conversations",
        hide_possible_values = true
    )]
    pub view: TopView,
    /// How often the rates are computed
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_interval)]
    pub interval: Span,
    /// Print the table as text and exit: at the end of the file, or after --for
    #[arg(long)]
    pub once: bool,
    /// With --once: how long interfaces are metered
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub duration: Span,
    /// Maximum number of rows that --once prints
    #[arg(long, value_name = "N", default_value = "50")]
    pub limit: NonZeroUsize,
}

/// A view of `top`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TopView {
    /// By conversation: both directions between two addresses and ports.
    Conversations,
    /// By address.
    Hosts,
    /// By protocol and server port.
    Ports,
}

impl TopFlags {
    /// The settings of the probe behind the table.
    ///
    /// # Errors
    /// A value is invalid, or contradicts another one.
    pub fn settings(&self) -> Result<Settings, BadSettings> {
        let settings = Settings {
            interface: self.interface.clone(),
            read: self.read.clone(),
            filter: self.filter.clone(),
            active_timeout: REPORT_INTERVAL,
            idle_timeout: REPORT_INTERVAL,
            biflow: true,
            ..Settings::default()
        };
        settings.cross_check()?;
        Ok(settings)
    }
}

fn parse_interval(text: &str) -> Result<Span, String> {
    Span::parse_within(text, Span::from_secs(1), Span::from_secs(60))
}

fn parse_duration(text: &str) -> Result<Span, String> {
    Span::parse_within(text, Span::from_secs(1), Span::from_secs(86_400))
}
