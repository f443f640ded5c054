//! TLS for connections (RFC 7011 §11.1): the certificates of a listener, the names of exporters,
//! and the reasons for which handshakes fail.

use std::io;
use std::time::Instant;

use enum_map::Enum;
use kipfix_service::tls::{Certificates, ClientCertificates};
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use rustls::server::{ParsedCertificate, ServerConnection};
use strum::IntoStaticStr;

use super::listen_url::TlsParameters;

/// The certificates of one listener, and the names that exporters may have.
#[derive(Debug)]
pub struct ExporterTls {
    certificates: Certificates,
    names: Vec<ServerName<'static>>,
}

impl ExporterTls {
    /// Reads the files.
    ///
    /// # Errors
    /// A message that names the file and the problem.
    pub fn load(parameters: &TlsParameters, now: Instant) -> Result<Self, String> {
        let names = parameters.client_names.iter().map(|name| {
            ServerName::try_from(name.clone()).map_err(|_| {
                format!("invalid client-name={name}: must be a DNS name or an IP address")
            })
        });
        let names = names.collect::<Result<_, _>>()?;
        let certificates =
            Certificates::load(&parameters.files, ClientCertificates::Required, now)?;
        Ok(Self {
            certificates,
            names,
        })
    }

    /// The certificates.
    #[must_use]
    pub const fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// True if the exporter's certificate is valid for one of the allowed names.
    #[must_use]
    pub fn names_match(&self, connection: &ServerConnection) -> bool {
        if self.names.is_empty() {
            return true;
        }
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        let parsed = certificate.and_then(|c| ParsedCertificate::try_from(c).ok());
        parsed.is_some_and(|parsed| {
            let mut names = self.names.iter();
            names.any(|name| rustls::client::verify_server_name(&parsed, name).is_ok())
        })
    }
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum HandshakeError {
    /// The exporter presented no certificate.
    NoCertificate,
    /// Its certificate is not signed by a known CA.
    UnknownCa,
    /// Its certificate has expired, or is not valid yet.
    Expired,
    /// Its certificate is not valid for an allowed name.
    Name,
    /// Its certificate is invalid for another reason.
    BadCertificate,
    /// The exporter refused the collector's certificate: unknown CA, or another name expected.
    RefusedByExporter,
    /// No protocol version or cipher suite in common.
    Incompatible,
    /// What arrived is not TLS.
    NotTls,
    /// The exporter closed the connection.
    #[strum(serialize = "handshake_closed")]
    Closed,
    /// Anything else.
    #[strum(serialize = "handshake_failed")]
    Failed,
}

impl HandshakeError {
    /// The reason in the error of a failed handshake.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let Some(error) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        else {
            return Self::Closed;
        };
        match error {
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::InvalidCertificate(reason) => match reason {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownCa,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                _ => Self::BadCertificate,
            },
            rustls::Error::AlertReceived(_) => Self::RefusedByExporter,
            rustls::Error::PeerIncompatible(_) => Self::Incompatible,
            rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => {
                Self::NotTls
            }
            _ => Self::Failed,
        }
    }
}
