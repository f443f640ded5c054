//! TLS for connections (RFC 7011 §11.1): certificates from files that may change at run time, and the reasons for which
//! handshakes fail.

use std::io;
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kipfix_service::sync::lock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{
    NoServerSessionStorage, ParsedCertificate, ServerConnection, WebPkiClientVerifier,
};
use rustls::{CertificateError, RootCertStore, ServerConfig};

use super::listen_url::TlsFiles;

/// Minimum interval between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The certificates of one listener.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    names: Vec<ServerName<'static>>,
    state: Mutex<State>,
    loads: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    /// State of the files when they were last read, successfully or not.
    stamp: Option<Stamp>,
    checked: Instant,
}

/// What identifies the content of a file: device, inode, size, time of modification.
type Stamp = Vec<(u64, u64, u64, i64, i64)>;

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// A message that names the file and the problem.
    pub fn load(files: &TlsFiles, now: Instant) -> Result<Self, String> {
        let names = files.client_names.iter().map(|name| {
            ServerName::try_from(name.clone()).map_err(|_| {
                format!("invalid client-name={name}: must be a DNS name or an IP address")
            })
        });
        let names = names.collect::<Result<_, _>>()?;
        let stamp = stamp(files).ok();
        Ok(Self {
            state: Mutex::new(State {
                config: Arc::new(config(files)?),
                stamp,
                checked: now,
            }),
            files: files.clone(),
            names,
            loads: AtomicU64::new(1),
            failures: AtomicU64::new(0),
        })
    }

    /// The configuration for a new connection. Files that have changed are read again. If that fails, the previous
    /// content stays in use and the failure is logged.
    pub fn current(&self, now: Instant) -> Arc<ServerConfig> {
        let mut state = lock(&self.state);
        if now.saturating_duration_since(state.checked) >= CHECK_INTERVAL {
            state.checked = now;
            let stamp = stamp(&self.files).ok();
            if stamp != state.stamp {
                state.stamp = stamp;
                match config(&self.files) {
                    Ok(config) => {
                        state.config = Arc::new(config);
                        self.loads.fetch_add(1, Ordering::Relaxed);
                        tracing::info!(cert = %self.files.cert.display(), "certificates reloaded");
                    }
                    Err(error) => {
                        self.failures.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(%error, "cannot reload certificates; the previous ones stay in use");
                    }
                }
            }
        }
        Arc::clone(&state.config)
    }

    /// Number of successful and of failed reads of the files.
    #[must_use]
    pub fn loads(&self) -> (u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.loads), load(&self.failures))
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

fn stamp(files: &TlsFiles) -> io::Result<Stamp> {
    let all = [
        Some(&files.cert),
        Some(&files.key),
        files.client_ca.as_ref(),
    ];
    let stamps = all.into_iter().flatten().map(|path| {
        let file = std::fs::metadata(path)?;
        Ok((
            file.st_dev(),
            file.st_ino(),
            file.st_size(),
            file.st_mtime(),
            file.st_mtime_nsec(),
        ))
    });
    stamps.collect()
}

fn config(files: &TlsFiles) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let unusable = |error: &dyn std::fmt::Display| {
                format!("cannot use client-ca={}: {error}", path.display())
            };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path).map_err(|error| unusable(&error))? {
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| unusable(&error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&files.cert)
        .map_err(|error| format!("cannot use cert={}: {error}", files.cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("cannot use key={}: {error}", files.key.display()))?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let (cert, key) = (files.cert.display(), files.key.display());
        format!("cannot use cert={cert} with key={key}: {error}")
    })?;
    // Without resumption, every connection presents its certificate, so an expired one is noticed.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    let all = CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() {
        return Err(rustls::pki_types::pem::Error::NoItemsFound);
    }
    Ok(all)
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Closed,
    /// Anything else.
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
