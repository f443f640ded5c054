//! What answers queries for the history, as a setting.

use std::fmt;
use std::str::FromStr;

use kipfix_export::url::redacted;

use super::clickhouse::ClickHouseSettings;
use super::prometheus::PrometheusSettings;

/// `ring`, `prometheus=URL` or `clickhouse=URL`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistorySource {
    /// The memory of the collector.
    #[default]
    Ring,
    /// An engine that speaks the HTTP API of Prometheus.
    Prometheus(Box<PrometheusSettings>),
    /// ClickHouse with the tables of `deploy/clickhouse/`.
    ClickHouse(Box<ClickHouseSettings>),
}

impl FromStr for HistorySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.split_once('=') {
            None if text == "ring" => Ok(Self::Ring),
            Some(("prometheus", url)) => {
                PrometheusSettings::parse(url).map(|parsed| Self::Prometheus(Box::new(parsed)))
            }
            Some(("clickhouse", url)) => {
                ClickHouseSettings::parse(url).map(|parsed| Self::ClickHouse(Box::new(parsed)))
            }
            _ => Err("must be ring, prometheus=URL or clickhouse=URL".into()),
        };
        parsed.map_err(|reason| format!("invalid history {:?}: {reason}", redacted(text)))
    }
}

impl fmt::Display for HistorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring => f.write_str("ring"),
            Self::Prometheus(settings) => write!(f, "prometheus={}", settings.text),
            Self::ClickHouse(settings) => write!(f, "clickhouse={}", settings.text),
        }
    }
}

kipfix_service::text_setting!(HistorySource);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kipfix_export::url::Login;

    use super::*;
    use crate::http_client::Authentication;

    #[test]
    fn a_source_is_written_as_it_is_read() {
        for text in [
            "ring",
            "prometheus=http://prometheus:9090",
            "prometheus=https://mimir/prometheus?token-file=/t&ca=/ca.crt&timeout=10s",
            "prometheus=https://mimir?cert=/me.crt&key=/me.key",
            "clickhouse=http://clickhouse:8123/kipfix",
            "clickhouse=https://ch:8443/kipfix?user=u&password-file=/p&ca=/ca.crt&timeout=1m",
        ] {
            let source: HistorySource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        let source = "prometheus=https://mimir/p?token-file=/t&timeout=10s".parse();
        let Ok(HistorySource::Prometheus(settings)) = source else {
            panic!("not Prometheus");
        };
        assert_eq!(settings.url.as_str(), "https://mimir/p");
        let bearer = Authentication::Bearer("/t".into());
        assert_eq!(settings.client.authentication, Some(bearer));
        assert_eq!(settings.client.timeout, Duration::from_secs(10));
        let source = "clickhouse=http://ch/flows_db?user=u&password-file=/p".parse();
        let Ok(HistorySource::ClickHouse(settings)) = source else {
            panic!("not ClickHouse");
        };
        assert_eq!(settings.url.as_str(), "http://ch:8123/");
        assert_eq!(settings.database, "flows_db");
        let basic = Authentication::Basic(Login {
            user: "u".into(),
            password_file: "/p".into(),
        });
        assert_eq!(settings.client.authentication, Some(basic));
    }

    #[test]
    fn an_invalid_source_names_what_is_allowed() {
        for (text, reason) in [
            ("", "ring, prometheus=URL or clickhouse=URL"),
            ("ring=http://x", "ring, prometheus=URL or clickhouse=URL"),
            ("druid=http://x", "ring, prometheus=URL or clickhouse=URL"),
            ("prometheus=x:9090", "http://"),
            ("prometheus=ftp://x", "http://"),
            ("prometheus=http://user@x", "must not have a user"),
            ("prometheus=http://x?token=a", "token-file"),
            ("prometheus=http://x?ca=/a", "https://"),
            ("prometheus=https://x?ca=", "path of a file"),
            ("prometheus=https://x?cert=/c", "cert and key"),
            ("prometheus=http://x?cert=/c&key=/k", "https://"),
            ("prometheus=http://x?timeout=0s", "1s–5m"),
            ("clickhouse=http://x", "invalid database \"\""),
            ("clickhouse=http://x/a-b", "invalid database \"a-b\""),
            ("clickhouse=http://x/a/b", "invalid database \"a/b\""),
            ("clickhouse=http://x/a?user=u", "both or none"),
            ("clickhouse=http://x/a?password-file=/p", "both or none"),
            (
                "clickhouse=http://x/a?user=u:v&password-file=/p",
                "invalid user",
            ),
            (
                "clickhouse=http://x/a?token-file=/t",
                "user or password-file",
            ),
        ] {
            let error = text.parse::<HistorySource>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
