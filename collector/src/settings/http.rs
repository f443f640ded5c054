//! Flags of the HTTP port.

use std::path::PathBuf;

use clap::Args;
use kipfix_service::settings::ListenAddress;
use kipfix_service::tls_flags;
use serde::Serialize;

tls_flags! {
    /// Files of TLS of the HTTP port.
    HttpTlsFlags, "http", http_tls_cert, http_tls_key, http_client_ca
}

/// Flags of the HTTP port.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "HTTP")]
pub struct HttpFlags {
    /// Address of the page, the API, /metrics, /livez and /readyz
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "[::]:8080")]
    pub http: ListenAddress,
    /// File whose first line is the bearer token of the API: requests below /api need the header
    /// Authorization: Bearer TOKEN. The page asks for it. Reloaded when it changes [default:
    /// none, the API needs no token]
    #[arg(long, value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,
    /// Files of TLS.
    #[command(flatten)]
    #[serde(flatten)]
    pub tls: HttpTlsFlags,
}
