//! Flags of the limits of the decoder.

use clap::Args;
use kipfix_service::settings::{Size, Span, within};
use serde::Serialize;

/// Flags of the limits of the decoder.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Decoder limits")]
pub struct DecoderFlags {
    /// Maximum number of Observation Domains, for each worker. A new one replaces one that has
    /// sent no record, else one of the same address, else one that has been silent for a minute
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = within(1usize, 1 << 24))]
    pub max_domains: usize,
    /// Maximum number of templates of an Observation Domain
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = within(1usize, 1 << 16))]
    pub max_templates: usize,
    /// Maximum number of fields of all templates, for each worker. A field takes about 50 octets
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1 << 21,
        value_parser = within(1024usize, 1 << 28),
    )]
    pub max_template_fields: usize,
    /// Share of one address of each of these limits, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = within(1u8, 100))]
    pub max_address_share: u8,
    /// Whether records can use the template of another port of their exporter: of the same Source
    /// ID in NetFlow v9, and where the sequence numbers go on
    #[arg(long, default_value_t = true)]
    pub template_sharing: bool,
    /// Maximum size of the records that wait for their template
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "16MiB",
        value_parser = within(Size::kib(4), Size::gib(4)),
    )]
    pub template_wait_size: Size,
    /// How long records wait for their template
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "2m",
        value_parser = within(Span::ZERO, Span::HOUR),
    )]
    pub template_wait: Span,
    /// Time after which a silent Observation Domain is forgotten, and a template that was neither
    /// sent nor used
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "2h",
        value_parser = within(Span::MINUTE, Span::YEAR),
    )]
    pub domain_idle: Span,
    /// Maximum number of interface names, application names and element types learned from
    /// options data, for each worker
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = within(0usize, 1 << 24))]
    pub max_metadata: usize,
    /// Maximum number of flows with a running total, of exporters that send no deltas, for each
    /// worker
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = within(1usize, 1 << 24))]
    pub max_running_totals: usize,
}
