//! The command line of `top`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kipfix_service::settings::{BadSettings, Span, within};

use super::capture::expression;
use super::{Settings, count};
use crate::capture::interfaces::Pattern;

/// Active and idle timeout: records must arrive while they are of interest.
const REPORT_INTERVAL: Span = Span::from_secs(1);

/// The flags of `top`.
#[derive(Clone, Debug, Args)]
pub struct TopFlags {
    /// Interface to capture: a name, a glob (eth*) or a regular expression (eth[0-9]+); repeatable
    /// [default: every interface that is up and has a default route]
    #[arg(long, short, value_name = "PATTERN")]
    interface: Vec<Pattern>,
    /// Capture file to read instead, pcap or pcapng, also compressed with gzip or zstd; '-' is
    /// stdin
    #[arg(long, short, value_name = "FILE")]
    pub read: Option<PathBuf>,
    /// Packets to meter, as a pcap-filter(7) expression [default: all IP packets]
    #[arg(long, value_name = "BPF", value_parser = expression)]
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
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "2s",
        value_parser = within(Span::SECOND, Span::MINUTE),
    )]
    pub interval: Span,
    /// Print the table as text and exit: at the end of the file, or after --for
    #[arg(long)]
    pub once: bool,
    /// With --once: how long interfaces are metered
    #[arg(
        long = "for",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = within(Span::SECOND, Span::DAY),
    )]
    pub duration: Span,
    /// Maximum number of rows that --once prints
    #[arg(long, value_name = "N", default_value = "50", value_parser = count(1 << 24))]
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
        let mut settings = Settings::default();
        settings.capture.interface = self.interface.clone();
        settings.capture.read = self.read.clone();
        settings.capture.filter = self.filter.clone();
        settings.metering.active_timeout = REPORT_INTERVAL;
        settings.metering.idle_timeout = REPORT_INTERVAL;
        settings.metering.biflow = true;
        settings.cross_check()?;
        Ok(settings)
    }
}
