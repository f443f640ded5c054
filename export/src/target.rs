//! Export URLs.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use flowproto::exporter::{Profile, Version};
use kipfix_service::settings::{BadSettings, Size, Span};
use percent_encoding::percent_decode_str;

use crate::rotation::Rotation;

/// Range of the maximum Message length: 512 octets are safe on any path (RFC 7011 §10.3.3), and
/// 65,507 are the largest UDP payload.
const MESSAGE_OCTETS: std::ops::RangeInclusive<usize> = 512..=65_507;
const DEFAULT_MESSAGE_OCTETS: usize = 1400;
const ROTATION_PARAMETERS: [&str; 3] = ["rotate-size", "rotate-every", "keep"];
/// The registered ports (RFC 7011 §10.1) of IPFIX, and of IPFIX over TLS.
const PORT_HINT: &str = "missing port (registered: 4739, and 4740 for tls)";

/// A destination of records, parsed from a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    /// The parsed URL.
    pub kind: TargetKind,
    /// The elements of IPFIX. Default: all.
    pub profile: Profile,
}

/// The kinds of target, with their parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Messages over UDP.
    Udp {
        /// Destination.
        remote: Remote,
        /// IPFIX, NetFlow v9 or v5. Default: IPFIX.
        version: Version,
        /// Maximum length of a Message, octets, 512–65,507. Default: 1400.
        max_message_octets: usize,
    },
    /// IPFIX over TCP.
    Tcp {
        /// Destination.
        remote: Remote,
    },
    /// IPFIX over TLS.
    Tls {
        /// Destination.
        remote: Remote,
        /// Files with certificates and keys.
        credentials: Credentials,
    },
    /// IPFIX files (RFC 5655).
    File {
        /// Name of the complete file, or the start of the names if files rotate.
        path: PathBuf,
        /// When the next file starts.
        rotation: Rotation,
    },
    /// JSON lines on stdout.
    Stdout,
}

/// A remote host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Address or name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Maximum rate, records per second; 0 is unlimited. Default: that of the caller.
    pub records_per_second: Option<u32>,
    /// Distribute flows over all addresses of the name instead of using one. Default: false.
    pub spread: bool,
}

/// The PEM files of a TLS target. They are read for each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Authorities of the target's certificate. Default: those of the system.
    pub ca: Option<PathBuf>,
    /// Own certificate chain.
    pub cert: Option<PathBuf>,
    /// Own private key.
    pub key: Option<PathBuf>,
}

impl Target {
    /// The remote host, if the target has one.
    #[must_use]
    pub const fn remote(&self) -> Option<&Remote> {
        match &self.kind {
            TargetKind::Udp { remote, .. }
            | TargetKind::Tcp { remote }
            | TargetKind::Tls { remote, .. } => Some(remote),
            TargetKind::File { .. } | TargetKind::Stdout => None,
        }
    }

    /// The version of the protocol.
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

kipfix_service::text_setting!(Target);

impl FromStr for Target {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let (kind, profile) = parsed(text).map_err(|problem| {
            BadSettings::new(format!(
                "invalid export target {text:?}: {problem}: must be \
                 udp://HOST:PORT[?version=ipfix|9|5&mtu=OCTETS&rate=RECORDS_PER_SECOND&\
                 spread=true&profile=all|registered], \
                 tcp://HOST:PORT[?rate=…&spread=…&profile=…], \
                 tls://HOST:PORT[?ca=FILE&cert=FILE&key=FILE&rate=…&spread=…&profile=…], \
                 file:PATH[?rotate-size=SIZE&rotate-every=TIME&keep=N&profile=…] or stdout:"
            ))
        })?;
        Ok(Self {
            text: text.to_owned(),
            kind,
            profile,
        })
    }
}

/// The parameters of a query: names and values as they are written, without percent-decoding.
pub fn query_parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

fn parsed(text: &str) -> Result<(TargetKind, Profile), String> {
    if text == "stdout:" {
        return Ok((TargetKind::Stdout, Profile::All));
    }
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    let mut parameters = Parameters::default();
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let allowed: &[&str] = match scheme {
        "udp" => &["version", "profile", "mtu", "rate", "spread"],
        "tcp" => &["version", "profile", "rate", "spread"],
        "tls" => &["version", "profile", "rate", "spread", "ca", "cert", "key"],
        "file" => &["version", "profile", "rotate-size", "rotate-every", "keep"],
        "sctp" => return Err("SCTP is not supported and not planned; use tcp".to_owned()),
        "dtls" => return Err("DTLS is not supported and not planned; use tls".to_owned()),
        _ => return Err("unknown scheme".to_owned()),
    };
    for (name, value) in query_parameters(query) {
        if !allowed.contains(&name) {
            return Err(format!("unknown parameter {name:?} of {scheme}"));
        }
        parameters.set(name, value)?;
    }
    if scheme != "udp" && parameters.version != Version::Ipfix {
        return Err(format!("invalid version for {scheme}: must be ipfix"));
    }
    let profile = parameters.profile;
    if profile == Profile::Registered && parameters.version != Version::Ipfix {
        return Err(
            "profile requires version ipfix: NetFlow has only registered elements".to_owned(),
        );
    }
    place_of(scheme, place, parameters).map(|kind| (kind, profile))
}

fn place_of(scheme: &str, place: &str, parameters: Parameters) -> Result<TargetKind, String> {
    if scheme == "file" {
        let (path, rotation) = file_of(place, parameters.rotation)?;
        return Ok(TargetKind::File { path, rotation });
    }
    let authority = place
        .strip_prefix("//")
        .ok_or_else(|| format!("missing // after {scheme}:"))?;
    let (host, port) = authority
        .rsplit_once(':')
        .ok_or_else(|| PORT_HINT.to_owned())?;
    let host = host_of(host)?;
    let port = match port.parse() {
        Ok(0) | Err(_) => return Err(format!("invalid port {port:?}: must be 1–65535")),
        Ok(port) => port,
    };
    let remote = Remote {
        host,
        port,
        records_per_second: parameters.records_per_second,
        spread: parameters.spread,
    };
    Ok(match scheme {
        "udp" => TargetKind::Udp {
            remote,
            version: parameters.version,
            max_message_octets: parameters
                .max_message_octets
                .unwrap_or(DEFAULT_MESSAGE_OCTETS),
        },
        "tcp" => TargetKind::Tcp { remote },
        _ => {
            if parameters.credentials.cert.is_some() != parameters.credentials.key.is_some() {
                return Err("cert and key are required together".to_owned());
            }
            TargetKind::Tls {
                remote,
                credentials: parameters.credentials,
            }
        }
    })
}

/// Parses a file without its scheme: `PATH[?rotate-size=SIZE&rotate-every=TIME&keep=N]`.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn parse_file(text: &str) -> Result<(PathBuf, Rotation), String> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let mut parameters = Parameters::default();
    for (name, value) in query_parameters(query) {
        if !ROTATION_PARAMETERS.contains(&name) {
            return Err(format!("unknown parameter {name:?} of file"));
        }
        parameters.set(name, value)?;
    }
    file_of(place, parameters.rotation)
}

fn file_of(place: &str, rotation: Rotation) -> Result<(PathBuf, Rotation), String> {
    if rotation.keep.is_some() && !rotation.rotates() {
        return Err("keep requires rotate-size or rotate-every".to_owned());
    }
    let path = decoded_path(place);
    if path.file_name().is_none() {
        return Err("missing path of the file".to_owned());
    }
    Ok((path, rotation))
}

/// The parameters of a URL.
#[derive(Default)]
struct Parameters {
    version: Version,
    profile: Profile,
    max_message_octets: Option<usize>,
    records_per_second: Option<u32>,
    spread: bool,
    credentials: Credentials,
    rotation: Rotation,
}

impl Parameters {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let decoded = percent_decode_str(value).decode_utf8_lossy();
        let invalid = |range: &str| format!("invalid {name} {decoded:?}: must be {range}");
        match name {
            "version" => {
                self.version = match &*decoded {
                    "ipfix" | "10" => Version::Ipfix,
                    "9" => Version::Netflow9,
                    "5" => Version::Netflow5,
                    _ => return Err(invalid("ipfix, 9 or 5")),
                };
            }
            "profile" => {
                self.profile = match &*decoded {
                    "all" => Profile::All,
                    "registered" => Profile::Registered,
                    _ => return Err(invalid("all or registered")),
                };
            }
            "mtu" => {
                let octets = parse(&decoded, |octets| MESSAGE_OCTETS.contains(octets));
                self.max_message_octets = Some(octets.ok_or_else(|| invalid("512–65507 octets"))?);
            }
            "rate" => {
                let rate = parse(&decoded, |_| true);
                self.records_per_second =
                    Some(rate.ok_or_else(|| invalid("a number of records per second"))?);
            }
            "spread" => {
                let spread = parse(&decoded, |_| true);
                self.spread = spread.ok_or_else(|| invalid("true or false"))?;
            }
            "ca" => self.credentials.ca = Some(file(name, value)?),
            "cert" => self.credentials.cert = Some(file(name, value)?),
            "key" => self.credentials.key = Some(file(name, value)?),
            "rotate-size" => {
                let size = parse::<Size>(&decoded, |size| size.bytes() >= 1 << 16);
                let size = size.ok_or_else(|| invalid("at least 64KiB"))?;
                self.rotation.size = Some(size.bytes());
            }
            "rotate-every" => {
                let every = parse::<Span>(&decoded, |span| *span >= Span::from_secs(1));
                self.rotation.every = Some(every.ok_or_else(|| invalid("at least 1s"))?);
            }
            "keep" => {
                let keep = parse(&decoded, |_| true);
                self.rotation.keep = Some(keep.ok_or_else(|| invalid("at least 1 file"))?);
            }
            _ => return Err(format!("unknown parameter {name:?}")),
        }
        Ok(())
    }
}

fn parse<T: FromStr>(text: &str, allowed: impl FnOnce(&T) -> bool) -> Option<T> {
    text.parse().ok().filter(allowed)
}

fn file(name: &str, value: &str) -> Result<PathBuf, String> {
    if value.is_empty() {
        return Err(format!("missing file name of {name}"));
    }
    Ok(decoded_path(value))
}

/// A percent-decoded path. It need not be UTF-8.
fn decoded_path(text: &str) -> PathBuf {
    let octets: Cow<'_, [u8]> = percent_decode_str(text).into();
    OsString::from_vec(octets.into_owned()).into()
}

/// Parses a host: a name, an IPv4 address, or an IPv6 address in brackets.
fn host_of(text: &str) -> Result<String, String> {
    if let Some(inner) = text.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .filter(|inner| matches!(inner.parse(), Ok(IpAddr::V6(_))))
            .map(ToOwned::to_owned)
            .ok_or_else(|| format!("invalid host {text:?}: must be an IPv6 address in brackets"));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() || !text.chars().all(is_name) {
        return Err(format!(
            "invalid host {text:?}: must be a name, an IPv4 address, or an IPv6 address in brackets"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
