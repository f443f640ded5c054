//! The command line of the HTTP port, and of the memory that its page and API show.

use std::path::PathBuf;

use clap::Args;
use kipfix_service::settings::{ListenAddress, Size};
use serde::Serialize;

use crate::history::HistorySource;
use crate::history::RingSettings;

#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the texts of --help have addresses such as [::]:8080 in them"
)]
/// Flags of the HTTP port and of the history.
#[derive(Debug, Default, Args, Serialize)]
pub struct HttpFlags {
    /// Address of the page, the API, /metrics, /livez and /readyz [default: [::]:8080]
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Output")]
    pub http: Option<ListenAddress>,
    /// File whose first line is the bearer token of the API: requests below /api need the header
    /// Authorization: Bearer TOKEN. The page asks for it. Reloaded when it changes
    /// [default: none, the API needs no token]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub http_token_file: Option<PathBuf>,
    /// PEM file with the certificate of the --http port, which is served with TLS then. Reloaded when
    /// it changes [default: none, no TLS]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub http_tls_cert: Option<PathBuf>,
    /// PEM file with the private key of --http-tls-cert. Reloaded when it changes [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub http_tls_key: Option<PathBuf>,
    /// PEM file with certificate authorities: clients of the --http port must present a certificate
    /// signed by one of them, except for /livez and /readyz. Reloaded when it changes [default: none,
    /// clients need no certificate]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub http_client_ca: Option<PathBuf>,
    /// What answers the page and the API: ring is the memory of this collector. prometheus=URL asks an
    /// engine with the HTTP API of Prometheus (Thanos, Mimir, VictoriaMetrics) that scrapes all
    /// collectors; parameter token-file=FILE. clickhouse=http[s]://HOST[:PORT]/DATABASE asks ClickHouse,
    /// with the tables that --forward clickhouse:// fills; parameters user=NAME and password-file=FILE.
    /// Both: ca=FILE, cert=FILE and key=FILE (a client certificate), and timeout=SPAN (30s)
    /// [default: ring]
    #[arg(
        long,
        value_name = "ring|prometheus=URL|clickhouse=URL",
        help_heading = "Output"
    )]
    pub history: Option<HistorySource>,
    /// Maximum memory of the history, which the page and the API show. When it is full, the oldest
    /// intervals are discarded. 0 keeps no history [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub history_size: Option<Size>,
    /// Keep the health of TCP connections in the history: the colours of the map. It costs about 0.3 µs
    /// for each record that has it. If it is false, the history has it if a metric family counts it, as
    /// those of the preset health do [default: true]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Output"
    )]
    pub history_health: Option<bool>,
    /// Length of the intervals of the history, and how long they are kept. Each step must be a multiple
    /// of the one before it. Repeatable [default: 10s/15m, 1m/6h and 5m/2d]
    #[arg(long, value_name = "STEP/LENGTH", help_heading = "Output")]
    pub history_rings: Vec<RingSettings>,
    /// Keep the history in this file, so that it survives a restart. Written every five minutes and at
    /// the end. A file that was written with other rings is ignored [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub history_file: Option<PathBuf>,
    /// Maximum memory of the recent records that /api/v1/flows returns: up to 200 per second and worker,
    /// for 10 minutes. 0 keeps none, and clients cannot follow records [default: 8MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    pub recent_records_size: Option<Size>,
}
