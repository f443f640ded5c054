//! Flags of external addresses.

use std::path::PathBuf;

use clap::Args;
use kipfix_service::settings::within;
use serde::Serialize;

use crate::inventory::external::NamedCidr;

/// Flags of external addresses.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "External addresses")]
pub struct ExternalFlags {
    /// Name of an external address range. The longest matching prefix is used. Repeatable
    #[arg(long, value_name = "CIDR=NAME")]
    pub cidr: Vec<NamedCidr>,
    /// Database of autonomous systems or countries in MaxMind's format (.mmdb). The first one
    /// that has an address is used. Reloaded when it changes. Repeatable
    #[arg(long, value_name = "FILE")]
    pub geoip: Vec<PathBuf>,
    /// Address ranges as published by a cloud: AWS ip-ranges.json, Google cloud.json and
    /// goog.json, Azure ServiceTags_*.json. Reloaded when it changes. Repeatable
    #[arg(long, value_name = "FILE")]
    pub cloud_ranges: Vec<PathBuf>,
    /// Maximum number of combinations of name, autonomous system, country and cloud. Further ones
    /// are "other"
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1 << 18,
        value_parser = within(16usize, 1 << 24),
    )]
    pub max_external: usize,
}
