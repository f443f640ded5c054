//! TLS 1.3 to a target: verification of its certificate, the own certificate, and reasons of
//! failures.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, RootCertStore,
};

use crate::counters::ConnectionFailure;
use crate::target::Credentials;

/// Creates a connection that has sent nothing. The files are read for each connection, because
/// certificates are renewed.
///
/// # Errors
/// A file cannot be read or used.
pub fn client(credentials: &Credentials, host: &str) -> anyhow::Result<ClientConnection> {
    let mut roots = RootCertStore::empty();
    match &credentials.ca {
        Some(path) => {
            let shown = path.display();
            let certificates = CertificateDer::pem_file_iter(path)
                .with_context(|| format!("cannot read ca {shown}"))?;
            for certificate in certificates {
                let certificate =
                    certificate.with_context(|| format!("ca {shown} is not a PEM file"))?;
                roots
                    .add(certificate)
                    .with_context(|| format!("ca {shown} has no usable certificate"))?;
            }
            if roots.is_empty() {
                bail!("ca {shown} has no certificate");
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            if roots.is_empty() {
                bail!("the system has no certificate authorities: set ?ca=FILE");
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = match (&credentials.cert, &credentials.key) {
        (Some(cert), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(cert)
                .and_then(Iterator::collect)
                .with_context(|| format!("cannot read cert {}", cert.display()))?;
            let private = PrivateKeyDer::from_pem_file(key)
                .with_context(|| format!("cannot read key {}", key.display()))?;
            builder
                .with_client_auth_cert(chain, private)
                .with_context(|| format!("key {} does not match cert", key.display()))?
        }
        _ => builder.with_no_client_auth(),
    };
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
