//! An HTTP client for JSON: of engines that keep history, and of the API of another collector.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use url::Url;

/// Maximum octets of a response.
const MAX_OCTETS: usize = 64 << 20;
/// Maximum octets of a token or a password.
const MAX_SECRET_OCTETS: usize = 4096;
/// Media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// Media type of a text.
const TEXT: &str = "text/plain; charset=utf-8";

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// PEM file with the CAs of the server. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// PEM files with a certificate and its private key, which are presented to servers that request
    /// one. `None`: no certificate.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How requests authenticate.
    pub authentication: Option<Authentication>,
    /// Maximum time of a request.
    pub timeout: Duration,
}

/// How requests authenticate. Files are read for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// By the bearer token in the first line of a file.
    Bearer(PathBuf),
    /// By a name and a password (RFC 7617).
    Basic {
        /// The name. It must not contain a colon.
        user: String,
        /// File whose first line is the password.
        password_file: PathBuf,
    },
}

impl Authentication {
    /// The value of the header `Authorization`.
    fn header(&self) -> anyhow::Result<String> {
        match self {
            Self::Bearer(path) => Ok(format!("Bearer {}", read_token(path)?)),
            Self::Basic {
                user,
                password_file,
            } => {
                let password = read_first_line(password_file, "password")?;
                let text = format!("{user}:{password}");
                Ok(format!("Basic {}", BASE64_STANDARD.encode(text)))
            }
        }
    }
}

/// A client of one server. It keeps connections.
#[derive(Debug)]
pub struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    settings: ClientSettings,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: Bytes,
}

impl HttpClient {
    /// Creates a client. It does not connect yet.
    ///
    /// # Errors
    /// The file of the CAs, of the certificate or of its key cannot be used.
    pub fn new(settings: ClientSettings) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        match &settings.ca {
            Some(path) => add_file(&mut roots, path)?,
            None => {
                let system = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(system.certs);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let tls = match &settings.identity {
            Some((cert, key)) => with_identity(tls, cert, key)?,
            None => tls.with_no_client_auth(),
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(settings.timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            settings,
        })
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// There is no complete response in time.
    pub async fn get(&self, url: &Url) -> anyhow::Result<Response> {
        self.send("GET", url, None).await
    }

    /// Sends a form by POST.
    ///
    /// # Errors
    /// There is no complete response in time.
    pub async fn post_form(&self, url: &Url, form: &[(&str, &str)]) -> anyhow::Result<Response> {
        let form = serde_urlencoded::to_string(form)?;
        self.send("POST", url, Some((FORM, form))).await
    }

    /// Sends a text by POST.
    ///
    /// # Errors
    /// There is no complete response in time.
    pub async fn post_text(&self, url: &Url, text: String) -> anyhow::Result<Response> {
        self.send("POST", url, Some((TEXT, text))).await
    }

    async fn send(
        &self,
        method: &str,
        url: &Url,
        content: Option<(&str, String)>,
    ) -> anyhow::Result<Response> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(url.as_str())
            .header("accept", "application/json");
        let mut body = Bytes::new();
        if let Some((content_type, text)) = content {
            request = request.header("content-type", content_type);
            body = text.into();
        }
        if let Some(authentication) = &self.settings.authentication {
            request = request.header("authorization", authentication.header()?);
        }
        let request = request.body(Full::new(body))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(reason)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), MAX_OCTETS);
            let body = body.collect().await.map_err(|error| anyhow!("{error}"))?;
            anyhow::Ok(Response {
                status,
                body: body.to_bytes(),
            })
        };
        let server = || server_of(url);
        match tokio::time::timeout(self.settings.timeout, exchange).await {
            Ok(response) => response.with_context(server),
            Err(_) => Err(anyhow!("no response in time").context(server())),
        }
    }
}

/// Scheme, host and port of a URL.
fn server_of(url: &Url) -> String {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!(
        "{}://{}{port}",
        url.scheme(),
        url.host_str().unwrap_or_default()
    )
}

/// The innermost cause has the reason.
fn reason(error: hyper_util::client::legacy::Error) -> anyhow::Error {
    let error = anyhow::Error::new(error);
    match error.chain().last() {
        Some(cause) => anyhow!("{cause}"),
        None => error,
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let certificates =
        CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read ca {shown}"))?;
    for certificate in certificates {
        let certificate = certificate.with_context(|| format!("ca {shown} is not a PEM file"))?;
        roots
            .add(certificate)
            .with_context(|| format!("ca {shown} has no usable certificate"))?;
    }
    if roots.is_empty() {
        bail!("ca {shown} has no certificate");
    }
    Ok(())
}

fn with_identity(
    tls: ConfigBuilder<ClientConfig, WantsClientCert>,
    cert: &Path,
    key: &Path,
) -> anyhow::Result<ClientConfig> {
    let [shown_cert, shown_key] = [cert, key].map(Path::display);
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot use cert {shown_cert}"))?;
    let private =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("cannot use key {shown_key}"))?;
    tls.with_client_auth_cert(chain, private)
        .with_context(|| format!("cannot use cert {shown_cert} with key {shown_key}"))
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let token = read_first_line(path, "token")?;
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
        let shown = path.display();
        bail!("the first line of {shown} must be a token of printable ASCII");
    }
    Ok(token.to_owned())
}

/// The first line of a file that has a secret.
fn read_first_line(path: &Path, secret: &str) -> anyhow::Result<String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the {secret} of {shown}"))?;
    let line = text.lines().next().unwrap_or_default();
    if line.len() > MAX_SECRET_OCTETS {
        bail!("the {secret} of {shown} must have at most {MAX_SECRET_OCTETS} octets");
    }
    Ok(line.to_owned())
}
