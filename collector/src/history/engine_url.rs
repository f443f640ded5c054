//! The URL of an engine that keeps the history.

use std::path::PathBuf;
use std::time::Duration;

use kipfix_service::settings::Span;
use url::Url;

use crate::http_client::ClientSettings;

/// Default of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Values of `timeout`, seconds.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 1..=300;

/// Parses a URL with the parameters that all engines have: `ca`, `cert`, `key` and `timeout`. `take` stores
/// another parameter; it returns false if the name is unknown. `others` are its names, for errors.
/// Returns the URL without parameters, and the settings of a client without authentication.
pub(super) fn parse(
    text: &str,
    others: &str,
    mut take: impl FnMut(&str, &str) -> Result<bool, String>,
) -> Result<(Url, ClientSettings), String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("must begin with http:// or https:// and have a host".into());
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("must not have a user, a password or a fragment".into());
    }
    let mut client = ClientSettings {
        ca: None,
        identity: None,
        authentication: None,
        timeout: TIMEOUT,
    };
    let (mut cert, mut key) = (None, None);
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "ca" => client.ca = Some(file(&name, &value)?),
            "cert" => cert = Some(file(&name, &value)?),
            "key" => key = Some(file(&name, &value)?),
            "timeout" => {
                let span = value.parse().ok().map(Span::duration);
                let span = span.filter(|span| TIMEOUTS.contains(&span.as_secs()));
                client.timeout =
                    span.ok_or_else(|| format!("invalid timeout {value:?}: must be 1s–5m"))?;
            }
            _ if take(&name, &value)? => {}
            _ => {
                return Err(format!(
                    "unknown parameter {name:?}: must be ca, cert, key, timeout, {others}"
                ));
            }
        }
    }
    if cert.is_some() != key.is_some() {
        return Err("cert and key: one is only allowed with the other".into());
    }
    client.identity = cert.zip(key);
    for (name, is_set) in [
        ("ca", client.ca.is_some()),
        ("cert", client.identity.is_some()),
    ] {
        if is_set && url.scheme() != "https" {
            return Err(format!("{name}: only allowed with https://"));
        }
    }
    url.set_query(None);
    Ok((url, client))
}

/// The path of a file.
pub(super) fn file(name: &str, value: &str) -> Result<PathBuf, String> {
    if value.is_empty() {
        return Err(format!("invalid {name} \"\": must be the path of a file"));
    }
    Ok(PathBuf::from(value))
}
