//! The command line of `top`.

use std::path::PathBuf;

use clap::Args;
use kipfix_service::settings::{Span, within};
use url::Url;

use super::view::View;
use crate::aggregate::expression::Expression;

/// The flags of `top`.
#[derive(Clone, Debug, Args)]
pub struct TopFlags {
    /// URL of the collector, such as that of kubectl port-forward
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080", value_parser = parse_url)]
    pub server: Url,
    /// File whose first line is the bearer token of the API [default: none]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// PEM file with the certificate authorities of the server [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// PEM file with the certificate that is presented to the server [default: none]
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// PEM file with the private key of --cert [default: none]
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// What is shown first: workloads, external (external names) or zones (traffic between zones)
    #[arg(
        long,
        value_name = "VIEW",
        default_value = "workloads",
        hide_possible_values = true
    )]
    pub view: View,
    /// Expression that selects edges, as in the API [default: all]
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<Expression>,
    /// Range of time up to now, whose traffic is shown
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1m",
        value_parser = within(Span::from_secs(10), Span::YEAR),
    )]
    pub last: Span,
    /// How often the table is refreshed
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = within(Span::SECOND, Span::HOUR),
    )]
    pub interval: Span,
    /// Maximum number of rows, 1–10000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = within(1u32, 10_000))]
    pub limit: u32,
    /// Print the table as text, and exit
    #[arg(long)]
    pub once: bool,
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "must be http://HOST:PORT or https://HOST:PORT".into())
}
