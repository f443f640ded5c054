//! Flags of the capture.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use kipfix_service::settings::{BadSettings, Size, within};
use serde::Serialize;

use super::count;
use crate::capture::filter;
use crate::capture::interfaces::Pattern;

/// Flags of the capture.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Capture")]
pub struct CaptureFlags {
    /// Interface to capture: a name, a glob (eth*) or a regular expression (eth[0-9]+);
    /// repeatable [default: every interface that is up and has a default route]
    #[arg(long, short, value_name = "PATTERN")]
    pub interface: Vec<Pattern>,
    /// Capture file to read instead, pcap or pcapng, also compressed with gzip or zstd; '-' is
    /// stdin. Packet time is the clock. Exits at the end of the file
    #[arg(long, short, value_name = "FILE")]
    pub read: Option<PathBuf>,
    /// Packets to meter, as a pcap-filter(7) expression. Live, it matches VLAN-tagged frames as
    /// well; in a file only after the keyword vlan: (EXPR) or (vlan and (EXPR)) [default: all IP
    /// packets]
    #[arg(long, value_name = "BPF", value_parser = expression)]
    pub filter: Option<String>,
    /// Octets captured of each packet, 64–65535, enough for outer and inner headers; more of
    /// packets that can have a name (--names) or messages of HTTP (--http-metering)
    #[arg(long, value_name = "OCTETS", default_value_t = 256, value_parser = within(64u32, 65_535))]
    pub snaplen: u32,
    /// Kernel buffer of each interface, 1MiB–1GiB
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "32MiB",
        value_parser = within(Size::mib(1), Size::gib(1)),
    )]
    pub buffer: Size,
    /// Capture packets that are not addressed to the node, too
    #[arg(long)]
    pub promiscuous: bool,
    /// Maximum number of interfaces captured at the same time
    #[arg(long, value_name = "N", default_value = "64", value_parser = count(1 << 16))]
    pub max_interfaces: NonZeroUsize,
}

/// Parses a filter expression.
pub(super) fn expression(text: &str) -> Result<String, BadSettings> {
    filter::check(text)?;
    Ok(text.to_owned())
}
