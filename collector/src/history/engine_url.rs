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

/// Parses a URL with the parameters `ca` and `timeout`, which all engines have. `take` stores
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
        authentication: None,
        timeout: TIMEOUT,
    };
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "ca" => client.ca = Some(file(&name, &value)?),
            "timeout" => {
                let span = value.parse().ok().map(Span::duration);
                let span = span.filter(|span| TIMEOUTS.contains(&span.as_secs()));
                client.timeout =
                    span.ok_or_else(|| format!("invalid timeout {value:?}: must be 1s–5m"))?;
            }
            _ if take(&name, &value)? => {}
            _ => {
                return Err(format!(
                    "unknown parameter {name:?}: must be ca, timeout, {others}"
                ));
            }
        }
    }
    if client.ca.is_some() && url.scheme() != "https" {
        return Err("ca: only allowed with https://".into());
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
