//! The address of a listening socket, as a setting.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use kipfix_export::url::Parameter;
use kipfix_service::tls::TlsFiles;
use url::{Host, Url};

/// `udp://ADDRESS:PORT`, `tcp://ADDRESS:PORT` or `tls://ADDRESS:PORT?cert=FILE&key=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenUrl {
    /// Datagrams of IPFIX and NetFlow (RFC 7011 §10.3).
    Udp(SocketAddr),
    /// IPFIX over connections (RFC 7011 §10.4).
    Tcp(SocketAddr),
    /// IPFIX over TLS connections (RFC 7011 §11.1).
    Tls(SocketAddr, TlsParameters),
}

/// Files and names for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsParameters {
    /// The files. The CA is that of the exporters' certificates.
    pub files: TlsFiles,
    /// Names of which the exporter's certificate must be valid for one. If empty, every name is
    /// accepted.
    pub client_names: Vec<String>,
}

/// Parameters of a TLS URL. A file may be given once, a name several times.
const CERT: &str = "cert";
const KEY: &str = "key";
const CLIENT_CA: &str = "client-ca";
const CLIENT_NAME: &str = "client-name";

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
        let url = Url::parse(text).ok()?;
        let is_plain = matches!(url.path(), "" | "/")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        let ip: IpAddr = match url.host()? {
            Host::Ipv4(ip) => ip.into(),
            Host::Ipv6(ip) => ip.into(),
            // For schemes that the URL standard does not define, an IPv4 address is parsed as a
            // name.
            Host::Domain(name) => name.parse().ok()?,
        };
        let address = SocketAddr::new(ip, url.port()?);
        match (url.scheme(), url.query()) {
            _ if !is_plain => None,
            ("udp", None) => Some(Self::Udp(address)),
            ("tcp", None) => Some(Self::Tcp(address)),
            ("tls", Some(_)) => Some(Self::Tls(address, TlsParameters::parse(&url)?)),
            _ => None,
        }
    }
}

impl TlsParameters {
    fn parse(url: &Url) -> Option<Self> {
        let (mut cert, mut key, mut client_ca) = (None, None, None);
        let mut client_names = Vec::new();
        for parameter in Parameter::all(url.query()?) {
            let path = parameter.file().ok()?;
            let file = match parameter.name() {
                CERT => &mut cert,
                KEY => &mut key,
                CLIENT_CA => &mut client_ca,
                CLIENT_NAME => {
                    client_names.push(parameter.text().into_owned());
                    continue;
                }
                _ => return None,
            };
            if file.replace(path).is_some() {
                return None;
            }
        }
        if client_ca.is_none() && !client_names.is_empty() {
            return None;
        }
        let files = TlsFiles {
            cert: cert?,
            key: key?,
            client_ca,
        };
        Some(Self {
            files,
            client_names,
        })
    }
}

impl FromStr for ListenUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            format!(
                "invalid URL {text:?}: must be udp://ADDRESS:PORT, tcp://ADDRESS:PORT or \
                 tls://ADDRESS:PORT?cert=FILE&key=FILE[&client-ca=FILE[&client-name=NAME]...] with an IP \
                 address, e.g. udp://[::]:4739 for all addresses"
            )
        })
    }
}

kipfix_service::text_setting!(ListenUrl);

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TlsParameters {
            files,
            client_names,
        } = match self {
            Self::Udp(address) => return write!(f, "udp://{address}"),
            Self::Tcp(address) => return write!(f, "tcp://{address}"),
            Self::Tls(address, parameters) => {
                write!(f, "tls://{address}")?;
                parameters
            }
        };
        let [cert, key] = [&files.cert, &files.key].map(|path| encode(&path.to_string_lossy()));
        write!(f, "?{CERT}={cert}&{KEY}={key}")?;
        if let Some(client_ca) = &files.client_ca {
            write!(f, "&{CLIENT_CA}={}", encode(&client_ca.to_string_lossy()))?;
        }
        for name in client_names {
            write!(f, "&{CLIENT_NAME}={}", encode(name))?;
        }
        Ok(())
    }
}

/// Percent-encodes what has a meaning in a query. Paths stay readable.
fn encode(value: &str) -> String {
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"/-._~:*@".contains(octet);
    let octets = value.bytes().map(|octet| match octet {
        plain if is_plain(&plain) => char::from(plain).to_string(),
        other => format!("%{other:02X}"),
    });
    octets.collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_url_is_written_as_it_was_read() {
        for text in [
            "udp://[::]:4739",
            "udp://127.0.0.1:2055",
            "tcp://[::]:4739",
            "tls://[::]:4740?cert=c&key=k",
            "tls://[::1]:4740?cert=c&key=k&client-ca=a&client-name=probe.example&client-name=b",
        ] {
            assert_eq!(text.parse::<ListenUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn every_path_can_be_given() {
        let text = "tls://[::]:4740?cert=/tls/a%26b%20c.crt&key=/tls/tls.key";
        let url: ListenUrl = text.parse().unwrap();
        let ListenUrl::Tls(_, parameters) = &url else {
            panic!("not TLS");
        };
        let files = &parameters.files;
        assert_eq!(files.cert, PathBuf::from("/tls/a&b c.crt"));
        assert_eq!(files.key, PathBuf::from("/tls/tls.key"));
        assert_eq!(url.to_string().parse::<ListenUrl>(), Ok(url));
    }

    #[test]
    fn an_invalid_url_names_what_is_allowed() {
        for text in [
            "sctp://[::]:4739",
            "udp://:1",
            "[::]:4739",
            "udp://example.org:1",
            "udp://1.2.3.4",
            "udp://1.2.3.4:1/path",
            "udp://user@1.2.3.4:1",
            "tcp://[::]:4739?cert=x",
            "tls://[::]:4740",
            "tls://[::]:4740?cert=c",
            "tls://[::]:4740?cert=c&key=",
            "tls://[::]:4740?cert=c&key=k&cert=c",
            "tls://[::]:4740?cert=c&key=k&ca=x",
            "tls://[::]:4740?cert=c&key=k&client-name=n",
        ] {
            let error = text.parse::<ListenUrl>().unwrap_err();
            for word in [text, "udp://ADDRESS:PORT", "tls://ADDRESS:PORT?cert=FILE"] {
                assert!(error.contains(word), "{error}");
            }
        }
    }
}
