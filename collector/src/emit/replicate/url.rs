//! What `--replicate` may say.

use std::fmt;
use std::str::FromStr;

use kipfix_export::target::Target;
use serde::{Deserialize, Serialize};

/// Where datagrams are passed on to: `udp://HOST:PORT[?source=keep|own]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReplicaUrl {
    text: String,
    /// Address or name.
    pub host: String,
    /// UDP port.
    pub port: u16,
    /// Whose source address they bear.
    pub source: SourceAddress,
}

/// Whose source address datagrams bear that are passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceAddress {
    /// The exporter's where the kernel lets us, else ours.
    #[default]
    IfAllowed,
    /// The exporter's; without the right to, nothing starts.
    Keep,
    /// Ours.
    Own,
}

impl FromStr for ReplicaUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "{text:?} is no target of replicate: allowed is udp://HOST:PORT[?source=keep|own], e.g. \
                 udp://nfdump.example:9995 (IPv6 addresses stand in brackets)"
            )
        })
    }
}

fn parse(text: &str) -> Option<ReplicaUrl> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let source = match query {
        "" => SourceAddress::IfAllowed,
        "source=keep" => SourceAddress::Keep,
        "source=own" => SourceAddress::Own,
        _ => return None,
    };
    if !place.starts_with("udp://") {
        return None;
    }
    let target: Target = place.parse().ok()?;
    let remote = target.remote()?;
    Some(ReplicaUrl {
        text: text.to_owned(),
        host: remote.host.clone(),
        port: remote.port,
        source,
    })
}

impl TryFrom<String> for ReplicaUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ReplicaUrl> for String {
    fn from(url: ReplicaUrl) -> Self {
        url.text
    }
}

impl fmt::Display for ReplicaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_reads_what_it_writes_and_names_what_is_allowed() {
        let url: ReplicaUrl = "udp://[2001:db8::1]:9995?source=keep".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("2001:db8::1", 9995));
        assert_eq!(url.source, SourceAddress::Keep);
        assert_eq!(url.to_string(), "udp://[2001:db8::1]:9995?source=keep");
        let plain: ReplicaUrl = "udp://nfdump:9995".parse().unwrap();
        assert_eq!(plain.source, SourceAddress::IfAllowed);
        for text in [
            "tcp://nfdump:9995",
            "udp://nfdump",
            "udp://nfdump:0",
            "udp://2001:db8::1:9995",
            "udp://nfdump:9995?source=theirs",
            "udp://nfdump:9995?mtu=1400",
            "nfdump:9995",
        ] {
            let said = text.parse::<ReplicaUrl>().unwrap_err();
            assert!(
                said.contains(text) && said.contains("?source=keep|own"),
                "{said}"
            );
        }
    }
}
