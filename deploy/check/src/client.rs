//! Requests to admin ports, with TLS if there is a CA.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use kipfix_scrape::{Scrape, connect, get_over};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The files of TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientFiles {
    /// PEM: CAs of the daemon. Without it, TLS is not used.
    pub(crate) ca: Option<String>,
    /// PEM: the certificate that is presented, and its private key.
    pub(crate) identity: Option<(String, String)>,
}

/// All daemons behind one host name.
pub(crate) struct Daemons {
    name: ServerName<'static>,
    addresses: Vec<SocketAddr>,
    tls: Option<Arc<ClientConfig>>,
}

impl Daemons {
    /// Resolves `HOST:PORT` to the addresses of all daemons behind it.
    pub(crate) fn resolve(host_port: &str, files: &ClientFiles) -> Result<Self> {
        let mut addresses: Vec<SocketAddr> = host_port
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {host_port}"))?
            .collect();
        addresses.sort();
        addresses.dedup();
        ensure!(!addresses.is_empty(), "{host_port} has no address");
        let host = host_port
            .rsplit_once(':')
            .map_or(host_port, |(host, _)| host);
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).with_context(|| format!("invalid {host_port:?}"))?;
        let tls = files.ca.as_ref().map(|ca| config(ca, files)).transpose()?;
        Ok(Self {
            name,
            addresses,
            tls: tls.map(Arc::new),
        })
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().copied()
    }

    /// The body of a GET.
    pub(crate) fn get(&self, address: SocketAddr, path: &str) -> Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let body = || -> Result<String> {
            let stream = connect(address)?;
            match &self.tls {
                None => get_over(stream, path),
                Some(config) => get_over(self.encrypted(stream, config)?, path),
            }
        };
        body().with_context(|| format!("{scheme}://{address}{path}"))
    }

    /// The metrics of a daemon.
    pub(crate) fn scrape(&self, address: SocketAddr) -> Result<Scrape> {
        Scrape::parse(&self.get(address, "/metrics")?)
    }

    fn encrypted(
        &self,
        stream: TcpStream,
        config: &Arc<ClientConfig>,
    ) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let connection = ClientConnection::new(Arc::clone(config), self.name.clone())?;
        Ok(StreamOwned::new(connection, stream))
    }
}

fn config(ca: &str, files: &ClientFiles) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots
            .add(certificate)
            .with_context(|| format!("cannot use the certificates of {ca}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let Some((cert, key)) = &files.identity else {
        return Ok(config.with_no_client_auth());
    };
    let private =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("cannot use the key {key}"))?;
    config
        .with_client_auth_cert(certificates(cert)?, private)
        .with_context(|| format!("cannot use {cert} with {key}"))
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(Path::new(path));
    let all: Vec<_> = read
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificates of {path}"))?;
    ensure!(!all.is_empty(), "{path} has no certificate");
    Ok(all)
}

#[cfg(test)]
mod tests {
    use kipfix_service::admin::{HttpMetrics, Listener, Readiness, router};
    use kipfix_service::exposition::Written;
    use kipfix_service::metric_maker::MetricMaker;
    use kipfix_service::signals::Stop;
    use kipfix_service::tls::TlsFiles;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    #[test]
    fn metrics_are_read_over_tls_with_a_client_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let shown = |name: &str| path(name).display().to_string();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        std::fs::write(path("ca"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
        let issuer = Issuer::from_params(&ca, &ca_key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(path("cert"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        let files = TlsFiles {
            cert: path("cert"),
            key: path("key"),
            client_ca: Some(path("ca")),
        };
        let listener = Listener::bind("admin", "127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listener.with_tls("admin_tls", Some(&files)).unwrap();
        let address = listener.local_address();
        let stop = Stop::new().unwrap();
        let routes = router(
            |_| Box::new(Written::from(b"a 1\n".to_vec())),
            Readiness::default,
        );
        let metrics = HttpMetrics::new(&MetricMaker::new("test")).unwrap();
        let serving = listener.serve(routes, metrics, stop.clone()).unwrap();
        let host_port = format!("localhost:{}", address.port());
        let mut files = ClientFiles {
            ca: Some(shown("ca")),
            identity: Some((shown("cert"), shown("key"))),
        };
        let daemons = Daemons::resolve(&host_port, &files).unwrap();
        assert_eq!(daemons.scrape(address).unwrap().sum("a"), Some(1));
        files.identity = None;
        let daemons = Daemons::resolve(&host_port, &files).unwrap();
        let error = format!("{:#}", daemons.scrape(address).unwrap_err());
        assert!(error.contains("403"), "{error}");
        assert!(daemons.get(address, "/readyz").is_ok());
        let daemons = Daemons::resolve(&host_port, &ClientFiles::default()).unwrap();
        let error = format!("{:#}", daemons.scrape(address).unwrap_err());
        assert!(error.contains("request https://"), "{error}");
        stop.set();
        serving.join().unwrap();
    }
}
