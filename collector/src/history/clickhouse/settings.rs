//! How the server is reached.

use std::fmt;

use url::Url;

use crate::history::engine_url;
use crate::http_client::{Authentication, ClientSettings};

/// Default port of the HTTP interface.
const PORT: u16 = 8123;
/// Default port of the HTTP interface with TLS.
const TLS_PORT: u16 = 8443;

/// How a ClickHouse server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseSettings {
    /// As it was written.
    text: String,
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
        let (mut user, mut password_file) = (None, None);
        let (mut url, client) = engine_url::parse(text, "user or password-file", |name, value| {
            match name {
                "user" => user = Some(parse_user(value)?),
                "password-file" => password_file = Some(engine_url::file(name, value)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let authentication = match (user, password_file) {
            (Some(user), Some(password_file)) => Some(Authentication::Basic {
                user,
                password_file,
            }),
            (None, None) => None,
            _ => return Err("user and password-file: both or none must be set".into()),
        };
        let database = parse_database(url.path().trim_matches('/'))?;
        url.set_path("/");
        if url.port().is_none() {
            let port = if url.scheme() == "https" {
                TLS_PORT
            } else {
                PORT
            };
            // It has a host.
            url.set_port(Some(port)).ok();
        }
        Ok(Self {
            text: text.to_owned(),
            url,
            database,
            client: ClientSettings {
                authentication,
                ..client
            },
        })
    }
}

/// A name that needs no quotes in SQL.
fn parse_database(name: &str) -> Result<String, String> {
    let mut characters = name.chars();
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name = characters.next().is_some_and(is_first)
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!(
            "invalid database {name:?}: must be letters, digits and '_', not a digit first"
        ));
    }
    Ok(name.to_owned())
}

fn parse_user(name: &str) -> Result<String, String> {
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err(format!(
            "invalid user {name:?}: must not be empty or have ':' or control characters"
        ));
    }
    Ok(name.to_owned())
}

impl fmt::Display for ClickHouseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
