//! The URL of an engine that keeps the history.

use std::time::Duration;

use kipfix_export::tls::Credentials;
use kipfix_export::url::Parameter;
use kipfix_service::settings::{Span, Within, within};
use url::Url;

use crate::http_client::ClientSettings;

/// Default of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Values of `timeout`.
const TIMEOUTS: Within<Span> = within(Span::SECOND, Span::from_secs(300));

/// Parses a URL with the parameters that all engines have: `ca`, `cert`, `key` and `timeout`.
/// `take` stores another parameter; it returns false if the name is unknown. `others` are its
/// names, for errors. Returns the URL without parameters, and the settings of a client without
/// authentication.
pub(super) fn parse(
    text: &str,
    others: &str,
    mut take: impl FnMut(&Parameter<'_>) -> Result<bool, String>,
) -> Result<(Url, ClientSettings), String> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let mut url = url.ok_or("must begin with http:// or https:// and have a host")?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("must not have a user, a password or a fragment".into());
    }
    let mut client = ClientSettings {
        credentials: Credentials::default(),
        authentication: None,
        timeout: TIMEOUT,
    };
    for parameter in Parameter::each_once(url.query().unwrap_or_default())? {
        match parameter.name() {
            "timeout" => client.timeout = parameter.within(&TIMEOUTS)?.duration(),
            _ if client.credentials.take(&parameter)? || take(&parameter)? => {}
            name => {
                return Err(format!(
                    "unknown parameter {name:?}: must be ca, cert, key, timeout, {others}"
                ));
            }
        }
    }
    let without_tls = (url.scheme() != "https").then_some("https://");
    client.credentials.check(without_tls)?;
    url.set_query(None);
    Ok((url, client))
}
