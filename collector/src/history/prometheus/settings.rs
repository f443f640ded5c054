//! How the engine is reached.

use url::Url;

use crate::history::engine_url;
use crate::http_client::{Authentication, ClientSettings};

/// How an engine with the HTTP API of Prometheus is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusSettings {
    /// As it was written.
    pub(in crate::history) text: String,
    /// Its URL, without parameters. Its path ends before `/api/v1`.
    pub url: Url,
    /// Files and timeout.
    pub client: ClientSettings,
}

impl PrometheusSettings {
    /// Parses a URL.
    pub(in crate::history) fn parse(text: &str) -> Result<Self, String> {
        let mut token_file = None;
        let (url, client) = engine_url::parse(text, "or token-file", |parameter| {
            let is_known = parameter.name() == "token-file";
            if is_known {
                token_file = Some(parameter.file()?);
            }
            Ok(is_known)
        })?;
        Ok(Self {
            text: text.to_owned(),
            url,
            client: ClientSettings {
                authentication: token_file.map(Authentication::Bearer),
                ..client
            },
        })
    }
}
