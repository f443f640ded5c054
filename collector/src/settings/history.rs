//! Flags of the history and of recent records.

use std::path::PathBuf;

use clap::Args;
use kipfix_service::settings::{Size, within};
use serde::Serialize;

use crate::history::{HistorySource, RingSettings};

#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the help texts have URLs with optional parts in brackets"
)]
/// Flags of the history and of recent records.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "History")]
pub struct HistoryFlags {
    /// What answers the page and the API:
    /// - ring: the memory of this collector
    /// - prometheus=URL: an engine with the HTTP API of Prometheus (Thanos,
    ///   Mimir, VictoriaMetrics) that scrapes all collectors.
    ///   token-file=FILE
    /// - clickhouse=http[s]://HOST[:PORT]/DATABASE: ClickHouse, with the
    ///   tables that --forward clickhouse:// fills. user=NAME,
    ///   password-file=FILE
    /// - both engines: ca=FILE, cert=FILE, key=FILE (PEM files),
    ///   timeout=DURATION, 30s by default
    /// - parameters follow after ?, separated by &
    #[arg(
        long,
        value_name = "ring|prometheus=URL|clickhouse=URL",
        verbatim_doc_comment,
        default_value = "ring"
    )]
    pub history: HistorySource,
    /// Maximum memory of the history, which the page and the API show. When it is full, the
    /// oldest intervals are discarded. 0 keeps no history
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        value_parser = within(Size::mib(1), Size::gib(64)).or(Size::from_bytes(0)),
    )]
    pub history_size: Size,
    /// Keep the health of TCP connections in the history: the colours of the map. It costs about
    /// 0.3 µs for each record that has it. If it is false, the history has it if a metric family
    /// counts it, as those of the preset health do
    #[arg(long, default_value_t = true)]
    pub history_health: bool,
    /// Length of the intervals of the history, and how long they are kept. Each step must be a
    /// multiple of the one before it. Repeatable
    #[arg(long, value_name = "STEP/LENGTH", default_values_t = RingSettings::DEFAULT)]
    pub history_rings: Vec<RingSettings>,
    /// Keep the history in this file, so that it survives a restart. Written every five minutes
    /// and at the end. A file that was written with other rings is ignored [default: none]
    #[arg(long, value_name = "FILE")]
    pub history_file: Option<PathBuf>,
    /// Maximum memory of the recent records that /api/v1/flows returns: up to 200 per second and
    /// worker, for 10 minutes. 0 keeps none, and clients cannot follow records
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "8MiB",
        value_parser = within(Size::kib(256), Size::gib(4)).or(Size::from_bytes(0)),
    )]
    pub recent_records_size: Size,
}
