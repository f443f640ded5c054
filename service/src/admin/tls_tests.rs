//! Tests of a listener with TLS, with real connections.
#![allow(clippy::disallowed_methods, reason = "the time of a test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::exposition::{Format, Written, write_registry};
use crate::metric_maker::MetricMaker;
use crate::registry::Registry;
use crate::signals::Stop;
use crate::tls::TlsFiles;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A directory with `ca.crt`, and certificate and key of `server` and of `client`.
fn write_certificates(folder: &Path) {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let put = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    put("ca.crt", ca.self_signed(&ca_key).unwrap().pem());
    let issuer = Issuer::from_params(&ca, &ca_key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        put(&format!("{name}.crt"), certificate.pem());
        put(&format!("{name}.key"), key.serialize_pem());
    }
}

struct Served {
    folder: tempfile::TempDir,
    address: SocketAddr,
    registry: Registry,
    stop: Stop,
}

impl Served {
    fn new(with_client_ca: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_certificates(folder.path());
        let path = |name: &str| folder.path().join(name);
        let files = TlsFiles {
            cert: path("server.crt"),
            key: path("server.key"),
            client_ca: with_client_ca.then(|| path("ca.crt")),
        };
        let make = MetricMaker::new("test");
        let metrics = HttpMetrics::new(&make).unwrap();
        let listener = Listener::bind("http", "127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listener.with_tls("http_tls", Some(&files)).unwrap();
        let (address, stop) = (listener.local_address(), Stop::new().unwrap());
        let routes = router(
            |_| Box::new(Written::from(b"x_total 1\n".to_vec())),
            Readiness::default,
        );
        listener.serve(routes, metrics, stop.clone()).unwrap();
        Self {
            folder,
            address,
            registry: make.registry().clone(),
            stop,
        }
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    fn tls(&self, with_certificate: bool) -> StreamOwned<ClientConnection, TcpStream> {
        let path = |name: &str| self.folder.path().join(name);
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(path("ca.crt")).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = if with_certificate {
            let chain = vec![CertificateDer::from_pem_file(path("client.crt")).unwrap()];
            let key = PrivateKeyDer::from_pem_file(path("client.key")).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        } else {
            config.with_no_client_auth()
        };
        let name = "localhost".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, self.tcp())
    }

    /// The status of a request on a new connection.
    fn status(&self, path: &str, with_certificate: bool) -> String {
        status_on(&mut self.tls(with_certificate), path)
    }

    fn value(&self, series: &str) -> String {
        let mut text = Vec::new();
        write_registry(&self.registry, Format::Text, &mut text);
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find(|line| line.starts_with(series));
        line.unwrap_or("none")
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.set();
    }
}

fn status_on(stream: &mut (impl Read + Write), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

fn eventually(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < TIMEOUT, "it does not become true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_client_ca_protects_all_paths_but_those_of_the_kubelet() {
    let served = Served::new(true);
    for path in ["/metrics", "/", "/livez/", "/readyz?x"] {
        let expected = if path.starts_with("/readyz") {
            "200"
        } else {
            "403"
        };
        assert_eq!(served.status(path, false), expected, "{path}");
    }
    assert_eq!(
        served.value("test_http_requests_without_certificate_total"),
        "3"
    );
    for path in ["/livez", "/readyz"] {
        assert_eq!(served.status(path, false), "200", "{path}");
    }
    for path in ["/metrics", "/livez"] {
        assert_eq!(served.status(path, true), "200", "{path}");
    }
}

#[test]
fn a_certificate_of_another_ca_is_refused() {
    let served = Served::new(true);
    let other = tempfile::tempdir().unwrap();
    write_certificates(other.path());
    for name in ["client.crt", "client.key"] {
        std::fs::copy(other.path().join(name), served.folder.path().join(name)).unwrap();
    }
    let mut stream = served.tls(true);
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .ok();
    assert!(stream.read_exact(&mut [0; 1]).is_err());
    let series = "test_http_connections_refused_total{reason=\"bad_certificate\"}";
    eventually(|| served.value(series) == "1");
}

#[test]
fn a_request_without_tls_is_answered_with_the_reason() {
    let served = Served::new(false);
    let mut stream = served.tcp();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("request https://\n"), "{answer}");
    let series = "test_http_connections_refused_total{reason=\"plain_http\"}";
    eventually(|| served.value(series) == "1");
    assert_eq!(served.status("/metrics", false), "200");
}

#[test]
fn changed_files_are_used_for_new_connections_and_unusable_ones_are_not() {
    let served = Served::new(false);
    let mut open = served.tls(false);
    assert_eq!(status_on(&mut open, "/livez"), "200");
    let path = |name: &str| served.folder.path().join(name);
    let loads = |result: &str| {
        served.value(&format!(
            "test_http_certificate_loads_total{{result=\"{result}\"}}"
        ))
    };
    std::fs::write(path("server.crt"), "nothing").unwrap();
    eventually(|| served.status("/livez", false) == "200" && loads("failed") == "1");
    assert_eq!(loads("ok"), "1");
    // The client trusts the new CA only, so an answer shows that the new certificate is in use.
    write_certificates(served.folder.path());
    eventually(|| {
        let mut stream = served.tls(false);
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            .ok();
        stream.read_exact(&mut [0; 1]).is_ok()
    });
    assert_eq!(loads("ok"), "2");
    // The rest of the first response, then another one on the same connection.
    let mut rest = [0; 4096];
    assert!(open.read(&mut rest).unwrap() > 0);
    assert_eq!(status_on(&mut open, "/livez"), "200");
}

#[test]
fn clients_that_send_nothing_are_displaced() {
    for with_tls in [false, true] {
        let served = Served::new(false);
        let mut open = served.tls(false);
        assert_eq!(status_on(&mut open, "/livez"), "200");
        let silent: Vec<_> = (0..200)
            .map(|_| {
                if with_tls {
                    // The handshake is complete, but no request follows.
                    let mut stream = served.tls(false);
                    stream.conn.complete_io(&mut stream.sock).unwrap();
                    stream.sock
                } else {
                    served.tcp()
                }
            })
            .collect();
        let start = Instant::now();
        assert_eq!(served.status("/livez", false), "200");
        // Without displacement, a slot is free after the timeout of the handshake, 10 s.
        assert!(start.elapsed() < Duration::from_secs(5));
        let series = "test_http_connections_refused_total{reason=\"displaced\"}";
        eventually(|| served.value(series) != "0");
        // A connection with a request is not displaced.
        let mut rest = [0; 4096];
        assert!(open.read(&mut rest).unwrap() > 0);
        assert_eq!(status_on(&mut open, "/livez"), "200");
        drop(silent);
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let path = |name: &str| folder.path().join(name);
    let failure = |cert: &str, key: &str, client_ca: Option<&str>| {
        let files = TlsFiles {
            cert: path(cert),
            key: path(key),
            client_ca: client_ca.map(path),
        };
        let listener = Listener::bind("http", "127.0.0.1:0".parse().unwrap()).unwrap();
        let failure = listener.with_tls("http_tls", Some(&files)).unwrap_err();
        assert_eq!(failure.code(), 64);
        failure.sentence()
    };
    let sentence = failure("none", "server.key", None);
    assert!(
        sentence.starts_with("http_tls: cannot use cert="),
        "{sentence}"
    );
    let sentence = failure("server.crt", "client.key", None);
    assert!(sentence.contains("with key="), "{sentence}");
    let sentence = failure("server.crt", "server.key", Some("server.key"));
    assert!(sentence.contains("cannot use client-ca="), "{sentence}");
}
