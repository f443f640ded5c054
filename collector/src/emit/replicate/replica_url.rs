//! The target of `--replicate`, as a setting.

use std::fmt;
use std::str::FromStr;

use kipfix_export::url::Parameter;
use url::{Host, Url};

use crate::emit::authority::Authority;

/// A target of replicated datagrams: `udp://HOST:PORT[?source=keep|own]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaUrl {
    /// Address or name.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// Source address of the datagrams.
    pub source: SourceAddress,
}

/// The source address of replicated datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceAddress {
    /// The exporter's if the kernel permits it, else the collector's.
    #[default]
    IfPermitted,
    /// The exporter's. Without the permission the collector does not start.
    Keep,
    /// The collector's.
    Own,
}

impl ReplicaUrl {
    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_plain = url.scheme() == "udp"
            && matches!(url.path(), "" | "/")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        let mut source = None;
        for parameter in Parameter::all(url.query().unwrap_or_default()) {
            let value = match (parameter.name(), &*parameter.text()) {
                ("source", "keep") => SourceAddress::Keep,
                ("source", "own") => SourceAddress::Own,
                _ => return None,
            };
            if source.replace(value).is_some() {
                return None;
            }
        }
        let port = url.port().filter(|port| *port != 0)?;
        is_plain.then(|| Self {
            host,
            port,
            source: source.unwrap_or_default(),
        })
    }
}

impl FromStr for ReplicaUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            format!(
                "invalid URL {text:?}: must be udp://HOST:PORT[?source=keep|own], e.g. \
                 udp://nfdump.example:9995 (IPv6 addresses in brackets)"
            )
        })
    }
}

kipfix_service::text_setting!(ReplicaUrl);

impl fmt::Display for ReplicaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, source } = self;
        write!(f, "udp://{}", Authority(host, *port))?;
        f.write_str(match source {
            SourceAddress::IfPermitted => "",
            SourceAddress::Keep => "?source=keep",
            SourceAddress::Own => "?source=own",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_written_as_it_was_read() {
        for (text, host, port, source) in [
            (
                "udp://[2001:db8::1]:9995?source=keep",
                "2001:db8::1",
                9995,
                SourceAddress::Keep,
            ),
            (
                "udp://192.0.2.1:2055?source=own",
                "192.0.2.1",
                2055,
                SourceAddress::Own,
            ),
            (
                "udp://nfdump:9995",
                "nfdump",
                9995,
                SourceAddress::IfPermitted,
            ),
        ] {
            let url: ReplicaUrl = text.parse().unwrap();
            assert_eq!(
                (url.host.as_str(), url.port, url.source),
                (host, port, source)
            );
            assert_eq!(url.to_string(), text);
        }
    }

    #[test]
    fn an_invalid_url_names_what_is_allowed() {
        for text in [
            "tcp://nfdump:9995",
            "udp://nfdump",
            "udp://nfdump:0",
            "udp://2001:db8::1:9995",
            "udp://nfdump:9995?source=theirs",
            "udp://nfdump:9995?source=own&source=keep",
            "udp://nfdump:9995?mtu=1400",
            "udp://nfdump:9995/path",
            "nfdump:9995",
        ] {
            let error = text.parse::<ReplicaUrl>().unwrap_err();
            assert!(
                error.contains(text) && error.contains("?source=keep|own"),
                "{error}"
            );
        }
    }
}
