//! Where to listen, as a setting: a URL for each socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `udp://ADDRESS:PORT`, `tcp://ADDRESS:PORT` or `tls://ADDRESS:PORT?cert=FILE&key=FILE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ListenUrl {
    /// Datagrams of IPFIX and NetFlow (RFC 7011 §10.3).
    Udp(SocketAddr),
    /// IPFIX over connections (RFC 7011 §10.4).
    Tcp(SocketAddr),
    /// The same within TLS (RFC 7011 §11.1).
    Tls(SocketAddr, TlsFiles),
}

/// What TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the certificate that is shown, and those that lead from it to a CA.
    pub cert: PathBuf,
    /// PEM: the private key of the first certificate.
    pub key: PathBuf,
    /// PEM: CAs one of which must have signed the exporter's certificate; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Names one of which the exporter's certificate must be valid for; empty: any.
    pub client_names: Vec<String>,
}

impl ListenUrl {
    /// The address and port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        match self {
            Self::Udp(address) | Self::Tcp(address) | Self::Tls(address, _) => *address,
        }
    }

    /// True for datagrams, false for connections.
    #[must_use]
    pub const fn is_udp(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (address, query) = match rest.split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (rest, None),
        };
        let address: SocketAddr = address.parse().ok()?;
        match (scheme, query) {
            ("udp", None) => Some(Self::Udp(address)),
            ("tcp", None) => Some(Self::Tcp(address)),
            ("tls", Some(query)) => Some(Self::Tls(address, TlsFiles::parse(query)?)),
            _ => None,
        }
    }
}

impl TlsFiles {
    fn parse(query: &str) -> Option<Self> {
        let (mut cert, mut key, mut client_ca) = (None, None, None);
        let mut client_names = Vec::new();
        for pair in query.split('&') {
            let (name, value) = pair
                .split_once('=')
                .filter(|(_, value)| !value.is_empty())?;
            let file = match name {
                "cert" => &mut cert,
                "key" => &mut key,
                "client-ca" => &mut client_ca,
                "client-name" => {
                    client_names.push(value.to_owned());
                    continue;
                }
                _ => return None,
            };
            if file.replace(PathBuf::from(value)).is_some() {
                return None;
            }
        }
        if client_ca.is_none() && !client_names.is_empty() {
            return None;
        }
        Some(Self {
            cert: cert?,
            key: key?,
            client_ca,
            client_names,
        })
    }
}

impl FromStr for ListenUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            format!(
                "{text:?} is no URL to listen on: allowed are udp://ADDRESS:PORT, tcp://ADDRESS:PORT and \
                 tls://ADDRESS:PORT?cert=FILE&key=FILE[&client-ca=FILE[&client-name=NAME]...] with an IP \
                 address, e.g. udp://[::]:4739 for all addresses"
            )
        })
    }
}

impl TryFrom<String> for ListenUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ListenUrl> for String {
    fn from(url: ListenUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls(address, files) => {
                let (cert, key) = (files.cert.display(), files.key.display());
                write!(f, "tls://{address}?cert={cert}&key={key}")?;
                if let Some(client_ca) = &files.client_ca {
                    write!(f, "&client-ca={}", client_ca.display())?;
                }
                for name in &files.client_names {
                    write!(f, "&client-name={name}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_written_as_it_was_read() {
        for text in [
            "udp://[::]:4739",
            "udp://127.0.0.1:2055",
            "tcp://[::]:4739",
            "tls://[::]:4740?cert=/tls/tls.crt&key=/tls/tls.key",
            "tls://[::]:4740?cert=c&key=k&client-ca=/tls/ca.crt",
            "tls://[::1]:4740?cert=c&key=k&client-ca=a&client-name=probe.example&client-name=b",
        ] {
            assert_eq!(text.parse::<ListenUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_url_that_cannot_be_names_what_is_allowed() {
        for text in [
            "sctp://[::]:4739",
            "udp://:1",
            "[::]:4739",
            "udp://example.org:1",
            "udp://1.2.3.4",
            "tcp://[::]:4739?cert=x",
            "tls://[::]:4740",
            "tls://[::]:4740?cert=c",
            "tls://[::]:4740?cert=c&key=",
            "tls://[::]:4740?cert=c&key=k&cert=c",
            "tls://[::]:4740?cert=c&key=k&ca=x",
            "tls://[::]:4740?cert=c&key=k&client-name=n",
        ] {
            let said = text.parse::<ListenUrl>().unwrap_err();
            for word in [text, "udp://ADDRESS:PORT", "tls://ADDRESS:PORT?cert=FILE"] {
                assert!(said.contains(word), "{said}");
            }
        }
    }
}
