//! TLS to targets and engines: files of certificates, the configuration of a client, and reasons of
//! failures.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore,
    SupportedProtocolVersion,
};

use crate::counters::ConnectionFailure;
use crate::server_verifier::ServerVerifier;

/// The PEM files of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Authorities of the server's certificate. Default: those of the system.
    pub ca: Option<PathBuf>,
    /// Own certificate chain, for servers that request it.
    pub cert: Option<PathBuf>,
    /// Own private key.
    pub key: Option<PathBuf>,
}

impl Credentials {
    /// Reads the files. `versions` are the versions of TLS.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub fn client_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> anyhow::Result<ClientConfig> {
        self.config_with(self.trusted()?, versions)
    }

    /// The certificate authorities, and their certificates if they are not those of the system,
    /// which can have none.
    fn trusted(&self) -> anyhow::Result<(RootCertStore, Vec<CertificateDer<'static>>)> {
        let mut roots = RootCertStore::empty();
        let mut trusted = Vec::new();
        let Some(path) = &self.ca else {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            return Ok((roots, trusted));
        };
        let shown = path.display();
        let certificates = CertificateDer::pem_file_iter(path)
            .with_context(|| format!("cannot read ca {shown}"))?;
        for certificate in certificates {
            let certificate =
                certificate.with_context(|| format!("ca {shown} is not a PEM file"))?;
            trusted.push(certificate.clone());
            roots
                .add(certificate)
                .with_context(|| format!("ca {shown} has no usable certificate"))?;
        }
        if roots.is_empty() {
            bail!("ca {shown} has no certificate");
        }
        Ok((roots, trusted))
    }

    fn config_with(
        &self,
        (roots, trusted): (RootCertStore, Vec<CertificateDer<'static>>),
        versions: &[&'static SupportedProtocolVersion],
    ) -> anyhow::Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?;
        let builder = if trusted.is_empty() {
            builder.with_root_certificates(roots)
        } else {
            let verifier = ServerVerifier::new(roots, trusted, provider)?;
            let builder = builder.dangerous();
            builder.with_custom_certificate_verifier(Arc::new(verifier))
        };
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Ok(builder.with_no_client_auth());
        };
        let [shown_cert, shown_key] = [cert, key].map(|path| Path::display(path));
        let chain = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect)
            .with_context(|| format!("cannot use cert {shown_cert}"))?;
        let private = PrivateKeyDer::from_pem_file(key)
            .with_context(|| format!("cannot use key {shown_key}"))?;
        builder
            .with_client_auth_cert(chain, private)
            .with_context(|| format!("cannot use cert {shown_cert} with key {shown_key}"))
    }
}

/// Creates a connection over TLS 1.3 that has sent nothing. The files are read for each connection,
/// because certificates are renewed.
///
/// # Errors
/// A file cannot be read or used, or there are no certificate authorities.
pub fn client(credentials: &Credentials, host: &str) -> anyhow::Result<ClientConnection> {
    let trusted = credentials.trusted()?;
    if trusted.0.is_empty() {
        bail!("the system has no certificate authorities: set ?ca=FILE");
    }
    let mut config = credentials.config_with(trusted, &[&rustls::version::TLS13])?;
    // Every connection is verified in full.
    config.resumption = Resumption::disabled();
    let name = match host.parse::<IpAddr>() {
        Ok(address) => ServerName::IpAddress(address.into()),
        Err(_) => ServerName::try_from(host.trim_end_matches('.').to_owned())
            .with_context(|| format!("{host:?} is not a valid name in a certificate"))?,
    };
    Ok(ClientConnection::new(Arc::new(config), name)?)
}

/// The reason of a failure, for the metric.
#[must_use]
pub fn reason(error: &Error) -> ConnectionFailure {
    use ConnectionFailure as Reason;
    match error {
        Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Reason::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Reason::WrongName
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Reason::UnknownAuthority
            }
            _ => Reason::Tls,
        },
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => Reason::CertificateRefused,
        _ => Reason::Tls,
    }
}
