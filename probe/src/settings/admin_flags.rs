//! The command line of the admin port.

use std::path::PathBuf;

use clap::Args;
use kipfix_service::settings::{BadSettings, ListenAddress};
use kipfix_service::tls::TlsFiles;
use serde::Serialize;

use super::Settings;

/// Flags of the admin port.
#[derive(Debug, Args, Serialize)]
pub(super) struct AdminFlags {
    /// Address for /metrics, /livez and /readyz [default: 127.0.0.1:9473; none with --read]
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Operation")]
    admin: Option<ListenAddress>,
    /// PEM file with the certificate of the --admin port, which is served with TLS then. Reloaded
    /// when it changes [default: none, no TLS]
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    admin_tls_cert: Option<PathBuf>,
    /// PEM file with the private key of --admin-tls-cert. Reloaded when it changes [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    admin_tls_key: Option<PathBuf>,
    /// PEM file with certificate authorities: clients of the --admin port must present a certificate
    /// signed by one of them, except for /livez and /readyz. Reloaded when it changes [default: none,
    /// clients need no certificate]
    #[arg(long, value_name = "FILE", help_heading = "Operation")]
    admin_client_ca: Option<PathBuf>,
}

impl Settings {
    /// Files of TLS for the admin port; `None` without TLS.
    ///
    /// # Errors
    /// Only some of the settings that need each other are set.
    pub fn admin_tls(&self) -> Result<Option<TlsFiles>, BadSettings> {
        let (cert, key) = (self.admin_tls_cert.as_ref(), self.admin_tls_key.as_ref());
        TlsFiles::of_settings("admin", cert, key, self.admin_client_ca.as_ref())
            .map_err(BadSettings::new)
    }
}
