//! How the server is reached.

use kipfix_export::url::{Login, LoginParameters};
use url::Url;

use crate::emit::clickhouse::{DEFAULT_PORT, DEFAULT_TLS_PORT, parse_name};
use crate::history::engine_url;
use crate::http_client::{Authentication, ClientSettings};

/// How a ClickHouse server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseSettings {
    /// As it was written.
    pub(in crate::history) text: String,
    /// Its URL, without the database and parameters.
    pub url: Url,
    /// The database with the tables.
    pub database: String,
    /// Files and timeout.
    pub client: ClientSettings,
}

impl ClickHouseSettings {
    /// Parses a URL, whose path is the database.
    pub(in crate::history) fn parse(text: &str) -> Result<Self, String> {
        let mut login = LoginParameters::default();
        let others = "user or password-file";
        let (mut url, client) = engine_url::parse(text, others, |parameter| login.take(parameter))?;
        let login = login.login()?;
        if let Some(Login { user, .. }) = &login
            && user.contains(':')
        {
            return Err(format!("invalid user {user:?}: must be a name without ':'"));
        }
        let database = parse_name("database", url.path().trim_matches('/'))?;
        url.set_path("/");
        if url.port().is_none() {
            let port = if url.scheme() == "https" {
                DEFAULT_TLS_PORT
            } else {
                DEFAULT_PORT
            };
            // It has a host.
            url.set_port(Some(port)).ok();
        }
        Ok(Self {
            text: text.to_owned(),
            url,
            database,
            client: ClientSettings {
                authentication: login.map(Authentication::Basic),
                ..client
            },
        })
    }
}
