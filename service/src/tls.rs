//! TLS for servers: certificates from files that may change at run time.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::client_verifier::ClientVerifier;
use crate::exit::BadSettings;
use crate::file_stamp::FileStamp;
use crate::sync::lock;
use crate::tls_error::describe;

/// Minimum interval between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The files of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate of the server, followed by those that lead to a CA.
    pub cert: PathBuf,
    /// PEM: the private key of the certificate.
    pub key: PathBuf,
    /// PEM: CAs of which one must have signed the certificate of a client. Without it no
    /// certificate is requested.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// Returns the files of three settings with their names.
    ///
    /// # Errors
    /// Only some of the settings that need each other are set.
    pub fn of_settings(
        settings: [(&str, Option<&PathBuf>); 3],
    ) -> Result<Option<Self>, BadSettings> {
        let [(cert_name, cert), (key_name, key), (ca_name, client_ca)] = settings;
        let needs = |name: &str, file: &PathBuf, others: &str| {
            let file = file.display();
            BadSettings::new(format!("invalid {name} \"{file}\": needs {others}"))
        };
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(Some(Self {
                cert: cert.clone(),
                key: key.clone(),
                client_ca: client_ca.cloned(),
            })),
            (Some(cert), None) => Err(needs(cert_name, cert, key_name)),
            (None, Some(key)) => Err(needs(key_name, key, cert_name)),
            (None, None) => client_ca.map_or(Ok(None), |client_ca| {
                let both = format!("{cert_name} and {key_name}");
                Err(needs(ca_name, client_ca, &both))
            }),
        }
    }
}

/// Declares the flags for the TLS files of a port: certificate, private key and the CAs of clients,
/// in this order.
#[macro_export]
macro_rules! tls_flags {
    (
        $(#[$doc:meta])*
        $type:ident, $port:literal, $cert:ident, $key:ident, $client_ca:ident
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, ::clap::Args, ::serde::Serialize)]
        pub struct $type {
            #[arg(long, value_name = "FILE", help = concat!(
                "PEM file with the certificate of the --", $port, " port, which is served with TLS ",
                "then. Reloaded when it changes [default: none, no TLS]"
            ))]
            $cert: Option<::std::path::PathBuf>,
            #[arg(long, value_name = "FILE", help = concat!(
                "PEM file with the private key of --", $port, "-tls-cert. Reloaded when it changes ",
                "[default: none]"
            ))]
            $key: Option<::std::path::PathBuf>,
            #[arg(long, value_name = "FILE", help = concat!(
                "PEM file with certificate authorities: clients of the --", $port, " port must ",
                "present a certificate signed by one of them, except for /livez and /readyz. ",
                "Reloaded when it changes [default: none, clients need no certificate]"
            ))]
            $client_ca: Option<::std::path::PathBuf>,
        }

        impl $type {
            /// Returns the files; `None` without TLS.
            ///
            /// # Errors
            /// Only some of the settings that need each other are set.
            pub fn files(
                &self,
            ) -> Result<Option<$crate::tls::TlsFiles>, $crate::settings::BadSettings> {
                $crate::tls::TlsFiles::of_settings([
                    (stringify!($cert), self.$cert.as_ref()),
                    (stringify!($key), self.$key.as_ref()),
                    (stringify!($client_ca), self.$client_ca.as_ref()),
                ])
            }
        }
    };
}

/// Whether a client must present a certificate, if there are CAs for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// The handshake of a client without one fails.
    Required,
    /// The handshake of a client without one succeeds. A certificate that is presented must be
    /// valid.
    Optional,
}

/// The certificates of one listener.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    clients: ClientCertificates,
    state: Mutex<State>,
    loads: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    /// Versions of the files when they were last read, successfully or not.
    stamps: Vec<Option<FileStamp>>,
    checked: Instant,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// A message that names the file and the problem.
    pub fn load(
        files: &TlsFiles,
        clients: ClientCertificates,
        now: Instant,
    ) -> Result<Self, String> {
        let stamps = stamps(files);
        Ok(Self {
            state: Mutex::new(State {
                config: Arc::new(config(files, clients)?),
                stamps,
                checked: now,
            }),
            files: files.clone(),
            clients,
            loads: AtomicU64::new(1),
            failures: AtomicU64::new(0),
        })
    }

    /// The configuration for a new connection. Files that have changed are read again, at most once
    /// per second. If that fails, the previous content stays in use and the failure is logged.
    pub fn current(&self, now: Instant) -> Arc<ServerConfig> {
        let mut state = lock(&self.state);
        if now.saturating_duration_since(state.checked) >= CHECK_INTERVAL {
            state.checked = now;
            let stamps = stamps(&self.files);
            if stamps != state.stamps {
                state.stamps = stamps;
                match config(&self.files, self.clients) {
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

    /// True if there are CAs for clients.
    #[must_use]
    pub const fn has_client_ca(&self) -> bool {
        self.files.client_ca.is_some()
    }
}

fn stamps(files: &TlsFiles) -> Vec<Option<FileStamp>> {
    let all = [
        Some(&files.cert),
        Some(&files.key),
        files.client_ca.as_ref(),
    ];
    let paths = all.into_iter().flatten();
    paths.map(|path| FileStamp::of(path)).collect()
}

fn config(files: &TlsFiles, clients: ClientCertificates) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let unusable =
                |error: &dyn Display| format!("cannot use client-ca={}: {error}", path.display());
            let trusted = certificates(path).map_err(|error| unusable(&error))?;
            let mut roots = RootCertStore::empty();
            for certificate in &trusted {
                let added = roots.add(certificate.clone());
                added.map_err(|error| unusable(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match clients {
                ClientCertificates::Required => verifier,
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
            };
            let signed = verifier.build().map_err(|error| unusable(&error))?;
            builder.with_client_cert_verifier(Arc::new(ClientVerifier { signed, trusted }))
        }
    };
    let chain = certificates(&files.cert)
        .map_err(|error| format!("cannot use cert={}: {error}", files.cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| format!("cannot use key={}: {}", files.key.display(), unread(&error)))?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let (cert, key) = (files.cert.display(), files.key.display());
        format!(
            "cannot use cert={cert} with key={key}: {}",
            describe(&error)
        )
    })?;
    // Without resumption, every connection presents its certificate, so an expired one is noticed.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all: Vec<_> = all.map_err(|error| unread(&error))?;
    if all.is_empty() {
        return Err("it has no certificate".to_owned());
    }
    Ok(all)
}

fn unread(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it has no private key".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::{ClientConfig, ClientConnection, ServerConnection};

    use super::*;

    #[test]
    fn settings_that_need_each_other_are_named() {
        let file = PathBuf::from("f");
        let of = |cert: bool, key: bool, client_ca: bool| {
            let [cert, key, client_ca] = [cert, key, client_ca].map(|is| is.then_some(&file));
            let names = ["http_tls_cert", "http_tls_key", "http_client_ca"];
            let [a, b, c] = names;
            let files = TlsFiles::of_settings([(a, cert), (b, key), (c, client_ca)]);
            files.map_err(|bad| bad.to_string())
        };
        assert_eq!(of(false, false, false), Ok(None));
        let files = of(true, true, true).unwrap().unwrap();
        assert_eq!(files.client_ca.as_ref(), Some(&file));
        assert_eq!(of(true, true, false).unwrap().unwrap().client_ca, None);
        let error = of(true, false, true).unwrap_err();
        assert_eq!(error, "invalid http_tls_cert \"f\": needs http_tls_key");
        let error = of(false, true, false).unwrap_err();
        assert_eq!(error, "invalid http_tls_key \"f\": needs http_tls_cert");
        let error = of(false, false, true).unwrap_err();
        assert_eq!(
            error,
            "invalid http_client_ca \"f\": needs http_tls_cert and http_tls_key"
        );
    }

    /// A self-signed certificate, which may be one of an authority, and its key, as files.
    fn self_signed(folder: &Path, name: &str, is_ca: IsCa) -> [PathBuf; 2] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["server.example".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).unwrap();
        let files = [
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key")),
        ];
        for (path, text) in files.iter().zip([certificate.pem(), key.serialize_pem()]) {
            std::fs::write(path, text).unwrap();
        }
        files
    }

    fn server(cert: &Path, key: &Path) -> Result<ServerConfig, String> {
        let files = TlsFiles {
            cert: cert.to_owned(),
            key: key.to_owned(),
            client_ca: None,
        };
        config(&files, ClientCertificates::Required)
    }

    #[test]
    fn a_file_that_is_not_what_it_should_be_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = self_signed(folder.path(), "one", IsCa::NoCa);
        let [_, other] = self_signed(folder.path(), "other", IsCa::NoCa);
        let missing = folder.path().join("missing");
        assert!(server(&cert, &key).is_ok());
        for (cert, key, reason) in [
            (&key, &key, "one.key: it has no certificate"),
            (&cert, &cert, "one.pem: it has no private key"),
            (&missing, &key, "missing: No such file"),
            (
                &cert,
                &other,
                "other.key: the key is not that of the certificate",
            ),
        ] {
            let error = server(cert, key).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn the_certificate_of_an_authority_is_named_as_one_if_a_server_presents_it() {
        let folder = tempfile::tempdir().unwrap();
        let ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let [cert, key] = self_signed(folder.path(), "ca", ca);
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&cert).unwrap() {
            roots.add(certificate).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "server.example".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server(&cert, &key).unwrap())).unwrap();
        let mut octets = Vec::new();
        client.write_tls(&mut octets).unwrap();
        server.read_tls(&mut octets.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        octets.clear();
        while server.wants_write() {
            server.write_tls(&mut octets).unwrap();
        }
        client.read_tls(&mut octets.as_slice()).unwrap();
        let error = client.process_new_packets().unwrap_err();
        assert!(describe(&error).contains("CA:TRUE"), "{error:?}");
    }
}
