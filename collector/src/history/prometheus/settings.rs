//! What answers queries for edges, as a setting.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use kipfix_service::settings::Span;
use url::Url;

use crate::http_client::ClientSettings;

/// Default of `timeout`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Values of `timeout`.
const TIMEOUTS: std::ops::RangeInclusive<u64> = 1..=300;

/// `ring`, or `prometheus=URL`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistorySource {
    /// The memory of the collector.
    #[default]
    Ring,
    /// An engine that speaks the HTTP API of Prometheus.
    Prometheus(Box<PrometheusSettings>),
}

/// How the engine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusSettings {
    /// As it was written.
    text: String,
    /// Its URL, without parameters. Its path ends before `/api/v1`.
    pub url: Url,
    /// Files and timeout.
    pub client: ClientSettings,
}

impl PrometheusSettings {
    fn parse(text: &str) -> Result<Self, String> {
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
            token_file: None,
            timeout: TIMEOUT,
        };
        let (mut cert, mut key) = (None, None);
        for (name, value) in url.query_pairs() {
            let file = || match value.as_ref() {
                "" => Err(format!("invalid {name} \"\": must be the path of a file")),
                path => Ok(Some(PathBuf::from(path))),
            };
            match name.as_ref() {
                "ca" => client.ca = file()?,
                "cert" => cert = file()?,
                "key" => key = file()?,
                "token-file" => client.token_file = file()?,
                "timeout" => {
                    let span = value.parse().ok().map(Span::duration);
                    let span = span.filter(|span| TIMEOUTS.contains(&span.as_secs()));
                    client.timeout =
                        span.ok_or_else(|| format!("invalid timeout {value:?}: must be 1s–5m"))?;
                }
                _ => {
                    let allowed = "ca, cert, key, token-file or timeout";
                    return Err(format!("unknown parameter {name:?}: must be {allowed}"));
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
        Ok(Self {
            text: text.to_owned(),
            url,
            client,
        })
    }
}

impl FromStr for HistorySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "ring" {
            return Ok(Self::Ring);
        }
        let invalid = |reason: String| format!("invalid history {text:?}: {reason}");
        let url = text.strip_prefix("prometheus=");
        let url = url.ok_or_else(|| invalid("must be ring or prometheus=URL".into()))?;
        let settings = PrometheusSettings::parse(url).map_err(invalid)?;
        Ok(Self::Prometheus(Box::new(settings)))
    }
}

impl fmt::Display for HistorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring => f.write_str("ring"),
            Self::Prometheus(settings) => write!(f, "prometheus={}", settings.text),
        }
    }
}

kipfix_service::text_setting!(HistorySource);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_as_it_is_read() {
        for text in [
            "ring",
            "prometheus=http://prometheus:9090",
            "prometheus=https://mimir/prometheus?token-file=/t&ca=/ca.crt&timeout=10s",
            "prometheus=https://mimir?cert=/me.crt&key=/me.key",
        ] {
            let source: HistorySource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        let source: HistorySource = "prometheus=https://mimir/p?token-file=/t&timeout=10s"
            .parse()
            .unwrap();
        let HistorySource::Prometheus(settings) = source else {
            panic!("not Prometheus");
        };
        assert_eq!(settings.url.as_str(), "https://mimir/p");
        assert_eq!(settings.client.token_file, Some("/t".into()));
        assert_eq!(settings.client.timeout, Duration::from_secs(10));
    }

    #[test]
    fn an_invalid_source_names_what_is_allowed() {
        for (text, reason) in [
            ("", "ring or prometheus=URL"),
            ("clickhouse=http://x", "ring or prometheus=URL"),
            ("prometheus=x:9090", "http://"),
            ("prometheus=ftp://x", "http://"),
            ("prometheus=http://user@x", "must not have a user"),
            ("prometheus=http://x?token=a", "token-file"),
            ("prometheus=http://x?ca=/a", "https://"),
            ("prometheus=https://x?ca=", "path of a file"),
            ("prometheus=https://x?cert=/c", "cert and key"),
            ("prometheus=http://x?cert=/c&key=/k", "https://"),
            ("prometheus=http://x?timeout=0s", "1s–5m"),
        ] {
            let error = text.parse::<HistorySource>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
