//! What an export URL may say.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use flowproto::exporter::Version;
use kipfix_service::settings::{BadSettings, Size, Span};
use serde::{Deserialize, Serialize};

/// RFC 7011 §10.3.3: 512 octets are safe where the path is unknown; the largest UDP payload is the other end.
const MESSAGE_OCTETS: std::ops::RangeInclusive<usize> = 512..=65_507;
const DEFAULT_MESSAGE_OCTETS: usize = 1400;
/// The registered ports (RFC 7011 §10.1): IPFIX, and IPFIX over TLS.
const PORT_HINT: &str = "the port is missing (registered are 4739, and 4740 for tls)";

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    text: String,
    /// What the text means.
    pub kind: TargetKind,
}

/// The kinds of target there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Messages in datagrams.
    Udp {
        /// Where to.
        remote: Remote,
        /// IPFIX, NetFlow v9 or v5. Default: IPFIX.
        version: Version,
        /// Octets of a Message at the most. Default: 1400.
        max_message_octets: usize,
    },
    /// IPFIX over TCP.
    Tcp {
        /// Where to.
        remote: Remote,
    },
    /// IPFIX over TLS over TCP.
    Tls {
        /// Where to.
        remote: Remote,
        /// What is shown, and what is asked for.
        credentials: Credentials,
    },
    /// IPFIX files (RFC 5655).
    File {
        /// The name of a finished file, or what names begin with where files rotate.
        path: PathBuf,
        /// When the next one begins.
        rotation: Rotation,
    },
    /// JSON lines on stdout.
    Stdout,
}

/// A host to send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Address or name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Records a second at the most; 0 unpaced. Default: the caller's.
    pub records_per_second: Option<u32>,
    /// Every address of the name gets the flows that fall to it, instead of one address all. Default: false.
    pub spread: bool,
}

/// The files of a TLS target, PEM. They are read anew for each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Authorities that the target's certificate must come from. Default: the system's.
    pub ca: Option<PathBuf>,
    /// Own certificate and those above it.
    pub cert: Option<PathBuf>,
    /// Own private key.
    pub key: Option<PathBuf>,
}

/// When a file is finished and the next one begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Before it becomes longer than so many octets.
    pub size: Option<u64>,
    /// So long after it began.
    pub every: Option<Span>,
    /// Finished files that are kept; older ones are removed. Default: all.
    pub keep: Option<NonZeroUsize>,
}

impl Rotation {
    /// True where there is a next file at all.
    #[must_use]
    pub const fn rotates(&self) -> bool {
        self.size.is_some() || self.every.is_some()
    }
}

impl Target {
    /// The host, where the target is one.
    #[must_use]
    pub const fn remote(&self) -> Option<&Remote> {
        match &self.kind {
            TargetKind::Udp { remote, .. }
            | TargetKind::Tcp { remote }
            | TargetKind::Tls { remote, .. } => Some(remote),
            TargetKind::File { .. } | TargetKind::Stdout => None,
        }
    }

    /// The version of the protocol that it gets.
    #[must_use]
    pub const fn version(&self) -> Version {
        match &self.kind {
            TargetKind::Udp { version, .. } => *version,
            _ => Version::Ipfix,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.text
    }
}

impl TryFrom<String> for Target {
    type Error = BadSettings;

    fn try_from(text: String) -> Result<Self, BadSettings> {
        text.parse()
    }
}

impl FromStr for Target {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let kind = kind(text).map_err(|problem| {
            BadSettings::new(format!(
                "export target {text:?}: {problem}; allowed are \
                 udp://HOST:PORT[?version=ipfix|9|5&mtu=OCTETS&rate=RECORDS_PER_SECOND&spread=true], \
                 tcp://HOST:PORT[?rate=…&spread=…], tls://HOST:PORT[?ca=FILE&cert=FILE&key=FILE&rate=…&spread=…], \
                 file:PATH[?rotate-size=SIZE&rotate-every=TIME&keep=N] and stdout:"
            ))
        })?;
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

fn kind(text: &str) -> Result<TargetKind, String> {
    if text == "stdout:" {
        return Ok(TargetKind::Stdout);
    }
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    let mut given = Given::default();
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let allowed: &[&str] = match scheme {
        "udp" => &["version", "mtu", "rate", "spread"],
        "tcp" => &["version", "rate", "spread"],
        "tls" => &["version", "rate", "spread", "ca", "cert", "key"],
        "file" => &["version", "rotate-size", "rotate-every", "keep"],
        "sctp" => return Err("SCTP is not supported and not planned; use tcp".to_owned()),
        "dtls" => return Err("DTLS is not supported and not planned; use tls".to_owned()),
        _ => return Err("no known kind of target".to_owned()),
    };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !allowed.contains(&name) {
            return Err(format!("parameter {name:?} is not known for {scheme}"));
        }
        given.take(name, value)?;
    }
    if scheme != "udp" && given.version != Version::Ipfix {
        return Err(format!(
            "NetFlow is for udp; {scheme} carries version ipfix"
        ));
    }
    if scheme == "file" {
        if given.rotation.keep.is_some() && !given.rotation.rotates() {
            return Err("keep is of use with rotate-size or rotate-every only".to_owned());
        }
        let path = PathBuf::from(place);
        if path.file_name().is_none() {
            return Err("the path of a file is missing".to_owned());
        }
        return Ok(TargetKind::File {
            path,
            rotation: given.rotation,
        });
    }
    let authority = place
        .strip_prefix("//")
        .ok_or_else(|| format!("{scheme} is followed by ://"))?;
    let (host, port) = authority
        .rsplit_once(':')
        .ok_or_else(|| PORT_HINT.to_owned())?;
    let host = host_of(host)?;
    let port = match port.parse() {
        Ok(0) | Err(_) => return Err(format!("{port:?} is no port from 1 to 65535")),
        Ok(port) => port,
    };
    let remote = Remote {
        host,
        port,
        records_per_second: given.records_per_second,
        spread: given.spread,
    };
    Ok(match scheme {
        "udp" => TargetKind::Udp {
            remote,
            version: given.version,
            max_message_octets: given.max_message_octets.unwrap_or(DEFAULT_MESSAGE_OCTETS),
        },
        "tcp" => TargetKind::Tcp { remote },
        _ => {
            if given.credentials.cert.is_some() != given.credentials.key.is_some() {
                return Err("cert and key belong together: one of them is missing".to_owned());
            }
            TargetKind::Tls {
                remote,
                credentials: given.credentials,
            }
        }
    })
}

/// The parameters of a URL.
#[derive(Default)]
struct Given {
    version: Version,
    max_message_octets: Option<usize>,
    records_per_second: Option<u32>,
    spread: bool,
    credentials: Credentials,
    rotation: Rotation,
}

impl Given {
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "version" => {
                self.version = match value {
                    "ipfix" | "10" => Version::Ipfix,
                    "9" => Version::Netflow9,
                    "5" => Version::Netflow5,
                    _ => return Err(format!("version {value:?} is not ipfix, 9 or 5")),
                };
            }
            "mtu" => {
                let octets = value.parse().ok().filter(|o| MESSAGE_OCTETS.contains(o));
                self.max_message_octets = Some(octets.ok_or_else(|| {
                    let (low, high) = (MESSAGE_OCTETS.start(), MESSAGE_OCTETS.end());
                    format!("mtu {value:?} is no number of octets from {low} to {high}")
                })?);
            }
            "rate" => {
                let rate = value.parse();
                self.records_per_second =
                    Some(rate.map_err(|_| format!("rate {value:?} is no number of records"))?);
            }
            "spread" => {
                self.spread = value
                    .parse()
                    .map_err(|_| format!("spread {value:?} is not true or false"))?;
            }
            "ca" => self.credentials.ca = Some(file(name, value)?),
            "cert" => self.credentials.cert = Some(file(name, value)?),
            "key" => self.credentials.key = Some(file(name, value)?),
            "rotate-size" => {
                let size = value
                    .parse::<Size>()
                    .ok()
                    .map(Size::bytes)
                    .filter(|bytes| *bytes >= 1 << 16)
                    .ok_or_else(|| format!("rotate-size {value:?} is no size of 64KiB or more"))?;
                self.rotation.size = Some(size);
            }
            "rotate-every" => {
                let span = value
                    .parse::<Span>()
                    .ok()
                    .filter(|span| *span >= Span::from_secs(1))
                    .ok_or_else(|| format!("rotate-every {value:?} is no time of 1s or more"))?;
                self.rotation.every = Some(span);
            }
            "keep" => {
                let keep = value.parse();
                self.rotation.keep = Some(
                    keep.map_err(|_| format!("keep {value:?} is no number of files from 1 on"))?,
                );
            }
            _ => return Err(format!("parameter {name:?} is not known")),
        }
        Ok(())
    }
}

fn file(name: &str, value: &str) -> Result<PathBuf, String> {
    if value.is_empty() {
        return Err(format!("{name} names no file"));
    }
    Ok(PathBuf::from(value))
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn host_of(text: &str) -> Result<String, String> {
    if let Some(inner) = text.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .filter(|inner| matches!(inner.parse(), Ok(IpAddr::V6(_))))
            .map(ToOwned::to_owned)
            .ok_or_else(|| format!("{text:?} is no IPv6 address in brackets"));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() || text.contains(':') || !text.chars().all(is_name) {
        return Err(format!(
            "{text:?} is no host (IPv6 addresses stand in brackets)"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> TargetKind {
        text.parse::<Target>().unwrap().kind
    }

    fn sentence(text: &str) -> String {
        text.parse::<Target>().unwrap_err().to_string()
    }

    fn remote(host: &str, port: u16) -> Remote {
        Remote {
            host: host.to_owned(),
            port,
            records_per_second: None,
            spread: false,
        }
    }

    #[test]
    fn targets_are_read_with_their_parameters() {
        assert_eq!(kind("stdout:"), TargetKind::Stdout);
        assert_eq!(
            kind("udp://collector.kipfix.svc:4739"),
            TargetKind::Udp {
                remote: remote("collector.kipfix.svc", 4739),
                version: Version::Ipfix,
                max_message_octets: 1400,
            }
        );
        assert_eq!(
            kind("udp://[2001:db8::1]:9995?version=9&mtu=512&rate=0&spread=true"),
            TargetKind::Udp {
                remote: Remote {
                    records_per_second: Some(0),
                    spread: true,
                    ..remote("2001:db8::1", 9995)
                },
                version: Version::Netflow9,
                max_message_octets: 512,
            }
        );
        assert_eq!(
            kind("tls://c:4740?ca=/etc/ca.pem&cert=c.pem&key=k.pem"),
            TargetKind::Tls {
                remote: remote("c", 4740),
                credentials: Credentials {
                    ca: Some("/etc/ca.pem".into()),
                    cert: Some("c.pem".into()),
                    key: Some("k.pem".into()),
                },
            }
        );
        assert_eq!(
            kind("file:/var/flows.ipfix?rotate-size=1MiB&rotate-every=5m&keep=3"),
            TargetKind::File {
                path: "/var/flows.ipfix".into(),
                rotation: Rotation {
                    size: Some(1 << 20),
                    every: Some(Span::from_secs(300)),
                    keep: NonZeroUsize::new(3),
                },
            }
        );
    }

    #[test]
    fn what_is_refused_is_named_with_what_is_allowed() {
        for (text, named) in [
            ("udp://collector", "port is missing"),
            ("udp://collector:0", "no port"),
            ("udp://:4739", "no host"),
            ("udp://2001:db8::1:4739", "brackets"),
            ("udp:c:4739", "followed by ://"),
            ("udp://c:1?mtu=100", "mtu \"100\""),
            ("udp://c:1?rate=fast", "rate \"fast\""),
            ("udp://c:1?version=8", "version \"8\""),
            ("udp://c:1?ttl=1", "parameter \"ttl\""),
            ("udp://c:1?spread=some", "spread \"some\""),
            ("tcp://c:1?version=9", "NetFlow is for udp"),
            (
                "tcp://c:1?mtu=1400",
                "parameter \"mtu\" is not known for tcp",
            ),
            ("tls://c:1?cert=x", "cert and key belong together"),
            ("tls://c:1?ca=", "ca names no file"),
            ("file:", "path of a file is missing"),
            ("file:/x?keep=3", "keep is of use"),
            ("file:/x?rotate-size=1&keep=3", "rotate-size \"1\""),
            ("file:/x?rotate-every=1ms", "rotate-every \"1ms\""),
            ("file:/x?rotate-every=1m&keep=0", "keep \"0\""),
            ("sctp://c:1", "SCTP is not supported and not planned"),
            ("dtls://c:1", "DTLS is not supported and not planned"),
            ("http://c", "no known kind"),
        ] {
            let sentence = sentence(text);
            assert!(sentence.contains(named), "{sentence}");
            assert!(sentence.contains("allowed are udp://"), "{sentence}");
        }
    }
}
