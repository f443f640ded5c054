//! Flags of the admin port.

use clap::Args;
use kipfix_service::settings::ListenAddress;
use kipfix_service::tls_flags;
use serde::Serialize;

tls_flags! {
    /// Files of TLS of the admin port.
    AdminTlsFlags, "admin", admin_tls_cert, admin_tls_key, admin_client_ca
}

/// Flags of the admin port.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "General")]
pub struct AdminFlags {
    /// Address for /metrics, /livez and /readyz [default: 127.0.0.1:9473; none with --read]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin: Option<ListenAddress>,
    /// Files of TLS.
    #[command(flatten)]
    #[serde(flatten)]
    pub tls: AdminTlsFlags,
}
