//! An HTTP client for JSON: of engines that keep history, and of the API of another collector.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kipfix_export::tls::Credentials;
use kipfix_export::url::Login;
use kipfix_service::secret;
use kipfix_service::tls_error::describe;
use url::Url;

/// Maximum octets of a response.
const MAX_OCTETS: usize = 64 << 20;
/// Media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// Media type of a text.
const TEXT: &str = "text/plain; charset=utf-8";

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Files of TLS.
    pub credentials: Credentials,
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
    /// By a name without a colon, and a password (RFC 7617).
    Basic(Login),
}

impl Authentication {
    /// The value of the header `Authorization`.
    fn header(&self) -> anyhow::Result<String> {
        match self {
            Self::Bearer(path) => {
                let token = secret::read_token(path);
                let shown = path.display();
                let token = token.with_context(|| format!("cannot read the token of {shown}"))?;
                Ok(format!("Bearer {token}"))
            }
            Self::Basic(login) => {
                let password = login.read_password().map_err(anyhow::Error::msg)?;
                let text = format!("{}:{password}", login.user);
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
        let tls = settings
            .credentials
            .client_config(rustls::DEFAULT_VERSIONS)?;
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
    let Some(cause) = error.chain().last() else {
        return error;
    };
    // An error of TLS is in errors of reading and writing.
    let mut inner: &(dyn Error + 'static) = cause;
    while let Some(next) = inner.downcast_ref().and_then(io::Error::get_ref) {
        inner = next;
    }
    match inner.downcast_ref() {
        Some(of_tls) => anyhow!("{}", describe(of_tls)),
        None => anyhow!("{cause}"),
    }
}
